"""The general reader of one-dimensional images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from spectrum_files import N, flux, image, packed, rejection

from emberline.archive.readers import detect, read
from emberline.spectra import air_to_vacuum


def test_linear_in_air() -> None:
    source = image(OBJECT="a star", EXPTIME=60.0, RA="12:30:00", DEC="-01:30:00", SPECSYS="BARYCENT", BUNIT="Jy")
    assert detect(source).name == "wcs1d"
    (spectrum,) = read(source)
    np.testing.assert_allclose(spectrum.wavelength, air_to_vacuum(6500 + 0.25 * np.arange(N)), rtol=1e-12)
    np.testing.assert_array_equal(spectrum.flux, flux())
    meta = spectrum.meta
    assert (meta.identifier, meta.name, meta.medium, meta.velocity_frame) == ("star", "a star", "air", "barycentric")
    assert (meta.ra, meta.dec, meta.exposure, meta.flux_unit) == (187.5, -1.5, 60.0, "Jy")
    assert meta.ivar_source == "estimated"


@settings(max_examples=25, deadline=None)
@given(st.floats(3000, 9000), st.floats(0.01, 2), st.integers(-50, 600), st.sampled_from(["Angstrom", "nm", "m"]))
def test_wavelengths_are_those_of_wcslib(start: float, step: float, pixel: int, unit: str) -> None:
    scale = {"Angstrom": 1.0, "nm": 0.1, "m": 1e-10}[unit]
    start += max(0, pixel) * step
    keywords = {"CRVAL1": start * scale, "CRPIX1": float(pixel), "CDELT1": step * scale, "CUNIT1": unit}
    (spectrum,) = read(image(CTYPE1="WAVE", **keywords))
    wcs = WCS(fits.Header({"NAXIS": 1, "CTYPE1": "WAVE", **keywords}))
    np.testing.assert_allclose(spectrum.wavelength, wcs.all_pix2world(np.arange(N), 0)[0] * 1e10, rtol=1e-10)


def test_fits_logarithmic_axes_are_those_of_wcslib() -> None:
    keywords = {"CTYPE1": "WAVE-LOG", "CRVAL1": 5e-7, "CRPIX1": 20.0, "CDELT1": 2e-11, "CUNIT1": "m"}
    (spectrum,) = read(image(**keywords))
    wcs = WCS(fits.Header({"NAXIS": 1, **keywords}))
    np.testing.assert_allclose(spectrum.wavelength, wcs.all_pix2world(np.arange(N), 0)[0] * 1e10, rtol=1e-9)


def test_iraf_logarithmic_axes_are_in_log10() -> None:
    keywords = {"CTYPE1": "LINEAR", "CUNIT1": None, "CRVAL1": 3.7, "CDELT1": 1e-4, "DC__FLAG": 1, "AIRORVAC": "vac"}
    (spectrum,) = read(image(**keywords))
    np.testing.assert_allclose(spectrum.wavelength, 10 ** (3.7 + 1e-4 * np.arange(N)), rtol=1e-9)
    assert spectrum.grid.step == 1e-4
    (air,) = read(image(**{**keywords, "AIRORVAC": "air"}))
    np.testing.assert_allclose(air.wavelength, air_to_vacuum(spectrum.wavelength), rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"CRVAL1": None, "CRVAL2": 1.0}, "no-spectrum", "no reader"),
        ({"CRPIX1": None}, "bad-keyword", "CRPIX1"),
        ({"CDELT1": None}, "bad-keyword", "no CDELT1, no CD1_1"),
        ({"CDELT1": 0.25, "CD1_1": 0.5}, "bad-keyword", "CDELT1 = 0.25 and CD1_1 = 0.5"),
        ({"CDELT1": -0.25}, "bad-wavelength", "increase"),
        ({"CDELT1": 0.0}, "bad-wavelength", "increase"),
        ({"CRVAL1": "x"}, "bad-keyword", "CRVAL1"),
        ({"CUNIT1": "furlong"}, "bad-keyword", "furlong"),
        ({"CUNIT1": None}, "bad-wavelength", "unit may be wrong"),
        ({"CTYPE1": "FREQ"}, "bad-keyword", "no wavelength"),
        ({"CTYPE1": "LINEAR"}, "wrong-frame", "neither air nor vacuum"),
        ({"VACUUM": True}, "wrong-frame", "VACUUM = T and CTYPE1 = 'AWAV'"),
        ({"AIRORVAC": "vacuum"}, "wrong-frame", "AIRORVAC = 'vacuum' and CTYPE1 = 'AWAV'"),
        ({"DC__FLAG": 7}, "bad-keyword", "DC-FLAG = 7"),
        ({"DC__FLAG": -1}, "bad-keyword", "DC-FLAG = -1"),
        ({"CTYPE1": "AWAV-LOG", "DC__FLAG": 0}, "bad-keyword", "DC-FLAG = 0 and CTYPE1 = 'AWAV-LOG'"),
        ({"DC__FLAG": 1}, "bad-wavelength", "finite"),
    ],
)
def test_missing_and_contradictory_keywords(changes: dict[str, Any], reason: str, words: str) -> None:
    error = rejection(image(**changes))
    assert error.reason == reason
    assert words in str(error)


@pytest.mark.parametrize("values", [np.full(N, np.nan), np.zeros(N), np.full(N, 3.0)])
def test_flux_without_a_signal(values: Any) -> None:
    assert rejection(image(values.astype(np.float32))).reason == "bad-flux"


def test_an_image_with_many_rows_is_no_spectrum() -> None:
    header = fits.Header({"CRVAL1": 1.0, "CTYPE1": "AWAV"})
    source = packed([fits.PrimaryHDU(np.ones((5, 5)), header)])
    assert rejection(source).reason == "no-spectrum"
    assert rejection(source, "wcs1d").reason == "no-spectrum"
