"""Values for the parameters of a service: converted to its units, checked against what it declares, and written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from emberline.vo.client._cells import unit_of
from emberline.vo.client.errors import ServiceError
from emberline.vo.client.soda import Parameter

__all__ = ["written"]

_WHOLE = ("unsignedByte", "short", "int", "long")
_NUMBERS = (*_WHOLE, "float", "double")


def written(item: Parameter, value: Any, url: str) -> str:
    """The text that is sent for a value.

    Raises
    ------
    ServiceError
        The value is not one that the service declares to take.
    """
    if item.options:
        return _option(item, str(value), url)
    if item.datatype not in _NUMBERS:
        return " ".join(_text(part) for part in value) if isinstance(value, list | tuple) else _text(value)
    numbers = [_number(item, part, url) for part in _parts(value)]
    _check_count(item, numbers, url)
    if item.xtype == "interval" or (not item.xtype and len(numbers) == 2 and item.arraysize == "2"):
        numbers = _interval(item, numbers, url)
    elif len(numbers) == 1:
        _check_scalar(item, numbers[0], url)
    elif item.xtype in ("circle", "polygon", "point"):
        _check_place(item, numbers, url)
    return " ".join(_figure(number, item.datatype) for number in numbers)


def _option(item: Parameter, text: str, url: str) -> str:
    values = [value for value, _ in item.options]
    if text in values:
        return text
    named = [value for value, name in item.options if text.lower() in (name.lower(), value.lower())]
    if len(named) == 1:
        return named[0]
    raise _refusal(item, text, url, ", ".join(values))


def _refusal(item: Parameter, found: str, url: str, expected: str) -> ServiceError:
    return ServiceError(f"the parameter {item.name} does not take this value", url=url, found=found, expected=expected)


def _text(value: Any) -> str:
    return _figure(float(value), "double") if isinstance(value, int | float) else str(value)


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        return value.split()
    if hasattr(value, "unit") and np.ndim(value) > 0:
        return list(value)
    if hasattr(value, "icrs"):
        return [float(value.icrs.ra.deg), float(value.icrs.dec.deg)]
    if isinstance(value, Sequence | np.ndarray):
        return [part for item in value for part in (_parts(item) if hasattr(item, "icrs") else [item])]
    return [value]


def _number(item: Parameter, value: Any, url: str) -> float:
    from astropy import units

    if value is None:
        return math.nan
    try:
        if hasattr(value, "to_value") and getattr(value, "unit", None) is not None:
            unit = unit_of(item.unit) or units.dimensionless_unscaled
            return float(value.to_value(unit, equivalencies=units.spectral()))
        number = float(value)
    except units.UnitsError as error:
        raise _refusal(item, str(value), url, f"a quantity in {item.unit or 'no unit'} ({error})") from None
    except (TypeError, ValueError):
        raise _refusal(item, str(value), url, f"numbers in {item.unit}" if item.unit else "numbers") from None
    if item.datatype in _WHOLE and not number.is_integer():
        raise _refusal(item, str(value), url, "a whole number")
    return number


def _check_count(item: Parameter, numbers: Sequence[float], url: str) -> None:
    size = item.arraysize
    wanted = {"interval": "2", "circle": "3", "point": "2"}.get(item.xtype, size or "1")
    if wanted.isdigit() and len(numbers) != int(wanted):
        raise _refusal(item, f"{len(numbers)} numbers", url, wanted)
    if item.xtype == "polygon" and (len(numbers) < 6 or len(numbers) % 2):
        raise _refusal(item, f"{len(numbers)} numbers", url, "pairs of ra and dec of three or more vertices")


def _limits(item: Parameter) -> tuple[float, float]:
    bounds = []
    for text, default in ((item.least, -math.inf), (item.most, math.inf)):
        try:
            bounds.append(float(text))
        except ValueError:
            bounds.append(default)
    return bounds[0], bounds[1]


def _interval(item: Parameter, numbers: Sequence[float], url: str) -> list[float]:
    """An interval, from low to high: wavelengths asked for in frequencies come the other way round."""
    low, high = numbers
    low, high = (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)
    if low > high:
        low, high = high, low
    least, most = _limits(item)
    if high < least or low > most:
        raise _refusal(item, f"{low:g} … {high:g}", url, f"something within {least:g} … {most:g} {item.unit}".rstrip())
    return [low, high]


def _check_scalar(item: Parameter, number: float, url: str) -> None:
    least, most = _limits(item)
    if not least <= number <= most:
        raise _refusal(item, f"{number:g}", url, f"{least:g} … {most:g} {item.unit}".rstrip())


def _check_place(item: Parameter, numbers: Sequence[float], url: str) -> None:
    pairs = numbers[:2] if item.xtype in ("circle", "point") else numbers
    if any(not abs(dec) <= 90 for dec in pairs[1::2]) or not all(math.isfinite(number) for number in numbers):
        raise _refusal(item, " ".join(f"{number:g}" for number in numbers), url, "degrees, the second -90 … 90")
    if item.xtype == "circle" and not 0 < numbers[2] <= 180:
        raise _refusal(item, f"{numbers[2]:g}", url, "a radius of more than 0 and up to 180 degrees")


def _figure(number: float, datatype: str) -> str:
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if datatype in _WHOLE else repr(number)
