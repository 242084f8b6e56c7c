"""Reader of one-dimensional FITS images whose wavelengths are in the header: linear or logarithmic, air or vacuum."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import (
    Described,
    Statement,
    comfortable,
    degrees,
    linear_grid,
    mjd_of,
    stated_frame,
    stated_medium,
    unit_in_angstrom,
    vacuum_grid,
)
from emberline.archive.readers.cards import Header
from emberline.archive.readers.source import Source
from emberline.errors import ReadError
from emberline.spectra import Grid, Medium, Metadata, Spectrum, VelocityFrame

__all__ = ["Wcs1dReader", "header_grid"]


@dataclasses.dataclass(frozen=True)
class _Axis:
    """The dispersion axis as a header states it: value of the first pixel and step, in `unit` Å, or in log10 Å."""

    start: float
    step: float
    unit: float
    kind: str  # "linear", "log10" (IRAF) or "ln" (FITS -LOG)
    reference: float
    pixel: float


def header_grid(header: Header, n: int, medium: Medium) -> Grid:
    """The vacuum grid of `n` pixels that CRVAL1, CRPIX1, CDELT1 or CD1_1, CTYPE1, CUNIT1 and DC-FLAG describe.

    Raises
    ------
    ReadError
        A keyword is missing (``bad-keyword``), two contradict each other, or the wavelengths make no grid
        (``bad-wavelength``).

    References
    ----------
    Greisen et al. 2006, A&A 446, 747 (FITS paper III; -LOG axes in its section 3.2); Valdes 1993, ASP Conf. Ser. 52,
    467, for DC-FLAG of IRAF.
    """
    axis = _axis(header)
    if axis.kind == "linear":
        return linear_grid(axis.start * axis.unit, axis.step * axis.unit, n, medium)
    pixels = np.arange(n, dtype=np.float64)
    with np.errstate(over="ignore"):
        if axis.kind == "log10":
            if axis.step > 0 and medium == "vacuum" and axis.unit == 1.0 and axis.start < 8:
                return Grid.log10(axis.start, axis.step, n)
            wavelength = axis.unit * 10.0 ** (axis.start + axis.step * pixels)
        else:
            offset = (pixels + 1 - axis.pixel) * axis.step / axis.reference
            wavelength = axis.unit * axis.reference * np.exp(offset)
    return vacuum_grid(wavelength, medium)


def _axis(header: Header) -> _Axis:
    reference, pixel, step = header.need("CRVAL1"), header.need("CRPIX1"), _step(header)
    if step <= 0:
        raise ReadError("wavelengths do not increase", reason="bad-wavelength", found=f"a step of {step:g}")
    ctype = header.text("CTYPE1").upper()
    flag = header.get("DC-FLAG")
    fits_log = ctype in ("WAVE-LOG", "AWAV-LOG")
    if flag not in (None, 0, 1) or (flag == 0 and fits_log):
        raise ReadError(
            "the kind of dispersion is not clear",
            reason="bad-keyword",
            found=f"DC-FLAG = {flag} and CTYPE1 = '{ctype}'",
            expected="DC-FLAG 0 (linear) or 1 (log10)",
        )
    kind = "ln" if fits_log else "log10" if flag == 1 else "linear"
    return _Axis(reference + (1.0 - pixel) * step, step, _unit(header, ctype), kind, reference, pixel)


def _refuse_other_axes(header: Header) -> None:
    ctype = header.text("CTYPE1").upper()
    if ctype[:4] in ("FREQ", "ENER", "WAVN", "VELO", "VRAD", "VOPT", "ZOPT", "BETA"):
        raise ReadError(
            "the axis is no wavelength", reason="bad-keyword", found=f"CTYPE1 = '{ctype}'", expected="a wavelength"
        )


def _step(header: Header) -> float:
    """CDELT1 or CD1_1; they must agree when both are there (but CDELT1 = 1 beside CD1_1 is some writers' default)."""
    cdelt, cd = header.number("CDELT1"), header.number("CD1_1")
    if math.isnan(cdelt) and math.isnan(cd):
        raise ReadError(
            "the step is missing", reason="bad-keyword", found="no CDELT1, no CD1_1", expected="one of them"
        )
    if not math.isnan(cdelt + cd) and cdelt != 1.0 and abs(cdelt - cd) > 1e-6 * abs(cd):
        raise ReadError(
            "the step is stated twice and differently",
            reason="bad-keyword",
            found=f"CDELT1 = {cdelt:.10g} and CD1_1 = {cd:.10g}",
            expected="equal values",
        )
    return cdelt if math.isnan(cd) else cd


def _unit(header: Header, ctype: str) -> float:
    """Ångström per unit: CUNIT1, else IRAF's WAT1, else a unit as CTYPE1; FITS says metre for WAVE and AWAV, IRAF Å."""
    unit = header.text("CUNIT1")
    if unit:
        return unit_in_angstrom(unit, "CUNIT1")
    words = (header.text("WAT1_001") + " ").partition("units=")[2].split()
    if words:
        return unit_in_angstrom(words[0], "WAT1_001")
    return 1e10 if ctype[:4] in ("WAVE", "AWAV") and len(ctype) in (4, 8) else 1.0


class Wcs1dReader(Described):
    """The general case, and the base of surveys that store their spectra so: each fills in what its files leave out."""

    name = "wcs1d"
    survey = ""
    medium: Medium | None = None
    velocity_frame: VelocityFrame = "unknown"
    states = Statement(
        survey="any",
        layout="FITS image of one row, wavelengths by CRVAL1, CRPIX1, CDELT1 or CD1_1, CUNIT1, DC-FLAG",
        medium="by header (VACUUM, AIRORVAC, CTYPE1 WAVE or AWAV); refused when none says it",
        velocity_frame="by header (SPECSYS), else unknown",
        flux_unit="BUNIT",
        ivar="estimated from the scatter",
        mask="none",
        identifier="the file's name without suffixes",
        resolving_power="SPEC_RES where given",
    )

    def matches(self, source: Source) -> bool:
        """Whether the primary array is one row with CRVAL1."""
        if not source.is_fits:
            return False
        first = source.fits[0]
        return bool(first.shape) and math.prod(first.shape[:-1]) == 1 and "CRVAL1" in first.header

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """One spectrum from the primary array."""
        first = source.fits[0]
        if not first.shape or math.prod(first.shape[:-1]) != 1:
            raise ReadError(
                "the primary array is no single spectrum",
                reason="no-spectrum",
                found=f"shape {first.shape}",
                expected="one row of pixels",
            )
        header = first.header
        _refuse_other_axes(header)
        medium = stated_medium(header, self.medium)
        flux = self.flux(first.image().reshape(-1))
        meta = self.metadata(header, source, medium)
        factor, unit = comfortable(flux, meta.flux_unit)
        meta = dataclasses.replace(meta, flux_unit=unit)
        yield Spectrum.checked(header_grid(header, flux.size, medium), flux * factor, None, None, meta)

    def flux(self, values: NDArray[Any]) -> NDArray[Any]:
        """The flux with the survey's own words for "no data" turned into NaN."""
        return values

    def metadata(self, header: Header, source: Source, medium: Medium) -> Metadata:
        """What the header says of the spectrum, by the usual keywords."""
        exposure = header.number("EXPTIME", header.number("TEXPTIME"))
        return Metadata(
            identifier=self.identifier(header, source),
            survey=self.survey or header.text("INSTRUME"),
            name=header.text("OBJECT"),
            ra=degrees(header.get("RA", ""), hours=True),
            dec=degrees(header.get("DEC", "")),
            mjd=middle_of_exposure(header, exposure),
            exposure=exposure,
            snr=header.number("SNR"),
            medium=medium,
            velocity_frame=stated_frame(header, self.velocity_frame),
            resolving_power=header.number("SPEC_RES"),
            flux_unit=header.text("BUNIT"),
        )

    def identifier(self, header: Header, source: Source) -> str:
        """What the survey calls this spectrum."""
        return source.stem


def middle_of_exposure(header: Header, exposure: float) -> float:
    """MJD of the middle of the exposure from TMID, MJD-OBS and EXPTIME, or DATE-OBS; NaN when nothing says it."""
    middle = header.number("TMID")
    if not math.isnan(middle):
        return middle
    start = header.number("MJD-OBS")
    if math.isnan(start):
        start = mjd_of(header.text("DATE-OBS"))
    return start if math.isnan(exposure) else start + exposure / 2 / 86400
