"""Pages for people: what is published, how to cite it, and how to open it in their programs."""

from __future__ import annotations

import dataclasses
import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server.dali import Call, Endpoint, plain_refusal
from emberline.vo.server.vosi import item_of

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, PublishedArchive, PublishedCatalogue, Snapshot

__all__ = ["Example", "examples", "routes"]


def routes(published: Published) -> list[BaseRoute]:
    """The routes of the pages: all that is published, each resource, the examples of TAP."""
    pages = _Pages(published)
    places = {
        "/": pages.index,
        "/style.css": pages.style,
        "/tap/examples": pages.examples,
        "/{name}/": pages.item,
        "/{name}": pages.with_slash,
    }
    return [Route(path, Endpoint(handler, plain_refusal).answer, methods=["GET"]) for path, handler in places.items()]


@dataclasses.dataclass(frozen=True)
class Example:
    """One query that somebody may begin with."""

    id: str
    name: str
    text: str
    table: str
    query: str


def examples(snapshot: Snapshot) -> list[Example]:
    """Queries that work on what is published."""
    found: list[Example] = []
    for item in snapshot:
        found += _examples_of(item)
    if snapshot.archives:
        found.append(
            Example(
                "halpha",
                "Spectra of all archives that cover Hα",
                "ObsCore describes the spectra of all archives in the same words; wavelengths are in metres.",
                "ivoa.obscore",
                "SELECT TOP 100 obs_collection, target_name, s_ra, s_dec, t_min, em_res_power, access_url\n"
                "FROM ivoa.obscore\nWHERE em_min < 6.56461e-7 AND em_max > 6.56461e-7",
            )
        )
    for item in snapshot.catalogues:
        for name in item.summary.archives:
            if name in snapshot.by_name:
                found.append(_join(item.name, name))
    return found


def _examples_of(item: PublishedArchive | PublishedCatalogue) -> list[Example]:
    table, title = item.table.name, item.publication.title
    order = "probability" if item.publication.kind == "catalogue" else "snr"
    best = Example(
        f"{item.name}-best",
        f"The best of: {title}",
        f"The rows of the largest {order} first.",
        table,
        f"SELECT TOP 20 identifier, ra, dec, {order}\nFROM {table}\nWHERE {order} IS NOT NULL\nORDER BY {order} DESC",
    )
    if item.summary.probe is None:
        return [best]
    ra, dec = item.summary.probe
    cone = Example(
        f"{item.name}-cone",
        f"Around a position: {title}",
        "Everything within a tenth of a degree.",
        table,
        f"SELECT identifier, ra, dec, DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) AS separation\n"
        f"FROM {table}\nWHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.1))\nORDER BY separation",
    )
    return [best, cone]


def _join(catalogue: str, archive: str) -> Example:
    return Example(
        f"{catalogue}-{archive}",
        "Candidates with what the survey says of them",
        "The identifier of a spectrum joins the two tables.",
        f"{catalogue}.candidates",
        "SELECT TOP 100 c.identifier, c.class, c.probability, s.survey_class, s.survey_subclass, s.snr\n"
        f"FROM {catalogue}.candidates AS c\nJOIN {archive}.spectra AS s ON c.identifier = s.identifier\n"
        "ORDER BY c.probability DESC",
    )


class _Pages:
    def __init__(self, published: Published) -> None:
        self.published = published

    def index(self, call: Call) -> Response:
        snapshot = self.published.snapshot()
        query = next((example.query for example in examples(snapshot)), "")
        return _page(
            "index.html.j2",
            base=call.base,
            title=self.published.workspace.config.title or "Virtual Observatory services",
            archives=snapshot.archives,
            catalogues=snapshot.catalogues,
            query=query,
        )

    def item(self, call: Call) -> Response:
        item = item_of(self.published, call.name)
        here = f"{call.base}/{item.name}"
        return _page(
            "item.html.j2",
            base=call.base,
            here=here,
            record=item.publication,
            summary=item.summary,
            probe=item.summary.probe or (0.0, 0.0),
            table=item.table.name,
            columns=item.table.columns,
            services=_services(item, call.base),
            files=_files(item, here),
        )

    def with_slash(self, call: Call) -> Response:
        item = item_of(self.published, call.name)
        return RedirectResponse(f"{call.base}/{item.name}/", 308)

    def examples(self, call: Call) -> Response:
        found = examples(self.published.snapshot())
        return _page("examples.xhtml.j2", "application/xhtml+xml", base=call.base, examples=found)

    def style(self, call: Call) -> Response:
        text = resources.files("emberline.vo.server").joinpath("templates/style.css").read_text("utf-8")
        return Response(text, media_type="text/css")


def _services(item: PublishedArchive | PublishedCatalogue, base: str) -> list[tuple[str, str]]:
    here = f"{base}/{item.name}"
    spectra = [
        ("Simple Spectral Access (SSA 1.1)", f"{here}/ssa"),
        ("DataLink 1.1", f"{here}/datalink"),
        ("SODA 1.0: cut-outs and resampled spectra", f"{here}/soda/sync"),
    ]
    return [
        *(spectra if item.publication.kind == "archive" else []),
        ("Simple Cone Search", f"{here}/scs"),
        (f"TAP, table {item.table.name}", f"{base}/tap"),
        ("HiPS catalogue", f"{here}/hips"),
        ("Coverage (MOC)", f"{here}/moc.fits"),
        ("Capabilities (VOSI)", f"{here}/capabilities"),
        ("Registry record", f"{here}/record.xml"),
    ]


def _files(item: PublishedArchive | PublishedCatalogue, here: str) -> list[tuple[str, str]]:
    """Of a catalogue each version that is kept, whole."""
    if item.publication.kind == "archive":
        return []
    return [
        (f"The catalogue, version {version}, as Parquet", f"{here}/catalogue-v{version}.parquet")
        for version in reversed(item.versions)
    ]


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("emberline.vo.server"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )


def _page(template: str, media_type: str = "text/html", **words: Any) -> Response:
    return Response(_environment().get_template(template).render(words), media_type=media_type)
