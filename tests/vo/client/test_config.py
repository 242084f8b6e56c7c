"""The configuration of the client: where it is read, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberline.config import from_toml, to_toml
from emberline.errors import ConfigError
from emberline.vo.client import ClientConfig, ServicesConfig, cache_folder, load_config
from emberline.vo.client.config import config_source


@pytest.fixture(autouse=True)
def _nothing_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("EMBERLINE_VO", "EMBERLINE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_nearest_file_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    assert config_source(workspace) is None
    assert load_config(workspace) == ClientConfig()
    user = write(tmp_path / "home" / "emberline" / "vo.toml", "rate = 1")
    assert config_source(workspace) == user
    named = write(tmp_path / "named.toml", "rate = 2")
    monkeypatch.setenv("EMBERLINE_VO", str(named))
    assert load_config(workspace).rate == 2.0
    own = write(workspace / "vo.toml", "rate = 3")
    assert config_source(workspace) == own
    assert load_config(workspace).rate == 3.0
    assert load_config().rate == 2.0


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMBERLINE_VO", str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config()


def test_one_service_may_be_changed_and_the_rest_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "vo.toml", '[services]\nsimbad = "http://mirror.example/tap"\nssap = ["ivo://a/b"]')
    config = from_toml(ClientConfig, path)
    assert config.services == ServicesConfig(simbad="http://mirror.example/tap", ssap=("ivo://a/b",))


def test_what_is_printed_can_be_read_again(tmp_path: Path) -> None:
    config = ClientConfig(allow=("10.0.0.0/8", "a.local:80"), services=ServicesConfig(gaia=""))
    assert from_toml(ClientConfig, write(tmp_path / "vo.toml", to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ofline = true", "Did you mean 'offline'"), ("timeout = 0", "timeout"), ("total = -1.0", "total"),
        ("rate = inf", "rate"), ("rate = nan", "rate"), ("tries = 0", "tries"), ("max_bytes = 0", "max_bytes"),
        ("cache_days = -1", "cache_days"), ("cache_days = nan", "cache_days"), ('allow = ["10.0.0.1/8"]', "network"),
        ('allow = ["*.example"]', "no host"), ('allow = [""]', "no host"), ('proxy = "proxy:8080"', "proxy"),
        ('[services]\nsimbad = "simbad.example"', "services.simbad"),
        ('[services]\nhips2fits = "ivo://a/b"', "hips2fits"),
        ('[services]\nliterature = "https://a.example/{bibcod}"', "bibcod"), ('[services]\nsinbad = ""', "simbad"),
        ('[services]\nsimbad = "https://a.example/{ra}"', "ra"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "vo.toml", text)
    with pytest.raises(ConfigError, match=words) as caught:
        from_toml(ClientConfig, path)
    assert "vo.toml" in str(caught.value)


def test_where_answers_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "emberline" / "vo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "emberline" / "vo"
    monkeypatch.setenv("EMBERLINE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
