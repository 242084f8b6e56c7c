"""Files at addresses that Spark's file systems know: listed on the driver."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from emberline.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["escaped", "exists", "find_files", "remove", "rename"]


_AT_ONCE = 50_000
_STATUS = re.compile(r"FileStatus\{path=(.*?); isDirectory=false; length=(\d+);")


def find_files(session: SparkSession, places: Sequence[str], keep: Callable[[str], bool]) -> dict[str, int]:
    """See `Engine.find_files`: addresses, sorted, with the number of bytes that each file has.

    Raises
    ------
    EngineError
        Nothing is at an address, or its file system cannot be reached.
    """
    from py4j.protocol import Py4JJavaError

    found: dict[str, int] = {}
    for place in places:
        try:
            found.update(_below(session, place, keep))
        except Py4JJavaError as error:
            raise EngineError(
                f"cannot be listed: {_reason(error)}",
                where=place,
                action="Check the address and its credentials; S3 needs the package org.apache.hadoop:hadoop-aws.",
            ) from error
    return dict(sorted(found.items()))


def _reason(error: Any) -> str:
    return str(error.java_exception.toString()).splitlines()[0][:300]


def exists(session: SparkSession, place: str) -> bool:
    """Whether something is at an address."""
    system, path = _reached(session, place)
    return bool(system.exists(path))


def remove(session: SparkSession, place: str) -> None:
    """Remove a folder and what is in it."""
    system, path = _reached(session, place)
    system.delete(path, True)


def rename(session: SparkSession, old: str, new: str) -> None:
    """Give a folder another name, in which nothing is yet.

    Raises
    ------
    EngineError
        Something is there, or the file system refuses.
    """
    from py4j.protocol import Py4JJavaError

    jvm: Any = session.sparkContext._jvm
    _, source = _reached(session, old)
    system, target = _reached(session, new)
    configuration = session.sparkContext._jsc.hadoopConfiguration()
    gateway: Any = session.sparkContext._gateway
    options = gateway.new_array(jvm.org.apache.hadoop.fs.Options.Rename, 0)  # over nothing
    context = jvm.org.apache.hadoop.fs.FileContext.getFileContext(system.getUri(), configuration)
    try:
        context.rename(system.makeQualified(source), system.makeQualified(target), options)
    except Py4JJavaError as error:
        if exists(session, new):
            raise EngineError("is there already", where=new, action="Choose another name, or remove it.") from error
        raise EngineError(f"cannot be written: {_reason(error)}", where=new) from error


def _reached(session: SparkSession, place: str) -> tuple[Any, Any]:
    """The file system of an address, and the address as it knows it."""
    jvm: Any = session.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(place)
    return path.getFileSystem(session.sparkContext._jsc.hadoopConfiguration()), path


def _below(session: SparkSession, place: str, keep: Callable[[str], bool]) -> dict[str, int]:
    jvm: Any = session.sparkContext._jvm
    system, path = _reached(session, place)
    exact = system.exists(path)
    matches = [system.getFileStatus(path)] if exact else list(system.globStatus(path) or [])
    if not matches:
        raise EngineError("there is no such file or folder", where=place, action="Check the spelling.")
    found: dict[str, int] = {}
    for status in matches:
        if status.isFile():
            found[status.getPath().toString()] = int(status.getLen())
            continue
        # Many answers as one text: a call into Java for each of a million files would take hours.
        listed = jvm.org.apache.spark.deploy.SparkHadoopUtil.get().listLeafStatuses(system, status.getPath())
        for first in range(0, int(listed.size()), _AT_ONCE):
            for name, size in _STATUS.findall(listed.slice(first, first + _AT_ONCE).mkString("\n")):
                if keep(name.rpartition("/")[2]):
                    found[name] = int(size)
    return found


def escaped(place: str) -> str:
    """An address that means one file, whatever characters of a pattern are in its name."""
    return re.sub(r"([][*?{}\\])", r"\\\1", place)
