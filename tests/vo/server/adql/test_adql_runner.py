"""Running queries: results against numpy, limits, streams, and that nothing but the tables can be reached."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import adql_sky
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline.vo.server.adql import AdqlError, Column, Limits, Runner, Table, TableSet, translate
from emberline.vo.server.adql.runner import check_statement

STARS = adql_sky.catalogue()
MAG = STARS["mag"].to_numpy()
KIND = np.array(STARS["kind"].to_pylist())
SIZE = STARS["size"].to_numpy()


def rows(runner: Runner, query: str, **keywords: object) -> list[tuple[object, ...]]:
    with runner.run(query, **keywords) as result:  # type: ignore[arg-type]
        table = result.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_conditions(runner: Runner) -> None:
    for condition, expected in {
        "mag < 14 AND kind = 'Be'": (MAG < 14) & (KIND == "Be"),
        "mag IS NULL": np.isnan(MAG),
        "NOT (mag >= 14) OR size IN (1, 3)": (MAG < 14) | np.isin(SIZE, [1, 3]),
        "kind = 'it''s'": KIND == "it's",
        "kind LIKE 'B%' AND name ILIKE 'sTAR 000%'": np.char.startswith(KIND, "B") & (np.arange(len(KIND)) < 100),
        "size BETWEEN 1 AND 2": (SIZE >= 1) & (SIZE <= 2),
        "variable = 1": STARS["variable"].to_numpy(zero_copy_only=False),
        "variable = FALSE": ~STARS["variable"].to_numpy(zero_copy_only=False),
        "MOD(size, 2) = 1": SIZE % 2 == 1,
        "id IN (SELECT star FROM sky.notes)": np.isin(np.arange(len(SIZE)), [1, 2, 3]),
        "EXISTS (SELECT * FROM sky.notes AS n WHERE n.star = sky.stars.id)": np.isin(np.arange(len(SIZE)), [1, 2, 3]),
    }.items():
        found = [row[0] for row in rows(runner, f"SELECT id FROM sky.stars WHERE {condition} ORDER BY id")]
        assert found == np.flatnonzero(expected).tolist(), condition


def test_groups_and_order(runner: Runner) -> None:
    query = (
        "SELECT kind, COUNT(*) AS n, AVG(size) AS m, MIN(mag), SUM(size) FROM sky.stars GROUP BY kind ORDER BY n DESC"
    )
    found = rows(runner, query)
    for kind, count, mean, smallest, total in found:
        chosen = kind == KIND
        assert (count, total) == (int(chosen.sum()), int(SIZE[chosen].sum()))
        assert mean == pytest.approx(SIZE[chosen].mean())
        assert smallest == np.nanmin(MAG[chosen])
    assert [row[1] for row in found] == sorted((row[1] for row in found), reverse=True)  # type: ignore[type-var]
    assert {row[0] for row in found} == set(KIND)


def test_expressions_against_numpy(runner: Runner) -> None:
    expressions = {
        "LOG(size + 1)": np.log(SIZE + 1),
        "LOG10(size + 1) * 2": np.log10(SIZE + 1) * 2,
        "POWER(size, 2) - SQRT(size)": SIZE**2.0 - np.sqrt(SIZE),
        "SIN(RADIANS(dec)) + COS(RADIANS(dec)) + TAN(0.1)": np.sin(np.radians(STARS["dec"].to_numpy()))
        + np.cos(np.radians(STARS["dec"].to_numpy()))
        + np.tan(0.1),
        "ROUND(dec, 1)": np.round(STARS["dec"].to_numpy(), 1),
        "TRUNCATE(dec)": np.trunc(STARS["dec"].to_numpy()),
        "CEILING(dec) - FLOOR(dec)": np.ceil(STARS["dec"].to_numpy()) - np.floor(STARS["dec"].to_numpy()),
        "ATAN2(size, 2) + ASIN(0.5) + ACOS(0.5) + ATAN(1) + PI() + EXP(1) + DEGREES(1)": np.arctan2(SIZE, 2)
        + np.arcsin(0.5)
        + np.arccos(0.5)
        + np.arctan(1)
        + np.pi
        + np.e
        + np.degrees(1),
        "size / 2": SIZE / 2,
        "ABS(-size)": SIZE,
        "COALESCE(mag, -1)": np.where(np.isnan(MAG), -1, MAG),
        "IN_UNIT(ra, 'arcsec')": STARS["ra"].to_numpy() * 3600,
        "CASE WHEN size > 2 THEN 1 ELSE 0 END": SIZE > 2,
        "CAST(size AS DOUBLE PRECISION)": SIZE,
    }
    names = ", ".join(f"{text} AS c{number}" for number, text in enumerate(expressions))
    table = runner.run(f"SELECT {names} FROM sky.stars ORDER BY id").read_all()
    for column, (text, expected) in zip(table.columns, expressions.items(), strict=True):
        assert np.allclose(column.to_numpy().astype(float), expected, atol=1e-9), text


def test_what_has_no_value_is_null_and_fails_no_query(runner: Runner) -> None:
    query = (
        "SELECT LOG(0), LOG10(-1), SQRT(0 - 1.5), ASIN(2), ACOS(0 - 2), MOD(1, size - size) FROM sky.stars WHERE id = 1"
    )
    assert rows(runner, query) == [(None,) * 6]


def test_joins_and_sets(runner: Runner) -> None:
    assert rows(runner, "SELECT s.id, n.note FROM sky.stars s JOIN sky.notes n ON s.id = n.star ORDER BY 1, 2") == [
        (1, "one"), (2, "two"), (3, "three"), (3, None),
    ]  # fmt: skip
    assert rows(runner, "SELECT COUNT(*) FROM sky.stars LEFT JOIN sky.notes ON id = star") == [(adql_sky.ROWS + 1,)]
    assert rows(runner, "SELECT star FROM sky.notes EXCEPT SELECT 1 FROM sky.notes ORDER BY star") == [(2,), (3,)]
    assert rows(runner, "SELECT star FROM sky.notes INTERSECT SELECT id FROM sky.stars WHERE id > 2") == [(3,)]
    both = "(SELECT TOP 1 star FROM sky.notes ORDER BY star) UNION SELECT 7 FROM sky.notes ORDER BY 1"
    assert rows(runner, both) == [(1,), (7,)]
    assert rows(runner, "SELECT DISTINCT TOP 2 star FROM sky.notes ORDER BY star OFFSET 1") == [(2,), (3,)]
    both = "SELECT b.star FROM sky.notes AS a NATURAL JOIN sky.notes AS b ORDER BY 1"
    assert rows(runner, both) == [(1,), (2,), (3,)]


def test_the_result_describes_its_columns(runner: Runner) -> None:
    with runner.run("SELECT id, name, ra, mag, size, variable, COUNT(*) OVERALL, POINT(ra, dec) p FROM sky.stars"
                    " GROUP BY id, name, ra, dec, mag, size, variable") as result:  # fmt: skip
        types = {column.name: (column.datatype, column.arraysize) for column in result.columns}
    assert types == {
        "id": ("long", ""), "name": ("char", "*"), "ra": ("double", ""), "mag": ("float", ""), "size": ("int", ""),
        "variable": ("boolean", ""), "OVERALL": ("long", ""), "p": ("double", "2"),
    }  # fmt: skip
    with runner.run("SELECT id FROM sky.stars", maxrec=0) as result:
        assert (list(result), result.rows, result.overflow) == ([], 0, True)


def test_overflow_is_noticed(runner: Runner) -> None:
    for maxrec, overflow in ((10, True), (adql_sky.ROWS - 1, True), (adql_sky.ROWS, False), (None, False)):
        with runner.run("SELECT id FROM sky.stars", maxrec=maxrec) as result:
            count = sum(batch.num_rows for batch in result)
            assert (count, result.rows) == (min(maxrec or adql_sky.ROWS, adql_sky.ROWS),) * 2
            assert result.overflow is overflow
    with runner.run("SELECT TOP 5 id FROM sky.stars", maxrec=5) as result:
        assert (result.read_all().num_rows, result.overflow) == (5, False)


SLOW = "SELECT COUNT(*) FROM sky.stars a, sky.stars b, sky.stars c WHERE SIN(a.mag * b.mag + c.mag) > 2"


def test_time_is_limited(runner: Runner) -> None:
    with pytest.raises(AdqlError, match=r"longer than 0\.2 s"):
        runner.run(SLOW, seconds=0.2).read_all()
    rows_for_ever = runner.run("SELECT a.ra FROM sky.stars a, sky.stars b, sky.stars c", seconds=0.3)
    with pytest.raises(AdqlError, match=r"longer than 0\.3 s"):
        for _ in rows_for_ever:
            pass
    assert rows(runner, "SELECT 1") == [(1,)]


def test_a_query_can_be_cancelled(runner: Runner) -> None:
    result = runner.run("SELECT a.ra FROM sky.stars a, sky.stars b, sky.stars c")
    threading.Timer(0.2, result.cancel).start()
    with pytest.raises(AdqlError, match="cancelled"):
        for _ in result:
            pass


def test_memory_is_limited(sky: TableSet) -> None:
    with Runner(sky, Limits(memory="100MB", query_memory="20MB", threads=1, seconds=30)) as small:
        with pytest.raises(AdqlError, match="more memory"):
            small.run("SELECT DISTINCT a.id + 20000 * b.id AS x FROM sky.stars a, sky.stars b").read_all()
        assert rows(small, "SELECT COUNT(*) FROM sky.stars") == [(adql_sky.ROWS,)]


def test_queries_run_at_the_same_time_with_their_own_uploads(runner: Runner) -> None:
    failures: list[object] = []

    def ask(number: int) -> None:
        mine = Table.of_arrow("tap_upload.mine", pa.table({"n": [number]}))
        for _ in range(5):
            found = rows(runner, "SELECT n FROM tap_upload.mine", uploads=[mine])
            if found != [(number,)]:
                failures.append(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with pytest.raises(AdqlError, match="no such table"):
        runner.run("SELECT n FROM tap_upload.mine")


def test_errors_of_the_database_are_clear_and_give_nothing_away(runner: Runner, folder: Path) -> None:
    for query, message in {
        "SELECT CAST(name AS INTEGER) FROM sky.stars": "cannot be converted",
        "SELECT kind, COUNT(*) FROM sky.stars": "GROUP BY",
        "SELECT 9223372036854775807 * size * id FROM sky.stars": "out of range",
        "SELECT id FROM sky.stars WHERE COUNT(*) > 1": "cannot be understood",
    }.items():
        with pytest.raises(AdqlError, match=message) as caught:
            runner.run(query).read_all()
        assert str(folder) not in str(caught.value)
        assert "LINE" not in str(caught.value)


def test_a_file_that_vanished_is_no_path_in_a_message(tmp_path: Path) -> None:
    path = tmp_path / "here.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    table = Table("a.b", (Column("x", "long"),), files=(path,))
    with Runner(TableSet((table,))) as runner:
        assert rows(runner, "SELECT x FROM a.b") == [(1,)]
        path.unlink()
        with pytest.raises(AdqlError) as caught:
            runner.run("SELECT x FROM a.b").read_all()
        assert str(tmp_path) not in str(caught.value)


def test_a_new_file_is_seen_by_the_next_query(tmp_path: Path) -> None:
    path = tmp_path / "here.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    with Runner(TableSet((Table("a.b", (Column("x", "long"),), files=(path,)),))) as runner:
        assert rows(runner, "SELECT x FROM a.b") == [(1,)]
        pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "new.parquet")
        (tmp_path / "new.parquet").replace(path)
        assert rows(runner, "SELECT COUNT(*) FROM a.b") == [(3,)]


HOSTILE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_parquet('{folder}/other.parquet')",
    "SELECT * FROM '{folder}/other.parquet'",
    'SELECT * FROM "{folder}/other.parquet"',
    "SELECT * FROM glob('/*')",
    "SELECT * FROM 'http://localhost:1/x.parquet'",
    "SELECT * FROM read_csv('https://localhost:1/x')",
    "SELECT * FROM read_json('s3://bucket/x')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('memory_limit')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM query('SELECT 1')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/stars it''s.parquet'",
    "ATTACH '{folder}/x.db'",
    "ATTACH ':memory:' AS x",
    "EXPORT DATABASE '{folder}/x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "CREATE TABLE x (a INTEGER)",
    "CREATE TEMP TABLE x (a INTEGER)",
    "CREATE MACRO f(x) AS x",
    'DROP VIEW "sky.stars"',
    "INSERT INTO \"sky.notes\" VALUES (1, 'x')",
    'DELETE FROM "sky.notes"',
    "SELECT 1; SELECT 2",
    "BEGIN; COMMIT",
    "CALL pragma_version()",
    "SELECT nextval('x')",
    "EXPLAIN SELECT 1",
    'DESCRIBE "sky.stars"',
    'SUMMARIZE "sky.stars"',
    "CHECKPOINT",
    "PREPARE p AS SELECT 1",
    "SECRET",
    "CREATE SECRET s (TYPE s3)",
    "SELECT * FROM pg_catalog.nothing",
    "SELECT * FROM stars",
    "SELECT * FROM incoming",
]


HARMLESS = ('DESCRIBE "sky.stars"', 'SUMMARIZE "sky.stars"')
"""DuckDB takes these for queries; they read nothing but the published table."""


@pytest.mark.parametrize("statement", HOSTILE)
def test_hostile_statements_fail_as_adql_and_in_the_locked_database(
    runner: Runner, folder: Path, statement: str
) -> None:
    """Twice: the translation refuses them, and a cursor as queries get it would not run them either."""
    pq.write_table(pa.table({"x": [1]}), folder / "other.parquet")
    statement = statement.format(folder=folder)
    before = sorted(folder.iterdir())
    if statement != "SELECT * FROM stars":
        with pytest.raises(AdqlError):
            runner.run(statement)
    if statement not in HARMLESS:
        with pytest.raises((AdqlError, *duckdb_errors())):
            locked(runner, statement)
    assert sorted(folder.iterdir()) == before
    assert rows(runner, "SELECT COUNT(*) FROM sky.notes") == [(4,)]


def duckdb_errors() -> tuple[type[Exception], ...]:
    import duckdb

    return (duckdb.Error, OSError)


def locked(runner: Runner, statement: str) -> object:
    cursor = runner._connection.cursor()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        check_statement(cursor, statement)
        return cursor.sql(statement).to_arrow_reader(10).read_all()
    finally:
        cursor.close()


@pytest.mark.parametrize(
    "statement",
    [
        item
        for item in HOSTILE
        if item.split(" ")[0]
        in ("COPY", "ATTACH", "EXPORT", "INSTALL", "LOAD", "SET", "RESET", "CREATE", "DROP", "INSERT", "DELETE")
        and ":memory:" not in item
        and "TEMP" not in item
    ],
)
def test_the_locks_hold_without_the_check_of_statements(runner: Runner, folder: Path, statement: str) -> None:
    before = sorted(folder.iterdir())
    cursor = runner._connection.cursor()
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    with pytest.raises(duckdb_errors()):
        cursor.execute(statement.format(folder=folder))
    cursor.close()
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "table",
    [
        "information_schema.tables",
        "pg_catalog.pg_class",
        "sqlite_master",
        "duckdb_tables",
        "main.stars",
        "memory.sky.stars",
    ],
)
def test_the_databases_own_tables_are_not_there(sky: TableSet, table: str) -> None:
    with pytest.raises(AdqlError, match="no such table"):
        translate(f"SELECT * FROM {table}", sky)


def test_columns_that_are_not_published_cannot_be_had(runner: Runner) -> None:
    for query in (
        "SELECT secret FROM sky.stars",
        "SELECT s.healpix FROM sky.stars AS s",
        "SELECT id FROM sky.stars WHERE secret = 'hidden'",
        "SELECT id FROM sky.stars ORDER BY secret",
        "SELECT COUNT(*) FROM sky.stars GROUP BY secret",
        "SELECT a.id FROM sky.stars AS a JOIN sky.stars AS b USING (secret)",
        "SELECT rowid FROM sky.stars",
        "SELECT filename FROM sky.stars",
        "SELECT stars FROM sky.stars",
    ):
        with pytest.raises(AdqlError):
            runner.run(query)
    with runner.run("SELECT * FROM sky.stars", maxrec=1) as result:
        assert [column.name for column in result.columns] == [column.name for column in adql_sky.COLUMNS]


def test_a_resident_table_gives_the_same(runner: Runner, sky: TableSet) -> None:
    stars = dataclasses.replace(sky.by_name["sky.stars"], resident=True)
    with Runner(TableSet((stars,))) as resident:
        for query in (
            "SELECT id, name, mag FROM sky.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(1, 1, 2)) ORDER BY id",
            "SELECT kind, COUNT(*) FROM sky.stars GROUP BY kind ORDER BY kind",
        ):
            assert rows(resident, query) == rows(runner, query)
        with pytest.raises(AdqlError, match="no such column"):
            resident.run("SELECT secret FROM sky.stars")


def test_names_with_quotes_are_names(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    name = 'a"; DROP TABLE x; --'
    pq.write_table(pa.table({name: [5]}), path)
    with Runner(TableSet((Table("s.t", (Column(name, "long"),), files=(path,)),))) as runner:
        written = name.replace('"', '""')
        assert rows(runner, f'SELECT "{written}" FROM s.t') == [(5,)]
        assert rows(runner, f'SELECT "{written}" AS "x"" y" FROM s.t AS "t""; --" ORDER BY "x"" y"') == [(5,)]


def test_a_view_with_its_own_select(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [5, 6]}), path)
    select = f"SELECT a * 2 AS b, 'constant' AS c FROM read_parquet('{path}')"
    table = Table("s.t", (Column("b", "long"), Column("c", "char", "*")), files=(path,), select=select)
    with Runner(TableSet((table,))) as runner:
        assert rows(runner, "SELECT b, c FROM s.t WHERE b > 10") == [(12, "constant")]
