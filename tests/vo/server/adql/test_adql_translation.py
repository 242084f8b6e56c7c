"""What ADQL becomes: golden translations, names and their errors, and what is refused."""

from __future__ import annotations

import pickle

import pytest

from emberline.vo.server.adql import AdqlError, Column, Position, Table, TableSet, translate

LONG = TableSet(
    (
        Table(
            "a.stars",
            (
                Column("id", "long"),
                Column("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", utype="u.ra", description="RA"),
                Column("dec", "double", unit="deg"),
                Column("Mixed Case", "char", "*"),
                Column("n", "int"),
            ),
            position=Position("ra", "dec", "healpix"),
        ),
        Table("a.spectra", (Column("id", "long"), Column("star", "long"), Column("snr", "float"))),
        Table("b.spectra", (Column("id", "long"), Column("text", "char", "*"))),
    )
)

GOLDEN = {
    "SELECT id FROM a.stars": 'SELECT t1."id" AS "id" FROM "a.stars" AS t1',
    "select distinct top 5 ID as X from A.Stars as S order by x desc offset 2 -- the end": (
        'SELECT DISTINCT t1."id" AS "X" FROM "a.stars" AS t1 ORDER BY 1 DESC NULLS LAST LIMIT 5 OFFSET 2'
    ),
    "SELECT \"Mixed Case\" FROM stars WHERE \"Mixed Case\" = 'it''s'": (
        'SELECT t1."Mixed Case" AS "Mixed Case" FROM "a.stars" AS t1 WHERE (t1."Mixed Case" = $s1)'
    ),
    "SELECT s.*, p.snr FROM stars AS s LEFT JOIN a.spectra p ON s.id = p.star AND p.snr > 1.5": (
        'SELECT t1."id" AS "id", t1."ra" AS "ra", t1."dec" AS "dec", t1."Mixed Case" AS "Mixed Case", t1."n" AS "n",'
        ' t2."snr" AS "snr" FROM "a.stars" AS t1 LEFT JOIN "a.spectra" AS t2 ON (t1."id" = t2."star")'
        ' AND (t2."snr" > 1.5::DOUBLE)'
    ),
    "SELECT * FROM a.spectra NATURAL JOIN b.spectra": (
        'SELECT t1."id" AS "id", t1."star" AS "star", t1."snr" AS "snr", t2."text" AS "text"'
        ' FROM "a.spectra" AS t1 INNER JOIN "b.spectra" AS t2 ON t1."id" = t2."id"'
    ),
    "SELECT id FROM a.spectra FULL JOIN b.spectra USING (id)": (
        'SELECT coalesce(t1."id", t2."id") AS "id" FROM "a.spectra" AS t1 FULL JOIN "b.spectra" AS t2'
        ' ON t1."id" = t2."id"'
    ),
    "WITH w AS (SELECT n, COUNT(*) AS c FROM stars GROUP BY n HAVING COUNT(*) > 2) SELECT c FROM w WHERE n IN (1, 2)": (
        'WITH wt2("n", "c") AS (SELECT t1."n" AS "n", count(*) AS "c" FROM "a.stars" AS t1 GROUP BY t1."n"'
        ' HAVING (count(*) > 2)) SELECT t4."c" AS "c" FROM wt2 AS t4 WHERE (t4."n" IN (1, 2))'
    ),
    "SELECT id FROM stars AS s WHERE EXISTS (SELECT 1 FROM a.spectra WHERE star = s.id) OR NOT n BETWEEN 1 AND 2": (
        'SELECT t1."id" AS "id" FROM "a.stars" AS t1 WHERE (EXISTS (SELECT 1 AS "number" FROM "a.spectra" AS t2'
        ' WHERE (t2."star" = t1."id")) OR (NOT (t1."n" BETWEEN 1 AND 2)))'
    ),
    "SELECT id FROM a.spectra UNION ALL SELECT id FROM b.spectra ORDER BY id": (
        'SELECT * FROM ((SELECT t1."id" AS "id" FROM "a.spectra" AS t1) UNION ALL'
        ' (SELECT t2."id" AS "id" FROM "b.spectra" AS t2)) ORDER BY 1 NULLS LAST'
    ),
    "SELECT id FROM stars WHERE DISTANCE(POINT(ra, dec), POINT(10, -20)) < 0.5"
    " AND 1 = CONTAINS(POINT(1, 2), CIRCLE(ra, dec, n))": (
        'SELECT t1."id" AS "id" FROM "a.stars" AS t1 WHERE ((t1."healpix" BETWEEN 1175333949627432960'
        ' AND 1175369133999521791 OR t1."healpix" BETWEEN 1181350477254623232 AND 1181526399115067391)'
        ' AND adql_haversine(t1."ra", t1."dec", 10, (- 20)) < (1.9038467914355635e-05::DOUBLE))'
        ' AND adql_separation(t1."ra", t1."dec", 1, 2) <= t1."n"'
    ),
    "SELECT n, n, MAX(ra), -n / 2 || 'x' FROM stars GROUP BY n": (
        'SELECT t1."n" AS "n", t1."n" AS "n_2", max(t1."ra") AS "max",'
        ' adql_joined(CAST(((- t1."n") / 2) AS VARCHAR), CAST($s1 AS VARCHAR)) AS "text"'
        ' FROM "a.stars" AS t1 GROUP BY t1."n"'
    ),
    "SELECT CAST(n AS DOUBLE PRECISION), CASE WHEN n > 1 THEN 'a' ELSE NULL END AS c FROM stars;": (
        'SELECT CAST(t1."n" AS DOUBLE) AS "n", CASE WHEN (t1."n" > 1) THEN $s1 ELSE NULL END AS "c"'
        ' FROM "a.stars" AS t1'
    ),
}


@pytest.mark.parametrize("query", GOLDEN)
def test_golden_translations(query: str) -> None:
    assert translate(query, LONG).sql == GOLDEN[query]


def test_a_limit_is_imposed_whatever_top_says() -> None:
    assert translate("SELECT id FROM stars", LONG, limit=7).sql.endswith("LIMIT 7")
    assert translate("SELECT TOP 100 id FROM stars", LONG, limit=7).sql.endswith("LIMIT 7")
    assert translate("SELECT TOP 3 id FROM stars", LONG, limit=7).sql.endswith("LIMIT 3")
    assert translate("SELECT TOP 3 id FROM stars UNION SELECT 1 FROM stars", LONG, limit=7).sql.endswith(" LIMIT 7")
    assert translate("(SELECT id FROM stars)", LONG, limit=7).sql.endswith("LIMIT 7")


def test_columns_pass_through_with_what_is_known_of_them() -> None:
    columns = translate("SELECT ra AS alpha, w.ra, ra + 1 AS b, COUNT(*) OVERALL FROM stars AS w", LONG).columns
    assert columns[0] == Column(
        "alpha", "double", unit="deg", ucd="pos.eq.ra;meta.main", utype="u.ra", description="RA"
    )
    assert [column.name for column in columns] == ["alpha", "ra", "b", "OVERALL"]
    through = translate("WITH q AS (SELECT ra AS r FROM stars) SELECT r FROM (SELECT r FROM q) AS s", LONG).columns[0]
    assert (through.name, through.unit, through.utype) == ("r", "deg", "u.ra")
    assert translate("SELECT IN_UNIT(ra, 'arcsec') FROM stars", LONG).columns[0].unit == "arcsec"


def test_healpix_helps_through_queries_that_pass_it_on() -> None:
    wide = TableSet(
        (
            Table(
                "a.t",
                (Column("ra", "double"), Column("dec", "double"), Column("healpix", "long")),
                position=Position("ra", "dec", "healpix"),
            ),
        )
    )
    query = "WITH q AS (SELECT dec AS d, ra AS r, healpix AS h FROM a.t) SELECT r FROM q WHERE DISTANCE(r, d, 1, 2) < 1"
    assert '"h" BETWEEN' in translate(query, wide).sql
    query = "SELECT r FROM (SELECT dec AS d, ra AS r FROM a.t) AS q WHERE DISTANCE(r, d, 1, 2) < 1"
    assert "BETWEEN" not in translate(query, wide).sql


def test_texts_are_parameters_and_never_sql() -> None:
    translation = translate('SELECT \'a\'\'; DROP TABLE x --\' AS t, "Mixed Case" AS "q""$s9" FROM stars', LONG)
    assert translation.parameters == {"s1": "a'; DROP TABLE x --"}
    assert "DROP" not in translation.sql


WRONG = [
    ("", "the query is empty", (0, 0)),
    ("SELECT", "at least one column", (0, 0)),
    ("SELECT raa FROM stars", "no such column.*raa.*perhaps ra", (1, 8)),
    ("SELECT id FROM starz", "no such table.*perhaps a.stars", (1, 16)),
    ("SELECT id FROM spectra", "several schemas", (1, 16)),
    ("SELECT id\nFROM a.spectra AS x, b.spectra AS y", "several tables have this column", (1, 8)),
    ("SELECT id FROM stars,\n  stars", "two tables have this name", (2, 3)),
    ("SELECT x.id FROM stars AS s", "no such table in FROM.*x", (1, 8)),
    ('SELECT "ID" FROM stars', "no such column", (1, 8)),
    ("SELECT id FROM stars LIMIT 5", "TOP n", (1, 28)),
    ("SELECT id FROM stars WHERE", "something is missing", (1, 22)),
    ("SELECT id FROM stars WHERE id", "no condition", (1, 28)),
    ("SELECT id FROM stars WHERE (id = 1", "not closed", (1, 28)),
    ("SELECT id FROM stars WHERE id = 1)", "was not opened", (1, 34)),
    ("SELECT id FROM stars WHERE id = 'x", "has no end", (1, 33)),
    ('SELECT "id FROM stars', "has no end", (1, 8)),
    ("SELECT id FROM stars; SELECT 1", "One query at a time", (1, 21)),
    ('SELECT id FROM stars WHERE "Mixed Case" > 3', "cannot be compared", (1, 28)),
    ('SELECT "Mixed Case" + 1 FROM stars', "takes numbers", (1, 8)),
    ('SELECT SUM("Mixed Case") FROM stars', "SUM takes numbers", (1, 8)),
    ("SELECT LOWER(id) FROM stars", "takes a text", (1, 8)),
    ("SELECT SIN(1, 2) FROM stars", "1 to 1 values", (1, 8)),
    ("SELECT FOO(id) FROM stars", "no such function", (1, 8)),
    ("SELECT CAST(id AS BLOB) FROM stars", "CAST knows no type BLOB", (1, 23)),
    ("SELECT id FROM stars ORDER BY 2", "no such column to order by", (0, 0)),
    ("SELECT id FROM stars GROUP BY 1", "GROUP BY takes columns", (0, 0)),
    ("SELECT id, n FROM stars UNION SELECT id FROM stars", "same columns", (1, 38)),
    ("SELECT id FROM stars WHERE id IN (SELECT id, n FROM stars)", "one column", (1, 42)),
    ("SELECT s.id FROM stars AS s JOIN a.spectra AS p", "needs a condition", (1, 29)),
    ("SELECT id FROM (SELECT id FROM stars)", "needs a name", (1, 24)),
    ("SELECT id FROM stars AS s, (SELECT s.id FROM a.spectra) AS q", "no such table in FROM", (1, 36)),
    ("SELECT TOP 1.5 id FROM stars", "whole number", (0, 0)),
    ("SELECT 1e999 FROM stars", "too large", (0, 0)),
    ("SELECT 1/0 FROM stars", "no value", (0, 0)),
    ("SELECT 12abc FROM stars", "not finished", (1, 8)),
    ("SELECT IN_UNIT(n, 'km') FROM stars", "unit of this value", (1, 8)),
    ("SELECT IN_UNIT(ra, 'km') FROM stars", "units do not fit", (1, 8)),
    ("SELECT id FROM stars WHERE id IS TRUE", "NULL only", (1, 28)),
    ("SELECT id FROM stars FETCH FIRST 1 ROWS", "missing or superfluous", (1, 28)),
    ("SELECT COUNT(*) FILTER (WHERE id = 1) FROM stars", "missing or superfluous", (0, 0)),
    ("SELECT RANK() OVER (ORDER BY id) FROM stars", "missing or superfluous", (0, 0)),
    ("SELECT id::VARCHAR FROM stars", "no part of ADQL", (1, 10)),
    ("SELECT id FROM stars /* x */", "missing or superfluous", (1, 22)),
    ("SELECT id FROM stars TABLESAMPLE (1)", "columns are renamed", (0, 0)),
    ("SELECT id INTO x FROM stars", "missing or superfluous", (0, 0)),
    ("VALUES (1)", "only queries", (1, 1)),
    ("FROM stars", "only queries", (1, 1)),
]


@pytest.mark.parametrize(("query", "message", "place"), WRONG, ids=[query[:40] for query, _, _ in WRONG])
def test_wrong_queries_are_told_what_and_where(query: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(AdqlError, match=message) as caught:
        translate(query, LONG)
    if place != (0, 0):
        assert (caught.value.line, caught.value.column) == place, caught.value


def test_errors_cross_a_process_boundary() -> None:
    error = AdqlError("wrong", line=2, column=3, found="x" * 500)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.line, again.column) == (str(error), 2, 3)
    assert len(str(error)) < 200


def test_limits_on_length_and_depth() -> None:
    with pytest.raises(AdqlError, match="too long"):
        translate("SELECT id FROM stars WHERE id = '" + "x" * 100_000 + "'", LONG)
    with pytest.raises(AdqlError, match="too long"):
        translate("SELECT id FROM stars WHERE id IN (" + ",".join("1" * 15_000) + ")", LONG)
    with pytest.raises(AdqlError, match="too deeply"):
        translate("SELECT " + "(" * 30 + "1" + ")" * 30 + " FROM stars", LONG)
    with pytest.raises(AdqlError, match="too deeply"):
        translate("SELECT " + "- " * 30 + "1 FROM stars", LONG)
    assert translate("SELECT " + "(" * 24 + "1" + ")" * 24 + " FROM stars", LONG).sql
    assert translate("SELECT id FROM stars WHERE id IN (" + ",".join("1" * 5_000) + ")", LONG).sql
    assert translate("SELECT id FROM stars WHERE " + " OR ".join(["id = 1"] * 2_000), LONG).sql


def test_joins_without_conditions_are_refused_before_the_parser_tries_all_ways_to_share_them() -> None:
    """Each such JOIN would double the parser's work: forty of them would take it days."""
    for query in (
        "SELECT 1 FROM " + "stars JOIN " * 40 + "stars",
        "SELECT 1 FROM " + "stars JOIN stars, (" * 20 + "stars" + ")" * 20,
        "SELECT 1 FROM stars AS a" + " LEFT JOIN stars AS b" * 40 + " ON 1 = 1" * 40,
    ):
        with pytest.raises(AdqlError, match="needs a condition"):
            translate(query, LONG)


def test_names_of_tables_and_columns_are_checked_when_a_set_is_made() -> None:
    with pytest.raises(ValueError, match=r"schema\.table"):
        TableSet((Table("plain", ()),))
    with pytest.raises(ValueError, match="twice"):
        TableSet((Table("a.b", (Column("x", "int"), Column("X", "int"))),))
