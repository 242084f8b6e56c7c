"""The group vo: what it prints, its exit codes, and that the workspace's own configuration holds."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from emberline.cli import cli
from emberline.cli.vo import vo
from emberline.errors import ConfigError
from emberline.vo.client import ServiceError, registry
from emberline.vo.client.registry import PROTOCOLS, WAVEBANDS, Service
from tests.vo.client.misbehaving import GOOD, PAGE, Misbehaving

SESAME = b"""<?xml version="1.0"?><Sesame><Target><Resolver name="S=Simbad"><otype>Be*</otype><jradeg>345.48</jradeg>
<jdedeg>42.326</jdedeg><oname>* omi And</oname><alias>HD 217675</alias></Resolver></Target></Sesame>"""
OFF = ("registry", "gaia", "vizier", "xmatch", "hips2fits", "aladin", "literature")


@pytest.fixture(autouse=True)
def _nothing_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EMBERLINE_VO", raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EMBERLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        server.serve("/tap/sync", GOOD)
        server.serve("/sesame", SESAME, "text/xml")
        yield server


@pytest.fixture
def workspace(server: Misbehaving, tmp_path: Path) -> Path:
    """A workspace that asks two services of the server, and nothing else."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    lines = [f'allow = ["{server.host}"]', "rate = 1000.0", "tries = 1", "[services]"]
    lines += [f'simbad = "{server.url}/tap"', f'sesame = "{server.url}/sesame"', "ssap = []", "variability = []"]
    (folder / "vo.toml").write_text("\n".join([*lines, *(f'{name} = ""' for name in OFF)]))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["vo", *map(str, arguments)])


def test_check_tells_which_answer(server: Misbehaving, workspace: Path) -> None:
    server.serve("/sesame", SESAME.replace(b"345.48", b"279.2347").replace(b"42.326", b"38.7837"), "text/xml")
    result = run("check", "--workspace", workspace)
    assert result.exit_code == 0, result.output
    assert f"{server.url}/tap" in result.output
    assert "2 of 2 answer." in result.output
    assert result.output.count("switched off") == 7


def test_check_fails_when_one_does_not_answer(server: Misbehaving, workspace: Path) -> None:
    server.serve("/tap/sync", PAGE, "text/html", 503)
    result = run("check", "--workspace", workspace, "--json")
    assert result.exit_code == 1
    found = {item["service"]: item for item in json.loads(result.stdout)["services"]}
    assert found["simbad"]["state"] == "fails"
    assert "maintenance" in found["simbad"]["message"]
    assert found["simbad"]["address"] == f"{server.url}/tap"
    assert found["gaia"]["state"] == "off"
    assert found["sesame"]["state"] == "fails"  # what it knows is not Vega
    assert "0 of 2 answer." in run("check", "--workspace", workspace).output


def test_config_prints_what_holds_and_where_it_comes_from(server: Misbehaving, workspace: Path, tmp_path: Path) -> None:
    printed = run("config", "--workspace", workspace).output
    assert f"# From: {workspace / 'vo.toml'}" in printed
    assert tomllib.loads(printed)["services"]["simbad"] == f"{server.url}/tap"
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "vo.toml").write_text(printed)
    again = json.loads(run("config", "--workspace", tmp_path / "again", "--json").output)
    assert again["config"] == tomllib.loads(printed)
    assert again["cache"] == str(tmp_path / "cache")
    assert json.loads(run("config", "--json").output)["source"] == "defaults"


def test_a_wrong_configuration_is_said(workspace: Path) -> None:
    (workspace / "vo.toml").write_text("ofline = true\n")
    for command in ("check", "config", "cache"):
        result = run(command, "--workspace", workspace)
        assert isinstance(result.exception, ConfigError)
        assert "Did you mean 'offline'" in str(result.exception)


def test_resolve_prints_place_and_names(server: Misbehaving, workspace: Path) -> None:
    result = run("resolve", "omi And", "--workspace", workspace)
    assert result.output == "* omi And (Be*)\n345.480000 +42.326000 deg, ICRS (Simbad)\nHD 217675\n"
    found = json.loads(run("resolve", "omi And", "--workspace", workspace, "--json").output)
    assert (found["ra"], found["dec"], found["names"]) == (345.48, 42.326, ["* omi And", "HD 217675"])
    assert server.count("/sesame") == 1  # the second time from the cache


def test_resolve_says_when_nobody_knows_the_name(server: Misbehaving, workspace: Path) -> None:
    server.serve("/sesame", b"<Sesame><Target><INFO>*** Nothing found ***</INFO></Target></Sesame>", "text/xml")
    result = run("resolve", "nonsense", "--workspace", workspace)
    assert result.exit_code == 1
    assert "no object is known by the name 'nonsense'" in result.output


def test_the_cache_is_told_of_and_emptied(workspace: Path, tmp_path: Path) -> None:
    run("resolve", "omi And", "--workspace", workspace)
    assert json.loads(run("cache", "--workspace", workspace, "--json").output)["answers"] == 1
    cleared = json.loads(run("cache", "--clear", "--workspace", workspace, "--json").output)
    assert cleared == {"folder": str(tmp_path / "cache"), "answers": 0, "bytes": 0, "dropped": 1}
    assert "0 answers" in run("cache", "--workspace", workspace).output


@pytest.mark.parametrize("position", ["somewhere", "1,2,3", "1,95", "nan,4"])
def test_search_refuses_what_is_no_position(workspace: Path, position: str) -> None:
    result = run("search", "stars", "--position", position, "--workspace", workspace)
    assert result.exit_code == 2
    assert "no position" in result.output


def test_search_needs_a_registry(workspace: Path) -> None:
    result = run("search", "stars", "--workspace", workspace)
    assert isinstance(result.exception, ServiceError)


def test_search_offers_what_the_registry_knows() -> None:
    options = {option.name: option.type for option in vo.commands["search"].params}
    assert list(options["protocol"].choices) == list(PROTOCOLS)  # type: ignore[attr-defined]
    assert list(options["waveband"].choices) == list(WAVEBANDS)  # type: ignore[attr-defined]


def test_search_lists_services(server: Misbehaving, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def found(session: object, **given: Any) -> tuple[Service, ...]:
        asked.update(given)
        return (Service("ivo://a/ssa", "Spectra of stars", protocol="ssa", access_url="https://a.example/ssa"),)

    monkeypatch.setattr(registry, "search", found)
    arguments = [
        "Be stars",
        "--protocol",
        "ssa",
        "--waveband",
        "optical",
        "--position",
        "345.48,42.33",
        "--radius",
        "1",
    ]
    result = run("search", *arguments, "--workspace", workspace)
    assert result.output == "Spectra of stars\n  ssa  https://a.example/ssa\n  ivo://a/ssa\n"
    assert (asked["keywords"], asked["protocol"], asked["waveband"], asked["radius"]) == (
        ("Be stars",), "ssa", "optical", 1.0,
    )  # fmt: skip
    assert asked["position"].ra.deg == pytest.approx(345.48)
    assert json.loads(run("search", "x", "--json", "--workspace", workspace).output)["services"][0]["title"]
    monkeypatch.setattr(registry, "search", lambda session, **given: ())
    assert "No service fits" in run("search", "x", "--workspace", workspace).output


@pytest.mark.parametrize("words", [["check"], ["resolve", "x"], ["search", "x"], ["cache"]])
def test_a_missing_package_is_said(words: list[str]) -> None:
    code = "import sys\nsys.modules['requests'] = None\nfrom emberline.cli import main\n"
    code += f"sys.argv = ['emberline', 'vo', *{words!r}]\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'emberline[vo]'" in done.stderr
    assert "Traceback" not in done.stderr
