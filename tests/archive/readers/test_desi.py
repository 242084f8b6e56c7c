"""DESI coadds, on synthetic files of the documented layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import packed, rejection

from emberline.archive.readers import Source, detect, read, read_each
from emberline.errors import ReadError
from emberline.spectra import Mask

EDGES = {"B": (5600.0, 5800.0), "R": (5760.0, 5960.0), "Z": (5920.0, 6100.0)}


def arms() -> dict[str, Any]:
    """Two targets in three overlapping arms; the second target's flux is twice the first's."""
    made: dict[str, Any] = {}
    rng = np.random.default_rng(1)
    for arm, (low, high) in EDGES.items():
        wave = np.arange(low, high + 0.1, 0.8)
        values = 10 + np.sin(wave / 30)
        made[f"{arm}_WAVELENGTH"] = wave
        made[f"{arm}_FLUX"] = (np.stack([values, 2 * values]) + rng.normal(0, 1e-3, (2, wave.size))).astype("f4")
        made[f"{arm}_IVAR"] = np.full((2, wave.size), 1e6, "f4")
        made[f"{arm}_MASK"] = np.zeros((2, wave.size), "i4")
    made["R_RESOLUTION"] = np.zeros((2, 11, made["R_WAVELENGTH"].size), "f4")
    made["R_RESOLUTION"] += np.exp(-0.5 * (np.arange(-5, 6) / 0.85) ** 2)[:, None]
    return made


def coadd(content: dict[str, Any] | None = None, rows: int = 2) -> Source:
    columns = [fits.Column("TARGETID", "K", array=np.array([39627788403084375, 39627788403084376][:rows]))]
    columns += [fits.Column(key, "D", array=np.arange(rows) + 10.0) for key in ("TARGET_RA", "TARGET_DEC", "MEAN_MJD")]
    columns += [fits.Column("COADD_EXPTIME", "E", array=np.full(rows, 900.0))]
    columns += [fits.Column("OBJTYPE", "3A", array=["TGT", "SKY"][:rows])]
    images = [fits.ImageHDU(values, name=name) for name, values in (arms() if content is None else content).items()]
    table = fits.BinTableHDU.from_columns(columns, name="FIBERMAP")
    return packed([fits.PrimaryHDU(), table, *images], "coadd-main-dark-100.fits", gz=True)


def test_the_arms_become_one_spectrum_a_target() -> None:
    source = coadd()
    assert detect(source).name == "desi"
    first, second = read(source)
    assert first.grid is second.grid
    assert first.grid.n == round((6100 - 5600) / 0.8) + 1
    np.testing.assert_allclose(first.wavelength, 5600 + 0.8 * np.arange(first.grid.n))
    np.testing.assert_allclose(first.flux, 10 + np.sin(first.wavelength / 30), atol=0.01)
    np.testing.assert_allclose(second.flux, 2 * first.flux, rtol=1e-3)
    overlap = (first.wavelength > 5760) & (first.wavelength < 5800)
    np.testing.assert_allclose(first.ivar[overlap], 2e6)  # both arms count
    meta = first.meta
    assert (meta.identifier, meta.ra, meta.mjd, meta.exposure) == ("desi-39627788403084375", 10.0, 10.0, 900.0)
    assert (meta.medium, meta.velocity_frame, second.meta.survey_class) == ("vacuum", "barycentric", "SKY")
    assert meta.resolving_power == pytest.approx(5860 / (2.3548 * 0.85 * 0.8), rel=0.02)


def test_masked_pixels_have_no_say_in_the_overlap() -> None:
    content = arms()
    content["B_FLUX"][0, -10:] = 1e4
    content["B_MASK"][0, -10:] = 1
    content["Z_MASK"][0, -10:] = 4
    first, _ = read(coadd(content))
    np.testing.assert_allclose(first.flux[:-10], 10 + np.sin(first.wavelength[:-10] / 30), atol=0.01)
    assert (first.mask[-10:] & Mask.BAD).all()
    assert not first.mask[:-10].any()


def test_without_resolution_and_with_one_arm() -> None:
    content = {key: value for key, value in arms().items() if key.startswith("B")}
    first, _ = read(coadd(content))
    assert np.isnan(first.meta.resolving_power)
    assert first.grid.n == arms()["B_WAVELENGTH"].size


def test_rejections() -> None:
    other = arms()
    other["R_WAVELENGTH"] = other["R_WAVELENGTH"] + 0.3
    assert rejection(coadd(other)).reason == "bad-wavelength"
    other["R_WAVELENGTH"] = other["R_WAVELENGTH"][::-1]
    assert rejection(coadd(other)).reason == "bad-wavelength"
    assert rejection(coadd(rows=1)).reason == "no-spectrum"
    short = arms()
    short["R_IVAR"] = short["R_IVAR"][:, :-1]
    assert rejection(coadd(short)).reason == "no-spectrum"
    missing = {key: value for key, value in arms().items() if key != "Z_FLUX"}
    assert "Z_FLUX" in str(rejection(coadd(missing)))
    negative = arms()
    negative["B_IVAR"][0, 3] = -1
    bad, good = read_each(coadd(negative))
    assert isinstance(bad, ReadError)
    assert bad.reason == "bad-ivar"
    assert not isinstance(good, ReadError)
