"""Server-sent events: the present state first, then every change, and an end when it is time."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emberline.jobs._schema import change
from emberline.web import events
from tests.web.servers import Server, new_workspace, serving


class Listener:
    """Reads a stream as a browser's EventSource does."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()
        self.comments = 0

    def next(self) -> tuple[str, Any]:
        name, data = "", ""
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and name:
                return name, json.loads(data)
        return "end", None

    def until(self, name: str, **wanted: Any) -> Any:
        """The first event of that name whose data has these values."""
        while True:
            found, data = self.next()
            if found == name and all(data[key] == value for key, value in wanted.items()):
                return data
            assert found != "end", "the stream has ended"


@contextlib.contextmanager
def listening(client: httpx.Client, path: str) -> Iterator[Listener]:
    with client.stream("GET", path, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Listener(answer)


def test_a_job_from_beginning_to_end(working: Server) -> None:
    """All phases in order, progress between, and the whole log before the end is told."""
    with working.client("manager") as client:
        address = client.post(
            "/api/jobs", json={"type": "count", "parameters": {"items": 4, "seconds": 0.3}, "run": False}
        ).headers["location"]
        with listening(client, f"{address}/events") as listener:
            assert listener.next()[1]["phase"] == "PENDING"
            assert listener.next() == ("log", {"text": "", "next": 0, "whole": True})
            client.post(f"{address}/run")
            seen = []
            while not seen or seen[-1]["phase"] != "COMPLETED":
                name, data = listener.next()
                if name == "job":
                    seen.append(data)
            phases = list(dict.fromkeys(job["phase"] for job in seen))
            # A phase that lasts no longer than a look at the store may be passed over; the order never changes.
            assert phases in (["QUEUED", "EXECUTING", "COMPLETED"], ["EXECUTING", "COMPLETED"])
            versions = [job["version"] for job in seen]
            assert versions == sorted(versions)
            assert any(0 < (job["progress"] or 0) < 1 for job in seen)
            assert seen[-1] == client.get(address).json()
            client.delete(address)
            assert listener.until("deleted")["id"] == seen[-1]["id"]
            assert listener.next()[0] == "end"


def test_the_log_arrives_as_it_grows_and_nothing_twice(server: Server) -> None:
    store = server.site.store
    job = store.create("sleep", {}, owner="manager")
    log = store.job_folder(job.id) / "log.txt"
    log.write_text("before\n")
    with server.client("manager") as client, listening(client, f"/api/jobs/{job.id}/events") as listener:
        listener.next()
        text = listener.until("log")["text"]
        for number in range(20):
            with open(log, "a") as stream:
                stream.write(f"line {number} é\n")
            time.sleep(0.02)
        with open(log, "a") as stream:
            stream.write("x" * 300_000 + "\nlast\n")
        while not text.endswith("last\n"):
            text += listener.until("log", whole=False)["text"]
    assert text == log.read_text()


def test_a_long_log_begins_with_its_end(server: Server) -> None:
    store = server.site.store
    job = store.create("sleep", {}, owner="manager")
    (store.job_folder(job.id) / "log.txt").write_text("old\n" * 100_000 + "new\n")
    with server.client("manager") as client, listening(client, f"/api/jobs/{job.id}/events") as listener:
        data = listener.until("log")
    assert data["next"] == 400_004
    assert len(data["text"]) == 65536
    assert data["text"].endswith("new\n")


def test_each_hears_of_their_own_jobs_only(server: Server) -> None:
    store = server.site.store
    foreign = store.create("round", {}, owner="somebody-else")
    own = store.create("round", {}, owner="annotator")
    with (
        server.client("annotator") as one,
        server.client("manager") as other,
        listening(one, "/api/events") as mine,
        listening(other, "/api/events") as all_of_them,
    ):
        mine.until("jobs", whole=True)
        all_of_them.until("jobs", whole=True)
        hidden = store.create("round", {}, owner="somebody-else")
        store.delete(foreign.id)
        store.delete(own.id)
        last = store.create("round", {}, owner="annotator", label="last")
        ours = {own.id, foreign.id, hidden.id, last.id}  # what changed just before may be told of once more
        assert hear(mine, last.id) & ours == {own.id, last.id}
        assert hear(all_of_them, last.id) & ours == ours


def hear(listener: Listener, last: str) -> set[str]:
    """The identifiers of all jobs that are told of, until the last one is."""
    heard: set[str] = set()
    while last not in heard:
        _, data = listener.next()
        heard |= {job["id"] for job in data["changed"]} | set(data["deleted"])
    return heard


def test_a_job_that_was_seen_only_between_two_looks_is_told_of_when_it_goes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made after one look and deleted before the next; the first state that is sent shows it."""
    monkeypatch.setattr(server.site.hub, "_poll", 1.5)
    with server.client("annotator") as client, listening(client, "/api/events") as earlier:
        earlier.until("jobs", whole=True)
        time.sleep(0.3)  # the hub has looked, and rests
        job = server.site.store.create("round", {}, owner="annotator")
        with listening(client, "/api/events") as listener:
            assert job.id in {found["id"] for found in listener.until("jobs", whole=True)["changed"]}
            server.site.store.delete(job.id)
            assert job.id in listener.until("jobs", whole=False)["deleted"]


def test_deleted_jobs_are_told_of(server: Server) -> None:
    job = server.site.store.create("round", {}, owner="annotator")
    with server.client("annotator") as client, listening(client, "/api/events") as listener:
        assert job.id in {found["id"] for found in listener.until("jobs", whole=True)["changed"]}
        client.delete(f"/api/jobs/{job.id}")
        while job.id not in listener.until("jobs", whole=False)["deleted"]:
            pass  # a change from just before may be told twice


def test_a_listener_that_comes_back_says_what_it_knows(server: Server) -> None:
    store = server.site.store
    store.create("round", {}, owner="annotator")
    version = store.version()
    job = store.create("round", {}, owner="annotator")
    with server.client("annotator") as client, listening(client, f"/api/events?since={version}") as listener:
        name, data = listener.next()
    assert name == "jobs"
    assert [found["id"] for found in data["changed"]] == [job.id]


def test_two_listeners_hear_the_same_from_one_look(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    look = events.Hub._look
    monkeypatch.setattr(events.Hub, "_look", lambda *given: looks.append(1) or look(*given))
    job = server.site.store.create("round", {}, owner="manager")
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(server.client("manager"))
        path = f"/api/jobs/{job.id}/events"
        listeners = [stack.enter_context(listening(client, path)) for _ in range(10)]
        for listener in listeners:
            listener.until("log")
        looks.clear()
        began = time.monotonic()
        server.site.store.update(job.id, label="new")
        assert {listener.until("job", label="new")["version"] for listener in listeners}
        assert len(looks) <= (time.monotonic() - began) / events.POLL + 3
    wait_until(lambda: len(server.site.hub) == 0)
    wait_until(lambda: server.site.hub._task is None)
    looks.clear()
    time.sleep(5 * events.POLL)
    assert not looks  # nobody listens: nobody looks


def wait_until(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_slow_listener_hears_the_last_state_and_costs_no_memory(server: Server) -> None:
    """States in between are dropped: what waits for a listener is one state a job."""
    store = server.site.store
    job = store.create("round", {}, owner="manager")
    with server.client("manager") as client, listening(client, "/api/events") as listener:
        listener.until("jobs", whole=True)
        for number in range(300):
            with store.database.transaction() as connection:
                change(connection, job.id, label=f"label {number}")
        heard = []
        while not heard or heard[-1] != "label 299":
            heard += [found["label"] for found in listener.next()[1]["changed"] if found["id"] == job.id]
    assert len(heard) < 300
    numbers = [int(label.split()[1]) for label in heard]
    assert numbers == sorted(numbers)


def test_a_heart_beats_and_stops_with_the_session(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.2)
    with server.browser("annotator") as client, listening(client, "/api/events") as listener:
        listener.until("jobs")
        secret = client.cookies[server.site.cookie]
        timer = threading.Timer(0.7, server.site.accounts.sessions.close, [secret])
        timer.start()
        while listener.next()[0] != "end":  # other tests' jobs may still change
            pass
        timer.join()
        assert listener.comments >= 2


def test_streams_end_when_the_server_stops(tmp_path: Path) -> None:
    ended: list[float] = []
    with serving(new_workspace(tmp_path / "survey")) as running:
        job = running.site.store.create("round", {}, owner="manager")
        started = threading.Barrier(4)

        def listen(path: str) -> None:
            with running.client("manager") as client, listening(client, path) as listener:
                listener.next()
                started.wait(20)
                while listener.next()[0] != "end":
                    pass
                ended.append(time.monotonic())

        def wait() -> None:
            with running.client("manager") as client:
                started.wait(20)
                assert client.get(f"/api/jobs/{job.id}?wait=60").json()["phase"] == "PENDING"
                ended.append(time.monotonic())

        tasks = [(listen, "/api/events"), (listen, f"/api/jobs/{job.id}/events"), (wait,)]
        threads = [threading.Thread(target=task[0], args=task[1:]) for task in tasks]
        for thread in threads:
            thread.start()
        started.wait(20)
        time.sleep(0.3)
        asked = time.monotonic()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 3
    assert max(ended) - asked < 15
