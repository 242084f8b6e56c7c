"""What is read of an answer before it is trusted: compressed bodies, declarations of XML, words."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.vo.client import ProtocolError, TooLargeError, UnsafeXMLError
from emberline.vo.client._answers import decoded, is_refusal_in_words, refuse_unsafe_xml, said

DOCUMENT = b'<?xml version="1.0"?>%s<VOTABLE><RESOURCE/></VOTABLE>'


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    yield from (body[place : place + size] for place in range(0, len(body), size))


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(1, 900), st.integers(0, 3))
def test_every_way_to_compress_is_undone(parts: list[bytes], size: int, padding: int) -> None:
    whole = b"".join(parts)
    members = b"".join(gzip.compress(part) for part in parts) + b"\0" * padding
    assert b"".join(decoded(pieces(members, size), "gzip", 100_000, "x")) == whole
    assert b"".join(decoded(pieces(zlib.compress(whole), size), "Deflate", 100_000, "x")) == whole
    assert b"".join(decoded(pieces(raw_deflate(whole), size), "deflate", 100_000, "x")) == whole
    assert b"".join(decoded(pieces(whole, size), "identity", 100_000, "x")) == whole


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_body_that_ends_early_is_an_error(pack: object) -> None:
    assert callable(pack)
    packed = pack(bytes(range(256)) * 20)
    encoding = "gzip" if pack is gzip.compress else "deflate"
    for end in range(1, len(packed)):
        with pytest.raises(ProtocolError):
            list(decoded([packed[:end]], encoding, 100_000, "x"))


def test_a_body_that_grows_is_stopped_before_it_is_there() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    got: list[int] = []
    with pytest.raises(TooLargeError):
        got.extend(len(piece) for piece in decoded([bomb], "gzip", 1_000_000, "x"))
    assert max(got, default=0) <= 1 << 16
    assert sum(got) <= 1_000_000


@pytest.mark.parametrize(
    "prolog",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]>', b'<!DOCTYPE a [<!ENTITY % b "c">]>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///x">]>',
        b'<!DOCTYPE a [<!ATTLIST TD x CDATA "long">]>',
        b"<!-- " + b" " * 200_000 + b'--><!DOCTYPE a [<!ENTITY b "c">]>',
        b'<!DOCTYPE a [<!ELEMENT a ANY> <!ENTITY b "c">]>', b'<!DOCTYPE a [<!ENTITY b "c" broken>]>',
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_declarations_are_refused(prolog: bytes, encoding: str) -> None:
    body = (DOCUMENT % prolog).decode()
    if encoding != "utf-8":
        body = body.replace('"1.0"', '"1.0" encoding="UTF-16"', 1)
    with pytest.raises(UnsafeXMLError):
        refuse_unsafe_xml(body.encode(encoding), "x")


@pytest.mark.parametrize("blanks", [255, 256, 70_000])
def test_declarations_behind_many_blanks_are_refused(blanks: int) -> None:
    with pytest.raises(UnsafeXMLError):
        refuse_unsafe_xml(b" " * blanks + b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "x")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"plain text <!ENTITY", DOCUMENT % b"", DOCUMENT % b'<!DOCTYPE VOTABLE SYSTEM "http://a.example/VOTable.dtd">',
        b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0" "http://www.w3.org/x.dtd"><html>&nbsp;</html>',
        b"<VOTABLE><DESCRIPTION><![CDATA[<!ENTITY x 'y'>]]></DESCRIPTION></VOTABLE>", b"\x89PNG", b"<", b"\xff\xfe<\0",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
)  # fmt: skip
def test_plain_documents_pass(body: bytes) -> None:
    refuse_unsafe_xml(body, "x")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('<INFO name="QUERY_STATUS" value="ERROR">No &lt;such&gt; column</INFO>', "No <such> column"),
        ("<v:INFO value='ERROR' ID='a' name='QUERY_STATUS' >\n Bad\n</v:INFO>", "Bad"),
        ('<INFO name="QUERY_STATUS" value="ERROR"><![CDATA[1 < 2]]></INFO>', "1 < 2"),
        ('<INFO name="QUERY_STATUS" value="ERROR"/>', ""),
        ('<INFO ID="Error" name="Error" value="SR is too large"/>', "SR is too large"),
        ('<PARAM name="Error" datatype="char" value="no"><DESCRIPTION>d</DESCRIPTION></PARAM>', "no"),
    ],
)
def test_what_a_votable_says(body: str, words: str) -> None:
    text = f"<?xml version='1.0'?><VOTABLE><RESOURCE><DESCRIPTION>The archive</DESCRIPTION>{body}</RESOURCE></VOTABLE>"
    assert is_refusal_in_words(text.encode())
    assert said(text.encode()).strip() == words


def test_what_a_page_and_a_text_say() -> None:
    page = b"<html><head><title>503</title><style>b {}</style></head><body><!-- x --><p>Back&nbsp;soon</p><script>1<2"
    assert said(page) == "Back soon"
    assert said(b"UsageError: no \x1b[31msuch\0 ID\n") == "UsageError: no [31msuch ID"
    assert said(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", "image/png") == ""
    assert not is_refusal_in_words(b'<INFO name="QUERY_STATUS" value="OK"/>')
    assert said(b"") == ""


HOSTILE = [
    b"<INFO " * 20_000, b'<INFO QUERY_STATUS value="' * 10_000, b"<INFO " + b"QUERY_STATUS value=" * 10_000,
    b"<script" * 20_000,
    b"<!--" * 30_000, b"<" * 200_000, b"&" * 200_000, b"<INFO a='" * 20_000, b"<INFO " + b"a" * 200_000,
    b"<INFO " + b"a= " * 60_000 + b">",
    b"<head>" * 20_000, b" " * 200_000,
]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: str(body[:12]))
def test_no_text_can_keep_us_busy(body: bytes) -> None:
    """A text whose reading took time by its square or worse would run into the time limit."""
    for _ in range(10):
        assert len(said(body)) <= 400
        is_refusal_in_words(body)
