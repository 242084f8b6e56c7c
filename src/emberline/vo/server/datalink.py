"""DataLink 1.1 (https://www.ivoa.net/documents/DataLink/): what belongs to a spectrum, and where it is."""

from __future__ import annotations

import dataclasses
import mimetypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server._answers import table_answer
from emberline.vo.server._descriptors import DATALINK_TYPE, soda_service
from emberline.vo.server._spectra import Found, Row, find
from emberline.vo.server.adql.tables import Column
from emberline.vo.server.dali import (
    Call,
    DaliError,
    Endpoint,
    address,
    maximum_rows,
    plain_refusal,
    response_format,
)
from emberline.vo.server.database import Catalogues, Cone, ShelfTable, catalogues_of
from emberline.vo.server.spectrum_files import FORMATS, spectrum_address
from emberline.vo.server.votable import Info, Rendered, Service, TableDocument

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, PublishedArchive

__all__ = ["MOST_IDS", "OBJECT_RADIUS", "routes"]

MOST_IDS = 1_000
"""How many identifiers one request may name."""
OBJECT_RADIUS = 1.5 / 3600
"""Degrees; spectra nearer than this show the same object."""
_MOST_RELATED = 100
_STANDARD = Info("standardID", "ivo://ivoa.net/std/DataLink#links-1.1")
_FORMATS = dict.fromkeys((DATALINK_TYPE, "votable", "application/x-votable+xml", "text/xml"), "votable")

_TEXT = ("char", "*")
COLUMNS: tuple[Column, ...] = (
    Column("ID", *_TEXT, ucd="meta.id;meta.main", description="Identifier that was asked about"),
    Column("access_url", *_TEXT, ucd="meta.ref.url", description="Address of what is linked"),
    Column("service_def", *_TEXT, ucd="meta.ref", description="Descriptor of the service that is linked"),
    Column("error_message", *_TEXT, ucd="meta.code.error", description="Why there is no link"),
    Column("description", *_TEXT, ucd="meta.note", description="What is linked"),
    Column("semantics", *_TEXT, ucd="meta.code", description="How it belongs to the spectrum"),
    Column("content_type", *_TEXT, ucd="meta.code.mime", description="Its format"),
    Column("content_length", "long", unit="byte", ucd="phys.size;meta.file", description="Its length"),
    Column("content_qualifier", *_TEXT, description="The kind of product"),
    Column("local_semantics", *_TEXT, ucd="meta.id.assoc", description="The same word for all links of a kind"),
    Column("link_auth", *_TEXT, ucd="meta.code", description="Whether one must sign in"),
    Column("link_authorized", "boolean", ucd="meta.code", description="Whether whoever asks may fetch it"),
)
"""The columns of every answer."""
_DOCUMENT = TableDocument(COLUMNS, name="links", infos=(_STANDARD,), ids={"ID": "ID"})


@dataclasses.dataclass(frozen=True)
class Link:
    """One row: an address, a service, or an error."""

    semantics: str
    description: str
    access_url: str = ""
    service_def: str = ""
    error_message: str = ""
    content_type: str = ""
    content_length: int | None = None
    content_qualifier: str = ""
    local_semantics: str = ""


def routes(published: Published) -> list[BaseRoute]:
    """The routes: ``/<name>/datalink``; identifiers of the IVOA are answered beneath any published name."""
    service = _Service(published, catalogues_of(published))
    endpoint = Endpoint(service.answer, plain_refusal, service.quick)
    return [Route("/{name}/datalink", endpoint.answer, methods=["GET", "POST"])]


@dataclasses.dataclass(frozen=True)
class _Service:
    published: Published
    catalogues: Catalogues

    def quick(self, call: Call) -> bool:
        """Whether it is about one spectrum, and all tables are open."""
        snapshot = self.published.snapshot()
        open_already = [self.catalogues.ready(item) for item in snapshot.archives]
        open_already += [self.catalogues.ready(item) for item in snapshot.catalogues]
        return len(call.parameters.all("ID")) == 1 and len(open_already) <= 8 and all(open_already)

    def answer(self, call: Call) -> Response:
        """The links of all identifiers, those of one together."""
        if self.published.by_name(call.name) is None:
            raise DaliError("There is nothing of this name here.", 404, "NotFoundFault")
        response_format(call.parameters, _FORMATS, DATALINK_TYPE)
        wanted = [text for text in call.parameters.all("ID") if text.strip()]
        if len(wanted) > MOST_IDS:
            raise DaliError(f"ID: given {len(wanted)} times (expected at most {MOST_IDS} times)")
        limit = maximum_rows(call.parameters, 10_000_000, 10_000_000)
        found = [(text, find(self.published, self.catalogues, call.name, text)) for text in wanted]
        links = _Links(self.published, self.catalogues, call.base)
        batches = (_rows(text, links.of(item) if item else [missing(text)]) for text, item in found)
        document = _DOCUMENT.with_services(_services(found, call.base))
        return table_answer(document, batches, limit, media_type=DATALINK_TYPE, whole=True)


def missing(text: str) -> Link:
    """What is said of an identifier that is not known."""
    return Link("#this", "", error_message=f"NotFoundFault: there is no spectrum {text[:200]} here")


def _services(found: Sequence[tuple[str, Found | None]], base: str) -> Iterator[Service]:
    """The descriptor of SODA: of the one spectrum with what it covers, or of all of them by reference."""
    known = [item for _, item in found if item is not None]
    if len(found) == 1 and known:
        item, row = known[0]
        band = (row["wavelength_min"], row["wavelength_max"])
        yield soda_service(item, base, did=item.publication.did(row["identifier"]), band=band)
    elif known:
        archives = {item.name for item, _ in known}
        yield soda_service(known[0][0], base, ref="ID", band=None if len(archives) == 1 else (0.0, 0.0))


def _rows(identifier: str, links: Sequence[Link]) -> Rendered:
    """The rows of one identifier, in the order of `COLUMNS`."""
    return Rendered.of(
        [
            (
                identifier,
                link.access_url,
                link.service_def,
                link.error_message,
                link.description,
                link.semantics,
                link.content_type,
                "" if link.content_length is None else str(link.content_length),
                link.content_qualifier,
                link.local_semantics,
                "" if link.error_message else "false",
                "" if link.error_message else "true",
            )
            for link in links
        ]
    )


@dataclasses.dataclass(frozen=True)
class _Links:
    published: Published
    catalogues: Catalogues
    base: str

    def of(self, found: Found) -> list[Link]:
        """Everything that belongs to one spectrum."""
        item, row = found
        did = item.publication.did(row["identifier"])
        return [
            *self._files(item, did),
            *self._source(item, row, did),
            *self._repeats(item, row),
            *self._elsewhere(item, row),
            *self._candidates(item, row),
            Link(
                "#cutout",
                "Cut-out of a range of wavelengths, or a version rectified and resampled by a recipe",
                service_def="soda",
                content_type=FORMATS["fits"].media_type,
                content_qualifier="#spectrum",
                local_semantics="soda",
            ),
        ]

    def _spectrum(self, item: PublishedArchive, did: str, name: str, semantics: str, text: str, word: str) -> Link:
        form = FORMATS[name]
        return Link(
            semantics,
            text,
            spectrum_address(self.base, item.name, form, did),
            content_type=form.media_type,
            content_qualifier="#spectrum" if name in ("fits", "votable") else "",
            local_semantics=word,
        )

    def _files(self, item: PublishedArchive, did: str) -> Iterator[Link]:
        yield self._spectrum(item, did, "fits", "#this", "The spectrum as FITS", "fits")
        yield self._spectrum(item, did, "votable", "#this", "The spectrum as VOTable", "votable")
        yield self._spectrum(item, did, "png", "#preview", "A picture of the spectrum", "picture")
        yield self._spectrum(item, did, "svg", "#preview", "The same picture, at any size", "drawing")

    def _source(self, item: PublishedArchive, row: Row, did: str) -> Iterator[Link]:
        path = self.catalogues.source(item, row["identifier"])
        if path is not None:
            yield Link(
                "#progenitor",
                "The file that the spectrum was read from",
                spectrum_address(self.base, item.name, FORMATS["native"], did),
                content_type=_media_type(path),
                content_length=path.stat().st_size,
                local_semantics="source",
            )

    def _repeats(self, item: PublishedArchive, row: Row) -> Iterator[Link]:
        """Other spectra of the same object in the same archive."""
        table = self.catalogues.table(item)
        same = pa.scalar(row["object"], pa.string())
        if row["ra"] is None or row["dec"] is None:
            near = table.unplaced(lambda rows: pc.equal(rows.column("object"), same))
        else:
            # An object is a chain of spectra, each within the radius of the next: its members may be further apart.
            near = _around(table, row, 5 * OBJECT_RADIUS, ("identifier", "mjd", "object"))
            near = near.filter(pc.equal(near.column("object"), same)) if near.num_rows > 1 else near
        for name, mjd in zip(*(near.column(name).to_pylist() for name in ("identifier", "mjd")), strict=True):
            if name != row["identifier"]:
                text = f"Another spectrum of the object{_on(mjd)}"
                yield self._spectrum(item, item.publication.did(name), "fits", "#counterpart", text, "repeat")

    def _elsewhere(self, item: PublishedArchive, row: Row) -> Iterator[Link]:
        """Spectra of the object in the other archives."""
        if row["ra"] is None or row["dec"] is None:
            return
        for other in self.published.archives:
            if other.name == item.name:
                continue
            near = _around(self.catalogues.table(other), row, OBJECT_RADIUS, ("identifier", "mjd"))
            for name, mjd in zip(*(near.column(name).to_pylist() for name in ("identifier", "mjd")), strict=True):
                text = f"Spectrum of the object in {other.publication.title}{_on(mjd)}"
                yield self._spectrum(other, other.publication.did(name), "fits", "#counterpart", text, "elsewhere")

    def _candidates(self, item: PublishedArchive, row: Row) -> Iterator[Link]:
        """What the published catalogues of candidates say of the object."""
        for other in self.published.catalogues:
            table = self.catalogues.table(other)
            if row["ra"] is None or row["dec"] is None or not _around(table, row, OBJECT_RADIUS, ("ra",)).num_rows:
                continue
            place = {"RA": repr(row["ra"]), "DEC": repr(row["dec"]), "SR": f"{OBJECT_RADIUS:.7f}"}
            yield Link(
                "#derivation",
                f"The object among the candidates of {other.publication.title}",
                address(self.base, other.name, "scs", **place),
                content_type="application/x-votable+xml",
                local_semantics="candidate",
            )


def _around(table: ShelfTable, row: Row, radius: float, columns: Sequence[str]) -> pa.RecordBatch:
    rows, _ = table.around(Cone(row["ra"], row["dec"], radius))
    return table.take(rows[:_MOST_RELATED], columns)


def _on(mjd: Any) -> str:
    return "" if mjd is None else f", MJD {mjd:.4f}"


def _media_type(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".fits", ".fit", ".fts")):
        return "application/fits"
    if name.endswith(".gz"):
        return "application/gzip"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
