"""LAMOST low resolution: every layout of the pack, and every bad input."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from spectrum_files import LAMOST_HEADER as HEADER
from spectrum_files import LOGLAM, STEP, N, flux, header_of, lamost_image, packed, rejection

from emberline.archive.readers import Source, detect, find_sources, open_source, read
from emberline.spectra import Mask


def lamost_table(**changes: Any) -> Source:
    """The DR10 layout: one row of vectors."""
    values = {"FLUX": flux(), "IVAR": np.full(N, 0.5), "WAVELENGTH": 10**LOGLAM, "ANDMASK": np.zeros(N)}
    columns = [fits.Column(name, f"{N}E", array=[content]) for name, content in values.items()]
    header = header_of(HEADER, {"EXTEN0": None, **changes})
    return packed([fits.PrimaryHDU(None, header), fits.BinTableHDU.from_columns(columns, name="COADD")], "spec.fits")


@pytest.mark.parametrize("make", [lamost_image, lamost_table])
def test_both_layouts_give_the_same_spectrum(make: Any) -> None:
    source = make()
    assert detect(source).name == "lamost-lrs"
    (spectrum,) = read(source)
    np.testing.assert_array_equal(spectrum.flux, flux())
    assert (spectrum.ivar == 0.5).all()
    assert not spectrum.mask.any()
    np.testing.assert_allclose(spectrum.wavelength, 10**LOGLAM, rtol=1e-9)
    assert (spectrum.grid.step, spectrum.grid.phase) == (STEP, 0.0)


def test_metadata() -> None:
    (spectrum,) = read(lamost_image())
    meta = spectrum.meta
    assert meta.identifier == "spec-58575-HD103621N361936B01_sp03-002"
    assert meta.survey == "LAMOST DR7 LRS"
    assert meta.name == "LAMOST J103250.26+354136.2"
    assert (meta.ra, meta.dec, meta.exposure, meta.snr) == (158.2, 35.7, 4500.0, 55.3)
    assert meta.mjd == pytest.approx(Time("2019-04-01T22:00:00").mjd - 8 / 24, abs=1e-6)  # Beijing is 8 h ahead
    assert (meta.survey_class, meta.survey_subclass) == ("STAR", "K5")
    assert math.isnan(meta.redshift)
    assert (meta.medium, meta.velocity_frame, meta.resolving_power) == ("vacuum", "heliocentric", 1800.0)
    assert meta.ivar_source == "file"
    (other,) = read(lamost_image(HELIO=False, Z=0.1, **{"DATE-BEG": None}))
    assert (other.meta.velocity_frame, other.meta.redshift, other.meta.mjd) == ("topocentric", 0.1, 58574)


def test_the_early_layout_takes_its_wavelengths_from_the_header() -> None:
    source = lamost_image({2: flux(seed=2)}, EXTEN0="Flux Inverse Subcontinuum Andmask Ormask")
    (spectrum,) = read(source)
    np.testing.assert_allclose(spectrum.wavelength, 10**LOGLAM, rtol=1e-9)
    (without_a_word,) = read(lamost_image({2: flux(seed=2)}, EXTEN0=None))
    assert without_a_word.grid is spectrum.grid


def test_and_mask_is_bad_and_or_mask_is_not() -> None:
    andmask, ormask, ivar = np.zeros(N), np.zeros(N), np.full(N, 0.5)
    andmask[10], ormask[20], ivar[30] = 4, 1, 0
    (spectrum,) = read(lamost_image({1: ivar, 3: andmask, 4: ormask}))
    assert spectrum.mask[10] == Mask.BAD
    assert spectrum.mask[20] == 0
    assert spectrum.mask[30] == Mask.NO_WEIGHT


def test_a_start_between_pixels_is_taken_from_the_row() -> None:
    """Some files start at 3.5682017 and say 3.5682: the row counts, 0.017 pixels further red."""
    (spectrum,) = read(lamost_image({2: 10 ** (LOGLAM + 0.017 * STEP)}))
    assert spectrum.grid.phase == pytest.approx(0.017, abs=1e-3)


@pytest.mark.parametrize(
    ("rows", "changes", "reason", "words"),
    [
        ({}, {"VACUUM": False}, "wrong-frame", "VACUUM = False"),
        ({}, {"COEFF0": 3.81}, "bad-keyword", "COEFF0 = 3.81 and CRVAL1 = 3.8"),
        ({}, {"COEFF0": 3.81, "CRVAL1": 3.81}, "bad-keyword", "contradicts COEFF0"),
        ({}, {"COEFF1": 2e-4, "CD1_1": 2e-4}, "bad-keyword", "COEFF1 = 0.0002"),
        ({}, {"COEFF1": -1e-4, "CD1_1": None}, "bad-keyword", "COEFF1"),
        ({}, {"COEFF0": None, "CRVAL1": None}, "bad-keyword", "COEFF0"),
        ({}, {"LMJD": None}, "bad-keyword", "LMJD"),
        ({}, {"FIBERID": "x"}, "bad-keyword", "FIBERID"),
        ({2: 10 ** LOGLAM[::-1]}, {}, "bad-wavelength", "increase"),
        ({2: np.r_[10 ** LOGLAM[:2], 10 ** LOGLAM[:-2]]}, {}, "bad-wavelength", "increase"),
        ({2: np.full(N, 5000.0)}, {}, "bad-wavelength", "increase"),
        ({2: np.nan}, {}, "bad-wavelength", "finite"),
        ({0: np.nan}, {}, "bad-flux", "NaN or infinity everywhere"),
        ({0: np.inf}, {}, "bad-flux", "NaN or infinity everywhere"),
        ({0: 0.0}, {}, "bad-flux", "zero everywhere"),
        ({0: 7.0}, {}, "bad-flux", "same everywhere"),
        ({1: -1.0}, {}, "bad-ivar", "negative"),
        ({1: 0.0}, {}, "bad-ivar", "weight"),
    ],
)
def test_bad_input_is_rejected_with_its_reason(rows: Any, changes: Any, reason: str, words: str) -> None:
    error = rejection(lamost_image(rows, **changes))
    assert error.reason == reason
    assert words in str(error)


def test_single_bad_pixels_are_marked_not_fatal() -> None:
    values = flux()
    values[3], values[4] = np.nan, np.inf
    (spectrum,) = read(lamost_image({0: values}))
    assert list(np.flatnonzero(spectrum.mask)) == [3, 4]
    assert (spectrum.mask[3], spectrum.flux[3], spectrum.ivar[3]) == (Mask.NO_DATA, 0, 0)


def test_cut_files_are_truncated() -> None:
    source = lamost_image(gz=True)
    assert rejection(Source("a.fits.gz", source.raw[:-100])).reason == "truncated"
    for kept in (100, 2000, 6000):
        assert rejection(Source("a.fits", source.data[:kept])).reason == "truncated"


@pytest.mark.data
def test_all_1883_files_of_the_pack(data: Path) -> None:
    families, identifiers, emission = set(), set(), 0
    for locator in find_sources(data / "lamost" / "*" / "*.fits.gz"):
        source = open_source(locator)
        (spectrum,) = read(source)
        assert detect(source).name == "lamost-lrs"
        identifiers.add(spectrum.meta.identifier)
        assert spectrum.meta.identifier in locator or "bt-cmi" in locator
        families.add((spectrum.grid.step, spectrum.grid.phase, spectrum.grid.first))
        assert (spectrum.mask & Mask.BAD == 0).mean() > 0.6
        emission += int(Mask.NO_WEIGHT in Mask(int(spectrum.mask[(abs(spectrum.wavelength - 6564.6) < 3)].max())))
        assert 3690 < spectrum.wavelength[0] < 3705
        assert -20 < spectrum.meta.dec < 90
        assert 55800 < spectrum.meta.mjd < 60500
    assert len(identifiers) == 1883
    assert families == {(1e-4, 0.0, 35682), (1e-4, 0.017, 35682)}
    assert emission < 60  # pixels at Hα without weight are rare


@pytest.mark.data
def test_arrays_are_what_astropy_reads(data: Path) -> None:
    for folder in sorted(path for path in (data / "lamost").iterdir() if path.is_dir()):
        path = sorted(folder.glob("*.fits.gz"))[0]
        (spectrum,) = read(open_source(path))
        with fits.open(path) as hdus:
            if len(hdus) == 1:
                values, ivar, andmask = hdus[0].data[0], hdus[0].data[1], hdus[0].data[3]
            else:
                values, ivar, andmask = (hdus[1].data[name][0] for name in ("FLUX", "IVAR", "ANDMASK"))
            start, step = hdus[0].header["COEFF0"], hdus[0].header["COEFF1"]
        known = spectrum.mask & Mask.NO_DATA == 0
        np.testing.assert_array_equal(spectrum.flux[known], values[known].astype(np.float32))
        np.testing.assert_array_equal(spectrum.ivar, np.where(ivar > 0, ivar, 0).astype(np.float32))
        np.testing.assert_array_equal(spectrum.mask & Mask.BAD != 0, andmask != 0)
        np.testing.assert_allclose(spectrum.wavelength, 10 ** (start + step * np.arange(values.size)), rtol=5e-6)
        plain = Source(str(path)[:-3], gzip.decompress(path.read_bytes()))
        np.testing.assert_array_equal(read(plain)[0].flux, spectrum.flux)


@pytest.mark.data
def test_the_emission_of_bt_cmi_survives(data: Path) -> None:
    """LAMOST took the whole line for a cosmic ray and gave it no weight; the flux must stay."""
    (spectrum,) = read(open_source(data / "lamost/bt-spectraldl/bt-cmi-lamost.fits.gz"))
    line = np.abs(spectrum.wavelength - 6564.6) < 5
    assert set(spectrum.mask[line].tolist()) <= {0, int(Mask.NO_WEIGHT)}
    assert spectrum.flux[line].max() > 2 * np.median(spectrum.flux[np.abs(spectrum.wavelength - 6600) < 15])
