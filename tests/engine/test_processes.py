"""The process pool: in order, bounded, and it neither hangs nor outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.engine.processes import available_cores, ordered_map
from emberline.errors import EngineError, ReadError


def _square(number: int) -> int:
    return number * number


def _fail(number: int) -> int:
    if number == 3:
        raise ReadError("bad", reason="no-spectrum", found="3")
    return number


def _die(number: int) -> int:
    if number == 2:
        os._exit(9)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_inputs_are_taken_as_needed(workers: int) -> None:
    taken: list[int] = []

    def inputs() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    results = ordered_map(_square, inputs(), workers)
    assert next(results) == 0
    assert len(taken) <= 2 * workers
    assert list(results) == [number * number for number in range(1, 20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_whole(workers: int) -> None:
    with pytest.raises(ReadError, match="bad") as caught:
        list(ordered_map(_fail, range(5), workers))
    assert caught.value.reason == "no-spectrum"
    assert caught.value.found == "3"


def test_a_dead_worker_is_said() -> None:
    with pytest.raises(EngineError, match="a worker process died"):
        list(ordered_map(_die, range(4), 2))


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import math\n"
        "from emberline.engine.processes import ordered_map\n"
        "print('started', list(ordered_map(math.factorial, range(4), 2)), __name__)\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["started [1, 1, 2, 6] __main__"]


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
