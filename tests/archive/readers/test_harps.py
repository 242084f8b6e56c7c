"""HARPS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import N, flux, image, packed, rejection

from emberline.archive.readers import Source, detect, find_sources, open_source, read
from emberline.spectra import SPEED_OF_LIGHT, Mask, air_to_vacuum


def product(error: Any, **changes: Any) -> Source:
    """An ESO Phase 3 table: one row of vectors."""
    wave = 6500 + 0.25 * np.arange(N)
    columns = [("WAVE", wave), ("FLUX", flux()), ("ERR", np.broadcast_to(error, N))]
    table = fits.BinTableHDU.from_columns([fits.Column(key, f"{N}D", array=[value]) for key, value in columns])
    header = {"INSTRUME": "HARPS", "DATE-OBS": "2006-07-05T03:52:40.071", "PRODCATG": "SCIENCE.SPECTRUM", **changes}
    return packed([fits.PrimaryHDU(None, fits.Header(header)), table], "ADP.fits")


def test_the_gap_between_the_detectors_is_no_data() -> None:
    values = flux()
    values[100:120] = 0
    keywords = {"CTYPE1": "Angstrom", "CUNIT1": None, "MJD-OBS": 56010.5, "EXPTIME": 864.0}
    source = image(values, INSTRUME="HARPS", DATE__OBS="2012-03-24T12:00:00.0", **keywords)
    assert detect(source).name == "harps"
    (spectrum,) = read(source)
    assert (spectrum.mask[100:120] == Mask.NO_DATA).all()
    assert spectrum.mask.sum() == 20 * Mask.NO_DATA
    meta = spectrum.meta
    assert (meta.identifier, meta.mjd) == ("HARPS.2012-03-24T12:00:00.0", 56010.505)
    assert (meta.medium, meta.velocity_frame, meta.resolving_power) == ("air", "barycentric", 115000.0)
    contradictory = image(values, INSTRUME="HARPS", CTYPE1="WAVE", AIRORVAC="air")
    assert rejection(contradictory).reason == "wrong-frame"


def test_phase_3_tables() -> None:
    (spectrum,) = read(product(0.5, SPECSYS="TOPOCENT", SPEC_RES=80000.0))
    np.testing.assert_array_equal(spectrum.flux, flux())
    np.testing.assert_allclose(spectrum.ivar, 4.0)
    np.testing.assert_allclose(spectrum.wavelength, air_to_vacuum(6500 + 0.25 * np.arange(N)))
    assert (spectrum.meta.velocity_frame, spectrum.meta.resolving_power) == ("topocentric", 80000.0)
    assert spectrum.meta.identifier == "HARPS.2006-07-05T03:52:40.071-adp"
    (without,) = read(product(np.nan))
    assert without.meta.ivar_source == "estimated"
    assert rejection(product(-1.0)).reason == "bad-ivar"


@pytest.mark.data
def test_all_files_of_the_pack(data: Path) -> None:
    spectra = [read(open_source(locator))[0] for locator in find_sources(data / "harps")]
    assert len({spectrum.meta.identifier for spectrum in spectra}) == 13
    assert all((spectrum.mask == 0).mean() > 0.98 for spectrum in spectra)
    velocities = {True: [], False: []}  # radial velocity by three lines, of the product and of alpha Cen B
    for spectrum in spectra[:3]:
        adp = spectrum.meta.identifier.endswith("-adp")
        smooth = np.convolve(spectrum.flux, np.ones(15) / 15, "same")
        for line in air_to_vacuum([6439.07, 6122.22, 6162.17]):
            guess = line * (1 + (-30.0 if adp else -22.7) / SPEED_OF_LIGHT)
            near = np.flatnonzero(np.abs(spectrum.wavelength - guess) < 0.5)
            centre = spectrum.wavelength[near[smooth[near].argmin()]]
            velocities[adp].append((centre / line - 1) * SPEED_OF_LIGHT)
    # In vacuum the lines would be off by 83 km/s; without the barycentric correction of 18.3 km/s by that.
    assert np.median(velocities[False]) == pytest.approx(-22.7, abs=1.0)
    assert np.median(velocities[True]) == pytest.approx(-30.0, abs=1.5)
