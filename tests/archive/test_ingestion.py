"""Ingest: once each, resumable, atomic, and nothing wrong goes unsaid."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from archives import GRID, content, make_block, write_lamost, write_survey
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.archive import IngestSummary, filework, ingest, ingest_blocks, ingestion, open_archive
from emberline.archive.ledger import open_ledger
from emberline.errors import ArchiveError, EmberlineError
from emberline.spectra import Metadata, SpectrumBlock


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty files; one is cut off, one is no FITS."""
    folder = write_survey(tmp_path_factory.mktemp("survey"), 38)
    whole = (folder / "00001.fits.gz").read_bytes()
    (folder / "90000.fits.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "90001.fits").write_bytes(b"hello")
    return folder


@pytest.fixture(scope="module")
def reference(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey ingested without disturbance."""
    archive = tmp_path_factory.mktemp("reference") / "archive"
    ingest(survey, archive, workers=1)
    return archive


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "_FILES_PER_JOB", (4, 4))


def _orphans(archive: Path) -> list[str]:
    """Files that no catalogue counts."""
    counted = set(open_archive(archive).parts)
    left = [path.name for path in (archive / "spectra").iterdir() if path.name not in counted]
    return left + [path.name for path in (archive / "pending").iterdir()] + [p.name for p in archive.glob(".*.part")]


def test_files_become_spectra_and_rejects(survey: Path, tmp_path: Path) -> None:
    summary = ingest(survey, tmp_path / "a", workers=1)
    assert (summary.found, summary.files, summary.ingested, summary.already, summary.total) == (40, 38, 38, 0, 38)
    assert summary.by_reason == {"truncated": 1, "not-fits": 1}
    archive = open_archive(tmp_path / "a")
    rejected = {Path(row["file"]).name: row for row in archive.rejected().to_pylist()}
    assert rejected.keys() == {"90000.fits.gz", "90001.fits"}
    line = rejected["90001.fits"]
    assert line["reason"] == "not-fits"
    assert all(line[name] for name in ("message", "found", "expected", "time"))
    assert len(line["sha256"]) == 64
    assert not _orphans(tmp_path / "a")
    row = archive.catalogue(where="source_file like '%00007.fits.gz'").to_pylist()[0]
    assert row["survey"] == "LAMOST DR9 LRS"
    assert row["resolving_power"] == 1800


def test_again_is_already_there_and_rejects_stay_one_line(survey: Path, tmp_path: Path) -> None:
    first = ingest(survey, tmp_path / "a", workers=1)
    before = content(tmp_path / "a")
    again = ingest(survey, tmp_path / "a", workers=1)
    assert (again.ingested, again.already, again.rejected) == (0, first.ingested, 2)
    assert content(tmp_path / "a") == before


def test_a_file_that_was_mended_loses_its_reject(tmp_path: Path) -> None:
    path = write_lamost(tmp_path / "s" / "1.fits", 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:3000])
    assert ingest(path, tmp_path / "a").by_reason == {"truncated": 1}
    path.write_bytes(whole)
    assert ingest(path, tmp_path / "a").ingested == 1
    assert len(open_archive(tmp_path / "a").rejected()) == 0


def test_worker_processes_give_the_same_archive(
    survey: Path, reference: Path, tmp_path: Path, small_jobs: None
) -> None:
    summary = ingest(survey, tmp_path / "a", workers=2)
    assert summary.ingested == 38
    assert content(tmp_path / "a") == content(reference)


def test_same_file_twice_in_one_run_and_elsewhere(survey: Path, tmp_path: Path, small_jobs: None) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for name, source in (("a.fits", "00000.fits"), ("b.fits", "00000.fits"), ("z.fits.gz", "00003.fits.gz")):
        (copies / name).write_bytes((survey / source).read_bytes())
    summary = ingest([survey, copies], tmp_path / "a", workers=1)
    assert (summary.ingested, summary.already, summary.rejected) == (38, 3, 2)
    reader = open_archive(tmp_path / "a")
    assert sum(len(block) for block in reader.blocks()) == len(reader) == 38


def test_same_spectrum_compressed_otherwise_is_already_there(tmp_path: Path) -> None:
    path = write_lamost(tmp_path / "s" / "1.fits", 1)
    (tmp_path / "s" / "1.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    summary = ingest(tmp_path / "s", tmp_path / "a")
    assert (summary.ingested, summary.already, summary.rejected) == (1, 1, 0)


@pytest.mark.parametrize("apart", [False, True], ids=["one run", "two runs"])
def test_one_identifier_with_two_contents_is_one_rejected_line(tmp_path: Path, apart: bool) -> None:
    write_lamost(tmp_path / "s" / "1.fits", 1)
    write_lamost(tmp_path / "s" / "2.fits", 1, seed=99)
    if apart:
        ingest(tmp_path / "s" / "1.fits", tmp_path / "a")
    summary = ingest(tmp_path / "s", tmp_path / "a")
    assert summary.by_reason == {"duplicate-identifier": 1}
    (line,) = open_archive(tmp_path / "a").rejected().to_pylist()
    assert Path(line["file"]).name == "2.fits"
    assert line["identifier"] == line["found"] == "spec-57000-TEST_sp00-001"
    assert len(open_archive(tmp_path / "a")) == 1


def test_missing_paths_and_readers_are_refused_before_anything_is_made(survey: Path, tmp_path: Path) -> None:
    for paths in (tmp_path / "nowhere", tmp_path / "*.fits", [survey, tmp_path / "nowhere"]):
        with pytest.raises(EmberlineError, match="no such file or folder"):
            ingest(paths, tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchiveError, match="no files to ingest"):
        ingest(tmp_path / "empty", tmp_path / "a")
    with pytest.raises(ArchiveError, match="no reader 'nothing'"):
        ingest(survey, tmp_path / "a", reader="nothing")
    assert not (tmp_path / "a").exists()


def test_a_folder_of_other_things_is_refused(survey: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="not an archive, and not empty"):
        ingest(survey, survey)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArchiveError, match="not an archive"):
        ingest(survey, tmp_path / "file")


def test_the_archive_may_lie_among_the_files(tmp_path: Path) -> None:
    write_survey(tmp_path, 2)
    ingest_blocks([], tmp_path / "a", survey="", truth={"identifier": ["x"]})
    assert (tmp_path / "a" / "truth.csv").exists()
    summary = ingest(tmp_path, tmp_path / "a", workers=1)
    assert (summary.found, summary.rejected) == (2, 0)


def test_two_at_once_is_an_error(survey: Path, tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a"), pytest.raises(EmberlineError, match="another ingest is writing"):
        ingest(survey, tmp_path / "a")
    assert ingest(survey, tmp_path / "a", workers=1).ingested == 38


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_ends_cleanly_and_resumes(
    survey: Path, reference: Path, tmp_path: Path, small_jobs: None, workers: int
) -> None:
    def interrupt(step: str, done: int, total: int | None) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(survey, tmp_path / "a", workers=workers, progress=interrupt)
    assert len(open_archive(tmp_path / "a")) == 12
    assert not _orphans(tmp_path / "a")
    summary = ingest(survey, tmp_path / "a", workers=workers)
    assert (summary.already, summary.ingested) == (12, 26)
    assert content(tmp_path / "a") == content(reference)


_KILLED = """
    import os, sys
    from emberline.archive import ingestion
    ingestion._FILES_PER_JOB = (4, 4)
    steps, real = int(sys.argv[3]), os.replace
    def replace(*paths):
        global steps
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), 9)
        real(*paths)
    os.replace = replace
    summary = ingestion.ingest(sys.argv[1], sys.argv[2], workers=1)
    print(summary.already, summary.ingested)
"""


def _script(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


def test_killed_between_any_two_steps_it_resumes(survey: Path, reference: Path, tmp_path: Path) -> None:
    """Each run is killed a few renames after it began, until one comes through."""
    rng, killed, seen = random.Random(5), 0, 0
    for _ in range(30):
        process = _script(_KILLED, survey, tmp_path / "a", rng.randint(2, 9))
        output, errors = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), errors
        if (tmp_path / "a" / "catalogue.parquet").exists():
            archive = open_archive(tmp_path / "a")
            assert len(archive.spectra(archive.catalogue(["identifier"])["identifier"].to_pylist())) in (0, 38)
        if process.returncode == 0:
            already, ingested = map(int, output.split())
            assert already + ingested == 38
            break
        killed += 1
        committed = len(list((tmp_path / "a" / "pending").glob("*.json")))
        assert committed >= seen or committed == 0
        seen = committed
    assert killed >= 3
    ingest(survey, tmp_path / "a", workers=1)
    assert content(tmp_path / "a") == content(reference)
    assert not _orphans(tmp_path / "a")


class _DeadError(BaseException):
    """The process is dead: it changes nothing any more."""


def test_dead_before_every_single_change_it_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill, at every rename and removal there is, the cleaning up among them."""
    blocks = [make_block(5), make_block(5, first=3), make_block(5, first=8)]  # two identifiers come twice
    truth = {"identifier": [f"s{i:05d}" for i in range(13)], "label": ["star"] * 13}
    monkeypatch.setattr(filework, "_PART_BYTES", 9 * GRID.n * 5)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # only a power cut needs it

    def run(path: Path) -> None:
        ingest_blocks(blocks, path, survey="test", truth=truth)

    run(tmp_path / "reference")
    expected = content(tmp_path / "reference")
    assert (len(expected["catalogue"]), len(expected["rejects"]), len(expected["truth"])) == (13, 2, 14)
    for step in itertools.count(1):
        path, left = tmp_path / str(step), step
        with monkeypatch.context() as patch:

            def dying(change: Callable[..., None]) -> Callable[..., None]:
                def changed(*arguments: object, **options: object) -> None:
                    nonlocal left
                    left -= 1
                    if left <= 0:
                        raise _DeadError
                    change(*arguments, **options)

                return changed

            patch.setattr(os, "replace", dying(os.replace))
            patch.setattr(os, "unlink", dying(os.unlink))
            with contextlib.suppress(_DeadError):
                run(path)
        if (path / "catalogue.parquet").exists():
            found = content(path)
            assert found["catalogue"] in ([], expected["catalogue"])
        run(path)
        assert content(path) == expected
        assert not _orphans(path)
        if left > 0:
            break
    assert step > 15


_WORKERS = """
    import sys
    from emberline.archive import ingestion
    ingestion._FILES_PER_JOB = (4, 4)
    ingestion.ingest(sys.argv[1], sys.argv[2], workers=2, progress=lambda step, done, total: print(done, flush=True))
"""


def test_killed_with_its_workers_it_leaves_none_and_resumes(survey: Path, reference: Path, tmp_path: Path) -> None:
    process = _script(_WORKERS, survey, tmp_path / "a", start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 8:
            break
    process.kill()
    process.communicate(timeout=60)
    until = time.monotonic() + 30
    while _group_lives(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _group_lives(process.pid)
    summary = ingest(survey, tmp_path / "a", workers=1)
    assert summary.already >= 8
    assert content(tmp_path / "a") == content(reference)
    assert not _orphans(tmp_path / "a")


def _group_lives(group: int) -> bool:
    """Whether a process of the group still runs (a zombie that nobody waits for does not)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


_FULL = """
    import resource, sys
    from emberline.archive import ingest
    from emberline.errors import EmberlineError
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    try:
        ingest(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
    except EmberlineError as error:
        print(error)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_is_said_and_nothing_half_written_stays(
    survey: Path, reference: Path, tmp_path: Path, workers: int
) -> None:
    ingest(survey / "00002.fits", tmp_path / "a")
    before = content(tmp_path / "a")
    output, errors = _script(_FULL, survey, tmp_path / "a", workers).communicate(timeout=120)
    assert "cannot be written" in output, errors
    assert "Free some space" in output
    assert content(tmp_path / "a") == before
    assert not _orphans(tmp_path / "a")
    ingest(survey, tmp_path / "a", workers=1)
    assert {row["identifier"] for row in content(tmp_path / "a")["catalogue"]} == {
        row["identifier"] for row in content(reference)["catalogue"]
    }


def _clustered(n: int) -> SpectrumBlock:
    """Spectra along a chain on the sky, so that later ones join what was apart."""
    rng = np.random.default_rng(7)
    block = make_block(n, seed=7)
    meta = [
        Metadata(identifier=item.identifier, survey="test", ra=10 + float(rng.uniform(0, 10)) / 3600, dec=0.0)
        for item in block.meta
    ]
    return SpectrumBlock(block.grid, block.flux, block.ivar, block.mask, meta)


def _rows(block: SpectrumBlock, low: int, high: int) -> SpectrumBlock:
    part = slice(low, high)
    return SpectrumBlock(block.grid, block.flux[part], block.ivar[part], block.mask[part], block.meta[part])


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, 11), max_size=3))
def test_appending_in_any_split_gives_the_same_archive(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    block, folder = _clustered(12), tmp_path_factory.mktemp("split")
    ingest_blocks([block], folder / "whole", survey="test")
    bounds = [0, *sorted(cuts), 12]
    for low, high in itertools.pairwise(bounds):
        ingest_blocks([_rows(block, low, high)], folder / "split", survey="test")
    assert content(folder / "split") == content(folder / "whole")


def test_blocks_again_are_already_there_unless_they_differ(tmp_path: Path) -> None:
    block = make_block(6)
    ingest_blocks([block], tmp_path / "a", survey="test")
    again = ingest_blocks([block], tmp_path / "a", survey="test")
    assert (again.ingested, again.already, again.rejected) == (0, 6, 0)
    block.flux[4] += 1
    assert ingest_blocks([block], tmp_path / "a", survey="test").by_reason == {"duplicate-identifier": 1}


def test_blocks_are_committed_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filework, "_PART_BYTES", 9 * GRID.n * 10)

    def stream() -> Iterator[SpectrumBlock]:
        for index in range(5):
            yield make_block(5, first=5 * index)
        raise RuntimeError("the stream broke")

    with pytest.raises(RuntimeError, match="the stream broke"):
        ingest_blocks(stream(), tmp_path / "a", survey="test")
    assert open_archive(tmp_path / "a").info()["unpublished_parts"] == 2
    summary = ingest_blocks([make_block(5, first=20)], tmp_path / "a", survey="test")
    assert (summary.ingested, summary.total, len(open_archive(tmp_path / "a"))) == (5, 25, 25)


def test_survey_is_filled_in_and_truth_goes_beside(tmp_path: Path) -> None:
    block = SpectrumBlock(GRID, *(array[:1] for array in _arrays()), [Metadata(identifier="007")])
    ingest_blocks([block], tmp_path / "a", survey="Made up", truth={"identifier": ["007"], "label": ["be"]})
    archive = open_archive(tmp_path / "a")
    assert archive.catalogue(["survey"])["survey"].to_pylist() == ["Made up"]
    assert archive.info()["survey"] == ["Made up"]
    assert (tmp_path / "a" / "truth.csv").read_text() == '"identifier","label"\n"007","be"\n'
    ingest_blocks([], tmp_path / "a", survey="", truth={"identifier": ["007", "8"], "label": ["be", "star"]})
    assert (tmp_path / "a" / "truth.csv").read_text().splitlines()[1:] == ['"007","be"', '"8","star"']


def _arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    block = make_block(1)
    return block.flux, block.ivar, block.mask


def test_a_reader_sees_whole_archives_while_it_grows(tmp_path: Path) -> None:
    ingest_blocks([make_block(3)], tmp_path / "a", survey="test")
    sizes, failures, done = [], [], threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                archive = open_archive(tmp_path / "a")
                sizes.append(len(archive.spectra(archive.places["identifier"].to_pylist())))
            except Exception as error:  # whatever it is, the test must fail
                failures.append(error)
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for index in range(1, 8):
            ingest_blocks([make_block(3, first=3 * index)], tmp_path / "a", survey="test")
    finally:
        done.set()
        thread.join()
    assert not failures
    assert sizes == sorted(sizes)
    assert all(size % 3 == 0 for size in sizes)


def test_an_unreadable_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_survey(tmp_path / "s", 2)
    from emberline.archive import readers

    real = readers.open_source

    def refuse(locator: str, confinement: None) -> readers.Source:
        if "00001" in locator:
            raise PermissionError(13, "Permission denied")
        return real(locator)

    monkeypatch.setattr(readers, "open_source", refuse)
    summary = ingest(tmp_path / "s", tmp_path / "a", workers=1)
    assert (summary.ingested, summary.by_reason) == (1, {"unreadable": 1})


@pytest.mark.data
def test_every_lamost_spectrum_of_the_pack_is_ingested(data: Path, tmp_path: Path) -> None:
    summary: IngestSummary = ingest(str(data / "lamost" / "**" / "*.fits*"), tmp_path / "a", workers=os.cpu_count())
    assert (summary.found, summary.ingested, summary.rejected) == (1883, 1883, 0)
    archive = open_archive(tmp_path / "a")
    assert sum(len(block) for block in archive.blocks()) == len(archive) == 1883
    assert archive.info()["objects"] < 1883
