"""SDSS and BOSS ``spec-PLATE-MJD-FIBER.fits``, lite or full: direct reading of the coadd and its catalogue row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Described, Statement, increasing
from emberline.archive.readers.cards import Header
from emberline.archive.readers.fitsfast import Hdu
from emberline.archive.readers.source import Source
from emberline.errors import ReadError
from emberline.spectra import Grid, Mask, Metadata, Spectrum

__all__ = ["SdssReader"]

_STEP = 1e-4  # dex a pixel in every release
_SAME_PIXEL = 0.01  # pixels; loglam is float32, whose last digit is 0.0024 pixels
_DAY = 86400.0

# Bits of SPPIXMASK that spoil a pixel of a coadd. Not among them: what is set for a whole fibre (bit 4, many bad
# columns), near bad pixels (16) and under bright sky (23): there the flux scatters about the pipeline's model as its
# ivar says, and using them would throw away up to half of a good spectrum.
_BAD = 1 << 18 | 1 << 22 | 1 << 24 | 1 << 25 | 1 << 26  # FULLREJECT, NOSKY, NODATA, COMBINEREJ, BADFLUXFACTOR
_SKY = 1 << 27 | 1 << 28  # BADSKYCHI, REDMONSTER


class SdssReader(Described):
    """SDSS, SEGUE, BOSS and eBOSS spectra as the Science Archive Server gives them; only the coadd is read."""

    name = "sdss"
    states = Statement(
        survey="SDSS and BOSS",
        layout="spec-*.fits lite or full: coadd in HDU 1 (flux, loglam, ivar, and_mask, wdisp), catalogue row in HDU 2",
        medium="vacuum (VACUUM = F is refused)",
        velocity_frame="heliocentric",
        flux_unit="1e-17 erg/s/cm2/Angstrom",
        ivar="column ivar",
        mask=(
            "and_mask: FULLREJECT, NOSKY, NODATA, COMBINEREJ, BADFLUXFACTOR, and ivar 0 (flux interpolated) → BAD; "
            "BADSKYCHI, REDMONSTER → SKY; "
            "BRIGHTSKY, NEARBADPIXEL and MANYBADCOLUMNS are good data"
        ),
        identifier="spec-<plate>-<MJD>-<fibre>, as the survey names the file",
        resolving_power="median of 1/(2.355 wdisp × 1e-4 ln 10)",
    )

    def matches(self, source: Source) -> bool:
        """Whether the first header is that of the SDSS telescope and the first table holds loglam."""
        if source.data.find(b"PLUG_RA", 0, 20 * 2880) < 0 or not source.is_fits:
            return False
        fits = source.fits
        return not fits[0].shape and {"FLUX", "LOGLAM", "IVAR"} <= set(fits[1].columns)

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """The coadded spectrum."""
        fits = source.fits
        header, coadd = fits[0].header, fits[1]
        if header.get("VACUUM", True) is not True:
            raise ReadError(
                "the wavelengths are not in vacuum", reason="wrong-frame", found="VACUUM = F", expected="VACUUM = T"
            )
        grid = _grid(np.asarray(coadd.column("LOGLAM"), np.float64), header)
        bits, ivar = np.asarray(coadd.column("AND_MASK"), np.int64), coadd.column("IVAR")
        # Where ivar is 0 the pipeline has interpolated the flux for the look of it: nothing was measured there.
        mask = np.where((bits & _BAD) | (ivar == 0), Mask.BAD, 0) | np.where(bits & _SKY, Mask.SKY, 0)
        meta = _metadata(header, fits[2], _resolving_power(coadd))
        yield Spectrum.checked(grid, coadd.column("FLUX"), ivar, mask.astype(np.uint8), meta)


def _grid(loglam: NDArray[np.float64], header: Header) -> Grid:
    """The logarithmic grid by the column, whose phase the header's COEFF0 must share."""
    if loglam.size < 2:
        raise ReadError("the coadd has no pixels", reason="no-spectrum", found=f"{loglam.size} rows")
    with np.errstate(over="ignore", invalid="ignore"):
        increasing(10.0**loglam)
    start, step = float(loglam[0]), header.number("COEFF1", _STEP)
    first = header.number("COEFF0", start)
    start = first + round((start - first) / step) * step if step > 0 else start
    worst = np.abs(loglam - (start + step * np.arange(loglam.size))).max() / _STEP
    if not worst < _SAME_PIXEL:
        raise ReadError(
            "the column loglam contradicts COEFF0 and COEFF1",
            reason="bad-keyword",
            found=f"loglam from {loglam[0]:.5f} to {loglam[-1]:.5f}, COEFF0 = {first:g}, COEFF1 = {step:g}",
            expected="the same wavelengths",
        )
    return Grid.log10(start, step, loglam.size)


def _resolving_power(coadd: Hdu) -> float:
    """From the line-spread function's sigma in pixels; NaN without one."""
    if "WDISP" not in coadd.columns:
        return math.nan
    sigma = np.asarray(coadd.column("WDISP"), np.float64)
    sigma = sigma[np.isfinite(sigma) & (sigma > 0)]
    if not sigma.size:
        return math.nan
    return float(1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)) * np.median(sigma) * _STEP * math.log(10.0)))


def _metadata(header: Header, row: Hdu, resolving_power: float) -> Metadata:
    def column(name: str, default: Any) -> Any:
        return row.cell(name, default)

    plate, fibre = int(header.number("PLATEID", column("PLATE", -1))), int(header.number("FIBERID", -1))
    if plate < 0 or fibre < 0:
        raise ReadError("the spectrum is not named", reason="bad-keyword", found="no PLATEID and FIBERID")
    night = int(column("MJD", header.need("MJD")))
    return Metadata(
        identifier=f"spec-{plate:04d}-{night}-{fibre:04d}",
        survey=f"SDSS {str(column('SURVEY', '')).upper()}".removesuffix(" SDSS").strip(),
        name=_name(float(column("PLUG_RA", math.nan)), float(column("PLUG_DEC", math.nan))),
        ra=float(column("PLUG_RA", header.number("PLUG_RA"))),
        dec=float(column("PLUG_DEC", header.number("PLUG_DEC"))),
        mjd=_middle(header, night),
        exposure=header.number("EXPTIME"),
        snr=float(column("SN_MEDIAN_ALL", column("SN_MEDIAN", math.nan) or math.nan)),
        survey_class=str(column("CLASS", "")),
        survey_subclass=str(column("SUBCLASS", "")),
        redshift=float(column("Z", math.nan)),
        velocity_frame="heliocentric",
        resolving_power=resolving_power,
        flux_unit="10**-17 erg s**-1 cm**-2 Angstrom**-1",
    )


def _middle(header: Header, night: int) -> float:
    """MJD of the observation (TAI of the first exposure's row in the header); else of the survey's night."""
    begin, end = header.number("TAI-BEG"), header.number("TAI-END")
    if not math.isnan(begin + end):
        return (begin + end) / 2 / _DAY
    tai = header.number("TAI")
    return float(night) if math.isnan(tai) else tai / _DAY


def _name(ra: float, dec: float) -> str:
    """The survey's designation, SDSS JHHMMSS.ss+DDMMSS.s, truncated as the IAU wants it; empty without a position."""
    if math.isnan(ra + dec):
        return ""
    seconds = int(ra % 360 / 15 * 3600 * 100) / 100
    arcsec = int(abs(dec) * 3600 * 10) / 10
    hours, degrees = int(seconds // 3600), int(arcsec // 3600)
    return (
        f"SDSS J{hours:02d}{int(seconds % 3600 // 60):02d}{seconds % 60:05.2f}"
        f"{'-' if dec < 0 else '+'}{degrees:02d}{int(arcsec % 3600 // 60):02d}{arcsec % 60:04.1f}"
    )
