"""The cache on disk: what is kept, what is not found again, several processes at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from emberline.vo.client._cache import Cache, cache_key

HEADERS = {"content-type": "text/plain", "etag": '"1"', "set-cookie": "secret=1"}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "answers", 1_000_000, 7.0)


def put(cache: Cache, key: str, body: bytes = b"body", **more: float) -> None:
    cache.put(key, "https://a.example/x", HEADERS, body, **more)


def key(number: int) -> str:
    return cache_key("GET", f"https://a.example/{number}", "*/*")


def test_an_answer_is_found_again(cache: Cache) -> None:
    before = time.time()
    put(cache, key(1), b"a\nb\n\0\xff")
    entry = cache.get(key(1))
    assert entry is not None
    assert entry.body == b"a\nb\n\0\xff"
    assert entry.url == "https://a.example/x"
    assert entry.headers == {"content-type": "text/plain", "etag": '"1"'}
    assert before <= entry.fetched <= time.time()
    assert cache.get(key(2)) is None


def test_the_order_of_parameters_does_not_count_but_that_of_equal_ones_does() -> None:
    def of(url: str) -> str:
        return cache_key("GET", url, "*/*")

    assert of("http://a.example/x?B=2&A=1") == of("http://a.example/x?A=1&B=2") == of("http://A.example/x?A=1&B=2")
    assert of("http://a.example/x?ID=1&ID=2") != of("http://a.example/x?ID=2&ID=1")
    assert of("http://a.example/x?A=1") != of("http://a.example/x?a=1")
    assert of("http://a.example/x?A=1") != of("https://a.example/x?A=1")
    assert of("http://a.example/x?A=") != of("http://a.example/x")
    assert cache_key("GET", "http://a.example/", "text/plain") != cache_key("GET", "http://a.example/", "*/*")
    assert cache_key("GET", "http://a.example/", "") != cache_key("HEAD", "http://a.example/", "")


def test_an_answer_expires(tmp_path: Path) -> None:
    moment = [1000.0]
    cache = Cache(tmp_path, 1_000_000, 2.0, clock=lambda: moment[0])
    put(cache, key(1))
    put(cache, key(2), max_age=60.0)
    put(cache, key(3), max_age=1e9)
    moment[0] += 61
    assert cache.get(key(1)) is not None
    assert cache.get(key(2)) is None
    assert cache.get(key(2), expired=True) is not None
    moment[0] += 2 * 86400
    assert cache.get(key(1)) is None
    assert cache.get(key(3)) is None
    shorter = Cache(tmp_path, 1_000_000, 0.001, clock=lambda: 1100.0)
    assert shorter.get(key(1)) is None  # the configuration of today holds, not that of then


def test_nothing_is_kept_when_told_so(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers", 1_000_000, 0.0)
    put(cache, key(1))
    assert not (tmp_path / "answers").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1], lambda text: text + b"x", lambda text: text.replace(b"body", b"BODY"), lambda text: b"",
        lambda text: b"\0" * len(text), lambda text: b"[]\n", lambda text: b"{}\nbody", lambda text: text[:20],
        lambda text: text.replace(b'"format": 1', b'"format": 2'),
        lambda text: text.replace(b'"headers": {', b'"headers": 7, "x": {'),
    ],
)  # fmt: skip
def test_what_is_damaged_is_not_there(cache: Cache, damage: object) -> None:
    put(cache, key(1))
    path = cache._path(key(1))
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(key(1)) is None
    assert not path.exists()
    put(cache, key(1))
    assert cache.get(key(1)) is not None


def test_a_folder_that_cannot_be_written_loses_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "answers", 1_000_000, 7.0)
    put(cache, key(1))
    assert cache.get(key(1)) is None
    assert cache.usage() == (0, 0)


def test_only_the_user_can_read_it(cache: Cache) -> None:
    put(cache, key(1))
    path = cache._path(key(1))
    assert path.stat().st_mode & 0o077 == 0
    assert cache.folder.stat().st_mode & 0o077 == 0


def test_it_stays_within_its_bound_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100_000, 7.0)
    put(cache, key(0), bytes(5000))
    first = cache._path(key(0))
    for number in range(1, 60):
        put(cache, key(number), bytes(5000))
        entry = cache.get(key(0))
        assert entry is not None, number
        assert first.exists()
    count, size = cache.usage()
    assert size <= 110_000
    assert 10 < count < 22
    assert cache.get(key(59)) is not None
    assert cache.get(key(1)) is None


def test_an_answer_larger_than_a_quarter_of_it_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000, 7.0)
    put(cache, key(1), bytes(251))
    assert cache.usage() == (0, 0)


def test_it_is_emptied(cache: Cache) -> None:
    for number in range(3):
        put(cache, key(number))
    assert cache.clear() == 3
    assert cache.usage() == (0, 0)


WRITER = """
import sys
from pathlib import Path
from emberline.vo.client._cache import Cache, cache_key
cache = Cache(Path(sys.argv[1]), 300_000, 7.0)
wrong = 0
for turn in range(60):
    for number in range(6):
        key = cache_key("GET", f"https://a.example/{number}", "")
        entry = cache.get(key)
        wrong += entry is not None and entry.body != bytes([number]) * 20_000
        cache.put(key, "https://a.example/", {}, bytes([number]) * 20_000)
print(wrong)
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    crew = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in crew:
        out, _ = worker.communicate(timeout=300)
        assert (worker.returncode, out) == (0, "0\n")
    assert not list(tmp_path.rglob("*.part"))
    cache = Cache(tmp_path, 300_000, 7.0)
    for number in range(6):
        entry = cache.get(cache_key("GET", f"https://a.example/{number}", ""))
        assert entry is not None
        assert entry.body == bytes([number]) * 20_000


def test_a_writer_that_was_killed_leaves_nothing_for_ever(tmp_path: Path) -> None:
    moment = [time.time()]
    cache = Cache(tmp_path, 1_000_000, 7.0, clock=lambda: moment[0])
    put(cache, key(1))
    remains = cache._path(key(1)).with_name(".x.answer.1234.part")
    remains.write_bytes(b"half")
    cache.prune()
    assert remains.exists()  # its writer may be alive
    moment[0] += 7200
    cache.prune()
    assert not remains.exists()
