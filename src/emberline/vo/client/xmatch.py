"""The CDS cross-match service: a table of ours against any of theirs, in blocks, each row brought back to its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.table import Column, Table

from emberline.vo.client._asking import address_of, degrees
from emberline.vo.client._tables import read_table
from emberline.vo.client._uploads import in_blocks
from emberline.vo.client.errors import ProtocolError, ServiceError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["cross_match"]

BLOCK = 20_000
_WIDEST = 180.0
"""Arcseconds: the service's own limit."""


def cross_match(
    session: Session,
    coords: SkyCoord,
    catalogue: str,
    radius: Any,
    *,
    nearest: bool = False,
    url: str = "",
    block: int = BLOCK,
    finished: Callable[[int], None] | None = None,
) -> Table:
    """The rows of a catalogue within `radius` of each of many positions.

    Only numbers of rows and positions leave this machine.

    Parameters
    ----------
    session : Session
    coords : SkyCoord
        Shape (n,); at the epoch of the catalogue.
    catalogue : str
        ``simbad``, or ``vizier:`` and the name of one of VizieR's tables, such as ``vizier:II/246/out``.
    radius : Angle or float
        At most 180 arcseconds; degrees where it has no unit.
    nearest : bool
        Only the nearest of each position.
    url : str
        Of the service; the configuration's by default.
    block : int
        Positions of one request at most.
    finished : callable, optional
        Told the number of positions that are done after each block.

    Returns
    -------
    Table
        ``place`` (row in `coords`), ``separation`` (arcsec), then the catalogue's columns. Sorted by place and
        separation; ``meta["failures"]`` tells which rows have no answer.

    Raises
    ------
    ServiceError
        Nothing could be answered.
    ValueError
        The radius is more than the service takes.
    """
    arcsec = degrees(radius) * 3600.0
    if not 0 < arcsec <= _WIDEST:
        raise ValueError(f"the radius is {arcsec:g} arcsec; the service takes more than 0 and at most {_WIDEST:g}")
    address = address_of(session, "xmatch", url)
    place = coords.icrs
    ra, dec = (np.atleast_1d(np.asarray(value.deg, float)) for value in (place.ra, place.dec))
    usable = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(usable):
        raise ServiceError("there is no position to ask for", url=address)

    def ask(start: int, stop: int) -> Table:
        rows = usable[start:stop]
        parameters = {
            "request": "xmatch",
            "distMaxArcsec": f"{arcsec:.6f}",
            "selection": "best" if nearest else "all",
            "RESPONSEFORMAT": "votable",
            "cat2": catalogue if ":" in catalogue or catalogue == "simbad" else f"vizier:{catalogue}",
            "colRA1": "place_ra",
            "colDec1": "place_dec",
        }
        files = {"cat1": ("places.csv", _csv(rows, ra, dec), "text/csv")}
        with session.repeatable():
            answer = session.post(address, data=parameters, files=files)
        return _brought_back(read_table(answer), rows, nearest=nearest, url=str(answer.url))

    return in_blocks(session, len(usable), block, ask, finished=finished)


def _csv(rows: Any, ra: Any, dec: Any) -> bytes:
    stream = io.StringIO()
    stream.write("place,place_ra,place_dec\n")
    for row in rows:
        stream.write(f"{row},{ra[row]:.9f},{dec[row]:.9f}\n")
    return stream.getvalue().encode()


def _brought_back(answer: Table, rows: Any, *, nearest: bool, url: str) -> Table:
    """The answer by the rows that were sent; a row that was not is an error, for nothing in it could be trusted."""
    names = {name.lower(): name for name in answer.colnames}
    for needed in ("place", "angdist"):
        if needed not in names:
            found = ", ".join(answer.colnames[:12])
            raise ProtocolError(f"the answer has no column {needed!r}", url=url, found=found)
    try:
        place = np.asarray(np.ma.filled(answer[names["place"]].astype(np.int64), -1), np.int64)
        distance = np.asarray(np.ma.filled(answer[names["angdist"]].astype(float), np.nan), float)
    except ValueError as error:
        raise ProtocolError(
            "the numbers of rows do not come back as they were sent", url=url, found=str(error)
        ) from None
    if not np.isin(place, rows).all():
        strange = place[~np.isin(place, rows)][0]
        raise ProtocolError("a row comes back that was not sent", url=url, found=str(strange))
    order = np.lexsort((distance, place))
    if nearest and len(order):
        order = order[np.flatnonzero(np.diff(place[order], prepend=-1))]
    sent = {"place", "place_ra", "place_dec", "angdist"}
    result = answer[[name for name in answer.colnames if name.lower() not in sent]][order]
    result.add_column(Column(place[order], "place", description="Row of the position"), index=0)
    result.add_column(Column(distance[order], "separation", unit=units.arcsec), index=1)
    result.meta = dict(answer.meta)
    return result
