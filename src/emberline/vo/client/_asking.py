"""How positions, radii, bands and times are written for services."""

from __future__ import annotations

import math
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emberline.vo.client.errors import ServiceError

if TYPE_CHECKING:
    import requests
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["address_of", "ask", "decimal", "degrees", "icrs", "metres"]


def ask(session: Session, url: str, parameters: Mapping[str, str]) -> requests.Response:
    """GET a base address with parameters; the registry writes such addresses with and without ``?`` at their end."""
    scheme, host, path, query, _ = urllib.parse.urlsplit(url)
    kept = [item for item in query.split("&") if item]
    own = {item.partition("=")[0].upper() for item in kept}
    more = {name: value for name, value in parameters.items() if name.upper() not in own or name.upper() != "REQUEST"}
    whole = "&".join([*kept, urllib.parse.urlencode(more)])
    return session.get(urllib.parse.urlunsplit((scheme, host, path, whole, "")))


def address_of(session: Session, name: str, url: str = "") -> str:
    """The address of a service: the one that is given, else that of the configuration.

    Raises
    ------
    ServiceError
        The service is switched off by an empty address.
    """
    found = url or str(getattr(session.config.services, name))
    if not found:
        raise ServiceError(
            f"the service {name} is switched off: it has no address",
            action=f"Give it one: {name} under [services] in vo.toml.",
        )
    return found


def icrs(position: SkyCoord) -> tuple[float, float]:
    """Right ascension and declination in ICRS degrees of one position.

    Raises
    ------
    ValueError
        There is more than one, or it is not finite.
    """
    if position.size != 1:
        raise ValueError(f"the service is asked for one position at a time, not for {position.size}")
    place = position.icrs.ravel()[0] if position.shape else position.icrs
    ra, dec = float(place.ra.deg), float(place.dec.deg)
    if not (math.isfinite(ra) and math.isfinite(dec)):
        raise ValueError("the position is not finite")
    return ra, dec


def degrees(angle: Any) -> float:
    """An angle as degrees; a number is degrees already.

    Raises
    ------
    ValueError
        It is negative or not finite.
    """
    from astropy import units

    value = float(angle.to_value(units.deg)) if hasattr(angle, "to_value") else float(angle)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"a radius is a finite angle of 0 or more degrees, not {value:g}")
    return value


def metres(band: tuple[float, float]) -> tuple[float, float]:
    """Wavelengths in Å, which may be open (infinite), as metres."""
    low, high = (float(value) for value in band)
    if not low <= high:
        raise ValueError(f"the band {low:g} … {high:g} Å ends before it begins")
    return low * 1e-10, high * 1e-10


def decimal(value: float) -> str:
    """A number with all its digits and without an exponent where it has a usual size."""
    return f"{value:.9f}".rstrip("0").rstrip(".") if 1e-4 <= abs(value) < 1e6 or value == 0 else repr(float(value))
