"""Noise and defects: as strong as asked for, masked as promised, and absent from a perfect instrument."""

from __future__ import annotations

import numpy as np

from emberline.simulate import Survey, make_block
from emberline.simulate.config import Survey as Configuration
from emberline.simulate.instrument import _noise
from emberline.simulate.presets import PRESETS, Window
from emberline.spectra import Mask


def test_noise_agrees_with_the_inverse_variance_and_the_s_n_asked_for():
    quiet = Survey(spectra=120, block=120, seed=1, prevalence=0.0, repeats=0.0, defects=0.0, junk=0.0, snr_median=50.0)
    block = make_block(quiet, 0).block
    wave = block.grid.wavelength
    smooth = (wave > 6620.0) & (wave < 6640.0)
    fitted = [np.polyval(np.polyfit(wave[smooth], row, 2), wave[smooth]) for row in block.flux[:, smooth]]
    pulls = (block.flux[:, smooth] - np.array(fitted)) * np.sqrt(block.ivar[:, smooth])
    assert 0.85 < np.std(pulls[np.array([m.survey_subclass[:1] in ("A", "B") for m in block.meta])]) < 1.15
    near = (wave > 6190.0) & (wave < 6210.0)
    measured = np.median(block.flux[:, near] * np.sqrt(block.ivar[:, near]), axis=1)
    asked = np.array([meta.snr for meta in block.meta])
    assert 0.75 < np.median(measured / asked) < 1.15


def test_a_perfect_instrument_masks_nothing_and_a_bad_one_does():
    perfect = make_block(Survey(spectra=60, block=60, seed=1, defects=0.0), 0).block
    assert (perfect.mask == 0).all()
    bad = make_block(Survey(spectra=60, block=60, seed=1, defects=2.0), 0).block
    assert ((bad.mask & Mask.COSMIC) > 0).any()
    dead = (bad.mask & Mask.NO_DATA) > 0
    assert dead.any()
    assert (bad.flux[dead] == 0).all()


def test_some_cosmic_rays_are_not_masked():
    hit = make_block(Survey(spectra=200, block=200, seed=1, defects=3.0, prevalence=0.0, junk=0.0), 0).block
    clean = make_block(Survey(spectra=200, block=200, seed=1, defects=0.0, prevalence=0.0, junk=0.0), 0).block
    excess = (hit.flux / np.median(hit.flux, axis=1)[:, None] - clean.flux / np.median(clean.flux, axis=1)[:, None]) > 5
    assert (excess & (hit.mask == 0)).any()
    assert (excess & ((hit.mask & Mask.COSMIC) > 0)).any()


def test_flux_of_stars_is_positive_where_the_signal_is_strong():
    block = make_block(Survey(spectra=200, block=200, seed=6, defects=0.0, junk=0.0, snr_median=300.0), 0).block
    bright = np.array([meta.snr > 150.0 for meta in block.meta])
    assert bright.sum() > 50
    good = block.flux[bright][:, block.grid.wavelength > 5000.0]
    assert (good > 0).mean() > 0.9999


def test_junk_has_no_star_in_it():
    made = make_block(Survey(spectra=100, block=100, seed=6, junk=0.5, quasars=0.0), 0)
    junk = made.truth["class"] == "junk"
    signal = np.median(made.block.flux * np.sqrt(made.block.ivar), axis=1)
    assert (np.abs(signal[junk]) < 0.3).all()
    assert (signal[~junk] > 1.0).all()


def test_a_window_has_the_noise_of_the_whole():
    settings = Configuration(spectra=10, block=10)
    preset = PRESETS["lamost"]
    whole = _noise(settings, 0, Window.whole(preset), 10)
    part = Window.covering(preset, 6500.0, 6700.0)
    np.testing.assert_array_equal(_noise(settings, 0, part, 10), whole[:, part.first : part.first + part.n])


def test_the_blue_and_the_red_arm_disagree_where_they_meet():
    """The junction near 5900 Å is a defect: its scatter is larger than on either side."""
    wave = PRESETS["lamost"].grid.wavelength
    from emberline.simulate.instrument import _basis

    shapes = _basis("lamost", 0, wave.size)[0]
    step, hump = shapes[5], shapes[6]
    assert abs(step[np.searchsorted(wave, 5800.0)] - step[np.searchsorted(wave, 6000.0)]) > 0.5
    assert 5950.0 < wave[hump.argmax()] < 6060.0
    assert (_basis("ondrejov", 0, 100)[0][5:] == 0).all()
