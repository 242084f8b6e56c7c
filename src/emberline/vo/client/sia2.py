"""Simple Image Access 2.0: images, cubes and other data near a position (https://www.ivoa.net/documents/SIA/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emberline.vo.client._asking import ask, decimal, degrees, icrs, metres
from emberline.vo.client._tables import read_table

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table
    from astropy.time import Time

    from emberline.vo.client.session import Session

__all__ = ["search"]

_MUST = ("access_url", "access_format", "obs_publisher_did")


def search(
    session: Session,
    url: str,
    position: SkyCoord | None = None,
    radius: Any = 0.0,
    *,
    band: tuple[float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    kind: str = "",
    collection: str = "",
    identifiers: Sequence[str] = (),
    limit: int | None = None,
) -> Table:
    """Data whose coverage meets all that is asked, described by the columns of ObsCore.

    Parameters
    ----------
    position : SkyCoord, optional
    radius : Angle or float
        Degrees where it has no unit.
    band : tuple of float, optional
        First and last wavelength, vacuum Å.
    time : tuple of Time, optional
    kind : str
        ``image``, ``cube`` … (DPTYPE).
    collection : str
    identifiers : sequence of str
        Of publishers' datasets.
    limit : int, optional
        At most so many rows; ``meta["overflow"]`` says whether there are more.

    Raises
    ------
    ServiceError
        The service refused, or could not be asked.
    ProtocolError
        The answer lacks a column without which nothing can be fetched.
    """
    parameters: dict[str, str] = {}
    if position is not None:
        parameters["POS"] = "CIRCLE " + " ".join(decimal(value) for value in (*icrs(position), degrees(radius)))
    if band is not None:
        parameters["BAND"] = " ".join(_bound(value) for value in metres(band))
    if time is not None:
        parameters["TIME"] = " ".join(decimal(float(moment.utc.mjd)) for moment in time)
    for name, value in (("DPTYPE", kind), ("COLLECTION", collection)):
        if value:
            parameters[name] = value
    if limit is not None:
        parameters["MAXREC"] = str(limit)
    more = "".join(f"&{text}" for text in _repeated(identifiers)).lstrip("&")
    return read_table(ask(session, _with(url, more), parameters), _MUST)


def _repeated(identifiers: Sequence[str]) -> list[str]:
    import urllib.parse

    return [urllib.parse.urlencode({"ID": identifier}) for identifier in identifiers]


def _with(url: str, query: str) -> str:
    return url if not query else f"{url}{'&' if '?' in url else '?'}{query}"


def _bound(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
