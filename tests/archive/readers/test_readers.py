"""The registry, detection, and what happens to files that no reader knows."""

from __future__ import annotations

import collections
import dataclasses
import importlib.metadata
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import image, lamost_image, packed, rejection

from emberline.archive import readers as module
from emberline.archive.readers import Source, Statement, detect, find_sources, open_source, read, read_each, readers
from emberline.errors import EmberlineError, ReadError


def test_every_reader_states_everything() -> None:
    for name, reader in readers().items():
        assert reader.name == name
        states = reader.states  # type: ignore[attr-defined]
        assert isinstance(states, Statement)
        assert all(dataclasses.asdict(states).values())
        assert reader.description == states.line
        assert "\n" not in reader.description


class Plugin:
    """What another package may register."""

    name = "mine"
    description = "mine"

    def matches(self, source: Source) -> bool:
        return source.raw.startswith(b"MINE")

    def read(self, source: Source) -> list[object]:
        if b"crash" in source.raw:
            raise ZeroDivisionError("a bug")
        return [] if b"empty" in source.raw else list(read(image()))


class Entry:
    name = "mine"
    value = "somewhere:Plugin"

    def __init__(self, loaded: object) -> None:
        self._loaded = loaded

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry(getattr(request, "param", Plugin))])
    readers.cache_clear()
    yield
    readers.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_readers_of_other_packages_are_asked_before_the_general_ones() -> None:
    names = list(readers())
    assert names.index("sdss") < names.index("mine") < names.index("ivoa")
    source = Source("a.mine", b"MINE")
    assert detect(source).name == "mine"
    assert len(read(source)) == 1


@pytest.mark.usefixtures("plugin")
def test_a_bug_in_a_reader_rejects_the_file_and_names_it() -> None:
    error = rejection(Source("a.mine", b"MINE crash"))
    assert (error.reason, error.found) == ("unreadable", "ZeroDivisionError: a bug")
    assert rejection(Source("a.mine", b"MINE empty")).reason == "no-spectrum"


@pytest.mark.parametrize("plugin", [ImportError("no such module"), object()], indirect=True)
@pytest.mark.usefixtures("plugin")
def test_a_broken_entry_point_is_named() -> None:
    with pytest.raises(EmberlineError, match="somewhere:Plugin"):
        readers()


def test_a_reader_can_be_forced_and_an_unknown_one_is_refused() -> None:
    assert len(read(image(), "wcs1d")) == 1
    assert rejection(lamost_image(), "sdss").reason in ("no-spectrum", "bad-keyword")
    for name in readers():
        assert rejection(Source("x.fits", b"nonsense"), name).reason in ("not-fits", "no-spectrum", "unreadable")
    with pytest.raises(EmberlineError, match="no reader 'lamots'"):
        read(image(), "lamots")


def zipped_array() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.ones(3))
    return stream.getvalue()


TABLE = fits.BinTableHDU.from_columns([fits.Column("mag", "E", array=np.ones(3))])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source("a.fits", b""), "not-fits"),
        (Source("a.txt", b""), "not-fits"),
        (Source("a.fits.gz", b"<html>404</html>"), "not-fits"),
        (Source("notes.md", b"# Notes"), "unknown-format"),
        (Source("a.npz", zipped_array()), "unknown-format"),
        (Source("table.csv", b"a,b\n1,2\n"), "unknown-format"),
        (packed([fits.PrimaryHDU()]), "no-spectrum"),
        (packed([fits.PrimaryHDU(), TABLE]), "no-spectrum"),
        (packed([fits.PrimaryHDU(np.ones((20, 20)))]), "no-spectrum"),
        (packed([fits.PrimaryHDU(np.ones(20))]), "no-spectrum"),
    ],
)
def test_what_is_no_spectrum_is_told_apart(source: Source, reason: str) -> None:
    assert rejection(source).reason == reason


def test_a_lost_file_is_rejected_not_fatal(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file") as caught:
        open_source(tmp_path / "gone.fits")
    assert caught.value.reason == "unreadable"
    if os.geteuid():
        path = tmp_path / "closed.fits"
        path.write_bytes(b"")
        path.chmod(0)
        with pytest.raises(ReadError, match="Permission denied"):
            open_source(path)


@pytest.mark.data
def test_every_file_of_the_pack_is_read_or_rightly_rejected(data: Path) -> None:
    outcome: collections.Counter[str] = collections.Counter()
    folders = (
        "aaomega",
        "catalogues",
        "digitised_qso_pn",
        "indous",
        "lamost_mrs",
        "ondrejov",
        "sdss",
        "sdss_sky",
        "vo",
    )
    identifiers: list[str] = []
    for locator in find_sources([data / folder for folder in folders]):
        folder = Path(locator).parent.name
        for item in read_each(open_source(locator)):
            if isinstance(item, ReadError):
                outcome[f"{folder} {item.reason}"] += 1
            else:
                outcome[folder] += 1
                identifiers.append(item.meta.identifier)
    assert outcome == {
        "aaomega": 6,
        "catalogues unknown-format": 5,  # tables of candidates
        "digitised_qso_pn unknown-format": 1,  # curves traced from figures, without units or medium
        "indous": 17,
        "lamost_mrs": 28,
        "ondrejov": 56,
        "sdss": 16,
        "sdss_sky": 11,
        "vo no-spectrum": 7,  # lists of datasets and of links
    }
    assert len(set(identifiers)) == len(identifiers)


def test_the_registry_is_what_the_package_exports() -> None:
    assert set(module.__all__) >= {"Reader", "Source", "detect", "find_sources", "open_source", "read", "readers"}


def test_the_how_to_says_what_the_readers_state() -> None:
    page = Path(__file__).parents[3] / "docs" / "howto" / "surveys.md"
    text = page.read_text(encoding="utf-8").replace("\\", "")
    for name, reader in readers().items():
        assert f"| `{name}` | |" in text
        for field, value in dataclasses.asdict(reader.states).items():  # type: ignore[attr-defined]
            assert field == "survey" or f" | {value} |" in text, f"{name}: {field} is not in {page.name} as stated"
