"""The formulas: each against a number from the literature or from its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.simulate.atoms import line_list, relative_strength
from emberline.simulate.balmer import H_ALPHA, H_BETA, hydrogen_lines, hydrogen_transmission
from emberline.simulate.broadening import broaden, kernels, rotation_transfer
from emberline.simulate.continuum import extinction, planck, stellar_continuum
from emberline.simulate.disk import Disks, emission_profile, shell_depth, velocity_axis
from emberline.simulate.emission import N_II, NEBULAR_LINES, S_II, disk_light, narrow_lines, nebular_widths
from emberline.simulate.quasar import quasar_flux
from emberline.simulate.templates import stellar_templates


def disks(**changes: float) -> Disks:
    values = {
        "inclination": 60.0, "orbital": 420.0, "outer": 9.0, "slope": 1.5, "thickness": 0.0, "asymmetry": 0.0,
        "turbulence": 12.0, "electrons": 0.0, "electron_width": 500.0,
    }  # fmt: skip
    return Disks(**{name: np.array([value]) for name, value in {**values, **changes}.items()})


@given(inclination=st.floats(25.0, 85.0), orbital=st.floats(300.0, 550.0), outer=st.floats(3.0, 20.0))
@settings(deadline=None, max_examples=20)
def test_peaks_lie_at_the_projected_velocity_of_the_outer_edge(inclination, orbital, outer):
    disk = disks(inclination=inclination, orbital=orbital, outer=outer, turbulence=5.0)
    axis = velocity_axis(2.0)
    profile = emission_profile(disk, axis, 5.0)[0]
    separation = axis[axis > 0][profile[axis > 0].argmax()] - axis[axis < 0][profile[axis < 0].argmax()]
    expected = 2.0 * orbital * np.sin(np.radians(inclination)) / np.sqrt(outer)
    assert separation == pytest.approx(expected, rel=0.08, abs=12.0)


@given(inclination=st.floats(0.0, 90.0), asymmetry=st.floats(-0.5, 0.5), electrons=st.floats(0.0, 0.5))
@settings(deadline=None, max_examples=20)
def test_disk_profiles_have_unit_area_and_are_positive(inclination, asymmetry, electrons):
    axis = velocity_axis(4.0)
    profile = emission_profile(disks(inclination=inclination, asymmetry=asymmetry, electrons=electrons), axis, 10.0)[0]
    assert profile.sum() * 4.0 == pytest.approx(1.0, abs=1e-6)
    assert profile.min() > -1e-9


def test_a_pole_on_disk_is_single_and_asymmetry_moves_light_to_the_violet():
    axis = velocity_axis(2.0)
    single = emission_profile(disks(inclination=2.0), axis, 10.0)[0]
    assert abs(axis[single.argmax()]) <= 2.0
    profile = emission_profile(disks(asymmetry=0.4, turbulence=4.0), axis, 4.0)[0]
    violet, red = profile[axis < 0].max(), profile[axis > 0].max()
    assert 1.7 < violet / red < 1.4 / 0.6
    mirrored = emission_profile(disks(asymmetry=-0.4, turbulence=4.0), axis, 4.0)[0]
    np.testing.assert_allclose(mirrored[::-1], profile, rtol=1e-6, atol=1e-9)


def test_thick_lines_part_their_peaks_more_deeply():
    axis = velocity_axis(2.0)
    thin, thick = (emission_profile(disks(inclination=75.0, thickness=t), axis, 5.0)[0] for t in (0.0, 1.0))
    middle = axis.size // 2
    assert thick[middle] / thick.max() < 0.9 * thin[middle] / thin.max()


def test_electrons_make_wings():
    axis = velocity_axis(4.0)
    without, with_wings = (emission_profile(disks(electrons=e), axis, 10.0)[0] for e in (0.0, 0.3))
    far = np.abs(axis) > 700.0
    assert without[far].sum() * 4.0 < 1e-6
    assert with_wings[far].sum() * 4.0 == pytest.approx(0.3 * 0.16, rel=0.35)


def test_only_disks_seen_edge_on_have_a_shell():
    axis = velocity_axis(4.0)
    edge, face = (shell_depth(disks(inclination=i), axis, 10.0, np.array([0.9]))[0] for i in (88.0, 60.0))
    assert 0.2 < edge.max() <= 0.9
    assert face.max() < 1e-6
    assert axis[edge.argmax()] == 0.0


@given(width=st.floats(1.0, 60.0), velocity=st.floats(-300.0, 300.0))
@settings(deadline=None, max_examples=10)
def test_the_equivalent_width_of_h_alpha_is_the_one_asked_for(width, velocity):
    wavelength = np.exp(np.linspace(np.log(6440.0), np.log(6660.0), 4000))
    disk = disks(inclination=40.0, electrons=0.2, electron_width=400.0)
    light, passed = disk_light(wavelength, disk, np.array([velocity]), np.array([width]), np.array([0.8]), 10.0)
    assert np.trapezoid(light[0], wavelength) == pytest.approx(width, rel=0.01)
    assert (passed == 1.0).all()
    centroid = np.trapezoid(light[0] * wavelength, wavelength) / np.trapezoid(light[0], wavelength)
    assert centroid == pytest.approx(H_ALPHA * (1.0 + velocity / 299792.458), abs=0.1)


def test_nebular_lines_keep_their_ratios():
    one = np.array([4.0])
    widths = nebular_widths(one, 0.5 * one, 0.3 * one, one, 1.4 * np.ones(1))
    by_line = dict(zip(NEBULAR_LINES, widths[0], strict=True))
    assert by_line[N_II[1]] / by_line[N_II[0]] == pytest.approx(3.05)
    assert by_line[S_II[0]] / by_line[S_II[1]] == pytest.approx(1.4)
    assert by_line[H_ALPHA] / by_line[H_BETA] == pytest.approx(2.86)
    wavelength = np.arange(6500.0, 6760.0, 0.05)
    light = narrow_lines(wavelength, NEBULAR_LINES, widths, np.zeros(1), np.array([40.0]))[0]
    area = {line: np.trapezoid(light[abs(wavelength - line) < 6.0], dx=0.05) for line in (N_II[0], N_II[1], H_ALPHA)}
    assert area[N_II[1]] / area[N_II[0]] == pytest.approx(3.05, rel=0.01)
    assert area[H_ALPHA] == pytest.approx(4.0, rel=0.01)


def test_extinction_is_the_published_law():
    # Cardelli, Clayton & Mathis 1989, table 3: A(λ)/A(V) at V, B and R for R(V) = 3.1, to what O'Donnell changed.
    assert extinction(5494.5) == pytest.approx(1.0, abs=0.005)
    assert extinction(4380.0) == pytest.approx(1.337, abs=0.03)
    assert extinction(7000.0) == pytest.approx(0.751, abs=0.03)
    assert (np.diff(extinction(np.linspace(3400.0, 10000.0, 200))) < 0).all()


def test_planck_has_wien_s_maximum():
    wavelength = np.linspace(3000.0, 12000.0, 9001)
    assert wavelength[planck(wavelength, 5800.0).argmax()] == pytest.approx(2.8977720e7 / 5800.0, abs=2.0)
    assert stellar_continuum(np.array([6200.0]), np.array([9000.0]), 6200.0)[0, 0] == pytest.approx(1.0, abs=1e-6)


def test_balmer_lines_peak_in_a_stars_and_narrow_in_giants():
    wavelength = np.arange(6300.0, 6830.0, 0.1)
    width = {
        t: np.trapezoid(1.0 - hydrogen_transmission(wavelength, t, 4.0), dx=0.1) for t in (4000, 5800, 9000, 20000)
    }
    assert width[9000] > width[5800] > width[4000]
    assert width[9000] > width[20000]
    assert 8.0 < width[9000] < 14.0
    giant = np.trapezoid(1.0 - hydrogen_transmission(wavelength, 9000, 2.0), dx=0.1)
    assert giant < 0.6 * width[9000]
    assert hydrogen_lines()[8][0] == pytest.approx(3771.7, abs=0.3)  # H11 in vacuum, from the Rydberg formula


def test_lines_follow_saha_and_boltzmann():
    strength = {
        name: relative_strength(name, e, [5772.0, 9000.0, 20000.0], 4.4) for name, e in (("FeI", 2.0), ("HeI", 21.0))
    }
    np.testing.assert_allclose(strength["FeI"][0], 1.0)
    assert (np.diff(strength["FeI"]) < 0).all()
    assert (np.diff(strength["HeI"]) > 0).all()
    assert strength["HeI"][2] == pytest.approx(1.0)
    sodium = relative_strength("NaI", 0.0, [4000.0, 5772.0], 4.4)
    assert sodium[0] > 5.0 * sodium[1]
    wavelength, species, _, width = line_list()
    d2 = np.flatnonzero((species == "NaI") & (width > 0.7))
    assert wavelength[d2][0] == pytest.approx(5891.58, abs=0.02)


def test_templates_look_like_their_stars():
    templates = stellar_templates("lamost", 1900, 1000, 16)  # 5730 to 7210 Å
    wave = 10.0 ** (3.5682 + 1e-4 * np.arange(1900 - 16, 2900 + 16))
    cool, sun, hot, poor = templates.interpolate(
        np.array([3300.0, 5772.0, 20000.0, 5772.0]), np.array([4.8, 4.4, 4.0, 4.4]), np.array([0.0, 0.0, 0.0, -1.5])
    )

    def depth(flux, low, high, left, right):
        beside = np.median(flux[((wave > left[0]) & (wave < left[1])) | ((wave > right[0]) & (wave < right[1]))])
        return 1.0 - flux[(wave > low) & (wave < high)].min() / beside

    d_lines = (5888.0, 5900.0, (5865.0, 5880.0), (5908.0, 5925.0))
    assert depth(cool, *d_lines) > 0.5 > depth(sun, *d_lines) > 0.1
    assert depth(poor, *d_lines) < 0.8 * depth(sun, *d_lines)
    helium = (6675.0, 6685.0, (6650.0, 6665.0), (6695.0, 6710.0))
    assert depth(hot, *helium) > 0.05 > depth(poor, *helium)
    titanium = (7050.0, 7140.0, (7030.0, 7050.0), (7030.0, 7050.0))
    assert depth(cool, *titanium) > 0.4 > 0.1 > depth(sun, *titanium)


@given(velocity=st.floats(-250.0, 250.0), vsini=st.floats(0.0, 300.0))
@settings(deadline=None, max_examples=20)
def test_kernels_shift_by_the_velocity_and_keep_the_area(velocity, vsini):
    kernel = kernels(np.array([velocity]), np.array([vsini]), 69.0, 32)
    line = np.zeros((1, 132), np.float32)
    line[0] = np.exp(-0.5 * ((np.arange(132) - 66.0) / 1.3) ** 2)
    out = broaden(line, kernel)[0]
    assert out.sum() == pytest.approx(line.sum(), rel=2e-3)
    assert (out * np.arange(100)).sum() / out.sum() == pytest.approx(50.0 + velocity / 69.0, abs=0.05)


def test_rotation_gives_the_textbook_profile():
    points, vsini, step = 512, 200.0, 10.0
    kernel = kernels(np.zeros(1), np.array([vsini]), step, points)[0].astype(float)
    x = (np.arange(points) - points // 2) * step / vsini
    inside = np.clip(1.0 - x**2, 0.0, None)
    exact = (2 * 0.4 * np.sqrt(inside) + 0.5 * np.pi * 0.6 * inside) / (np.pi * (1 - 0.6 / 3))
    np.testing.assert_allclose(kernel, exact * step / vsini, atol=0.05 * kernel.max())
    assert rotation_transfer(np.zeros(1))[0] == pytest.approx(1.0)


def test_quasar_lines_are_where_the_redshift_puts_them():
    wavelength = np.arange(3700.0, 9000.0, 1.0)
    flux = quasar_flux(wavelength, np.array([1.5]), np.zeros((1, 4)), 6200.0)[0]
    smooth = flux / (wavelength / 6200.0) ** -1.56
    near = (wavelength > 6800.0) & (wavelength < 7200.0)
    assert wavelength[near][smooth[near].argmax()] == pytest.approx(2800.3 * 2.5, abs=5.0)
    assert (flux > 0).all()
