"""Header cards, with astropy as the second opinion."""

from __future__ import annotations

import math

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.archive.readers.cards import Header
from emberline.errors import ReadError

text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.rstrip)
values = st.one_of(
    st.booleans(), st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False), text
)


def header_from(*cards: str) -> Header:
    return Header("".join(card.ljust(80) for card in cards).encode("latin-1"))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_-]{0,7}", fullmatch=True), values, max_size=8))
def test_values_are_what_astropy_reads(content: dict[str, object]) -> None:
    content = {key: value for key, value in content.items() if key not in ("END", "COMMENT", "HISTORY", "CONTINUE")}
    written = fits.Header()
    for key, value in content.items():
        written[key] = value
    again = fits.Header.fromstring(written.tostring(endcard=False, padding=False))
    header = Header(written.tostring(endcard=False, padding=False).encode("ascii"))
    for key in content:
        expected = again[key]
        assert header.get(key) == (None if expected == "" and header.get(key) is None else expected)
        assert key in header


def test_the_first_of_equal_keywords_counts_and_comments_are_none() -> None:
    header = header_from(
        "A       = 1 / one", "A       = 2", "COMMENT A = 3", "B       = 'it''s / so' / text", "C       ="
    )
    assert header.get("A") == 1
    assert header.get("B") == "it's / so"
    assert header.comment("B") == "text"
    assert header.comment("A") == "one"
    assert header.get("C", 7) == 7
    assert "COMMENT" not in header
    assert header.comment("Z") == ""


def test_hierarch_keywords_and_exponents_with_d() -> None:
    header = header_from("HIERARCH ESO DRS BERV = 18.26 / km/s", "X       =  1.5D-3", "HIERARCH ESO DRS BERVMX = 2")
    assert header.get("ESO DRS BERV") == 18.26
    assert header.number("ESO DRS BERVMX") == 2
    assert header.number("X") == 1.5e-3
    assert header.get("ESO DRS") is None


def test_numbers_that_are_none_are_nan_or_an_error() -> None:
    header = header_from("A       = 'word'", "B       = '  27  '", "C       = T", "D       = NaN")
    assert math.isnan(header.number("A"))
    assert header.number("B") == 27.0
    assert math.isnan(header.number("D"))
    for key in "ACDZ":
        with pytest.raises(ReadError, match=f"the keyword {key} is needed") as caught:
            header.need(key)
        assert caught.value.reason == "bad-keyword"
