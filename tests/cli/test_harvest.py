"""Spectra of other archives on the command line: what is printed, the exit codes, and going on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from emberline.archive import open_archive
from emberline.cli import cli
from emberline.errors import EmberlineError
from emberline.jobs import ParameterError
from tests.vo.client.harvest.spectra import FITS, image_spectrum, listing, table_spectrum, write_listing
from tests.vo.client.misbehaving import PAGE, Misbehaving


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    """A server that the user's configuration allows."""
    with Misbehaving() as running:
        config = tmp_path / "vo.toml"
        config.write_text(f'allow = ["{running.host}"]\nrate = 10000.0\ntries = 1\n')
        monkeypatch.setenv("EMBERLINE_VO", str(config))
        monkeypatch.setenv("EMBERLINE_CACHE", str(tmp_path / "cache"))
        yield running


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def offered(server: Misbehaving) -> str:
    return server.serve(
        "/ssa",
        listing(
            {"url": server.serve("/a.fits", image_spectrum(), FITS), "title": "Spectrum A", "did": "ivo://x/y?a"},
            {"url": server.serve("/b", table_spectrum(), FITS), "title": "Spectrum B", "did": "ivo://x/y?b"},
            {"url": server.serve("/page", PAGE, "text/html"), "title": "Page"},
        ),
    )


def test_ingest_from_a_service(server: Misbehaving, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    result = run("ingest", "--ssap", offered(server), "--pos", "10 20", "--into", archive)
    assert result.exit_code == 3, result.output
    assert f"{server.host}/ssa at 10 20: 3 records" in result.output
    assert "3 files fetched" in result.output
    assert "2 spectra new in the archive, 1 files failed" in result.output
    assert "found a web page 'Down'" in result.output
    assert f"emberline harvest history {archive} --state failed" in result.output
    assert len(open_archive(archive).catalogue()) == 2
    asked = next(request for request in server.requests if request.path == "/ssa")
    assert asked.query["POS"] == ["10,20"]
    assert float(asked.query["SIZE"][0]) == pytest.approx(10 / 3600, rel=1e-3)


def test_history_and_another_try(server: Misbehaving, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    run("ingest", "--ssap", offered(server), "--pos", "10 20", "--into", archive)
    result = run("harvest", "history", archive)
    assert result.exit_code == 0
    assert result.output.startswith("0 waiting, 0 fetched, 2 ingested, 1 failed, 0 skipped")
    failed = json.loads(run("harvest", "history", archive, "--state", "failed", "--json").output)
    assert [file["title"] for file in failed["files"]] == ["Page"]
    assert failed["files"][0]["tries"] == 1
    server.serve("/page", image_spectrum(9), FITS)
    again = run("ingest", "--into", archive, "--retry-failed", "--json")
    assert again.exit_code == 0, again.output
    summary = json.loads(again.stdout)
    assert (summary["fetched"], summary["spectra"], summary["failed"]) == (1, 1, 0)
    assert server.count("/a.fits") == 1
    nothing = run("ingest", "--into", archive)
    assert nothing.exit_code == 0
    assert "0 files fetched" in nothing.output


def test_ingest_from_a_list(server: Misbehaving, tmp_path: Path) -> None:
    url = server.serve("/a.fits", image_spectrum(), FITS)
    path = write_listing(tmp_path / "list.vot", {"url": url})
    result = run("ingest", "--votable", path, "--into", tmp_path / "archive", "--keep")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "archive" / ".harvest" / "files").iterdir())) == 1


def test_search_asks_and_fetches_nothing(server: Misbehaving) -> None:
    service = offered(server)
    result = run("harvest", "search", "--ssap", service, "--pos", "10 20")
    assert result.exit_code == 0
    assert "Spectrum A" in result.output
    assert server.count("/a.fits") == 0
    found = json.loads(run("harvest", "search", "--ssap", service, "--pos", "10 20", "--json").output)
    assert len(found["services"][0]["records"]) == 3
    assert run("harvest", "options", "--ssap", service, "--pos", "10 20").output == "These services offer no options.\n"


def test_the_time_the_band_and_the_limit_are_asked(server: Misbehaving) -> None:
    run("harvest", "search", "--ssap", offered(server), "--pos", "10 20", "--band", "650/660 nm", "--time", "2012",
        "--limit", "7")  # fmt: skip
    asked = next(request for request in server.requests if request.path == "/ssa").query
    low, high = map(float, asked["BAND"][0].split("/"))
    assert (low, high) == pytest.approx((6.5e-7, 6.6e-7))
    assert asked["TIME"][0].startswith("2012-01-01")
    assert asked["MAXREC"] == ["7"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.fits", "--ssap", "https://x.test"], "Give either PATHS or what to fetch"),
        ([], "Missing argument 'PATHS...', or what to fetch"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("ingest", *arguments, "--into", tmp_path / "archive")
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ssap", "https://x.test"], "position is missing"),
        (["--ssap", "https://x.test", "--pos", "1 2", "--band", "red"], "band: cannot be understood"),
        (["--tap", "SELECT 1"], "service is missing"),
    ],
)
def test_wrong_parameters(server: Misbehaving, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("ingest", *arguments, "--into", tmp_path / "archive")
    assert isinstance(result.exception, ParameterError)
    assert message in str(result.exception)
    assert not (tmp_path / "archive").exists()


def test_one_service_that_cannot_be_asked_is_one_error(server: Misbehaving, tmp_path: Path) -> None:
    result = run("ingest", "--ssap", f"{server.url}/nowhere", "--pos", "1 2", "--into", tmp_path / "archive")
    assert isinstance(result.exception, EmberlineError)
    assert "404" in str(result.exception)
    assert not (tmp_path / "archive").exists()


def test_no_history(tmp_path: Path) -> None:
    result = run("harvest", "history", tmp_path)
    assert isinstance(result.exception, EmberlineError)
    assert "nothing was ever fetched into this archive" in str(result.exception)
