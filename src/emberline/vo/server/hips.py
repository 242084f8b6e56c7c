"""A progressive catalogue in the layout of HiPS 1.0 (https://www.ivoa.net/documents/HiPS/), which Aladin reads.

Each row lies in one tile. The best rows are in the coarse tiles, which are seen first; zooming in loads the rest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from emberline.files import write_text
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from emberline.vo.server.adql.tables import Column
    from emberline.vo.server.publication import Publication

__all__ = ["Tiling", "hips_columns", "tiles_of", "write_hips"]

_FIRST = 1
_DEEPEST = 11
_ROWS_IN_TILE = 100
_TILES = 20_000
"""About the most files that a catalogue may be cut into; larger ones get fuller tiles."""
_ALLSKY = (1, 2, 3)
_SHOWN = (
    "identifier", "name", "ra", "dec", "mjd", "snr", "class", "survey_class", "survey_subclass", "redshift",
    "probability", "purity_stratum", "label", "labelled_by", "exposure", "survey",
)  # fmt: skip
"""What is shown of each row in Aladin, where the table has it."""


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The tile of each row.

    Attributes
    ----------
    order : ndarray of int8
        -1 for rows without a position.
    tile : ndarray of int64
        HEALPix cell at that order, nested.
    deepest : int
    """

    order: NDArray[np.int8]
    tile: NDArray[np.int64]
    deepest: int


def tiles_of(healpix: NDArray[np.int64], rank: NDArray[np.float64]) -> Tiling:
    """Give each row its tile: order by order the best rows of each cell that are left, until all are placed.

    Parameters
    ----------
    healpix : ndarray of int64, shape (n,)
        Cells of order 29, nested; negative without a position.
    rank : ndarray of float64, shape (n,)
        The larger the earlier a row is shown; NaN last.
    """
    capacity = max(_ROWS_IN_TILE, math.ceil(len(healpix) / _TILES))
    order = np.full(len(healpix), -1, np.int8)
    tile = np.full(len(healpix), -1, np.int64)
    left = np.flatnonzero(healpix >= 0)
    left = left[np.argsort(-np.nan_to_num(rank[left], nan=-np.inf), kind="stable")]
    depth = _FIRST
    while len(left):
        cells = healpix[left] >> 2 * (29 - depth)
        by_cell = np.argsort(cells, kind="stable")
        ordered = cells[by_cell]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        place = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
        taken = by_cell[(place < capacity) | (depth == _DEEPEST)]
        order[left[taken]], tile[left[taken]] = depth, cells[taken]
        left = np.delete(left, taken)
        depth += 1
    return Tiling(order, tile, max(depth - 1, _FIRST))


def hips_columns(columns: Sequence[Column]) -> list[Column]:
    """The columns of a published table that its tiles have."""
    known = {column.name: column for column in columns}
    return [known[name] for name in _SHOWN if name in known]


def write_hips(
    table: pa.Table, columns: Sequence[Column], record: Publication, folder: Path, *, progress: Progress = silent
) -> None:
    """Write the tiles of a frozen catalogue, with the files that describe them, into the new folder `folder`.

    Parameters
    ----------
    table : pyarrow.Table
        With ``healpix``; the best rows are those of the largest ``probability``, or else ``snr``.
    columns : sequence of Column
        Descriptions of the table's columns.
    record : Publication
    folder : Path
    """
    shown = hips_columns(columns)
    best = "probability" if "probability" in table.column_names else "snr"
    rank = table[best].to_numpy(zero_copy_only=False).astype(np.float64)
    tiling = tiles_of(table["healpix"].to_numpy(zero_copy_only=False), rank)
    order = np.lexsort((-np.nan_to_num(rank, nan=-np.inf), tiling.tile, tiling.order))
    order = order[tiling.order[order] >= 0]
    header = "\t".join(column.name for column in shown)
    folder.mkdir()
    _write_tiles(table.select([column.name for column in shown]), tiling, order, header, folder, progress)
    write_text(folder / "metadata.xml", _metadata(shown, record))
    write_text(folder / "properties", _properties(record, tiling, len(order)))


def _write_tiles(
    table: pa.Table, tiling: Tiling, order: NDArray[np.int64], header: str, folder: Path, progress: Progress
) -> None:
    """One file a tile, and beside those of the first orders one file with all of them."""
    keys = np.stack([tiling.order[order].astype(np.int64), tiling.tile[order]])
    starts = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)]) if len(order) else order[:0]
    ends = np.r_[starts[1:], len(order)][: len(starts)]
    below = _rows_below(tiling)
    allsky: dict[int, list[str]] = {depth: [] for depth in _ALLSKY}
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        depth, tile = int(keys[0, start]), int(keys[1, start])
        lines = _lines(table, order[start:end])
        text = f"# Completeness = {end - start} / {below[depth, tile]}\n{header}\n" + "".join(lines)
        place = folder / f"Norder{depth}" / f"Dir{tile // 10_000 * 10_000}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"Npix{tile}.tsv").write_text(text, encoding="utf-8")
        if depth in allsky:
            allsky[depth] += lines
        if number % 1000 == 0:
            progress("tiles", number, len(starts))
    progress("tiles", len(starts), len(starts))
    for depth, lines in allsky.items():  # Aladin Lite waits for the first two even where nothing is in them
        (folder / f"Norder{depth}").mkdir(exist_ok=True)
        head = f"# Completeness = {len(lines)} / {len(order)}\n{header}\n"
        (folder / f"Norder{depth}" / "Allsky.tsv").write_text(head + "".join(lines), encoding="utf-8")


def _rows_below(tiling: Tiling) -> dict[tuple[int, int], int]:
    """For each tile how many rows lie in its cell at its own order and deeper: what is complete when all is loaded."""
    found: dict[tuple[int, int], int] = {}
    for depth in range(tiling.deepest, _FIRST - 1, -1):
        mine = tiling.order >= depth
        cells = tiling.tile[mine] >> (2 * (tiling.order[mine].astype(np.int64) - depth))
        names, counts = np.unique(cells, return_counts=True)
        found |= {(depth, name): count for name, count in zip(names.tolist(), counts.tolist(), strict=True)}
    return found


def _lines(table: pa.Table, rows: NDArray[np.int64]) -> list[str]:
    """Rows as tab-separated text; nothing for null; tabs and line ends inside a value become blanks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chosen = table.take(pa.array(rows))
    texts = []
    for name in chosen.column_names:
        column = pc.fill_null(pc.cast(chosen[name], pa.string()), "")
        texts.append(pc.replace_substring_regex(column, r"[\t\r\n]+", " ").to_pylist())
    return ["\t".join(row) + "\n" for row in zip(*texts, strict=True)]


def _metadata(columns: Sequence[Column], record: Publication) -> str:
    """A VOTable without rows: what the columns of the tiles are."""
    fields = []
    for column in columns:
        words = {
            "name": column.name,
            "datatype": column.datatype,
            "arraysize": column.arraysize,
            "unit": column.unit,
            "ucd": column.ucd,
            "ref": "icrs" if column.name in ("ra", "dec") else "",
        }
        text = "".join(f" {key}={quoteattr(value)}" for key, value in words.items() if value)
        fields.append(f"   <FIELD{text}>\n    <DESCRIPTION>{escape(column.description)}</DESCRIPTION>\n   </FIELD>\n")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        f' <RESOURCE type="results">\n  <DESCRIPTION>{escape(record.title)}</DESCRIPTION>\n'
        '  <COOSYS ID="icrs" system="ICRS"/>\n'
        f"  <TABLE name={quoteattr(record.name)}>\n{''.join(fields)}"
        "   <DATA>\n    <TABLEDATA>\n    </TABLEDATA>\n   </DATA>\n  </TABLE>\n </RESOURCE>\n</VOTABLE>\n"
    )


def _properties(record: Publication, tiling: Tiling, rows: int) -> str:
    """The keys of HiPS 1.0, section 4.4.1."""
    words = {
        "creator_did": f"{record.ivoid}/hips",
        "publisher_id": f"ivo://{record.authority}",
        "obs_collection": record.name,
        "obs_title": record.title,
        "obs_description": record.description,
        "obs_ack": record.citation,
        "prov_progenitor": record.ivoid,
        "bib_reference": record.bibcode,
        "obs_copyright": record.rights,
        "obs_copyright_url": record.rights_url,
        "hips_creator": "; ".join(record.creators),
        "hips_builder": "Emberline",
        "hips_version": "1.4",
        "hips_release_date": record.updated[:16] + "Z",
        "hips_creation_date": record.updated[:16] + "Z",
        "hips_status": "public master clonableOnce",
        "hips_frame": "equatorial",
        "hips_order": str(tiling.deepest),
        "hips_order_min": str(_FIRST),
        "hips_tile_format": "tsv",
        "hips_cat_nrows": str(rows),
        "dataproduct_type": "catalog",
    }
    lines = (f"{key:<20} = {' '.join(value.split())}" for key, value in words.items() if value)
    return "\n".join(lines) + "\n"
