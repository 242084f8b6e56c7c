"""Feature matrices of an archive: built in blocks, resumed, extended, and memory-mapped.

``features/<recipe hash>/`` holds ``recipe.toml``, ``values.npy`` (float32, one row per spectrum) and ``index.parquet``
(identifier, object, row, bad_fraction, flagged). The index decides how many rows of ``values.npy`` count: new rows are
written behind those, and a new index is renamed into place when they are complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.catalogue import read_catalogue, rows_at
from emberline.archive.featurework import FeatureJob, has_header, run_jobs, write_header
from emberline.archive.mapped import PickedRows
from emberline.archive.memory import naming_want_of_memory
from emberline.archive.names import NameFinder, name_hashes, text_array
from emberline.archive.parts import NamingTheFile
from emberline.engine import Engine, LocalEngine
from emberline.errors import ArchiveError, EmberlineError
from emberline.features import Recipe
from emberline.files import atomic_path, exclusive_lock, write_text
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    from emberline.archive.store import Archive

__all__ = ["FeatureMatrix", "build_features", "built_recipes", "feature_values", "open_features"]

_ROWS_PER_JOB = 4096
_ROWS_PER_GROUP = 131_072
_INDEX_SCHEMA = pa.schema(
    {
        "identifier": pa.string(),
        "object": pa.string(),
        "row": pa.int64(),
        "bad_fraction": pa.float32(),
        "flagged": pa.bool_(),
    }
)


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """The feature vectors of an archive under one recipe; row i of every array is one spectrum.

    Attributes
    ----------
    recipe_hash : str
    recipe : Recipe
    identifiers, objects : ndarray of str, shape (n,)
    values : ndarray of float32, shape (n, d)
        A read-only memory map.
    bad_fraction : ndarray of float32, shape (n,)
    flagged : ndarray of bool, shape (n,)
        Rows that should not be trusted, see `emberline.features.FeatureBlock`.
    """

    recipe_hash: str
    recipe: Recipe
    identifiers: NDArray[np.str_]
    objects: NDArray[np.str_]
    values: NDArray[np.float32]
    bad_fraction: NDArray[np.float32]
    flagged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.identifiers)

    @functools.cached_property
    def _finder(self) -> NameFinder:
        return NameFinder(self.identifiers)

    def rows(self, identifiers: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Where spectra stand, in the order asked.

        Raises
        ------
        ArchiveError
            One of them is not in the matrix.
        """
        wanted = [str(identifier) for identifier in identifiers]
        rows = self._finder.find(wanted)
        if (rows < 0).any():
            raise ArchiveError(
                "a spectrum is not in the feature matrix",
                where=f"features/{self.recipe_hash}",
                found=wanted[int((rows < 0).argmax())],
                action="Build the features again if the archive grew since.",
            )
        return rows


def build_features(
    archive: Archive,
    recipe: Recipe,
    *,
    workers: int | None = None,
    engine: Engine | None = None,
    parts: str = "",
    progress: Progress = silent,
) -> FeatureMatrix:
    """See `Archive.build_features`."""
    engine = LocalEngine(workers) if engine is None else engine
    folder = archive.path / "features" / recipe.hash
    with naming_want_of_memory(archive.path):
        index = _index(folder)
        if not _complete(index, archive):
            with exclusive_lock(folder / ".lock", "another process is building these features"):
                index = _index(folder)
                if not _complete(index, archive):
                    _build(archive, folder, recipe, index, engine, parts, progress)
                    index = None
        return _opened(archive, folder, recipe, index)


def _index(folder: Path) -> pa.Table | None:
    path = folder / "index.parquet"
    if not path.exists() or not (folder / "values.npy").exists():
        return None
    return read_catalogue(path, ["identifier", "bad_fraction", "flagged"])


def _complete(index: pa.Table | None, archive: Archive) -> bool:
    return index is not None and len(index) >= len(archive) and _continues(index, archive)


def _continues(index: pa.Table, archive: Archive) -> bool:
    """Whether the matrix and the archive (in the order of ingestion) agree as far as both go."""
    n = min(len(index), len(archive))
    return np.array_equal(name_hashes(index["identifier"].slice(0, n)), archive.index.in_order[:n])


def _build(
    archive: Archive,
    folder: Path,
    recipe: Recipe,
    index: pa.Table | None,
    engine: Engine,
    parts: str,
    progress: Progress,
) -> None:
    pending = folder / "pending"
    pending.mkdir(exist_ok=True)
    write_text(folder / "recipe.toml", recipe.to_toml())
    starts = np.concatenate([[0], np.cumsum(archive.index.counts)])
    if index is not None and not (_continues(index, archive) and len(index) in starts):
        (folder / "index.parquet").unlink()
        index = None
    done, order = 0 if index is None else len(index), archive.index.in_order
    values = folder / "values.npy"
    if index is None and not has_header(values, recipe.pixels):
        write_header(values, 0, recipe.pixels)
    jobs = _jobs(archive, recipe, done, values)
    progress("features", done, len(archive))
    todo = [job for job in jobs if not _finished(job, order)]
    finished = len(archive) - sum(job.count for job in todo)
    for job, count in zip(todo, run_jobs(engine, todo, folder, parts), strict=True):
        finished += min(count, job.count)
        progress("features", finished, len(archive))
    wrong = [job for job in todo if not _finished(job, order)]
    if wrong:
        raise ArchiveError(
            "the parts do not hold the spectra that the catalogue says",
            where=str(wrong[0].parts[0]),
            action="Restore the archive from a copy.",
        )
    write_header(values, len(archive), recipe.pixels)
    _write_index(folder, index, jobs, archive.objects_in_order())
    for path in pending.iterdir():
        path.unlink()


def _jobs(archive: Archive, recipe: Recipe, done: int, values: Path) -> list[FeatureJob]:
    """The rows from `done` on, cut at parts into jobs of some thousand rows."""
    jobs: list[FeatureJob] = []
    parts: list[Path] = []
    start = first = end = 0
    for name, size in zip(archive.index.parts, archive.index.counts.tolist(), strict=True):
        start, end = end, end + size
        if start < done:
            first = end
            continue
        parts.append(archive.part_path(name))
        if end - first >= _ROWS_PER_JOB or end == len(archive):
            result = values.parent / "pending" / f"{first:012d}.npz"
            jobs.append(FeatureJob(tuple(parts), recipe, values, result, first, end - first))
            first, parts = end, []
    return jobs


def _finished(job: FeatureJob, order: NDArray[np.uint64]) -> bool:
    """Whether a job's result is there and is of the spectra that it should be of."""
    if not job.result.exists():
        return False
    with np.load(job.result) as result:
        return np.array_equal(name_hashes(result["identifiers"]), order[job.first : job.first + job.count])


def _write_index(folder: Path, old: pa.Table | None, jobs: list[FeatureJob], objects: pa.Array) -> None:
    """``index.parquet``, a row group at a time."""
    with (
        atomic_path(folder / "index.parquet") as temporary,
        contextlib.closing(pq.ParquetWriter(temporary, _INDEX_SCHEMA, compression="ZSTD")) as writer,
    ):
        first, waiting = 0, [] if old is None else [old]
        for table in (*map(_result, jobs), None):
            waiting += [] if table is None else [table]
            if table is None or sum(map(len, waiting)) >= _ROWS_PER_GROUP:
                rows = pa.concat_tables(waiting) if waiting else _INDEX_SCHEMA.empty_table()
                number = pa.array(np.arange(first, first + len(rows)))
                columns = {"object": objects[first : first + len(rows)], "row": number}
                columns |= {name: rows[name] for name in ("identifier", "bad_fraction", "flagged")}
                writer.write_table(pa.table([columns[name] for name in _INDEX_SCHEMA.names], _INDEX_SCHEMA))
                first, waiting = first + len(rows), []


def _result(job: FeatureJob) -> pa.Table:
    with np.load(job.result) as result:
        names = ("identifiers", "bad_fraction", "flagged")
        return pa.table([pa.array(result[name]) for name in names], ["identifier", "bad_fraction", "flagged"])


def open_features(archive: Archive, recipe: Recipe | str | None) -> FeatureMatrix:
    """See `Archive.features`."""
    return _opened(archive, _folder_of(archive, recipe), recipe)


def feature_values(archive: Archive, recipe: Recipe | str | None) -> NDArray[np.float32]:
    """See `Archive.feature_values`."""
    folder = _folder_of(archive, recipe)
    with NamingTheFile(folder / "index.parquet"):
        rows = pq.read_metadata(folder / "index.parquet").num_rows
    values = _mapped(folder / "values.npy", rows, _recipe_of(folder).pixels)
    return PickedRows.of(values) if isinstance(values, np.memmap) else values


def _folder_of(archive: Archive, recipe: Recipe | str | None) -> Path:
    built = [path.parent for path in sorted((archive.path / "features").glob("*/index.parquet"))]
    if recipe is None:
        if len(built) != 1:
            raise _not_built(archive, "no recipe" if not built else "several recipes", built)
        return built[0]
    folder = archive.path / "features" / (recipe if isinstance(recipe, str) else recipe.hash)
    if folder not in built:
        raise _not_built(archive, f"the recipe {folder.name}", built)
    return folder


def _recipe_of(folder: Path) -> Recipe:
    """The recipe that the features in `folder` are of: it must be the one that the folder is named after."""
    recipe = Recipe.load(folder / "recipe.toml")
    if recipe.hash != folder.name:
        raise ArchiveError(
            "these features are of another recipe than their folder says",
            where=str(folder),
            found=f"recipe.toml of {recipe.hash}",
            expected=folder.name,
            action="Remove the folder and build the features again.",
        )
    return recipe


def _opened(
    archive: Archive, folder: Path, recipe: Recipe | str | None, index: pa.Table | None = None
) -> FeatureMatrix:
    """What lies in `folder`; of a complete `index` that was read it is known that it is the archive's."""
    stored, ours = _recipe_of(folder), index is not None
    if index is None:
        index = read_catalogue(folder / "index.parquet", ["identifier", "bad_fraction", "flagged"])
    return FeatureMatrix(
        recipe_hash=folder.name,
        recipe=recipe if isinstance(recipe, Recipe) else stored,
        values=_mapped(folder / "values.npy", len(index), stored.pixels),
        identifiers=text_array(index["identifier"]),
        objects=_objects_now(archive, index, folder, ours),
        bad_fraction=index["bad_fraction"].to_numpy(),
        flagged=index["flagged"].to_numpy(zero_copy_only=False),
    )


def _not_built(archive: Archive, what: str, built: list[Path]) -> ArchiveError:
    action = "Build them with: emberline features ARCHIVE --recipe RECIPE"
    names = ", ".join(path.name for path in built)
    return ArchiveError(
        f"the archive has features of {what}",
        where=str(archive.path),
        found=names or "none",
        action=action if not built else f"Name one, or b{action[1:]}",
    )


def _objects_now(archive: Archive, index: pa.Table, folder: Path, ours: bool) -> NDArray[np.str_]:
    """Objects as the catalogue has them: appended spectra may have joined two that were apart."""
    if len(index) <= len(archive) and (ours or _continues(index, archive)):
        return text_array(archive.objects_in_order()[: len(index)])
    rows = rows_at(archive.places, "identifier", index["identifier"].to_pylist())
    if (rows < 0).any():
        return text_array(read_catalogue(folder / "index.parquet", ["object"])["object"])
    return text_array(archive.places["object"].take(pa.array(rows)))


def _mapped(path: Path, rows: int, pixels: int) -> NDArray[np.float32]:
    if rows == 0:
        return np.zeros((0, pixels), np.float32)
    try:
        values = np.load(path, mmap_mode="r")
        if values.ndim != 2 or values.shape[0] < rows or values.shape[1] != pixels:
            raise ValueError(f"it has the shape {values.shape}, not ({rows}, {pixels})")
    except FileNotFoundError as error:
        raise ArchiveError(
            "a file of the archive is missing",
            where=str(path),
            action="Remove its folder and build the features again.",
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise ArchiveError(
            f"a file of the archive is damaged: {error}",
            where=str(path),
            action="Remove its folder and build the features again.",
        ) from error
    return np.asarray(values[:rows]) if not isinstance(values, np.memmap) else values[:rows]


def built_recipes(archive: Archive) -> list[dict[str, Any]]:
    """What feature matrices there are: hash, name of the recipe, rows, and whether they cover the archive."""
    found = []
    for path in sorted((archive.path / "features").glob("*/index.parquet")):
        try:
            recipe = Recipe.load(path.parent / "recipe.toml")
            rows = pq.ParquetFile(path).metadata.num_rows
        except (EmberlineError, pa.ArrowInvalid, OSError) as error:
            found.append({"hash": path.parent.name, "recipe": f"damaged: {error}", "spectra": 0, "complete": False})
            continue
        found.append(
            {"hash": path.parent.name, "recipe": recipe.name, "spectra": rows, "complete": rows >= len(archive)}
        )
    return found
