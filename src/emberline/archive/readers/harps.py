"""HARPS one-dimensional spectra: the pipeline's S1D images and their ESO Phase 3 tables; in air, barycentric."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Statement, increasing, ivar_from_error, vacuum_grid
from emberline.archive.readers.cards import Header
from emberline.archive.readers.source import Source
from emberline.archive.readers.wcs1d import Wcs1dReader
from emberline.errors import ReadError
from emberline.spectra import Medium, Metadata, Spectrum

__all__ = ["HarpsReader"]


class HarpsReader(Wcs1dReader):
    """HARPS S1D. The pixels between the two detectors are exactly zero and become `Mask.NO_DATA`."""

    name = "harps"
    survey = "HARPS"
    medium = "air"
    velocity_frame = "barycentric"
    states = Statement(
        survey="HARPS",
        layout="S1D image (CRVAL1, CDELT1), or ESO Phase 3 table WAVE, FLUX, ERR",
        medium="air, also in Phase 3 tables, whose UCD em.wl would mean vacuum",
        velocity_frame="barycentric",
        flux_unit="relative, blaze-corrected",
        ivar="column ERR; estimated from the scatter where it is NaN, as in S1D",
        mask="flux exactly 0 (between the detectors, about 5304 to 5337 Å) → NO_DATA",
        identifier="the archive's name HARPS.<start of exposure>, with -adp for Phase 3 products",
        resolving_power="115000",
    )

    def matches(self, source: Source) -> bool:
        """Whether the instrument is HARPS and there is one row of pixels, or a table WAVE, FLUX."""
        if not source.is_fits or source.fits[0].header.text("INSTRUME") != "HARPS":
            return False
        first = source.fits[0]
        return super().matches(source) if first.shape else {"WAVE", "FLUX"} <= set(source.fits[1].columns)

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """The one spectrum of the file."""
        if source.fits[0].shape:
            yield from super().read(source)
            return
        header, table = source.fits[0].header, source.fits[1]
        wave, flux = (table.column(name).reshape(-1) for name in ("WAVE", "FLUX"))
        error = table.column("ERR").reshape(-1) if "ERR" in table.columns else np.full(flux.shape, math.nan)
        wavelength = increasing(np.asarray(wave, np.float64))
        meta = self.metadata(header, source, "air")
        grid = vacuum_grid(wavelength, "air")
        yield Spectrum.checked(grid, self.flux(flux), ivar_from_error(error), None, meta)

    def flux(self, values: NDArray[Any]) -> NDArray[Any]:
        """Without the gap between the detectors."""
        return np.where(values == 0, np.nan, values).astype(np.float32)

    def metadata(self, header: Header, source: Source, medium: Medium) -> Metadata:
        """As in general, with the spectrograph's resolving power where the header is silent."""
        meta = super().metadata(header, source, medium)
        power = 115000.0 if math.isnan(meta.resolving_power) else meta.resolving_power
        return dataclasses.replace(meta, resolving_power=power, flux_unit="")

    def identifier(self, header: Header, source: Source) -> str:
        """``HARPS.2012-03-24T08:37:45.581``."""
        suffix = "-adp" if header.text("PRODCATG") else ""
        return f"HARPS.{header.text('DATE-OBS')}{suffix}" if header.text("DATE-OBS") else source.stem
