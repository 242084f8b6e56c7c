"""SODA 1.0 (https://www.ivoa.net/documents/SODA/): cut-outs of spectra, and versions processed by a recipe."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.features import Recipe, shipped_recipes
from emberline.vo.server._spectra import Found, Row, Shown, find
from emberline.vo.server.adql._sphere import separation
from emberline.vo.server.dali import (
    Call,
    DaliError,
    Endpoint,
    Parameters,
    interval,
    number_or_infinity,
    one_of,
    response_format,
    usage,
)
from emberline.vo.server.database import Catalogues, catalogues_of
from emberline.vo.server.spectrum_files import FORMATS, spectrum_response

if TYPE_CHECKING:
    from emberline.vo.server.published import Published

__all__ = ["routes"]

_ANGSTROM = 1e-10
_FORMATS = {key: form.name for form in FORMATS.values() if form.write for key in (form.name, *form.media_types)}


def routes(published: Published) -> list[BaseRoute]:
    """The route: ``/<name>/soda/sync``."""
    service = _Service(published, catalogues_of(published))
    endpoint = Endpoint(service.answer, refuse)
    return [Route("/{name}/soda/sync", endpoint.answer, methods=["GET", "POST"])]


def refuse(error: DaliError) -> Response:
    """Plain text that begins with SODA's word for the fault."""
    kind = "UsageError" if error.status < 500 and error.kind != "MultiValuedParamNotSupported" else error.kind
    return PlainTextResponse(f"{'Error' if error.status >= 500 else kind}: {error.message}\n", error.status)


@dataclasses.dataclass(frozen=True)
class _Service:
    published: Published
    catalogues: Catalogues

    def answer(self, call: Call) -> Response:
        """One spectrum, or what of it is wanted; 204 when nothing of it is."""
        parameters = call.parameters
        if self.published.by_name(call.name) is None:
            raise DaliError("there is nothing of this name here", 404)
        identifier = _single(parameters, "ID")
        if identifier is None:
            raise DaliError("ID: is missing (expected the IVOA dataset identifier of a spectrum)")
        band, recipe = _band(parameters), _recipe(parameters)
        kind, media_type = response_format(parameters, _FORMATS, "fits")
        region = [_circle(parameters), _position(parameters), _time(parameters)]
        for name in ("POLYGON", "POL"):
            if _single(parameters, name) is not None:
                raise DaliError(f"{name}: is not offered for spectra (expected BAND, POS, CIRCLE, TIME or RECIPE)")
        found = find(self.published, self.catalogues, call.name, identifier)
        if found is None:
            raise DaliError(f"ID: there is no spectrum {identifier[:100]!r} here", 404)
        shown = None if any(test is not None and not test(found[1]) for test in region) else _made(found, band, recipe)
        return Response(status_code=204) if shown is None else spectrum_response(shown, FORMATS[kind], media_type)


def _made(found: Found, band: tuple[float, float] | None, recipe: Recipe | None) -> Shown | None:
    item, row = found
    if recipe is not None:
        low, high = recipe.grid.edges[0], recipe.grid.edges[-1]
        if row["wavelength_max"] < low or row["wavelength_min"] > high:
            return None
        shown = Shown.processed(item, row, recipe)
    else:
        shown = Shown.of(item, row)
    return shown if band is None else shown.cut(*band)


def _single(parameters: Parameters, name: str) -> str | None:
    values = [value.strip() for value in parameters.all(name) if value.strip()]
    if len(values) > 1:
        raise DaliError(f"{name}: given {len(values)} times (expected once)", kind="MultiValuedParamNotSupported")
    return values[0] if values else None


def _band(parameters: Parameters) -> tuple[float, float] | None:
    text = _single(parameters, "BAND")
    if text is None:
        return None
    low, high = interval("BAND", text)
    return low / _ANGSTROM, high / _ANGSTROM


def _recipe(parameters: Parameters) -> Recipe | None:
    text = _single(parameters, "RECIPE")
    return None if text is None else Recipe.load(one_of("RECIPE", text, shipped_recipes()))


class _Inside:
    """Whether a row's place, or time, is within what was asked for."""

    def __call__(self, row: Row) -> bool:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class _InCircle(_Inside):
    ra: float
    dec: float
    radius: float

    def __call__(self, row: Row) -> bool:
        if row["ra"] is None or row["dec"] is None:
            return False
        return separation(self.ra, self.dec, row["ra"], row["dec"]) <= self.radius


@dataclasses.dataclass(frozen=True)
class _InRange(_Inside):
    ra: tuple[float, float]
    dec: tuple[float, float]

    def __call__(self, row: Row) -> bool:
        if row["ra"] is None or row["dec"] is None:
            return False
        return bool(self.ra[0] <= row["ra"] <= self.ra[1] and self.dec[0] <= row["dec"] <= self.dec[1])


@dataclasses.dataclass(frozen=True)
class _InTime(_Inside):
    first: float
    last: float

    def __call__(self, row: Row) -> bool:
        if row["mjd"] is None:
            return False
        half = (row["exposure"] or 0.0) / 172800.0
        return bool(row["mjd"] - half <= self.last and row["mjd"] + half >= self.first)


def _circle(parameters: Parameters) -> _Inside | None:
    text = _single(parameters, "CIRCLE")
    return None if text is None else _circle_of("CIRCLE", text, text)


def _circle_of(name: str, text: str, numbers: str) -> _Inside:
    values = _numbers(name, text, numbers, 3)
    if not (abs(values[1]) <= 90 and 0 <= values[2] <= 180 and math.isfinite(values[0])):
        raise usage(name, text, "right ascension, declination and radius in degrees, with blanks between")
    return _InCircle(*values)


def _numbers(name: str, text: str, numbers: str, count: int) -> list[float]:
    values = [number_or_infinity(word) for word in numbers.split()]
    if len(values) != count or any(value is None or math.isnan(value) for value in values):
        raise usage(name, text, f"{count} numbers with blanks between")
    return [value for value in values if value is not None]


def _position(parameters: Parameters) -> _Inside | None:
    text = _single(parameters, "POS")
    if text is None:
        return None
    shape, _, numbers = text.partition(" ")
    if shape.upper() == "CIRCLE":
        return _circle_of("POS", text, numbers)
    if shape.upper() == "RANGE":
        ra1, ra2, dec1, dec2 = _numbers("POS", text, numbers, 4)
        return _InRange((ra1, ra2), (dec1, dec2))
    raise usage("POS", text, "CIRCLE ra dec radius, or RANGE ra1 ra2 dec1 dec2, in degrees")


def _time(parameters: Parameters) -> _Inside | None:
    text = _single(parameters, "TIME")
    return None if text is None else _InTime(*interval("TIME", text))
