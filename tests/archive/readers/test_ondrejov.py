"""Ondřejov: IRAF images, archive tables and the labelled matrix."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from spectrum_files import N, flux, image, packed, rejection

from emberline.archive.readers import Source, detect, open_source, read, read_each
from emberline.errors import ReadError
from emberline.spectra import SPEED_OF_LIGHT, air_to_vacuum

MATRIX = (
    "file,panel,title,label,cls,svm_pred,kind,nvert,dup_of,6500.0,6500.5,6501.0,6501.5,6502.0,6502.5,6503.0,6503.5\n"
)
ROW = "pic/a 1.svg,3,idx: 9,emission,1.0,,spectrum,5,-1,0.0,0.1,0.3,1.0,,0.3,0.2,0.1\n"


def table(comment: str = "Air wavelength", wavelength: np.ndarray | None = None) -> Source:
    wave = 6500 + 0.25 * np.arange(N) if wavelength is None else wavelength
    columns = [fits.Column("spectral", "D", unit="Angstrom", array=wave), fits.Column("flux", "D", array=flux())]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TTYPE1"] = ("spectral", comment)
    hdu.header["DS_IDPUB"] = "ivo://asu.cas.cz/stel/ccd700/vh130075"
    hdu.header["TMID"] = 56152.97
    return packed([fits.PrimaryHDU(), hdu])


def test_the_archives_table() -> None:
    source = table()
    assert detect(source).name == "ondrejov"
    (spectrum,) = read(source)
    assert (spectrum.meta.identifier, spectrum.meta.mjd) == ("ondrejov-vh130075", 56152.97)
    assert (spectrum.meta.medium, spectrum.meta.velocity_frame) == ("air", "heliocentric")
    np.testing.assert_allclose(spectrum.wavelength, air_to_vacuum(6500 + 0.25 * np.arange(N)))
    assert rejection(table("Vacuum wavelength")).reason == "wrong-frame"
    assert rejection(table(wavelength=np.arange(N, 0, -1) + 6000.0)).reason == "bad-wavelength"


def test_positions_of_date_become_icrs() -> None:
    keywords = {"RA": "21:57:18.2", "DEC": "61:17:39.7", "EQUINOX": 2005.39978, "JD": 2453518.4375, "CTYPE1": "LINEAR"}
    (spectrum,) = read(image(OBSERVAT="ONDREJOV", FILENAME="oe270005.fit", **keywords))
    expected = SkyCoord("21h57m18.2s", "61d17m39.7s", frame=FK5(equinox="J2005.39978")).icrs
    place = SkyCoord(spectrum.meta.ra, spectrum.meta.dec, unit="deg")
    assert place.separation(expected).arcsec < 0.01
    assert (spectrum.meta.identifier, spectrum.meta.mjd) == ("ondrejov-oe270005", 53517.9375)


def test_the_matrix_gives_a_spectrum_a_row() -> None:
    source = Source("m.csv", (MATRIX + ROW + ROW.replace("-1,", "0,") + ROW).encode())
    assert detect(source).name == "ondrejov-matrix"
    first, third = read(source)  # the second is a repeat by dup_of
    assert (first.meta.identifier, third.meta.identifier) == (
        "ondrejov-halpha-pic-a-1.svg-3",
        "ondrejov-halpha-pic-a-1.svg-3-2",
    )
    assert (first.meta.survey_class, first.meta.survey_subclass) == ("emission", "class 1")
    assert list(np.flatnonzero(first.mask)) == [4]
    np.testing.assert_allclose(first.wavelength[0], air_to_vacuum(6500.0))


def test_bad_rows_of_the_matrix_are_named() -> None:
    source = Source("m.csv", (MATRIX + ROW + ROW.replace("0.3", "x") + ROW[:40] + "\n").encode())
    good, bad, short = read_each(source)
    assert isinstance(bad, ReadError)
    assert isinstance(short, ReadError)
    assert not isinstance(good, ReadError)
    assert str(bad).startswith("m.csv: line 3: is no row of numbers")
    assert rejection(Source("m.csv", b"file,panel,title,label,cls\n")).reason == "no-spectrum"
    decreasing = MATRIX.replace("6500.0", "6600.0")
    assert rejection(Source("m.csv", (decreasing + ROW).encode())).reason == "bad-wavelength"


@pytest.mark.data
def test_the_labelled_spectra(data: Path) -> None:
    spectra = read(open_source(data / "ondrejov" / "halpha_labelled.csv"))
    classes = collections.Counter(spectrum.meta.survey_class for spectrum in spectra)
    assert classes == {
        "absorption": 28,
        "double-peak": 12,
        "emission": 10,
        "mixed/shell (emission in absorption)": 3,
    }
    assert len({spectrum.meta.identifier for spectrum in spectra}) == 53
    assert all(spectrum.grid is spectra[0].grid for spectrum in spectra)
    emission = next(spectrum for spectrum in spectra if spectrum.meta.survey_class == "emission")
    assert emission.wavelength[emission.flux.argmax()] == pytest.approx(6564.6, abs=3)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "correction"), [("oe270005", 9.77), ("alpha-lyr-absorption", -8.50), ("bt-cmi-ondrejov", -10.77)]
)
def test_spectra_are_heliocentric(data: Path, name: str, correction: float) -> None:
    """Telluric water lines, at rest at the telescope, are displaced by the heliocentric correction (km/s)."""
    (spectrum,) = read(open_source(data / "ondrejov" / f"{name}.fits"))
    assert spectrum.meta.velocity_frame == "heliocentric"
    lines = air_to_vacuum([6516.63, 6523.84, 6532.36, 6543.907, 6547.705, 6552.629, 6572.072])
    velocities = []
    for line in lines:
        expected = line * (1 + correction / SPEED_OF_LIGHT)
        near = np.flatnonzero(np.abs(spectrum.wavelength - expected) < 0.6)
        deepest = near[spectrum.flux[near].argmin()]
        around = slice(deepest - 1, deepest + 2)
        curve = np.polyfit(spectrum.wavelength[around] - spectrum.wavelength[deepest], spectrum.flux[around], 2)
        centre = spectrum.wavelength[deepest] - curve[1] / (2 * curve[0])
        velocities.append((centre / line - 1) * SPEED_OF_LIGHT)
    assert np.median(velocities) == pytest.approx(correction, abs=5)


@pytest.mark.data
def test_arrays_are_what_astropy_reads(data: Path) -> None:
    (spectrum,) = read(open_source(data / "ondrejov" / "bt-cmi-ondrejov.fits"))
    with fits.open(data / "ondrejov" / "bt-cmi-ondrejov.fits") as hdus:
        np.testing.assert_array_equal(spectrum.flux, hdus[1].data["flux"].astype("f4"))
        np.testing.assert_allclose(spectrum.wavelength, air_to_vacuum(hdus[1].data["spectral"]))
