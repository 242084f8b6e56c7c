"""TAP_SCHEMA describes all tables, itself included, and every name in it can be pasted into a query."""

from __future__ import annotations

import adql_sky

from emberline.vo.server.adql import Runner, TableSet, translate


def names(runner: Runner, query: str) -> list[str]:
    return [str(name) for name in runner.run(query).read_all().columns[0].to_pylist()]


def test_it_lists_all_tables_and_columns(runner: Runner, sky: TableSet) -> None:
    assert names(runner, "SELECT schema_name FROM tap_schema.schemas ORDER BY schema_index") == ["sky", "tap_schema"]
    tables = names(runner, "SELECT table_name FROM tap_schema.tables ORDER BY table_index")
    assert tables == [table.name for table in sky]
    columns = names(
        runner, "SELECT column_name FROM tap_schema.columns WHERE table_name = 'sky.stars' ORDER BY column_index"
    )
    assert [name.strip('"') for name in columns] == [column.name for column in adql_sky.COLUMNS]
    assert '"size"' in columns


def test_every_name_can_be_written_in_a_query(runner: Runner, sky: TableSet) -> None:
    found = runner.run("SELECT table_name, column_name FROM tap_schema.columns").read_all()
    for table, column in zip(*(item.to_pylist() for item in found.columns), strict=True):
        assert translate(f"SELECT {column} FROM {table}", sky).columns[0].name == column.strip('"')


def test_types_and_units(runner: Runner) -> None:
    query = (
        'SELECT column_name, datatype, arraysize, xtype, "size", unit, ucd, utype, principal, std, indexed, description'
        " FROM tap_schema.columns WHERE table_name = 'sky.stars' ORDER BY column_index"
    )
    rows = {row["column_name"]: row for row in runner.run(query).read_all().to_pylist()}
    assert rows["ra"]["unit"] == "deg"
    assert (rows["ra"]["utype"], rows["ra"]["datatype"], rows["ra"]["arraysize"]) == ("sky.ra", "double", None)
    assert (rows["name"]["datatype"], rows["name"]["arraysize"], rows["name"]["size"]) == ("char", "*", None)
    assert (rows["id"]["principal"], rows["id"]["std"], rows["id"]["indexed"]) == (1, 0, 1)
    assert rows["s_region"]["xtype"] == "adql:REGION"


def test_keys_join(runner: Runner) -> None:
    query = (
        "SELECT k.from_table, k.target_table, c.from_column, c.target_column FROM tap_schema.keys AS k"
        " JOIN tap_schema.key_columns AS c ON k.key_id = c.key_id ORDER BY k.key_id"
    )
    rows = [tuple(row.values()) for row in runner.run(query).read_all().to_pylist()]
    assert rows[0] == ("sky.notes", "sky.stars", "star", "id")
    assert len(rows) == 6


def test_uploads_are_not_described(sky: TableSet) -> None:
    wider = TableSet((*sky.tables[:2], adql_sky.upload())).with_tap_schema()
    data = wider.by_name["tap_schema.tables"].data
    assert data is not None
    assert "tap_upload.mine" not in data["table_name"].to_pylist()
