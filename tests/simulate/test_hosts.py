"""Lines on real stars: the rest of the spectrum stays what the survey measured."""

from __future__ import annotations

import numpy as np
import pytest

from emberline.simulate import HostSample, Survey, make_block
from emberline.spectra import Grid, Mask, Metadata, SpectrumBlock

SETTINGS = Survey(spectra=80, block=80, seed=3, prevalence=0.3, nebular=0.2, dwarf_emission=0.1)


@pytest.fixture(scope="module")
def hosts() -> HostSample:
    rng = np.random.default_rng(0)
    grid = Grid.log10(3.5682, 1e-4, 3909)
    flux = (100.0 * (6000.0 / grid.wavelength) + rng.normal(0.0, 1.0, (20, grid.n))).astype(np.float32)
    ivar = np.ones_like(flux)
    mask = np.zeros(flux.shape, np.uint8)
    flux[:, 2470:2473], ivar[:, 2470:2473], mask[:, 2470:2473] = 0.0, 0.0, Mask.NO_DATA
    meta = [Metadata(identifier=f"host-{i}", redshift=1e-4, resolving_power=1800.0, snr=60.0) for i in range(20)]
    return HostSample(grid, flux, ivar, mask, meta, np.linspace(3500.0, 12000.0, 20))


def test_pixels_away_from_the_lines_and_masked_pixels_stay(hosts):
    made = make_block(SETTINGS, 0, hosts=hosts)
    row_of = {meta.identifier: i for i, meta in enumerate(hosts.meta)}
    chosen = np.array([row_of[name] for name in made.truth["object"]])
    wave = hosts.grid.wavelength
    far = ((wave > 5100.0) & (wave < 5700.0)) | ((wave > 7000.0) & (wave < 8400.0))
    np.testing.assert_array_equal(made.block.flux[:, far], hosts.flux[chosen][:, far])
    np.testing.assert_array_equal(made.block.mask, hosts.mask[chosen])
    np.testing.assert_array_equal(made.block.ivar, hosts.ivar[chosen])
    assert (made.block.flux[:, 2470:2473] == 0).all()
    stars = made.truth["class"] == "star"
    np.testing.assert_array_equal(made.block.flux[stars], hosts.flux[chosen[stars]])


def test_the_emission_has_the_width_asked_for_relative_to_the_local_continuum(hosts):
    made = make_block(SETTINGS, 0, hosts=hosts)
    row_of = {meta.identifier: i for i, meta in enumerate(hosts.meta)}
    wave = hosts.grid.wavelength
    near = (wave > 6500.0) & (wave < 6640.0)
    wanted = (made.truth["class"] == "be") & (made.truth["inclination"] < 70.0)
    assert wanted.sum() > 5
    for row in np.flatnonzero(wanted):
        added = made.block.flux[row] - hosts.flux[row_of[made.truth["object"][row]]]
        width = np.trapezoid((added / (100.0 * 6000.0 / wave))[near], wave[near])
        assert width == pytest.approx(made.truth["emission_width"][row], rel=0.12)


def test_disks_go_to_hot_and_flares_to_cool_hosts(hosts):
    truth = make_block(SETTINGS, 0, hosts=hosts).truth
    assert truth["teff"][truth["class"] == "be"].min() > 9000.0
    assert truth["teff"][truth["class"] == "m-dwarf-emission"].max() < 4500.0
    assert set(truth["class"]) == {"be", "nebular", "m-dwarf-emission", "star"}


def test_identifiers_are_new_and_hosts_are_the_objects(hosts):
    made = make_block(SETTINGS, 0, hosts=hosts)
    assert len(set(made.block.identifiers)) == len(made.block)
    assert set(made.truth["object"]) <= {meta.identifier for meta in hosts.meta}
    assert all(meta.survey.startswith("simulated") for meta in made.block.meta), "nobody takes them for real"
    again = make_block(SETTINGS, 0, hosts=hosts)
    np.testing.assert_array_equal(made.block.flux, again.block.flux)


def test_wrong_samples_are_refused(hosts):
    with pytest.raises(ValueError, match="shape"):
        HostSample(hosts.grid, hosts.flux[:, :10], hosts.ivar, hosts.mask, hosts.meta)
    with pytest.raises(ValueError, match="empty"):
        HostSample(hosts.grid, hosts.flux[:0], hosts.ivar[:0], hosts.mask[:0], [])


def test_a_block_of_spectra_can_be_the_sample(hosts):
    block = SpectrumBlock(hosts.grid, hosts.flux, hosts.ivar, hosts.mask, hosts.meta)
    assert len(HostSample.from_block(block)) == 20
    truth = make_block(SETTINGS, 0, hosts=HostSample.from_block(block)).truth
    assert np.isnan(truth["teff"]).all()
