"""What is published is served to everybody under /vo, and nothing else is by that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from emberline.archive import ingest_blocks
from emberline.jobs import Workspace
from emberline.spectra import Grid, Metadata, SpectrumBlock
from emberline.vo.server.publication import publish
from emberline.web.gate import is_public
from emberline.web.security import BodyLimit
from tests.web.servers import Server, new_workspace

SETTINGS: dict[str, Any] = {
    "title": "Spectra",
    "creators": ("Doe, J.",),
    "description": "Spectra for a test.",
    "subjects": ("be-stars",),
    "publisher": "Observatory",
    "contact_name": "J. Doe",
    "contact_email": "doe@example.org",
    "authority": "example.org",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One archive that is published, ``shown``, and one that is not, ``hidden``."""
    found = new_workspace(tmp_path_factory.mktemp("workspace") / "survey")
    grid = Grid.linear(6500.0, 1.0, 100)
    for name in ("shown", "hidden"):
        meta = [Metadata(identifier=f"{name}-{i}", ra=40 + i / 100, dec=20.0, survey="Test") for i in range(5)]
        flux = np.ones((5, grid.n), "f4")
        ingest_blocks(
            [SpectrumBlock(grid, flux, flux, np.zeros(flux.shape, "u1"), meta)], found.folder / name, survey="T"
        )
    publish(found.folder / "shown", **SETTINGS)
    return found


@pytest.fixture(scope="module")
def anybody(server: Server) -> Iterator[httpx.Client]:
    """Somebody who is not known."""
    with httpx.Client(base_url=server.base, timeout=30, trust_env=False, follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/vo/", "/vo/shown/", "/vo/shown/capabilities", "/vo/tap/capabilities", "/vo/shown/moc.fits",
             "/vo/shown/hips/properties", "/vo/registry/oai?verb=Identify", "/vo/tap/examples"]
)  # fmt: skip
def test_everybody_reads_what_is_published(anybody: httpx.Client, path: str) -> None:
    answer = anybody.get(path)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "set-cookie" not in answer.headers


def test_a_wrong_password_does_not_matter_there(anybody: httpx.Client) -> None:
    assert anybody.get("/vo/shown/", auth=("nobody", "wrong")).status_code == 200
    assert anybody.get("/vo/shown/", headers={"authorization": "Bearer forged"}).status_code == 200
    assert anybody.get("/vo/shown/?token=x").status_code == 200


def test_another_sites_page_may_ask(anybody: httpx.Client) -> None:
    headers = {"origin": "https://aladin.example", "sec-fetch-site": "cross-site"}
    assert anybody.get("/vo/shown/hips/properties", headers=headers).status_code == 200
    data = {"verb": "Identify"}
    assert anybody.post("/vo/registry/oai", data=data, headers=headers).status_code == 200


def test_what_is_not_published_stays_hidden(anybody: httpx.Client) -> None:
    assert "hidden" not in anybody.get("/vo/").text
    for path in ("/vo/hidden/", "/vo/hidden/tables", "/vo/hidden/moc.fits"):
        answer = anybody.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path", ["/api/jobs", "/vo/../api/jobs", "/vo/%2e%2e/api/jobs", "/vo//api/jobs", "//vo/../api/jobs",
             "/VO/../api/jobs", "/vofoo", "/voa/", "/uws"]
)  # fmt: skip
def test_nothing_else_is_opened_by_that(server: Server, anybody: httpx.Client, path: str) -> None:
    answer = anybody.send(httpx.Request("GET", httpx.URL(server.base, raw_path=path.encode())))
    assert answer.status_code in (303, 401, 403, 404, 307)
    assert '"jobs"' not in answer.text


def test_what_is_public_is_one_folder() -> None:
    assert is_public("/vo")
    assert is_public("/vo/a/b")
    for path in ("/", "/vo2", "/voo/", "/VO/", "/api/vo/", "vo/", "/v", ""):
        assert not is_public(path)


def test_no_route_outside_of_the_mount_lies_under_it(server: Server) -> None:
    from starlette.routing import Match

    for method in ("GET", "POST"):
        scope = {"type": "http", "method": method, "path": "/vo/shown/ssa", "root_path": "", "headers": []}
        matching = [route for route in server.app.router.routes if route.matches(scope)[0] is not Match.NONE]
        assert [getattr(route, "name", "") for route in matching] == ["vo"]


def test_the_address_without_a_slash_leads_on(anybody: httpx.Client) -> None:
    answer = anybody.get("/vo")
    assert answer.status_code in (307, 308)
    assert answer.headers["location"].endswith("/vo/")


def test_publishing_while_the_server_runs(server: Server, anybody: httpx.Client) -> None:
    import time

    assert anybody.get("/vo/later/").status_code == 404
    publish(server.site.workspace.folder / "hidden", name="later", **SETTINGS)
    try:
        until = time.monotonic() + 20
        while anybody.get("/vo/later/").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        (server.site.workspace.folder / "hidden" / "publication.toml").unlink()


def test_only_tables_to_upload_may_be_large(anybody: httpx.Client) -> None:
    assert anybody.post("/vo/registry/oai", content=b"x" * (2 * 1024 * 1024)).status_code == 413

    async def read(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    inner = Starlette(routes=[Route("/{path:path}", read, methods=["POST"])])
    limited = BodyLimit(inner, limit=10, larger={"/vo/tap/": 100})

    async def post(path: str, size: int) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://localhost") as client:
            return await client.post(path, content=b"x" * size)

    for path, size in (("/vo/tap/sync", 100), ("/vo/shown/ssa", 10), ("/api/jobs", 10)):
        assert asyncio.run(post(path, size)).text == str(size)
    for path, size in (("/vo/tap/sync", 101), ("/uws", 11)):
        assert asyncio.run(post(path, size)).status_code == 413


def test_other_hosts_names_are_refused_there_too(anybody: httpx.Client) -> None:
    assert anybody.get("/vo/", headers={"host": "evil.example"}).status_code == 421


def test_no_page_says_where_the_workspace_lies(anybody: httpx.Client, workspace: Workspace) -> None:
    for path in ("/vo/", "/vo/shown/", "/vo/nowhere", "/vo/%00", "/vo/shown/hips/x", "/vo/tap/tables?detail=x"):
        assert str(Path(workspace.folder)) not in anybody.get(path).text
