"""Open an archive and get at what it holds: its catalogue, its spectra, its features."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emberline.archive.catalogue import read_catalogue
from emberline.archive.conditions import filtered
from emberline.archive.index import CatalogueFile, IdentifierIndex, part_numbers
from emberline.archive.known import Digests
from emberline.archive.ledger import pending_parts
from emberline.archive.names import name_hashes
from emberline.archive.parts import PartFile
from emberline.archive.schema import CATALOGUE_SCHEMA, REJECTED_SCHEMA, ArchiveInfo
from emberline.errors import ArchiveError
from emberline.progress import Progress, silent
from emberline.spectra import Spectrum, SpectrumBlock

if TYPE_CHECKING:
    from emberline.archive.matrix import FeatureMatrix
    from emberline.engine import Engine
    from emberline.features import Recipe

__all__ = ["Archive", "open_archive"]

_OPEN_PARTS = 32


def open_archive(path: str | Path) -> Archive:
    """Open the archive in the folder `path` for reading.

    Raises
    ------
    ArchiveError
        The folder holds no archive.
    NewerVersionError
        A newer Emberline made it.
    """
    return Archive(Path(path))


class Archive:
    """One archive, read as it was when it was opened; open it again to see what an ingest added since.

    Attributes
    ----------
    path : Path
        Its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._info = ArchiveInfo.load(path)
        self._file_of = functools.lru_cache(maxsize=_OPEN_PARTS)(self._open_part)
        self._catalogue = CatalogueFile(path)
        self._beside = self._catalogue.index_beside()
        if self._beside is None:  # of an older Emberline, or an ingest replaced both between two looks
            self._catalogue = CatalogueFile(path)
            self._beside = self._catalogue.index_beside()
        self._length = len(self._catalogue if self._beside is None else self._beside)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r}, {len(self):,} spectra)"

    def __len__(self) -> int:
        return self._length

    @functools.cached_property
    def index(self) -> IdentifierIndex:
        """Where each spectrum lies, by the hash of its identifier; mapped, or made when it is missing."""
        return self._catalogue.index() if self._beside is None else self._beside

    @functools.cached_property
    def places(self) -> pa.Table:
        """Columns identifier, object, part and row of every spectrum: a whole table, for what needs all of it."""
        return self._catalogue.read(["identifier", "object", "part", "row"])

    def objects_in_order(self) -> pa.Array:
        """The object of every spectrum in the order of ingestion, which is that of the rows of a feature matrix."""
        numbers = {name: number for number, name in enumerate(self.index.parts)}
        objects, places = [], np.empty(len(self), np.int64)
        at = 0
        for batch in self._catalogue.batches(["object", "part", "row"]):
            objects.append(batch["object"])
            row = batch["row"].to_numpy(zero_copy_only=False)
            places[at : at + len(batch)] = part_numbers(batch["part"], numbers) << 32 | row
            at += len(batch)
        return pa.concat_arrays([pa.array([], pa.string()), *objects]).take(pa.array(np.argsort(places)))

    def _open_part(self, name: str) -> PartFile:
        return PartFile(self.part_path(name))

    def part_path(self, name: str) -> Path:
        """Where the part called `name` in the catalogue lies."""
        if Path(name).name != name:
            raise ArchiveError("the catalogue names a part outside of the archive", where=str(self.path), found=name)
        return self.path / "spectra" / name

    @property
    def parts(self) -> list[str]:
        """The names of the parts, in the order of ingestion."""
        return list(self.index.parts)

    def catalogue(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Rows of the catalogue, sorted by HEALPix.

        Parameters
        ----------
        columns : sequence of str, optional
            Which columns; all by default. Each Arrow field carries unit, UCD and description as metadata.
        where : str, optional
            A condition in DuckDB's SQL, such as ``"snr > 20 and survey_class = 'STAR'"``. Unknown values are null.

        Raises
        ------
        ArchiveError
            There is no such column, the condition is no SQL, or the file is damaged.
        """
        path = self.path / "catalogue.parquet"
        if where is None:
            return read_catalogue(path, columns)
        return filtered(path, list(columns or CATALOGUE_SCHEMA.names), where)

    def spectrum(self, identifier: str) -> Spectrum:
        """One spectrum.

        Raises
        ------
        ArchiveError
            The archive has none of this identifier, or a file is missing or damaged.
        """
        return self.spectra([identifier])[0]

    def spectra(self, identifiers: Sequence[str]) -> list[Spectrum]:
        """Several spectra, in the order asked; each on its own grid."""
        hashes = name_hashes(list(identifiers))
        places = self.index.first(hashes)
        if (places < 0).any():
            raise self._missing(str(identifiers[int((places < 0).argmax())]))
        found: dict[int, Spectrum] = {}
        for number in sorted(set((places >> 32).tolist())):
            indices = np.flatnonzero(places >> 32 == number).tolist()
            rows = (places[indices] & 0xFFFFFFFF).tolist()
            spectra = self._file_of(self.index.parts[number]).spectra(rows)
            for index, spectrum in zip(indices, spectra, strict=True):
                known = spectrum.meta.identifier == identifiers[index]
                found[index] = spectrum if known else self._other(identifiers[index], int(hashes[index]))
        return [found[index] for index in range(len(places))]

    def locate(self, identifiers: Sequence[str]) -> list[tuple[str, int]]:
        """The part and the row in it of several spectra, in the order asked.

        Raises
        ------
        ArchiveError
            The archive has none of this identifier.
        """
        places = self.index.first(name_hashes(list(identifiers)))
        if (places < 0).any():
            raise self._missing(str(identifiers[int((places < 0).argmax())]))
        return [(self.index.parts[place >> 32], place & 0xFFFFFFFF) for place in places.tolist()]

    def _other(self, identifier: str, asked: int) -> Spectrum:
        """The spectrum among those whose identifiers share a hash; an error when the parts hold others."""
        for place in self.index.all(asked).tolist():
            part = self.index.parts[place >> 32]
            (spectrum,) = self._file_of(part).spectra([place & 0xFFFFFFFF])
            stored = spectrum.meta.identifier
            if stored == identifier:
                return spectrum
            if int(name_hashes([stored])[0]) != asked:
                raise ArchiveError(
                    "this part is not the one that the catalogue describes",
                    where=str(self.part_path(part)),
                    found=stored,
                    expected=identifier,
                    action="Restore the archive from a copy.",
                )
        raise self._missing(identifier)

    def _missing(self, identifier: str) -> ArchiveError:
        return ArchiveError(
            "there is no such spectrum",
            where=str(self.path),
            found=identifier,
            expected="an identifier of the catalogue",
        )

    def blocks(self, rows: int = 4096) -> Iterator[SpectrumBlock]:
        """All spectra in the order of ingestion, at most `rows` at a time, each block on one grid.

        Rows of a block may be padded with `Mask.NO_DATA` to the block's grid.
        """
        for name in self.parts:
            yield from PartFile(self.part_path(name)).blocks(rows)

    def rejected(self) -> pa.Table:
        """What was refused: file, identifier, reason, message, found, expected, sha256, time."""
        path = self.path / "rejected.parquet"
        return read_catalogue(path) if path.exists() else REJECTED_SCHEMA.empty_table()

    def info(self) -> dict[str, Any]:
        """What the archive holds, as JSON can hold it."""
        table = self.catalogue(["object", "survey_class", "mjd", "snr", "wavelength_min", "wavelength_max", "healpix"])
        read = Digests()
        for batch in self._catalogue.batches(["sha256"]):
            read.update(batch["sha256"])
        files = [path for path in self.path.rglob("*") if path.is_file() and not path.name.startswith(".")]
        pending = pending_parts(self.path)
        return {
            "path": str(self.path),
            "schema_version": self._info.schema_version,
            "created": self._info.created,
            "survey": list(self._info.survey),
            "spectra": len(self),
            "objects": len(table["object"].unique()),
            "files": len(read),
            "parts": len(self.parts),
            "unpublished_parts": len(set(pending) - set(self.parts)),
            "bytes": sum(path.stat().st_size for path in files),
            "coverage": _coverage(table),
            "classes": _counts(table["survey_class"]),
            "rejected": _counts(self.rejected()["reason"]),
            "features": self._feature_info(),
            "truth": (self.path / "truth.csv").exists(),
            "emberline": self._info.provenance.get("emberline", ""),
        }

    def _feature_info(self) -> list[dict[str, Any]]:
        from emberline.archive.matrix import built_recipes

        return built_recipes(self)

    def build_features(
        self,
        recipe: Recipe,
        *,
        workers: int | None = None,
        engine: Engine | None = None,
        parts: str = "",
        progress: Progress = silent,
    ) -> FeatureMatrix:
        """Compute the feature vectors of all spectra under `recipe`, or those that are missing.

        Parameters
        ----------
        recipe : Recipe
        workers : int, optional
            Processes; all cores by default. The result does not depend on it.
        engine : Engine, optional
            Where they are computed; processes of this machine by default. The result does not depend on it.
        parts : str, optional
            For a Spark engine: the address of a folder with a copy of the archive's parts, which its readers read.
        progress : Progress

        Returns
        -------
        FeatureMatrix
        """
        from emberline.archive.matrix import build_features

        return build_features(self, recipe, workers=workers, engine=engine, parts=parts, progress=progress)

    def features(self, recipe: Recipe | str | None = None) -> FeatureMatrix:
        """A feature matrix that was built, by its recipe or the recipe's hash; the only one by default.

        Raises
        ------
        ArchiveError
            It was not built, or there are several to choose from.
        """
        from emberline.archive.matrix import open_features

        return open_features(self, recipe)

    def feature_values(self, recipe: Recipe | str | None = None) -> NDArray[np.float32]:
        """The values alone of a feature matrix, for picking rows here and there: nothing is read before they are.

        Row i is the i-th spectrum in the order of ingestion, as in `features`.

        Parameters
        ----------
        recipe : Recipe or str, optional
            As for `features`.

        Returns
        -------
        ndarray of float32, shape (n, d)
            A read-only memory map of which the system reads what is asked for and no neighbours.
        """
        from emberline.archive.matrix import feature_values

        return feature_values(self, recipe)


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    counts = column.value_counts()
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return {str(name): count for name, count in sorted(pairs, key=lambda pair: -pair[1])}


def _coverage(table: pa.Table) -> dict[str, Any]:
    """Ranges of wavelength, time and signal to noise, and how much of the sky."""
    placed = pc.filter(table["healpix"], pc.greater_equal(table["healpix"], 0))
    cells = pc.shift_right(placed, 2 * (29 - 5))
    return {
        "wavelength_angstrom": [pc.min(table["wavelength_min"]).as_py(), pc.max(table["wavelength_max"]).as_py()],
        "mjd": [pc.min(table["mjd"]).as_py(), pc.max(table["mjd"]).as_py()],
        "median_snr": pc.approximate_median(table["snr"]).as_py(),
        "with_position": len(placed),
        "sky_degrees2": round(len(cells.unique()) * 41252.96125 / (12 * 4**5), 1),
    }
