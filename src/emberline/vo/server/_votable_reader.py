"""VOTables that strangers send, as Arrow tables: checked before astropy reads them, for it would follow their links."""

from __future__ import annotations

import binascii
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import IO, Any
from xml.parsers import expat

import numpy as np
import pyarrow as pa

from emberline.vo.server._binary_reader import RowsError, layout_of, read_rows
from emberline.vo.server.adql.tables import Column, Position, Table
from emberline.vo.server.dali import DaliError
from emberline.vo.server.tap_limits import LIMITS

__all__ = ["read_votable"]

_DEPTH = 64


def read_votable(file: IO[bytes], name: str) -> Table:
    """The first table of a VOTable, in any of its serialisations, as ``tap_upload.<name>``.

    Raises
    ------
    DaliError
        It is no VOTable, has no table, is too large, or refers to something outside of it.
    """
    stream = _check(file, name)
    file.seek(0)
    found = _parse(file if stream is None else io.BytesIO(stream.without(file.read())), name)
    fields = found.fields
    if not fields:
        raise _refusal(name, "the table has no columns")
    columns = [_column(field, column) for field, column in zip(fields, _names(fields), strict=True)]
    arrays = None if stream is None else _streamed(stream, fields, name)
    if arrays is None:
        if stream is not None:  # with columns that only astropy knows
            file.seek(0)
            found = _parse(file, name)
        arrays = [_array(found.array, index, field) for index, field in enumerate(fields)]
    data = pa.Table.from_arrays(arrays, names=[column.name for column in columns])
    return Table(
        f"tap_upload.{name}",
        tuple(columns),
        "Uploaded with the query",
        data=data,
        rows=len(data),
        position=_position(columns),
    )


def _refusal(name: str, text: str, status: int = 400) -> DaliError:
    return DaliError(f"UPLOAD: {name}: {text}", status)


# --- safety ----------------------------------------------------------------------------------------------------------


class _RefusedError(Exception):
    pass


@dataclasses.dataclass
class _Stream:
    """The rows of the only table, as BINARY or BINARY2: where they are in the document, and what they are."""

    tag: str
    flags: bool
    start: int
    stop: int = 0
    pieces: list[str] = dataclasses.field(default_factory=list)

    def without(self, document: bytes) -> bytes:
        """The document without the rows."""
        close = document.index(b">", self.stop) + 1
        return document[: self.start] + f"<{self.tag} encoding='base64'></{self.tag}>".encode() + document[close:]

    def is_plain(self, document: bytes) -> bool:
        """Whether the places are those of bytes: not in UTF-16."""
        return document[self.start :].startswith(f"<{self.tag}".encode())


class _Checker:
    """Looks at every element once; what astropy must not see ends it."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._rows = 0
        self._columns = 0
        self.tables = 0
        self.streams: list[_Stream] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _doctype(self, *_: Any) -> None:
        raise _RefusedError("a document type declaration is not allowed")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition(":")[2]
        self._path.append(local)
        if local == "TD":
            return
        if len(self._path) > _DEPTH:
            raise _RefusedError(f"the elements are nested more than {_DEPTH} deep")
        if len(self._path) == 1 and local != "VOTABLE":
            raise _RefusedError("is no VOTable")
        if local == "STREAM" and "href" in {key.rpartition(":")[2].lower() for key in attributes}:
            raise _RefusedError("the rows must be in the document itself (found STREAM with href)")
        if local == "TR":
            self._rows += 1
            if self._rows > LIMITS.upload_rows:
                raise _RefusedError(f"has more than {LIMITS.upload_rows} rows")
        elif local == "TABLE":
            self.tables += 1
        elif local == "STREAM" and self._path[-2:-1] in (["BINARY"], ["BINARY2"]):
            flags = self._path[-2] == "BINARY2"
            self.streams.append(_Stream(tag, flags, self.parser.CurrentByteIndex))
            self.parser.CharacterDataHandler = self.streams[-1].pieces.append
        elif local == "FIELD":
            self._columns += 1
            if self._columns > LIMITS.upload_columns:
                raise _RefusedError(f"has more than {LIMITS.upload_columns} columns")

    def _end(self, tag: str) -> None:
        if self._path.pop() == "STREAM" and self.streams:
            self.parser.CharacterDataHandler = None
            self.streams[-1].stop = self.parser.CurrentByteIndex


def _check(file: IO[bytes], name: str) -> _Stream | None:
    """Refuse what is dangerous or too large before anything is built of it; the rows, when they are bytes."""
    if file.read(2) == b"\x1f\x8b":
        raise _refusal(name, "compressed files are not read")
    file.seek(0)
    checker = _Checker()
    try:
        checker.parser.ParseFile(file)
    except _RefusedError as error:
        raise _refusal(name, str(error)) from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise _refusal(name, f"is no XML ({str(error)[:80]})") from None
    file.seek(0)
    single = checker.tables == len(checker.streams) == 1 and checker.streams[0].is_plain(file.read())
    return checker.streams[0] if single else None


def _streamed(stream: _Stream, fields: Sequence[Any], name: str) -> list[pa.Array] | None:
    """The columns, when all are of the usual kinds."""
    layouts = [
        layout_of(str(field.datatype), str(field.arraysize or ""), getattr(field.values, "null", None))
        for field in fields
    ]
    known = [layout for layout in layouts if layout is not None]
    if len(known) < len(layouts):
        return None
    try:
        data = binascii.a2b_base64("".join(stream.pieces))
        return read_rows(data, known, flags=stream.flags, most=LIMITS.upload_rows)
    except RowsError as error:
        raise _refusal(name, str(error), 413 if "more than" in str(error) else 400) from None
    except ValueError:
        raise _refusal(name, "the rows are not in base64") from None


def _parse(file: IO[bytes], name: str) -> Any:
    from astropy.io.votable import parse

    try:
        votable = parse(file, verify="ignore", invalid="exception")
        table = next(iter(votable.iter_tables()), None)
    except MemoryError:
        raise _refusal(name, "is too large", 413) from None
    except Exception as error:
        raise _refusal(name, f"cannot be read ({_words(error)})") from None
    if table is None:
        raise _refusal(name, "has no table")
    if len(table.array) > LIMITS.upload_rows:
        raise _refusal(name, f"has more than {LIMITS.upload_rows} rows", 413)
    return table


def _words(error: Exception) -> str:
    """What astropy says, without where it says it."""
    line = str(error).split("\n", 1)[0]
    line = re.sub(r"^.*?:\d+:\d+: ", "", line)
    return line[:120] if line and "/" not in line else type(error).__name__


# --- columns ---------------------------------------------------------------------------------------------------------


def _names(fields: Sequence[Any]) -> list[str]:
    """The names of the columns, each once in whatever case."""
    taken: set[str] = set()
    found = []
    for number, field in enumerate(fields, start=1):
        name = base = str(field.name or field.ID or f"column_{number}")[:200]
        count = 1
        while name.lower() in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name.lower())
        found.append(name)
    return found


def _column(field: Any, name: str) -> Column:
    datatype, arraysize = str(field.datatype), str(field.arraysize or "")
    if datatype == "bit":
        datatype = "boolean"
    if datatype in ("floatComplex", "doubleComplex"):
        datatype = datatype.removesuffix("Complex")
        arraysize = "*" if arraysize else "2"
    if datatype in ("char", "unicodeChar") or not arraysize.isdigit():
        arraysize = "*" if arraysize or datatype in ("char", "unicodeChar") else ""
    words: dict[str, Any] = {
        key: str(getattr(field, key, None) or "") for key in ("unit", "ucd", "utype", "xtype", "description")
    }
    column = Column(name, datatype, "" if arraysize == "1" else arraysize)
    return dataclasses.replace(column, **words)


def _array(table: Any, index: int, field: Any) -> pa.Array:
    values = table[table.dtype.names[index]]
    data, mask = np.asarray(values.data), np.ma.getmaskarray(values)
    if field.datatype in ("char", "unicodeChar"):
        return _texts(data, mask)
    if data.dtype.kind == "c":
        data = np.ascontiguousarray(data).view(data.real.dtype).reshape(*data.shape, 2)
        mask = np.repeat(mask[..., None], 2, axis=-1)
    if data.dtype == object or data.ndim > 1:
        return _lists(data, mask)
    return pa.array(data.astype(data.dtype.newbyteorder("=")), mask=mask)


def _texts(data: Any, mask: Any) -> pa.Array:
    """Text; what is empty is null, as in TABLEDATA it cannot be told from it."""
    flat = mask if mask.ndim == 1 else mask.all(axis=tuple(range(1, mask.ndim)))
    words = [None if hidden else _word(value) for value, hidden in zip(data.tolist(), flat.tolist(), strict=True)]
    return pa.array(words, pa.string())


def _word(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, list | tuple | np.ndarray):
        value = " ".join(_word(item) or "" for item in value)
    return str(value).rstrip("\0") or None


def _lists(data: Any, mask: Any) -> pa.Array:
    rows = []
    for value, hidden in zip(data, mask, strict=True):
        array = np.ma.masked_array(value, np.ma.getmaskarray(value) if data.dtype == object else hidden)
        flat = array.ravel()
        rows.append(None if data.dtype == object and np.all(hidden) and hidden.size else flat.tolist())
    if data.dtype != object:
        kind = pa.from_numpy_dtype(data.dtype.newbyteorder("="))
        return pa.array(rows, pa.list_(kind, int(np.prod(data.shape[1:]))))
    return pa.array(rows)


def _position(columns: Sequence[Column]) -> Position | None:
    """The columns that hold positions, when there is one pair."""
    found = {}
    for axis in ("ra", "dec"):
        main = [c.name for c in columns if c.ucd.lower().startswith((f"pos.eq.{axis}", f"pos_eq_{axis}"))]
        first = [c for c in columns if c.ucd.lower() in (f"pos.eq.{axis};meta.main", f"pos_eq_{axis}_main")]
        chosen = [c.name for c in first] or main
        if len(chosen) != 1:
            return None
        found[axis] = chosen[0]
    return Position(found["ra"], found["dec"])
