"""The pool: the spectra of one archive or several that a campaign may ask about, with their features."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.archive import Archive, FeatureMatrix, open_archive
from emberline.archive.names import NameFinder, text_array
from emberline.campaign.config import OracleConfig, PoolConfig, StartConfig
from emberline.campaign.oracle import answers_from_rows, table_oracle
from emberline.engine import Engine
from emberline.errors import CampaignError
from emberline.features import Recipe
from emberline.progress import Progress, silent

__all__ = ["Pool", "TrainingSet", "open_pool", "starting_set"]

_ROWS = 65_536


@dataclasses.dataclass(frozen=True)
class Pool:
    """Rows that may be asked about; all arrays have one entry a row.

    Attributes
    ----------
    archives : tuple of Archive
    identifiers, objects : ndarray of str, shape (n,)
    values : ndarray of float32, shape (n, pixels)
        Features; a memory map when the pool is one whole archive.
    usable : ndarray of bool, shape (n,)
        False where the features are flagged for bad pixels and the campaign leaves such spectra out.
    archive_index : ndarray of int, shape (n,)
    """

    archives: tuple[Archive, ...]
    identifiers: NDArray[np.str_]
    objects: NDArray[np.str_]
    values: NDArray[np.float32]
    usable: NDArray[np.bool_]
    bad_fraction: NDArray[np.float32]
    archive_index: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.identifiers)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes when the pool does: other spectra, another order, or others flagged."""
        digest = hashlib.sha256()
        for start in range(0, len(self), _ROWS):  # no text of the whole pool
            names = "\n".join(self.identifiers[start : start + _ROWS].tolist())
            digest.update(("\n" + names if start else names).encode())
        digest.update(np.packbits(self.usable).tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def _finder(self) -> NameFinder:
        return NameFinder(self.identifiers)

    def find(self, identifiers: Iterable[str]) -> NDArray[np.int64]:
        """Where spectra stand in the pool, in the order given; -1 for those that are not in it."""
        return self._finder.find(list(identifiers))

    def repeated(self) -> str | None:
        """An identifier that is there twice, or None."""
        return self._finder.repeated()

    def rows(self, identifiers: Iterable[str]) -> NDArray[np.int64]:
        """As `find`, for spectra that must be there.

        Raises
        ------
        CampaignError
            A spectrum is not in the pool (any more).
        """
        names = list(identifiers)
        rows = self.find(names)
        if (rows < 0).any():
            raise CampaignError(
                "a spectrum that was asked about is not in the pool",
                found=str(names[int(np.argmin(rows))]),
                action="Restore the archive, or the pool's condition, as it was.",
            )
        return rows

    def catalogue(self, columns: list[str]) -> pa.Table:
        """Columns of the archives' catalogues, one row a row of the pool, in its order."""
        tables = []
        for index, archive in enumerate(self.archives):
            table = archive.catalogue(["identifier", *(name for name in columns if name != "identifier")])
            rows = NameFinder(text_array(table["identifier"])).find(self.identifiers[self.archive_index == index])
            tables.append(table.take(pa.array(rows, mask=rows < 0)))
        return pa.concat_tables(tables).select(columns)


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """Labelled features to train on: `values` (n, pixels), `labels` (n,) class indices, `objects` (n,)."""

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    objects: NDArray[np.str_]
    identifiers: NDArray[np.str_]


def open_pool(config: PoolConfig, recipe: Recipe, *, engine: Engine | None = None, progress: Progress = silent) -> Pool:
    """Open the archives of a pool and their features, which are built where they are missing or incomplete."""
    archives, parts = [], []
    for index, path in enumerate(config.archives):
        archive = open_archive(path)
        features = archive.build_features(recipe, engine=engine, progress=progress)
        parts.append(_columns(archive, features, config.where, index))
        archives.append(archive)
    identifiers, objects, values, flagged, bad, origin = (
        columns[0] if len(columns) == 1 else np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    usable = ~flagged if config.flagged == "exclude" else np.ones(len(flagged), bool)
    pool = Pool(tuple(archives), identifiers, objects, values, usable, bad, origin)
    _refuse_doubtful(pool, config)
    return pool


def _columns(archive: Archive, features: FeatureMatrix, where: str, index: int) -> tuple[NDArray[Any], ...]:
    """The rows of one archive that `where` leaves, or all: nothing is copied then."""
    columns = (
        features.identifiers,
        features.objects,
        features.values,
        np.asarray(features.flagged, dtype=bool),
        np.asarray(features.bad_fraction, dtype=np.float32),
        np.full(len(features), index, np.int32),
    )
    if not where:
        return columns
    rows = NameFinder(features.identifiers).find(
        text_array(archive.catalogue(["identifier"], where=where)["identifier"])
    )
    rows = np.sort(rows[rows >= 0])
    return columns if len(rows) == len(features) else tuple(np.asarray(column[rows]) for column in columns)


def _refuse_doubtful(pool: Pool, config: PoolConfig) -> None:
    where = ", ".join(str(path) for path in config.archives)
    if len(pool) == 0:
        raise CampaignError("the pool is empty", where=where, action="Ingest spectra, or widen pool.where.")
    twice = pool.repeated() if len(pool.archives) > 1 else None
    if twice is not None:
        raise CampaignError("two archives of the pool use one identifier", where=where, found=twice)


def starting_set(
    config: StartConfig, recipe: Recipe, classes: Sequence[str], *, progress: Progress = silent
) -> TrainingSet:
    """The labelled spectra that a campaign starts from: features under its recipe, and class indices.

    Spectra that are flagged for bad pixels, and answers that are no class, are left out.
    """
    archive = open_archive(config.archive)
    features = archive.build_features(recipe, progress=progress)
    answers = _start_answers(config, archive, (*classes, "not sure", "bad"))
    flagged = dict(zip(features.identifiers, features.flagged, strict=True))
    chosen = [
        (identifier, classes.index(answer))
        for identifier, answer in answers.items()
        if answer in classes and identifier in flagged and not flagged[identifier]
    ]
    if not chosen:
        raise CampaignError(
            "no spectrum of the starting archive has a usable label",
            where=str(config.archive),
            found=f"{len(answers)} labels, {sum(map(bool, flagged.values()))} of {len(flagged)} spectra flagged",
            action="Check start.table, start.label and the recipe's window against the archive's coverage.",
        )
    rows = features.rows([identifier for identifier, _ in chosen])
    return TrainingSet(
        np.ascontiguousarray(features.values[rows], dtype=np.float32),
        np.array([label for _, label in chosen], np.int64),
        np.asarray(features.objects).astype(np.str_)[rows],
        np.array([identifier for identifier, _ in chosen], np.str_),
    )


def _start_answers(config: StartConfig, archive: Archive, answers: Sequence[str]) -> dict[str, str]:
    oracle = OracleConfig(config.key, config.label, config.classes)
    if config.table is not None:
        catalogue = archive.catalogue(["identifier", "source_file"])
        return table_oracle(config.table, oracle, answers, catalogue)
    rows = archive.catalogue().to_pylist()
    labels = answers_from_rows(rows, oracle, answers, where=str(archive.path / "catalogue.parquet"))
    return {row["identifier"]: label for row, label in zip(rows, labels, strict=True)}
