"""Panels are found by their entry points; the example of the documents is one that works."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.campaign.panels import Finding, Panel, Tools, panels
from emberline.campaign.panels.config import ContextConfig
from emberline.campaign.panels.registry import chosen
from emberline.errors import ConfigError
from tests.campaign.panels.conftest import place

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "write-a-panel.md"
OURS = ["confusion", "identity", "photometry", "spectra", "catalogues", "sky", "variability", "literature"]


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[importlib.metadata.EntryPoint]]:
    """Entry points that a test adds to those of the installed packages."""
    added: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr("emberline.campaign.panels.registry.entry_points", lambda group: list(added))
    panels.cache_clear()
    yield added
    panels.cache_clear()


def announce(module: str, name: str, added: list[importlib.metadata.EntryPoint]) -> None:
    added.append(importlib.metadata.EntryPoint(name, module, "emberline.panels"))


def test_ours_are_there_in_their_order(announced: list[importlib.metadata.EntryPoint]) -> None:
    assert list(panels()) == OURS
    assert all(panel.title and panel.name == name for name, panel in panels().items())
    assert list(chosen(["sky", "identity"])) == ["sky", "identity"]
    with pytest.raises(ConfigError, match="Did you mean 'photometry'"):
        chosen(["photometri"])


def test_the_documented_panel_works(
    announced: list[importlib.metadata.EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    module = types.ModuleType("mypackage.galactic")
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "mypackage.galactic", module)
    (line,) = re.findall(r'^galactic = "(.*)"$', PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    announce(line, "galactic", announced)
    panel = panels()["galactic"]
    assert list(panels()) == [*OURS, "galactic"]
    found = panel.ask([place("anticentre", 86.4, 28.94), place("pole", 192.86, 27.13)], Tools(None, ContextConfig()))
    assert found["anticentre"].facts[1].value in ("+0.0", "-0.0")
    assert found["anticentre"].warnings[0].severity == "caution"
    assert not found["pole"].warnings


class Nameless(Panel):
    """Has no title."""

    name = "nameless"

    def ask(self, places: object, tools: object) -> dict[str, Finding]:
        return {}


class Impostor(Nameless):
    """Takes our name."""

    name, title = "sky", "Sky"


@pytest.mark.parametrize(
    ("value", "name", "said"),
    [
        (f"{__name__}:Nameless", "nameless", "needs a title"),
        (f"{__name__}:Impostor", "sky", "takes a name that is in use"),
        (f"{__name__}:PAGE", "page", "is no panel"),
        ("nowhere.at.all:Panel", "gone", "No module named"),
    ],
)
def test_a_bad_panel_takes_no_other_with_it(
    announced: list[importlib.metadata.EntryPoint],
    caplog: pytest.LogCaptureFixture,
    value: str,
    name: str,
    said: str,
) -> None:
    announce(value, name, announced)
    assert list(panels()) == OURS
    assert said in caplog.text
