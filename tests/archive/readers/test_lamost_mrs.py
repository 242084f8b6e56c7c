"""LAMOST medium resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import LAMOST_HEADER, N, flux, header_of, packed, rejection

from emberline.archive.readers import Source, detect, open_source, read, read_each
from emberline.errors import ReadError
from emberline.spectra import Mask, Spectrum

LOGLAM = 3.8 + 1e-5 * np.arange(N)


def mrs(*tables: tuple[str, Any], **changes: Any) -> Source:
    hdus: list[Any] = [fits.PrimaryHDU(None, header_of(LAMOST_HEADER, {"EXTNAME": "Information", **changes}))]
    for name, loglam in tables:
        mask = np.zeros(N, "i2")
        mask[7] = 1
        values = {"FLUX": flux(), "IVAR": np.ones(N), "LOGLAM": loglam}
        columns = [fits.Column(key, "E", array=content) for key, content in values.items()]
        columns.append(fits.Column("PIXMASK" if name[1] == "-" else "ANDMASK", "I", array=mask))
        table = fits.BinTableHDU.from_columns(columns, name=name)
        if name[1] == "-":
            table.header["LMJM"], table.header["EXPTIME"] = name[2:], 1200
        hdus.append(table)
    return packed(hdus, "med.fits")


def test_coadds_and_exposures_are_spectra_of_their_own() -> None:
    source = mrs(("COADD_R", LOGLAM), ("R-83908922", LOGLAM[::-1] ** 1.0001))
    assert detect(source).name == "lamost-mrs"
    coadd, exposure = read(source)
    assert coadd.meta.identifier == "med-58575-HD103621N361936B01_sp03-002-COADD_R"
    assert exposure.meta.identifier.endswith("-R-83908922")
    assert coadd.grid.step == 1e-5
    assert exposure.grid.step is None
    np.testing.assert_array_equal(coadd.flux, flux())
    np.testing.assert_array_equal(exposure.flux, flux()[::-1])  # stored from long to short wavelengths
    assert list(np.flatnonzero(coadd.mask)) == [7]
    assert list(np.flatnonzero(exposure.mask)) == [N - 8]
    assert exposure.mask[N - 8] == Mask.BAD
    assert exposure.meta.mjd == pytest.approx(83908922 / 1440 - 8 / 24 + 600 / 86400)
    assert exposure.meta.exposure == 1200


def test_one_bad_exposure_does_not_take_the_others_with_it() -> None:
    repeated = LOGLAM.copy()
    repeated[5] = repeated[4]
    items = list(read_each(mrs(("COADD_B", LOGLAM), ("B-1", repeated), ("R-1", LOGLAM))))
    assert [type(item) for item in items] == [Spectrum, ReadError, Spectrum]
    assert str(items[1]).startswith("med.fits: B-1: wavelengths do not increase")


def test_rejections() -> None:
    assert rejection(mrs(("COADD_B", LOGLAM), VACUUM=False)).reason == "wrong-frame"
    assert rejection(mrs()).reason == "no-spectrum"
    assert rejection(mrs(("COADD_B", LOGLAM * np.nan))).reason == "bad-wavelength"
    assert rejection(mrs(("COADD_B", LOGLAM + 400))).reason == "bad-wavelength"


@pytest.mark.data
def test_three_files_of_one_star(data: Path) -> None:
    counts, centres = [], []
    for path in sorted((data / "lamost_mrs").glob("*.gz")):
        spectra = read(open_source(path))
        counts.append(len(spectra))
        assert len({spectrum.meta.identifier for spectrum in spectra}) == len(spectra)
        with fits.open(path) as hdus:
            np.testing.assert_array_equal(spectra[1].flux, hdus["COADD_R"].data["FLUX"])
            np.testing.assert_allclose(spectra[1].wavelength, 10.0 ** hdus["COADD_R"].data["LOGLAM"], rtol=1e-6)
        for spectrum in spectra[1:2] + spectra[-1:]:  # the red coadd and a red exposure see Hα at one place
            near = np.abs(spectrum.wavelength - 6564.6) < 4
            depth = np.clip(np.median(spectrum.flux[near]) - spectrum.flux[near], 0, None)
            centres.append(float((depth * spectrum.wavelength[near]).sum() / depth.sum()))
        assert {spectrum.meta.velocity_frame for spectrum in spectra} == {"heliocentric"}
    assert counts == [10, 8, 10]
    assert np.ptp(centres) < 0.5
    assert np.median(centres) == pytest.approx(6564.3, abs=0.8)
