"""SAMP for the pages: what they send gets short-lived addresses, what they receive becomes a set to label."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.campaign import Campaign
from emberline.errors import EmberlineError, MissingExtraError
from emberline.web.aside import Aside
from emberline.web.permissions import Action
from emberline.web.shared_links import SHARED, shared_links
from emberline.web.visitors import required, site_of

__all__ = ["MOST_BYTES", "PREFIX", "router", "routes"]

PREFIX = "/api/samp"
MOST_BYTES = 50_000_000
"""Of a table that a page has received."""

router = APIRouter(prefix=PREFIX, tags=["samp"])

Place = Annotated[str, Query(max_length=500, description="The campaign, by its path in the workspace.")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Wanted(_Strict):
    """What is to be sent."""

    what: Literal["spectrum", "position", "table", "moc"]
    identifier: str = Field("", max_length=500, description="Of a spectrum or its position.")


class Chosen(_Strict):
    """A set to label."""

    identifiers: list[str] = Field(min_length=1, max_length=100_000)
    reason: str = Field(min_length=1, max_length=500)


def _pools(request: Request) -> Aside:
    found: Aside = request.app.state.pools
    return found


def _campaign(request: Request, path: str) -> Campaign:
    required(request, Action.LABEL)
    return site_of(request).campaigns.open(path)


@contextlib.contextmanager
def _with_pool(campaign: Campaign) -> Iterator[Campaign]:
    """The campaign with its pool open, for as long as it is needed: what is served otherwise does without."""
    from emberline.archive import open_archive
    from emberline.archive.matrix import built_recipes

    for archive in campaign.config.pool.archives:
        built = {found["hash"] for found in built_recipes(open_archive(archive)) if found["complete"]}
        if campaign.recipe.hash not in built:
            raise HTTPException(409, f"the archive {archive.name} has grown: let the network read the pool first")
    opened = Campaign(campaign.path)
    try:
        opened.prepare()
        yield opened
    finally:
        opened.close()


@router.post("/offer", summary="Make something ready to be sent")
async def offer(request: Request, campaign: Place, wanted: Wanted) -> dict[str, Any]:
    """Messages to send, with addresses that hold for ten minutes; of a table which spectrum each row is."""
    return await _pools(request).run(_offer, request, campaign, wanted)


def _offer(request: Request, campaign: str, wanted: Wanted) -> dict[str, Any]:
    from emberline.web import samp_documents as documents

    at, links = _campaign(request, campaign), shared_links(request.app)
    if wanted.what == "spectrum":
        return documents.spectrum_offer(at, campaign, wanted.identifier, links)
    if wanted.what == "position":
        return documents.position_offer(at, wanted.identifier)
    with _with_pool(at) as opened:
        make = documents.table_offer if wanted.what == "table" else documents.coverage_offer
        return make(opened, links)


@router.post("/match", summary="Find a table's rows in the pool")
async def match(request: Request, campaign: Place, format: Literal["votable", "fits"] = "votable") -> dict[str, Any]:
    """The spectra that the rows of a table (the request's body) are, by identifier, else by position."""
    required(request, Action.LABEL)
    content = await request.body()
    return await _pools(request).run(_match, request, campaign, content, format)


def _match(request: Request, campaign: str, content: bytes, form: str) -> dict[str, Any]:
    from emberline.campaign.sets import match_table
    from emberline.vo.client.samp.documents import read_table

    at = _campaign(request, campaign)
    table = read_table(content, form, "the table")
    with _with_pool(at) as opened:
        found = match_table(opened, table)
    return {"identifiers": found.identifiers, "rows": found.by_row, "by": found.by, "missed": found.missed}


@router.post("/ask", summary="Add a set to the open round's questions")
async def ask(request: Request, campaign: Place, chosen: Chosen) -> dict[str, Any]:
    """Ask about spectra; nothing is asked twice. Says how many were added, and which comes first."""
    return await _pools(request).run(_ask, request, campaign, chosen)


def _ask(request: Request, campaign: str, chosen: Chosen) -> dict[str, Any]:
    from emberline.campaign.sets import lines_of

    with _with_pool(_campaign(request, campaign)) as opened:
        done = opened.ask_about(chosen.identifiers, chosen.reason)
    counts = {name: len(getattr(done, name)) for name in ("asked", "before", "flagged", "unknown")}
    first = done.asked[0] if done.asked else ""
    return {"round": done.round, **counts, "first": first, "text": " ".join(lines_of(done))}


# What other programs fetch -------------------------------------------------------------------------------------------


def shared(request: Request) -> Response:
    """A document, to whoever knows its address while it holds."""
    links = shared_links(request.app)
    document = links.read(request.path_params["token"])
    response = None if document is None else _document(request, document)
    if response is None:
        return PlainTextResponse("This address is none, or it has expired. Send it again from the page.\n", 404)
    # Whoever holds the address may read it, a page that got it by SAMP too.
    response.headers["access-control-allow-origin"] = "*"
    response.headers["cross-origin-resource-policy"] = "cross-origin"
    response.headers["content-security-policy"] = "sandbox; default-src 'none'"
    return response


def _document(request: Request, document: dict[str, str]) -> Response | None:
    if document["kind"] == "kept":
        content = shared_links(request.app).kept(document["name"])
        return None if content is None else Response(content, media_type=document["media"])
    from emberline.vo.server.spectrum_files import FORMATS, spectrum_response
    from emberline.web.samp_documents import read_asked, shown_spectrum

    try:
        campaign = site_of(request).campaigns.open(document["campaign"])
        spectrum, folder = read_asked(campaign, document["identifier"])
    except MissingExtraError:
        raise
    except EmberlineError:
        return None
    published = getattr(request.app.state, "published", None)
    response = spectrum_response(shown_spectrum(spectrum, folder, published), FORMATS["votable"])
    response.headers["cache-control"] = "no-store"
    return response


routes: list[BaseRoute] = [Route(f"{SHARED}/{{token}}/{{name}}", shared, methods=["GET", "HEAD"], name="shared")]
