"""Start Spark for Emberline: Java, addresses, settings, and our own code on its way to the executors."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import importlib.util
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.errors import EngineError, MissingExtraError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["package_zip", "start_session"]

_JAVA = 17
_LEFT_OUT = ("web", "cli", "vo", "__pycache__")
_MASTER = re.compile(r"local(\[.+\])?$|local-cluster\[.+\]$|spark://[^/]+:\d+|yarn$|k8s://.+")
_MASTERS = "local[2], spark://HOST:7077, yarn or k8s://https://HOST:PORT"
_LOOPBACK = re.compile(r"local(\[.*\])?$|spark://(127\.0\.0\.1|localhost):")
_QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_ALONE = {"spark.executorEnv.OMP_NUM_THREADS": "1", "spark.executorEnv.OPENBLAS_NUM_THREADS": "1"}
"""A task has one core, and its Python computes on one thread: `spark.task.cpus` above one would want as many here."""
_READING = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
    "spark.driver.maxResultSize": "0",  # results are fetched a few jobs at a time
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "256",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "64",  # not one task a file
}


def start_session(master: str | None, settings: Mapping[str, str]) -> tuple[SparkSession, bool]:
    """The Spark session of this process, or a new one; and whether it is new.

    Parameters
    ----------
    master : str, optional
        ``local[2]``, ``spark://host:7077``, ``yarn``, ``k8s://…``; under ``spark-submit`` it is known.
    settings : mapping of str to str
        Spark's own settings, such as ``spark.executor.memory``.

    Raises
    ------
    MissingExtraError, EngineError
        PySpark or Java is missing, there is no master, or Spark cannot start.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise MissingExtraError("pyspark", "spark")
    import pyspark.errors
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        _refuse_another(running, master)
        return running, False
    submitted = "SPARK_ENV_LOADED" in os.environ or "PYSPARK_GATEWAY_PORT" in os.environ
    _check_master(master, submitted)
    if not submitted:
        _check_java()
    builder = SparkSession.builder.appName("emberline")
    if master is not None:
        builder = builder.master(master)
    near = _LOOPBACK.match(master or "") is not None
    mine = {**_QUIET, **_ALONE, **_READING}
    if near:
        mine |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    for name, value in {**mine, **settings}.items():
        builder = builder.config(name, value)
    try:
        with _environment(near):
            session = builder.getOrCreate()
    except (pyspark.errors.PySparkException, RuntimeError) as error:
        raise _cannot_start(master, error) from error
    except Exception as error:  # py4j's errors are those of Java, and have no common base of their own
        raise _cannot_start(master, error) from error
    if "spark.log.level" not in settings:
        logging.getLogger("DataFrameQueryContextLogger").setLevel(logging.CRITICAL)
        session.sparkContext.setLogLevel("OFF")  # what matters of a failure is in our error; executors keep their logs
    return session, True


def _refuse_another(running: SparkSession, master: str | None) -> None:
    now = running.sparkContext.master
    if master is not None and now != master:
        raise EngineError(
            "this process has a Spark session already",
            found=str(now),
            expected=master,
            action="Stop it: session.stop().",
        )


def _check_master(master: str | None, submitted: bool) -> None:
    if master is None and not submitted:
        raise EngineError("no Spark master was named", action=f"Give --master: {_MASTERS}.")
    if master is not None and not _MASTER.match(master):
        raise EngineError("is no address of a Spark master", where=master, expected=_MASTERS)


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    action = f"Install Java {_JAVA} or later (Debian: openjdk-17-jre-headless) and set JAVA_HOME if it is not in PATH."
    if java is None or not os.access(java, os.X_OK):
        where = f"JAVA_HOME={home}" if home else ""
        raise EngineError("Spark needs Java, which was not found", where=where, action=action)
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA:
        found = said.splitlines()[0] if said else "no answer"
        raise EngineError(
            "this Java is too old for Spark 4", where=java, found=found, expected=str(_JAVA), action=action
        )


def _cannot_start(master: str | None, error: Exception) -> EngineError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\tat ")]
    told = [line for line in lines if "Exception: " in line]
    return EngineError(
        f"Spark cannot start: {[type(error).__name__, *lines[:1], *told[-1:]][-1]}"[:400].rstrip("."),
        where=master or "spark-submit",
        action="Check the address of the master, that it can be reached from here, and Spark's settings.",
    )


@contextlib.contextmanager
def _environment(near: bool) -> Iterator[None]:
    """What Spark reads from the environment while it starts.

    Executors use the Python that is named here; on one machine that is ours. Without ``SPARK_LOCAL_IP`` Spark looks up
    the name of the machine.
    """
    wanted = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"} if near else {}
    mine = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


@functools.cache
def package_zip() -> Path:
    """Our own code as a zip, for executors: they run what the driver runs, whatever they have installed.

    Pages, servers and the command line stay at home. The file is named by what it holds, and goes with this process.
    """
    source = Path(__file__).resolve().parents[1]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(source.rglob("*")):
            inner = file.relative_to(source)
            if file.is_file() and file.suffix in (".py", ".toml") and not set(inner.parts) & set(_LEFT_OUT):
                archive.writestr(zipfile.ZipInfo(f"emberline/{inner.as_posix()}"), file.read_bytes())
    folder = tempfile.mkdtemp(prefix="emberline-code-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / f"emberline_{hashlib.sha256(data.getvalue()).hexdigest()[:12]}.zip"
    path.write_bytes(data.getvalue())
    return path


def ship_code(session: SparkSession) -> None:
    """Give the executors our code before the first job."""
    session.sparkContext.addPyFile(os.fspath(package_zip()))
