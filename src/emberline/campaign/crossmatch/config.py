"""What a campaign's candidates are matched with, as its TOML file says it."""

from __future__ import annotations

import dataclasses

__all__ = ["CrossmatchConfig"]


@dataclasses.dataclass(frozen=True)
class CrossmatchConfig:
    """What the candidates are cross-matched with.

    Attributes
    ----------
    catalogues : tuple of str
        SIMBAD (``simbad``), Gaia (``gaia``), tables of VizieR (``II/246/out``), addresses of TAP services
        (``https://…/tap#schema.table``), archives and files.
    radius : float
        Arcseconds.
    types : dict
        For each target class the types, as the catalogues write them, that mean it:
        ``{emission = ["Be*", "Em*"]}``. What is known under one of them counts as a known target.
    known_by : tuple of str
        The catalogues that make an object known; SIMBAD where it is asked, otherwise all. Gaia and 2MASS list every
        star, and none is known for that.
    """

    catalogues: tuple[str, ...] = ("simbad", "gaia")
    radius: float = 3.0
    types: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    known_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.radius <= 36_000:
            raise ValueError(f"crossmatch.radius is {self.radius}: choose more than 0 and at most 36000 arcsec")
