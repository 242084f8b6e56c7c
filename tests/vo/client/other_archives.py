"""The other archives of the tests: real servers on this machine that stand for a registry, SIMBAD, Gaia and the rest.

``with other_archives(folder) as others:`` starts one server with all of them. They answer ADQL with Emberline's own
translator on the small sky of `other_sky`; the spectra come from Emberline's own services over a simulated archive.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import math
import re
import socket
import threading
import time
import urllib.parse
import xml.sax.saxutils
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emberline.vo.client.config import ClientConfig, ServicesConfig
from emberline.vo.server._tap_query import read_query, start_query
from emberline.vo.server.adql import AdqlError, Column, Runner, TableSet, _functions
from emberline.vo.server.adql._values import Value
from emberline.vo.server.dali import DaliError
from emberline.vo.server.uploads import TapParameters, read_tap_parameters, uploaded_tables
from emberline.vo.server.vosi import tables_document
from emberline.vo.server.votable import error_document
from tests.vo.client.other_sky import (
    OBJECTS,
    SkyObject,
    gaia_tables,
    registry_tables,
    simbad_tables,
    vizier_tables,
)

__all__ = ["Asked", "Fault", "OtherArchives", "other_archives"]

VOTABLE = "application/x-votable+xml"
SPECTRA = 30
"""Simulated spectra of the archive behind SSAP: two or three of each object."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request that came in."""

    method: str
    path: str
    query: str
    seconds: float


@dataclasses.dataclass
class Fault:
    """What a service does instead of answering.

    Attributes
    ----------
    path : str
        The beginning of the paths that it concerns, such as ``/simbad``.
    times : int
        How often; -1 for always.
    status, body, headers
        What it answers.
    hang : threading.Event, optional
        It answers when this is set.
    cut : int
        It breaks off after so many bytes of `body`; -1 for never.
    """

    path: str
    times: int = 1
    status: int = 503
    body: bytes = b"Come again."
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    hang: threading.Event | None = None
    cut: int = -1


class OtherArchives:
    """The running server.

    Attributes
    ----------
    url : str
        Without a slash at its end.
    services : ServicesConfig
    config : ClientConfig
        That of a client that may ask this server and tries quickly.
    asked : list of Asked
        All requests, in the order in which they came.
    faults : list of Fault
        Add one to make a service misbehave.
    documents : dict of str to (bytes, str)
        What ``/document/<name>`` answers: a body and its media type.
    objects : tuple of SkyObject
    workspace : Path
        The folder of the simulated archive, ``alpha`` in it, as ``emberline serve`` would open it.
    """

    def __init__(self, url: str, workspace: Path) -> None:
        self.url = url
        self.workspace = workspace
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.documents: dict[str, tuple[bytes, str]] = {}
        self.objects: tuple[SkyObject, ...] = OBJECTS
        self.services = ServicesConfig(
            registry=f"{url}/registry/tap",
            simbad=f"{url}/simbad/tap",
            gaia=f"{url}/gaia/tap",
            vizier=f"{url}/vizier/tap",
            xmatch=f"{url}/xmatch/sync",
            sesame=f"{url}/sesame",
            hips2fits=f"{url}/hips2fits",
            ssap=(self.ssap,),
        )
        self.config = ClientConfig(
            allow=("127.0.0.1",), services=self.services, tries=3, rate=1e6, timeout=30.0, total=60.0
        )

    @property
    def vo(self) -> str:
        """Emberline's own services."""
        return f"{self.url}/vo"

    @property
    def ssap(self) -> str:
        """Simple Spectral Access of the simulated archive."""
        return f"{self.vo}/alpha/ssa"

    @property
    def addresses(self) -> dict[str, str]:
        """What the registry knows."""
        return {
            "ssap": self.ssap,
            "scs": f"{self.vo}/alpha/scs",
            "sia2": f"{self.vo}/sia2",
            "tap": f"{self.vo}/tap",
            "page": f"{self.vo}/alpha/",
            "simbad": f"{self.url}/simbad/tap",
            "gaia": f"{self.url}/gaia/tap",
            "far": f"{self.url}/nowhere/ssap?",
        }

    def document(self, name: str, body: bytes | str, media_type: str = VOTABLE) -> str:
        """The address under which a document is from now on."""
        self.documents[name] = (body.encode() if isinstance(body, str) else body, media_type)
        return f"{self.url}/document/{name}"

    def count(self, path: str) -> int:
        """How many requests came to paths that begin so."""
        return sum(item.path.startswith(path) for item in self.asked)


@contextlib.contextmanager
def other_archives(folder: Path, *, spectra: int = SPECTRA) -> Iterator[OtherArchives]:
    """Start all of them on a free port of 127.0.0.1.

    Parameters
    ----------
    folder : Path
        Empty; the simulated archive is made in it.
    spectra : int
        Of the simulated archive; 0 for none, which starts faster.
    """
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        stack.enter_context(mock.patch.dict(_functions.FUNCTIONS, _REGTAP_FUNCTIONS))
        others = OtherArchives(f"http://127.0.0.1:{listener.getsockname()[1]}", folder)
        routes = _routes(others, stack)
        if spectra:
            routes.append(Mount("/vo", routes=_own_services(folder, spectra, stack)))
        application = _Watched(Starlette(routes=routes), others)
        server = uvicorn.Server(uvicorn.Config(application, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        stack.callback(thread.join, 20)
        stack.callback(setattr, server, "force_exit", True)
        stack.callback(setattr, server, "should_exit", True)
        stack.callback(lambda: [fault.hang.set() for fault in others.faults if fault.hang is not None])
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield others


class _Watched:
    """Notes every request, and lets services misbehave."""

    def __init__(self, inner: ASGIApp, others: OtherArchives) -> None:
        self.inner, self.others = inner, others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, query = scope["path"], scope["query_string"].decode()
        self.others.asked.append(Asked(scope["method"], path, query, time.monotonic()))
        fault = next((item for item in self.others.faults if item.times and path.startswith(item.path)), None)
        if fault is None:
            await self.inner(scope, receive, send)
            return
        fault.times -= fault.times > 0
        if fault.hang is not None:
            await run_in_threadpool(fault.hang.wait, 60)
        body = fault.body if fault.cut < 0 else fault.body[: fault.cut]
        size = {"content-length": str(len(fault.body)), **fault.headers}
        head = [(name.lower().encode(), value.encode()) for name, value in size.items()]
        await send({"type": "http.response.start", "status": fault.status, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": fault.cut >= 0})
        if fault.cut >= 0:
            raise ConnectionResetError


def _routes(others: OtherArchives, stack: contextlib.ExitStack) -> list[BaseRoute]:
    sets = {
        "registry": registry_tables(others.addresses),
        "simbad": simbad_tables(),
        "gaia": gaia_tables(),
        "vizier": vizier_tables(),
    }
    routes: list[BaseRoute] = []
    for name, tables in sets.items():
        routes.append(Mount(f"/{name}/tap", routes=TapService(tables).routes()))

    async def document(request: Request) -> Response:
        found = others.documents.get(request.path_params["name"])
        return PlainTextResponse("Nothing here.", 404) if found is None else Response(found[0], media_type=found[1])

    return [
        *routes,
        Route("/document/{name:path}", document, methods=["GET", "POST"]),
        Route("/xmatch/sync", _xmatch, methods=["POST"]),
        Route("/sesame/{rest:path}", _sesame),
        Route("/sesame", _sesame),
        Route("/hips2fits", _hips2fits),
    ]


# --- Table Access Protocol -------------------------------------------------------------------------------------------


class TapService:
    """A TAP service in this process, its jobs too.

    Parameters
    ----------
    tables : TableSet
    version : str
        Of UWS; 1.0 knows no WAIT.
    upload_rows : int
        More than that are refused, and announced so.
    """

    def __init__(self, tables: TableSet, *, version: str = "1.1", upload_rows: int = 1000) -> None:
        self.tables, self.version, self.upload_rows = tables, version, upload_rows
        self.jobs: dict[str, TapServiceJob] = {}
        self._runner: Runner | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def routes(self) -> list[BaseRoute]:
        """Those beneath the address of the service."""
        return [
            Route("/sync", self._sync, methods=["GET", "POST"]),
            Route("/capabilities", self._capabilities),
            Route("/tables", self._tables),
            Route("/async", self._new, methods=["POST"]),
            Route("/async/{job}", self._job, methods=["GET", "POST", "DELETE"]),
            Route("/async/{job}/phase", self._phase, methods=["GET", "POST"]),
            Route("/async/{job}/error", self._error),
            Route("/async/{job}/results/result", self._result),
        ]

    def answer(self, parameters: TapParameters) -> bytes:
        """The VOTable that answers a query."""
        with self._lock:
            self._runner = self._runner or Runner(self.tables)
        asked = read_query(parameters)
        uploads = uploaded_tables(asked, parameters.files)
        if any(table.rows > self.upload_rows for table in uploads):
            raise DaliError(f"UPLOAD: more than {self.upload_rows} rows")
        return b"".join(start_query(asked, self._runner, uploads, seconds=60).pieces())

    async def _sync(self, request: Request) -> Response:
        parameters = await read_tap_parameters(request)
        try:
            return Response(await run_in_threadpool(self.answer, parameters), media_type=VOTABLE)
        except (AdqlError, DaliError) as error:
            return Response(error_document(str(error)), 400, media_type=VOTABLE)
        finally:
            parameters.close()

    async def _capabilities(self, request: Request) -> Response:
        return Response(_CAPABILITIES.format(base=_base(request), rows=self.upload_rows), media_type="text/xml")

    async def _tables(self, request: Request) -> Response:
        return Response(tables_document(self.tables, columns=True), media_type="text/xml")

    async def _new(self, request: Request) -> Response:
        parameters = await read_tap_parameters(request)
        name = f"job{next(self._numbers)}"
        self.jobs[name] = TapServiceJob(self, parameters)
        return RedirectResponse(f"{_base(request)}/async/{name}", 303)

    async def _job(self, request: Request) -> Response:
        name = request.path_params["job"]
        job = self.jobs.get(name)
        if job is None:
            return PlainTextResponse("No such job.", 404)
        if request.method == "DELETE":
            del self.jobs[name]
            return RedirectResponse(f"{_base(request)}/async", 303)
        wait = request.query_params.get("WAIT", "")
        if wait and self.version == "1.1" and job.phase in ("QUEUED", "EXECUTING"):
            await run_in_threadpool(job.ended.wait, min(60.0, float(wait)))
        return Response(job.document(f"{_base(request)}/async/{name}", name), media_type="text/xml")

    async def _phase(self, request: Request) -> Response:
        job = self.jobs[request.path_params["job"]]
        if request.method == "POST":
            wanted = (await request.form()).get("PHASE")
            job.start() if wanted == "RUN" else job.abort()
            return RedirectResponse(str(request.url).removesuffix("/phase"), 303)
        return PlainTextResponse(job.phase)

    async def _error(self, request: Request) -> Response:
        return Response(error_document(self.jobs[request.path_params["job"]].message), media_type=VOTABLE)

    async def _result(self, request: Request) -> Response:
        job = self.jobs[request.path_params["job"]]
        return Response(job.result, 200 if job.phase == "COMPLETED" else 404, media_type=VOTABLE)


class TapServiceJob:
    """A job of a TAP service; set `hold` before it starts and it runs until `release`."""

    hold = False

    def __init__(self, service: TapService, parameters: TapParameters) -> None:
        self.service, self.parameters = service, parameters
        self.phase, self.message, self.result = "PENDING", "", b""
        self.ended, self.release = threading.Event(), threading.Event()

    def start(self) -> None:
        """Run it in a thread."""
        self.phase = "EXECUTING"
        threading.Thread(target=self._run, daemon=True).start()

    def abort(self) -> None:
        """Give up."""
        self.phase = "ABORTED"
        self.release.set()
        self.ended.set()

    def _run(self) -> None:
        if self.hold:
            self.release.wait(60)
        try:
            self.result = self.service.answer(self.parameters)
            phase = "COMPLETED"
        except (AdqlError, DaliError) as error:
            self.message, phase = str(error), "ERROR"
        finally:
            self.parameters.close()
        if self.phase != "ABORTED":
            self.phase = phase
        self.ended.set()

    def document(self, url: str, name: str) -> str:
        """The document ``job``."""
        version = ' version="1.1"' if self.service.version == "1.1" else ""
        message = xml.sax.saxutils.escape(self.message)
        failed = f'<errorSummary type="fatal" hasDetail="true"><message>{message}</message></errorSummary>'
        done = f'<result id="result" xlink:href="{url}/results/result"/>'
        return (
            f'<job xmlns="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink"{version}>'
            f"<jobId>{name}</jobId><ownerId/><phase>{self.phase}</phase><quote/>"
            "<executionDuration>600</executionDuration><destruction>2030-01-01T00:00:00Z</destruction><parameters/>"
            f"<results>{done if self.phase == 'COMPLETED' else ''}</results>{failed if self.message else ''}</job>"
        )


_CAPABILITIES = """<?xml version="1.0"?>
<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
 xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<capability standardID="ivo://ivoa.net/std/VOSI#tables"><interface xsi:type="vs:ParamHTTP">
<accessURL use="full">{base}/tables</accessURL></interface></capability>
<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">
<interface xsi:type="vs:ParamHTTP" role="std" version="1.1"><accessURL use="base">{base}</accessURL></interface>
<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version></language>
<outputFormat><mime>application/x-votable+xml</mime></outputFormat>
<uploadMethod ivo-id="ivo://ivoa.net/std/TAPRegExt#upload-inline"/>
<outputLimit><default unit="row">2000</default><hard unit="row">100000</hard></outputLimit>
<uploadLimit><hard unit="row">{rows}</hard></uploadLimit>
</capability></vosi:capabilities>"""


def _base(request: Request) -> str:
    """The address of the service that a request came to."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"


def _hasword(context: Any, node: Any, values: Sequence[Value]) -> Value:
    """ivo_hasword(text, word): 1 where all words are in the text, 0 elsewhere, whatever the case."""
    sql = f"CAST(contains(lower(coalesce({values[0].sql}, '')), lower({values[1].sql})) AS INTEGER)"
    return Value(sql, "number", Column("ivo_hasword", "int"))


def _hashlist(context: Any, node: Any, values: Sequence[Value]) -> Value:
    """ivo_hashlist_has(list, item): 1 where the item stands between the list's hashes, whatever the case."""
    items = f"string_split(lower(coalesce({values[0].sql}, '')), '#')"
    sql = f"CAST(list_contains({items}, lower({values[1].sql})) AS INTEGER)"
    return Value(sql, "number", Column("ivo_hashlist_has", "int"))


def _moc(context: Any, node: Any, values: Sequence[Value]) -> Value:
    """MOC(order, geometry): here the geometry itself."""
    return values[1]


_REGTAP_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "IVO_HASWORD": _hasword,
    "IVO_HASHLIST_HAS": _hashlist,
    "MOC": _moc,
}


# --- Emberline's own services ----------------------------------------------------------------------------------------


def _own_services(folder: Path, spectra: int, stack: contextlib.ExitStack) -> list[BaseRoute]:
    """Simulated spectra of the objects, published as a user would."""
    from emberline.archive import ingest_blocks
    from emberline.jobs import Workspace
    from emberline.simulate import Survey, make_block
    from emberline.vo.server import vo_routes
    from emberline.vo.server.publication import publish
    from emberline.vo.server.published import Published
    from emberline.vo.server.tap_jobs import tap_jobs_of

    block = make_block(Survey(spectra=spectra, seed=7, prevalence=0.4, block=spectra), 0).block
    meta = []
    for number, item in enumerate(block.meta):
        place = OBJECTS[number % len(OBJECTS)]
        name = place.names[-1] if place.names else ""
        meta.append(dataclasses.replace(item, ra=place.ra % 360, dec=place.dec, name=name, mjd=57000.5 + number))
    ingest_blocks([dataclasses.replace(block, meta=meta)], folder / "alpha", survey="Alpha DR1")
    publish(
        folder / "alpha",
        title="Alpha spectra",
        creators=["Doe, J."],
        description="Simulated spectra of the objects of the tests.",
        subjects=["Be stars"],
        publisher="The Alpha Observatory",
        contact_name="J. Doe",
        contact_email="doe@example.org",
        authority="emb.test",
        instrument="Alpha spectrograph",
    )
    published = Published(Workspace(folder))
    stack.callback(lambda: tap_jobs_of(published).close())
    return vo_routes(published)


# --- CDS XMatch, Sesame, hips2fits -----------------------------------------------------------------------------------

_COPIES = {"vizier:II/246/out": ("2MASS", -1.0), "vizier:II/328/allwise": ("AllWISE", -1.5), "simbad": ("main_id", 0.0)}


async def _xmatch(request: Request) -> Response:
    """CDS XMatch: a table sent as cat1, in CSV or VOTable, against a table of its own."""
    async with request.form() as form:
        sent = form.get("cat1", "")
        data = sent if isinstance(sent, str) else (await sent.read()).decode()
        words = {name: value for name, value in form.items() if isinstance(value, str)}
    try:
        document = _matched(words, data)
    except (KeyError, ValueError) as error:
        return Response(error_document(f"xmatch: {error}"), 400, media_type=VOTABLE)
    return Response(document, media_type=VOTABLE)


def _matched(words: dict[str, str], data: str) -> str:
    """The rows of the CSV that have something near them."""
    radius, wanted = float(words["distMaxArcsec"]), words["cat2"]
    if wanted not in _COPIES:
        raise ValueError(f"Table {wanted} is not known here")
    if words.get("request") != "xmatch" or radius > 180:
        raise ValueError("request or distMaxArcsec")
    rows = list(csv.DictReader(io.StringIO(data)))
    if len(rows) > 5000:
        raise ValueError("cat1 has too many rows")
    places = [(row, float(row[words["colRA1"]]), float(row[words["colDec1"]])) for row in rows]
    found = [
        (distance, row, item)
        for row, ra, dec in places
        for item in OBJECTS
        if (distance := _separation(ra, dec, item.ra, item.dec) * 3600) <= radius
    ]
    return _xmatch_document(list(rows[0]) if rows else [], found, wanted)


def _xmatch_document(sent: list[str], found: list[tuple[float, dict[str, str], SkyObject]], wanted: str) -> str:
    name, shift = _COPIES[wanted]
    fields = '<FIELD name="angDist" datatype="double" unit="arcsec" ucd="pos.angDistance"/>'
    fields += "".join(f'<FIELD name="{column}" datatype="char" arraysize="*"/>' for column in sent)
    fields += (
        f'<FIELD name="{name}" datatype="char" arraysize="*" ucd="meta.id;meta.main"/>'
        '<FIELD name="RAJ2000" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main"/>'
        '<FIELD name="DEJ2000" datatype="double" unit="deg" ucd="pos.eq.dec;meta.main"/>'
        '<FIELD name="Jmag" datatype="float" unit="mag" ucd="phot.mag;em.IR.J"/>'
    )
    rows = ""
    for distance, row, item in found:
        label = item.main_id if wanted == "simbad" else f"{name} {item.number}"
        cells = [f"{distance:.6f}", *row.values(), label, repr(item.ra), repr(item.dec), f"{item.vmag + shift:.3f}"]
        rows += "<TR>" + "".join(f"<TD>{xml.sax.saxutils.escape(cell)}</TD>" for cell in cells) + "</TR>\n"
    return (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="OK"/><TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>'
        "</RESOURCE></VOTABLE>"
    )


def _separation(ra: float, dec: float, ra2: float, dec2: float) -> float:
    """Degrees between two positions."""
    a, d, b, e = map(math.radians, (ra, dec, ra2, dec2))
    half = math.sin((e - d) / 2) ** 2 + math.cos(d) * math.cos(e) * math.sin((b - a) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))


async def _sesame(request: Request) -> Response:
    """CDS Sesame with XML, ``…/-oxp/SNV?name``: names with and without blanks, in any case."""
    asked = urllib.parse.unquote_plus(request.url.query)
    wanted = re.sub(r"\s+", "", asked).lower()
    found = next((item for item in OBJECTS for name in item.names if re.sub(r"\s+", "", name).lower() == wanted), None)
    inner = "<INFO>*** Nothing found *** </INFO>"
    if found is not None:
        names = "".join(f"<alias>{xml.sax.saxutils.escape(name)}</alias>" for name in found.names)
        inner = (
            '<Resolver name="S=Simbad (CDS, via client/server)">'
            f"<otype>{found.otype}</otype><jpos>02:40:00.00 +20:00:00.0</jpos><jradeg>{found.ra}</jradeg>"
            f"<jdedeg>{found.dec}</jdedeg><refPos>2020yCat.1350....0G</refPos><errRAmas>1</errRAmas>"
            f"<errDEmas>1</errDEmas><pm><v>{math.hypot(found.pmra, found.pmdec):.2f}</v><pmRA>{found.pmra}</pmRA>"
            f"<pmDE>{found.pmdec}</pmDE></pm><spType>{found.sp_type}</spType>"
            f"<oname>{xml.sax.saxutils.escape(found.main_id)}</oname>{names}<nrefs>{found.nbref}</nrefs></Resolver>"
        )
    document = (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        '<Sesame xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Target option="SNV">'
        f"<name>{xml.sax.saxutils.escape(asked)}</name>{inner}</Target></Sesame>"
    )
    return Response(document, media_type="text/xml")


async def _hips2fits(request: Request) -> Response:
    """CDS hips2fits: an image of the size asked for, with the objects as white dots."""
    from PIL import Image

    values = request.query_params
    try:
        width, height = int(values["width"]), int(values["height"])
        ra, dec, fov = float(values["ra"]), float(values["dec"]), float(values["fov"])
        kind = values.get("format", "fits")
        if not (0 < width <= 5000 and 0 < height <= 5000) or kind not in ("jpg", "png") or not values["hips"]:
            raise ValueError
    except (KeyError, ValueError):
        return PlainTextResponse("Bad Request: width, height, ra, dec, fov, hips or format", 400)
    image = Image.new("RGB", (width, height), (20, 20, 40))
    scale = width / fov
    for item in OBJECTS:
        x = width / 2 - (((item.ra - ra + 180) % 360) - 180) * math.cos(math.radians(dec)) * scale
        y = height / 2 - (item.dec - dec) * scale
        if 0 <= x < width and 0 <= y < height:
            image.putpixel((int(x), int(y)), (255, 255, 255))
    stream = io.BytesIO()
    image.save(stream, "JPEG" if kind == "jpg" else "PNG")
    return Response(stream.getvalue(), media_type="image/jpeg" if kind == "jpg" else "image/png")
