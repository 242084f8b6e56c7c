"""What an archive's files are called and hold: the catalogue's columns, and the schema's version."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from emberline import config
from emberline.errors import ArchiveError, ConfigError, NewerVersionError
from emberline.files import write_text
from emberline.provenance import now, provenance
from emberline.spectra import Metadata

__all__ = [
    "CATALOGUE_SCHEMA",
    "COLUMNS",
    "FILE_COLUMNS",
    "METADATA_COLUMNS",
    "REJECTED_SCHEMA",
    "SCHEMA_VERSION",
    "ArchiveInfo",
    "Column",
    "Fibre",
    "described",
    "metadata_of_rows",
    "metadata_table",
]

SCHEMA_VERSION = 1
"""Raised by one whenever a file of an archive changes so that an older Emberline would misread it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column of the catalogue: Arrow type, unit (VOUnit), UCD (UCD1+) and one sentence."""

    name: str
    dtype: str
    unit: str
    ucd: str
    description: str


METADATA_COLUMNS: tuple[Column, ...] = (
    Column("identifier", "string", "", "meta.id;meta.main", "Identifier of the spectrum, unique in the archive"),
    Column("survey", "string", "", "meta.dataset", "Survey, and release where known"),
    Column("name", "string", "", "meta.id", "Name of the target as the survey wrote it"),
    Column("ra", "double", "deg", "pos.eq.ra;meta.main", "Right ascension, ICRS; null when unknown"),
    Column("dec", "double", "deg", "pos.eq.dec;meta.main", "Declination, ICRS; null when unknown"),
    Column("mjd", "double", "d", "time.epoch;obs", "Middle of the exposure, or the survey's date, as MJD"),
    Column("exposure", "float", "s", "time.duration;obs.exposure", "Exposure time"),
    Column("snr", "float", "", "stat.snr", "Median signal-to-noise ratio per pixel as the survey states it"),
    Column("survey_class", "string", "", "src.class;meta.curation", "Class that the survey gave"),
    Column("survey_subclass", "string", "", "src.class;meta.curation", "Subclass that the survey gave"),
    Column("redshift", "float", "", "src.redshift", "Redshift that the survey gave"),
    Column(
        "medium", "string", "", "meta.code", "Whether the FILE gave wavelengths in vacuum or air; here all are vacuum"
    ),
    Column("velocity_frame", "string", "", "meta.code;pos.frame", "Velocity frame of the wavelengths"),
    Column("resolving_power", "float", "", "spect.resolution", "Wavelength over its resolution element (FWHM)"),
    Column("flux_unit", "string", "", "meta.unit", "Unit of the flux in VOUnit syntax, empty when arbitrary"),
    Column("ivar_source", "string", "", "meta.code", "Whether the inverse variance is the file's or estimated"),
)
"""The fields of `Metadata`, in its order."""

FILE_COLUMNS: tuple[Column, ...] = (
    Column("source_file", "string", "", "meta.id;meta.file", "File that the spectrum was read from"),
    Column("sha256", "string", "", "meta.checksum", "SHA-256 of that file's bytes"),
    Column("grid", "string", "", "meta.id;em.wl", "Wavelength grid of the stored arrays, see grids.parquet"),
    Column("start", "int32", "pixel", "meta.number;em.wl", "First pixel of the stored arrays that is this spectrum's"),
    Column("pixels", "int32", "pixel", "meta.number;em.wl", "Number of its pixels"),
    Column("wavelength_min", "double", "Angstrom", "em.wl;stat.min", "First pixel's centre, vacuum"),
    Column("wavelength_max", "double", "Angstrom", "em.wl;stat.max", "Last pixel's centre, vacuum"),
)
"""What the ingest adds to the metadata of each spectrum in its part."""

_PLACE_COLUMNS: tuple[Column, ...] = (
    Column("object", "string", "", "meta.id;src", "Spectra within 1.5 arcsec of one another share an object"),
    Column("healpix", "int64", "", "pos.healpix", "HEALPix pixel, nested, order 29; -1 without a position"),
    Column("part", "string", "", "meta.id;meta.file", "File in spectra/ that holds the arrays"),
    Column("row", "int32", "", "meta.number", "Row in that file"),
)

_ORDER = ("identifier", "object", "survey", "name", "ra", "dec", "healpix")
_BY_NAME = {column.name: column for column in (*METADATA_COLUMNS, *_PLACE_COLUMNS, *FILE_COLUMNS)}
COLUMNS: tuple[Column, ...] = tuple(
    [_BY_NAME[name] for name in _ORDER] + [column for name, column in _BY_NAME.items() if name not in _ORDER]
)
"""The columns of ``catalogue.parquet``, in their order."""


def described(columns: Sequence[Column]) -> list[pa.Field]:
    """Arrow fields that carry unit, UCD and description as metadata."""
    return [
        pa.field(
            column.name,
            pa.type_for_alias(column.dtype),
            metadata={"unit": column.unit, "ucd": column.ucd, "description": column.description},
        )
        for column in columns
    ]


CATALOGUE_SCHEMA = pa.schema(described(COLUMNS), metadata={"emberline.schema_version": str(SCHEMA_VERSION)})

REJECTED_SCHEMA = pa.schema(
    described(
        [
            Column("file", "string", "", "meta.id;meta.file", "File, or member of an archive file, that was refused"),
            Column("identifier", "string", "", "meta.id", "The one spectrum of it that was refused; empty for all"),
            Column("reason", "string", "", "meta.code.error", "Why, in one fixed word"),
            Column("message", "string", "", "meta.note", "Why, in a sentence"),
            Column("found", "string", "", "meta.note", "What was there"),
            Column("expected", "string", "", "meta.note", "What should have been there"),
            Column("sha256", "string", "", "meta.checksum", "SHA-256 of the file's bytes, empty when it was not read"),
            Column("time", "string", "", "time.processing", "When, UTC, ISO 8601"),
        ]
    ),
    metadata={"emberline.schema_version": str(SCHEMA_VERSION)},
)


@dataclasses.dataclass(frozen=True)
class Fibre:
    """The opening through which a survey sees its targets; write it into ``archive.toml`` where it is not the usual.

    Attributes
    ----------
    diameter_arcsec : float
        Of the fibre, or the width of the slit, on the sky; 0 for what is usual in the survey.
    seeing_arcsec : float
        Full width of a star's image at half maximum; 0 for what is usual.
    """

    diameter_arcsec: float = 0.0
    seeing_arcsec: float = 0.0

    def __post_init__(self) -> None:
        for name in ("diameter_arcsec", "seeing_arcsec"):
            value = getattr(self, name)
            if not 0.0 <= value <= 60.0:
                raise ValueError(f"fibre.{name} is {value}: choose arcseconds from 0 to 60")


@dataclasses.dataclass(frozen=True)
class ArchiveInfo:
    """``archive.toml``: what an archive is and what made it.

    Attributes
    ----------
    schema_version : int
    survey : tuple of str
        The surveys whose spectra it holds, sorted.
    created : str
        UTC, ISO 8601.
    frame : str
        What all stored wavelengths are in; the velocity frame is a column of the catalogue.
    provenance : dict
        The software that made it.
    fibre : Fibre or None
        None for what is usual in the survey.
    """

    schema_version: int
    created: str
    survey: tuple[str, ...] = ()
    frame: str = "vacuum wavelengths in angstrom, positions in ICRS degrees"
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    fibre: Fibre | None = None

    @classmethod
    def new(cls) -> ArchiveInfo:
        """For an archive made now by this version."""
        return cls(SCHEMA_VERSION, now(), provenance=provenance())

    @classmethod
    def load(cls, folder: Path) -> ArchiveInfo:
        """Read ``archive.toml`` of the archive in `folder`.

        Raises
        ------
        ArchiveError
            The folder holds no archive, or the file is damaged.
        NewerVersionError
            A newer Emberline made it.
        """
        import tomllib

        path = folder / "archive.toml"
        try:
            mapping = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArchiveError(
                "this is no archive: archive.toml is missing",
                where=str(folder),
                action="Check the path, or make one with: emberline ingest PATH... --into ARCHIVE",
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ArchiveError(f"cannot be read: {error}", where=str(path)) from error
        version = mapping.get("schema_version", 0)
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise NewerVersionError(
                "this archive was made by a newer version of Emberline",
                where=str(path),
                found=f"schema version {version}",
                expected=f"{SCHEMA_VERSION} or less",
                action="Upgrade Emberline.",
            )
        try:
            return config.from_mapping(cls, mapping, where=str(path))
        except ConfigError as error:
            raise ArchiveError(f"is damaged: {error.message}", where=str(path), action=error.action) from error

    def save(self, folder: Path) -> None:
        """Write ``archive.toml``, atomically."""
        write_text(folder / "archive.toml", config.to_toml(self))


def metadata_table(meta: Sequence[Metadata]) -> pa.Table:
    """One row per entry; NaN becomes null, so that SQL comparisons leave unknown values out."""
    fields = described(METADATA_COLUMNS)
    arrays = []
    for field in fields:
        values = [getattr(item, field.name) for item in meta]
        if pa.types.is_floating(field.type):
            values = [None if math.isnan(value) else value for value in values]
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def metadata_of_rows(table: pa.Table) -> list[Metadata]:
    """The inverse of `metadata_table`: null becomes NaN; other columns of `table` are left aside."""
    columns: dict[str, list[Any]] = {}
    for column in METADATA_COLUMNS:
        values = table[column.name].to_pylist()
        if column.dtype in ("double", "float"):
            values = [math.nan if value is None else value for value in values]
        columns[column.name] = values
    return [_metadata(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _metadata(values: Mapping[str, Any]) -> Metadata:
    return Metadata(**values)
