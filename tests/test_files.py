"""Files are whole or absent; locks die with their owner; records say what produced a result."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from emberline.errors import EmberlineError
from emberline.files import atomic_path, exclusive_lock, forget_pages, sha256_of, write_text
from emberline.progress import silent
from emberline.provenance import hash_of, provenance


def test_a_write_replaces_the_file_at_once(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_write_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(EmberlineError, match=r"a\.txt: cannot be written.*Free some space"):
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_does_not_exist_is_reported(tmp_path):
    with pytest.raises(EmberlineError, match="cannot be written"):
        write_text(tmp_path / "none" / "a.txt", "x")


def test_only_one_holds_the_lock(tmp_path):
    path = tmp_path / "deep" / "lock"
    with (
        exclusive_lock(path, "busy here"),
        pytest.raises(EmberlineError, match="busy here"),
        exclusive_lock(path, "busy here"),
    ):
        pass
    with exclusive_lock(path, "busy here"):
        pass


def test_a_killed_process_frees_its_lock(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, time\nfrom emberline.files import exclusive_lock\n"
        "with exclusive_lock(sys.argv[1], 'busy'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(EmberlineError, match="busy"), exclusive_lock(path, "busy"):
            pass
        process.kill()
        process.wait()
    with exclusive_lock(path, "busy"):
        pass


def test_hashes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"spectrum")
    assert sha256_of(path) == hashlib.sha256(b"spectrum").hexdigest()
    assert hash_of({"a": 1, "b": [2.5]}) == hash_of({"b": [2.5], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert len(hash_of("x")) == 16


def test_a_record_says_what_produced_a_result():
    record = provenance(seed=3)
    assert record["seed"] == 3
    assert record["libraries"]["numpy"]
    assert record["created"].endswith("Z")
    assert silent("step", 1, None) is None


def test_a_map_is_read_again_after_its_pages_were_given_back(tmp_path):
    expected = np.arange(100_000, dtype=np.float32).reshape(-1, 10)
    np.save(tmp_path / "values.npy", expected)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")[:5000]
    for _ in range(2):
        np.testing.assert_array_equal(mapped, expected[:5000])
        forget_pages(mapped)
    forget_pages(expected)
