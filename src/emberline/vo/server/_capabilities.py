"""What each service can do: the capabilities that VOSI and the registry records share."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from emberline.vo.server._markup import Element, element
from emberline.vo.server.obscore import OBSCORE_UTYPE

if TYPE_CHECKING:
    from emberline.vo.server.published import PublishedArchive, PublishedCatalogue, Snapshot

__all__ = [
    "STANDARDS",
    "auxiliary_tap",
    "capability",
    "item_capabilities",
    "sia_capabilities",
    "tap_capabilities",
    "tap_capability",
    "vosi_capabilities",
]

_STD = "ivo://ivoa.net/std"
STANDARDS = {
    "capabilities": f"{_STD}/VOSI#capabilities",
    "availability": f"{_STD}/VOSI#availability",
    "tables": f"{_STD}/VOSI#tables-1.1",
    "tap": f"{_STD}/TAP",
    "ssa": f"{_STD}/SSA",
    "scs": f"{_STD}/ConeSearch",
    "sia2": f"{_STD}/SIA#query-2.0",
    "datalink": f"{_STD}/DataLink#links-1.1",
    "soda": f"{_STD}/SODA#sync-1.0",
    "examples": f"{_STD}/DALI#examples",
}
_GEOMETRY = (
    "AREA", "BOX", "CENTROID", "CIRCLE", "CONTAINS", "COORD1", "COORD2", "COORDSYS", "DISTANCE", "INTERSECTS",
    "POINT", "POLYGON",
)  # fmt: skip
_TYPES = f"{_STD}/TAPRegExt#features-adql-"
_FEATURES: dict[str, tuple[str, ...]] = {
    f"{_STD}/TAPRegExt#features-adqlgeo": _GEOMETRY,
    f"{_TYPES}string": ("LOWER", "UPPER", "ILIKE"),
    f"{_TYPES}sets": ("UNION", "EXCEPT", "INTERSECT"),
    f"{_TYPES}common-table": ("WITH",),
    f"{_TYPES}type": ("CAST",),
    f"{_TYPES}conditional": ("COALESCE",),
    f"{_TYPES}unit": ("IN_UNIT",),
    f"{_TYPES}offset": ("OFFSET",),
}
_OUTPUT = {"votable": "output-votable-td", "votable/b2": "output-votable-binary2"}
"""What TAPRegExt calls some of the formats."""


def capability(
    standard: str,
    url: str,
    *inside: Element | None,
    kind: str = "",
    interface: str = "vs:ParamHTTP",
    use: str = "base",
    version: str = "",
    result: str = "",
    test: str = "",
    description: str = "",
) -> Element:
    """One capability with one interface; `inside` is what its type adds."""
    text = standard != STANDARDS["capabilities"] and interface == "vs:ParamHTTP" and use == "base"
    address = element("accessURL", url, attributes={"use": use})
    more = [
        element("testQueryString", test) if test else None,
        element("queryType", "GET") if text else None,
        element("resultType", result) if result else None,
    ]
    place = element(
        "interface",
        address,
        [item for item in more if item is not None],
        attributes={"xsi:type": interface, "role": "std", "version": version},
    )
    return element(
        "capability",
        element("description", description) if description else None,
        place,
        [item for item in inside if item is not None],
        attributes={"xsi:type": kind, "standardID": standard},
    )


def vosi_capabilities(address: str, *, tables: bool) -> Iterator[Element]:
    """The capabilities that every service has; `address` is where its documents lie."""
    for name in ("capabilities", "availability", "tables"):
        if name != "tables" or tables:
            yield capability(STANDARDS[name], f"{address}/{name}", use="full")


def item_capabilities(item: PublishedArchive | PublishedCatalogue, base: str) -> list[Element]:
    """What is offered for one archive or catalogue, with the address of each service."""
    address = f"{base}/{item.name}"
    found = [*vosi_capabilities(address, tables=True)]
    probe = item.summary.probe
    if item.publication.kind == "archive":
        found += [_ssa(address, probe), _datalink(address), _soda(address)]
    found.append(_cone(address, probe))
    return found


def _ssa(address: str, probe: tuple[float, float] | None) -> Element:
    query = {"REQUEST": "queryData"}
    if probe:
        query |= {"POS": f"{probe[0]},{probe[1]}", "SIZE": "0.01"}
    command = urllib.parse.urlencode(query, safe=",")
    test = element("testQuery", element("queryDataCmd", command)) if probe else None
    return capability(
        STANDARDS["ssa"],
        f"{address}/ssa?",
        element("complianceLevel", "full"),
        element("dataSource", "survey"),
        element("creationType", "archival"),
        element("supportedFrame", "ICRS"),
        element("maxSearchRadius", "180"),
        test,
        kind="ssap:SimpleSpectralAccess",
        version="1.1",
        result="application/x-votable+xml",
        test=command if probe else "",
    )


def _cone(address: str, probe: tuple[float, float] | None) -> Element:
    test = None
    if probe:
        test = element(
            "testQuery", element("ra", repr(probe[0])), element("dec", repr(probe[1])), element("sr", "0.01")
        )
    return capability(
        STANDARDS["scs"],
        f"{address}/scs?",
        element("maxSR", "180"),
        element("verbosity", "true"),
        test,
        kind="cs:ConeSearch",
        version="1.03",
        result="text/xml",
    )


def _datalink(address: str) -> Element:
    return capability(
        STANDARDS["datalink"],
        f"{address}/datalink",
        version="1.1",
        result="application/x-votable+xml;content=datalink",
        description="What belongs to a spectrum: its data, its preview, its repeats, and services on it",
    )


def _soda(address: str) -> Element:
    return capability(
        STANDARDS["soda"],
        f"{address}/soda/sync",
        version="1.0",
        description="Spectra cut out by wavelength, rectified and resampled",
    )


def sia_capabilities(base: str) -> list[Element]:
    """The capabilities of SIA 2, which lists the spectra of all archives."""
    address = f"{base}/sia2"
    return [
        *vosi_capabilities(address, tables=False),
        capability(STANDARDS["sia2"], address, version="2.0", result="application/x-votable+xml"),
    ]


def tap_capabilities(snapshot: Snapshot, base: str) -> list[Element]:
    """The capabilities of TAP."""
    address = f"{base}/tap"
    return [
        *vosi_capabilities(address, tables=True),
        tap_capability(snapshot, address),
        capability(STANDARDS["examples"], f"{address}/examples", interface="vr:WebBrowser", use="full"),
    ]


def auxiliary_tap(base: str) -> Element:
    """A capability that says: these tables are in that TAP service, whose own record tells the rest."""
    return capability(f"{STANDARDS['tap']}#aux", f"{base}/tap", version="1.1")


def tap_capability(snapshot: Snapshot, address: str) -> Element:
    """TAPRegExt: data models, the language and its features, formats, uploads and limits."""
    from emberline.vo.server.formats import FORMATS
    from emberline.vo.server.tap_limits import LIMITS

    models = [element("dataModel", "ObsCore-1.1", attributes={"ivo-id": OBSCORE_UTYPE})] if snapshot.archives else []
    features = [
        element(
            "languageFeatures",
            [element("feature", element("form", name)) for name in names],
            attributes={"type": kind},
        )
        for kind, names in _FEATURES.items()
    ]
    versions = [
        element("version", number, attributes={"ivo-id": f"{_STD}/ADQL#v{number}"}) for number in ("2.0", "2.1")
    ]
    language = element(
        "language",
        element("name", "ADQL"),
        versions,
        element("description", "ADQL 2.1; geometry in ICRS"),
        features,
    )
    formats = [
        element(
            "outputFormat",
            element("mime", form.media_type),
            [element("alias", key) for key in form.keys if "/" not in key or key.startswith("votable/")],
            attributes={"ivo-id": f"{_STD}/TAPRegExt#{_OUTPUT[form.name]}" if form.name in _OUTPUT else ""},
        )
        for form in FORMATS.values()
    ]
    uploads = [
        element("uploadMethod", attributes={"ivo-id": f"{_STD}/TAPRegExt#upload-{way}"})
        for way in ("inline", "http", "https")
    ]
    return capability(
        STANDARDS["tap"],
        address,
        *models,
        language,
        *formats,
        *uploads,
        _limit("retentionPeriod", LIMITS.retention_seconds, LIMITS.retention_seconds),
        _limit("executionDuration", LIMITS.execution_seconds, LIMITS.execution_seconds),
        _limit("outputLimit", LIMITS.default_rows, LIMITS.most_rows, unit="row"),
        _limit("uploadLimit", LIMITS.upload_bytes, LIMITS.upload_bytes, unit="byte"),
        kind="tr:TableAccess",
        version="1.1",
    )


def _limit(name: str, default: int, hard: int, unit: str = "") -> Element:
    words = {"unit": unit}
    return element(
        name,
        element("default", str(default), attributes=words),
        element("hard", str(hard), attributes=words),
    )
