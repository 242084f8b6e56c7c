"""Feature matrices of an archive: built in blocks, resumed, extended, and memory-mapped.

``features/<recipe hash>/`` holds ``recipe.toml``, ``values.npy`` (float32, one row per spectrum) and ``index.parquet``
(identifier, object, row, bad_fraction, flagged). The index decides how many rows of ``values.npy`` count: new rows are
written behind those, and a new index is renamed into place when they are complete.
"""

from __future__ import annotations

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
from emberline.engine import Engine, LocalEngine
from emberline.errors import ArchiveError, EmberlineError
from emberline.features import Recipe
from emberline.files import atomic_path, exclusive_lock, write_text
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    from emberline.archive.store import Archive

__all__ = ["FeatureMatrix", "build_features", "built_recipes", "open_features"]

_ROWS_PER_JOB = 4096


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
    def _table(self) -> pa.Table:
        return pa.table({"identifier": pa.array(self.identifiers.tolist(), pa.string())})

    def rows(self, identifiers: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Where spectra stand, in the order asked.

        Raises
        ------
        ArchiveError
            One of them is not in the matrix.
        """
        wanted = [str(identifier) for identifier in identifiers]
        rows = rows_at(self._table, "identifier", wanted)
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
    places = archive.places.sort_by([("part", "ascending"), ("row", "ascending")])
    if _complete(folder, places):
        return open_features(archive, recipe)
    with exclusive_lock(folder / ".lock", "another process is building these features"):
        if not _complete(folder, places):
            _build(archive, folder, recipe, places, engine, parts, progress)
    return open_features(archive, recipe)


def _complete(folder: Path, places: pa.Table) -> bool:
    index = _index(folder)
    return index is not None and len(index) >= len(places) and _continues(index, places)


def _index(folder: Path) -> pa.Table | None:
    path = folder / "index.parquet"
    return read_catalogue(path) if path.exists() and (folder / "values.npy").exists() else None


def _continues(index: pa.Table, places: pa.Table) -> bool:
    """Whether the matrix and the archive (in the order of ingestion) agree as far as both go."""
    n = min(len(index), len(places))
    ours, theirs = index["identifier"].slice(0, n), places["identifier"].slice(0, n)
    return bool(ours.combine_chunks().equals(theirs.combine_chunks()))


def _build(
    archive: Archive, folder: Path, recipe: Recipe, places: pa.Table, engine: Engine, parts: str, progress: Progress
) -> None:
    pending = folder / "pending"
    pending.mkdir(exist_ok=True)
    write_text(folder / "recipe.toml", recipe.to_toml())
    index = _index(folder)
    if index is not None and not _continues(index, places):
        (folder / "index.parquet").unlink()
        index = None
    done = 0 if index is None else len(index)
    values = folder / "values.npy"
    if index is None and not has_header(values, recipe.pixels):
        write_header(values, 0, recipe.pixels)
    jobs = _jobs(archive, recipe, places, done, values)
    progress("features", done, len(places))
    todo = [job for job in jobs if not _finished(job, places)]
    finished = len(places) - sum(job.count for job in todo)
    for job, count in zip(todo, run_jobs(engine, todo, folder, parts), strict=True):
        finished += min(count, job.count)
        progress("features", finished, len(places))
    wrong = [job for job in todo if not _finished(job, places)]
    if wrong:
        raise ArchiveError(
            "the parts do not hold the spectra that the catalogue says",
            where=str(wrong[0].parts[0]),
            action="Restore the archive from a copy.",
        )
    write_header(values, len(places), recipe.pixels)
    _write_index(folder, index, jobs, places)
    for path in pending.iterdir():
        path.unlink()


def _jobs(archive: Archive, recipe: Recipe, places: pa.Table, done: int, values: Path) -> list[FeatureJob]:
    """The rows from `done` on, cut at parts into jobs of some thousand rows."""
    rest = places.slice(done)
    counts = rest["part"].value_counts()
    jobs: list[FeatureJob] = []
    first, count = done, 0
    parts: list[Path] = []
    pairs = sorted(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
    for number, (name, size) in enumerate(pairs):
        parts.append(archive.part_path(name))
        count += size
        if count >= _ROWS_PER_JOB or number == len(pairs) - 1:
            result = values.parent / "pending" / f"{first:012d}.npz"
            jobs.append(FeatureJob(tuple(parts), recipe, values, result, first, count))
            first, count, parts = first + count, 0, []
    return jobs


def _finished(job: FeatureJob, places: pa.Table) -> bool:
    """Whether a job's result is there and is of the spectra that it should be of."""
    if not job.result.exists():
        return False
    with np.load(job.result) as result:
        return bool(result["identifiers"].tolist() == places["identifier"].slice(job.first, job.count).to_pylist())


def _write_index(folder: Path, old: pa.Table | None, jobs: list[FeatureJob], places: pa.Table) -> None:
    bad = [] if old is None else [old["bad_fraction"].to_numpy()]
    flagged = [] if old is None else [old["flagged"].to_numpy(zero_copy_only=False)]
    for job in jobs:
        with np.load(job.result) as result:
            bad.append(result["bad_fraction"])
            flagged.append(result["flagged"])
    table = pa.table(
        {
            "identifier": places["identifier"],
            "object": places["object"],
            "row": np.arange(len(places), dtype=np.int64),
            "bad_fraction": np.concatenate([np.zeros(0, np.float32), *bad]),
            "flagged": np.concatenate([np.zeros(0, np.bool_), *flagged]),
        }
    )
    with atomic_path(folder / "index.parquet") as temporary:
        pq.write_table(table, temporary, compression="ZSTD")


def open_features(archive: Archive, recipe: Recipe | str | None) -> FeatureMatrix:
    """See `Archive.features`."""
    built = [path.parent for path in sorted((archive.path / "features").glob("*/index.parquet"))]
    if recipe is None:
        if len(built) != 1:
            raise _not_built(archive, "no recipe" if not built else "several recipes", built)
        folder = built[0]
    else:
        folder = archive.path / "features" / (recipe if isinstance(recipe, str) else recipe.hash)
        if folder not in built:
            raise _not_built(archive, f"the recipe {folder.name}", built)
    index = read_catalogue(folder / "index.parquet")
    loaded = recipe if isinstance(recipe, Recipe) else Recipe.load(folder / "recipe.toml")
    return FeatureMatrix(
        recipe_hash=folder.name,
        recipe=loaded,
        identifiers=_text(index["identifier"]),
        objects=_text(_objects_now(archive, index)),
        values=_mapped(folder / "values.npy", len(index), loaded.pixels),
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


def _text(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.array(column.to_pylist(), dtype=np.str_)


def _objects_now(archive: Archive, index: pa.Table) -> pa.ChunkedArray:
    """Objects as the catalogue has them: appended spectra may have joined two that were apart."""
    places = archive.places
    rows = rows_at(places, "identifier", index["identifier"].to_pylist())
    return index["object"] if (rows < 0).any() else places["object"].take(pa.array(rows))


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
