"""SIMBAD by TAP: what is known at many positions, in one query for each block of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emberline.vo.client import _neighbours
from emberline.vo.client._asking import address_of
from emberline.vo.client._neighbours import Catalogue

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = ["around", "names"]

_CATALOGUE = Catalogue(
    name="SIMBAD",
    select=(
        "c.main_id, c.otype, c.sp_type, c.nbref, c.ra, c.dec, c.pmra, c.pmdec, c.plx_value, c.plx_err, c.rvz_radvel, "
        "i.ids, f.V"
    ),
    table="basic",
    joins="LEFT OUTER JOIN ids AS i ON i.oidref = c.oid LEFT OUTER JOIN allfluxes AS f ON f.oidref = c.oid",
    epoch=2000.0,
    pmra="pmra",
    pmdec="pmdec",
)
_RENAMED = {"plx_value": "parallax", "plx_err": "parallax_error", "rvz_radvel": "radial_velocity", "v": "vmag"}


def around(
    session: Session,
    coords: SkyCoord,
    radius: Any,
    *,
    url: str = "",
    epoch: Any = None,
    block: int | None = None,
    finished: Callable[[int], None] | None = None,
) -> Table:
    """The objects that SIMBAD knows within `radius` of each position.

    Parameters
    ----------
    session : Session
    coords : SkyCoord
        Shape (n,), or one position.
    radius : Angle or float
        Degrees where it has no unit.
    url : str
        Of SIMBAD's TAP; the configuration's by default.
    epoch : float or array_like, optional
        Of the positions, Julian years; ``obstime`` of `coords` by default, else 2000.0. Where it is not 2000.0,
        SIMBAD's proper motions are applied.
    block : int, optional
        Positions of one upload at most.
    finished : callable, optional
        Told the number of positions that are done after each block.

    Returns
    -------
    Table
        ``place`` (row in `coords`), ``separation`` (arcsec), ``main_id``, ``otype``, ``sp_type``, ``nbref``, ``ra``,
        ``dec`` (degrees, epoch 2000.0), ``pmra``, ``pmdec`` (mas/yr), ``parallax``, ``parallax_error`` (mas),
        ``radial_velocity`` (km/s), ``ids`` (all names with bars between, see `names`), ``vmag``. Sorted by place and
        separation; ``meta["failures"]`` tells which positions have no answer.

    Raises
    ------
    ServiceError
        Nothing could be answered.
    """
    address = address_of(session, "simbad", url)
    table = _neighbours.around(
        session, address, _CATALOGUE, coords, radius, epoch=epoch, block=block, finished=finished
    )
    for name in table.colnames:
        new = _RENAMED.get(name.lower(), name.lower())
        if new != name:
            table.rename_column(name, new)
    return table


def names(ids: str) -> tuple[str, ...]:
    """The names in the column ``ids``: each once, with single blanks."""
    return tuple(dict.fromkeys(" ".join(name.split()) for name in str(ids).split("|") if name.strip()))
