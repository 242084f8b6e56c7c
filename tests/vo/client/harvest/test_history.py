"""The queue: a file is in it once, goes through its states, and is there after anything."""

from __future__ import annotations

import math
import sqlite3
import threading
from pathlib import Path

import pytest

from emberline.errors import NewerVersionError
from emberline.vo.client.harvest.history import FOLDER, HarvestError, open_history
from emberline.vo.client.harvest.records import Record
from emberline.vo.client.soda import Descriptor, Parameter

SODA = Descriptor("s", "ivo://ivoa.net/std/SODA#sync-1.0", "http://x.test/s", (Parameter("F", options=(("a", "b"),)),))


def records(count: int, **more: object) -> list[Record]:
    return [Record(f"https://x.test/{number}", service="https://x.test/ssa", **more) for number in range(count)]  # type: ignore[arg-type]


def test_a_file_is_in_the_queue_once(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        assert history.add(records(3)) == 3
        assert history.add(records(4)) == 1
        assert history.add(records(1), {"FORMAT": "fits"}) == 1
        assert [file.number for file in history.files()] == [1, 2, 3, 4, 5]
        assert history.files()[4].options == {"FORMAT": "fits"}


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    given = Record("https://x.test/a", "s", "t", ra=1.5, band=(1.0, math.nan), bytes=7, services=(SODA,))
    with open_history(tmp_path, create=True) as history:
        history.add([given])
    with open_history(tmp_path) as history:
        (file,) = history.files()
    assert repr(file.record) == repr(given)
    assert file.to_mapping()["dec"] is None
    assert "services" not in file.to_mapping() or file.to_mapping()["services"] == []


def test_what_cannot_be_a_spectrum_is_skipped(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.add(records(1, media_type="image/png"))
        assert history.counts()["skipped"] == 1
        assert history.files()[0].error == "the service offers it as image/png"


def test_only_what_failed_is_tried_again(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.add(records(4))
        history.change([1, 2], state="failed", error="no")
        history.change(3, state="ingested", identifiers=["a", "b"])
        assert history.retry([2, 3]) == 1
        assert [file.state for file in history.files()] == ["failed", "waiting", "ingested", "waiting"]
        assert history.files()[2].identifiers == ("a", "b")
        assert history.retry() == 1


def test_changes_are_told_apart_by_their_number(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.add(records(2))
        before = history.version()
        history.change(1, state="failed")
        assert [file.number for file in history.files() if file.changed > before] == [1]
        assert history.files(newest=True)[0].number == 1


def test_many_threads_write(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.add(records(40))
        threads = [threading.Thread(target=history.began, args=[number]) for number in range(1, 41)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(file.tries == 1 and file.begun for file in history.files())


def test_there_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(HarvestError, match="nothing was ever fetched into this archive"):
        open_history(tmp_path)


def test_a_damaged_history(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "history.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(HarvestError, match="the history cannot be opened"):
        open_history(tmp_path)


def test_a_newer_history_is_refused(tmp_path: Path) -> None:
    open_history(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / FOLDER / "history.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(NewerVersionError):
        open_history(tmp_path)
