"""Line lists: sorted, in vacuum, with the values that every astronomer knows."""

from __future__ import annotations

import pytest

from emberline.spectral_lines import line_lists


@pytest.mark.parametrize(
    ("list_name", "line", "vacuum"),
    [
        ("Hydrogen", "Hα", 6564.61),
        ("Hydrogen", "Hβ", 4862.68),
        ("Nebulae", "[O III]", 5008.24),
        ("Quasars", "Hα", 6564.61),
    ],
)
def test_wavelengths_are_those_in_vacuum(list_name: str, line: str, vacuum: float) -> None:
    found = [entry.vacuum for entry in line_lists()[list_name] if entry.name == line]
    assert any(value == pytest.approx(vacuum, abs=0.03) for value in found)


@pytest.mark.parametrize("name", list(line_lists()))
def test_every_list_is_sorted_and_plausible(name: str) -> None:
    lines = line_lists()[name]
    wavelengths = [line.vacuum for line in lines]
    assert wavelengths == sorted(wavelengths)
    assert len(lines) > 4
    assert 1000 < wavelengths[0] < wavelengths[-1] < 11000
    assert all(line.name for line in lines)
    assert {line.fixed for line in lines} == {name == "Air"}


def test_the_same_line_is_at_the_same_place_in_every_list() -> None:
    """Quasars are listed in vacuum, nebulae in air: they must agree."""
    lists = line_lists()
    nebulae = {round(line.vacuum, 1) for line in lists["Nebulae"] if line.name == "[O III]"}
    quasars = {round(line.vacuum, 1) for line in lists["Quasars"] if line.name == "[O III]"}
    assert quasars <= nebulae
