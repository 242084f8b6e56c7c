"""AAOmega."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import N, flux, header_of, packed, rejection

from emberline.archive.readers import Source, detect, find_sources, open_source, read, read_each
from emberline.errors import ReadError
from emberline.spectra import air_to_vacuum

HEADER = {"CRVAL1": 6500.0, "CRPIX1": 200.0, "CDELT1": 1.0, "CTYPE1": "Wavelength", "CUNIT1": "Angstroms"}
HEADER |= {"TDFDRVER": "1.40", "UTMJD": 57373.56, "EXPOSED": 2700.0}
LINEAR = 6500 + (np.arange(N) - 199.0)


def frame(rows: Any = None, variance: Any = None, wavelength: Any = None, **changes: Any) -> Source:
    rows = np.stack([flux(), flux(seed=2)]) if rows is None else rows
    variance = np.full(rows.shape, 4.0) if variance is None else variance
    fibres = [fits.Column("NAME", "20A", array=["star", "sky"]), fits.Column("TYPE", "1A", array=["P", "S"])]
    fibres += [fits.Column(key, "D", array=[0.5, 0.6]) for key in ("RA", "DEC")]
    hdus = [fits.PrimaryHDU(rows, header_of(HEADER, changes)), fits.ImageHDU(variance, name="VARIANCE")]
    if wavelength is not None:
        hdus.append(fits.ImageHDU(wavelength, name="WAVELENGTH"))
    return packed([*hdus, fits.BinTableHDU.from_columns(fibres, name="FIBRES")], "eml.fits")


def test_one_spectrum_a_fibre() -> None:
    source = frame()
    assert detect(source).name == "aaomega"
    star, sky = read(source)
    assert (star.meta.identifier, sky.meta.identifier) == ("aaomega-eml-001-star", "aaomega-eml-002-sky")
    assert (star.meta.survey_class, sky.meta.survey_class) == ("", "SKY")
    assert star.meta.ra == pytest.approx(np.degrees(0.5))
    assert (star.meta.medium, star.meta.velocity_frame) == ("air", "topocentric")
    np.testing.assert_allclose(star.wavelength, air_to_vacuum(LINEAR))
    assert (star.ivar == 0.25).all()


def test_pixels_without_a_variance_have_no_weight() -> None:
    variance = np.full((2, N), 4.0)
    variance[0, :3] = -1, 0, np.nan
    star, _ = read(frame(variance=variance))
    assert (star.ivar[:4] == [0, 0, 0, 0.25]).all()


def test_the_wavelength_extension_counts_more_than_the_header() -> None:
    rows = np.stack([np.log10(LINEAR), np.log10(LINEAR + 100)])
    star, sky = read(frame(wavelength=rows, LOGSCALE=True, VACUUM=True))
    np.testing.assert_allclose(star.wavelength, LINEAR)
    np.testing.assert_allclose(sky.wavelength, LINEAR + 100)
    assert rejection(frame(wavelength=rows)).reason == "bad-keyword"
    assert rejection(frame(wavelength=10**rows, LOGSCALE=True)).reason == "bad-keyword"
    assert rejection(frame(wavelength=rows[:, ::-1], LOGSCALE=True)).reason == "bad-wavelength"


def test_rejections() -> None:
    assert rejection(frame(variance=np.ones((3, N)))).reason == "no-spectrum"
    assert rejection(frame(VACUUM=True, CTYPE1="AWAV")).reason == "wrong-frame"
    items = list(read_each(frame(np.stack([np.zeros(N, "f4"), flux()]))))
    assert isinstance(items[0], ReadError)
    assert "fibre 1" in str(items[0])
    assert not isinstance(items[1], ReadError)


@pytest.mark.data
def test_the_galaxy_agrees_with_itself(data: Path) -> None:
    """Air or vacuum, linear or logarithmic: the same galaxy has its lines at the same places."""
    spectra = [spectrum for locator in find_sources(data / "aaomega") for spectrum in read(open_source(locator))]
    assert len(spectra) == 6
    assert len({spectrum.meta.identifier for spectrum in spectra}) == 6
    galaxy = [spectrum for spectrum in spectra if spectrum.meta.name == "D0221394-2854323"]
    assert [spectrum.meta.medium for spectrum in galaxy] == ["air", "air", "vacuum", "vacuum"]
    peaks = []
    for spectrum in galaxy:
        good = (spectrum.mask == 0) & (spectrum.wavelength > 7000) & (spectrum.wavelength < 7600)
        brightest = np.flatnonzero(good)[spectrum.flux[good].argsort()[-8:]]
        peaks.append(np.sort(spectrum.wavelength[brightest]))
        np.testing.assert_allclose(spectrum.wavelength, galaxy[0].wavelength, atol=0.01)
    assert np.abs(np.array(peaks) - peaks[0]).max() < 0.01
    # Hα and the [N II] and [S II] doublets are at one redshift, in vacuum.
    redshift = peaks[0][-1] / 6564.61 - 1
    assert 0.05 < redshift < 0.2
