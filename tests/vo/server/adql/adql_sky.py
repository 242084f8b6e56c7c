"""A small simulated catalogue, sorted by HEALPix, with what makes geometry hard: poles, the zero meridian, twins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.catalogue import healpix_of
from emberline.vo.server.adql import Column, Key, Position, Region, Schema, Table, TableSet

ROWS = 20_000
COLUMNS = (
    Column("id", "long", ucd="meta.id;meta.main", description="Number of the star", principal=True, indexed=True),
    Column("name", "char", "*", ucd="meta.id", description="Name of the star"),
    Column("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", utype="sky.ra"),
    Column("dec", "double", unit="deg", ucd="pos.eq.dec;meta.main"),
    Column("mag", "float", unit="mag", ucd="phot.mag"),
    Column("kind", "char", "*"),
    Column("size", "int"),
    Column("variable", "boolean"),
    Column("s_region", "char", "*", "adql:REGION"),
)


def positions(rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions all over the sky, a third of them near the poles and the zero meridian."""
    rng = np.random.default_rng(seed)
    ra = rng.uniform(0, 360, rows)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, rows)))
    third = rows // 3
    dec[:third:2] = 90.0 - np.abs(rng.normal(0, 2, dec[:third:2].size))
    dec[1:third:4] *= -1
    ra[third : third + third // 2] = rng.normal(0, 1, third // 2) % 360
    dec[third : third + third // 2] = rng.normal(0, 2, third // 2)
    ra[-2:], dec[-2:] = 0.0, (90.0, -90.0)
    return ra, dec


def catalogue(rows: int = ROWS, seed: int = 1) -> pa.Table:
    """The table as it lies in its file."""
    rng = np.random.default_rng(seed + 100)
    ra, dec = positions(rows, seed)
    healpix = healpix_of(ra, dec)
    order = np.argsort(healpix, kind="stable")
    mag = rng.normal(15, 2, rows).astype(np.float32)
    return pa.table(
        {
            "id": np.arange(rows),
            "name": [f"Star {number:05d}" for number in range(rows)],
            "ra": ra[order],
            "dec": dec[order],
            "mag": pa.array(mag, mask=rng.random(rows) < 0.1),
            "kind": pa.array(rng.choice(["Be", "B", "A", "it's"], rows)),
            "size": pa.array(rng.integers(0, 5, rows).astype(np.int32)),
            "variable": pa.array(rng.random(rows) < 0.5),
            "s_region": pa.array(["CIRCLE"] * rows),
            "healpix": healpix[order],
            "secret": pa.array(["hidden"] * rows),
        }
    )


def table_set(folder: Path, rows: int = ROWS) -> TableSet:
    """The catalogue and a second table, with TAP_SCHEMA."""
    path = folder / "stars it's.parquet"
    pq.write_table(catalogue(rows), path, row_group_size=1000)
    stars = Table(
        "sky.stars",
        COLUMNS,
        "Simulated stars",
        position=Position("ra", "dec", "healpix"),
        regions=(Region("s_region", "ra", "dec", 0.05),),
        files=(path,),
        rows=rows,
    )
    notes = pa.table({"star": pa.array([1, 2, 3, 3]), "note": ["one", "two", "three", None]})
    return TableSet(
        (stars, Table.of_arrow("sky.notes", notes, description="Notes on stars")),
        (Schema("sky", "A simulated sky"),),
        (Key("sky.notes", "sky.stars", (("star", "id"),), "The star that a note is on"),),
    ).with_tap_schema()


def upload(name: str = "tap_upload.mine", rows: int = 300, seed: int = 1) -> Table:
    """Positions within a few arcseconds of some of the catalogue's."""
    stars = catalogue()
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(ROWS, rows, replace=False))
    ra, dec = (stars[column].to_numpy()[chosen] for column in ("ra", "dec"))
    moved = np.clip(dec + rng.normal(0, 1 / 3600, rows), -90, 90)
    data = pa.table({"n": np.arange(rows), "ra": ra, "dec": moved})
    return Table.of_arrow(name, data, position=Position("ra", "dec"))
