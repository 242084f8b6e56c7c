"""Ten thousand hostile queries: each gives rows or one clear error, in little time, and nothing else happens."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.vo.server.adql import AdqlError, Runner, TableSet, Translation, translate

COUNT = 10_000
WORDS = """
SELECT FROM WHERE GROUP BY HAVING ORDER TOP OFFSET DISTINCT ALL AS JOIN LEFT RIGHT FULL OUTER INNER NATURAL CROSS ON
USING UNION EXCEPT INTERSECT WITH IN EXISTS BETWEEN LIKE ILIKE IS NOT NULL AND OR CASE WHEN THEN ELSE END CAST
TRUE FALSE COPY ATTACH DETACH PRAGMA INSTALL LOAD SET RESET EXPORT IMPORT CALL DESCRIBE SHOW SUMMARIZE
EXPLAIN CREATE DROP INSERT
UPDATE DELETE ALTER TRUNCATE BEGIN COMMIT VACUUM CHECKPOINT RECURSIVE LATERAL UNNEST PIVOT UNPIVOT QUALIFY WINDOW OVER
PARTITION FILTER WITHIN TABLESAMPLE VALUES LIMIT FETCH FOR INTERVAL DATE TIMESTAMP EXTRACT POSITION COLLATE ESCAPE ANY
SOME STRUCT MAP ARRAY LIST LAMBDA GROUPING SETS CUBE ROLLUP ASOF POSITIONAL SEMI ANTI INTO REPLACE EXCLUDE COLUMNS
read_csv read_csv_auto read_parquet parquet_scan read_json read_text read_blob glob getenv current_setting query
query_table duckdb_settings duckdb_views sniff_csv arrow_scan pandas_scan sqlite_scan postgres_query http_get shell
nextval setseed pg_sleep version current_user current_database information_schema pg_catalog sqlite_master main memory
temp system adql_cells adql_haversine error TRY unnest range generate_series repeat id ra dec mag name kind size
variable sky stars notes star note tap_schema columns tap_upload mine t x s1 POINT CIRCLE BOX POLYGON CONTAINS
INTERSECTS DISTANCE AREA CENTROID COORD1 REGION SIN LOG POWER ROUND COUNT SUM MIN MAX AVG LOWER UPPER COALESCE IN_UNIT
""".split()  # noqa: SIM905
SCRAPS = [
    "'", '"', "''", '""', ";", "--", "/*", "*/", "(", ")", "((", "))", ",", ".", "..", "*", "+", "-", "/", "%", "=",
    "<", ">", "<=", ">=", "<>", "!=", "||", "::", "->", "=>", ":=", "$1", "$s1", "?", "@x", "#", "\\", "`", "{", "}",
    "[", "]", "{{", "}}", "{%", "$$", "\0", "\n", "\t", "\x1b", "é", "名", "\u202e", "\ud800", "\U0001f4a3", "1e308",
    "1e999", "0x1F", "99999999999999999999999999", ".5", "5.", "1e", "'/etc/passwd'", "'http://localhost:1/x'",
    "1..2", "'s3://b/k'", "'x.parquet'", '"x.parquet"', "'; DROP TABLE x; --", "' OR '1'='1", "%00", "&",
    "|", "^", "~", "!",
]  # fmt: skip
SOUND = [
    "SELECT TOP 10 id, ra, dec FROM sky.stars WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 10, 20, 0.5))",
    "SELECT s.id, n.note FROM sky.stars AS s LEFT JOIN sky.notes AS n ON s.id = n.star AND s.mag < 14 ORDER BY s.id",
    "SELECT kind, COUNT(*) AS n, AVG(mag) FROM sky.stars GROUP BY kind HAVING COUNT(*) > 10 ORDER BY n DESC OFFSET 1",
    "WITH w AS (SELECT id, mag FROM sky.stars WHERE size BETWEEN 1 AND 3) SELECT TOP 5 * FROM w WHERE id IN (1, 2, 3)",
    "SELECT id FROM sky.stars WHERE name LIKE 'Star 0%' UNION SELECT star FROM sky.notes EXCEPT SELECT 3",
    "SELECT CASE WHEN mag < 15 THEN 'bright' ELSE LOWER(kind) END AS c, CAST(size AS DOUBLE PRECISION) FROM sky.stars",
    "SELECT DISTANCE(ra, dec, 1, 2) AS d, AREA(CIRCLE(ra, dec, 1)) FROM sky.stars WHERE DISTANCE(ra, dec, 1, 2) < 1",
    "SELECT a.id FROM sky.stars AS a, sky.stars AS b WHERE DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.01 AND a.id < b.id",
    "SELECT column_name, \"size\" FROM tap_schema.columns NATURAL JOIN tap_schema.tables WHERE unit IS NOT NULL",
    "SELECT id FROM sky.stars WHERE 1 = INTERSECTS(s_region, POLYGON(1, 1, 2, 1, 2, 2))"
    " OR 0 = CONTAINS(POINT(ra, dec), BOX(1, 1, 2, 2))",
]  # fmt: skip


def soup(rng: random.Random) -> str:
    parts = rng.choices(WORDS + SCRAPS, k=rng.randrange(1, 40))
    return ("SELECT " if rng.random() < 0.7 else "") + rng.choice(["", " "]).join(parts)


def damaged(rng: random.Random) -> str:
    """A sound query in which words were exchanged, left out, doubled or put in."""
    words = rng.choice(SOUND).split(" ")
    for _ in range(rng.randrange(1, 5)):
        place = rng.randrange(len(words))
        new = rng.choice(WORDS + SCRAPS)
        words[place : place + rng.randrange(3)] = rng.choice([[], [new], [new, words[place]], [words[place]] * 2])
        words = words or ["SELECT"]
    return " ".join(words)


def bent(rng: random.Random) -> str:
    """A sound query in which characters were exchanged."""
    text = list(rng.choice(SOUND))
    for _ in range(rng.randrange(1, 6)):
        text[rng.randrange(len(text))] = rng.choice([*string.printable, *SCRAPS])
    return "".join(text)


def grafted(rng: random.Random) -> str:
    """A piece of one query in another."""
    one, other = rng.choice(SOUND), rng.choice(SOUND)
    start, stop = sorted((rng.randrange(len(other)), rng.randrange(len(other))))
    place = rng.randrange(len(one))
    return one[:place] + rng.choice(["", " ", "(", ") "]) + other[start:stop] + one[place:]


def called(rng: random.Random) -> str:
    """Any name as a function, a table function or a table."""
    name, argument = rng.choice(WORDS), rng.choice([*SCRAPS, "id", "1", "'x'", "*", "SELECT 1", ""])
    return rng.choice(
        [
            f"SELECT {name}({argument}) FROM sky.stars",
            f"SELECT * FROM {name}({argument})",
            f"SELECT * FROM {name}.{rng.choice(WORDS)}",
            f"SELECT * FROM sky.stars WHERE id = {name}({argument}, {argument})",
            f"SELECT * FROM sky.stars, {name}({argument}) AS t",
            f"SELECT id FROM sky.stars ORDER BY {name}({argument})",
            f"SELECT {name} FROM sky.stars AS {rng.choice(WORDS)}",
            f"SELECT {name}.{rng.choice(WORDS)}({argument}) FROM sky.stars",
        ]
    )


def deep(rng: random.Random) -> str:
    many = rng.choice([5, 25, 200, 3000])
    return rng.choice(
        [
            "SELECT " + "(" * many + "1" + ")" * rng.choice([many, many - 1]) + " FROM sky.stars",
            "SELECT " + "-" * 1 + " - " * many + "1 FROM sky.stars",
            "SELECT id FROM sky.stars WHERE " + "NOT " * many + "id = 1",
            "SELECT id FROM sky.stars WHERE " + " AND ".join(["id = 1"] * many),
            "SELECT " + " + ".join(["id"] * many) + " FROM sky.stars",
            "SELECT " + " || ".join(["name"] * many) + " FROM sky.stars",
            "SELECT id FROM sky.stars WHERE id IN (" * many + "1" + ")" * many,
            "SELECT * FROM " + "(SELECT * FROM " * many + "sky.notes" + ") AS t" * many,
            " UNION ".join(["SELECT id FROM sky.stars"] * min(many, 300)),
            "SELECT " + "SIN(" * many + "1" + ")" * many,
            "SELECT " + "CASE WHEN 1 = 1 THEN " * min(many, 300) + "1" + " END" * min(many, 300),
            "SELECT " + ", ".join(["id"] * many) + " FROM sky.stars",
            "SELECT * FROM " + ", ".join(f"sky.notes AS t{number}" for number in range(many)),
            "WITH w0 AS (SELECT * FROM sky.notes)"
            + "".join(f", w{n} AS (SELECT * FROM w{n - 1})" for n in range(1, min(many, 200)))
            + " SELECT * FROM w1",
            "SELECT '" + "x" * many * 50 + rng.choice(["'", ""]),
            "SELECT 1 = CONTAINS(POINT(1, 2), POLYGON(" + ", ".join(map(str, range(many))) + "))",
            "SELECT * FROM " + "sky.notes JOIN " * many + "sky.notes",
        ]
    )  # fmt: skip


KINDS: list[tuple[Callable[[random.Random], str], int]] = [
    (soup, 25), (damaged, 25), (bent, 20), (grafted, 15), (called, 14), (deep, 1),
]  # fmt: skip


def hostile(seed: int) -> str:
    rng = random.Random(seed)
    make = rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
    return make(rng)


def translated(sky: TableSet, query: str) -> Translation | AdqlError:
    """Any other exception than this one fails the test that asks."""
    try:
        return translate(query, sky, limit=2)
    except AdqlError as error:
        return error


@pytest.mark.slow
def test_ten_thousand_hostile_queries(runner: Runner, sky: TableSet, folder: Path) -> None:
    before = sorted(folder.iterdir())
    refused = answered = 0
    for seed in range(COUNT):
        query = hostile(seed)
        translation = translated(sky, query)
        if isinstance(translation, AdqlError):
            message = str(translation)
            assert 0 < len(message) < 1500, query
            assert message.isprintable(), query
            refused += 1
            continue
        assert set(translation.tables) <= {table.name for table in sky}
        answered += 1
        if answered % 5 == 0:
            run(runner, query)
    assert refused > COUNT / 2
    assert answered > COUNT / 100
    assert sorted(folder.iterdir()) == before


def run(runner: Runner, query: str) -> None:
    """What was translated runs, or fails as a query may; our own SQL is never the cause."""
    message = ""
    try:
        runner.run(query, maxrec=1, seconds=0.5).read_all()
    except AdqlError as error:
        message = str(error)
    assert "Ask those who run" not in message, query
    assert "yntax" not in message, query


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS + SCRAPS), max_size=30).map(" ".join))
def test_any_text_gives_a_clear_error_or_a_translation(sky: TableSet, query: str) -> None:
    assert translated(sky, query)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_value_and_a_name(runner: Runner, text: str) -> None:
    """Between quotes everything is a text, and comes back as it was."""
    written, name = text.replace("'", "''"), text.replace('"', '""')
    query = f"SELECT '{written}' AS \"x{name}\""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        with pytest.raises(AdqlError, match=r"cannot be used|not Unicode"):
            runner.run(query)
        return
    found = runner.run(query).read_all()
    assert (found.column_names, found.columns[0].to_pylist()) == ([f"x{text}"], [text])


@pytest.mark.parametrize("query", SOUND)
def test_the_sound_queries_are_sound(runner: Runner, query: str) -> None:
    with runner.run(query, maxrec=5) as result:
        result.read_all()


@pytest.mark.parametrize(
    "query",
    [
        "WITH w0 AS (SELECT id FROM sky.stars)"
        + "".join(f", w{n} AS (SELECT a.id FROM w{n - 1} AS a, w{n - 1} AS b)" for n in range(1, 60))
        + " SELECT COUNT(*) FROM w59",
        "WITH w0 AS (SELECT id FROM sky.notes, sky.stars)"
        + "".join(f", w{n} AS (SELECT id FROM w{n - 1} UNION ALL SELECT id FROM w{n - 1})" for n in range(1, 60))
        + " SELECT COUNT(*) FROM w59",
        "WITH w0 AS (SELECT name AS n FROM sky.stars)"
        + "".join(f", w{n} AS (SELECT n || n AS n FROM w{n - 1})" for n in range(1, 40))
        + " SELECT COUNT(*), MAX(n) FROM w39",
        "SELECT COUNT(DISTINCT a.name || b.name || c.name) FROM sky.stars a, sky.stars b, sky.stars c",
        "SELECT a.name FROM sky.stars a, sky.stars b ORDER BY a.name || b.name",
    ],
    ids=["squares", "doubles", "texts", "distinct", "order"],
)
def test_queries_that_would_grow_without_end_are_stopped(runner: Runner, query: str) -> None:
    with pytest.raises(AdqlError, match=r"longer than|more memory|10,000 characters"):
        runner.run(query, seconds=1).read_all()


@pytest.mark.parametrize("seed", range(80))
def test_deep_and_long_queries(sky: TableSet, seed: int) -> None:
    assert translated(sky, deep(random.Random(seed)))
