"""VOTables of strangers: every type and form, judged by astropy's writer; and every way in which they can be wrong."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io.votable import from_table
from astropy.table import Column, MaskedColumn, Table
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from emberline.vo.client import ProtocolError, ServiceError, StatusError, UnsafeXMLError
from emberline.vo.client._answers import Answer
from emberline.vo.client._cells import unit_of
from emberline.vo.client._tables import Columns, Wanted, read_table
from emberline.vo.client._uploads import votable_bytes

HEAD = '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
URL = "https://archive.example/tap/sync"


def answer(body: bytes | str, status: int = 200) -> Answer:
    """An answer as a session gives it."""
    found = Answer()
    found.status_code, found.url = status, URL
    found.fill(body.encode() if isinstance(body, str) else body, 0.0)
    return found


def document(fields: str, rows: str = "", *, infos: str = "", after: str = "", table: str = "") -> str:
    return (
        f'{HEAD}<RESOURCE type="results">{infos}<TABLE name="t">{fields}{table}'
        f"<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>{after}</RESOURCE></VOTABLE>"
    )


def row(*cells: str) -> str:
    return "<TR>" + "".join(f"<TD>{cell}</TD>" for cell in cells) + "</TR>"


def field(name: str, datatype: str, **words: str) -> str:
    return f'<FIELD name="{name}" datatype="{datatype}"' + "".join(f' {k}="{v}"' for k, v in words.items()) + "/>"


# --- what is right ---------------------------------------------------------------------------------------------------


def test_units_ucds_descriptions_and_what_is_masked_are_kept() -> None:
    fields = (
        '<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main" utype="a:b">'
        "<DESCRIPTION> Right\n ascension </DESCRIPTION></FIELD>"
        '<FIELD name="n" datatype="int" unit="furlongs"><VALUES null="-9"/></FIELD>'
        + field("pm", "float", unit="mas.yr-1")
        + field("when", "char", arraysize="*", xtype="timestamp")
    )
    table = read_table(answer(document(fields, row("1.5", "-9", "", "2020-01-01") + row("NaN", "0x1F", "2.5", ""))))
    assert table["ra"].unit == units.deg
    assert (table["ra"].meta["ucd"], table["ra"].meta["utype"]) == ("pos.eq.ra;meta.main", "a:b")
    assert table["ra"].description == "Right ascension"
    assert table["pm"].unit == units.mas / units.yr
    assert str(table["n"].unit) == "furlongs"
    assert table["n"].mask.tolist() == [True, False]
    assert table["n"][1] == 31
    assert table["pm"].mask.tolist() == [True, False]
    assert np.isnan(table["ra"][1])
    assert not isinstance(table["ra"], MaskedColumn)
    assert table["when"].tolist() == ["2020-01-01", ""]
    assert table["when"].meta["xtype"] == "timestamp"
    assert table.meta["overflow"] is False
    assert table.meta["url"] == URL


def test_every_type_and_shape() -> None:
    cases: list[tuple[str, str, str, Any]] = [
        ("boolean", "", "T", True), ("boolean", "", "0", False), ("bit", "", "1", True),
        ("unsignedByte", "", "255", 255),
        ("short", "", "-32768", -32768), ("long", "", "9223372036854775807", 2**63 - 1), ("float", "", "-Inf", -np.inf),
        ("double", "", "1e-300", 1e-300), ("char", "*", " a&amp;b ", " a&b "), ("unicodeChar", "*", "é☆", "é☆"),
        ("double", "2", "1 2", [1, 2]), ("int", "2x3", "1 2 3 4 5 6", [[1, 2], [3, 4], [5, 6]]),
        ("short", "*", "7 8 9", [7, 8, 9]),
        ("floatComplex", "", "1 2", 1 + 2j), ("bit", "4", "0110", [False, True, True, False]),
        ("double", "1", "3.5", 3.5),
    ]  # fmt: skip
    for datatype, arraysize, text, expected in cases:
        declared = field("x", datatype, **({"arraysize": arraysize} if arraysize else {}))
        found = read_table(answer(document(declared, row(text))))["x"][0]
        assert np.array_equal(found, expected), (datatype, arraysize, found)


@given(
    st.lists(
        st.tuples(
            st.floats(width=64),
            st.integers(-(2**31) + 1, 2**31 - 1),
            st.booleans(),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8).map(str.strip),
            st.booleans(),
            st.tuples(st.integers(-99, 99), st.integers(-99, 99)),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["tabledata", "binary", "binary2"]),
)
@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_what_astropy_writes_is_read_as_it_was(rows: list[Any], form: str) -> None:
    real, whole, flag, text, hidden, pair = zip(*rows, strict=True)
    hidden = hidden if form != "binary" else (False,) * len(rows)  # astropy declares no value for null there
    written = Table(
        [
            Column(np.array(real), "real", unit="m"),
            MaskedColumn(np.array(whole, "i4"), "whole", mask=hidden),
            Column(np.array(flag), "flag"),
            Column(np.array(text, "U9"), "text"),
            Column(np.array(pair, "i2"), "pair"),
        ]
    )
    stream = io.BytesIO()
    from_table(written).to_xml(stream, tabledata_format=form)
    found = read_table(answer(stream.getvalue()))
    assert found.colnames == written.colnames
    np.testing.assert_array_equal(found["real"], written["real"])
    assert np.ma.getmaskarray(np.ma.asarray(found["whole"])).tolist() == list(hidden)
    kept = ~np.array(hidden)
    assert np.ma.asarray(found["whole"]).data[kept].tolist() == np.array(whole)[kept].tolist()
    assert found["flag"].tolist() == list(flag)
    assert found["text"].tolist() == list(text)
    assert found["pair"].tolist() == [list(item) for item in pair]


def test_what_is_uploaded_is_what_we_have() -> None:
    table = Table(
        {
            "id": np.array([1, 2], "i8"),
            "name": ["a<b", "é"],
            "x": MaskedColumn([1.5, 0.0], mask=[False, True], unit="km/s", meta={"ucd": "phys.veloc"}),
            "inf": [np.inf, np.nan],
        }
    )
    found = read_table(answer(votable_bytes(table)))
    assert found["id"].tolist() == [1, 2]
    assert found["name"].tolist() == ["a<b", "é"]
    assert found["x"].unit == units.km / units.s
    assert found["x"].mask.tolist() == [False, True]
    assert found["x"].meta["ucd"] == "phys.veloc"
    assert np.isinf(found["inf"][0])
    with pytest.raises(ValueError, match="column 'cube'"):
        votable_bytes(Table({"cube": np.zeros((2, 2))}))


def test_the_results_are_found_among_other_resources() -> None:
    meta = f'<RESOURCE type="meta"><TABLE>{field("no", "int")}</TABLE></RESOURCE>'
    whole = document(field("yes", "int"), row("1")).replace(HEAD, HEAD + meta)
    assert read_table(answer(whole)).colnames == ["yes"]
    prefixed = document(field("yes", "int"), row("1")).replace("<", "<v:").replace("<v:/", "</v:")
    assert read_table(answer(prefixed.replace("xmlns=", "xmlns:v="))).colnames == ["yes"]
    untyped = document(field("yes", "int"), row("1")).replace(' type="results"', "")
    assert read_table(answer(untyped)).colnames == ["yes"]


def test_names_are_made_unique_and_never_empty() -> None:
    fields = field("a", "int") + field("A", "int") + field("", "int", ID="third") + field("", "int")
    assert read_table(answer(document(fields, row("1", "2", "3", "4")))).colnames == ["a", "A_2", "third", "column_4"]


@pytest.mark.parametrize(
    ("infos", "after", "overflow"),
    [
        ('<INFO name="QUERY_STATUS" value="OK"/>', "", False),
        ('<INFO name="QUERY_STATUS" value="OK"/>', '<INFO name="QUERY_STATUS" value="OVERFLOW"/>', True),
        ('<INFO name="warning" value="In table result: The query limit was reached."/>', "", True),
    ],
)
def test_it_is_told_that_there_is_more(infos: str, after: str, overflow: bool) -> None:
    table = read_table(answer(document(field("x", "int"), row("1"), infos=infos, after=after)))
    assert table.meta["overflow"] is overflow


def test_units_as_services_write_them() -> None:
    assert unit_of("mas.yr-1") == unit_of("mas/yr") == unit_of("mas.yr**-1") == units.mas / units.yr
    assert unit_of("Angstrom") == units.AA
    assert unit_of("'h:m:s'") is not None
    assert unit_of(" ") is None


# --- what is wrong ---------------------------------------------------------------------------------------------------

X = field("x", "double")


def packed(data: str) -> str:
    return f'{HEAD}<RESOURCE type="results"><TABLE>{X}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>'


WRONG: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "text in a number": (document(field("id", "char", arraysize="*") + X, row("a", "1") + row("b", "n/a")),
                         ("column 'x'", "row 2", "'n/a'", "double")),
    "a number with underscores": (document(X, row("1_0")), ("column 'x'", "row 1", "'1_0'")),
    "too large an integer": (document(field("n", "short"), row("40000")), ("column 'n'", "row 1", "40000", "short")),
    "a fraction in an integer": (document(field("n", "int"), row("1.5")), ("column 'n'", "1.5")),
    "no truth": (document(field("b", "boolean"), row("maybe")), ("column 'b'", "maybe")),
    "too few in an array": (document(field("p", "double", arraysize="2"), row("1")), ("column 'p'", "double[2]")),
    "half a complex number": (document(field("c", "floatComplex"), row("1")), ("column 'c'",)),
    "an unknown type": (document(field("s", "string"), row("a")), ("column 's'", "'string'")),
    "an unknown size": (document(field("s", "int", arraysize="many"), row("1")), ("column 's'", "many")),
    "more cells than columns": (document(X, row("1") + row("1", "2")), ("row 2", "2 cells", "more")),
    "fewer cells than columns": (document(X + field("y", "int"), row("1")), ("row 1", "fewer")),
    "no table": (f'{HEAD}<RESOURCE type="results"/></VOTABLE>', ("no table",)),
    "no columns": (document(""), ("no columns",)),
    "cut short": (document(X, row("1"))[:-60], ("cut short",)),
    "cut in a tag": (document(X, row("1"))[:-5], ("cut short",)),
    "damaged": (document(X, row("1 & 2")), ("damaged",)),
    "a page": ("<!DOCTYPE html><html><body><h1>Sorry, &nbsp; maintenance</h1></body></html>",
               ("no VOTable", "HTML page", "maintenance")),
    "an XHTML page": ("<html><body><p>We moved</p></body></html>", ("no VOTable", "HTML", "We moved")),
    "nothing": ("", ("no VOTable", "empty")),
    "words": ("Error: database is down", ("no VOTable", "database is down")),
    "a FITS file": (b"SIMPLE  =                    T" + b"\0" * 50, ("no VOTable", "FITS")),
    "rows elsewhere": (packed('<BINARY><STREAM href="http://127.0.0.1/x"/></BINARY>'), ("lie elsewhere",)),
    "FITS within": (packed("<FITS><STREAM>AA==</STREAM></FITS>"), ("FITS within",)),
    "no base64": (packed("<BINARY><STREAM encoding='base64'>A!</STREAM></BINARY>"), ("base64",)),
    "bytes cut short": (packed("<BINARY><STREAM encoding='base64'>AAAAAA==</STREAM></BINARY>"), ("row 1", "'x'")),
    "packed twice": (packed("<BINARY><STREAM encoding='gzip'>AAAA</STREAM></BINARY>"), ("gzip",)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    body, words = WRONG[name]
    with pytest.raises(ProtocolError) as caught:
        read_table(answer(body))
    assert caught.value.url == URL
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "infos",
    [
        '<INFO name="QUERY_STATUS" value="ERROR">no such  table</INFO>',
        '<INFO name="QUERY_STATUS" value="error">no such\ntable</INFO>',
        '<INFO name="Error" value="no such table"/>',
        '<PARAM name="Error" datatype="char" arraysize="*" value="no such table"/>',
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_refusals_carry_the_services_words(infos: str, status: int) -> None:
    with pytest.raises(StatusError) as caught:
        read_table(answer(f'{HEAD}<RESOURCE type="results">{infos}</RESOURCE></VOTABLE>', status))
    assert caught.value.service_said == "no such table"
    assert caught.value.status == status


def test_an_error_after_the_rows_counts() -> None:
    after = '<INFO name="QUERY_STATUS" value="ERROR">The disk broke.</INFO>'
    with pytest.raises(StatusError, match="The disk broke"):
        read_table(answer(document(X, row("1"), infos='<INFO name="QUERY_STATUS" value="OK"/>', after=after)))


def test_a_status_of_failure_without_a_votable() -> None:
    with pytest.raises(StatusError, match="gone fishing"):
        read_table(answer("<html><body>gone fishing</body></html>", 500))


def test_entities_are_not_read() -> None:
    with pytest.raises(UnsafeXMLError):
        read_table(answer('<!DOCTYPE V [<!ENTITY a "b">]>' + document(X, row("&a;"))))


def test_columns_that_must_be_there() -> None:
    assert read_table(answer(document(X, row("1"))), ["X"]).colnames == ["x"]
    with pytest.raises(ProtocolError, match="no column 'access_url'"):
        read_table(answer(document(X, row("1"))), ["x", "access_url"])


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_any_bytes_are_refused_in_our_words(body: bytes) -> None:
    with pytest.raises(ServiceError):
        read_table(answer(body))


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_damage_anywhere_is_read_or_refused_in_our_words(place: int, piece: bytes) -> None:
    whole = bytearray(document(field("id", "char", arraysize="*") + X, row("a", "1") * 3).encode())
    place %= len(whole)
    whole[place : place + len(piece)] = piece
    with contextlib.suppress(ServiceError):
        read_table(answer(bytes(whole)))


# --- columns by their meaning ----------------------------------------------------------------------------------------


def test_values_are_found_by_utype_then_ucd_then_name() -> None:
    wanted = Wanted(("Access.Reference",), ("meta.ref.url",), ("url",))
    by_utype = (
        field("a", "int", utype="ssa:Access.Reference") + field("b", "int", ucd="meta.ref.url") + field("url", "int")
    )
    cases: list[tuple[str, int]] = [
        (by_utype, 1),
        (by_utype.replace("ssa:Access", "spec:Spectrum.access"), 1),
        (by_utype.replace("ssa:Access.Reference", ""), 2),
        (by_utype.replace("ssa:Access.Reference", "").replace("meta.ref.url", "META.REF"), 3),
    ]
    for fields, expected in cases:
        columns = Columns(read_table(answer(document(fields, row("1", "2", "3")))))
        assert columns.value(wanted, 0) == expected
    assert Columns(read_table(answer(document(X, row("1"))))).value(wanted, 0) is None


def test_constants_count_as_columns() -> None:
    constant = '<GROUP><PARAM name="size" datatype="long" unit="kbyte" utype="ssa:Access.Size" value="8"/></GROUP>'
    columns = Columns(read_table(answer(document(X, row("1"), table=constant))))
    wanted = Wanted(("Access.Size",))
    assert columns.number(wanted, 0) == 8
    assert columns.unit(wanted) == units.kbyte


def test_reading_is_linear_in_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell is converted once."""
    from emberline.vo.client import _cells

    calls = 0
    original: Callable[[str], float] = _cells._real

    def counted(text: str) -> float:
        nonlocal calls
        calls += 1
        return original(text)

    monkeypatch.setattr(_cells, "_real", counted)
    read_table(answer(document(X, row("1") * 500)))
    assert calls == 500
