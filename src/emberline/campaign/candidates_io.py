"""Write a candidate table as VOTable, FITS, CSV, ECSV or Parquet, each with units, UCDs and provenance, atomically."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from emberline.campaign.candidate_columns import Column, column_for
from emberline.errors import ConfigError
from emberline.files import atomic_path, write_text
from emberline.provenance import plain

if TYPE_CHECKING:
    import astropy.io.votable.tree as vot
    import astropy.table
    import pyarrow as pa

__all__ = ["FORMATS", "check_format", "write_candidates"]

NULL_INTEGER = -1
"""Stands for "none" in integer columns of formats without nulls (FITS, VOTable), and is declared there."""


def write_candidates(
    table: astropy.table.Table | pa.Table, path: Path | str, provenance: Mapping[str, Any] | None = None
) -> Path:
    """Write `table` to `path` in the format that its extension names.

    Parameters
    ----------
    table : astropy Table or pyarrow Table
        One row per candidate. Columns named as in `candidate_columns` get their unit, UCD and description from there
        unless the table states its own (astropy ``column.unit``, ``.description``, ``.meta["ucd"]``; Arrow field
        metadata ``unit``, ``ucd``, ``description``). Zero rows are fine. NaN, masked and null all mean "not known".
    path : path-like
        ``.vot``, ``.xml`` (VOTable 1.4, TABLEDATA), ``.fits`` (binary table), ``.csv`` (plain; columns and provenance
        go into ``NAME.csv-metadata.json`` after CSV on the Web), ``.ecsv`` or ``.parquet`` (VOParquet 1.0).
    provenance : mapping, optional
        Anything that JSON can hold; kept whole in each format.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    ConfigError
        The extension is unknown, a column is not a plain list of values, or two columns share a name.
    EmberlineError
        The disk is full or the folder cannot be written; nothing half-written is left.

    References
    ----------
    VOTable 1.4 (IVOA REC); FITS 4.0, binary tables; VOParquet 1.0 (IVOA Note); CSV on the Web (W3C REC).
    """
    path = Path(path)
    check_format(path)
    arrow = _to_arrow(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[path.suffix.lower()](arrow, _columns(arrow), path, plain(dict(provenance or {})))
    return path


def check_format(path: Path | str) -> None:
    """Refuse a file whose extension names no format (`ConfigError`), before any work is done."""
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        raise ConfigError(
            "unknown format for candidates",
            where=str(path),
            found=repr(suffix),
            expected=", ".join(FORMATS),
            action="Give the output one of these extensions.",
        )


def _to_arrow(table: Any) -> pa.Table:
    """One Arrow table of strings, floats, integers and booleans, NaN as null, with field metadata kept."""
    import pyarrow as pa

    from emberline.archive.tables import arrow_column

    if isinstance(table, pa.Table):
        fields, columns = list(table.schema), table.columns
    else:
        pairs = [arrow_column(table[name]) for name in table.colnames]
        fields, columns = [field for field, _ in pairs], [column for _, column in pairs]
    names = [field.name for field in fields]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError("columns of the candidate table share a name", found=", ".join(sorted(twice)))
    typed = [_typed(field, column) for field, column in zip(fields, columns, strict=True)]
    fields = [field.with_type(column.type) for field, column in zip(fields, typed, strict=True)]
    return pa.table(typed, schema=pa.schema(fields))


def _typed(field: pa.Field, column: Any) -> Any:
    """The column as the registry types it (or its nearest plain type), with NaN and infinity turned into null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = column_for(field.name)
    target = pa.type_for_alias(known.dtype) if known else _plain_type(column.type)
    if target is None:
        raise ConfigError(
            f"the column {field.name!r} cannot be written",
            found=str(column.type),
            expected="text, numbers or booleans",
        )
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    try:
        return column.cast(target, safe=not pa.types.is_floating(target))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"the column {field.name!r} has the wrong type", found=str(column.type), expected=str(target)
        ) from error


def _plain_type(found: Any) -> Any:
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(found):
        found = found.value_type
    if kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_null(found):
        return pa.string()
    if kinds.is_boolean(found) or found in (pa.float32(), pa.float64()):
        return found
    return pa.int64() if kinds.is_integer(found) else None


def _columns(table: pa.Table) -> list[Column]:
    """Name, type, unit, UCD and description of each column: the table's own words first, then the registry's."""
    found = []
    for field in table.schema:
        dtype = {"double": "float64", "float": "float32"}.get(str(field.type), str(field.type))
        known = column_for(field.name) or Column(field.name, dtype)
        own = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        words = {key: own[key] for key in ("unit", "ucd", "description") if own.get(key)}
        found.append(dataclasses.replace(known, dtype=dtype, **words))
    return found


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A nested record as pairs ``a.b.c``, text."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _flat(item, f"{prefix}.{key}" if prefix else key)]
    return [(prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]


# --- VOTable ---------------------------------------------------------------------------------------------------------

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_NAME = re.compile(r"[^A-Za-z0-9_.-]|^(?=[0-9.-])")
"""What a reader would replace in an INFO's name, with a warning; the whole record keeps the keys as they are."""


def _xml_text(text: str) -> str:
    """With the replacement character for what XML 1.0 forbids."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _write_votable(table: pa.Table, columns: list[Column], path: Path, provenance: dict[str, Any]) -> None:
    """The header by astropy, the rows by hand: astropy takes a hundred times as long for them."""
    header = _votable_header(table, columns, provenance).replace("<TABLE ", f'<TABLE nrows="{table.num_rows}" ', 1)
    start, end = header.split("</TABLE>")
    texts = [[escape(_xml_text(text)) for text in _texts(table[column.name])] for column in columns]
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{start.rstrip()}\n   <DATA>\n    <TABLEDATA>\n")
        stream.writelines(f"     <TR><TD>{'</TD><TD>'.join(row)}</TD></TR>\n" for row in zip(*texts, strict=True))
        stream.write(f"    </TABLEDATA>\n   </DATA>\n  </TABLE>{end}")


def _texts(column: Any) -> list[str]:
    """Each value as text, the shortest that gives the same number again; nothing for null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts: list[str] = pc.fill_null(column.cast(pa.string()), "").to_pylist()
    return texts


def _votable_header(table: pa.Table, columns: list[Column], provenance: dict[str, Any]) -> str:
    """A VOTable with everything but the rows."""
    from astropy import units
    from astropy.io.votable import tree

    document = tree.VOTableFile(version="1.4")
    document.description = "Candidates of an Emberline campaign"
    resource = tree.Resource(name="candidates", type="results")
    document.resources.append(resource)
    resource.coordinate_systems.append(tree.CooSys(ID="icrs", system="ICRS"))
    whole = ("provenance", json.dumps(provenance, ensure_ascii=False))
    for name, text in [("QUERY_STATUS", "OK"), *_flat(provenance), whole]:
        info = tree.Info(name=_NOT_NAME.sub("_", name) or "value", value=_xml_text(text))
        info.ID = None  # made from the name by astropy: could be that of a column
        resource.infos.append(info)
    body = tree.TableElement(document, name="candidates")
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)  # ångström is what the field writes, deprecated or not
        body.fields.extend(_field(document, column, table[column.name]) for column in columns)
        resource.tables.append(body)
        document.to_xml(stream)
    return stream.getvalue().decode()


def _field(document: vot.VOTableFile, column: Column, values: Any) -> vot.Field:
    from astropy.io.votable import tree

    kinds = {"float64": "double", "float32": "float", "int32": "int", "int64": "long", "bool": "boolean"}
    kind = kinds.get(column.dtype) or ("char" if _is_ascii(values) else "unicodeChar")
    field = tree.Field(
        document,
        name=column.name,
        datatype=kind,
        arraysize="*" if column.dtype == "string" else None,
        unit=column.unit or None,
        ucd=column.ucd or None,
        ref="icrs" if column.ucd.startswith("pos.eq.") else None,
    )
    field.description = _xml_text(column.description)
    if column.dtype in ("int32", "int64"):
        field.values.null = NULL_INTEGER
    return field


def _is_ascii(values: Any) -> bool:
    return all(item is None or item.isascii() for item in values.to_pylist())


def _filled(column: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Values with nulls filled by what stands for them ("", NaN, -1, False), and where they were null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False), dtype=bool)
    kinds = pa.types
    fill: Any = "" if kinds.is_string(column.type) else NULL_INTEGER if kinds.is_integer(column.type) else False
    fill = float("nan") if kinds.is_floating(column.type) else fill
    values = pc.fill_null(column, pa.scalar(fill, column.type)).to_numpy(zero_copy_only=False)
    return values, mask


# --- FITS ------------------------------------------------------------------------------------------------------------


def _write_fits(table: pa.Table, columns: list[Column], path: Path, provenance: dict[str, Any]) -> None:
    from astropy.io import fits

    hdu = fits.BinTableHDU.from_columns([_fits_column(column, table[column.name]) for column in columns])
    hdu.name = "CANDIDATES"
    for number, column in enumerate(columns, start=1):
        if column.ucd:
            hdu.header[f"TUCD{number}"] = (column.ucd, "UCD1+")
        if column.description:
            hdu.header[f"TCOMM{number}"] = _ascii(column.description)
    hdu.header["RADESYS"] = ("ICRS", "frame of ra and dec")
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = ("Emberline", "program that wrote this file")
    for header in (primary.header, hdu.header):
        header["PROVJSON"] = json.dumps(provenance)
        header["COMMENT"] = "PROVJSON is JSON. Text that is not ASCII is escaped as in Python: \\xe9, \\u03b1."
    with atomic_path(path) as temporary:
        fits.HDUList([primary, hdu]).writeto(temporary)


def _fits_column(column: Column, values: Any) -> Any:
    from astropy.io import fits

    filled, _ = _filled(values)
    unit = column.unit or None
    name = _ascii(column.name)
    if column.dtype == "string":
        escaped = np.array([_ascii(item) for item in filled], dtype=np.str_) if len(filled) else np.array([], "<U1")
        width = max(1, escaped.dtype.itemsize // 4)
        return fits.Column(name=name, format=f"{width}A", array=escaped, unit=unit)
    code = {"float64": "D", "float32": "E", "int32": "J", "int64": "K", "bool": "L"}[column.dtype]
    null = NULL_INTEGER if column.dtype in ("int32", "int64") else None
    return fits.Column(name=name, format=code, array=filled, unit=unit, null=null)


def _ascii(text: str) -> str:
    """FITS holds printable ASCII only (FITS 4.0, 7.3.3): everything else is escaped, reversibly."""
    return text.encode("unicode_escape").decode("ascii")


# --- CSV, ECSV, Parquet ----------------------------------------------------------------------------------------------


def _write_csv(table: pa.Table, columns: list[Column], path: Path, provenance: dict[str, Any]) -> None:
    sidecar = path.with_name(path.name + "-metadata.json")
    write_text(sidecar, json.dumps(_csv_on_the_web(columns, path, provenance), indent=2, ensure_ascii=False) + "\n")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        writer.writerows(zip(*[_texts(column) for column in table.columns], strict=True))


def _csv_on_the_web(columns: list[Column], path: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    types = {"float64": "double", "float32": "float", "int32": "int", "int64": "long", "bool": "boolean"}
    described = [
        {
            "name": column.name,
            "titles": column.name,
            "datatype": types.get(column.dtype, "string"),
            "dc:description": column.description,
            "schema:unitText": column.unit,
            "ucd": column.ucd,
        }
        for column in columns
    ]
    return {
        "@context": "http://www.w3.org/ns/csvw",
        "url": path.name,
        "tableSchema": {"columns": described},
        "provenance": provenance,
    }


def _write_ecsv(table: pa.Table, columns: list[Column], path: Path, provenance: dict[str, Any]) -> None:
    """The header by astropy, the rows by the csv module, for speed."""
    from astropy.table import Column as AstropyColumn
    from astropy.table import Table

    empty = Table(meta={"provenance": provenance})
    for column in columns:
        dtype = np.str_ if column.dtype == "string" else np.dtype(column.dtype)
        about = {"unit": column.unit or None, "description": column.description, "meta": {"ucd": column.ucd}}
        empty[column.name] = AstropyColumn([], dtype=dtype, **about)
    header = io.StringIO()
    empty.write(header, format="ascii.ecsv", delimiter=",")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        stream.write(header.getvalue().rstrip("\n") + "\n")
        words = [_texts(table[column.name]) for column in columns]
        for column, texts in zip(columns, words, strict=True):
            if column.dtype == "bool":  # ECSV spells them as Python does
                texts[:] = [text.capitalize() for text in texts]
        csv.writer(stream, lineterminator="\n").writerows(zip(*words, strict=True))


def _write_parquet(table: pa.Table, columns: list[Column], path: Path, provenance: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        pa.field(
            column.name,
            table.schema.field(column.name).type,
            metadata={"unit": column.unit, "ucd": column.ucd, "description": column.description},
        )
        for column in columns
    ]
    metadata = {
        "emberline.provenance": json.dumps(provenance, ensure_ascii=False),
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": _votable_header(table, columns, provenance),
    }
    with atomic_path(path) as temporary:
        pq.write_table(table.cast(pa.schema(fields, metadata=metadata)), temporary, compression="zstd")


FORMATS: dict[str, Callable[[Any, list[Column], Path, dict[str, Any]], None]] = {
    ".vot": _write_votable,
    ".xml": _write_votable,
    ".fits": _write_fits,
    ".csv": _write_csv,
    ".ecsv": _write_ecsv,
    ".parquet": _write_parquet,
}
"""Extension → writer."""
