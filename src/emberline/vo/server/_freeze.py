"""What is published is frozen: a catalogue in Parquet, sorted by HEALPix and free of paths, and a summary of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.config import from_mapping
from emberline.errors import ArchiveError, CampaignError
from emberline.files import atomic_path, write_text
from emberline.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from emberline.campaign import Campaign
    from emberline.vo.server.publication import Publication

__all__ = ["CATALOGUE", "HIDDEN", "SUMMARY", "Summary", "freeze_archive", "freeze_campaign", "without_paths"]

CATALOGUE = "catalogue.parquet"
SUMMARY = "summary.json"
HIDDEN = ("part", "row", "grid", "start")
"""Columns of an archive's frozen catalogue that only the server needs: where the arrays are."""
_ROWS_PER_GROUP = 16_384


@dataclasses.dataclass(frozen=True)
class Summary:
    """What the records and the first line of each service say, counted once.

    Attributes
    ----------
    rows, placed : int
        All rows, and those with a position.
    objects : int
    wavelength_angstrom, mjd : tuple of float, or None
        From and to; None where nothing is known.
    archives : tuple of str
        Names of the published archives that a catalogue's spectra are in.
    surveys : tuple of str
    probe : tuple of float, or None
        Right ascension and declination of a row: with them registries try the services.
    unicode : tuple of str
        Columns of texts that are not all ASCII.
    purity, completeness : tuple of float, or None
        Of a catalogue of candidates: the estimate, and both ends of its interval.
    """

    rows: int
    placed: int
    objects: int
    wavelength_angstrom: tuple[float, float] | None = None
    mjd: tuple[float, float] | None = None
    archives: tuple[str, ...] = ()
    surveys: tuple[str, ...] = ()
    probe: tuple[float, float] | None = None
    unicode: tuple[str, ...] = ()
    purity: tuple[float, float, float] | None = None
    completeness: tuple[float, float, float] | None = None

    @classmethod
    def load(cls, folder: Path) -> Summary:
        """Read the summary of one frozen version."""
        return from_mapping(cls, json.loads((folder / SUMMARY).read_text(encoding="utf-8")), where=SUMMARY)

    @classmethod
    def of(cls, table: pa.Table, archives: tuple[str, ...] = ()) -> Summary:
        """Count what is in a frozen catalogue."""
        import pyarrow.compute as pc

        names = table.column_names
        spectral = _range(table, "wavelength_min", "wavelength_max") if "wavelength_min" in names else None
        return cls(
            rows=len(table),
            placed=pc.sum(pc.greater_equal(table["healpix"], 0)).as_py() or 0,
            objects=len(table["object"].unique()),
            wavelength_angstrom=spectral,
            mjd=_range(table, "mjd", "mjd"),
            archives=archives,
            surveys=tuple(sorted(item for item in table["survey"].unique().to_pylist() if item)),
            probe=_probe(table),
            unicode=_unicode(table),
        )


def _unicode(table: pa.Table) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [field.name for field in table.schema if pa.types.is_string(_plain(field.type))]
    return tuple(name for name in texts if pc.all(pc.string_is_ascii(table[name].cast(pa.string()))).as_py() is False)


def _plain(kind: pa.DataType) -> pa.DataType:
    return getattr(kind, "value_type", kind)


def _probe(table: pa.Table) -> tuple[float, float] | None:
    import pyarrow.compute as pc

    first = pc.index(pc.greater_equal(table["healpix"], 0), True).as_py()
    return None if first < 0 else (round(table["ra"][first].as_py(), 4), round(table["dec"][first].as_py(), 4))


def _range(table: pa.Table, lower: str, upper: str) -> tuple[float, float] | None:
    import pyarrow.compute as pc

    low, high = pc.min(table[lower]).as_py(), pc.max(table[upper]).as_py()
    return None if low is None or high is None else (low, high)


def freeze_archive(folder: Path, made: Path, record: Publication, progress: Progress) -> None:
    """Write an archive's catalogue as it is now into the folder `made`."""
    import pyarrow.parquet as pq

    from emberline.archive.catalogue import read_catalogue
    from emberline.archive.schema import CATALOGUE_SCHEMA

    table = read_catalogue(folder / "catalogue.parquet")
    if not len(table):
        raise ArchiveError("the archive is empty", where=str(folder), action="Ingest spectra first.")
    # An older archive's file may describe a column in other words.
    table = _named_files(table.select(CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA), "source_file")
    with atomic_path(made / CATALOGUE) as temporary:
        pq.write_table(table, temporary, row_group_size=_ROWS_PER_GROUP, compression="ZSTD", compression_level=1)
    _describe(table, made, Summary.of(table), record, progress)


def freeze_campaign(folder: Path, made: Path, record: Publication, progress: Progress) -> None:
    """Write a campaign's candidates as they are now into the folder `made`."""
    from emberline.campaign import open_campaign

    campaign = open_campaign(folder, progress=progress)
    try:
        table, archives = _candidates(campaign, made)
        purity, completeness = (_estimate(campaign, name) for name in ("purity", "completeness"))
    finally:
        campaign.close()
    if not len(table):
        raise CampaignError("there are no candidates", where=str(folder), action="Run more rounds first.")
    summary = dataclasses.replace(Summary.of(table, archives), purity=purity, completeness=completeness)
    _describe(table, made, summary, record, progress)


def _candidates(campaign: Campaign, made: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Write the candidates with what is added to them, and return them with the archives that they are in."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from emberline.archive.catalogue import healpix_of
    from emberline.campaign.candidates_io import write_candidates
    from emberline.campaign.results import campaign_provenance

    draft = made / "draft.parquet"
    provenance = without_paths(campaign_provenance(campaign))
    write_candidates(campaign.candidates(), draft, provenance)
    table = _named_files(pq.read_table(draft), "source_file")
    draft.unlink()
    positions = (table[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in ("ra", "dec"))
    added = {
        "healpix": pa.array(healpix_of(*positions)),
        **_classes(campaign, table),
        **_purities(campaign, table),
        **_origins(campaign, table),
    }
    for name, values in added.items():
        field = pa.field(name, values.type, metadata=_DESCRIBED[name])
        table = table.append_column(field, values)
    order = [name for name in table.column_names if name not in added]
    for name, after in _PLACES.items():
        order.insert(order.index(after) + 1, name)
    table = table.select(order).sort_by([("healpix", "ascending"), ("identifier", "ascending")])
    write_candidates(table, made / CATALOGUE, provenance)
    return pq.read_table(made / CATALOGUE), tuple(sorted(set(table["archive"].unique().to_pylist()) - {""}))


_PLACES = {
    "archive": "identifier",
    "obs_publisher_did": "archive",
    "healpix": "dec",
    "class": "redshift",
    "purity_low": "purity_stratum",
    "purity_high": "purity_low",
}
"""Which column each column that is added stands behind."""
_DESCRIBED: dict[str, dict[str, str]] = {
    "archive": {"ucd": "meta.id;meta.dataset", "description": "Name of the published archive that holds the spectrum"},
    "obs_publisher_did": {
        "ucd": "meta.ref.ivoid",
        "description": "IVOA dataset identifier of the spectrum; empty when its archive is not published",
    },
    "healpix": {"ucd": "pos.healpix", "description": "HEALPix pixel, nested, order 29; -1 without a position"},
    "class": {"ucd": "src.class", "description": "Class in this catalogue: the label, or else the network's"},
    "purity_low": {"ucd": "stat.probability;stat.min", "description": "Lower end of the interval of purity_stratum"},
    "purity_high": {"ucd": "stat.probability;stat.max", "description": "Upper end of the interval of purity_stratum"},
}


def _classes(campaign: Campaign, table: pa.Table) -> dict[str, pa.Array]:
    import pyarrow as pa

    pairs = zip(table["label"].to_pylist(), table["predicted"].to_pylist(), strict=True)
    return {"class": pa.array([label or predicted for label, predicted in pairs], pa.string())}


def _purities(campaign: Campaign, table: pa.Table) -> dict[str, pa.Array]:
    """The interval that goes with ``purity_stratum``: a label is certain, the others share the catalogue's estimate."""
    import pyarrow as pa

    _, low, high = _estimate(campaign, "purity") or (None, None, None)
    labelled = [bool(label) for label in table["label"].to_pylist()]
    ends = {"purity_low": low, "purity_high": high}
    return {
        name: pa.array([1.0 if known else value for known in labelled], pa.float32()) for name, value in ends.items()
    }


def _estimate(campaign: Campaign, name: str) -> tuple[float, float, float] | None:
    """Purity or completeness of the whole catalogue after the last round; None where it could not be told."""
    summaries = [row["summary"] for row in campaign.rounds() if row["summary"]]
    found = (summaries[-1][name] if summaries else None) or {}
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    return None if value is None or low is None or high is None else (value, low, high)


def _origins(campaign: Campaign, table: pa.Table) -> dict[str, pa.Array]:
    """Where each spectrum is published: the archive's name there, and the spectrum's identifier in the VO."""
    import pyarrow as pa

    from emberline.vo.server.publication import read_publication

    records = [read_publication(archive.path) for archive in campaign.pool.archives]
    shown = [None if record is None or record.withdrawn else record for record in records]
    identifiers = table["identifier"].to_pylist()
    rows = campaign.pool.rows(identifiers)
    mine = [shown[index] for index in campaign.pool.archive_index[rows]]
    return {
        "archive": pa.array([record.name if record else "" for record in mine], pa.string()),
        "obs_publisher_did": pa.array(
            [record.did(name) if record else "" for record, name in zip(mine, identifiers, strict=True)], pa.string()
        ),
    }


def _named_files(table: pa.Table, column: str) -> pa.Table:
    """Of paths of files only the last part: folders of this machine concern nobody."""
    import pyarrow.compute as pc

    index = table.schema.get_field_index(column)
    short = pc.replace_substring_regex(table[column], r"^.*[/\\]", "")
    return table.set_column(index, table.schema.field(index), short)


def without_paths(value: Any) -> Any:
    """A record of plain values in which every path is cut down to the name of the file."""
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and "://" not in value and " " not in value and ("/" in value or "\\" in value):
        return PureWindowsPath(PurePosixPath(value).name).name
    return value


def _describe(table: pa.Table, made: Path, summary: Summary, record: Publication, progress: Progress) -> None:
    """What stands beside the catalogue: its summary, and what Aladin reads, the coverage and the tiles."""
    from emberline.vo.server.adql.tables import Table
    from emberline.vo.server.coverage import coverage_of, write_coverage
    from emberline.vo.server.hips import write_hips

    write_text(made / SUMMARY, json.dumps(dataclasses.asdict(summary), indent=2) + "\n")
    write_coverage(coverage_of(table["healpix"].to_numpy(zero_copy_only=False)), made)
    columns = Table.of_arrow("frozen.rows", table.schema.empty_table()).columns
    write_hips(table, columns, record, made / "hips", progress=progress)
