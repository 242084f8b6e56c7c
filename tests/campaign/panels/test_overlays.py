"""Overlays: vacuum, the frame of the spectrum they lie over, small, and honest about what is not known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from emberline.campaign.panels.frames import common_frame
from emberline.campaign.panels.overlays import overlay_of, overlay_title
from emberline.spectra import Grid, Mask, Metadata, Spectrum
from tests.campaign.panels.conftest import place, spectrum


def over(frame: str, redshift: float = float("nan")) -> Any:
    meta = Metadata(identifier="s", ra=1.0, dec=1.0, velocity_frame=frame, redshift=redshift)  # type: ignore[arg-type]
    return place("s", 1.0, 1.0, metadata=meta)


@pytest.mark.parametrize(
    ("there", "here", "factor", "frame", "note"),
    [
        ("heliocentric", "heliocentric", 1.0, "heliocentric", ""),
        ("barycentric", "heliocentric", 1.0, "heliocentric", ""),
        ("heliocentric", "barycentric", 1.0, "barycentric", ""),
        ("rest", "heliocentric", 1.001, "heliocentric", ""),
        ("barycentric", "rest", 1 / 1.002, "rest", ""),
        ("topocentric", "heliocentric", 1.0, "topocentric", "30 km/s"),
        ("unknown", "heliocentric", 1.0, "unknown", "30 km/s"),
        ("heliocentric", "unknown", 1.0, "heliocentric", "30 km/s"),
    ],
)
def test_frames(there: str, here: str, factor: float, frame: str, note: str) -> None:
    other = spectrum(velocity_frame=there, redshift=0.001)
    wavelength, found, said = common_frame(other, over(here, 0.002))
    np.testing.assert_allclose(wavelength, other.wavelength * factor, rtol=1e-12)
    assert found == frame
    assert note in said
    assert bool(said) is bool(note)


def test_a_long_spectrum_becomes_small_and_keeps_its_lines() -> None:
    n = 300_000
    grid = Grid.linear(3800.0, 0.01, n)
    flux = 1 - 0.5 * np.exp(-0.5 * ((grid.wavelength - 6564.6) / 1.0) ** 2)
    meta = Metadata(identifier="harps", velocity_frame="barycentric")
    harps = Spectrum.checked(grid, flux, np.ones(n), None, meta)
    overlay = overlay_of(harps, over("heliocentric"), "key", "HARPS")
    assert 4000 < overlay.wavelength.size <= 8192
    assert overlay.wavelength[np.argmin(overlay.flux)] == pytest.approx(6564.6, abs=0.4)
    assert overlay.flux.min() == pytest.approx(0.5, abs=0.03)


def test_bad_pixels_are_left_out_and_those_without_weight_are_not() -> None:
    whole = spectrum()
    mask = np.zeros(whole.flux.size, np.uint8)
    mask[10:20], mask[100:110] = Mask.COSMIC, Mask.NO_WEIGHT
    overlay = overlay_of(dataclasses.replace(whole, mask=mask), over("unknown"), "key", "x")
    assert overlay.wavelength.size == whole.flux.size - 10


def test_identities_tell_spectra_apart() -> None:
    one, two = (overlay_of(spectrum(), over("unknown"), key, "x").id for key in ("a", "b"))
    assert one != two
    assert one.isalnum()


def test_titles() -> None:
    assert overlay_title("HARPS", 53371.2, 80.4) == "HARPS, 2005-01-01, S/N 80"
    assert overlay_title("HARPS", None, float("nan")) == "HARPS"
