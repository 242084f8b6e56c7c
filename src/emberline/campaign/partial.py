"""Probabilities on their way to the disk: what an interrupted run has written of them is kept and continued."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emberline.archive.featurework import has_header, header_length, write_all, write_header
from emberline.errors import EmberlineError
from emberline.files import atomic_path, write_text
from emberline.learn.config import Choice

__all__ = ["Partial"]


class Partial:
    """The table of probabilities of a round, before it is complete.

    Parameters
    ----------
    folder : path
        The round's.
    rows, classes : int
        The shape of the complete table.
    made_by : dict of str
        What the probabilities come from; what anything else has left there is not continued.

    Attributes
    ----------
    done : int
        How many rows are on the disk.
    choice : Choice or None
        What computed them, and has to compute the rest; None for a run that begins.
    """

    def __init__(self, folder: Path, rows: int, classes: int, made_by: dict[str, str]) -> None:
        self._file, self._note = folder / ".probabilities.part", folder / ".probabilities.json"
        self._rows, self._classes, self._made_by = rows, classes, made_by
        self.choice: Choice | None = None
        self.done = 0
        self._continue()

    def _continue(self) -> None:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            done, choice, made_by = int(note["rows"]), Choice(**note["choice"]), note["made_by"]
            there = has_header(self._file, self._classes) and self._file.stat().st_size >= self._place(done)
        except (OSError, ValueError, TypeError, KeyError):
            return
        if there and made_by == self._made_by and 0 < done <= self._rows:
            self.done, self.choice = done, choice

    def begin(self, choice: Choice) -> None:
        """Start with the first row, whatever was there."""
        self._note.unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)
        with self._naming():
            write_header(self._file, self._rows, self._classes)
        self.done, self.choice = 0, choice

    def _place(self, row: int) -> int:
        return header_length(self._classes) + 4 * self._classes * row

    def append(self, values: NDArray[np.float32]) -> None:
        """Keep the next rows, and then note that they are kept.

        Raises
        ------
        EmberlineError
            The disk is full. What was kept before stays.
        """
        assert self.choice is not None, "`begin` comes first"
        # Not by a memory map: on a full disk that ends the process, without a word.
        with self._naming(), open(self._file, "r+b", buffering=0) as stream:
            stream.seek(self._place(self.done))
            write_all(stream.fileno(), values)
            os.fsync(stream.fileno())
        self.done += len(values)
        note = {"made_by": self._made_by, "rows": self.done, "choice": self.choice.to_mapping()}
        write_text(self._note, json.dumps(note))

    def publish(self, path: Path) -> None:
        """Give the complete file its name."""
        with atomic_path(path) as temporary:
            self._file.rename(temporary)
        self._note.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmberlineError(
                f"cannot be written: {error.strerror or error}",
                where=str(self._file),
                action="Free some space and run the same command again; what was read is kept.",
            ) from error
