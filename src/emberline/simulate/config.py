"""What to simulate: the survey's configuration."""

from __future__ import annotations

import dataclasses

from emberline.simulate.presets import PRESETS, Preset, PresetName

__all__ = ["Survey"]

_RATES = ("nebular", "dwarf_emission", "quasars", "galaxies", "junk")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """A survey with known truth; spectra are made in blocks that depend on `seed` and their number alone.

    Attributes
    ----------
    preset : "lamost" or "ondrejov"
        Instrument, noise and mix; see `emberline.simulate.presets`.
    spectra : int
        How many. A smaller survey with the same seed is the beginning of a larger one.
    seed : int
    prevalence : float, optional
        Share of targets (stars with an emitting disk) among the objects; None takes the preset's.
    repeats : float, optional
        Probability that a spectrum shows the same object as the one before it; None takes the preset's.
    nebular, dwarf_emission, quasars, galaxies, junk : float
        Shares of the objects of these classes. The preset ``ondrejov`` has none of them.
    snr_median : float, optional
        Median signal to noise per pixel; None takes the preset's.
    defects : float
        Factor on the rates and sizes of everything that goes wrong apart from noise; 0 is a perfect instrument.
    block : int
        Spectra per block. It changes which spectra are drawn.
    """

    preset: PresetName = "lamost"
    spectra: int = 20000
    seed: int = 0
    prevalence: float | None = None
    repeats: float | None = None
    nebular: float = 0.006
    dwarf_emission: float = 0.004
    quasars: float = 0.002
    galaxies: float = 0.003
    junk: float = 0.01
    snr_median: float | None = None
    defects: float = 1.0
    block: int = 1000

    def __post_init__(self) -> None:
        if self.spectra < 1 or self.block < 1 or self.seed < 0:
            raise ValueError("spectra and block must be 1 or more, seed 0 or more")
        for name in ("prevalence", "repeats", *_RATES):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} = {value} is no share: choose 0 to 1")
        if self.target_share + sum(self.other_shares.values()) > 1.0:
            raise ValueError("the shares of all classes exceed 1: lower prevalence or the rates of the other classes")
        if self.repeats == 1.0:
            raise ValueError("repeats = 1 leaves no object: choose less than 1")
        if self.defects < 0.0 or (self.snr_median is not None and self.snr_median <= 0.0):
            raise ValueError("defects must be 0 or more and snr_median positive")

    @property
    def instrument(self) -> Preset:
        """The preset itself."""
        return PRESETS[self.preset]

    @property
    def target_share(self) -> float:
        """The prevalence in force."""
        return self.instrument.prevalence if self.prevalence is None else self.prevalence

    @property
    def repeat_share(self) -> float:
        """The repeat probability in force."""
        return self.instrument.repeats if self.repeats is None else self.repeats

    @property
    def other_shares(self) -> dict[str, float]:
        """Class name and share of all classes but targets and ordinary stars."""
        if self.preset == "ondrejov":
            return {}
        names = ("nebular", "m-dwarf-emission", "quasar", "galaxy", "junk")
        return dict(zip(names, (getattr(self, name) for name in _RATES), strict=True))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.spectra // self.block)

    def rows(self, index: int) -> int:
        """Number of spectra in block `index`."""
        if not 0 <= index < self.blocks:
            raise IndexError(f"block {index} of a survey with {self.blocks} blocks")
        return min(self.block, self.spectra - index * self.block)
