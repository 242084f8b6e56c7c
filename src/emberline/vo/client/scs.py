"""Simple Cone Search 1.03: rows of a catalogue near a position (https://www.ivoa.net/documents/latest/ConeSearch.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emberline.vo.client._asking import ask, decimal, degrees, icrs
from emberline.vo.client._tables import Columns, Wanted, read_table
from emberline.vo.client.errors import ProtocolError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = ["search"]

RA = Wanted(ucds=("pos.eq.ra;meta.main", "POS_EQ_RA_MAIN"))
DEC = Wanted(ucds=("pos.eq.dec;meta.main", "POS_EQ_DEC_MAIN"))


def search(
    session: Session, url: str, position: SkyCoord, radius: Any, *, limit: int | None = None, verbosity: int = 2
) -> Table:
    """Rows of a catalogue within `radius` (degrees where it has no unit) of a position.

    Parameters
    ----------
    limit : int, optional
        At most so many rows (MAXREC), where the service knows of it.
    verbosity : int
        1 for few columns, 3 for all.

    Returns
    -------
    astropy.table.Table
        ``meta["ra"]`` and ``meta["dec"]`` are the names of the columns with positions, ICRS.

    Raises
    ------
    ServiceError
        The service refused, or could not be asked.
    ProtocolError
        The answer has no positions.
    """
    ra, dec = icrs(position)
    parameters = {"RA": decimal(ra), "DEC": decimal(dec), "SR": decimal(degrees(radius)), "VERB": str(verbosity)}
    if limit is not None:
        parameters["MAXREC"] = str(limit)
    answer = ask(session, url, parameters)
    table = read_table(answer)
    columns = Columns(table)
    for name, wanted in (("ra", RA), ("dec", DEC)):
        place = columns.place(wanted)
        if not isinstance(place, str):
            raise ProtocolError(
                "the table has no positions", url=answer.url, expected=f"a column with the UCD {wanted.ucds[0]}"
            )
        table.meta[name] = place
    return table
