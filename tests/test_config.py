"""Configuration: TOML to frozen dataclasses and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pytest

from emberline import config
from emberline.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Inner:
    degree: int = 2
    limit: float = 1.5


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str
    size: int = 3
    share: float = 0.5
    quick: bool = False
    kind: Literal["small", "large"] = "small"
    window: tuple[float, float] = (1.0, 2.0)
    words: tuple[str, ...] = ()
    folder: Path | None = None
    inner: Inner | None = None
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    either: int | str = 0
    anything: Any = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size = {self.size} is negative")


def test_all_types_are_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        'name = "n"\nsize = 4\nshare = 1\nquick = true\nkind = "large"\nwindow = [3, 4.5]\nwords = ["a", "b"]\n'
        'folder = "/x"\neither = "text"\nanything = [1]\n[inner]\ndegree = 5\n[weights]\nbe = 2\n',
        encoding="utf-8",
    )
    found = config.from_toml(Outer, path)
    assert found == Outer(
        "n", 4, 1.0, True, "large", (3.0, 4.5), ("a", "b"), Path("/x"), Inner(5), {"be": 2.0}, "text", [1]
    )
    assert isinstance(found.share, float)
    copy = tmp_path / "b.toml"
    copy.write_text(config.to_toml(found), encoding="utf-8")
    assert config.from_toml(Outer, copy) == found


def test_defaults_and_hyphens():
    assert config.from_mapping(Outer, {"name": "n"}) == Outer("n")
    assert config.from_mapping(Inner, {"limit": 2}) == Inner(limit=2.0)


def test_what_is_none_is_left_out():
    assert "folder" not in config.to_mapping(Outer("n"))
    assert config.to_mapping(Outer("n", inner=Inner()))["inner"] == {"degree": 2, "limit": 1.5}


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, "'name' is missing"),
        ({"name": "n", "siez": 3}, "Did you mean 'size'"),
        ({"name": "n", "zzzzz": 3}, "Known keys: name, size"),
        ({"name": 3}, r"f \[name\].*found 3, expected text"),
        ({"name": "n", "size": 2.5}, "a whole number"),
        ({"name": "n", "size": True}, "a whole number"),
        ({"name": "n", "share": "x"}, "a number"),
        ({"name": "n", "quick": 1}, "true or false"),
        ({"name": "n", "kind": "larg"}, "Did you mean 'large'"),
        ({"name": "n", "window": [1]}, "an array of 2 values"),
        ({"name": "n", "window": 1}, "an array"),
        ({"name": "n", "words": ["a", 2]}, r"words\]\[1\].*expected text"),
        ({"name": "n", "inner": 2}, "a table"),
        ({"name": "n", "inner": {"degre": 2}}, "Did you mean 'degree'"),
        ({"name": "n", "weights": {"be": "x"}}, r"weights\]\.be"),
        ({"name": "n", "weights": 2}, "a table"),
        ({"name": "n", "either": 2.5}, "text"),
        ({"name": "n", "size": -1}, "size = -1 is negative"),
    ],
)
def test_what_is_wrong_is_named(mapping, words):
    with pytest.raises(ConfigError, match=words):
        config.from_mapping(Outer, mapping, where="f")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read"):
        config.from_toml(Inner, tmp_path / "absent.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("degree = ", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml: is not valid TOML"):
        config.from_toml(Inner, bad)
