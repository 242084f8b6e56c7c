"""What a SIA 2 query asks for: its parameters (SIA 2.0, 2.1) as a condition in ADQL on ``ivoa.obscore``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from emberline.vo.server.dali import DaliError, Parameters, interval, number_or_infinity, usage

__all__ = ["condition"]

_MOST = 100
_MOST_VERTICES = 100


def condition(parameters: Parameters) -> str:
    """The WHERE clause; empty when all rows match. Values of one parameter are alternatives.

    Raises
    ------
    DaliError
        A value is not allowed.
    """
    found = []
    for name, make in _PARAMETERS.items():
        texts = [text.strip() for text in parameters.all(name) if text.strip()]
        if len(texts) > _MOST:
            raise DaliError(f"{name}: given {len(texts)} times (expected at most {_MOST} times)")
        if texts:
            found.append("(" + " OR ".join(make(name, text) for text in texts) + ")")
    return " AND ".join(found)


# --- places ----------------------------------------------------------------------------------------------------------


def _position(name: str, text: str) -> str:
    shape, _, rest = text.partition(" ")
    values = [number_or_infinity(word) for word in rest.split()]
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    make = {"CIRCLE": _circle, "RANGE": _range, "POLYGON": _polygon}.get(shape.upper())
    clause = make(numbers) if make and len(numbers) == len(values) else ""
    if not clause:
        expected = "CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2, or POLYGON ra1 dec1 ra2 dec2 ra3 dec3 …, in degrees"
        raise usage(name, text, expected)
    return clause


def _on_sky(ra: float, dec: float) -> bool:
    return math.isfinite(ra) and -360.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0


def _circle(numbers: Sequence[float]) -> str:
    if len(numbers) != 3 or not _on_sky(*numbers[:2]) or not 0.0 <= numbers[2] <= 180.0:
        return ""
    ra, dec, radius = numbers
    return f"1 = INTERSECTS(s_region, CIRCLE({_number(ra)}, {_number(dec)}, {_number(radius)}))"


def _range(numbers: Sequence[float]) -> str:
    if len(numbers) != 4 or numbers[0] > numbers[1] or numbers[2] > numbers[3]:
        return ""
    return " AND ".join([_between("s_ra", *numbers[:2]), _between("s_dec", *numbers[2:])])


def _polygon(numbers: Sequence[float]) -> str:
    pairs = list(zip(numbers[0::2], numbers[1::2], strict=False))
    if len(numbers) % 2 or not 3 <= len(pairs) <= _MOST_VERTICES or not all(_on_sky(*pair) for pair in pairs):
        return ""
    return f"1 = INTERSECTS(s_region, POLYGON({', '.join(_number(value) for value in numbers)}))"


# --- values ----------------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:.17g}"


def _between(column: str, low: float, high: float) -> str:
    """A closed range, of which either end may be open."""
    parts = [f"{column} >= {_number(low)}"] if math.isfinite(low) else []
    parts += [f"{column} <= {_number(high)}"] if math.isfinite(high) else []
    return " AND ".join(parts) or f"{column} IS NOT NULL"


def _overlap(first: str, last: str) -> Callable[[str, str], str]:
    """A range that overlaps that of two columns."""

    def make(name: str, text: str) -> str:
        low, high = interval(name, text)
        return f"({_between(last, low, math.inf)} AND {_between(first, -math.inf, high)})"

    return make


def _within(column: str) -> Callable[[str, str], str]:
    def make(name: str, text: str) -> str:
        return f"({_between(column, *interval(name, text))})"

    return make


def _text(column: str) -> Callable[[str, str], str]:
    def make(name: str, text: str) -> str:
        if len(text) > 1000 or not text.isprintable():
            raise usage(name, text, "a line of at most 1000 characters")
        return f"{column} = '" + text.replace("'", "''") + "'"

    return make


def _word(column: str, allowed: Sequence[str]) -> Callable[[str, str], str]:
    def make(name: str, text: str) -> str:
        if text.lower() not in allowed:
            raise usage(name, text, ", ".join(allowed))
        return f"{column} = '{text.lower()}'"

    return make


def _level(name: str, text: str) -> str:
    if not re.fullmatch("[0-4]", text):
        raise usage(name, text, "a whole number from 0 to 4")
    return f"calib_level = {text}"


def _polarisation(name: str, text: str) -> str:
    if not re.fullmatch("[A-Za-z]{1,4}", text):
        raise usage(name, text, "a polarisation state such as I, Q, U, V, RR or XY")
    return f"pol_states LIKE '%/{text.upper()}/%'"


_PARAMETERS: dict[str, Callable[[str, str], str]] = {
    "POS": _position,
    "BAND": _overlap("em_min", "em_max"),
    "TIME": _overlap("t_min", "t_max"),
    "POL": _polarisation,
    "FOV": _within("s_fov"),
    "SPATRES": _within("s_resolution"),
    "SPECRP": _within("em_res_power"),
    "EXPTIME": _within("t_exptime"),
    "TIMERES": _within("t_resolution"),
    "ID": _text("obs_publisher_did"),
    "COLLECTION": _text("obs_collection"),
    "FACILITY": _text("facility_name"),
    "INSTRUMENT": _text("instrument_name"),
    "DPTYPE": _word("dataproduct_type", ("image", "cube", "spectrum")),
    "CALIB": _level,
    "TARGET": _text("target_name"),
    "FORMAT": _text("access_format"),
}
