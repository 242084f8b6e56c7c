"""VizieR by TAP: the rows of any of its tables at many positions; the columns of positions are found by their UCDs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from emberline.archive.tables import TableColumn, find_positions
from emberline.errors import ConfigError
from emberline.vo.client import _neighbours, tap
from emberline.vo.client._asking import address_of
from emberline.vo.client._neighbours import Catalogue
from emberline.vo.client.errors import ServiceError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = ["around", "position_columns"]


def position_columns(session: Session, table: str, *, url: str = "") -> tuple[str, str]:
    """The names of the columns with right ascension and declination in degrees.

    Parameters
    ----------
    table : str
        VizieR's name, such as ``II/246/out``.

    Raises
    ------
    ServiceError
        The table is not there, or has no such columns.
    """
    address = address_of(session, "vizier", url)
    columns = tap.columns(session, address, _written(table))
    usable = [column for column in columns if column.datatype.startswith("float")]
    told = [TableColumn(column.name, column.unit, column.ucd, column.description) for column in usable]
    try:
        found = find_positions(told, where=table)
    except ConfigError:
        found = None
    if found is not None and found.ra_scale == found.dec_scale == 1.0:
        return found.ra, found.dec
    raise ServiceError(
        f"the table {table} has no columns of positions",
        url=address,
        found=", ".join(column.name for column in columns[:12]),
        expected="columns with the UCDs pos.eq.ra;meta.main and pos.eq.dec;meta.main, in degrees, ICRS or J2000",
    )


def around(
    session: Session,
    coords: SkyCoord,
    radius: Any,
    table: str,
    *,
    columns: Sequence[str] = (),
    url: str = "",
    block: int | None = None,
    finished: Callable[[int], None] | None = None,
) -> Table:
    """The rows of a table of VizieR within `radius` of each position.

    Parameters
    ----------
    session : Session
    coords : SkyCoord
        Shape (n,), or one position.
    radius : Angle or float
        Degrees where it has no unit.
    table : str
        VizieR's name, such as ``II/246/out``.
    columns : sequence of str
        Those wanted; all by default. Those of the position are always among them.
    url : str
        Of VizieR's TAP, or of another service with such a table; the configuration's by default.
    block : int, optional
        Positions of one upload at most.
    finished : callable, optional
        Told the number of positions that are done after each block.

    Returns
    -------
    Table
        ``place`` (row in `coords`), ``separation`` (arcsec), then the table's columns with its units. Sorted by place
        and separation; ``meta["failures"]`` tells which positions have no answer.

    Raises
    ------
    ServiceError
        The table is not there or has no positions, or nothing could be answered.
    """
    address = address_of(session, "vizier", url)
    ra, dec = position_columns(session, table, url=address)
    wanted = ", ".join(f"c.{tap.quoted(name)}" for name in dict.fromkeys([*columns, ra, dec])) if columns else "c.*"
    catalogue = Catalogue(
        name=f"VizieR's table {table}",
        select=wanted,
        table=_written(table),
        ra=tap.quoted(ra),
        dec=tap.quoted(dec),
    )
    return _neighbours.around(session, address, catalogue, coords, radius, block=block, finished=finished)


def _written(table: str) -> str:
    """A table's name as a query writes it; what is quoted already, or plain, stays as it is."""
    plain = table.replace(".", "").replace("_", "").isalnum() and "/" not in table and not table[:1].isdigit()
    return table if table.startswith('"') or plain else tap.quoted(table)
