"""What an SSAP query asks for: its parameters (SSAP 1.1, 4.1 and 4.2) as a cone and a condition on rows."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from emberline.vo.server.dali import DaliError, Parameters, one_of, real, single, times, usage
from emberline.vo.server.database import Cone, Keep
from emberline.vo.server.publication import Publication
from emberline.vo.server.votable import Param

__all__ = ["DEFAULT_SIZE", "INPUTS", "conditions", "cone_of", "ranges"]

DEFAULT_SIZE = 0.2
"""Degrees: the diameter where POS comes without SIZE."""
POINT_RADIUS = 1.5 / 3600
"""Degrees: how far a spectrum may be from POS when SIZE is 0; so near, two spectra show the same object."""
_FRAMES = ("ICRS", "FK5")
_ANGSTROM = 1e-10
_MAX_ITEMS = 100

Condition = Callable[[pa.RecordBatch], Any]


# --- syntax ----------------------------------------------------------------------------------------------------------


def _qualified(name: str, text: str) -> tuple[str, str]:
    value, _, qualifier = text.partition(";")
    return value.strip(), qualifier.strip()


def ranges(name: str, text: str, end: Callable[[str, str], tuple[float, float]]) -> list[tuple[float, float]]:
    """An SSAP range list, ``a/b,c/,/d,e``: pairs of bounds, open ones infinite; `end` reads one bound."""
    items = text.split(",")
    if len(items) > _MAX_ITEMS:
        raise usage(name, text, f"at most {_MAX_ITEMS} ranges")
    found = []
    for item in items:
        low, slash, high = item.strip().partition("/")
        if not slash:
            found.append(end(name, low))
            continue
        pair = (end(name, low)[0] if low else -math.inf, end(name, high)[1] if high else math.inf)
        if "/" in high or pair[0] > pair[1]:
            raise usage(name, item, "a range such as low/high, low/ or /high")
        found.append(pair)
    return found


def _number_end(name: str, text: str, least: float = -math.inf) -> tuple[float, float]:
    value = real(name, text.strip(), least)
    return value, value


def cone_of(parameters: Parameters) -> Cone | None:
    """POS and SIZE as a cone; None when POS is absent.

    Raises
    ------
    DaliError
        A coordinate, the frame or the diameter is not allowed.
    """
    text, size_text = single(parameters, "POS"), single(parameters, "SIZE")
    size = DEFAULT_SIZE if size_text is None else real("SIZE", size_text, 0.0, 360.0)
    if text is None:
        return None
    value, frame = _qualified("POS", text)
    if frame and frame.upper() not in _FRAMES:
        raise usage("POS", text, "positions in ICRS; other frames are not offered")
    words = value.split(",")
    if len(words) != 2:
        raise usage("POS", text, "right ascension and declination in ICRS degrees, such as 83.63,22.01")
    ra, dec = real("POS", words[0].strip(), -360.0, 360.0), real("POS", words[1].strip(), -90.0, 90.0)
    return Cone(ra % 360.0, dec, min(max(size / 2, POINT_RADIUS), 180.0))


# --- conditions ------------------------------------------------------------------------------------------------------


def _any(masks: Sequence[Any]) -> Any:
    return functools.reduce(pc.or_, [pc.fill_null(mask, False) for mask in masks])


def _overlap(low: Any, high: Any, wanted: Sequence[tuple[float, float]]) -> Any:
    return _any([pc.and_(pc.less_equal(low, most), pc.greater_equal(high, least)) for least, most in wanted])


def _band(text: str) -> Condition:
    value, frame = _qualified("BAND", text)
    if frame and frame.lower() not in ("observer", "observed"):
        raise usage("BAND", text, "wavelengths as the observer sees them; ;source is not offered")
    if re.search(r"[A-DF-Za-df-z]", value):
        raise usage("BAND", value, "vacuum wavelengths in metres, such as 6.5e-7/6.6e-7; names of bands are not known")
    wanted = ranges("BAND", value, functools.partial(_number_end, least=0.0))
    wanted = [(low / _ANGSTROM * (1 - 1e-12), high / _ANGSTROM * (1 + 1e-12)) for low, high in wanted]
    return lambda rows: _overlap(rows.column("wavelength_min"), rows.column("wavelength_max"), wanted)


def _time(text: str) -> Condition:
    wanted = ranges("TIME", text, times)

    def keep(rows: pa.RecordBatch) -> Any:
        half = pc.divide(pc.fill_null(rows.column("exposure"), 0.0).cast(pa.float64()), 2 * 86400.0)
        return _overlap(pc.subtract(rows.column("mjd"), half), pc.add(rows.column("mjd"), half), wanted)

    return keep


def _within(name: str, column: str, alone: str = "") -> Callable[[str], Condition]:
    """A range list on a column; a single number is a lower bound where `alone` says so."""

    def make(text: str) -> Condition:
        wanted = ranges(name, text, _number_end)
        if alone == "least":
            wanted = [(low, math.inf if low == high else high) for low, high in wanted]
        return lambda rows: _overlap(rows.column(column), rows.column(column), wanted)

    return make


def _words(*columns: str) -> Callable[[str], Condition]:
    """A list of texts, any of which is in one of the columns, in any case."""

    def make(text: str) -> Condition:
        words = [word.strip().lower() for word in text.split(",") if word.strip()][:_MAX_ITEMS]
        known = pa.array(words, pa.string())
        return lambda rows: _any(
            [pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(rows.column(column))), known) for column in columns]
        )

    return make


def _all_or_none(condition: bool) -> Condition:
    return lambda rows: pa.repeat(pa.scalar(condition), rows.num_rows)


def _collection(publication: Publication, text: str) -> Condition:
    words = [word.strip().lower() for word in text.split(",") if word.strip()][:_MAX_ITEMS]
    names = {publication.name, publication.title.lower(), publication.ivoid.lower()}
    if any(word in names for word in words):
        return _all_or_none(True)

    def keep(rows: pa.RecordBatch) -> Any:
        return _any(
            [pc.match_substring(rows.column("survey"), pattern=word, ignore_case=True) for word in words]
            or [_all_or_none(True)(rows)]
        )

    return keep


def _dataset(publication: Publication, text: str) -> Condition:
    identifier = publication.identifier(text)
    return lambda rows: pc.equal(rows.column("identifier"), pa.scalar(identifier, pa.string()))


def _modified(publication: Publication, text: str) -> Condition:
    updated = times("MTIME", publication.updated[:19])[0]
    return _all_or_none(any(low <= updated <= high for low, high in ranges("MTIME", text, times)))


def _aperture(publication: Publication, text: str) -> Condition:
    """The same for all spectra; a single diameter is the largest that is wanted."""
    diameter = publication.aperture_arcsec / 3600
    wanted = [(0.0 if low == high else low, high) for low, high in ranges("APERTURE", text, _number_end)]
    return _all_or_none(any(low <= diameter * (1 + 1e-9) and diameter <= high * (1 + 1e-9) for low, high in wanted))


def _calibration(name: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        one_of(name, text, ("any", "absolute", "relative", "normalized"))

    return check


_CONDITIONS: dict[str, Callable[[str], Condition]] = {
    "BAND": _band,
    "TIME": _time,
    "SPECRP": _within("SPECRP", "resolving_power", "least"),
    "SNR": _within("SNR", "snr", "least"),
    "REDSHIFT": _within("REDSHIFT", "redshift"),
    "TARGETNAME": _words("name", "object", "identifier"),
    "TARGETCLASS": _words("survey_class", "survey_subclass"),
    "CREATORDID": lambda text: _all_or_none(False),
}
_OF_PUBLICATION: dict[str, Callable[[Publication, str], Condition]] = {
    "COLLECTION": _collection,
    "PUBDID": _dataset,
    "MTIME": _modified,
    "APERTURE": _aperture,
}
_CHECKED: dict[str, Callable[[str], object]] = {
    "SPATRES": lambda text: ranges("SPATRES", text, _number_end),
    "TIMERES": lambda text: ranges("TIMERES", text, _number_end),
    "VARAMPL": lambda text: ranges("VARAMPL", text, _number_end),
    "FLUXCALIB": _calibration("FLUXCALIB"),
    "WAVECALIB": _calibration("WAVECALIB"),
    "COMPRESS": lambda text: one_of("COMPRESS", text, ("true", "false")),
}
"""Parameters whose syntax is checked: nothing is known of what they ask about, so they leave out no row."""


def conditions(parameters: Parameters, publication: Publication) -> Keep | None:
    """Which rows match all the parameters other than POS; None when all do.

    Raises
    ------
    DaliError
        A value is not allowed.
    """
    for name, check in _CHECKED.items():
        text = single(parameters, name)
        if text is not None:
            check(text)
    asked = [make(text) for name, make in _CONDITIONS.items() if (text := single(parameters, name)) is not None]
    asked += [
        make(publication, text)
        for name, make in _OF_PUBLICATION.items()
        if (text := single(parameters, name)) is not None
    ]
    if not asked:
        return None
    return lambda rows: functools.reduce(pc.and_, [pc.fill_null(keep(rows), False) for keep in asked])


def top(parameters: Parameters) -> int | None:
    """TOP: at most so many of the best rows."""
    text = single(parameters, "TOP")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise DaliError(f"TOP: {text[:40]!r} is not allowed (expected a whole number of at least 1)")
    return int(text)


INPUTS: tuple[Param, ...] = (
    Param("INPUT:REQUEST", "queryData", options=("queryData",), description="What to do"),
    Param("INPUT:VERSION", "1.1", description="Version of the protocol"),
    Param(
        "INPUT:POS", "", unit="deg", ucd="pos.eq", description="Centre: right ascension,declination, ICRS"
    ),
    Param("INPUT:SIZE", str(DEFAULT_SIZE), "double", unit="deg", description="Diameter of the field"),
    Param("INPUT:BAND", "", unit="m", ucd="em.wl", description="Wavelengths that it overlaps: a/b, a/, /b or a"),
    Param("INPUT:TIME", "", ucd="time", description="When it was observed: ISO 8601, a/b, a/, /b or a (UTC)"),
    Param(
        "INPUT:FORMAT", "ALL", ucd="meta.code.mime",
        options=("ALL", "COMPLIANT", "FITS", "VOTABLE", "NATIVE", "GRAPHIC", "METADATA"),
        description="Formats in which the spectra are wanted, or the word METADATA for this description",
    ),
    Param("INPUT:SPECRP", "", ucd="spect.resolution", description="Least resolving power, or a range"),
    Param("INPUT:SNR", "", ucd="stat.snr", description="Least signal to noise, or a range"),
    Param("INPUT:REDSHIFT", "", ucd="src.redshift", description="Range of the redshift that the survey gave"),
    Param("INPUT:TARGETNAME", "", ucd="meta.id;src", description="Names of targets, with commas between"),
    Param("INPUT:TARGETCLASS", "", ucd="src.class", description="Classes that the survey gave, with commas between"),
    Param("INPUT:PUBDID", "", ucd="meta.ref.ivoid", description="IVOA identifier of one spectrum"),
    Param("INPUT:CREATORDID", "", ucd="meta.id", description="Identifier by the creator; none are known here"),
    Param("INPUT:COLLECTION", "", ucd="meta.dataset", description="Part of the survey's name, or the archive's name"),
    Param("INPUT:MTIME", "", ucd="time.processing", description="When it was published: a range as in TIME"),
    Param("INPUT:APERTURE", "", unit="deg", ucd="phys.angSize;instr.fov", description="Largest diameter, or a range"),
    Param("INPUT:WAVECALIB", "any", options=("any", "absolute", "relative"), description="All are absolute"),
    Param("INPUT:TOP", "", "int", description="At most so many rows, the nearest to POS"),
    Param("INPUT:MAXREC", "", "int", description="At most so many rows; if there are more, the answer says so"),
    Param("INPUT:COMPRESS", "false", options=("true", "false"), description="Accepted; answers are not compressed"),
    Param("INPUT:RUNID", "", description="A word of the client's own for logs"),
)  # fmt: skip
"""The inputs as FORMAT=METADATA tells them."""
