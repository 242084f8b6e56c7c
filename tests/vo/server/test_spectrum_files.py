"""Spectra as files: specutils, astropy and our own reader agree on them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.io.votable import parse
from dal_sky import ODD, Service

from emberline.archive import open_archive
from emberline.archive.readers.ivoa import IvoaReader
from emberline.archive.readers.source import Source
from emberline.spectra import Spectrum
from emberline.vo.server._fits_cards import header
from emberline.vo.server._spectra import unit_of

pytestmark = pytest.mark.filterwarnings("ignore:.*VOUnit.*")


def fetch(dal: Service, identifier: str, form: str, name: str = "alpha") -> bytes:
    answer = dal.http.get(f"{name}/spectrum", params={"ID": dal.did(identifier, name), "FORMAT": form})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize(("identifier", "name"), [("alpha-0007", "alpha"), ("alpha-0008", "alpha"), ("beta 1", "beta")])
def test_specutils_reads_the_fits(dal: Service, identifier: str, name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        specutils = pytest.importorskip("specutils")
    path = tmp_path / "one.fits"
    path.write_bytes(fetch(dal, identifier, "fits", name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = specutils.Spectrum.read(path)
    whole = open_archive(dal.workspace.folder / name).spectrum(identifier).trimmed()
    good = whole.mask == 0
    assert found.spectral_axis.unit == units.AA
    assert np.array_equal(found.spectral_axis.value, whole.wavelength)
    assert np.array_equal(found.flux.value[good], whole.flux[good])
    assert np.allclose(found.uncertainty.array[good], 1 / np.sqrt(whole.ivar[good]))
    assert np.array_equal(found.mask != 0, ~good)


@pytest.mark.parametrize("form", ["fits", "votable"])
@pytest.mark.parametrize("identifier", ["alpha-0008", ODD, "from-file", "alpha-0298"])
def test_our_own_reader_gets_back_what_left(dal: Service, form: str, identifier: str) -> None:
    whole = open_archive(dal.workspace.folder / "alpha").spectrum(identifier).trimmed()
    found = next(iter(IvoaReader().read(Source("one", fetch(dal, identifier, form)))))
    assert isinstance(found, Spectrum)
    assert np.allclose(found.wavelength, whole.wavelength, rtol=1e-12)
    good = whole.mask == 0
    assert np.allclose(found.ivar[good], whole.ivar[good], rtol=1e-5)
    for key in ("ra", "dec", "mjd", "exposure", "snr", "name", "survey_class", "velocity_frame", "resolving_power"):
        one, two = getattr(found.meta, key), getattr(whole.meta, key)
        assert one == two or (one != one and two != two), key


def test_units_are_those_of_the_archive(dal: Service) -> None:
    with fits.open(io.BytesIO(fetch(dal, "alpha-0007", "fits"))) as hdus:
        unit = units.Unit(hdus[1].columns["flux"].unit)
        assert unit == units.Unit("1e-17 erg / (s cm2 Angstrom)")
        assert hdus[1].header["VOCLASS"] == "SPECTRUM 1.1"
    table = parse(io.BytesIO(fetch(dal, "alpha-0007", "votable"))).get_first_table()
    assert table.get_field_by_id_or_name("flux").unit == unit
    utypes = {param.utype: param.value for param in table.params}
    assert utypes["spec:Spectrum.Curation.PublisherDID"] == dal.did("alpha-0007")


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("relative", ""), ("scaled from 0 to 1", ""), ("Jy", "Jy"), ("counts", "")]
)
def test_what_is_no_unit_is_arbitrary(text: str, expected: str) -> None:
    assert unit_of(text) == expected


def test_pictures(dal: Service) -> None:
    root = ElementTree.fromstring(fetch(dal, ODD, "svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert any(element.get("class") == "line" for element in root.iter())
    assert fetch(dal, ODD, "png").startswith(b"\x89PNG\r\n")


def test_a_long_text_goes_over_several_cards() -> None:
    text = "It's a long title with 'quotes' and ünicode; " * 8
    raw = header(
        [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("TITLE", text, "lost"), ("GAIN", float("nan"), "")]
    )
    assert len(raw) % 2880 == 0
    found = fits.Header.fromstring(raw.decode())
    assert found["TITLE"] == text.encode("unicode_escape").decode().rstrip()
    assert "GAIN" not in found


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({}, 400, "ID: is missing"),
        ({"ID": "ivo://example.org/alpha?nosuch"}, 404, "there is no spectrum"),
        ({"ID": "ivo://example.org/alpha?alpha-0008", "FORMAT": "gif"}, 400, "FORMAT: 'gif'"),
        ({"ID": "ivo://example.org/alpha?alpha-0008", "FORMAT": "native"}, 404, "not kept here"),
        ({"ID": "ivo://example.org/alpha?%00"}, 404, "there is no spectrum"),
    ],
)
def test_refusals(dal: Service, parameters: dict[str, str], status: int, words: str) -> None:
    answer = dal.http.get("alpha/spectrum", params=parameters)
    assert answer.status_code == status
    assert words in answer.text


def test_a_source_outside_the_workspace_is_not_given(
    dal: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.vo.server.database import catalogues_of

    catalogues = catalogues_of(dal.published)
    (tmp_path / "secret.fits").write_text("secret")
    folder = dal.workspace.folder
    (folder / "raw" / "link.fits").symlink_to(tmp_path / "secret.fits")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "key").write_text("secret")
    for name in (
        str(tmp_path / "secret.fits"), "../secret.fits", "raw/link.fits", ".hidden/key", "raw", "raw/../../x", "\0",
    ):  # fmt: skip
        assert catalogues._within(name) is None
    assert catalogues._within("raw/one.fits") == folder / "raw" / "one.fits"
    assert catalogues._within(str(folder / "raw" / "one.fits")) == folder / "raw" / "one.fits"
