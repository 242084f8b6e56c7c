"""What the driver does beside asking: how many answers it has room for, and what a failure of Spark means."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
from pathlib import Path
from typing import cast

import pyarrow as pa

from emberline.engine import _tasks
from emberline.errors import EmberlineError, EngineError

__all__ = ["Room", "failure", "in_flight"]

_UNKNOWN_BYTES = 64 << 20  # what one job's answer is taken for before any has come
_LEAST_IN_FLIGHT = 1 << 30


class Room:
    """How many jobs may be under way, so that their answers fit into so many bytes: by the largest that has come.

    Parameters
    ----------
    most : int
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self._most, self._largest = most, 0

    @property
    def jobs(self) -> int:
        """One at the least: what is larger than the room goes alone."""
        return max(1, self._most // (self._largest or _UNKNOWN_BYTES))

    def measured(self, rows: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """The answers as they are, of whose sizes a note was taken."""
        self._largest = max([self._largest, 1, *(row.nbytes for row in rows)])
        return rows


def in_flight() -> int:
    """Bytes of answers that the driver may hold: a quarter of the memory that this machine, or container, has."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError, ValueError):
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return max(_LEAST_IN_FLIGHT, min(sizes) // 4)


def failure(text: str) -> EmberlineError:
    """What a long text by Spark says."""
    said = re.search(f"{_tasks.SAID}([0-9a-f]+){_tasks.SAID}", text)
    if said:
        return cast(EmberlineError, pickle.loads(bytes.fromhex(said[1])))
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text)
    if missing:
        return EngineError(
            f"the executors' Python lacks the module {missing[1]}",
            action="Install it there, or send an environment with --spark-conf spark.archives=….",
        )
    if "PYTHON_VERSION_MISMATCH" in text:
        return EngineError(
            "the executors run another Python than this one",
            action="Set PYSPARK_PYTHON to the Python that executors should use.",
        )
    if "Python worker exited unexpectedly" in text or "Python worker failed to connect" in text:
        return EngineError(
            "a Python worker of Spark died again and again, most likely for want of memory",
            action="Give executors more memory (spark.executor.memoryOverhead) or fewer cores each; a run resumes.",
        )
    if re.search(
        r"^(MemoryError|[\w.]*_ArrayMemoryError|pyarrow\.lib\.ArrowMemoryError)\b|OutOfMemoryError", text, re.MULTILINE
    ):
        return EngineError(
            "memory ran out where Spark works",
            action="Give executors more memory (spark.executor.memoryOverhead for Python, spark.executor.memory for "
            "Java) or fewer cores each, or the driver more (spark.driver.memory).",
        )
    if re.search("No space left on device|Disk quota exceeded|File too large", text):
        return EngineError(
            "a disk is full where Spark works",
            action="Free some space where tables are written and in the executors' spark.local.dir, and run it again.",
        )
    read = re.search(r"\[FAILED_READ_FILE[^\]]*\][^\n]*?file (\S+)", text)
    if read:
        where, action = read[1].rstrip("."), "Restore it from a copy."
        return EngineError("the table is damaged, or cannot be read", where=where, action=action)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt): ", line) and "spark" not in line]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return EngineError(f"Spark gave up: {['no reason', *lines[:1], *causes[-1:], *python[-1:]][-1]}"[:600])
