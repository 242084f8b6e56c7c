"""SDSS and BOSS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import LOGLAM, N, flux, header_of, packed, rejection

from emberline.archive.readers import Source, detect, find_sources, open_source, read
from emberline.spectra import Mask

HEADER = {"PLUG_RA": 150.0, "PLUG_DEC": -2.5, "PLATEID": 266, "FIBERID": 13, "MJD": 51602, "EXPTIME": 3600.0}
HEADER |= {"VACUUM": True, "COEFF0": float(LOGLAM[0]) - 0.002, "COEFF1": 1e-4, "TAI": 4458436689.74}


def sdss(columns: dict[str, Any] | None = None, **changes: Any) -> Source:
    values: dict[str, Any] = {"flux": flux(), "loglam": LOGLAM, "ivar": np.ones(N), "and_mask": np.zeros(N, "i4")}
    values |= {"wdisp": np.ones(N), **(columns or {})}
    coadd = [fits.Column(key, "J" if "mask" in key else "E", array=content) for key, content in values.items()]
    row = [fits.Column("CLASS", "6A", array=["STAR"]), fits.Column("SUBCLASS", "9A", array=["F5"])]
    row += [fits.Column("Z", "E", array=[0.001]), fits.Column("SN_MEDIAN", "E", array=[12.5])]
    row += [fits.Column("SURVEY", "6A", array=["segue1"]), fits.Column("PLUG_RA", "D", array=[150.0])]
    hdus = [fits.PrimaryHDU(None, header_of(HEADER, changes)), fits.BinTableHDU.from_columns(coadd)]
    return packed([*hdus, fits.BinTableHDU.from_columns(row)], "spec-0266-51602-0013.fits")


def test_the_coadd_and_its_metadata() -> None:
    source = sdss()
    assert detect(source).name == "sdss"
    (spectrum,) = read(source)
    np.testing.assert_array_equal(spectrum.flux, flux())
    np.testing.assert_allclose(spectrum.wavelength, 10**LOGLAM, rtol=1e-9)
    meta = spectrum.meta
    assert meta.identifier == "spec-0266-51602-0013"
    assert (meta.survey, meta.survey_class, meta.survey_subclass, meta.snr) == ("SDSS SEGUE1", "STAR", "F5", 12.5)
    assert meta.redshift == pytest.approx(0.001)
    assert (meta.ra, meta.dec) == (150.0, -2.5)
    assert meta.mjd == pytest.approx(51602.2765, abs=1e-4)
    assert meta.resolving_power == pytest.approx(1 / (2.3548 * 1e-4 * np.log(10)), rel=1e-4)


def test_only_mask_bits_that_spoil_a_pixel_count() -> None:
    bits, ivar = np.zeros(N, "i4"), np.ones(N)
    for pixel, bit in enumerate((4, 16, 18, 22, 23, 24, 25, 26, 27, 28)):
        bits[pixel] = 1 << bit
    ivar[50] = 0
    (spectrum,) = read(sdss({"and_mask": bits, "ivar": ivar}))
    assert spectrum.mask[:10].tolist() == [0, 0, 1, 1, 0, 1, 1, 1, Mask.SKY, Mask.SKY]
    assert spectrum.mask[50] & Mask.BAD  # the pipeline interpolates the flux there


@pytest.mark.parametrize(
    ("columns", "changes", "reason"),
    [
        ({}, {"VACUUM": False}, "wrong-frame"),
        ({"loglam": LOGLAM[::-1]}, {}, "bad-wavelength"),
        ({"loglam": np.full(N, 3.7)}, {}, "bad-wavelength"),
        ({}, {"COEFF0": 3.80005}, "bad-keyword"),
        ({}, {"COEFF1": 2e-4}, "bad-keyword"),
        ({}, {"FIBERID": None}, "bad-keyword"),
        ({"ivar": -np.ones(N)}, {}, "bad-ivar"),
        ({"flux": np.zeros(N)}, {}, "bad-flux"),
    ],
)
def test_rejections(columns: Any, changes: Any, reason: str) -> None:
    assert rejection(sdss(columns, **changes)).reason == reason


@pytest.mark.data
def test_all_files_of_the_pack(data: Path) -> None:
    seen = 0
    for locator in find_sources([data / "sdss", data / "sdss_sky"]):
        (spectrum,) = read(open_source(locator))
        seen += 1
        assert spectrum.meta.identifier in locator
        assert spectrum.grid.phase == 0.0
        assert 1500 < spectrum.meta.resolving_power < 2600
        assert (spectrum.mask == 0).mean() > 0.85
        with fits.open(locator) as hdus:
            coadd = hdus[1].data
            np.testing.assert_array_equal(spectrum.flux[spectrum.mask == 0], coadd["flux"][spectrum.mask == 0])
            np.testing.assert_allclose(spectrum.wavelength, 10.0 ** coadd["loglam"], rtol=1e-6)
            assert spectrum.meta.redshift == pytest.approx(hdus[2].data["Z"][0])
            if spectrum.mask.any():  # what is used scatters about the pipeline's model as its ivar says
                good = spectrum.mask == 0
                chi = (coadd["flux"] - coadd["model"])[good] * np.sqrt(coadd["ivar"][good])
                assert np.median(np.abs(chi)) * 1.4826 < 1.7
    assert seen == 27
