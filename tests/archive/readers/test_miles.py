"""MILES and Indo-US."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import flux, image, rejection

from emberline.archive.readers import detect, find_sources, open_source, read
from emberline.spectra import SPEED_OF_LIGHT, Mask, air_to_vacuum


def test_miles_states_what_its_files_leave_out() -> None:
    source = image(name="MILES_res2.50_star_m0042V.fits", TPLLIB="MILES", CTYPE1=None, CUNIT1=None)
    assert detect(source).name == "miles"
    (spectrum,) = read(source)
    meta = spectrum.meta
    assert (meta.identifier, meta.medium, meta.velocity_frame, meta.redshift) == ("miles-m0042V", "air", "rest", 0.0)
    assert rejection(image(TPLLIB="MILES", CTYPE1=None, CUNIT1=None, CDELT1=None)).reason == "bad-keyword"


def test_indo_us_gaps_are_no_data() -> None:
    values = flux()
    values[5:9] = 1e-4
    keywords = {"TELESCOP": "kpcdf", "PICKTYPE": "B0V", "OBJECT": "154660", "SPTYPE": "A9V", "CTYPE1": "LINEAR"}
    keywords |= {"OBJRA": "17:06:52.96", "OBJDEC": "-01:39:22.3", "HJD": 2451697.854}
    (spectrum,) = read(image(values, CUNIT1=None, **keywords))
    assert (spectrum.mask[5:9] == Mask.NO_DATA).all()
    meta = spectrum.meta
    assert (meta.identifier, meta.survey_subclass) == ("indo-us-154660", "A9V")
    assert meta.ra == pytest.approx(256.72067, abs=1e-4)
    assert meta.dec == pytest.approx(-1.65619, abs=1e-4)
    assert meta.mjd == pytest.approx(51697.354)


@pytest.mark.data
def test_miles_of_the_pack(data: Path) -> None:
    locators = list(find_sources(data / "miles"))  # the README and two tables of parameters are passed over
    identifiers, centres = set(), []
    for locator in locators:
        (spectrum,) = read(open_source(locator))
        identifiers.add(spectrum.meta.identifier)
        near = np.abs(spectrum.wavelength - 6564.61) < 6
        centres.append(spectrum.wavelength[near][spectrum.flux[near].argmin()])
    assert len(identifiers) == len(locators) == 574
    assert np.median(centres) == pytest.approx(6564.61, abs=0.5)  # air and at rest, as documented


@pytest.mark.data
def test_indo_us_is_in_air_and_at_rest(data: Path) -> None:
    velocities, spread = [], []
    for locator in find_sources(data / "indous"):
        (spectrum,) = read(open_source(locator))
        with fits.open(locator) as hdus:
            np.testing.assert_array_equal(spectrum.flux, hdus[0].data)
            radial = float(hdus[0].header.get("OBJRV", np.nan))
        line = float(air_to_vacuum(8542.09))  # Ca II
        near = np.flatnonzero(np.abs(spectrum.wavelength - line) < 3)
        deepest = near[spectrum.flux[near].argmin()]
        curve = np.polyfit(np.arange(-2, 3), spectrum.flux[deepest - 2 : deepest + 3], 2)
        step = spectrum.wavelength[deepest] - spectrum.wavelength[deepest - 1]
        centre = spectrum.wavelength[deepest] - step * curve[1] / (2 * curve[0])
        velocities.append((centre / line - 1) * SPEED_OF_LIGHT)
        spread.append(radial)
    assert len(velocities) == 17
    assert abs(np.median(velocities)) < 5
    typical = 1.4826 * np.median(np.abs(velocities))  # hot stars have Paschen lines there
    assert typical < 0.5 * np.nanstd(spread)  # not at the stars' own velocities
