"""Gaia DR3 by TAP: the sources at many positions, moved to the epoch of each position."""

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

__all__ = ["COLUMNS", "EPOCH", "around"]

EPOCH = 2016.0
"""Julian years: the epoch of the positions in Gaia DR3."""
COLUMNS = (
    "source_id", "ra", "dec", "parallax", "parallax_error", "pmra", "pmdec", "ruwe", "phot_g_mean_mag",
    "phot_bp_mean_mag", "phot_rp_mean_mag", "radial_velocity", "radial_velocity_error", "teff_gspphot",
)  # fmt: skip
"""What is asked for of ``gaiadr3.gaia_source``."""


def around(
    session: Session,
    coords: SkyCoord,
    radius: Any,
    *,
    url: str = "",
    epoch: Any = None,
    columns: tuple[str, ...] = COLUMNS,
    fastest: float = 2.5,
    block: int | None = None,
    finished: Callable[[int], None] | None = None,
) -> Table:
    """The sources of Gaia DR3 within `radius` of each position, at the epoch of that position.

    Gaia's positions are of 2016.0. Where the positions asked for are of another epoch, the circle that is asked for
    grows by the motion of stars over the difference, and what is found is kept only where its own proper motion
    brings it within `radius` at the epoch of the position.

    Parameters
    ----------
    session : Session
    coords : SkyCoord
        Shape (n,), or one position.
    radius : Angle or float
        Degrees where it has no unit.
    url : str
        Of a TAP service with ``gaiadr3.gaia_source``; the configuration's by default.
    epoch : float or array_like, optional
        Of the positions, Julian years; ``obstime`` of `coords` by default, else 2016.0: catalogues whose positions
        are of 2000.0 must say so.
    columns : tuple of str
        Of ``gaia_source``; ``ra``, ``dec``, ``pmra`` and ``pmdec`` are always among them.
    fastest : float
        Arcseconds a year; fewer than a hundred stars are faster than the default.
    block : int, optional
        Positions of one upload at most.
    finished : callable, optional
        Told the number of positions that are done after each block.

    Returns
    -------
    Table
        ``place`` (row in `coords`), ``separation`` (arcsec, at the epoch of the position), then `columns` with Gaia's
        units. Sorted by place and separation; ``meta["failures"]`` tells which positions have no answer.

    Raises
    ------
    ServiceError
        Nothing could be answered.
    """
    wanted = dict.fromkeys([*columns, "ra", "dec", "pmra", "pmdec"])
    catalogue = Catalogue(
        name="Gaia",
        select=", ".join(f"c.{column}" for column in wanted),
        table="gaiadr3.gaia_source",
        epoch=EPOCH,
        pmra="pmra",
        pmdec="pmdec",
    )
    address = address_of(session, "gaia", url)
    return _neighbours.around(
        session, address, catalogue, coords, radius, epoch=epoch, fastest=fastest, block=block, finished=finished
    )
