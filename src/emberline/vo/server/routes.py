"""All routes of the Virtual Observatory's protocols, in the order in which they are tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server import datalink, landing, registry, scs, sia2, soda, spectrum_files, ssap, tap, vosi
from emberline.vo.server.dali import Call, DaliError, Endpoint, plain_refusal
from emberline.vo.server.vosi import item_of

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, PublishedArchive, PublishedCatalogue

__all__ = ["file_routes", "vo_routes"]

_TILE = re.compile(r"(?:Norder\d{1,2}/(?:Dir\d{1,9}/Npix\d{1,12}|Allsky)\.tsv|metadata\.xml)", re.ASCII)
_KEPT = {"cache-control": "public, max-age=600"}
"""Of a version the files never change, but the next version has the same addresses."""
_TYPES = {".tsv": "text/tab-separated-values", ".xml": "application/x-votable+xml"}


def vo_routes(published: Published) -> list[BaseRoute]:
    """The routes of every protocol, for an application to mount at one place.

    Returns
    -------
    list of starlette.routing.BaseRoute
        All answer whoever asks: what is published is public. None changes anything but the asynchronous queries.
    """
    protocols = (tap, sia2, ssap, scs, datalink, soda, spectrum_files, vosi, registry)
    routes = [route for protocol in protocols for route in protocol.routes(published)]
    return [*routes, *file_routes(published), *landing.routes(published)]


def file_routes(published: Published) -> list[BaseRoute]:
    """The routes of files: coverage, tiles of the HiPS catalogue, frozen catalogues."""
    files = _Files(published)
    places: dict[str, Callable[[Call], Response]] = {
        "/hipslist": files.hips_list,
        "/{name}/moc.fits": files.coverage_fits,
        "/{name}/moc.json": files.coverage_json,
        "/{name}/catalogue-v{version:int}.parquet": files.catalogue,
        "/{name}/hips": files.hips_page,
        "/{name}/hips/": files.hips_page,
        "/{name}/hips/properties": files.hips_properties,
        "/{name}/hips/Moc.fits": files.coverage_fits,
        "/{name}/hips/{path:path}": files.hips_tile,
    }
    return [Route(path, Endpoint(handler, plain_refusal).answer, methods=["GET"]) for path, handler in places.items()]


class _Files:
    def __init__(self, published: Published) -> None:
        self.published = published

    def coverage_fits(self, call: Call) -> Response:
        item = item_of(self.published, call.name)
        return _file(item.moc_path, "application/fits", f"{item.name}-moc.fits")

    def coverage_json(self, call: Call) -> Response:
        return _file(item_of(self.published, call.name).moc_path.with_suffix(".json"), "application/json")

    def catalogue(self, call: Call) -> Response:
        item = item_of(self.published, call.name)
        version = int(call.request.path_params["version"])
        if item.publication.kind != "catalogue" or version not in item.versions:
            raise DaliError("There is no such version here.", 404, "NotFoundFault")
        name = f"{item.name}-v{version}.parquet"
        return _file(item.version_path(version), "application/vnd.apache.parquet", name)

    def hips_page(self, call: Call) -> Response:
        return RedirectResponse(f"{call.base}/{item_of(self.published, call.name).name}/", 307)

    def hips_properties(self, call: Call) -> Response:
        return PlainTextResponse(self._properties(item_of(self.published, call.name), call.base))

    def hips_list(self, call: Call) -> Response:
        texts = [self._properties(item, call.base) for item in self.published.snapshot()]
        return PlainTextResponse("\n".join(texts))

    def _properties(self, item: PublishedArchive | PublishedCatalogue, base: str) -> str:
        """Those that were frozen, and the address, which is another behind each name of this server."""
        address = f"{'hips_service_url':<20} = {base}/{item.name}/hips\n"
        return (item.hips_folder / "properties").read_text("utf-8") + address

    def hips_tile(self, call: Call) -> Response:
        item = item_of(self.published, call.name)
        path = str(call.request.path_params["path"])
        if not _TILE.fullmatch(path):
            raise DaliError("There is no such file in a HiPS catalogue.", 404, "NotFoundFault")
        return _file(item.hips_folder / path, _TYPES[Path(path).suffix])


def _file(path: Path, media_type: str, name: str | None = None) -> Response:
    if not path.is_file():
        raise DaliError("There is nothing here.", 404, "NotFoundFault")
    return FileResponse(path, media_type=media_type, filename=name, content_disposition_type="inline", headers=_KEPT)
