"""LAMOST medium resolution: every exposure of both arms, and the two coadded arms, as spectra of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Described, Statement, increasing, located, or_nan
from emberline.archive.readers.cards import Header
from emberline.archive.readers.fitsfast import Hdu
from emberline.archive.readers.lamost import BEIJING, bad_pixels, middle, velocity_frame
from emberline.archive.readers.source import Source
from emberline.errors import ReadError
from emberline.spectra import Grid, Metadata, Spectrum

__all__ = ["LamostMrsReader"]

_STEP = 1e-5  # dex a pixel in the coadded arms
_SAME_PIXEL = 0.05  # pixels; LOGLAM is float32, whose last digit is 0.024 pixels


class LamostMrsReader(Described):
    """LAMOST medium-resolution files ``med-*.fits``: one table per exposure and arm, and one per coadded arm."""

    name = "lamost-mrs"
    states = Statement(
        survey="LAMOST MRS",
        layout="tables COADD_B, COADD_R and B-<minute>, R-<minute> with FLUX, IVAR, LOGLAM",
        medium="vacuum (VACUUM = F is refused)",
        velocity_frame="heliocentric (HELIO = T), else topocentric",
        flux_unit="counts, not flux-calibrated",
        ivar="IVAR",
        mask="ANDMASK of coadds, PIXMASK of exposures not 0 → BAD",
        identifier="med-<LMJD>-<PLANID>_sp<SPID>-<FIBERID>-<table>, for example …-COADD_R or …-B-83908922",
        resolving_power="7500",
    )

    def matches(self, source: Source) -> bool:
        """Whether the first header is LAMOST's and a table of an arm follows."""
        if source.data.find(b"'LAMOST", 0, 8 * 2880) < 0 or not source.is_fits:
            return False
        first = source.fits[0]
        return first.header.text("TELESCOP") == "LAMOST" and not first.shape and first.name == "INFORMATION"

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """The coadded arms and the exposures, in the file's order."""
        header, count = source.fits[0].header, 0
        if header.get("VACUUM", True) is not True:
            raise ReadError(
                "the wavelengths are not in vacuum", reason="wrong-frame", found="VACUUM = F", expected="VACUUM = T"
            )
        for hdu in source.fits:
            if not {"FLUX", "IVAR", "LOGLAM"} <= set(hdu.columns):
                continue
            count += 1
            try:
                yield _spectrum(hdu, header)
            except ReadError as error:
                yield located(error, hdu.name)
        if not count:
            raise ReadError("no table holds an arm", reason="no-spectrum", expected="FLUX, IVAR and LOGLAM")


def _spectrum(hdu: Hdu, primary: Header) -> Spectrum:
    flux, ivar, loglam = (hdu.column(name).reshape(-1) for name in ("FLUX", "IVAR", "LOGLAM"))
    names = [name for name in ("ANDMASK", "PIXMASK") if name in hdu.columns]
    mask = bad_pixels(hdu.column(names[0]).reshape(-1)) if names else None
    # The red exposures are stored from long to short wavelengths, all others from short to long.
    back = slice(None, None, -1 if loglam.size > 1 and loglam[0] > loglam[-1] else 1)
    grid = _grid(np.asarray(loglam[back], np.float64))
    return Spectrum.checked(grid, flux[back], ivar[back], None if mask is None else mask[back], _metadata(hdu, primary))


def _grid(loglam: NDArray[np.float64]) -> Grid:
    """The coadds' even sampling, or the exposures' own wavelengths."""
    with np.errstate(over="ignore", invalid="ignore"):
        wavelength = increasing(10.0**loglam)
    even = round(float(loglam[0]) / _STEP) * _STEP + _STEP * np.arange(loglam.size)
    if np.abs(loglam - even).max() < _SAME_PIXEL * _STEP:
        return Grid.log10(float(even[0]), _STEP, loglam.size)
    return Grid(wavelength)


def _metadata(hdu: Hdu, primary: Header) -> Metadata:
    minute = hdu.header.number("LMJM")
    exposure = hdu.header.number("EXPTIME")
    when = middle(primary)
    if not math.isnan(minute):  # local modified Julian minute of the start
        when = minute / 1440 - BEIJING + (0.0 if math.isnan(exposure) else exposure / 2 / 86400)
    name = (
        f"med-{int(primary.need('LMJD'))}-{primary.text('PLANID')}_sp{int(primary.need('SPID')):02d}"
        f"-{int(primary.need('FIBERID')):03d}-{hdu.name}"
    )
    return Metadata(
        identifier=name,
        survey=f"{primary.text('DATA_V') or 'LAMOST'} MRS",
        name=primary.text("DESIG"),
        ra=primary.number("RA"),
        dec=primary.number("DEC"),
        mjd=when,
        exposure=exposure,
        snr=or_nan(hdu.header.number("SNR"), -9999.0),
        survey_class=primary.text("CLASS"),
        survey_subclass=primary.text("SUBCLASS"),
        redshift=or_nan(primary.number("Z"), -9999.0),
        velocity_frame=velocity_frame(primary),
        resolving_power=7500.0,
        flux_unit="",
    )
