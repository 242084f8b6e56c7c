"""SAMP between real clients at a real hub: what is sent arrives, what is wrong is said, nobody waits for ever."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from click.testing import CliRunner

from emberline.campaign import Campaign
from emberline.cli import cli
from emberline.spectra import Grid, Metadata, Spectrum
from tests.vo.client.samp_places import QUIET, own_place
from tests.web.labelling import make_campaign

pytest.importorskip("pyvo")

from emberline.vo.client.samp import (
    Delivery,
    NoHubError,
    NoPeerError,
    Peer,
    Samp,
    SampError,
    connect,
    find_hub,
    lock_file,
    start_hub,
)
from emberline.vo.client.samp.documents import fetch, read_table, write_spectrum, write_table
from emberline.vo.client.samp.hub import Hub
from emberline.vo.client.samp.lockfile import parse_lock_file
from emberline.vo.client.samp.tables import read_file

pytestmark = [pytest.mark.filterwarnings(text) for text in QUIET]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lock file of this test's hub is."""
    return own_place(tmp_path / "home", monkeypatch)


@pytest.fixture
def hub(place: Path) -> Iterator[Hub]:
    running = start_hub()
    yield running
    running.stop()


@pytest.fixture
def us(hub: Hub) -> Iterator[Samp]:
    with connect("Emberline") as samp:
        yield samp


@pytest.fixture
def other(hub: Hub) -> Iterator[Samp]:
    with connect("Aladin test", description="Shows the sky") as samp:
        yield samp


def stars() -> Table:
    table = Table({"identifier": ["a", "b", "c"], "ra": [1.0, 2.0, 3.0], "dec": [4.0, 5.0, 6.0]})
    table["ra"].meta["ucd"] = "pos.eq.ra;meta.main"
    return table


# The hub -------------------------------------------------------------------------------------------------------------


def test_a_hub_is_found_by_its_lock_file_which_goes_with_it(place: Path) -> None:
    assert find_hub() is None
    hub = start_hub()
    try:
        assert place.stat().st_mode & 0o777 == 0o600
        found = find_hub()
        assert found is not None
        assert found["samp.hub.xmlrpc.url"].startswith("http://127.0.0.1:")
        with pytest.raises(SampError, match="running already"):
            start_hub()
    finally:
        hub.stop()
    assert not place.exists()
    assert find_hub() is None


def test_without_a_hub_it_says_what_to_start(place: Path) -> None:
    with pytest.raises(NoHubError, match="emberline samp hub"):
        connect()


def test_the_lock_file_of_a_hub_that_has_died_is_no_hub(place: Path) -> None:
    place.write_text("# left behind\nsamp.secret=x\nsamp.hub.xmlrpc.url=http\\://127.0.0.1\\:9/\n\nodd line\n")
    assert find_hub() is None
    with connect(start=True) as samp:
        assert samp.hub is not None
        assert samp.peers() == ()
    assert not place.exists()


@pytest.mark.parametrize(
    ("text", "missing"), [("", "samp.secret"), ("samp.secret=a\n", "samp.hub.xmlrpc.url"), ("\0\xff", "samp.secret")]
)
def test_what_is_no_lock_file_is_named(place: Path, text: str, missing: str) -> None:
    place.write_text(text)
    with pytest.raises(SampError, match=missing):
        find_hub()


def test_java_writes_lock_files_with_backslashes() -> None:
    found = parse_lock_file("samp.secret=a=b\nsamp.hub.xmlrpc.url=http\\://127.0.0.1\\:8001/xmlrpc\n")
    assert dict(found) == {"samp.secret": "a=b", "samp.hub.xmlrpc.url": "http://127.0.0.1:8001/xmlrpc"}


@pytest.mark.parametrize(
    "given", ["http://elsewhere/x", "std-lockurl:http://a/b", "std-lockurl:file://host/x", "web-appname:x"]
)
def test_a_hub_elsewhere_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMP_HUB", given)
    with pytest.raises(SampError, match="SAMP_HUB"):
        lock_file()


def test_secrets_cannot_be_guessed_and_the_environment_is_not_told(us: Samp, other: Samp, hub: Hub) -> None:
    keys = {us._client.get_private_key(), other._client.get_private_key(), hub.params["samp.secret"]}
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)
    assert len(keys) == 3
    (peer,) = us.peers()
    assert not peer.accepts("client.env.get")


def test_a_process_that_is_told_to_end_takes_its_lock_file_away(place: Path) -> None:
    command = [sys.executable, "-c", "from emberline.cli import main; main()", "samp", "hub"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "hub is running" in process.stderr.readline()
        assert find_hub() is not None
        with connect() as samp:
            process.terminate()
            assert process.wait(60) == 0
            assert samp.gone.wait(60)
        assert process.stderr.read() == ""
    assert not place.exists()


# Pages: who is let in, and what they may fetch ------------------------------------------------------------------------


def page_call(hub: Hub, method: str, *parameters: Any) -> Any:
    with xmlrpc.client.ServerProxy(f"http://localhost:{hub._web_port}/", allow_none=True) as proxy:
        return getattr(proxy, f"samp.webhub.{method}")(*parameters)


def test_nobody_is_let_in_silently(place: Path) -> None:
    asked: list[tuple[str, str]] = []
    for confirm in (None, lambda name, origin: bool(asked.append((name, origin)))):
        hub = start_hub(web=True, confirm=confirm, web_port=0)
        try:
            with pytest.raises(xmlrpc.client.Fault, match="rejected by the user"):
                page_call(hub, "register", {"samp.name": "a page\u202e!"})
            with pytest.raises(xmlrpc.client.Fault):
                page_call(hub, "getRegisteredClients", "0" * 32)
        finally:
            hub.stop()
    assert asked == [("a page?!", "unknown")]


def test_a_page_fetches_through_the_hub_what_it_was_sent_and_nothing_else(place: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    hub = start_hub(web=True, confirm=lambda name, origin: True, web_port=0)
    try:
        page = page_call(hub, "register", {"samp.name": "a page"})
        key, translator = page["samp.private-key"], page["samp.url-translator"]
        page_call(hub, "allowReverseCallbacks", key, "1")
        page_call(hub, "declareSubscriptions", key, {"table.load.votable": {}})
        with connect() as samp:
            samp.notify("table.load.votable", {"url": Path(__file__).as_uri()}, to="cli#1")
            (callback,) = page_call(hub, "pullCallbacks", key, "10")
        url = callback["samp.params"][1]["samp.params"]["url"]
        with urllib.request.urlopen(translator + urllib.parse.quote(url)) as answer:
            assert answer.read() == Path(__file__).read_bytes()
        for wrong in (translator + secret.as_uri(), translator.replace(key, "0" * 32) + urllib.parse.quote(url)):
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                urllib.request.urlopen(wrong)
            refused.value.close()
    finally:
        hub.stop()


# Who is there --------------------------------------------------------------------------------------------------------


def test_peers_and_what_they_take(us: Samp, other: Samp) -> None:
    other.on_table(lambda found: None)
    (peer,) = us.peers()
    assert (peer.name, peer.description) == ("Aladin test", "Shows the sky")
    assert peer.accepts("table.load.fits")
    assert not peer.accepts("image.load.fits")
    assert [mtype for _, mtype in us.takers(["image.load.fits", "table.load.fits"], "aladin")] == ["table.load.fits"]


def test_a_wildcard_stands_for_what_begins_so() -> None:
    peer = Peer("c1", "x", "", ("table.load.*", "samp.app.ping"))
    assert peer.accepts("table.load.fits")
    assert not peer.accepts("table.loader")
    assert not peer.accepts("table")
    assert Peer("c2", "y", "", ("*",)).accepts("anything.at.all")


def test_who_is_not_there_or_does_not_take_it_is_named(us: Samp, place: Path) -> None:
    with pytest.raises(NoPeerError, match="no other program is at the SAMP hub"):
        us.send_table(stars())
    with connect("Other"):
        with pytest.raises(NoPeerError, match=r"topcat: no such program .*found Other"):
            us.send_table(stars(), to="topcat")
        with pytest.raises(NoPeerError, match=r"Other: does not take .*expected table.load.votable"):
            us.send_table(stars(), to="other")
        with pytest.raises(NoPeerError, match="no program at the SAMP hub takes"):
            us.point_at(SkyCoord(1, 2, unit="deg"))


# From one to the other -----------------------------------------------------------------------------------------------


def test_a_table_arrives_and_rows_of_it_come_back(us: Samp, other: Samp) -> None:
    tables: list[Any] = []
    chosen: list[Any] = []
    other.on_table(tables.append)
    us.on_selection(chosen.append)
    (done,) = us.send_table(stars(), name="candidates", table_id="t1")
    assert done == Delivery(done.peer, "table.load.votable")
    (got,) = tables
    assert (got.sender, got.name, got.table_id) == ("Emberline", "candidates", "t1")
    assert [str(name) for name in got.table["identifier"]] == ["a", "b", "c"]
    assert got.table["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    (done,) = other.select_rows("t1", [2, 0, 2], to="Emberline")
    assert done.ok, done.error
    (selection,) = chosen
    assert (selection.rows, selection.ours, selection.kind) == ((2, 0), True, "select")
    assert [str(name) for name in selection.table["identifier"]] == ["c", "a"]
    other.send("table.highlight.row", {"table-id": "t1", "row": "1"}, to="Emberline")
    assert (chosen[1].kind, chosen[1].rows) == ("highlight", (1,))
    for wrong, text in (
        ({"row-list": ["7"]}, "no such row"),
        ({"row-list": ["x"]}, "no list of row numbers"),
        ({}, ""),
    ):
        (refused,) = other.send("table.select.rowList", {"table-id": "t1", **wrong}, to="Emberline")
        assert text in refused.error
    (refused,) = other.send("table.select.rowList", {"table-id": "t9", "row-list": ["0"]}, to="Emberline")
    assert "never sent here" in refused.error


@pytest.mark.parametrize("ending", ["vot", "fits", "csv", "ecsv", "parquet"])
def test_files_of_every_format_are_sent(us: Samp, other: Samp, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"my stars é.{ending}"
    if ending == "vot":
        write_table(stars(), path)
    elif ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({name: stars()[name].tolist() for name in stars().colnames}), path)
    else:
        stars().write(path, format="fits" if ending == "fits" else f"ascii.{ending}")
    tables: list[Any] = []
    other.on_table(tables.append)
    (done,) = us.send_table(path)
    assert done.ok, done.error
    assert done.mtype == ("table.load.fits" if ending == "fits" else "table.load.votable")
    assert tables[0].name == path.name
    assert [str(name).strip() for name in tables[0].table["identifier"]] == ["a", "b", "c"]
    np.testing.assert_array_equal(tables[0].table["ra"], [1, 2, 3])


def test_a_spectrum_a_place_and_an_image(us: Samp, other: Samp, tmp_path: Path) -> None:
    grid = Grid(np.linspace(6400.0, 6700.0, 50))
    ivar = np.full(50, 4.0, "f4")
    ivar[7] = 0
    spectrum = Spectrum(grid, np.arange(50, dtype="f4"), ivar, np.zeros(50, "u1"), Metadata(identifier="star 1"))
    spectra: list[Any] = []
    places: list[Any] = []
    tables: list[Any] = []
    other.on_table(tables.append)
    (done,) = us.send_spectrum(spectrum)
    assert (done.mtype, done.ok) == ("table.load.votable", True)  # it knows no spectra yet
    other.on_spectrum(spectra.append)
    other.on_position(places.append)
    (done,) = us.send_spectrum(spectrum, name="Be star")
    assert (done.mtype, done.ok) == ("spectrum.load.ssa-generic", True)
    assert (spectra[0].name, spectra[0].meta["Access.Format"]) == ("Be star", "application/x-votable+xml")
    table = read_table(spectra[0].content, "votable")
    np.testing.assert_array_equal(table["wave"], grid.wavelength)
    error = np.asarray(MaskedColumn(table["err"]).filled(np.nan))
    assert np.isnan(error[7])
    np.testing.assert_array_equal(np.delete(error, 7), 0.5)
    assert b"spec:Spectrum.Data.FluxAxis.Value" in spectra[0].content
    us.point_at(SkyCoord(83.5, -5.25, unit="deg"))
    assert (places[0].ra, places[0].dec) == (83.5, -5.25)
    for wrong in ({"ra": "x", "dec": "1"}, {"ra": "1"}, {"ra": "400", "dec": "0"}, {"ra": "nan", "dec": "0"}):
        (refused,) = us.send("coord.pointAt.sky", wrong)
        assert not refused.ok
    with pytest.raises(SampError, match="no such file"):
        us.send_image(tmp_path / "none.fits")


def test_a_surveys_file_is_sent_as_others_understand_it(us: Samp, other: Samp, tmp_path: Path) -> None:
    image = fits.PrimaryHDU(np.linspace(1, 2, 300, dtype="f4"))
    image.header.update({"CTYPE1": "WAVE", "CRVAL1": 6400.0, "CDELT1": 1.0, "CRPIX1": 1.0, "CUNIT1": "Angstrom"})
    image.header["AIRORVAC"] = "vac"
    image.writeto(tmp_path / "image.fits")
    tables: list[Any] = []
    other.on_table(tables.append)
    (done,) = us.send_spectrum(tmp_path / "image.fits")
    assert (done.mtype, done.error) == ("table.load.votable", "")
    np.testing.assert_allclose(tables[0].table["wave"], np.arange(6400, 6700), atol=1e-6)
    np.testing.assert_allclose(tables[0].table["flux"], np.linspace(1, 2, 300), rtol=1e-6)


def test_an_error_of_who_takes_it_is_the_answer(us: Samp, other: Samp) -> None:
    def refuse(found: Any) -> None:
        raise SampError("this table is of no use", where=found.name)

    other.on_table(refuse)
    (done,) = us.send_table(stars(), name="mine")
    assert done.error == "mine: this table is of no use"


def test_who_does_not_answer_is_not_waited_for(us: Samp, other: Samp) -> None:
    release = threading.Event()
    other.on_table(lambda found: release.wait(60) and None)
    with connect("Quick") as quick:
        quick.on_table(lambda found: None)
        done = {item.peer.name: item for item in us.send_table(stars(), timeout=1)}
    release.set()
    assert done["Quick"].ok
    assert done["Aladin test"].error == "no answer within 1 seconds"


def test_a_hub_that_ends_is_noticed(hub: Hub) -> None:
    with connect() as samp:
        assert samp.alive()
        hub.stop()
        assert not samp.alive()
        with pytest.raises(NoHubError, match="does not answer"):
            samp.peers()


# What messages point at ----------------------------------------------------------------------------------------------


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """What another program on this machine serves."""
    (tmp_path / "www").mkdir()
    write_table(stars(), tmp_path / "www" / "stars.vot")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_another_program_serves_is_fetched_even_offline(
    web: str, us: Samp, other: Samp, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = place.parent / "vo.toml"
    config.write_text("offline = true\n")
    monkeypatch.setenv("EMBERLINE_VO", str(config))
    tables: list[Any] = []
    other.on_table(tables.append)
    (done,) = us.send_table(f"{web}/stars.vot")
    assert done.ok, done.error
    assert len(tables[0].table) == 3
    with pytest.raises(SampError, match="cannot be fetched"):
        fetch(f"{web}/nothing.vot")
    with pytest.raises(SampError, match="cannot be fetched"):
        fetch(f"{web}/stars.vot", max_bytes=100)
    with pytest.raises(SampError, match="cannot be fetched"):
        fetch("http://192.0.2.1/x.vot")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b", "gopher://x", "file://elsewhere/etc/passwd", "file:///nowhere/x", "file:///dev/zero", "file:///",
        "", "/x", "http://10.0.0.1/x", "http://169.254.169.254/latest", "http://[fe80::1]/x",
    ],
)  # fmt: skip
def test_what_may_not_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(SampError):
        fetch(url)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 101)
    assert len(fetch((tmp_path / "large").as_uri(), max_bytes=101)) == 101
    with pytest.raises(SampError, match="too large"):
        fetch((tmp_path / "large").as_uri(), max_bytes=100)


def test_the_first_table_with_rows_is_read(tmp_path: Path) -> None:
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(np.zeros((2, 2))),
        fits.table_to_hdu(stars()[:0]),
        fits.table_to_hdu(stars()),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "t.fits")
    assert len(read_table((tmp_path / "t.fits").read_bytes(), "fits")) == 3
    for content in (b"", b"SIMPLE  =", (tmp_path / "t.fits").read_bytes()[:2000]):
        with pytest.raises(SampError):
            read_table(content, "fits")


def test_a_csv_keeps_identifiers_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,ra,dec,number\n007,1.5,-2,12\n011,2.5,,13\n")
    table = read_file(tmp_path / "a.csv")
    assert list(table["id"]) == ["007", "011"]
    assert table["ra"][1] == 2.5
    assert np.isnan(table["dec"][1])
    for wrong in ("a.txt", "b.csv"):
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(SampError):
            read_file(tmp_path / wrong)


# A campaign ----------------------------------------------------------------------------------------------------------


def emberline(*words: object) -> Any:
    """A command, in this process; an error of ours is in `exception`."""
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)


def test_a_campaign_sends_and_receives(hub: Hub, other: Samp, tmp_path: Path) -> None:
    folder = make_campaign(tmp_path)
    tables: list[Any] = []
    other.on_table(tables.append)
    done = emberline("samp", "send", folder, "--to", "aladin", "--json")
    assert done.exception is None, done.stderr
    assert json.loads(done.stdout)["deliveries"][0]["ok"]
    assert len(tables[0].table) == 70
    campaign = Campaign(folder)
    asked = {question.identifier for question in campaign.database.questions()}
    new = [name for name in campaign.pool.identifiers.tolist() if name not in asked][:4]
    campaign.close()
    refused = emberline("samp", "send", folder, "--spectrum", "nobody")
    assert "nobody: is not in the pool" in str(refused.exception)
    one = emberline("samp", "send", folder, "--spectrum", new[0])
    assert one.stdout == "Aladin test has taken it (table.load.votable)\n"
    assert "takes table.load.fits" in emberline("samp", "peers").stdout

    command = [sys.executable, "-c", "from emberline.cli import main; main()", "samp", "receive", str(folder)]
    with subprocess.Popen([*command, "--yes", "--once", "--json"], text=True, stdout=-1, stderr=-1) as process:
        assert process.stderr is not None
        assert "Waiting for tables" in process.stderr.readline()
        (sent,) = other.send_table(Table({"flux": [1.5]}), to="Emberline Search")
        assert "no row of the table is a spectrum of the pool" in sent.error
        (sent,) = other.send_table(Table({"obs_id": new}), name="follow-up", to="Emberline Search")
        assert sent.ok, sent.error
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["asked"] == new
    assert "Aladin test sends follow-up: 4 spectra of the pool, by the column obs_id" in err
    campaign = Campaign(folder)
    added = [question for question in campaign.database.questions() if question.added]
    campaign.close()
    assert {question.reason for question in added} == {"set received by SAMP: follow-up from Aladin test"}


def test_a_file_or_identifiers_are_asked_about(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path)
    campaign = Campaign(folder)
    asked = {question.identifier for question in campaign.database.questions()}
    new = [name for name in campaign.pool.identifiers.tolist() if name not in asked][:3]
    campaign.close()
    (tmp_path / "mine.csv").write_text("star\n" + "\n".join(new[:2]) + "\nunknown\n")
    done = emberline("campaign", "ask", folder, tmp_path / "mine.csv")
    assert done.stdout == "2 spectra were added to the questions of round 0.\n", done.stderr
    assert "2 of 3 rows found by the column star." in done.stderr
    done = emberline("campaign", "ask", folder, new[2], new[0], "nobody", "--json")
    found = json.loads(done.stdout)
    assert (found["asked"], found["before"], found["unknown"]) == ([new[2]], [new[0]], ["nobody"])


def test_write_spectrum_keeps_its_name(tmp_path: Path) -> None:
    grid = Grid(np.linspace(1.0, 2.0, 5))
    write_spectrum(
        Spectrum(grid, np.ones(5, "f4"), np.ones(5, "f4"), np.zeros(5, "u1"), Metadata(identifier="")),
        tmp_path / "s.vot",
    )
    assert read_table((tmp_path / "s.vot").read_bytes(), "votable").colnames == ["wave", "flux", "err", "mask"]
