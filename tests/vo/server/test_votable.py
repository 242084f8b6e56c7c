"""VOTables, read back by astropy: every type in both serialisations, escapes, overflow, failures; a golden document."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.vo.server.adql.tables import Column, Table
from emberline.vo.server.votable import (
    Info,
    Limited,
    Param,
    Rendered,
    Serialization,
    Service,
    TableDocument,
    error_document,
    write_votable,
)

BOTH: tuple[Serialization, ...] = ("tabledata", "binary2")
GOLDEN = Path(__file__).parent / "golden"


def written(document: TableDocument, rows: Limited, serialization: Serialization = "tabledata") -> bytes:
    return b"".join(write_votable(document, rows, serialization))


def read(document: bytes) -> Any:
    return parse(io.BytesIO(document), verify="exception")


def values(document: bytes) -> list[list[Any]]:
    """Rows of plain values, None where the cell is null."""
    table = read(document).get_first_table()
    columns = []
    for field in table.fields:
        column = table.array[field.ID]
        mask = np.ma.getmaskarray(column)
        columns.append([None if np.all(mask[i]) else column.data[i] for i in range(len(column))])
    return [list(row) for row in zip(*columns, strict=True)]


TYPES = pa.table(
    {
        "long": pa.array([2**40, -5, None]),
        "int": pa.array([1, None, -(2**31) + 1], pa.int32()),
        "short": pa.array([1, None, -7], pa.int16()),
        "byte": pa.array([0, 255, None], pa.uint8()),
        "float": pa.array([1.5, None, 1e-30], pa.float32()),
        "double": [0.1, 1 / 3, None],
        "bool": [True, None, False],
        "text": ["plain", None, "last"],
        "pair": pa.array([[1.0, 2.0], [3.0, 1e300], None], pa.list_(pa.float64(), 2)),
        "list": pa.array([[1, 2, 3], [7], [-1, 0]], pa.list_(pa.int32())),
    }
)


@pytest.mark.parametrize("serialization", BOTH)
def test_every_type_comes_back(serialization: Serialization) -> None:
    columns = Table.of_arrow("a.b", TYPES).columns
    found = values(written(TableDocument(columns), Limited(TYPES.to_batches(), None), serialization))
    for row, expected in zip(found, TYPES.to_pylist(), strict=True):
        for value, wanted in zip(row, expected.values(), strict=True):
            if isinstance(wanted, list):
                assert list(value) == wanted
            else:
                assert value == wanted or (value in (None, "") and wanted is None)


@pytest.mark.parametrize("serialization", BOTH)
def test_no_number_and_infinity(serialization: Serialization) -> None:
    table = pa.table({"x": [math.nan, math.inf, -math.inf]})
    document = TableDocument(Table.of_arrow("a.b", table).columns)
    found = read(written(document, Limited(table.to_batches(), None), serialization)).get_first_table().array["x"].data
    assert np.isnan(found[0])
    assert list(found[1:]) == [math.inf, -math.inf]


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.one_of(st.none(), texts), st.integers(-(2**63), 2**63 - 1), st.floats(width=32)), max_size=8)
)
def test_any_text_leaves_a_document_that_can_be_read(rows: list[tuple[str | None, int, float]]) -> None:
    table = pa.table(
        {
            "text": pa.array([row[0] for row in rows], pa.string()),
            "number": pa.array([row[1] for row in rows], pa.int64()),
            "real": pa.array([row[2] for row in rows], pa.float32()),
        }
    )
    columns = Table.of_arrow("a.b", table).columns
    wide = (dataclasses.replace(columns[0], datatype="unicodeChar"), *columns[1:])
    one = read(written(TableDocument(wide), Limited(table.to_batches(), None))).get_first_table().array
    two = read(written(TableDocument(columns), Limited(table.to_batches(), None), "binary2")).get_first_table().array
    assert one["number"].tolist() == two["number"].tolist() == [row[1] for row in rows]
    for text, found in zip([row[0] for row in rows], one["text"], strict=True):
        if text and text.isprintable():
            assert str(found).strip() == text.strip()
    assert all(str(text).isascii() for text in two["text"])


@pytest.mark.parametrize("serialization", BOTH)
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, None])
def test_overflow_is_told_behind_the_table_and_only_when_there_was_more(
    serialization: Serialization, limit: int | None
) -> None:
    table = pa.table({"x": [1, 2, 3]})
    rows = Limited(table.to_batches(max_chunksize=2), limit)
    found = read(written(TableDocument(Table.of_arrow("a.b", table).columns), rows, serialization))
    assert len(found.get_first_table().array) == min(3, 3 if limit is None else limit)
    states = [info.value for info in found.resources[0].infos]
    assert states == (["OK"] if limit is None or limit >= 3 else ["OK", "OVERFLOW"])


def test_whole_batches_are_not_cut() -> None:
    rows = Limited([Rendered(2, b"a"), Rendered(2, b"b"), Rendered(2, b"c")], 5, whole=True)
    assert [batch.num_rows for batch in rows] == [2, 2]
    assert rows.overflow


def test_a_failure_on_the_way_is_told_behind_the_rows(caplog: pytest.LogCaptureFixture) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from pa.table({"x": [1, 2]}).to_batches()
        raise OSError("/a/secret/path")

    document = written(TableDocument((Column("x", "long"),)), Limited(batches(), None))
    states = [info.value for info in read(document).resources[0].infos]
    assert states == ["OK", "ERROR"]
    assert b"secret" not in document
    assert "secret" in caplog.text


def test_what_is_known_to_be_plain_is_written_the_same() -> None:
    table = TYPES.select(["long", "double", "text", "bool"])
    columns = Table.of_arrow("a.b", table).columns
    slow, quick = TableDocument(columns), TableDocument(columns, plain=frozenset(table.column_names))
    batches = table.to_batches()
    assert written(slow, Limited(batches, None)) == written(quick, Limited(batches, None))


def test_an_error_document_says_why() -> None:
    found = read(error_document('POS: "<x>" & more', (Info("SERVICE_PROTOCOL", "1.1", "SSAP"),)))
    info = found.resources[0].infos[0]
    assert (info.name, info.value, info.content) == ("QUERY_STATUS", "ERROR", 'POS: "<x>" & more')


def test_the_whole_document_is_as_it_was_agreed() -> None:
    columns = (
        Column("id", "char", "*", ucd="meta.id;meta.main", description="Name & <number>"),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main"),
        Column("band", "double", "2", "interval", "m", "em.wl"),
    )
    document = TableDocument(
        columns,
        name="stars",
        description="Stars",
        about="An answer",
        infos=(Info("publisher", 'The "best"'),),
        constants=(Param("frame", "ICRS", utype="ssa:CoordSys.SpaceFrame.Name"),),
        ids={"id": "main"},
        services=(
            Service(
                "soda",
                "http://localhost/soda",
                "ivo://ivoa.net/std/SODA#sync-1.0",
                (Param("ID", ref="main"), Param("RECIPE", options=("a", "b")), Param("BAND", least="1", most="2")),
                "Cut-outs",
            ),
        ),
    )
    table = pa.table(
        {"id": ["a<b", "c"], "ra": [10.5, None], "band": pa.array([[1e-7, 2e-7], None], pa.list_(pa.float64(), 2))}
    )
    assert written(document, Limited(table.to_batches(), 1)).decode() == (GOLDEN / "votable.xml").read_text()
