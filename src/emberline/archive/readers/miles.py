"""Stellar libraries with a linear wavelength scale in air and at rest: MILES and Indo-US."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Statement, degrees
from emberline.archive.readers.cards import Header
from emberline.archive.readers.source import Source
from emberline.archive.readers.wcs1d import Wcs1dReader
from emberline.spectra import Medium, Metadata

__all__ = ["IndoUsReader", "MilesReader"]


class MilesReader(Wcs1dReader):
    """The MILES library. Its files name neither star nor medium: both are documented elsewhere."""

    name = "miles"
    survey = "MILES"
    medium = "air"
    velocity_frame = "rest"
    states = Statement(
        survey="MILES",
        layout="FITS image of one row with TPLLIB = 'MILES', CRVAL1 and CDELT1",
        medium="air, by the library's documentation (a header that says VACUUM is refused)",
        velocity_frame="rest: the library is shifted to zero velocity",
        flux_unit="relative, flux-calibrated",
        ivar="estimated from the scatter",
        mask="none",
        identifier="miles-m<number>V, from the file's name",
        resolving_power="central wavelength / FWHM of 2.5 Å, about 2200",
    )

    def matches(self, source: Source) -> bool:
        """Whether TPLLIB is MILES."""
        return super().matches(source) and source.fits[0].header.text("TPLLIB").upper() == "MILES"

    def metadata(self, header: Header, source: Source, medium: Medium) -> Metadata:
        """As in general; the resolving power from the constant FWHM at the centre of the coverage."""
        meta = super().metadata(header, source, medium)
        middle = header.need("CRVAL1") + header.need("CDELT1") * header.need("NAXIS1") / 2
        name = f"MILES {meta.identifier.removeprefix('miles-')}"
        power = middle / header.number("FWHM", 2.5)
        return dataclasses.replace(meta, name=name, redshift=0.0, resolving_power=power)

    def identifier(self, header: Header, source: Source) -> str:
        """``miles-m0001V``."""
        number = re.search(r"m\d{4}V", source.stem)
        return f"miles-{number.group() if number else source.stem}"


class IndoUsReader(Wcs1dReader):
    """The Indo-US library of coudé feed spectra; pixels of a gap between settings hold 0.0001."""

    name = "indo-us"
    survey = "Indo-US"
    medium = "air"
    velocity_frame = "rest"
    states = Statement(
        survey="Indo-US",
        layout="IRAF image of one row from the coudé feed (TELESCOP = 'kpcdf'), CRVAL1 and CDELT1",
        medium="air, by the library's documentation",
        velocity_frame="rest: lines are found at zero velocity",
        flux_unit="relative",
        ivar="estimated from the scatter",
        mask="flux 0.0001 or less (gaps between settings) → NO_DATA",
        identifier="indo-us-<OBJECT>",
        resolving_power="central wavelength / FWHM of 1 Å, about 6500 (Valdes et al. 2004, ApJS 152, 251)",
    )

    def matches(self, source: Source) -> bool:
        """Whether the telescope is the coudé feed and the library's own keywords are there."""
        if not super().matches(source):
            return False
        header = source.fits[0].header
        return header.text("TELESCOP") == "kpcdf" and "PICKTYPE" in header

    def flux(self, values: NDArray[Any]) -> NDArray[Any]:
        """Without the gaps."""
        return np.where(values <= 1.00001e-4, np.nan, values)

    def metadata(self, header: Header, source: Source, medium: Medium) -> Metadata:
        """As in general, with the library's own keywords for name, position, type and date."""
        meta = super().metadata(header, source, medium)
        return dataclasses.replace(
            meta,
            name=header.text("OBJNAME") or header.text("OBJECT"),
            ra=degrees(header.text("OBJRA"), hours=True),
            dec=degrees(header.text("OBJDEC")),
            mjd=header.number("HJD") - 2400000.5,
            survey_class="STAR",
            survey_subclass=header.text("SPTYPE"),
            redshift=0.0,
            resolving_power=(header.need("CRVAL1") + header.need("CDELT1") * header.need("NAXIS1") / 2) / 1.0,
        )

    def identifier(self, header: Header, source: Source) -> str:
        """``indo-us-154660``."""
        return f"indo-us-{header.text('OBJECT') or source.stem}"
