"""What the section ``[context]`` of a campaign's configuration says: which panels, which catalogues, how far around."""

from __future__ import annotations

import dataclasses
import math

__all__ = ["CatalogueConfig", "ContextConfig"]


@dataclasses.dataclass(frozen=True)
class CatalogueConfig:
    """One table of VizieR that the panel of catalogues looks into.

    Attributes
    ----------
    table : str
        Its name in VizieR, such as ``II/246/out``.
    columns : tuple of str
        What is shown of a row, in this order; all columns of the table when empty, at most twelve.
    title : str
        How it is called; the table's name by default.
    radius : float
        Arcseconds; the campaign's `radius` when 0.
    """

    table: str
    columns: tuple[str, ...] = ()
    title: str = ""
    radius: float = 0.0

    def __post_init__(self) -> None:
        if not self.table.strip() or '"' in self.table:
            raise ValueError(f"context.vizier names the table {self.table!r}: give a name such as II/246/out")
        if not 0.0 <= self.radius <= 3600.0:
            raise ValueError(f"context.vizier.radius is {self.radius}: choose arcseconds from 0 to 3600")


_CATALOGUES = (
    CatalogueConfig("II/246/out", ("2MASS", "Jmag", "Hmag", "Kmag"), "2MASS"),
    CatalogueConfig("II/328/allwise", ("AllWISE", "W1mag", "W2mag", "W3mag", "W4mag"), "AllWISE"),
    CatalogueConfig("II/335/galex_ais", ("FUVmag", "NUVmag"), "GALEX", 5.0),
    CatalogueConfig("B/vsx/vsx", ("Name", "Type", "Period", "max", "min"), "Variable stars (VSX)", 5.0),
)


@dataclasses.dataclass(frozen=True)
class ContextConfig:
    """What the Virtual Observatory is asked about each spectrum of a round.

    Attributes
    ----------
    enabled : bool
        Whether anything is asked at all; own archives and the spectrum itself are looked at in any case.
    panels : tuple of str
        Which panels, in the order in which the page shows them; all that are installed when empty.
    radius : float
        Arcseconds within which something is taken for the target itself.
    neighbours : float
        Arcseconds within which other sources are looked at for light that leaks into the fibre.
    leak : float
        Warn when a neighbour adds at least this fraction of the target's own light.
    faint : float
        The magnitude taken for a target whose own is not known.
    vizier : tuple of CatalogueConfig
        The tables of VizieR that the panel of catalogues looks into.
    hips : str
        The sky survey of the image (its HiPS identifier); the client's by default.
    field : float
        The width of the image in arcminutes.
    pixels : int
        The width of the image in pixels.
    overlays : int
        How many spectra of other services are fetched for one object at most.
    spectrum_bytes : int
        A spectrum of another service that is larger is linked, not fetched.
    deadline : float
        Seconds that one panel may take for a whole round.
    """

    enabled: bool = True
    panels: tuple[str, ...] = ()
    radius: float = 3.0
    neighbours: float = 30.0
    leak: float = 0.03
    faint: float = 17.0
    vizier: tuple[CatalogueConfig, ...] = _CATALOGUES
    hips: str = ""
    field: float = 2.0
    pixels: int = 320
    overlays: int = 4
    spectrum_bytes: int = 20_000_000
    deadline: float = 180.0

    def __post_init__(self) -> None:
        bounds = {
            "radius": (0.1, 60.0),
            "neighbours": (1.0, 600.0),
            "leak": (1e-6, 1.0),
            "field": (0.1, 120.0),
            "pixels": (64, 2048),
            "overlays": (0, 50),
            "spectrum_bytes": (1000, 2_000_000_000),
            "deadline": (1.0, 3600.0),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"context.{name} is {value}: choose from {low:g} to {high:g}")
        if not math.isfinite(self.faint):
            raise ValueError(f"context.faint is {self.faint}: choose a magnitude")
