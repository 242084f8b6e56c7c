"""Blocks: split, halved where they overflow, and each failure told with its rows."""

from __future__ import annotations

import pytest
from astropy.table import Table

from emberline.vo.client import ServiceDownError, ServiceError
from emberline.vo.client._uploads import in_blocks
from emberline.vo.client.session import Session


def rows(start: int, stop: int, *, overflow: bool = False) -> Table:
    table = Table({"row": list(range(start, stop))}, dtype=["i8"])
    table.meta["overflow"] = overflow
    return table


def test_blocks_in_their_order(session: Session) -> None:
    done: list[int] = []
    asked: list[tuple[int, int]] = []

    def ask(start: int, stop: int) -> Table:
        asked.append((start, stop))
        return rows(start, stop)

    found = in_blocks(session, 7, 3, ask, finished=done.append)
    assert found["row"].tolist() == list(range(7))
    assert asked == [(0, 3), (3, 6), (6, 7)]
    assert done == [3, 6, 7]
    assert found.meta["failures"] == ()
    assert found.meta["overflow"] is False


def test_what_overflows_is_asked_for_in_halves(session: Session) -> None:
    asked: list[tuple[int, int]] = []

    def ask(start: int, stop: int) -> Table:
        asked.append((start, stop))
        return rows(start, stop, overflow=stop - start > 2)

    assert in_blocks(session, 8, 8, ask)["row"].tolist() == list(range(8))
    assert len(asked) == 7
    single = in_blocks(session, 2, 2, lambda start, stop: rows(start, stop, overflow=True))
    assert single["row"].tolist() == [0, 1]
    assert single.meta["overflow"] is True, "a single row that overflows is told"


def test_a_block_that_fails_is_told_and_the_others_go_on(session: Session) -> None:
    def ask(start: int, stop: int) -> Table:
        if start == 2:
            raise ServiceError("no", service_said="not these")
        return rows(start, stop)

    found = in_blocks(session, 6, 2, ask)
    assert found["row"].tolist() == [0, 1, 4, 5]
    (failure,) = found.meta["failures"]
    assert (failure.start, failure.stop, failure.error.service_said) == (2, 4, "not these")


def test_a_service_that_is_down_is_asked_no_more(session: Session) -> None:
    asked = []

    def ask(start: int, stop: int) -> Table:
        asked.append(start)
        if start:
            raise ServiceDownError("down")
        return rows(start, stop)

    found = in_blocks(session, 100, 10, ask)
    assert asked == [0, 10]
    assert [(item.start, item.stop) for item in found.meta["failures"]] == [(10, 100)]


def test_nothing_answered_is_an_error(session: Session) -> None:
    def ask(start: int, stop: int) -> Table:
        raise ServiceError(f"no {start}")

    with pytest.raises(ServiceError, match="no 0"):
        in_blocks(session, 4, 2, ask)


def test_answers_without_rows_are_answers(session: Session) -> None:
    assert len(in_blocks(session, 4, 2, lambda start, stop: rows(0, 0))) == 0
