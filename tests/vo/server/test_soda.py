"""SODA over HTTP: cut-outs that overlap, recipes, formats, faults; called as pyvo does."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pytest
import pyvo
from astropy import units
from astropy.io import fits
from dal_sky import Service

from emberline.archive import open_archive
from emberline.features import Recipe, extract
from emberline.spectra import SpectrumBlock
from emberline.vo.server import _spectra


def get(dal: Service, identifier: str = "alpha-0008", name: str = "alpha", **parameters: Any) -> httpx.Response:
    return dal.http.get(f"{name}/soda/sync", params={"ID": dal.did(identifier, name), **parameters})


def table_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.content)) as hdus:
        hdus.verify("exception")
        return hdus[1].data.copy()


def test_a_cut_out_has_the_pixels_that_overlap_the_band(dal: Service) -> None:
    whole = open_archive(dal.workspace.folder / "alpha").spectrum("alpha-0008").trimmed()
    edges = whole.grid.edges
    for low, high in ((6500.0, 6600.0), (edges[10], edges[12]), (6550.2, 6550.2), (-np.inf, 6400.0), (6800.0, np.inf)):
        text = f"{low * 1e-10 if np.isfinite(low) else '-Inf'} {high * 1e-10 if np.isfinite(high) else '+Inf'}"
        table = table_of(get(dal, BAND=text))
        touched = (edges[1:] >= low * (1 - 1e-12)) & (edges[:-1] <= high * (1 + 1e-12))
        assert abs(len(table) - touched.sum()) <= 2
        assert set(np.round(table["wave"], 6)) <= set(np.round(whole.wavelength[touched], 6))
        inside = (whole.wavelength >= low) & (whole.wavelength <= high)
        assert set(np.round(whole.wavelength[inside], 6)) <= set(np.round(table["wave"], 6))


def test_without_a_band_the_whole_spectrum_comes(dal: Service) -> None:
    whole = open_archive(dal.workspace.folder / "beta").spectrum("beta 3").trimmed()
    table = table_of(get(dal, "beta 3", "beta"))
    assert np.array_equal(table["wave"], whole.wavelength)
    good = whole.mask == 0
    assert np.array_equal(table["flux"][good], whole.flux[good])
    assert np.allclose(table["err"][good], 1 / np.sqrt(whole.ivar[good]))
    assert np.array_equal(table["mask"], whole.mask)
    assert np.isnan(table["err"][~good]).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"BAND": "1e-7 2e-7"},
        {"BAND": "1 2"},
        {"CIRCLE": "200 -20 1"},
        {"POS": "CIRCLE 200 -20 1"},
        {"POS": "RANGE 0 1 0 1"},
        {"TIME": "-Inf 40000"},
        {"BAND": "6.5e-7 6.6e-7", "TIME": "70000 +Inf"},
        {"RECIPE": "halpha-140", "BAND": "6.9e-7 7e-7"},
    ],
)
def test_no_overlap_is_no_content(dal: Service, parameters: dict[str, str]) -> None:
    answer = get(dal, **parameters)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "parameters",
    [{"CIRCLE": "40 20 4"}, {"POS": "CIRCLE 40 20 4"}, {"POS": "RANGE 30 50 10 30"}, {"TIME": "57000 58000"}],
)
def test_places_and_times_that_hold_the_spectrum(dal: Service, parameters: dict[str, str]) -> None:
    assert len(table_of(get(dal, **parameters))) == 394


def test_a_recipe_gives_what_the_features_are_made_of(dal: Service) -> None:
    recipe = Recipe.load("halpha-140")
    spectrum = open_archive(dal.workspace.folder / "alpha").spectrum("alpha-0008").trimmed()
    block = SpectrumBlock(spectrum.grid, spectrum.flux[None], spectrum.ivar[None], spectrum.mask[None], [spectrum.meta])
    answer = get(dal, RECIPE="HALPHA-140")
    table = table_of(answer)
    assert np.allclose(table["flux"], extract(recipe, block).values[0], atol=1e-6)
    assert np.allclose(table["wave"], recipe.grid.wavelength)
    with fits.open(io.BytesIO(answer.content)) as hdus:
        assert hdus[1].header["RECIPE"] == "halpha-140"
        assert hdus[1].header["RECHASH"] == recipe.hash
    cut = table_of(get(dal, RECIPE="halpha-140", BAND="6.55e-7 6.58e-7"))
    assert 0 < len(cut) < 140


@pytest.mark.parametrize(
    ("form", "media_type", "start"),
    [
        ("application/fits", "application/fits", b"SIMPLE"),
        ("votable", "application/x-votable+xml", b"<?xml"),
        ("text/csv", "text/csv", b'"wave"'),
        ("image/png", "image/png", b"\x89PNG"),
        ("svg", "image/svg+xml", b"<svg"),
    ],
)
def test_formats(dal: Service, form: str, media_type: str, start: bytes) -> None:
    answer = get(dal, BAND="6.5e-7 6.6e-7", RESPONSEFORMAT=form)
    assert answer.headers["content-type"].split(";")[0] == media_type
    assert answer.content.startswith(start)


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({"ID": "ivo://example.org/alpha?nosuch"}, 404, "UsageError: ID: there is no spectrum"),
        ({"ID": ""}, 400, "UsageError: ID: is missing"),
        ({"ID": ["a", "b"]}, 400, "MultiValuedParamNotSupported: ID"),
        ({"BAND": ["1 2", "3 4"]}, 400, "MultiValuedParamNotSupported: BAND"),
        ({"BAND": "red"}, 400, "UsageError: BAND: 'red'"),
        ({"RECIPE": "../../etc/passwd"}, 400, "UsageError: RECIPE: '../../etc/passwd'"),
        ({"POLYGON": "1 2 3 4 5 6"}, 400, "UsageError: POLYGON: is not offered"),
        ({"CIRCLE": "1 2"}, 400, "UsageError: CIRCLE"),
        ({"POS": "HEXAGON 1"}, 400, "UsageError: POS"),
        ({"RESPONSEFORMAT": "gif"}, 400, "UsageError: RESPONSEFORMAT: 'gif'"),
    ],
)
def test_faults_begin_with_the_standards_word(
    dal: Service, parameters: dict[str, Any], status: int, words: str
) -> None:
    answer = get(dal, **parameters)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, "text/plain")
    assert answer.text.startswith(words)


def test_pyvo_cuts_out(dal: Service) -> None:
    record = pyvo.dal.SSAService(f"{dal.base}/alpha/ssa").search(TARGETNAME="Star 8")[0]
    with fits.open(io.BytesIO(record.processed(band=[6.5e-7, 6.6e-7] * units.m).read())) as hdus:
        assert 60 < len(hdus[1].data) < 75
    process = record.getdatalink().get_first_proc()
    with fits.open(io.BytesIO(process.process(recipe="halpha-140").read())) as hdus:
        assert len(hdus[1].data) == 140


def test_a_part_that_was_written_anew_is_found_again(dal: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = get(dal).content
    monkeypatch.setattr(_spectra._Part, "spectrum", lambda *_: None)
    assert get(dal).content == expected
