"""Tables that come with a query: every serialisation, what is refused before it is read, and what is fetched."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.server
import io
import ipaddress
import struct
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io.votable import from_table, parse
from astropy.table import Table
from dal_sky import Service, alpha_meta, message_of

from emberline.vo.server import _upload_fetch, _votable_reader
from emberline.vo.server._upload_fetch import FetchError, fetch, is_public
from emberline.vo.server._votable_reader import read_votable
from emberline.vo.server.dali import DaliError

HEAD = '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
TAIL = "</TABLE></RESOURCE></VOTABLE>"
FIELDS = """
<FIELD name="id" datatype="char" arraysize="*" ucd="meta.id"><DESCRIPTION>Who</DESCRIPTION></FIELD>
<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main"/>
<FIELD name="dec" datatype="double" unit="deg" ucd="pos.eq.dec;meta.main"/>
<FIELD name="n" datatype="int"><VALUES null="-9"/></FIELD>
<FIELD name="good" datatype="boolean"/>
<FIELD name="flux" datatype="float" arraysize="*" unit="Jy"/>
<FIELD name="pair" datatype="short" arraysize="2"/>
<FIELD name="word" datatype="unicodeChar" arraysize="*"/>
<FIELD name="byte" datatype="unsignedByte"/>
"""
ROWS = [
    ("one", 40.0, 20.0, 7, True, [1.5, 2.5], [1, 2], "é☆", 255),
    ("two", 41.5, -20.25, -9, False, [], [3, 4], "", 0),
]
TABLEDATA = """<DATA><TABLEDATA>
<TR><TD>one</TD><TD>40.0</TD><TD>20.0</TD><TD>7</TD><TD>T</TD><TD>1.5 2.5</TD><TD>1 2</TD><TD>é☆</TD><TD>255</TD></TR>
<TR><TD>two</TD><TD>41.5</TD><TD>-20.25</TD><TD>-9</TD><TD>false</TD><TD/><TD>3 4</TD><TD></TD><TD>0</TD></TR>
</TABLEDATA></DATA>"""


def binary(flags: bool, most: int | None = None) -> str:
    """The rows as BINARY, or with flags of nulls as BINARY2."""
    data = b""
    for id, ra, dec, n, good, flux, pair, word, byte in ROWS:
        if flags:
            data += bytes([0b00010000 if n == -9 else 0, 0])
        data += struct.pack(">i", len(id)) + id.encode() + struct.pack(">ddi", ra, dec, n) + (b"T" if good else b"F")
        data += struct.pack(f">i{len(flux)}f2h", len(flux), *flux, *pair)
        data += struct.pack(">i", len(word)) + word.encode("utf-16-be") + bytes([byte])
    tag = "BINARY2" if flags else "BINARY"
    text = base64.encodebytes(data[:most]).decode()
    return f"<DATA><{tag}><STREAM encoding='base64'>{text}</STREAM></{tag}></DATA>"


DOCUMENTS = {
    "TABLEDATA": HEAD + FIELDS + TABLEDATA + TAIL,
    "BINARY": HEAD + FIELDS + binary(False) + TAIL,
    "BINARY2": HEAD + FIELDS + binary(True) + TAIL,
    "with a prefix": (HEAD + FIELDS + TABLEDATA + TAIL).replace("<", "<v:").replace("<v:/", "</v:").replace(
        "xmlns=", "xmlns:v="
    ),
    "in Latin-1": "<?xml version='1.0' encoding='iso-8859-1'?>" + HEAD + FIELDS + TABLEDATA + TAIL,
    "without a namespace": "<VOTABLE><RESOURCE><TABLE>" + FIELDS + TABLEDATA + TAIL,
}  # fmt: skip


def votable(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode("iso-8859-1" if "iso-8859-1" in text[:60] else "utf-8", "xmlcharrefreplace"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_serialisation_is_read(name: str) -> None:
    table = read_votable(votable(DOCUMENTS[name]), "mine")
    assert table.name == "tap_upload.mine"
    assert table.data is not None
    assert table.data.to_pydict() == {
        "id": ["one", "two"],
        "ra": [40.0, 41.5],
        "dec": [20.0, -20.25],
        "n": [7, None],
        "good": [True, False],
        "flux": [[1.5, 2.5], []],
        "pair": [[1, 2], [3, 4]],
        "word": ["é☆", None],
        "byte": [255, 0],
    }
    assert [(c.name, c.datatype, c.arraysize, c.unit) for c in table.columns] == [
        ("id", "char", "*", ""), ("ra", "double", "", "deg"), ("dec", "double", "", "deg"), ("n", "int", "", ""),
        ("good", "boolean", "", ""), ("flux", "float", "*", "Jy"), ("pair", "short", "2", ""),
        ("word", "unicodeChar", "*", ""), ("byte", "unsignedByte", "", ""),
    ]  # fmt: skip
    assert table.columns[0].description == "Who"
    assert table.position is not None
    assert (table.position.ra, table.position.dec) == ("ra", "dec")


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("bit", "1", True), ("boolean", "?", None), ("boolean", "", None), ("long", "9007199254740993", 2**53 + 1),
        ("short", "0x7f", 127), ("double", "", None), ("double", "+Inf", np.inf), ("float", "-Inf", -np.inf),
        ("char", "x", "x"), ("doubleComplex", "1 -2", [1.0, -2.0]), ("double", "1e-300", 1e-300),
    ],
)  # fmt: skip
def test_every_type_of_cell(kind: str, cell: str, expected: Any) -> None:
    size = ' arraysize="1"' if kind == "char" else ""
    field, row = f'<FIELD name="x" datatype="{kind}"{size}/>', f"<TR><TD>{cell}</TD></TR>"
    data = read_votable(votable(f"{HEAD}{field}<DATA><TABLEDATA>{row}</TABLEDATA></DATA>{TAIL}"), "t").data
    assert data is not None
    found = data["x"].to_pylist()[0]
    assert found == expected or (expected is None and np.isnan(found))


@pytest.mark.parametrize("tag", ["BINARY", "BINARY2"])
@pytest.mark.parametrize(
    ("kind", "size", "cells", "found"),
    [
        ("double", "", [struct.pack(">d", 2.5), struct.pack(">d", np.nan)], [2.5, None]),
        ("bit", "", [b"\x80", b"\x00"], [True, False]),
        ("bit", "10", [b"\x80\x40", b"\x00\x80"], [[True] + [False] * 8 + [True], [False] * 8 + [True, False]]),
        ("float", "2", [struct.pack(">2f", 1, 2), struct.pack(">2f", 3, np.nan)], [[1.0, 2.0], [3.0, None]]),
        ("doubleComplex", "", [struct.pack(">2d", 1, 2), struct.pack(">2d", 3, 4)], [[1.0, 2.0], [3.0, 4.0]]),
        ("unicodeChar", "3", ["äb".encode("utf-16-be") + b"\0\0", b"\0" * 6], ["äb", None]),
        ("long", "", [struct.pack(">q", 2**53 + 1), struct.pack(">q", -1)], [2**53 + 1, -1]),
    ],
)
def test_columns_of_one_width(tag: str, kind: str, size: str, cells: list[bytes], found: list[Any]) -> None:
    flags = [b"\0", b"\0"] if tag == "BINARY2" else [b"", b""]
    fields = '<FIELD name="x" datatype="short"/><FIELD name="s" datatype="char" arraysize="3"/>'
    fields += f'<FIELD name="y" datatype="{kind}"{f" arraysize={chr(34)}{size}{chr(34)}" if size else ""}/>'
    rows = [flags[n] + struct.pack(">h", n) + b"ab\0" + cells[n] for n in range(2)]
    text = base64.b64encode(b"".join(rows)).decode()
    document = f"{HEAD}{fields}<DATA><{tag}><STREAM encoding='base64'>{text}</STREAM></{tag}></DATA>{TAIL}"
    data = read_votable(votable(document), "t").data
    assert data is not None
    assert data["x"].to_pylist() == [0, 1]
    assert data["s"].to_pylist() == ["ab", "ab"]
    assert data["y"].to_pylist() == found


def test_columns_get_names_of_their_own() -> None:
    fields = "".join(f'<FIELD name="{name}" datatype="int"/>' for name in ("ra", "RA", "select", "a b", "Ra"))
    cells = "".join(f"<TD>{n}</TD>" for n in range(5))
    table = read_votable(votable(f"{HEAD}{fields}<DATA><TABLEDATA><TR>{cells}</TR></TABLEDATA></DATA>{TAIL}"), "t")
    assert [column.name for column in table.columns] == ["ra", "RA_2", "select", "a b", "Ra_3"]


def test_a_table_without_rows(tap: Service) -> None:
    text = f"{HEAD}{FIELDS}<DATA><TABLEDATA/></DATA>{TAIL}"
    assert len(ask(tap, text, "SELECT * FROM TAP_UPLOAD.t").get_first_table().array) == 0
    assert len(ask(tap, f"{HEAD}{FIELDS}{TAIL}", "SELECT * FROM TAP_UPLOAD.t").get_first_table().array) == 0


# --- what is refused -------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
SECRET = '<?xml version="1.0"?><!DOCTYPE VOTABLE [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
REFUSED = {
    "no XML": ("nonsense", "no XML"),
    "nothing": ("", "no XML"),
    "HTML": ("<html><body/></html>", "no VOTable"),
    "no table": ('<VOTABLE version="1.4"><RESOURCE/></VOTABLE>', "no table"),
    "no columns": (f"{HEAD}{TAIL}", "no columns"),
    "an external entity": (SECRET + DOCUMENTS["TABLEDATA"].replace("one", "&x;"), "document type"),
    "entities of entities": (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>' + DOCUMENTS["TABLEDATA"], "document type"),
    "a file elsewhere": (
        f"{HEAD}{FIELDS}<DATA><BINARY><STREAM href='file:///etc/passwd'/></BINARY></DATA>{TAIL}", "in the document"
    ),
    "an address": (
        f"{HEAD}{FIELDS}<DATA><FITS><STREAM href='http://127.0.0.1/x'/></FITS></DATA>{TAIL}", "in the document"
    ),
    "too few bytes": (HEAD + FIELDS + binary(True, 60) + TAIL, "middle of one"),
    "fewer by one": (HEAD + FIELDS + binary(False, -1) + TAIL, "middle of one"),
    "no base64": (
        HEAD + FIELDS + "<DATA><BINARY><STREAM encoding='base64'>A</STREAM></BINARY></DATA>" + TAIL, "base64"
    ),
    "cut off": (DOCUMENTS["TABLEDATA"][:-30], "no XML"),
    "an unknown encoding": ("<?xml version='1.0' encoding='klingon'?>" + DOCUMENTS["TABLEDATA"], "no XML"),
    "an unknown type": (DOCUMENTS["TABLEDATA"].replace('datatype="int"', 'datatype="widget"'), "cannot be read"),
    "deep": ("<VOTABLE>" + "<RESOURCE>" * 100 + "</RESOURCE>" * 100 + "</VOTABLE>", "nested"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    text, word = REFUSED[name]
    with pytest.raises(DaliError, match=word) as caught:
        read_votable(votable(text), "mine")
    assert caught.value.message.startswith("UPLOAD: mine: ")
    assert "/" not in caught.value.message.replace("1/", "")


def test_disguises_are_refused() -> None:
    bad = REFUSED["a file elsewhere"][0]
    for data in (gzip.compress(DOCUMENTS["TABLEDATA"].encode()), bad.encode("utf-16"), bad.encode("utf-8-sig")):
        with pytest.raises(DaliError):
            read_votable(io.BytesIO(data), "mine")
    assert len(read_votable(io.BytesIO(DOCUMENTS["TABLEDATA"].encode("utf-16")), "mine").data or ()) == 2


def test_a_table_that_is_too_large_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    monkeypatch.setattr(_votable_reader, "LIMITS", dataclasses.replace(_votable_reader.LIMITS, upload_rows=1))
    for name in ("TABLEDATA", "BINARY", "BINARY2"):
        with pytest.raises(DaliError, match="more than 1 rows"):
            read_votable(votable(DOCUMENTS[name]), "mine")
    monkeypatch.setattr(_votable_reader, "LIMITS", dataclasses.replace(_votable_reader.LIMITS, upload_columns=8))
    with pytest.raises(DaliError, match="more than 8 columns"):
        read_votable(votable(DOCUMENTS["TABLEDATA"]), "mine")


def test_a_request_that_is_too_large_is_refused(tap: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from emberline.vo.server import uploads

    monkeypatch.setattr(uploads, "LIMITS", dataclasses.replace(uploads.LIMITS, upload_bytes=100))
    answer = post(tap, {"t": DOCUMENTS["TABLEDATA"].encode()}, "SELECT * FROM TAP_UPLOAD.t", "t,param:t")
    assert "too large" in message_of(parse(io.BytesIO(answer.content)))
    assert answer.status_code == 413


# --- queries ---------------------------------------------------------------------------------------------------------


def post(tap: Service, files: dict[str, bytes], query: str, upload: Any) -> httpx.Response:
    data = {"LANG": "ADQL", "QUERY": query, "UPLOAD": upload}
    return tap.http.post("tap/sync", data=data, files={name: (f"{name}.vot", body) for name, body in files.items()})


def ask(tap: Service, text: str, query: str) -> Any:
    answer = post(tap, {"file": votable(text).getvalue()}, query, "t,param:file")
    assert answer.status_code == 200, answer.text
    return parse(io.BytesIO(answer.content), verify="exception")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_uploaded_table_comes_back_as_it_was(tap: Service, name: str) -> None:
    found = ask(tap, DOCUMENTS[name], "SELECT * FROM TAP_UPLOAD.t").get_first_table()
    assert [field.name for field in found.fields] == ["id", "ra", "dec", "n", "good", "flux", "pair", "word", "byte"]
    assert [(field.unit and str(field.unit)) for field in found.fields][:3] == [None, "deg", "deg"]
    row = found.array[0]
    assert (row["id"], row["ra"], row["n"], bool(row["good"]), row["word"]) == ("one", 40.0, 7, True, "é☆")
    assert row["flux"].tolist() == [1.5, 2.5]
    assert row["pair"].tolist() == [1, 2]
    assert found.array.mask["n"].tolist() == [False, True]


def test_a_cross_match_finds_the_same_as_astropy(tap: Service) -> None:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(8)
    ra, dec = 40 + rng.uniform(-3, 3, 500), 20 + rng.uniform(-3, 3, 500)
    buffer = io.BytesIO()
    from_table(Table({"name": [f"x{n}" for n in range(500)], "ra": ra, "dec": dec})).to_xml(buffer)
    meta = [item for item in alpha_meta() if np.isfinite(item.ra)]
    theirs = SkyCoord([item.ra for item in meta] * u.deg, [item.dec for item in meta] * u.deg)
    mine, other, _, _ = theirs.search_around_sky(SkyCoord(ra * u.deg, dec * u.deg), 0.05 * u.deg)
    expected = sorted((f"x{m}", meta[o].identifier) for m, o in zip(mine, other, strict=True))
    service = pyvo.dal.TAPService(f"{tap.base}/tap")
    for condition in (
        "DISTANCE(POINT(m.ra, m.dec), POINT(a.ra, a.dec)) < 0.05",
        "1 = CONTAINS(POINT(m.ra, m.dec), CIRCLE(a.ra, a.dec, 0.05))",
    ):
        buffer.seek(0)
        query = f"SELECT m.name, a.identifier FROM TAP_UPLOAD.mine AS m JOIN alpha.spectra AS a ON {condition}"
        found = service.run_sync(query, uploads={"mine": buffer})
        pairs = sorted(zip(map(str, found["name"]), map(str, found["identifier"]), strict=True))
        assert [pair for pair in pairs if pair[1] != "from-file"] == expected


def test_two_tables_at_once_and_one_as_a_plain_field(tap: Service) -> None:
    data = {"LANG": "ADQL", "QUERY": "SELECT a.id FROM TAP_UPLOAD.a AS a JOIN tap_upload.B AS b ON a.id = b.id"}
    text = DOCUMENTS["TABLEDATA"]
    for upload in (["a,param:first", "b,param:second"], "a,param:first;b,param:second"):
        fields: dict[str, Any] = {**data, "UPLOAD": upload, "second": text}
        answer = tap.http.post("tap/sync", data=fields, files={"first": ("f", text.encode())})
        assert answer.status_code == 200, answer.text
        assert len(parse(io.BytesIO(answer.content)).get_first_table().array) == 2


def test_uploads_are_gone_with_their_query(tap: Service) -> None:
    ask(tap, DOCUMENTS["TABLEDATA"], "SELECT * FROM TAP_UPLOAD.t")
    answer = tap.http.get("tap/sync", params={"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t"})
    assert answer.status_code == 400
    tables = tap.http.get("tap/sync", params={"QUERY": "SELECT schema_name FROM TAP_SCHEMA.schemas"}).text
    assert "upload" not in tables.split("<DATA>")[1].lower()


# --- addresses -------------------------------------------------------------------------------------------------------


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = DOCUMENTS["BINARY2"].encode()
        status = {"/missing": 404, "/away": 302, "/round": 302}.get(self.path, 200)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", {"/away": "file:///etc/passwd", "/round": "/round"}[self.path])
        elif self.path != "/short":
            self.send_header("Content-Length", str(len(body) + (self.path == "/cut")))
        self.end_headers()
        if self.path == "/slow":
            self.wfile.write(body[:10])
            self.wfile.flush()
            threading.Event().wait(1.5)
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine, which is taken for a public one."""
    monkeypatch.setattr(_upload_fetch, "is_public", lambda address: True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_table_is_fetched_from_its_address(tap: Service, host: str) -> None:
    answer = post(tap, {}, "SELECT id FROM TAP_UPLOAD.t", f"t,{host}/t.vot")
    assert answer.status_code == 200, answer.text
    assert "<TD>one</TD>" in answer.text


@pytest.mark.parametrize(
    ("path", "word"), [("/missing", "status 404"), ("/away", "no address"), ("/round", "too often"), ("/cut", "answer")]
)
def test_what_is_not_fetched(host: str, path: str, word: str) -> None:
    with pytest.raises(FetchError, match=word):
        fetch(host + path, limit=10_000, seconds=5)


def test_fetching_has_its_limits(host: str) -> None:
    with pytest.raises(FetchError, match="more than 50 bytes"):
        fetch(f"{host}/t", limit=50, seconds=5)
    with pytest.raises(FetchError, match=r"too long|stopped"):
        fetch(f"{host}/slow", limit=10_000, seconds=0.3)
    with contextlib.closing(fetch(f"{host}/short", limit=10_000, seconds=5)) as file:
        assert file.read() == DOCUMENTS["BINARY2"].encode()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.5.5", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:1::", "ff02::1",
    ],
)  # fmt: skip
def test_addresses_of_private_networks_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_public_addresses_are() -> None:
    assert is_public(ipaddress.ip_address("93.184.216.34"))
    assert is_public(ipaddress.ip_address("2606:2800:220:1::1"))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1/x", "public"), ("http://localhost:8080/", "public"), ("http://[::1]/", "public"),
        ("http://0x7f000001/", "public|host"), ("http://2130706433/", "public|host"), ("https://127.1/", "public|host"),
        ("http://user:secret@127.0.0.1/", "no address"), ("http:///x", "no address"), ("http://127.0.0.1:25/", "port"),
        ("http://127.0.0.1:99999/", "answer"), ("http://[/", "answer|no address"),
    ],
)  # fmt: skip
def test_no_query_reaches_this_machine(tap: Service, url: str, word: str) -> None:
    answer = post(tap, {}, "SELECT * FROM TAP_UPLOAD.t", f"t,{url}")
    assert answer.status_code == 400
    message = message_of(parse(io.BytesIO(answer.content)))
    assert message.startswith("UPLOAD: t: ")
    assert any(part in message for part in word.split("|")), message
