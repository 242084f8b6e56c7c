"""What stands in the way of Spark is said before it is tried, and our own code goes along."""

from __future__ import annotations

import importlib.util
import pickle
import zipfile
from pathlib import Path

import pytest

from emberline.engine import open_engine
from emberline.engine._driver import failure
from emberline.engine._session import package_zip
from emberline.engine._tasks import SAID
from emberline.errors import ArchiveError, EngineError, MissingExtraError


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emberline\[spark\]'"):
        open_engine("spark", "local[2]")


@pytest.mark.parametrize("home", [None, "nowhere"])
def test_without_java_it_says_what_to_install(
    home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / home))
    with pytest.raises(EngineError, match=r"needs Java, which was not found.*Install Java 17"):
        open_engine("spark", "local[2]")


def test_an_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EngineError, match=r"too old for Spark 4.*11\.0\.2.*Install Java 17"):
        open_engine("spark", "local[2]")


def test_a_master_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_ENV_LOADED", raising=False)
    with pytest.raises(EngineError, match=r"no Spark master.*--master.*local\[2\]"):
        open_engine("spark")


@pytest.mark.parametrize("master", ["lokal", "spark://head", "head:7077", "local[2", ""])
def test_what_is_no_master_is_refused_before_java_starts(master: str) -> None:
    with pytest.raises(EngineError, match=r"no address of a Spark master.*expected local\[2\], spark://HOST:7077"):
        open_engine("spark", master)


def test_the_code_that_travels_is_complete_and_the_same_each_time() -> None:
    path = package_zip()
    assert package_zip() == path
    names = zipfile.ZipFile(path).namelist()
    assert {"emberline/__init__.py", "emberline/learn/model.py", "emberline/archive/filework.py"} <= set(names)
    assert "emberline/features/recipes/halpha-140.toml" in names
    assert not [name for name in names if name.startswith(("emberline/web/", "emberline/cli/"))]


def test_what_spark_says_at_length_becomes_one_sentence() -> None:
    trace = (
        "An error occurred while calling o1.getResult.\n: org.apache.spark.SparkException: Job aborted\n"
        'Traceback (most recent call last):\n  File "x.py", line 3\n{}\n\n\tat org.apache.spark.Foo\n'
    )
    assert str(failure(trace.format("ModuleNotFoundError: No module named 'torch'"))).startswith(
        "the executors' Python lacks the module torch."
    )
    assert str(failure(trace.format("ValueError: so it is"))) == "Spark gave up: ValueError: so it is"
    assert "want of memory" in str(failure(trace.format("Python worker exited unexpectedly (crashed)")))
    for words in (
        "MemoryError",
        "numpy._core._exceptions._ArrayMemoryError: 8 GiB",
        "java.lang.OutOfMemoryError: heap",
    ):
        assert str(failure(trace.format(words))).startswith("memory ran out where Spark works")
    for words in ("No space left on device", "File too large"):
        assert str(failure(trace.format(f"java.io.IOException: {words}"))).startswith(
            "a disk is full where Spark works"
        )
    assert isinstance(failure(""), EngineError)
    error = ArchiveError("is damaged", where="part-1")
    said = failure(trace.format(f"RuntimeError: {SAID}{pickle.dumps(error).hex()}{SAID}"))
    assert (type(said), str(said)) == (ArchiveError, "part-1: is damaged")
