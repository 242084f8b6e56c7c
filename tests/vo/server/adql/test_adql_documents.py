"""The reference says what is offered: each function by name, each limit by its number, each promise by an example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from emberline.vo.server.adql import Runner
from emberline.vo.server.adql._functions import NAMES
from emberline.vo.server.adql._lexer import MAXIMUM_DEPTH, MAXIMUM_LENGTH, MAXIMUM_TOKENS
from emberline.vo.server.adql._parser import CASTS

REFERENCE = (Path(__file__).parents[4] / "docs" / "reference" / "adql.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_each_function_is_in_the_reference(name: str) -> None:
    assert re.search(rf"`{name}\b", REFERENCE)


def test_types_and_limits_are_in_the_reference() -> None:
    for name in set(CASTS) - {"INT", "DOUBLE"}:
        assert name in REFERENCE
    assert f"| length of a query | {MAXIMUM_LENGTH:,} characters, {MAXIMUM_TOKENS:,} words |" in REFERENCE
    assert f"| parentheses within parentheses | {MAXIMUM_DEPTH} |" in REFERENCE


def test_without_sqlglot_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sqlglot'] = None\n"
        "import emberline.vo.server.adql as adql\nadql.TableSet(()).with_tap_schema()\n"
        "try:\n    adql.translate\nexcept adql.AdqlError.__mro__[1] as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "emberline[vo]" in result.stdout


def test_what_the_reference_says_of_open_questions(runner: Runner) -> None:
    with runner.run(
        "SELECT 1/3600, RAND(5), CONTAINS(POINT(1, 2), CIRCLE(1, 1, 1)), 'a' || 2 FROM sky.notes"
    ) as result:
        row = result.read_all().slice(0, 1).to_pylist()[0].values()
    quotient, random, inside, text = row
    assert quotient == pytest.approx(1 / 3600)
    assert 0 <= random < 1
    assert (inside, text) == (1, "a2")
