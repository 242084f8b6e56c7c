"""AAOmega spectra as 2dfdr writes them: rows of fibres with variance, linear or logarithmic, in air or vacuum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Described, Statement, located, stated_medium, vacuum_grid
from emberline.archive.readers.cards import Header
from emberline.archive.readers.fitsfast import FitsFile, Hdu
from emberline.archive.readers.source import Source
from emberline.archive.readers.wcs1d import header_grid
from emberline.errors import ReadError
from emberline.spectra import Grid, Medium, Metadata, Spectrum

__all__ = ["AaomegaReader"]


class AaomegaReader(Described):
    """2dfdr frames: one spectrum a fibre; the WAVELENGTH extension counts more than the header where it is there."""

    name = "aaomega"
    states = Statement(
        survey="AAOmega (2dF)",
        layout="image of one row a fibre, extensions VARIANCE, FIBRES and optionally WAVELENGTH",
        medium="vacuum when VACUUM = T, else air",
        velocity_frame="topocentric: DO_HELIO and DO_CMB ask a redshift program for a correction and shift nothing",
        flux_unit="counts",
        ivar="1/variance; pixels whose variance is NaN, 0 or negative have no weight",
        mask="none",
        identifier="aaomega-<file>-<fibre's number>-<fibre's NAME>",
        resolving_power="not stated",
    )

    def matches(self, source: Source) -> bool:
        """Whether 2dfdr wrote it and it has a variance."""
        if not source.is_fits or "TDFDRVER" not in source.fits[0].header:
            return False
        return source.fits.named("VARIANCE") is not None

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """One spectrum for each fibre, sky fibres included."""
        fits = source.fits
        flux = np.atleast_2d(fits[0].image())
        variance = np.atleast_2d(_extension(fits, "VARIANCE").image())
        fibres = _extension(fits, "FIBRES")
        if flux.shape != variance.shape or flux.shape[0] != fibres.shape[0]:
            raise ReadError(
                "flux, variance and fibres differ in number",
                reason="no-spectrum",
                found=f"{flux.shape}, {variance.shape}, {fibres.shape[0]} fibres",
                expected="one row each",
            )
        header = fits[0].header
        medium = stated_medium(header, "air")
        grids = _grids(fits, header, medium, flux.shape)
        for row, grid in enumerate(grids):
            try:
                meta = _metadata(header, fibres, row, source.stem, medium)
                yield Spectrum.checked(grid, flux[row], _ivar(variance[row]), None, meta)
            except ReadError as error:
                yield located(error, f"fibre {row + 1}")


def _extension(fits: FitsFile, name: str) -> Hdu:
    hdu = fits.named(name)
    if hdu is None:
        raise ReadError(f"the extension {name} is missing", reason="no-spectrum", expected=name)
    return hdu


def _grids(fits: FitsFile, header: Header, medium: Medium, shape: tuple[int, ...]) -> list[Grid]:
    """A grid per fibre: the WAVELENGTH extension (log10 when LOGSCALE says so), else the header for all."""
    hdu = fits.named("WAVELENGTH")
    if hdu is None:
        return [header_grid(header, shape[1], medium)] * shape[0]
    rows = np.atleast_2d(np.asarray(hdu.image(), np.float64))
    if rows.shape != shape:
        raise ReadError("wavelengths and flux differ", reason="no-spectrum", found=f"{rows.shape}", expected=f"{shape}")
    logarithmic = header.get("LOGSCALE") is True
    if logarithmic != bool(np.nanmax(rows) < 10.0):
        raise ReadError(
            "LOGSCALE contradicts the wavelengths",
            reason="bad-keyword",
            found=f"LOGSCALE = {header.get('LOGSCALE')} and wavelengths up to {np.nanmax(rows):g}",
            expected="log10 of ångström with LOGSCALE = T, ångström without",
        )
    first = vacuum_grid(10.0 ** rows[0] if logarithmic else rows[0], medium)
    return [
        first if np.array_equal(row, rows[0]) else vacuum_grid(10.0**row if logarithmic else row, medium)
        for row in rows
    ]


def _ivar(variance: NDArray[Any]) -> NDArray[np.float64]:
    """2dfdr leaves a few pixels with a variance below zero where frames are spliced: they carry no information."""
    values = np.asarray(variance, np.float64)
    good = np.isfinite(values) & (values > 0)
    ivar = np.zeros(values.shape)
    ivar[good] = 1.0 / values[good]
    return ivar


def _metadata(header: Header, fibres: Hdu, row: int, stem: str, medium: Medium) -> Metadata:
    name = bytes(fibres.column("NAME")[row]).rstrip(b"\0 ").decode("latin-1").strip()
    kind = bytes(fibres.column("TYPE")[row]).decode("latin-1").strip()
    return Metadata(
        identifier=f"aaomega-{stem}-{row + 1:03d}-{name}",
        survey="AAOmega",
        name=name,
        ra=math.degrees(float(fibres.column("RA")[row])),
        dec=math.degrees(float(fibres.column("DEC")[row])),
        mjd=header.number("UTMJD"),
        exposure=header.number("EXPOSED"),
        survey_class="SKY" if kind == "S" else "",
        medium=medium,
        velocity_frame="topocentric",
        flux_unit="",
    )
