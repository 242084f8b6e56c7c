"""Every format of tables, read back by those who know it."""

from __future__ import annotations

import dataclasses
import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table as AstropyTable

from emberline.vo.server.adql.tables import Column, Table
from emberline.vo.server.formats import FORMATS, KEYS
from emberline.vo.server.votable import Limited, TableDocument

DATA = pa.table(
    {
        "name": ["a,b", 'say "x"', "Ωmega", None, "line\nbreak"],
        "count": pa.array([1, None, 3, 4, 5], pa.int32()),
        "long": pa.array([2**40, 1, 2, None, 4]),
        "ra": [10.5, math.nan, None, 1e-300, 0.1],
        "mag": pa.array([1.5, 2, 3, None, 5], pa.float32()),
        "good": [True, False, True, False, True],
        "pair": pa.array([[1.0, 2.0], [3.0, 4.0], None, [5.0, 6.0], [7.0, 8.0]], pa.list_(pa.float64(), 2)),
        "list": pa.array([[1], [1, 2], [], None, [3, 4, 5]], pa.list_(pa.int64())),
    }
)


def document() -> TableDocument:
    columns = [
        dataclasses.replace(column, datatype="unicodeChar") if column.name == "name" else column
        for column in Table.of_arrow("a.b", DATA).columns
    ]
    columns[3] = dataclasses.replace(
        columns[3], unit="deg", ucd="pos.eq.ra", description="It's the right ascension " * 5
    )
    return TableDocument(tuple(columns), name="things")


def written(name: str, data: pa.Table = DATA, limit: int | None = None) -> bytes:
    return b"".join(FORMATS[name].write(document(), Limited(data.to_batches(max_chunksize=2), limit)))


def test_csv_is_read_back_by_arrow() -> None:
    table = pyarrow.csv.read_csv(
        io.BytesIO(written("csv")), parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
    )
    assert table.column_names == DATA.column_names
    assert table["name"].to_pylist() == ["a,b", 'say "x"', "Ωmega", "", "line\nbreak"]
    assert table["count"].to_pylist() == [1, None, 3, 4, 5]
    assert table["ra"].to_pylist() == [10.5, None, None, 1e-300, 0.1]
    assert table["pair"].to_pylist()[:2] == ["1 2", "3 4"]


def test_tsv_has_tabs() -> None:
    assert written("tsv").splitlines()[0].decode().split("\t") == DATA.column_names


def test_json_is_rows_with_null_for_what_is_no_number() -> None:
    found = json.loads(written("json"))
    assert [column["name"] for column in found["metadata"]] == DATA.column_names
    assert found["data"][1] == ['say "x"', None, 1, None, 2.0, False, [3.0, 4.0], [1, 2]]
    assert found["status"] == "OK"
    assert json.loads(written("json", limit=2))["status"] == "OVERFLOW"


def test_parquet_keeps_types_and_tells_its_columns() -> None:
    table = pq.read_table(io.BytesIO(written("parquet")))
    assert table.column_names == DATA.column_names
    assert table["count"].to_pylist() == DATA["count"].to_pylist()
    assert table["list"].to_pylist() == DATA["list"].to_pylist()
    metadata = table.schema.metadata
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    assert b'name="ra"' in metadata[b"IVOA.VOTable-Parquet.content"]


def test_fits_is_read_back_by_astropy() -> None:
    with fits.open(io.BytesIO(written("fits"))) as hdus:
        hdus.verify("exception")
        hdu = hdus[1]
        assert hdu.name == "things"
        assert hdu.columns["ra"].unit == "deg"
        assert hdu.header["TUCD4"] == "pos.eq.ra"
        assert hdu.header["TCOMM4"] == ("It's the right ascension " * 5).strip()
        assert hdu.header["QSTATUS"] == "OK"
        table = AstropyTable.read(hdu)
        assert table["name"].tolist() == ["a,b", 'say "x"', "\\u03a9mega", "", "line\\nbreak"]
        assert table["count"].tolist() == [1, None, 3, 4, 5]
        assert table["long"].tolist() == [2**40, 1, 2, None, 4]
        assert np.array_equal(np.asarray(table["pair"][1]), [3.0, 4.0])
        assert table["good"].tolist() == [True, False, True, False, True]
        assert [row.tolist() for row in table["list"]] == [[1], [1, 2], [], [], [3, 4, 5]]


def test_fits_says_that_there_were_more_rows() -> None:
    with fits.open(io.BytesIO(written("fits", limit=3))) as hdus:
        assert (len(hdus[1].data), hdus[1].header["QSTATUS"]) == (3, "OVERFLOW")


@pytest.mark.parametrize("name", FORMATS)
def test_no_rows_are_still_a_table(name: str) -> None:
    found = written(name, DATA.slice(0, 0))
    if name == "fits":
        with fits.open(io.BytesIO(found)) as hdus:
            assert len(hdus[1].data) == 0
            assert len(hdus[1].columns) == len(DATA.column_names)
    elif name == "parquet":
        assert pq.read_table(io.BytesIO(found)).num_rows == 0
    elif name == "json":
        assert json.loads(found)["data"] == []
    elif name.startswith("votable"):
        assert len(AstropyTable.read(io.BytesIO(found), format="votable")) == 0
    else:
        assert len(found.splitlines()) == 1


def test_bytes_and_dates_have_a_form_in_each_format() -> None:
    data = pa.table({"raw": [b"ab", None], "when": pa.array([0, None], pa.timestamp("ms"))})
    for form in FORMATS.values():
        found = b"".join(
            form.write(TableDocument(Table.of_arrow("a.b", data).columns), Limited(data.to_batches(), None))
        )
        assert found
        if form.name == "csv":
            assert found.splitlines()[1] == b'"97 98","1970-01-01T00:00:00.000"'


def test_every_word_for_a_format_is_one_format_only() -> None:
    assert len(KEYS) == sum(len(form.keys) for form in FORMATS.values())
    assert KEYS["application/x-votable+xml;serialization=binary2"] == "votable/b2"
    assert all(form.media_type.lower().replace(" ", "") in KEYS for form in FORMATS.values())


def test_a_fixed_text_is_padded() -> None:
    data = pa.table({"code": ["a", "abcdef"]})
    column = Column("code", "char", "3")
    found = b"".join(FORMATS["votable/b2"].write(TableDocument((column,)), Limited(data.to_batches(), None)))
    assert [str(text) for text in AstropyTable.read(io.BytesIO(found), format="votable")["code"]] == ["a", "abc"]
