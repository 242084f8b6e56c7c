"""The books of an archive while it is written: what is known, what is committed, and how it becomes visible.

Writers put parts into ``spectra/``; `Ledger.commit` makes some of them count by one small file in ``pending/``; and
`Ledger.publish` makes all that count visible by renaming one new ``catalogue.parquet`` into place. A reader believes
the catalogue alone. What a killed run leaves is either committed, and kept, or in no book, and removed by the next run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.catalogue import read_catalogue, rows_at, write_catalogue
from emberline.archive.index import CatalogueFile
from emberline.archive.known import Digests, KnownNames
from emberline.archive.parts import PartFile, keep_rows
from emberline.archive.publication import ASIDE, Growth, write_grown
from emberline.archive.schema import CATALOGUE_SCHEMA, REJECTED_SCHEMA, ArchiveInfo
from emberline.errors import ArchiveError, ReadError
from emberline.files import atomic_path, exclusive_lock, write_text
from emberline.provenance import now
from emberline.spectra import Grid, Spectrum

__all__ = ["Ledger", "Reject", "Written", "open_ledger", "pending_parts"]

_BUSY = "another ingest is writing to this archive"


@dataclasses.dataclass(frozen=True)
class Reject:
    """One line of ``rejected.parquet``: a file, or one spectrum of it, that was refused, and why."""

    file: str
    reason: str
    message: str
    found: str = ""
    expected: str = ""
    identifier: str = ""
    sha256: str = ""
    time: str = dataclasses.field(default_factory=now)

    @classmethod
    def of(cls, error: ReadError, file: str, sha256: str) -> Reject:
        """What a reader's error says of `file`."""
        return cls(file, error.reason, error.message, error.found, error.expected, sha256=sha256)


@dataclasses.dataclass
class Written:
    """What a worker did with some inputs.

    Attributes
    ----------
    parts : list of (name, identifiers, files, sha256)
        Parts that it wrote, with three columns of each.
    rejects : list of Reject
    inputs, already : int
        How many inputs it was given, and how many of them the archive had.
    truth : pyarrow.Table, optional
        What is true of the spectra, for simulated ones.
    same_by_name : bool
        Whether a known identifier means the same spectrum without a look at it (it may differ by rounding).
    """

    parts: list[tuple[str, list[str], list[str], list[str]]] = dataclasses.field(default_factory=list)
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    inputs: int = 0
    already: int = 0
    truth: pa.Table | None = None
    same_by_name: bool = False


@contextlib.contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """Lock the archive in `folder` for writing, make it when it is new, and clean up after a killed run.

    Raises
    ------
    ArchiveError, EmberlineError
        The folder is no archive and not empty, a newer version made it, or another process is writing to it.
    """
    if folder.exists() and not (folder / "archive.toml").exists():
        strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        if strangers or not folder.is_dir():
            raise ArchiveError(
                "this is not an archive, and not empty",
                where=str(folder),
                found=", ".join(sorted(strangers)[:3]) or "a file",
                expected="an archive, an empty folder, or a new name",
                action="Choose another folder with --into.",
            )
    with exclusive_lock(folder / ".lock", _BUSY):
        ledger = Ledger(folder)
        try:
            yield ledger
        finally:
            ledger.clean()


def pending_parts(folder: Path) -> list[str]:
    """Parts that are committed and not yet in the catalogue."""
    return [name for record in _records(folder) for name in record["parts"]]


def _records(folder: Path) -> list[dict[str, Any]]:
    records = []
    for path in sorted((folder / "pending").glob("*.json")):
        try:
            records.append(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:  # published while we looked
            continue
        except ValueError as error:
            raise ArchiveError(
                f"a note of what waits to be published cannot be read: {error}",
                where=str(path),
                action="Remove it and ingest the same files again.",
            ) from error
    return records


class Ledger:
    """What an archive holds, in sorted arrays, and the two steps by which it grows; made by `open_ledger`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spectra_folder, self.pending_folder = folder / "spectra", folder / "pending"
        self.run = uuid.uuid4().hex[:8]
        self._counted: set[str] = set()
        self.hashes = Digests()
        self._names = KnownNames(self.spectra_folder)
        if not (folder / "archive.toml").exists():
            ArchiveInfo.new().save(folder)
        self.info = ArchiveInfo.load(folder)
        for path in (self.spectra_folder, self.pending_folder):
            path.mkdir(exist_ok=True)
        if not (folder / "catalogue.parquet").exists():
            write_catalogue(folder / "catalogue.parquet", CATALOGUE_SCHEMA.empty_table())
        self._load()
        self.clean()

    def __len__(self) -> int:
        return len(self._names)

    def _load(self) -> None:
        catalogue = CatalogueFile(self.folder)
        index = catalogue.index()
        self._names.add_index(index)
        for batch in catalogue.batches(["sha256"]):
            self.hashes.update(batch["sha256"])
        listed = set(index.parts)
        for name in pending_parts(self.folder):
            if name not in listed:
                self._names.add_part(name)
                self.hashes.update(PartFile(self.spectra_folder / name).column("sha256"))
                listed.add(name)
        self._counted.update(listed)
        numbers = [int(name.split("-")[1]) for name in listed]
        numbers += [int(path.stem) for path in self.pending_folder.glob("*.json")]
        self.next_number = max(numbers, default=0) + 1

    def clean(self) -> None:
        """Remove what a killed or failed run left and nobody counts."""
        shutil.rmtree(self.pending_folder / ASIDE, ignore_errors=True)
        with contextlib.suppress(OSError):
            for path in self.spectra_folder.iterdir():
                if path.name not in self._counted:
                    path.unlink(missing_ok=True)
            torn = (*self.folder.glob(".*.part"), *self.pending_folder.glob(".*"), *self.pending_folder.glob("known-*"))
            for path in torn:
                path.unlink(missing_ok=True)
            for path in self.pending_folder.glob("*.truth.parquet"):
                if not path.with_name(path.name.split(".")[0] + ".json").exists():
                    path.unlink(missing_ok=True)

    def known_file(self) -> Path | None:
        """A file of the sorted hashes of all files in the archive, for workers to map; None when there are none."""
        if not len(self.hashes):
            return None
        path = self.pending_folder / f"known-{self.run}.npy"
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.save(stream, self.hashes.sorted())
        return path

    def commit(self, number: int, written: Written) -> tuple[int, int]:
        """Make a worker's parts count, without what the archive has; changes `written`.

        Returns
        -------
        tuple of int
            How many spectra and how many files were new.
        """
        spectra, names = 0, []
        files: set[tuple[str, str]] = set()
        twice: set[str] = set()
        for name, identifiers, sources, hashes in written.parts:
            known = self.hashes.known(hashes)
            twice.update(digest for digest, there in zip(hashes, known.tolist(), strict=True) if there)
            keep = self._judge(name, identifiers, sources, hashes, known, written)
            if not keep.any():
                (self.spectra_folder / name).unlink()
                continue
            if not keep.all():
                keep_rows(self.spectra_folder / name, keep)
            rows = np.flatnonzero(keep).tolist()
            self._names.add(name, [identifiers[i] for i in rows])
            files.update((sources[i], hashes[i]) for i in rows)
            spectra += len(rows)
            names.append(name)
        self.hashes.update([digest for _, digest in files])
        written.already += len(twice)
        if names or written.rejects or written.truth is not None:
            self._record(number, names, written)
        self._counted.update(names)
        return spectra, len(files)

    def _record(self, number: int, names: list[str], written: Written) -> None:
        record = {"parts": names, "rejected": [dataclasses.asdict(reject) for reject in written.rejects]}
        if written.truth is not None:
            with atomic_path(self.pending_folder / f"{number:08d}.truth.parquet") as temporary:
                pq.write_table(written.truth, temporary)
        write_text(self.pending_folder / f"{number:08d}.json", json.dumps(record, ensure_ascii=False))

    def _judge(
        self,
        name: str,
        identifiers: list[str],
        sources: list[str],
        hashes: list[str],
        known: NDArray[np.bool_],
        written: Written,
    ) -> NDArray[np.bool_]:
        """Which rows of a new part are new to the archive; the others are counted or rejected."""
        keep = ~known
        there = self._names.maybe(identifiers)
        if not there.any() and len(set(identifiers)) == len(identifiers):
            return keep
        rivals: list[tuple[int, str, int]] = []
        own: dict[str, int] = {}
        for row in np.flatnonzero(keep).tolist():
            identifier = identifiers[row]
            place = self._names.place(identifier) if there[row] else None
            if place is not None:
                rivals.append((row, *place))
            elif identifier in own:
                rivals.append((row, name, own[identifier]))
            else:
                own[identifier] = row
        compared = ((row, True) for row, _, _ in rivals) if written.same_by_name else self._compare(name, rivals)
        for row, same in compared:
            keep[row] = False
            if same:
                written.already += 1
            else:
                written.rejects.append(_duplicate(identifiers[row], sources[row], hashes[row]))
        return keep

    def _compare(self, name: str, rivals: list[tuple[int, str, int]]) -> Iterator[tuple[int, bool]]:
        """For each row of part `name` with its rival (part, row): whether the two spectra are the same."""
        mine = PartFile(self.spectra_folder / name) if rivals else None
        for part in sorted({part for _, part, _ in rivals}):
            pairs = [(row, other) for row, of, other in rivals if of == part]
            assert mine is not None
            news = mine.spectra([row for row, _ in pairs])
            olds = PartFile(self.spectra_folder / part).spectra([other for _, other in pairs])
            for (row, _), new, old in zip(pairs, news, olds, strict=True):
                yield row, _same(new, old)

    def publish(self) -> None:
        """Make all that is committed visible to readers; safe to repeat."""
        records = _records(self.folder)
        if not records:
            return
        catalogue = CatalogueFile(self.folder)
        index = catalogue.index()
        listed = set(index.parts)
        names = tuple(dict.fromkeys(name for record in records for name in record["parts"] if name not in listed))
        self._publish_truth()
        self._publish_rejected(records, names)
        self._publish_grids(names)
        surveys = self._surveys(catalogue, names)
        if surveys != self.info.survey:
            self.info = dataclasses.replace(self.info, survey=surveys)
            self.info.save(self.folder)
        if names:
            write_grown(self.folder, Growth(catalogue, index, self.spectra_folder, names))
        for path in (*self.pending_folder.glob("*.truth.parquet"), *self.pending_folder.glob("*.json")):
            path.unlink()

    def _surveys(self, catalogue: CatalogueFile, names: Sequence[str]) -> tuple[str, ...]:
        found: set[str] = set()
        for batch in catalogue.batches(["survey"]):
            found.update(batch["survey"].unique().to_pylist())
        for name in names:
            found.update(PartFile(self.spectra_folder / name).column("survey").unique().to_pylist())
        return tuple(sorted(filter(None, found)))

    def _publish_rejected(self, records: list[dict[str, Any]], names: Sequence[str]) -> None:
        """The newest verdict on each file replaces older ones; `names` are the parts with what was read."""
        path = self.folder / "rejected.parquet"
        lines = {_key(line): line for record in records for line in record["rejected"]}
        old = read_catalogue(path).to_pylist() if path.exists() else []
        judged = {line["file"] for line in lines.values()}
        doubtful = pa.array({line["file"] for line in old}, pa.string())
        for name in names if len(doubtful) else ():
            read = PartFile(self.spectra_folder / name).column("source_file").unique()
            judged.update(read.filter(pc.is_in(read, value_set=doubtful)).to_pylist())
        kept = [line for line in old if _key(line) not in lines and not (line["sha256"] and line["file"] in judged)]
        table = pa.Table.from_pylist([*kept, *lines.values()], schema=REJECTED_SCHEMA)
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="ZSTD")

    def _publish_grids(self, names: Sequence[str]) -> None:
        """``grids.parquet``: the wavelengths of every grid, for those who read parts by SQL."""
        path = self.folder / "grids.parquet"
        old = read_catalogue(path) if path.exists() else None
        known = set(old["grid"].to_pylist()) if old is not None else set()
        grids: dict[str, Grid] = {}
        for name in names:
            part = PartFile(self.spectra_folder / name)
            grids.update((key, grid) for key, grid in part.grids.items() if key not in known and key not in grids)
        if old is not None and not grids:
            return
        new = pa.table(
            {
                "grid": pa.array(list(grids), pa.string()),
                "wavelength": pa.array([grid.wavelength for grid in grids.values()], pa.list_(pa.float64())),
            }
        )
        with atomic_path(path) as temporary:
            pq.write_table(new if old is None else pa.concat_tables([old, new]), temporary, compression="ZSTD")

    def _publish_truth(self) -> None:
        """``truth.csv``: what is true of simulated spectra; never in the catalogue."""
        paths = sorted(self.pending_folder.glob("*.truth.parquet"))
        if not paths:
            return
        path = self.folder / "truth.csv"
        table = pa.concat_tables([pq.read_table(each) for each in paths])
        _, first = np.unique(table["identifier"].to_numpy(zero_copy_only=False).astype(str), return_index=True)
        table = table.take(pa.array(np.sort(first)))  # a killed run's truth may be there twice
        text = b""
        if path.exists():
            text = path.read_bytes()
            options = pyarrow.csv.ConvertOptions(include_columns=["identifier"], column_types={"identifier": "string"})
            known = pyarrow.csv.read_csv(path, convert_options=options)
            table = table.filter(pa.array(rows_at(known, "identifier", table["identifier"].to_pylist()) < 0))
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            stream.write(text)
            pyarrow.csv.write_csv(
                table, stream, pyarrow.csv.WriteOptions(include_header=not text, quoting_style="needed")
            )


def _key(line: dict[str, Any]) -> tuple[str, ...]:
    return line["file"], line["identifier"], line["reason"], line["found"]


def _same(one: Spectrum, other: Spectrum) -> bool:
    return one.grid == other.grid and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("flux", "ivar", "mask")
    )


def _duplicate(identifier: str, file: str, sha256: str) -> Reject:
    return Reject(
        file,
        "duplicate-identifier",
        "another spectrum of the archive has this identifier",
        found=identifier,
        expected="one spectrum per identifier",
        identifier=identifier,
        sha256=sha256,
    )
