"""Tables of any common format as Arrow, and which of their columns are positions, motions and epochs."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.positions import Positions
from emberline.errors import ConfigError, EmberlineError
from emberline.sky import julian_year

__all__ = [
    "ENDINGS",
    "PositionColumns",
    "TableColumn",
    "arrow_column",
    "arrow_table",
    "columns_of",
    "epochs_of",
    "find_positions",
    "positions_in",
    "read_table",
]

ENDINGS = (".parquet", ".csv", ".csv.gz", ".ecsv", ".vot", ".votable", ".xml", ".fits", ".fits.gz", ".fit")
"""What a file that is read as a table may be called."""


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """What is said of one column of a table."""

    name: str
    unit: str = ""
    ucd: str = ""
    description: str = ""


@dataclasses.dataclass(frozen=True)
class PositionColumns:
    """Which columns of a table say where its sources stand, and when.

    Attributes
    ----------
    ra, dec : str
    pmra, pmdec : str
        Empty where there are none.
    epoch : str
        The column of epochs, dates (MJD, JD) or years; empty where there is none.
    year : float
        The epoch of all positions in Julian years where no column says it; NaN when it is not known.
    pm_scale : float
        Makes milliarcseconds a year of the motions.
    ra_scale, dec_scale : float
        Make degrees of the positions.
    """

    ra: str
    dec: str
    pmra: str = ""
    pmdec: str = ""
    epoch: str = ""
    year: float = math.nan
    pm_scale: float = 1.0
    ra_scale: float = 1.0
    dec_scale: float = 1.0

    @property
    def moves(self) -> bool:
        """There are motions, and it is known for when the positions hold."""
        return bool(self.pmra and self.pmdec and (self.epoch or math.isfinite(self.year)))


def read_table(path: Path | str) -> pa.Table:
    """Read a table; units, UCDs and descriptions come along as the metadata of the Arrow fields.

    An archive's folder gives its catalogue. Columns whose values are arrays are left out.

    Raises
    ------
    ConfigError
        There is no such file, or its ending is of no known format.
    EmberlineError
        It is damaged.
    """
    path = Path(path)
    if path.is_dir() and (path / "archive.toml").exists():
        path = path / "catalogue.parquet"
    if not path.is_file():
        raise ConfigError(
            "there is no such table", where=str(path), expected=f"an archive's folder, or a file: {', '.join(ENDINGS)}"
        )
    name = path.name.lower()
    if not name.endswith(ENDINGS):
        raise ConfigError("is no table of a known format", where=str(path), expected=", ".join(ENDINGS))
    try:
        if name.endswith(".parquet"):
            return _without_arrays(pq.read_table(path, memory_map=True))
        return _read_csv(path) if ".csv" in name else _read_with_astropy(path)
    except EmberlineError:
        raise
    except Exception as error:  # whatever the readers raise on damaged files
        raise EmberlineError(f"cannot be read as a table: {str(error).splitlines()[0]}", where=str(path)) from error


def _without_arrays(table: pa.Table) -> pa.Table:
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    return table.drop_columns(nested)


def _read_csv(path: Path) -> pa.Table:
    """What a file beside it says of the columns (CSV on the Web) is taken over."""
    from pyarrow import csv

    with pa.input_stream(str(path), compression="detect") as stream:
        table = csv.read_csv(stream, read_options=csv.ReadOptions(block_size=1 << 26))
    sidecar = path.with_name(path.name + "-metadata.json")
    if not sidecar.exists():
        return table
    columns = json.loads(sidecar.read_text(encoding="utf-8"))["tableSchema"]["columns"]
    described = {column["name"]: column for column in columns}
    for number, field in enumerate(table.schema):
        about = described.get(field.name, {})
        words = {
            "unit": about.get("schema:unitText"),
            "ucd": about.get("ucd"),
            "description": about.get("dc:description"),
        }
        known = {key: text for key, text in words.items() if text}
        table = table.set_column(number, field.with_metadata(known), table.column(number))
    return table


def _read_with_astropy(path: Path) -> pa.Table:
    import warnings

    from astropy.table import Table

    name = path.name.lower()
    kind = "fits" if ".fit" in name else "ascii.ecsv" if name.endswith(".ecsv") else "votable"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a unit that nobody knows, a second table: neither matters here
        table = _read_votable(path) if kind == "votable" else Table.read(path, format=kind)
        if kind == "fits":
            _take_ucds(path, table)
    return arrow_table(table)


def _read_votable(path: Path) -> Any:
    """The table of a VOTable; columns whose frame is an old one say so in their description."""
    from astropy.io import votable
    from astropy.table import Table

    document = votable.parse(path, verify="ignore")
    old = {system.ID for system in document.iter_coosys() if "fk4" in str(system.system).lower()}
    table = Table.read(document, format="votable")
    for field in next(iter(document.iter_tables())).fields:
        if field.ref in old and field.name in table.colnames:
            table[field.name].description = f"{table[field.name].description or ''} (FK4)".strip()
    return table


def _take_ucds(path: Path, table: Any) -> None:
    from astropy.io import fits

    with fits.open(path) as file:
        headers = [hdu.header for hdu in file if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
    for number, name in enumerate(table.colnames, start=1):
        table[name].meta["ucd"] = headers[0].get(f"TUCD{number}", "")
        table[name].description = table[name].description or headers[0].get(f"TCOMM{number}")


def arrow_table(table: Any) -> pa.Table:
    """An astropy table as Arrow; columns whose values are arrays are left out."""
    pairs = [arrow_column(table[name]) for name in table.colnames if np.ndim(table[name]) == 1]
    return pa.table([array for _, array in pairs], schema=pa.schema([field for field, _ in pairs]))


def arrow_column(column: Any) -> tuple[pa.Field, pa.Array]:
    """A column of an astropy table as Arrow, with unit, UCD and description as the metadata of its field.

    Raises
    ------
    ConfigError
        Its values are arrays.
    """
    name = str(column.info.name)
    values = np.ma.getdata(column) if hasattr(column, "mask") else np.asarray(column)
    values = np.asarray(getattr(values, "value", values))
    if values.ndim != 1:
        raise ConfigError(f"the column {name!r} holds arrays", expected="one value a row")
    mask = np.broadcast_to(np.ma.getmaskarray(column), values.shape) if hasattr(column, "mask") else None
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.dtype.kind in "UO":
        listed = [None if item is None else str(item) for item in values.tolist()]
        array = pa.array(listed, pa.string(), mask=mask)
    else:
        array = pa.array(values.astype(values.dtype.newbyteorder("="), copy=False), mask=mask)
    ucd = (column.info.meta or {}).get("ucd", "")
    info = {"unit": column.info.unit, "ucd": ucd, "description": column.info.description}
    metadata = {key: str(value) for key, value in info.items() if value}
    return pa.field(name, array.type, metadata=metadata), array


def columns_of(schema: pa.Schema) -> tuple[TableColumn, ...]:
    """What the fields of an Arrow table say of themselves."""
    found = []
    for field in schema:
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        found.append(TableColumn(field.name, *(said.get(key, "") for key in ("unit", "ucd", "description"))))
    return tuple(found)


# Which columns are positions ------------------------------------------------------------------------------------------

_NAMES = {
    "ra": "ra ra_icrs raicrs raj2000 _raj2000 ra2000 ra_j2000 radeg ra_deg right_ascension alpha_j2000 alpha obsra "
    "target_ra plug_ra ra_obs ra_mean s_ra _ra",
    "dec": "dec de de_icrs deicrs dec_icrs decicrs dej2000 _dej2000 decj2000 _decj2000 dec2000 dec_j2000 dedeg decdeg "
    "dec_deg declination de2000 delta_j2000 delta obsdec target_dec plug_dec dec_obs dec_mean s_dec _de _dec",
    "pmra": "pmra pm_ra pmra_cosdec pm_ra_cosdec pmracosd mura pmalpha",
    "pmdec": "pmdec pmde pm_dec pm_de mudec pmdelta",
    "epoch": "ref_epoch refepoch epoch epoch_ra mjd obs_mjd mjd_obs jd t_min",
}
_UCDS = {
    "ra": ("pos.eq.ra;meta.main", "pos_eq_ra_main", "pos.eq.ra"),
    "dec": ("pos.eq.dec;meta.main", "pos_eq_dec_main", "pos.eq.dec"),
    "pmra": ("pos.pm;pos.eq.ra;meta.main", "pos.pm;pos.eq.ra", "pos_eq_pmra"),
    "pmdec": ("pos.pm;pos.eq.dec;meta.main", "pos.pm;pos.eq.dec", "pos_eq_pmdec"),
    "epoch": ("meta.ref;time.epoch", "time.epoch;obs", "time.epoch"),
}
_OLD_NAME = re.compile(r"b?(?<!\d)(?:18[5-9]\d|19[0-5]\d)(?!\d)|fk4", re.IGNORECASE)
_OLD_WORDS = re.compile(r"\bfk4\b|\bB1[89]\d\d|equinox\s*=?\s*[BJ]?1[89]\d\d", re.IGNORECASE)
"""Positions of an equinox before J2000, which lie up to a degree beside those of ICRS."""
_ANGLES = {
    "": 1.0, "deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": math.degrees(1), "mrad": math.degrees(1e-3),
    "arcmin": 1 / 60, "arcsec": 1 / 3600, "mas": 1 / 3.6e6, "h": 15.0, "hr": 15.0, "hour": 15.0, "hours": 15.0,
    "hourangle": 15.0,
    **dict.fromkeys(("h:m:s", "d:m:s", "hms", "dms", "hh:mm:ss", "dd:mm:ss"), 1.0),
}  # fmt: skip
"""Degrees of the units of positions; sexagesimal text is refused when its values are read."""
_EPOCH_IN_WORDS = re.compile(r"\bEp(?:och)?\.?\s*[=:]?\s*J?(\d{4}(?:\.\d+)?)", re.IGNORECASE)
_J2000_NAME = re.compile(r"j2000|(?<!\d)2000$", re.IGNORECASE)


def find_positions(columns: Iterable[TableColumn], *, where: str = "", year: float = math.nan) -> PositionColumns:
    """Find the columns of positions, motions and epochs: by UCD, then by the names that catalogues use.

    Parameters
    ----------
    columns : iterable of TableColumn
    where : str
        The table, for the error.
    year : float
        The epoch of the positions, where the caller knows it; it replaces a column.

    Raises
    ------
    ConfigError
        The table has no position.
    """
    listed = tuple(columns)
    modern = [column for column in listed if not _is_old(column)]
    found = {what: _find(modern if what in ("ra", "dec") else listed, what) for what in _NAMES}
    if not (found["ra"] and found["dec"]):
        old = [column.name for column in listed if _is_old(column) and _find([column], "ra") + _find([column], "dec")]
        if old:
            raise ConfigError(
                "the table's positions are of an equinox before J2000",
                where=where,
                found=", ".join(old[:4]),
                expected="positions in ICRS or of J2000, in degrees",
                action="Convert them first.",
            )
        known = ", ".join(column.name for column in listed[:12]) + (", …" if len(listed) > 12 else "")
        raise ConfigError(
            "the table has no columns of positions",
            where=where,
            found=known,
            expected="columns with the UCDs pos.eq.ra and pos.eq.dec, or called ra and dec",
        )
    of = {column.name: column for column in listed}
    if math.isfinite(year):
        found["epoch"] = ""
    elif not found["epoch"]:
        year = _epoch_of(of[found["ra"]])
    moving = bool(found["pmra"] and found["pmdec"])
    return PositionColumns(
        ra=found["ra"],
        dec=found["dec"],
        pmra=found["pmra"] if moving else "",
        pmdec=found["pmdec"] if moving else "",
        epoch=found["epoch"],
        year=year,
        pm_scale=_pm_scale(of[found["pmra"]].unit) if moving else 1.0,
        ra_scale=_angle_scale(of[found["ra"]], where),
        dec_scale=_angle_scale(of[found["dec"]], where),
    )


def _is_old(column: TableColumn) -> bool:
    return bool(_OLD_NAME.search(column.name) or _OLD_WORDS.search(column.description))


def _angle_scale(column: TableColumn, where: str) -> float:
    unit = column.unit.strip().strip("\"'").lower()
    if unit not in _ANGLES:
        raise ConfigError(
            f"the positions in the column {column.name!r} have a unit that is not known",
            where=where,
            found=column.unit,
            expected="deg, rad, arcmin, arcsec, mas or h",
        )
    return _ANGLES[unit]


def _epoch_of(ra: TableColumn) -> float:
    """What the column of right ascensions says of its epoch: in words, as VizieR does, or by its name."""
    said = _EPOCH_IN_WORDS.search(ra.description)
    if said:
        return float(said[1])
    return 2000.0 if _J2000_NAME.search(ra.name) else math.nan


def _find(columns: Sequence[TableColumn], what: str) -> str:
    for ucd in _UCDS[what]:
        for column in columns:
            if column.ucd.strip().lower().replace(" ", "") == ucd:
                return column.name
    exact = {column.name.lower(): column.name for column in reversed(columns)}
    loose = {re.sub(r"[\W_]+", "", column.name.lower()): column.name for column in reversed(columns)}
    by_name = {**loose, **exact}
    return next((by_name[name] for name in _NAMES[what].split() if name in by_name), "")


def _pm_scale(unit: str) -> float:
    text = unit.lower().replace(" ", "")
    if text.startswith("deg"):
        return 3.6e6
    return 1000.0 if text.startswith(("arcsec", '"')) else 1.0


def positions_in(table: pa.Table, where: PositionColumns) -> Positions:
    """The positions of a table's rows, ready to be matched."""
    ra, dec = _numbers(table, where.ra) * where.ra_scale, _numbers(table, where.dec) * where.dec_scale
    epoch: Any = where.year if math.isfinite(where.year) else None
    if where.epoch:
        epoch = epochs_of(_numbers(table, where.epoch))
    motion: dict[str, Any] = {}
    if where.moves:
        motion = {name: _numbers(table, getattr(where, name)) * where.pm_scale for name in ("pmra", "pmdec")}
    return Positions.of(ra, dec, epoch=epoch, **motion)


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column as numbers, NaN where there is none.

    Raises
    ------
    ConfigError
        It holds something else, such as sexagesimal text.
    """
    try:
        return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowException:
        first = next((str(value) for value in table[name].to_pylist() if value is not None), "")
        raise ConfigError(
            f"the column {name!r} holds no numbers", found=repr(first), expected="degrees, as decimal numbers"
        ) from None


def epochs_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Julian years of dates that are written as years, Modified Julian Dates or Julian Dates; NaN for anything else."""
    years = np.full(values.shape, np.nan)
    for low, high, make in (
        (1700.0, 2300.0, lambda v: v),
        (10_000.0, 130_000.0, julian_year),
        (2_400_000.0, 2_530_000.0, lambda v: julian_year(v - 2_400_000.5)),
    ):
        fits = (values > low) & (values < high)
        years[fits] = make(values[fits])
    return years
