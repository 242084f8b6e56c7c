"""What `campaign status` says of purity, completeness and further labels."""

from __future__ import annotations

from typing import Any

from emberline.cli.campaigns import _status_text


def said(control: int = 90, **last: Any) -> list[str]:
    """The lines for a campaign whose one round has this summary."""
    row = {
        "number": 2,
        "labels": 200 + control,
        "candidates": 61,
        "seconds": {"train": 4.0},
        "purity": {"value": 0.93, "low": 0.85, "high": 0.98, "n": 31},
        "completeness": {"value": 0.88, "low": 0.71, "high": 0.97, "n": 90},
        "completeness_from_draw": {"value": 1.0, "low": 0.34, "high": 1.0, "n": 90},
        "assumed": "nothing",
        "worth": 5.0,
        "gain": {"value": 1.2, "low": 0.0, "high": 4.0, "n": 200, "last": 2.0, "bound": 2.4, "rounds": 2},
    }
    status = {
        "name": "Search",
        "pool": 4000,
        "labels": {"start": 0, "query": 200, "control": control},
        "rounds": [row | last],
        "open_questions": 0,
        "unanswered": 0,
        "next": "emberline candidates search --out candidates.vot",
    }
    return _status_text(status).splitlines()


def test_further_labels_come_with_an_interval_and_what_to_do() -> None:
    lines = said()
    assert "New targets expected of the next 100 labels: 1.2 (95 % interval 0 to 4)." in lines
    assert any(line.startswith("Stop: with 90 % confidence fewer than 5 are expected") for line in lines)


def test_completeness_says_what_it_rests_on() -> None:
    assert any(line.startswith("Completeness: it rests on the random draw") for line in said())
    lines = said(assumed="scores", revised=1, unsure=2)
    assert any(line.startswith("Completeness: it assumes that likelier spectra") for line in lines)
    assert "From the random draw alone, without that: 1.000 (0.340–1.000)." in lines
    assert any(line.startswith("1 control answer was changed") for line in lines)
    assert any(line.startswith("2 control spectra could not be decided") for line in lines)


def test_without_control_labels_it_says_what_they_take() -> None:
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    lines = said(control=0, purity=nothing, completeness=nothing, completeness_from_draw=nothing)
    assert "Purity and completeness take control labels: per_round or final in [control]." in lines
    assert not any(line.startswith("Completeness:") for line in lines)


def test_a_round_without_a_network_and_one_of_an_older_version() -> None:
    empty = dict.fromkeys(("purity", "completeness", "completeness_from_draw", "gain", "assumed"))
    assert not any("next 100" in line for line in said(**empty))
    old = {"value": 6.1, "low": 3.8, "high": 9.2, "n": 200, "last": 9.0}
    lines = said(gain=old, worth=None)
    assert "New targets expected of the next 100 labels: 6.1 (95 % interval 4 to 9)." in lines
