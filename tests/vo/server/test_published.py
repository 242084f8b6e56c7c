"""What is published, as the services see it: it changes while they run, and nothing damaged stops the rest."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import pytest
from publishing_sky import BASE, SETTINGS

from emberline.jobs import Workspace
from emberline.vo.server.publication import publish, withdraw
from emberline.vo.server.published import Published, PublishedArchive, PublishedCatalogue


def test_publishing_and_withdrawing_show_without_a_restart(own: Path) -> None:
    published = Published(Workspace(own), seconds=0)
    assert published.archives == ()
    publish(own / "survey", **SETTINGS)
    assert [item.name for item in published.archives] == ["survey"]
    first = published.by_name("survey")
    assert isinstance(first, PublishedArchive)
    publish(own / "search", **SETTINGS)
    assert isinstance(published.by_name("search"), PublishedCatalogue)
    assert published.by_name("survey") is first  # what has not changed is not read again
    publish(own / "survey", title="Newer")
    newer = published.by_name("survey")
    assert newer is not None
    assert (newer.publication.version, newer.publication.title) == (2, "Newer")
    number = published.snapshot().number
    assert published.snapshot().number == number
    withdraw(own / "survey")
    assert published.archives == ()
    assert [record.name for record in published.snapshot().withdrawn] == ["survey"]
    assert published.snapshot().number == number + 1


def test_the_folders_are_looked_at_now_and_then_only(own: Path) -> None:
    published = Published(Workspace(own), seconds=3600)
    assert published.archives == ()
    publish(own / "survey", **SETTINGS)
    assert published.archives == ()
    assert len(published.snapshot(fresh=True).archives) == 1


def test_of_two_with_one_name_the_first_has_it(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(own / "survey", **SETTINGS)
    shutil.copytree(own / "survey", own / "zweite")
    with caplog.at_level(logging.ERROR):
        published = Published(Workspace(own))
        assert [item.folder.name for item in published.archives] == ["survey"]
    assert "the name survey is taken" in caplog.text


def test_what_is_damaged_is_left_out(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(own / "survey", **SETTINGS)
    publish(own / "search", **SETTINGS)
    (own / "survey" / "published" / "v1" / "catalogue.parquet").write_bytes(b"no parquet")
    with caplog.at_level(logging.ERROR):
        snapshot = Published(Workspace(own)).snapshot()
    assert [item.name for item in snapshot] == ["search"]
    assert "survey cannot be published" in caplog.text


def test_a_record_that_is_a_link_is_not_followed(own: Path, tmp_path: Path) -> None:
    publish(own / "survey", **SETTINGS)
    (own / "survey" / "publication.toml").rename(tmp_path / "elsewhere.toml")
    (own / "survey" / "publication.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert Published(Workspace(own)).archives == ()


def test_dataset_identifiers_find_their_archive(published_folder: Path) -> None:
    published = Published(Workspace(published_folder))
    item = published.archives[0]
    found = published.archive_of(item.publication.did("a/b c?d&é#"))
    assert found == (item, "a/b c?d&é#")
    assert published.archive_of("ivo://example.org/search?x") is None
    assert published.archive_of("nonsense") is None


def test_the_tables(published_folder: Path) -> None:
    tables = Published(Workspace(published_folder)).snapshot().tables(BASE)
    assert list(tables.by_name) == ["survey.spectra", "search.candidates", "ivoa.obscore", "ivoa.obsplan"]
    spectra = tables.by_name["survey.spectra"]
    assert not {"part", "row", "grid", "start"} & spectra.by_name.keys()
    assert spectra.by_name["ra"].unit == "deg"
    assert spectra.by_name["ra"].indexed
    assert [key.target_table for key in tables.keys] == ["survey.spectra"]
    assert all(column.description for table in tables for column in table.columns)


def test_threads_see_whole_snapshots(own: Path) -> None:
    published = Published(Workspace(own), seconds=0)
    publish(own / "survey", **SETTINGS)
    wrong: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for item in published.snapshot():
                if not item.catalogue_path.is_file():
                    wrong.append(str(item.catalogue_path))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(5):
            publish(own / "survey", title=f"Title {number}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert published.archives[0].publication.version == 6
