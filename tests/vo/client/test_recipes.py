"""The recipes of the page for users: each is run as it stands there, against the archives of the tests."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from emberline.config import to_toml
from emberline.files import write_text
from tests.vo.client.other_archives import OtherArchives

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "ask-the-vo.md"
MOVED = (("14.17721, 60.71674", "40.0, 20.0"), ("[14.17721, 14.2], [60.71674, 60.8]", "[40.0, 40.1], [20.0, 20.05]"))
"""Real stars on the page, and those that the archives of the tests know."""


def test_all_recipes(others: OtherArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "vo.toml", to_toml(others.config))
    monkeypatch.setenv("EMBERLINE_VO", str(tmp_path / "vo.toml"))
    monkeypatch.setenv("EMBERLINE_CACHE", str(tmp_path / "cache"))
    text = PAGE.read_text("utf-8")
    for written, here in MOVED:
        assert written in text
        text = text.replace(written, here)
    names: dict[str, Any] = {}
    try:
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL), 1):
            exec(compile(block, f"recipe {number}", "exec"), names)
    finally:
        if "session" in names:
            names["session"].close()
    assert [service.ivoid for service in names["found"]] == ["ivo://emb.test/alpha"]
    assert len(names["spectra"]) == 3
    assert names["body"].startswith(b"SIMPLE")
    assert names["known"]["oidref"].tolist() == [1, 2]
    assert names["table"]["n"].tolist() == [11]
    for table in ("objects", "sources", "infrared", "pairs"):
        assert names[table]["place"].tolist() == [0, 1], table
    assert len(names["rows"]) == 3
    assert "pyvo" in sys.modules
    assert {"access_url", "obs_publisher_did"} <= set(names["data"].colnames)
