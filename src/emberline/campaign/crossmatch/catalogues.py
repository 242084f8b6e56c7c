"""What candidates are matched with: SIMBAD, Gaia, a table of VizieR, any table behind TAP, an archive, a file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from emberline.archive.tables import ENDINGS, PositionColumns, TableColumn, find_positions
from emberline.errors import ConfigError

if TYPE_CHECKING:
    from emberline.vo.client.config import ServicesConfig
    from emberline.vo.client.session import Session

__all__ = ["RemoteTable", "Request", "address_of", "describe", "parse_requests"]

Kind: TypeAlias = Literal["simbad", "gaia", "vizier", "tap", "file"]

_YEAR = re.compile(r"@((?:1[89]|20|21)\d\d(?:\.\d+)?)$")
_VIZIER = re.compile(r"^(?:vizier:)?((?:[IVX]+|B|J/[\w+&.]+/[\w.+-]+)/[\w.+*/-]+)$", re.IGNORECASE)
_REGULAR = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        "action all and any as at avg between box by case cast char circle contains coord1 coord2 count cross date day "
        "decimal distance double end exists first float from full group hour in inner int into is join key last left "
        "level like log max min mod month name national natural no not null on option or order outer point polygon "
        "position power region right round second select set sign size smallint sqrt sum table then time timestamp to "
        "top truncate union unique user using value values when where year zone",
    )
)
_MOST_COLUMNS = 60
_EXPECTED = "simbad, gaia, a table of VizieR (II/246/out), the address of a TAP service (https://…#table), or a file"


@dataclasses.dataclass(frozen=True)
class Request:
    """One catalogue that somebody asked for.

    Attributes
    ----------
    name : str
        What its columns are called by: ``simbad`` gives ``simbad_sep``.
    kind : {"simbad", "gaia", "vizier", "tap", "file"}
    what : str
        The identifier, address or path as it was written, without name and year.
    year : float
        The epoch of its positions where the user says so; NaN elsewhere.
    """

    name: str
    kind: Kind
    what: str
    year: float = math.nan

    @property
    def local(self) -> bool:
        """It is on this machine: nobody is asked."""
        return self.kind == "file"


@dataclasses.dataclass(frozen=True)
class RemoteTable:
    """A table behind TAP, and what is wanted of it.

    Attributes
    ----------
    url : str
        Of the service.
    table : str
        As it is written in a query.
    positions : PositionColumns
    take : tuple of str
        The columns that come into the result; those of position, motion and epoch are fetched anyway.
    """

    url: str
    table: str
    positions: PositionColumns
    take: tuple[str, ...]


def parse_requests(texts: Iterable[str]) -> tuple[Request, ...]:
    """Read what stands behind ``--with``: ``[NAME=]CATALOGUE[@YEAR]``, several with commas between them.

    Raises
    ------
    ConfigError
        One is nothing that is known, or none is given.
    """
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    found: list[Request] = []
    for word in words:
        request = _parse(word)
        taken = {other.name for other in found}
        number = 2
        name = request.name
        while name in taken:
            name, number = f"{request.name}_{number}", number + 1
        found.append(dataclasses.replace(request, name=name))
    if not found:
        raise ConfigError("no catalogue to match with is named", expected=_EXPECTED)
    return tuple(found)


def _parse(word: str) -> Request:
    name, what = "", word
    named = re.match(r"^([A-Za-z][A-Za-z0-9_]*)=(.+)$", word)
    if named:
        name, what = named[1], named[2]
    year = math.nan
    dated = _YEAR.search(what)
    if dated and not Path(what).exists():
        year, what = float(dated[1]), what[: dated.start()]
    kind, default = _kind(what, word)
    if kind == "vizier":
        what = re.sub(r"^vizier:", "", what, flags=re.IGNORECASE)
    return Request(_column_name(name or default), kind, what, year)


def _kind(what: str, word: str) -> tuple[Kind, str]:
    lower = what.lower()
    if lower == "simbad":
        return "simbad", "simbad"
    if lower == "gaia":
        return "gaia", "gaia"
    if lower.startswith(("http://", "https://", "ivo://")):
        address, _, table = what.partition("#")
        return "tap", table.split(".")[-1] or re.split(r"/+", address.rstrip("/"))[-1]
    if Path(what).exists():
        return "file", re.sub(r"\.(gz|[A-Za-z]+)$", "", Path(what).name.removesuffix(".gz"))
    if _VIZIER.match(what):
        return "vizier", re.sub(r"^vizier:", "", what, flags=re.IGNORECASE)
    if lower.endswith(ENDINGS):
        raise ConfigError("there is no such file to match with", where=what)
    raise ConfigError("is no catalogue to match with", where=word, expected=_EXPECTED)


def _column_name(text: str) -> str:
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "catalogue"
    return name if name[0].isalpha() else f"t_{name}"


# --- what a remote table is like --------------------------------------------------------------------------------------

_SIMBAD_COLUMNS = ("main_id", "otype", "sp_type", "nbref", "ra", "dec")
_GAIA_COLUMNS = (
    "source_id", "ra", "dec", "parallax", "parallax_error", "pmra", "pmdec", "phot_g_mean_mag", "phot_bp_mean_mag",
    "phot_rp_mean_mag", "ruwe", "radial_velocity",
)  # fmt: skip


def describe(session: Session, services: ServicesConfig, request: Request) -> RemoteTable:
    """Where a request leads: the service, the table, its columns of positions and motions.

    The columns of SIMBAD and of Gaia are known; other services are asked for them (TAP_SCHEMA).

    Raises
    ------
    ConfigError
        There is no such table, it has no positions, or no service is configured.
    ServiceError
        The service does not say.
    """
    address = address_of(services, request)
    if request.kind == "simbad":
        positions = PositionColumns("ra", "dec", "pmra", "pmdec", year=_year(request, 2000.0))
        return RemoteTable(address, "basic", positions, _SIMBAD_COLUMNS)
    if request.kind == "gaia":
        positions = PositionColumns("ra", "dec", "pmra", "pmdec", "ref_epoch")
        return RemoteTable(address, "gaiadr3.gaia_source", positions, _GAIA_COLUMNS)
    if request.kind == "vizier":
        return _find_table(session, address, request.what, request)
    table = request.what.partition("#")[2]
    if address.startswith("ivo://"):
        from emberline.vo.client import registry

        address = registry.resolve(session, address, "tap")
    return _find_table(session, address, table, request)


def _year(request: Request, default: float) -> float:
    return request.year if math.isfinite(request.year) else default


def address_of(services: ServicesConfig, request: Request) -> str:
    """The service that a request asks, as it is configured or as it was written.

    Raises
    ------
    ConfigError
        It is switched off.
    """
    if request.kind == "tap":
        return request.what.partition("#")[0]
    address = str(getattr(services, request.kind))
    if not address:
        raise ConfigError(
            f"the service {request.kind} is switched off", where="vo.toml", found=f'services.{request.kind} = ""'
        )
    return address


def _find_table(session: Session, url: str, wanted: str, request: Request) -> RemoteTable:
    """The one table with positions that is called so, or that belongs to the catalogue of this name."""
    tables = _columns_of_tables(session, url, wanted)
    exact = {name: columns for name, columns in tables.items() if _bare(name) == _bare(wanted)}
    placed = {}
    for name, columns in (exact or tables).items():
        try:
            found = find_positions(columns, where=name, year=request.year)
        except ConfigError:
            continue
        if found.ra_scale == found.dec_scale == 1.0:  # the query takes them for degrees
            placed[name] = found
    if len(placed) != 1:
        listed = ", ".join(sorted(placed)[:20])
        raise ConfigError(
            f"the service has {'more than one table' if placed else 'no table with positions'} of this name",
            where=f"{url} {wanted}".strip(),
            found=listed or ", ".join(sorted(exact or tables)[:20]) or "nothing",
            expected="one table that has positions",
            action="Name the table: II/246/out, or https://…/tap#schema.table",
        )
    ((name, positions),) = placed.items()
    take = tuple(column.name for column in (exact or tables)[name][:_MOST_COLUMNS])
    return RemoteTable(url, _quoted_table(name), positions, take)


def _columns_of_tables(session: Session, url: str, wanted: str) -> dict[str, tuple[TableColumn, ...]]:
    """All tables whose name holds what is wanted, as it is written, with their columns, from TAP_SCHEMA."""
    from emberline.vo.client import tap

    name = _without_schema(wanted).replace("'", "''")
    condition = f"table_name LIKE '%{name}%'" if name else "table_name NOT LIKE 'TAP_SCHEMA%'"
    query = f"SELECT table_name, column_name, unit, ucd, description FROM TAP_SCHEMA.columns WHERE {condition}"
    answer = tap.query(session, url, query)
    tables: dict[str, list[TableColumn]] = {}
    for row in answer:
        texts = ["" if _missing(row[key]) else str(row[key]) for key in answer.colnames]
        said = dict(zip((key.lower() for key in answer.colnames), texts, strict=True))
        if said["table_name"].lower().startswith("tap_schema"):
            continue
        column = TableColumn(said["column_name"].strip('"'), said["unit"], said["ucd"], said["description"])
        tables.setdefault(said["table_name"], []).append(column)
    return {name: tuple(columns) for name, columns in tables.items()}


def _missing(value: object) -> bool:
    return value is None or str(value) in ("--", "None")


def _bare(name: str) -> str:
    """A table's name without quotes and without VizieR's schemas, in lower case."""
    return re.sub(r"^(vizls|metaviz|viz\d+|vizier)\.", "", name.replace('"', "").lower())


def _without_schema(name: str) -> str:
    """The part of a table's name that services write alike: those with slashes may have quotes after the schema."""
    schema, dot, rest = name.replace('"', "").partition(".")
    return rest if dot and _REGULAR.match(schema) and not _REGULAR.match(rest) else name.replace('"', "")


def _quoted_table(name: str) -> str:
    """A table's name as a query needs it: what is no regular identifier in quotes, a schema before it apart."""
    if '"' in name or all(_REGULAR.match(part) for part in name.split(".")):
        return name
    schema, dot, rest = name.partition(".")
    if dot and _REGULAR.match(schema):
        return f'{schema}."{rest}"'
    return f'"{name}"'


def quoted_column(name: str) -> str:
    """A column's name as a query needs it."""
    return name if _REGULAR.match(name) and name.lower() not in _RESERVED else '"' + name.replace('"', '""') + '"'


def columns_needed(table: RemoteTable) -> Sequence[str]:
    """What is fetched of a remote table: what is wanted, and what the comparison needs."""
    where = table.positions
    moving = (where.pmra, where.pmdec, where.epoch) if where.moves else ()
    return list(dict.fromkeys([*table.take, where.ra, where.dec, *(name for name in moving if name)]))
