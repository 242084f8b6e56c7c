"""DESI coadds: the three arms of each target combined, without resampling, into one spectrum."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Described, Statement, increasing, located
from emberline.archive.readers.fitsfast import FitsFile, Hdu
from emberline.archive.readers.source import Source
from emberline.errors import ReadError
from emberline.spectra import Grid, Mask, Metadata, Spectrum

__all__ = ["DesiReader"]

_ARMS = "BRZ"


@dataclasses.dataclass(frozen=True)
class _Arm:
    """One camera: where its pixels lie in the common grid, and its arrays of shape (targets, pixels)."""

    part: slice
    flux: NDArray[Any]
    ivar: NDArray[Any]
    mask: NDArray[Any] | None


class DesiReader(Described):
    """DESI ``coadd-*.fits``. All arms lie on one grid of 0.8 Å; where two overlap they are weighted by ivar."""

    name = "desi"
    states = Statement(
        survey="DESI",
        layout="coadd-*.fits: B, R, Z arms as <arm>_WAVELENGTH, _FLUX, _IVAR, _MASK, and FIBERMAP; one spectrum a row",
        medium="vacuum",
        velocity_frame="barycentric",
        flux_unit="1e-17 erg/s/cm2/Angstrom",
        ivar="<arm>_IVAR; arms are combined by it where they overlap",
        mask="<arm>_MASK not 0: no weight in the overlap, BAD where no arm is left",
        identifier="desi-<TARGETID>",
        resolving_power="by R_RESOLUTION at the middle of the red arm; unknown without",
    )

    def matches(self, source: Source) -> bool:
        """Whether there is a fibre map and an arm."""
        if source.data.find(b"FIBERMAP", 0) < 0 or not source.is_fits:
            return False
        fits = source.fits
        arms = any(fits.named(f"{arm}_WAVELENGTH") is not None for arm in _ARMS)
        return arms and fits.named("FIBERMAP") is not None

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """One spectrum for each row of FIBERMAP, sky fibres included."""
        fits = source.fits
        fibermap = fits.named("FIBERMAP")
        if fibermap is None:
            raise ReadError("has no table FIBERMAP", reason="no-spectrum", expected="FIBERMAP")
        wavelengths = {arm: _wavelength(hdu) for arm in _ARMS if (hdu := fits.named(f"{arm}_WAVELENGTH")) is not None}
        if not wavelengths:
            raise ReadError("has no arm", reason="no-spectrum", expected="B_WAVELENGTH, R_WAVELENGTH or Z_WAVELENGTH")
        grid = _common_grid(wavelengths)
        arms = [_arm(fits, arm, wavelength, grid) for arm, wavelength in wavelengths.items()]
        power = _resolving_power(fits, wavelengths.get("R"))
        targets = fibermap.shape[0]
        for arm in arms:
            if arm.flux.shape[0] != targets:
                raise ReadError(
                    "spectra and FIBERMAP differ in number",
                    reason="no-spectrum",
                    found=f"{arm.flux.shape[0]} spectra, {targets} rows",
                    expected="equal numbers",
                )
        for row in range(targets):
            meta = _metadata(fibermap, row, power)
            try:
                yield Spectrum.checked(grid, *_combined(arms, row, grid.n), meta)
            except ReadError as error:
                yield located(error, meta.identifier)


def _wavelength(hdu: Hdu) -> NDArray[np.float64]:
    return increasing(np.asarray(hdu.image(), np.float64).reshape(-1))


def _common_grid(wavelengths: dict[str, NDArray[np.float64]]) -> Grid:
    """The even grid on which all arms lie.

    Raises
    ------
    ReadError
        The arms are sampled differently, so that combining them would need resampling.
    """
    first = min(wave[0] for wave in wavelengths.values())
    last = max(wave[-1] for wave in wavelengths.values())
    step = float(np.median(np.diff(next(iter(wavelengths.values())))))
    grid = Grid.linear(first, step, round((last - first) / step) + 1)
    for arm, wave in wavelengths.items():
        start = round((wave[0] - first) / step)
        part = grid.wavelength[start : start + wave.size]
        if part.size != wave.size or np.abs(part - wave).max() > 0.01 * step:
            raise ReadError(
                f"the arm {arm} is not sampled like the others",
                reason="bad-wavelength",
                found=f"{wave[0]:.3f} to {wave[-1]:.3f} Å in {wave.size} pixels",
                expected=f"steps of {step:g} Å from {first:g} Å",
            )
    return grid


def _arm(fits: FitsFile, name: str, wavelength: NDArray[np.float64], grid: Grid) -> _Arm:
    arrays = {}
    for what in ("FLUX", "IVAR", "MASK"):
        hdu = fits.named(f"{name}_{what}")
        if hdu is None and what != "MASK":
            raise ReadError(f"has no {name}_{what}", reason="no-spectrum", expected=f"{name}_{what}")
        if hdu is not None and (len(hdu.shape) != 2 or hdu.shape[1] != wavelength.size):
            raise ReadError(
                f"{name}_{what} and {name}_WAVELENGTH differ in length",
                reason="no-spectrum",
                found=f"shape {hdu.shape}",
                expected=f"(targets, {wavelength.size})",
            )
        arrays[what] = None if hdu is None else hdu.image()
    start = int(np.searchsorted(grid.wavelength, wavelength[0] - 0.1))
    flux, ivar = arrays["FLUX"], arrays["IVAR"]
    assert flux is not None
    assert ivar is not None
    return _Arm(slice(start, start + wavelength.size), flux, ivar, arrays["MASK"])


def _combined(arms: list[_Arm], row: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Flux, ivar and mask of one target: the ivar-weighted mean of the arms' good pixels."""
    weighted, weight, bad = np.zeros(n), np.zeros(n), np.zeros(n, bool)
    for arm in arms:
        flux, ivar = np.asarray(arm.flux[row], np.float64), np.asarray(arm.ivar[row], np.float64)
        if (ivar < 0).any():
            raise ReadError(
                "inverse variances are negative", reason="bad-ivar", found=f"{ivar.min():g}", expected="zero or more"
            )
        masked = np.zeros(ivar.shape, bool) if arm.mask is None else arm.mask[row] != 0
        good = ~masked & np.isfinite(flux) & np.isfinite(ivar)
        weighted[arm.part] += np.where(good, flux * ivar, 0.0)
        weight[arm.part] += np.where(good, ivar, 0.0)
        bad[arm.part] |= masked
    flux = np.divide(weighted, weight, out=np.zeros(n), where=weight > 0)
    mask = np.where(bad & (weight == 0), np.uint8(Mask.BAD), np.uint8(0))
    return flux, weight, mask


def _resolving_power(fits: FitsFile, wavelength: NDArray[np.float64] | None) -> float:
    """λ/FWHM from the band of the resolution matrix at the middle of the red arm, of its first target."""
    hdu = fits.named("R_RESOLUTION")
    if hdu is None or wavelength is None or len(hdu.shape) != 3 or not hdu.shape[0]:
        return math.nan
    middle = wavelength.size // 2
    band = np.asarray(hdu.image()[0, :, middle], np.float64)
    offsets = np.arange(band.size) - band.size // 2
    total = band.sum()
    if not total > 0:
        return math.nan
    variance = float((band * offsets**2).sum() / total - ((band * offsets).sum() / total) ** 2)
    if variance <= 0:
        return math.nan
    step = float(wavelength[middle] - wavelength[middle - 1])
    return float(wavelength[middle] / (2.0 * math.sqrt(2.0 * math.log(2.0) * variance) * step))


def _metadata(fibermap: Hdu, row: int, power: float) -> Metadata:
    columns = set(fibermap.columns)

    def value(*names: str) -> float:
        name = next((name for name in names if name in columns), None)
        return math.nan if name is None else float(fibermap.column(name)[row])

    kind = ""
    if "OBJTYPE" in columns:
        kind = bytes(fibermap.column("OBJTYPE")[row]).rstrip(b"\0 ").decode("latin-1").strip()
    target = int(fibermap.column("TARGETID")[row])
    return Metadata(
        identifier=f"desi-{target}",
        survey="DESI",
        name=f"DESI {target}",
        ra=value("TARGET_RA", "MEAN_FIBER_RA"),
        dec=value("TARGET_DEC", "MEAN_FIBER_DEC"),
        mjd=value("MEAN_MJD", "MJD"),
        exposure=value("COADD_EXPTIME", "EXPTIME"),
        survey_class="SKY" if kind == "SKY" else "",
        velocity_frame="barycentric",
        resolving_power=power,
        flux_unit="10**-17 erg s**-1 cm**-2 Angstrom**-1",
    )
