"""What a job's watchers see: changes of phase, the log, the results."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emberline.jobs import (
    JobNotFoundError,
    Phase,
)
from tests.jobs.clerk import later, register


def test_waiting_ends_when_the_phase_changes(store):
    job = store.create("count", {})
    thread = later(0.2, lambda: store.run(job.id))
    assert store.wait(job.id, None).phase == Phase.QUEUED
    thread.join()


def test_waiting_outlasts_changes_that_are_no_change_of_phase(store):
    job = store.create("count", {})
    thread = later(0.1, lambda: (store.update(job.id, label="new"), store.create("count", {})))
    found = store.wait(job.id, 0.4)
    thread.join()
    assert (found.phase, found.label) == (Phase.PENDING, "new")


def test_waiting_returns_at_once_when_there_is_nothing_to_wait_for(store):
    job = store.create("count", {})
    assert store.wait(job.id, None, Phase.QUEUED).phase == Phase.PENDING
    assert store.wait(job.id, 0).phase == Phase.PENDING
    assert store.wait(job.id, -1).phase == Phase.PENDING
    store.abort(job.id)
    assert store.wait(job.id, None).phase == Phase.ABORTED
    assert store.wait(job.id, None, Phase.ABORTED).phase == Phase.ABORTED


def test_waiting_for_a_job_that_is_deleted_ends(store):
    job = store.create("count", {})
    thread = later(0.2, lambda: store.delete(job.id))
    with pytest.raises(JobNotFoundError):
        store.wait(job.id, None)
    thread.join()


def test_waiting_sees_what_another_process_does(store):
    job = store.create("count", {})
    code = (
        "import sqlite3, sys\nfrom emberline.jobs import JobStore\n"
        "with JobStore(sys.argv[1], ()) as store:\n    store.run(sys.argv[2])\n"
    )
    with subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(store.folder), job.id]) as process:
        assert store.wait(job.id, 60).phase == Phase.QUEUED
        assert process.wait() == 0


def test_watchers_learn_what_has_changed(store):
    first, second = store.create("count", {}, owner="eve"), store.create("count", {})
    seen = store.version()
    assert store.changed(seen) == []
    store.run(second.id)
    store.abort(first.id)
    store.archive(first.id)
    assert [(job.id, job.phase) for job in store.changed(seen)] == [
        (second.id, Phase.QUEUED),
        (first.id, Phase.ARCHIVED),
    ]
    assert store.owners() == {first.id: "eve", second.id: ""}
    store.delete(first.id)
    assert store.owners() == {second.id: ""}


def test_logs_are_read_piece_by_piece(store):
    job = store.create("count", {})
    assert store.log(job.id) == ("", 0)
    path = store.job_folder(job.id) / "log.txt"
    path.write_bytes("dva tři\n".encode())
    text, offset = store.log(job.id)
    assert (text, offset) == ("dva tři\n", 9)
    assert store.log(job.id, offset) == ("", 9)
    with open(path, "ab") as stream:
        stream.write("☆".encode()[:2])
        stream.flush()
        assert store.log(job.id, offset) == ("", 9)
        stream.write("☆".encode()[2:] + b"\xff\xfeend")
    assert store.log(job.id, offset) == ("☆��end", 17)
    assert store.log(job.id, 0, 7) == ("dva t", 5) or store.log(job.id, 0, 7) == ("dva t\u0159"[:6], 7)
    assert store.log(job.id, -3) == ("end", 17)
    assert store.log(job.id, -1000)[1] == 17
    assert store.log(job.id, 1000) == ("", 17)


def test_pieces_of_a_log_make_the_whole(store):
    job = store.create("count", {})
    whole = "řádek ☆ 𝛼\n" * 50
    (store.job_folder(job.id) / "log.txt").write_text(whole, encoding="utf-8")
    for limit in range(1, 12):
        pieces, offset = [], 0
        while True:
            text, following = store.log(job.id, offset, limit)
            if following == offset:
                break
            pieces.append(text)
            offset = following
        assert "".join(pieces) == whole


def test_a_log_that_is_a_link_is_not_read(store, tmp_path):
    job = store.create("count", {})
    (tmp_path / "secret").write_text("secret")
    (store.job_folder(job.id) / "log.txt").symlink_to(tmp_path / "secret")
    assert store.log(job.id) == ("", 0)
    (store.job_folder(job.id) / "log.txt").unlink()
    os.mkfifo(store.job_folder(job.id) / "log.txt")
    assert store.log(job.id) == ("", 0)


def test_results_are_reached_by_name_and_nothing_else_is(store, tmp_path):
    job = store.create("count", {})
    (tmp_path / "secret").write_text("secret")
    for name in ("a.html", "deep/plot 1.svg"):
        register(store, job.id, name)
        assert store.result_path(job.id, name).read_text() == "x"
    results = store.job_folder(job.id) / "results"
    (results / "unregistered").write_text("x")
    (results / "link").symlink_to(tmp_path / "secret")
    (results / "folder").symlink_to(tmp_path)
    bad = (
        "link",
        "folder/secret",
        "deep",
        "..",
        "../parameters.toml",
        "/etc/passwd",
        "deep/../a.html",
        "",
        ".",
        "gone",
    )
    bad = (*bad, "a.html/x")
    with store.database.transaction() as connection:
        rows = [(job.id, name, "text/plain", 1) for name in bad]
        connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?)", rows)
    for name in (*bad, "unregistered", "a.htm", "a\0b", "x" * 5000):
        with pytest.raises(JobNotFoundError, match="no such result"):
            store.result_path(job.id, name)
