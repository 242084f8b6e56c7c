"""Candidate tables survive every format: values, nulls, units, UCDs and provenance."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import astropy.io.fits as fits
import astropy.io.votable as votable
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io.votable.ucd import parse_ucd
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.campaign.candidate_columns import CANDIDATE_COLUMNS, candidate_columns, probability_columns
from emberline.campaign.candidates_io import FORMATS, write_candidates
from emberline.errors import ConfigError, EmberlineError

CLASSES = ("Be star", "M-dwarf", "zvězda ☆")
PROVENANCE: dict[str, Any] = {
    "campaign": "Bé hvězdy α",
    "seed": 7,
    "estimate": {"purity": float("nan"), "n": np.int64(3)},
    "quote": 'it\'s "so" & <b>',
    "long": "x&'" * 300,
    "path": Path("somewhere"),
}
KEPT = {**PROVENANCE, "estimate": {"purity": None, "n": 3}, "path": "somewhere"}
TEXTS = ["γ Cas", '<a href="x">&amp;', "comma, \"quote\" and 'tick'"]


def made(rows: int = 3) -> Table:
    """A full table; the second row knows as little as a row can."""
    table = Table()
    for column in candidate_columns(CLASSES):
        values: list[Any]
        if column.dtype == "string":
            values = [f"{text} {column.name}" for text in TEXTS]
            masked = [False, column.name != "identifier", False]
        elif column.dtype == "bool":
            values, masked = [True, False, True], [False] * 3
        elif column.dtype == "int32":
            values, masked = [1, 0, 3], [False, True, False]
        else:
            values, masked = [0.1, np.nan, 123.456789], [False, False, False]
        dtype = np.str_ if column.dtype == "string" else np.dtype(column.dtype)
        table[column.name] = MaskedColumn(np.array(values, dtype=dtype)[:rows], mask=masked[:rows])
    return table


def expected(rows: int = 3) -> dict[str, list[Any]]:
    """Plain values of `made`, nulls as None."""
    result: dict[str, list[Any]] = {}
    for column in candidate_columns(CLASSES):
        items = made(rows)[column.name].tolist()
        if column.dtype == "float32":
            items = [float(np.float32(item)) for item in items]
        result[column.name] = [None if item is None or item != item else item for item in items]
    return result


def plain(items: Any) -> list[Any]:
    """Values as a reader gave them, with masked, NaN and empty text as None."""
    listed = items.tolist() if hasattr(items, "tolist") else list(items)
    return [None if item is None or item != item or item == "" else item for item in listed]


def assert_same(found: dict[str, list[Any]], wanted: dict[str, list[Any]]) -> None:
    assert list(found) == list(wanted)
    for name, items in wanted.items():
        assert found[name] == items, name


@pytest.mark.parametrize("rows", [3, 0])
@pytest.mark.parametrize("suffix", [".vot", ".xml"])
def test_votable(tmp_path: Path, suffix: str, rows: int) -> None:
    path = write_candidates(made(rows), tmp_path / f"c{suffix}", PROVENANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = votable.parse(path, verify="exception")
    assert document.version == "1.4"
    resource = document.resources[0]
    body = document.get_first_table()
    assert_same({f.name: plain(body.array[f.ID]) for f in body.fields}, expected(rows))
    for field, column in zip(body.fields, candidate_columns(CLASSES), strict=True):
        assert (field.ucd or "", str(field.unit or "")) == (column.ucd, column.unit)
        assert field.description
    assert {field.name for field in body.fields if field.ref == resource.coordinate_systems[0].ID} == {"ra", "dec"}
    infos = {info.name: info.value for info in resource.infos}
    assert infos["QUERY_STATUS"] == "OK"
    assert infos["seed"] == "7"
    assert json.loads(infos["provenance"]) == KEPT


def test_votable_survives_characters_that_xml_forbids(tmp_path: Path) -> None:
    table = pa.table({"identifier": ["a\x00b\x0bc\ufffe"], "name": ["]]>"]})
    path = write_candidates(table, tmp_path / "c.vot", {"bad": "\x01"})
    read = Table.read(path, format="votable")
    assert read["identifier"][0] == "a\ufffdb\ufffdc\ufffd"
    assert read["name"][0] == "]]>"


@pytest.mark.filterwarnings("error")
def test_provenance_keys_may_be_patterns(tmp_path: Path) -> None:
    path = write_candidates(made(1), tmp_path / "c.vot", {"oracle": {"classes": {"*": "none", "a b": "none"}}})
    infos = {info.name for info in votable.parse(path, verify="exception").resources[0].infos}
    assert {"oracle.classes._", "oracle.classes.a_b"} <= infos


def test_provenance_keys_never_clash_with_columns(tmp_path: Path) -> None:
    path = write_candidates(made(), tmp_path / "c.vot", {"ra": 1, "identifier": 2, "candidates": 3})
    text = path.read_text("utf-8")
    identifiers = [part.split('"')[0] for part in text.split(' ID="')[1:]]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("rows", [3, 0])
def test_fits(tmp_path: Path, rows: int) -> None:
    path = write_candidates(made(rows), tmp_path / "c.fits", PROVENANCE)
    with fits.open(path) as hdus:
        hdus.verify("exception")
        data, header = hdus["CANDIDATES"].data, hdus["CANDIDATES"].header
        assert json.loads(header["PROVJSON"]) == KEPT
        assert json.loads(hdus[0].header["PROVJSON"]) == KEPT
        found = {}
        for number, (column, items) in enumerate(expected(rows).items(), start=1):
            assert header[f"TTYPE{number}"] == column
            values = [v.encode().decode("unicode_escape") if isinstance(v, str) else v for v in data[column].tolist()]
            found[column] = [None if v == -1 and items[i] is None else v for i, v in enumerate(plain(values))]
        assert_same(found, expected(rows))
        by_name = {header[f"TTYPE{i}"]: i for i in range(1, header["TFIELDS"] + 1)}
        assert header[f"TUNIT{by_name['ra']}"] == "deg"
        assert header[f"TUCD{by_name['dec']}"] == "pos.eq.dec;meta.main"
        assert header[f"TNULL{by_name['label_round']}"] == -1


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=5), st.text(alphabet="a'&\" \\é☆", max_size=200), max_size=4))
def test_any_provenance_survives_the_fits_header(tmp_path: Path, record: dict[str, str]) -> None:
    path = write_candidates(pa.table({"identifier": ["a"]}), tmp_path / "c.fits", record)
    assert json.loads(fits.getheader(path, 1)["PROVJSON"]) == record


@pytest.mark.parametrize("rows", [3, 0])
def test_csv_is_plain(tmp_path: Path, rows: int) -> None:
    path = write_candidates(made(rows), tmp_path / "c.csv", PROVENANCE)
    assert path.read_text("utf-8").split("\n")[0].split(",") == list(expected())
    with duckdb.connect() as connection:
        kinds = {c.name: _duckdb_type(c.dtype) for c in candidate_columns(CLASSES)}
        read = connection.read_csv(str(path), header=True, dtype=kinds).to_arrow_table()
    assert_same(read.to_pydict(), expected(rows))
    sidecar = json.loads((tmp_path / "c.csv-metadata.json").read_text("utf-8"))
    assert sidecar["provenance"] == KEPT
    assert sidecar["url"] == "c.csv"
    columns = {item["name"]: item for item in sidecar["tableSchema"]["columns"]}
    assert list(columns) == list(expected())
    assert columns["ra"]["schema:unitText"] == "deg"


def _duckdb_type(dtype: str) -> str:
    return {"string": "VARCHAR", "float64": "DOUBLE", "float32": "FLOAT", "int32": "INTEGER", "bool": "BOOLEAN"}[dtype]


@pytest.mark.parametrize("rows", [3, 0])
def test_ecsv(tmp_path: Path, rows: int) -> None:
    path = write_candidates(made(rows), tmp_path / "c.ecsv", PROVENANCE)
    read = Table.read(path, format="ascii.ecsv")
    assert_same({name: plain(read[name]) for name in read.colnames}, expected(rows))
    assert read["ra"].unit == "deg"
    assert read["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    assert read["snr"].description
    assert read.meta["provenance"] == KEPT


@pytest.mark.parametrize("rows", [3, 0])
def test_parquet(tmp_path: Path, rows: int) -> None:
    path = write_candidates(made(rows), tmp_path / "c.parquet", PROVENANCE)
    read = pq.read_table(path)
    assert_same(read.to_pydict(), expected(rows))
    assert json.loads(read.schema.metadata[b"emberline.provenance"]) == KEPT
    assert read.schema.field("ra").metadata[b"unit"] == b"deg"
    with duckdb.connect() as connection:
        assert_same(connection.read_parquet(str(path)).to_arrow_table().to_pydict(), expected(rows))


def test_parquet_carries_its_votable_header(tmp_path: Path) -> None:
    path = write_candidates(made(), tmp_path / "c.parquet", PROVENANCE)
    metadata = pq.read_schema(path).metadata
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    header = tmp_path / "header.vot"
    header.write_bytes(metadata[b"IVOA.VOTable-Parquet.content"])
    assert b"<DATA" not in metadata[b"IVOA.VOTable-Parquet.content"]
    fields = votable.parse(header, verify="exception").get_first_table().fields
    assert [field.name for field in fields] == list(expected())


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_arrow_and_astropy_tables_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    kinds = {column.name: pa.type_for_alias(column.dtype) for column in candidate_columns(CLASSES)}
    arrow = pa.table({name: pa.array(items, kinds[name]) for name, items in expected().items()})
    one = write_candidates(arrow, tmp_path / "one" / f"c{suffix}", KEPT)
    two = write_candidates(made(), tmp_path / "two" / f"c{suffix}", KEPT)
    assert one.read_bytes() == two.read_bytes()


def test_a_tables_own_words_come_first(tmp_path: Path) -> None:
    table = Table({"identifier": ["a"], "teff": [5777.0]})
    table["teff"].unit = "K"
    table["teff"].description = "Effective temperature"
    table["teff"].meta["ucd"] = "phys.temperature.effective"
    path = write_candidates(table, tmp_path / "c.vot")
    field = votable.parse(path).get_first_table().fields[1]
    assert (str(field.unit), field.ucd) == ("K", "phys.temperature.effective")
    assert field.description.strip() == "Effective temperature"


@pytest.mark.parametrize("name", ["c.txt", "c", "c.vot.gz"])
def test_unknown_extension(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.vot, \.xml, \.fits, \.csv, \.ecsv, \.parquet"):
        write_candidates(made(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_extension_in_capitals(tmp_path: Path) -> None:
    assert fits.getdata(write_candidates(made(), tmp_path / "C.FITS"), 1).size == 3


def test_columns_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'flux' holds arrays"):
        write_candidates(Table({"flux": np.zeros((2, 3))}), tmp_path / "c.vot")
    with pytest.raises(ConfigError, match="'when' cannot be written"):
        write_candidates(pa.table({"when": pa.array([1], pa.timestamp("s"))}), tmp_path / "c.vot")
    with pytest.raises(ConfigError, match="'ra' has the wrong type"):
        write_candidates(pa.table({"ra": ["north"]}), tmp_path / "c.vot")
    with pytest.raises(ConfigError, match="share a name"):
        write_candidates(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "c.vot")


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_candidates(made(), tmp_path / f"c{suffix}", PROVENANCE)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emberline.files.os.replace", full)
    with pytest.raises(EmberlineError, match="No space left"):
        write_candidates(made(0), path, PROVENANCE)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_every_ucd_is_in_the_controlled_vocabulary() -> None:
    for column in candidate_columns(CLASSES):
        assert parse_ucd(column.ucd, check_controlled_vocabulary=True)
        assert column.description
    assert sum("meta.id;meta.main" in column.ucd for column in CANDIDATE_COLUMNS) == 1


def test_probability_columns_need_no_quotes() -> None:
    assert probability_columns(["Be star", "be-star", "M", "☆", "✶"]) == [
        "p_Be_star",
        "p_be_star_2",
        "p_M",
        "p_class",
        "p_class_2",
    ]


def test_wavelengths_in_angstrom_are_written_without_a_warning(tmp_path: Path) -> None:
    field = pa.field("wavelength_min", pa.float64(), metadata={"unit": "Angstrom", "ucd": "em.wl;stat.min"})
    table = pa.table([pa.array([3700.0])], schema=pa.schema([field]))
    path = write_candidates(table, tmp_path / "found.vot", {})
    assert 'unit="Angstrom"' in path.read_text() or 'unit="0.1nm"' in path.read_text()
