"""Who may do what, asked of a running server: the expectation is written out here, not taken from the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from emberline.jobs import Job
from emberline.web.permissions import ACTIONS, Action, Role, may_submit
from tests.web.servers import PASSWORD, STAND_INS, Server

OK, CREATED, GONE, FORBIDDEN, HIDDEN = 200, 201, 204, 403, 404

# action: what a reader, an annotator, a manager and an admin hear
TABLE: dict[str, tuple[int, int, int, int]] = {
    "see who one is": (OK, OK, OK, OK),
    "list jobs": (OK, OK, OK, OK),
    "list job types": (OK, OK, OK, OK),
    "see the workspace": (OK, OK, OK, OK),
    "see the list": (OK, OK, OK, OK),
    "see one's own job": (OK, OK, OK, OK),
    "see another's job": (HIDDEN, HIDDEN, OK, OK),
    "see another's log": (HIDDEN, HIDDEN, OK, OK),
    "see another's error": (HIDDEN, HIDDEN, OK, OK),
    "see another's job's page": (HIDDEN, HIDDEN, OK, OK),
    "see another's job by UWS": (HIDDEN, HIDDEN, OK, OK),
    "follow another's job": (HIDDEN, HIDDEN, OK, OK),
    "submit round": (FORBIDDEN, CREATED, CREATED, CREATED),
    "submit predict": (FORBIDDEN, CREATED, CREATED, CREATED),
    "submit candidates": (FORBIDDEN, CREATED, CREATED, CREATED),
    "submit report": (FORBIDDEN, CREATED, CREATED, CREATED),
    "submit ingest": (FORBIDDEN, FORBIDDEN, CREATED, CREATED),
    "submit harvest": (FORBIDDEN, FORBIDDEN, CREATED, CREATED),
    "submit features": (FORBIDDEN, FORBIDDEN, CREATED, CREATED),
    "submit simulate": (FORBIDDEN, FORBIDDEN, CREATED, CREATED),
    "submit unheard-of": (FORBIDDEN, FORBIDDEN, CREATED, CREATED),
    "submit round by UWS": (FORBIDDEN, 303, 303, 303),
    "submit ingest by UWS": (FORBIDDEN, FORBIDDEN, 303, 303),
    "run one's own round": (FORBIDDEN, OK, OK, OK),
    "run one's own ingest": (FORBIDDEN, FORBIDDEN, OK, OK),
    "run one's own ingest by UWS": (FORBIDDEN, FORBIDDEN, 303, 303),
    "rerun one's own round": (FORBIDDEN, CREATED, CREATED, CREATED),
    "rerun one's own ingest": (FORBIDDEN, FORBIDDEN, CREATED, CREATED),
    "label one's own job": (FORBIDDEN, OK, OK, OK),
    "abort one's own job": (FORBIDDEN, OK, OK, OK),
    "delete one's own job": (FORBIDDEN, GONE, GONE, GONE),
    "delete one's own job by UWS": (FORBIDDEN, 303, 303, 303),
    "label another's job": (FORBIDDEN, HIDDEN, OK, OK),
    "run another's job": (HIDDEN, HIDDEN, OK, OK),
    "rerun another's job": (HIDDEN, HIDDEN, CREATED, CREATED),
    "abort another's job": (FORBIDDEN, HIDDEN, OK, OK),
    "delete another's job": (FORBIDDEN, HIDDEN, GONE, GONE),
    "list accounts": (FORBIDDEN, FORBIDDEN, FORBIDDEN, OK),
    "make an account": (FORBIDDEN, FORBIDDEN, FORBIDDEN, CREATED),
    "change a role": (FORBIDDEN, FORBIDDEN, FORBIDDEN, OK),
    "change another's password": (FORBIDDEN, FORBIDDEN, FORBIDDEN, OK),
    "change one's own password": (OK, OK, OK, OK),
    "make oneself an admin": (FORBIDDEN, FORBIDDEN, FORBIDDEN, OK),
    "remove an account": (FORBIDDEN, FORBIDDEN, FORBIDDEN, GONE),
    "list one's tokens": (OK, OK, OK, OK),
    "make a token": (CREATED, CREATED, CREATED, CREATED),
    "take back another's token": (HIDDEN, HIDDEN, HIDDEN, GONE),
}
ROLES = ("reader", "annotator", "manager", "admin")


class Actor:
    """Somebody with one of the roles, and how each action of the table is asked for."""

    def __init__(self, server: Server, role: str, client: httpx.Client) -> None:
        self.store, self.accounts, self.role, self.client = server.site.store, server.site.accounts, role, client

    def own(self, type: str = "round") -> Job:
        return self.store.create(type, {}, owner=self.role)

    def others(self) -> Job:
        return self.store.create("round", {}, owner="somebody-else")

    def ask(self, action: str) -> int:
        verb, _, rest = action.partition(" ")
        by_uws = rest.endswith(" by UWS")
        if verb == "submit":
            return self._submit(rest.removesuffix(" by UWS"), by_uws)
        if action in self.simple:
            method, path, body = self.simple[action]
            return self.client.request(method, path, json=body).status_code
        subject = self.own("ingest") if "own ingest" in rest else self.own() if "one's own" in rest else self.others()
        return self._job(verb, rest, subject, by_uws)

    def _submit(self, type: str, by_uws: bool) -> int:
        if by_uws:
            return self.client.post("/uws", data={"TYPE": type}).status_code
        return self.client.post("/api/jobs", json={"type": type, "run": False}).status_code

    def _job(self, verb: str, rest: str, job: Job, by_uws: bool) -> int:
        base, send = f"/api/jobs/{job.id}", self.client.request
        if by_uws:
            asked = {
                "run": ("POST", "/phase", {"PHASE": "RUN"}),
                "delete": ("DELETE", "", None),
                "see": ("GET", "", None),
            }
            method, path, data = asked[verb]
            return send(method, f"/uws/{job.id}{path}", data=data).status_code
        if verb == "follow":
            with self.client.stream("GET", f"{base}/events") as answer:
                return answer.status_code
        if verb == "see":
            endings = {"log": f"{base}/log", "error": f"{base}/error", "page": f"/jobs/{job.id}"}
            return send("GET", endings.get(rest.split()[-1], base)).status_code
        asked = {
            "run": ("POST", "/run", None),
            "rerun": ("POST", "/rerun", {"run": False}),
            "label": ("PATCH", "", {"label": "x"}),
            "abort": ("POST", "/abort", None),
            "delete": ("DELETE", "", None),
        }
        method, path, body = asked[verb]
        return send(method, base + path, json=body).status_code

    @property
    def simple(self) -> dict[str, tuple[str, str, object]]:
        names = iter(f"extra{number}" for number in range(10**6))
        fresh = next(name for name in names if self.accounts.find(name) is None)
        victim = self.accounts.find("victim") or self.accounts.add("victim", "reader", PASSWORD)
        token = self.accounts.tokens.create("victim", "t", Role.READER)[0]
        return {
            "see who one is": ("GET", "/api/me", None),
            "list jobs": ("GET", "/api/jobs", None),
            "list job types": ("GET", "/api/job-types", None),
            "see the workspace": ("GET", "/", None),
            "see the list": ("GET", "/jobs", None),
            "list accounts": ("GET", "/api/accounts", None),
            "make an account": ("POST", "/api/accounts", {"name": fresh, "role": "reader", "password": PASSWORD}),
            "change a role": ("PATCH", f"/api/accounts/{victim.name}", {"role": "annotator"}),
            "change another's password": ("PATCH", f"/api/accounts/{victim.name}", {"password": PASSWORD}),
            "change one's own password": (
                "PATCH",
                f"/api/accounts/{self.role}",
                {"password": PASSWORD, "current_password": PASSWORD},
            ),
            "make oneself an admin": ("PATCH", f"/api/accounts/{self.role}", {"role": "admin"}),
            "remove an account": ("DELETE", f"/api/accounts/{victim.name}", None),
            "list one's tokens": ("GET", "/api/tokens", None),
            "make a token": ("POST", "/api/tokens", {"name": "t"}),
            "take back another's token": ("DELETE", f"/api/tokens/{token.id}", None),
        }


@pytest.fixture(scope="module")
def actor(server: Server) -> Iterator[Callable[[str], Actor]]:
    actors: dict[str, Actor] = {}

    def of(role: str) -> Actor:
        if role not in actors:
            actors[role] = Actor(
                server, role, httpx.Client(base_url=server.base, auth=(role, PASSWORD), trust_env=False)
            )
        return actors[role]

    yield of
    for found in actors.values():
        found.client.close()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", TABLE)
def test_each_role_may_do_what_it_may(actor: Callable[[str], Actor], action: str, role: str) -> None:
    assert actor(role).ask(action) == TABLE[action][ROLES.index(role)]


def test_the_table_above_covers_every_type_of_job() -> None:
    assert {f"submit {name}" for name in STAND_INS} <= set(TABLE)


def test_nobody_sees_anything_without_a_name(server: Server) -> None:
    job = server.site.store.create("round", {}, owner="manager")
    paths = ["/", "/jobs", f"/jobs/{job.id}", "/api/me", "/api/jobs", f"/api/jobs/{job.id}", "/api/events", "/uws"]
    paths += ["/api/accounts", "/api/tokens", "/api/openapi.json", "/api/job-types", "/nothing", "/api/nothing"]
    with server.client() as nobody:
        found = {path: nobody.get(path).status_code for path in paths}
        changed = nobody.post("/api/jobs", json={"type": "round"})
    assert set(found.values()) <= {401, 303}, found
    assert changed.status_code == 401


def test_roles_are_ordered() -> None:
    order = [Role.READER, Role.ANNOTATOR, Role.MANAGER, Role.ADMIN]
    assert [role.rank for role in order] == [0, 1, 2, 3]
    assert Role.ADMIN.least(Role.READER) is Role.READER
    assert set(ACTIONS) == set(Action)
    assert not may_submit(Role.ANNOTATOR, "a type of tomorrow")
    assert may_submit(Role.MANAGER, "a type of tomorrow")
