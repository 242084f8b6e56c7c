"""Tables in the formats that a query may ask for, each written while the rows arrive, in constant memory."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from emberline.vo.server._cells import cast_column, empty_batch, texts_of
from emberline.vo.server._fits_stream import write_fits
from emberline.vo.server.adql.tables import Column
from emberline.vo.server.votable import Limited, TableDocument, write_votable

__all__ = ["FORMATS", "KEYS", "TableFormat"]


@dataclasses.dataclass(frozen=True)
class TableFormat:
    """A format of tables.

    Attributes
    ----------
    name : str
        As RESPONSEFORMAT names it.
    media_type, extension : str
    keys : tuple of str
        Everything that means it, in lower case and without blanks.
    write : callable
        Takes a document and its rows, and gives the bytes in pieces.
    """

    name: str
    media_type: str
    extension: str
    keys: tuple[str, ...]
    write: Callable[[TableDocument, Limited], Iterator[bytes]]


def _batches(rows: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        if not isinstance(batch, pa.RecordBatch):
            raise TypeError("rows that are TABLEDATA already have no other format")
        yield batch


def _votable_td(document: TableDocument, rows: Limited) -> Iterator[bytes]:
    return write_votable(document, rows, "tabledata")


def _votable_b2(document: TableDocument, rows: Limited) -> Iterator[bytes]:
    return write_votable(document, rows, "binary2")


# --- CSV and TSV -----------------------------------------------------------------------------------------------------


def _separated(delimiter: str) -> Callable[[TableDocument, Limited], Iterator[bytes]]:
    def write(document: TableDocument, rows: Limited) -> Iterator[bytes]:
        names = [column.name for column in document.columns]
        header = delimiter.join(_quoted(name, delimiter) for name in names)
        yield f"{header}\r\n".encode()
        options = pyarrow.csv.WriteOptions(
            include_header=False, delimiter=delimiter, quoting_style="needed", eol="\r\n"
        )
        for batch in _batches(rows):
            flat = [_flat(column, batch.column(index)) for index, column in enumerate(document.columns)]
            sink = io.BytesIO()
            pyarrow.csv.write_csv(pa.RecordBatch.from_arrays(flat, names=names), sink, options)
            yield sink.getvalue()

    return write


def _quoted(name: str, delimiter: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(sign in name for sign in (delimiter, '"', "\n", "\r")) else name


def _flat(column: Column, values: Any) -> Any:
    """A column that CSV can hold: lists as text, nothing for what is no number."""
    values = cast_column(column, values)
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return texts_of(values) if pa.types.is_nested(values.type) or pa.types.is_binary(values.type) else values


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(document: TableDocument, rows: Limited) -> Iterator[bytes]:
    """``{"metadata": [columns], "data": [rows], "status": "OK" or "OVERFLOW"}``; what is no number is null."""
    metadata = [
        {key: value for key, value in dataclasses.asdict(column).items() if value and isinstance(value, str)}
        for column in document.columns
    ]
    yield f'{{"metadata": {json.dumps(metadata, ensure_ascii=False)},\n"data": ['.encode()
    before = "\n"
    for batch in _batches(rows):
        columns = [
            _plain(cast_column(column, batch.column(index)).to_pylist())
            for index, column in enumerate(document.columns)
        ]
        lines = [json.dumps(row, ensure_ascii=False) for row in zip(*columns, strict=True)]
        yield (before + ",\n".join(lines)).encode()
        before = ",\n"
    yield f'\n],\n"status": "{"OVERFLOW" if rows.overflow else "OK"}"}}\n'.encode()


def _plain(values: Sequence[Any]) -> list[Any]:
    return [_finite(value) for value in values]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


# --- Parquet ---------------------------------------------------------------------------------------------------------


class _Pieces(io.RawIOBase):
    """A file that remembers what was written until it is taken away."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """What was written since this was called last."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _parquet(document: TableDocument, rows: Limited) -> Iterator[bytes]:
    """Parquet with the columns' descriptions as VOParquet 1.0 has them."""
    metadata = {
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": document.head + document.foot(),
    }
    pieces = _Pieces()
    writer: pq.ParquetWriter | None = None
    try:
        for batch in _with_one(document, rows):
            arrays = [cast_column(column, batch.column(index)) for index, column in enumerate(document.columns)]
            fields = [
                pa.field(column.name, array.type, metadata={"unit": column.unit, "ucd": column.ucd})
                for column, array in zip(document.columns, arrays, strict=True)
            ]
            schema = pa.schema(fields, metadata)
            if writer is None:
                writer = pq.ParquetWriter(pa.PythonFile(pieces, "w"), schema, compression="zstd")
            if batch.num_rows:
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=writer.schema))
            yield pieces.take()
    finally:
        if writer is not None:
            writer.close()
    yield pieces.take()


def _with_one(document: TableDocument, rows: Limited) -> Iterator[pa.RecordBatch]:
    """The batches, or an empty one where there is none: the file must tell its columns."""
    none = True
    for batch in _batches(rows):
        none = False
        yield batch
    if none:
        yield empty_batch(document.columns)


FORMATS: dict[str, TableFormat] = {
    item.name: item
    for item in (
        TableFormat(
            "votable", "application/x-votable+xml", "vot",
            (
                "votable", "votable/td", "application/x-votable+xml", "text/xml",
                "application/x-votable+xml;serialization=tabledata",
            ),
            _votable_td,
        ),
        TableFormat(
            "votable/b2", "application/x-votable+xml;serialization=BINARY2", "vot",
            ("votable/b2", "application/x-votable+xml;serialization=binary2"),
            _votable_b2,
        ),
        TableFormat(
            "csv", "text/csv;header=present", "csv", ("csv", "text/csv", "text/csv;header=present"), _separated(",")
        ),
        TableFormat("tsv", "text/tab-separated-values", "tsv", ("tsv", "text/tab-separated-values"), _separated("\t")),
        TableFormat("fits", "application/fits", "fits", ("fits", "application/fits"), write_fits),
        TableFormat(
            "parquet", "application/vnd.apache.parquet", "parquet", ("parquet", "application/vnd.apache.parquet"),
            _parquet,
        ),
        TableFormat("json", "application/json", "json", ("json", "application/json"), _json),
    )
}  # fmt: skip
"""By the name for RESPONSEFORMAT."""

KEYS: dict[str, str] = {key: item.name for item in FORMATS.values() for key in item.keys}
"""The format's name by everything that means it, as `emberline.vo.server.dali.response_format` takes it."""
