"""What a TAP service has near each of many positions: one upload for a block of them, exact distances afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.table import Column, Table
from numpy.typing import NDArray

from emberline.sky import propagate, separation
from emberline.vo.client import tap
from emberline.vo.client._asking import decimal, degrees
from emberline.vo.client._uploads import in_blocks
from emberline.vo.client.errors import ProtocolError, ServiceError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["Catalogue", "around"]

BLOCK = 1000
"""Positions of one upload, unless the service takes fewer."""
SLOW = 100.0
"""mas/yr: what moves faster is looked for in a larger circle, so that few stars come for nothing."""


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """A table that can be asked for neighbours.

    Attributes
    ----------
    name : str
        For messages.
    select : str
        What is selected, columns of the alias ``c`` or of `joins`.
    table : str
        As a query writes it.
    ra, dec : str
        Columns of ICRS positions as a query writes them, and their names in the answer.
    joins : str
        More tables.
    epoch : float
        Of the positions, Julian years.
    pmra, pmdec : str
        Columns of proper motions; empty where there are none.
    """

    name: str
    select: str
    table: str
    ra: str = "ra"
    dec: str = "dec"
    joins: str = ""
    epoch: float = 2000.0
    pmra: str = ""
    pmdec: str = ""


def around(
    session: Session,
    url: str,
    catalogue: Catalogue,
    coords: SkyCoord,
    radius: Any,
    *,
    epoch: Any = None,
    fastest: float = 2.5,
    block: int | None = None,
    finished: Callable[[int], None] | None = None,
) -> Table:
    """The rows of a table within `radius` of each position.

    Parameters
    ----------
    session : Session
    url : str
        Of the TAP service.
    catalogue : Catalogue
    coords : SkyCoord
        Shape (n,), or one position.
    radius : Angle or float
        Degrees where it has no unit.
    epoch : float or array_like, optional
        Of the positions, Julian years; that of `coords` (``obstime``) by default, else the catalogue's own.
    fastest : float
        Arcseconds a year: the fastest motion that is reckoned with where epochs differ.
    block : int, optional
        Positions of one upload at most.
    finished : callable, optional
        Told the number of positions that are done after each block.

    Returns
    -------
    Table
        ``place`` (row in `coords`), ``separation`` (arcsec, at the epoch of the position), then the catalogue's
        columns; by place, the nearest first. ``meta["failures"]`` are the blocks without an answer.

    Raises
    ------
    ServiceError
        Nothing could be answered.
    """
    size = degrees(radius)
    ra, dec, epochs = _places(coords, epoch, catalogue.epoch)
    usable = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(usable):
        raise ServiceError("there is no position to ask for", url=url, found=f"{len(ra)} without finite coordinates")
    limits = tap.limits(session, url)
    if limits.uploads is False:
        raise ServiceError(f"{catalogue.name} takes no uploads of positions", url=url)
    rows = min(value for value in (block or BLOCK, limits.upload_rows) if value)

    def ask(start: int, stop: int) -> Table:
        mine = usable[start:stop]
        years = np.abs(epochs[mine] - catalogue.epoch)
        adql = _query(catalogue, size, float(years.max()), fastest)
        answer = tap.query(session, url, adql, uploads={"places": _upload(mine, ra, dec)}, limit=limits.output_rows)
        return _exact(answer, catalogue, (ra, dec, epochs), size, url)

    found = in_blocks(session, len(usable), rows, ask, finished=finished)
    found.meta["failures"] = tuple(_in_places(failure, usable) for failure in found.meta["failures"])
    return found


def _in_places(failure: Any, usable: NDArray[np.int64]) -> Any:
    """A failure by the rows of the positions that were given."""
    return dataclasses.replace(failure, start=int(usable[failure.start]), stop=int(usable[failure.stop - 1]) + 1)


def _places(coords: SkyCoord, epoch: Any, own: float) -> tuple[Any, Any, Any]:
    place = coords.icrs
    ra, dec = (np.atleast_1d(np.asarray(value.deg, float)) for value in (place.ra, place.dec))
    if epoch is None:
        moment = getattr(coords, "obstime", None)
        epoch = own if moment is None else moment.jyear
    return ra, dec, np.broadcast_to(np.asarray(epoch, float), ra.shape)


def _upload(rows: NDArray[np.int64], ra: Any, dec: Any) -> Table:
    """Names that are no words of ADQL, as ``dec`` is."""
    return Table(
        [
            Column(rows.astype(np.int32), "place"),
            Column(ra[rows], "place_ra", unit=units.deg, meta={"ucd": "pos.eq.ra;meta.main"}),
            Column(dec[rows], "place_dec", unit=units.deg, meta={"ucd": "pos.eq.dec;meta.main"}),
        ]
    )


def _query(catalogue: Catalogue, radius: float, years: float, fastest: float) -> str:
    """All within the radius; where epochs differ, a margin for what is slow, and a larger one for what is fast."""
    moves = bool(catalogue.pmra) and years > 0
    near = radius + years * SLOW / 3.6e6 if moves else radius
    far = radius + years * max(fastest, SLOW / 1000) / 3600 if moves else radius
    row, place = f"POINT('ICRS', c.{catalogue.ra}, c.{catalogue.dec})", "p.place_ra, p.place_dec"
    query = (
        f"SELECT p.place, {catalogue.select} FROM TAP_UPLOAD.places AS p JOIN {catalogue.table} AS c "
        f"ON 1 = CONTAINS({row}, CIRCLE('ICRS', {place}, {decimal(far)})) {catalogue.joins}"
    ).strip()
    if moves:
        pm = [f"c.{column}" for column in (catalogue.pmra, catalogue.pmdec)]
        query += (
            f" WHERE DISTANCE({row}, POINT('ICRS', {place})) <= {decimal(near)}"
            f" OR {pm[0]} * {pm[0]} + {pm[1]} * {pm[1]} >= {decimal(SLOW**2)}"
        )
    return query


def _exact(answer: Table, catalogue: Catalogue, places: tuple[Any, Any, Any], radius: float, url: str) -> Table:
    """Rows that are near at the epoch of their place, with their distance."""
    names = {name.lower(): name for name in answer.colnames}
    needed = [catalogue.ra, catalogue.dec, *filter(None, (catalogue.pmra, catalogue.pmdec)), "place"]
    found = [names.get(name.strip('"').lower()) for name in needed]
    if None in found:
        missing = needed[found.index(None)]
        raise ProtocolError(f"the answer has no column {missing!r}", url=url, found=", ".join(answer.colnames[:12]))
    values = [np.ma.filled(answer[name].astype(float), np.nan) for name in found]
    place = np.ma.filled(answer[found[-1]], -1)
    ra, dec, epochs = places
    if len(place) and not ((place >= 0) & (place < len(ra))).all():
        raise ProtocolError("the answer has places that were not asked for", url=url, found=str(place.min()))
    pm = values[2:4] if catalogue.pmra else [np.zeros(len(answer))] * 2
    place = place.astype(np.int64)
    now = propagate(values[0], values[1], pm[0], pm[1], epochs[place] - catalogue.epoch)
    distance = separation(ra[place], dec[place], now.ra, now.dec) * 3600.0
    keep = np.flatnonzero(distance <= radius * 3600.0 * (1 + 1e-9) + 1e-6)
    order = keep[np.lexsort((distance[keep], place[keep]))]
    result = answer[order]
    result.replace_column(found[-1], Column(place[order], name=found[-1], description="Row of the position"))
    if found[-1] != "place":
        result.rename_column(found[-1], "place")
    described = "Distance at the epoch of the position"
    result.add_column(Column(distance[order], "separation", unit=units.arcsec, description=described), index=1)
    return result
