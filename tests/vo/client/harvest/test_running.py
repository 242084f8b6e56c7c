"""The whole way: select, fetch, ingest; what fails is a row and the rest goes on; a killed run loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from emberline.archive import open_archive
from emberline.errors import ArchiveError, EmberlineError
from emberline.vo.client.harvest.fetching import place_of
from emberline.vo.client.harvest.history import FOLDER, HarvestError, open_history
from emberline.vo.client.harvest.records import Record
from emberline.vo.client.harvest.running import HarvestSummary, harvest
from emberline.vo.client.harvest.selecting import Sources
from tests.vo.client.harvest.spectra import (
    FITS,
    VOTABLE,
    image_spectrum,
    session_for,
    table_spectrum,
    votable_spectrum,
    write_listing,
)
from tests.vo.client.misbehaving import PAGE, REFUSAL, Misbehaving, Request, Served


def states(archive: Path) -> dict[str, str]:
    with open_history(archive) as history:
        return {file.record.address.rpartition("/")[2]: file.state for file in history.files()}


def errors(archive: Path) -> dict[str, str]:
    with open_history(archive) as history:
        return {file.record.address.rpartition("/")[2]: file.error for file in history.files()}


def fetched(server: Misbehaving, tmp_path: Path, *rows: dict[str, str], **options: object) -> HarvestSummary:
    return harvest(
        session_for(server), tmp_path / "archive", Sources(votable=write_listing(tmp_path / "list.vot", *rows)),
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_every_format_is_ingested_and_its_origin_kept(tmp_path: Path) -> None:
    with Misbehaving() as server:
        rows = [
            {"url": server.serve("/a", image_spectrum(), FITS), "did": "ivo://x/y?one", "target": "omi And"},
            {"url": server.serve("/b", table_spectrum(ra=10.0), FITS), "did": "ivo://x/y?two", "pos": "99.0 9.0"},
            {"url": server.serve("/c", votable_spectrum(), VOTABLE), "did": "ivo://x/y?three", "pos": "99.5 9.5"},
        ]
        summary = fetched(server, tmp_path, *rows)
        assert (summary.selected, summary.fetched, summary.ingested, summary.spectra) == (3, 3, 3, 3)
        archive = open_archive(tmp_path / "archive")
        table = {row["identifier"]: row for row in archive.catalogue().to_pylist()}
        assert set(table) == {"one", "two", "three"}
        assert table["one"]["medium"] == "air"
        assert table["two"]["ra"] == 10.0  # the file's own word counts before the service's
        assert table["three"]["ra"] == 99.5
        assert table["three"]["flux_unit"] == "Jy"
        assert table["three"]["wavelength_min"] == pytest.approx(6500)
        assert table["one"]["source_file"] == rows[0]["url"]
        origin = {row["identifier"]: row for row in pq.read_table(tmp_path / "archive" / "harvest.parquet").to_pylist()}
        assert origin["two"]["publisher_did"] == "ivo://x/y?two"
        assert origin["two"]["sha256"] == table["two"]["sha256"]
        assert origin["two"]["service"].endswith("list.vot")
        assert origin["two"]["bytes"] == len(table_spectrum(ra=10.0))
        assert not list((tmp_path / "archive" / ".harvest" / "files").iterdir())


def test_what_is_no_spectrum_fails_with_one_clear_error_and_the_rest_goes_on(tmp_path: Path) -> None:
    with Misbehaving() as server:
        rows = [
            {"url": server.serve("/page", PAGE, "text/html")},
            {"url": server.serve("/refusal", REFUSAL)},
            {"url": server.serve("/text", b"UsageError: no such spectrum", "text/plain")},
            {"url": server.serve("/empty", b"", FITS)},
            {"url": server.serve("/cut", image_spectrum()[:4000], FITS)},
            {"url": server.url + "/gone"},
            {"url": "http://192.168.77.77/private"},
            {"url": "file:///etc/passwd"},
            {"url": server.serve("/picture", b"\x89PNG", "image/png"), "format": "image/png"},
            {"url": server.serve("/good", image_spectrum(), FITS)},
        ]
        summary = fetched(server, tmp_path, *rows)
    said = errors(tmp_path / "archive")
    assert states(tmp_path / "archive") == {**dict.fromkeys(said, "failed"), "picture": "skipped", "good": "ingested"}
    assert (summary.failed, summary.skipped, summary.spectra) == (8, 1, 1)
    assert "found a web page 'Down'" in said["page"]
    assert "Unknown column" in said["refusal"]
    assert "no such spectrum" in said["text"]
    assert "empty" in said["empty"]
    assert "end too early" in said["cut"]
    assert "404" in said["gone"]
    assert "private network" in said["private"]
    assert "no address" in said["passwd"]
    assert len(summary.errors) == 8
    assert all(item["error"] for item in summary.errors)


def test_an_answer_that_is_made_to_be_hard_to_read_is_no_harder(tmp_path: Path) -> None:
    """Comments before something else: what looks for a web page must not try all ways to part them."""
    with Misbehaving() as server:
        rows = [
            {"url": server.serve("/comments", b"<!---->" * 9000 + b"x", FITS)},
            {"url": server.serve("/titles", b"<!-- a --> <html>" + b"<title>" * 9000, FITS)},
            {"url": server.serve("/refusals", b"<a>" + b'<INFO name="QUERY_STATUS" value="ERROR"' * 1500, FITS)},
        ]
        summary = fetched(server, tmp_path, *rows)
    assert summary.failed == 3
    assert "found a web page" in errors(tmp_path / "archive")["titles"]


def test_what_failed_and_was_kept_is_fetched_again(tmp_path: Path) -> None:
    with Misbehaving() as server:
        row = {"url": server.serve("/a.fits", PAGE, "text/html")}
        assert fetched(server, tmp_path, row, keep=True).failed == 1
        server.serve("/a.fits", image_spectrum(), FITS)
        summary = fetched(server, tmp_path, row, keep=True, retry_failed=True)
    assert (summary.fetched, summary.spectra, summary.failed) == (1, 1, 0)


def test_a_file_that_says_neither_air_nor_vacuum_is_what_one_says(tmp_path: Path) -> None:
    with Misbehaving() as server:
        silent = server.serve("/silent", image_spectrum(1, medium="LINEAR"), FITS)
        vacuum = server.serve("/vacuum", image_spectrum(2, medium="WAVE"), FITS)
        assert fetched(server, tmp_path, {"url": silent}).failed == 1
        assert "neither air nor vacuum" in errors(tmp_path / "archive")["silent"]
        fetched(server, tmp_path, {"url": silent}, {"url": vacuum}, retry_failed=True, medium="air")
    media = {row["identifier"]: row["medium"] for row in open_archive(tmp_path / "archive").catalogue().to_pylist()}
    assert media == {"silent": "air", "vacuum": "vacuum"}


def test_names_from_servers_are_no_paths(tmp_path: Path) -> None:
    with Misbehaving() as server:
        evil = {"Content-Disposition": 'attachment; filename="../../../evil.fits"'}
        fetched(server, tmp_path, {"url": server.serve("/a", image_spectrum(), FITS, headers=evil)}, keep=True)
    assert [path.name for path in tmp_path.rglob("*evil*")] == []
    (kept,) = (tmp_path / "archive" / ".harvest" / "files").iterdir()
    assert kept.read_bytes() == image_spectrum()
    assert open_archive(tmp_path / "archive").catalogue()["identifier"].to_pylist() == ["evil"]


def test_nothing_is_fetched_twice(tmp_path: Path) -> None:
    with Misbehaving() as server:
        rows = [{"url": server.serve(f"/{n}.fits", image_spectrum(n), FITS)} for n in range(3)]
        fetched(server, tmp_path, *rows[:2])
        again = fetched(server, tmp_path, *rows)
        assert (again.selected, again.added, again.fetched, again.spectra) == (3, 1, 1, 1)
        assert [server.count(f"/{n}.fits") for n in range(3)] == [1, 1, 1]


def test_a_spectrum_is_called_what_its_file_is_called(tmp_path: Path) -> None:
    with Misbehaving() as server:
        named = {"Content-Disposition": "attachment; filename=spec-1-2-3.fits"}
        rows = [
            {"url": server.serve("/get", image_spectrum(1), FITS, headers=named), "did": "ivo://x/y?1"},
            {"url": server.serve("/vh130075.fits", image_spectrum(2), FITS), "did": "ivo://x/y?2"},
            {"url": server.serve("/product", image_spectrum(3), FITS), "did": "ivo://x/y?three"},
            {"url": server.serve("/own", table_spectrum(did="ivo://a/b?the-own"), FITS), "did": "ivo://x/y?4"},
        ]
        fetched(server, tmp_path, *rows)
    names = set(open_archive(tmp_path / "archive").catalogue()["identifier"].to_pylist())
    assert names == {"spec-1-2-3", "vh130075", "three", "the-own"}


def test_different_spectra_of_one_name_are_all_kept(tmp_path: Path) -> None:
    with Misbehaving() as server:
        rows = [{"url": server.serve(f"/{n}/spectrum.fits", image_spectrum(n), FITS)} for n in range(3)]
        assert fetched(server, tmp_path, *rows).spectra == 3
    names = sorted(open_archive(tmp_path / "archive").catalogue()["identifier"].to_pylist())
    assert sum(name == "spectrum" for name in names) == 1
    assert all(name.startswith("spectrum") for name in names)


def test_the_same_file_at_two_addresses_is_one_spectrum(tmp_path: Path) -> None:
    with Misbehaving() as server:
        rows = [{"url": server.serve(f"/{n}", image_spectrum(), FITS), "did": "ivo://x/y?one"} for n in range(2)]
        summary = fetched(server, tmp_path, *rows)
    assert (summary.spectra, summary.ingested, summary.failed) == (1, 2, 0)


def test_the_same_spectrum_in_other_bytes_is_not_there_twice(tmp_path: Path) -> None:
    with Misbehaving() as server:
        rows = [{"url": server.serve(f"/{n}", image_spectrum(name=n), FITS), "did": "ivo://x/y?one"} for n in "ab"]
        fetched(server, tmp_path, rows[0])
        summary = fetched(server, tmp_path, rows[1])
    assert (summary.spectra, summary.ingested, summary.failed) == (0, 1, 0)
    with open_history(tmp_path / "archive") as history:
        assert history.files()[1].identifiers == ("one",)


def test_what_failed_is_tried_again_when_asked(tmp_path: Path) -> None:
    with Misbehaving() as server:
        row = {"url": server.serve("/a", PAGE, "text/html")}
        fetched(server, tmp_path, row)
        server.serve("/a", image_spectrum(), FITS)
        session = session_for(server)
        assert harvest(session, tmp_path / "archive").fetched == 0
        again = harvest(session, tmp_path / "archive", retry_failed=True)
        assert (again.fetched, again.ingested) == (1, 1)
    with open_history(tmp_path / "archive") as history:
        (file,) = history.files()
        assert (file.tries, file.state, file.error) == (2, "ingested", "")


def test_a_service_that_is_down_leaves_its_files_waiting(tmp_path: Path) -> None:
    with Misbehaving() as server, Misbehaving() as other:
        rows = [{"url": f"{server.url}/{n}"} for n in range(30)]
        rows += [{"url": other.serve("/good", image_spectrum(), FITS)}]
        server.fault = "503"
        listing = write_listing(tmp_path / "list.vot", *rows)
        summary = harvest(session_for(server, other), tmp_path / "archive", Sources(votable=listing))
        assert summary.ingested == 1
        assert summary.waiting > 0
        assert summary.waiting + summary.failed == 30
        assert server.host in summary.down[0]
        server.fault = None
        for number in range(30):
            server.serve(f"/{number}", image_spectrum(number), FITS)
        later = harvest(session_for(server, other), tmp_path / "archive", retry_failed=True)
        assert later.ingested == 30


def test_offline_everything_waits(tmp_path: Path) -> None:
    import dataclasses

    with Misbehaving() as server:
        session = session_for(server)
        session.config = dataclasses.replace(session.config, offline=True)
        listing = write_listing(tmp_path / "l.vot", {"url": f"{server.url}/a"}, {"url": f"{server.url}/b"})
        summary = harvest(session, tmp_path / "archive", Sources(votable=listing))
        assert (summary.waiting, summary.failed, server.count()) == (2, 0, 0)
        assert "offline" in errors(tmp_path / "archive")["a"]


def test_a_folder_of_something_else_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "thesis.tex").touch()
    with Misbehaving() as server:
        with pytest.raises(ArchiveError, match="not an archive, and not empty"):
            fetched(server, tmp_path, {"url": f"{server.url}/a"})
        assert server.count() == 0


def test_two_harvests_do_not_mix(tmp_path: Path) -> None:
    with Misbehaving() as server:
        entered, leave = threading.Event(), threading.Event()

        def slow(request: Request) -> Served:
            entered.set()
            leave.wait(30)
            return Served(image_spectrum(), FITS)

        url = server.serve("/held", slow)
        thread = threading.Thread(target=fetched, args=(server, tmp_path, {"url": url}))
        thread.start()
        try:
            assert entered.wait(30)
            with pytest.raises(EmberlineError, match="another harvest is fetching into this archive"):
                harvest(session_for(server), tmp_path / "archive")
        finally:
            leave.set()
            thread.join()


def test_an_unknown_reader(tmp_path: Path) -> None:
    with pytest.raises(HarvestError, match="there is no reader 'x'"):
        harvest(session_for(), tmp_path / "archive", reader="x")


_CHILD = """
import sys
from pathlib import Path
from emberline.vo.client.config import ClientConfig
from emberline.vo.client.session import Session
from emberline.vo.client.harvest.running import harvest
from emberline.vo.client.harvest.selecting import Sources
session = Session(ClientConfig(allow=(sys.argv[1],), rate=1e6))
harvest(session, Path(sys.argv[2]), Sources(votable=Path(sys.argv[3])))
"""


@pytest.mark.parametrize("after", [1, 7])
def test_a_killed_harvest_goes_on_where_it_was(tmp_path: Path, after: int) -> None:
    """Killed while downloads are under way: what had come is not asked for again, and nothing is lost."""
    count = 12
    with Misbehaving() as server:
        ready, release = threading.Event(), threading.Event()
        came = threading.Semaphore(0)

        def body(number: int, request: Request) -> Served:
            if number >= after and not release.is_set():
                ready.set()
                release.wait(60)  # these are under way when the process is killed
            came.release()
            return Served(image_spectrum(number), FITS)

        rows = [
            {"url": server.serve(f"/{n}", lambda request, n=n: body(n, request)), "did": f"ivo://x/y?{n}"}
            for n in range(count)
        ]
        listing = write_listing(tmp_path / "list.vot", *rows)
        archive = tmp_path / "archive"
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, server.host, str(archive), str(listing)], env=environment
        )
        try:
            assert ready.wait(60)
            for _ in range(after):
                came.acquire()
            while True:  # until the files that were let through lie whole on the disk
                whole = len(list((archive / ".harvest" / "files").glob("*.download")))
                if whole >= after or child.poll() is not None:
                    break
                threading.Event().wait(0.01)
            assert child.poll() is None
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        release.set()
        before = [server.count(f"/{n}") for n in range(count)]
        summary = harvest(session_for(server), archive)
        assert (summary.waiting, summary.failed) == (0, 0)
        assert set(states(archive).values()) == {"ingested"}
        assert [server.count(f"/{n}") for n in range(after)] == before[:after] == [1] * after
    catalogue = open_archive(archive).catalogue()
    assert sorted(catalogue["identifier"].to_pylist(), key=int) == [str(n) for n in range(count)]


def test_a_file_that_came_whole_before_the_kill_is_not_asked_for_again(tmp_path: Path) -> None:
    """The process died between the file's renaming and the note of it."""
    with Misbehaving() as server:
        url = server.serve("/a.fits", image_spectrum(), FITS)
        archive = tmp_path / "archive"
        with open_history(archive, create=True) as history:
            history.add([Record(url)])
            place = place_of(archive / FOLDER, history.files()[0])
        place.parent.mkdir()
        place.write_bytes(image_spectrum())
        summary = harvest(session_for(server), archive)
        assert (summary.ingested, server.count()) == (1, 0)


def test_an_interrupted_harvest_ends_at_once(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C waits for no server."""
    with Misbehaving() as server:
        entered, release = threading.Event(), threading.Event()

        def held(request: Request) -> Served:
            entered.set()
            release.wait(120)
            return Served(image_spectrum(), FITS)

        listing = write_listing(tmp_path / "list.vot", {"url": server.serve("/held", held)})
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, server.host, str(tmp_path / "archive"), str(listing)],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert entered.wait(60)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=60)  # the server holds its answer for longer
        finally:
            release.set()
            child.kill()
            child.wait()
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert harvest(session_for(server), tmp_path / "archive").ingested == 1


def test_a_harvest_killed_between_catalogue_and_history_settles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.vo.client.harvest import ingestion

    with Misbehaving() as server:
        row = {"url": server.serve("/a.fits", image_spectrum(), FITS)}
        with monkeypatch.context() as patch:
            patch.setattr(ingestion, "_settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                fetched(server, tmp_path, row)
        assert len(open_archive(tmp_path / "archive").catalogue()) == 1
        summary = harvest(session_for(server), tmp_path / "archive")
        assert (summary.ingested, summary.spectra, summary.failed) == (1, 0, 0)
        assert server.count("/a.fits") == 1
    assert states(tmp_path / "archive") == {"a.fits": "ingested"}
