"""The same function without a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emberline.confinement import Confinement, OutsideError
from emberline.errors import EmberlineError
from emberline.jobs import JobContext, JobType, ParameterError, run_foreground
from tests.jobs.job_types import JOB_TYPES, Count

TYPES = {job_type.name: job_type for job_type in JOB_TYPES}
HERE = "tests.jobs.test_foreground"


def say_path(parameters: Count, context: JobContext) -> dict[str, Any]:
    return {"path": str(context.path("a/b")), "folder": str(context.folder), "attempt": context.attempt}


def interrupt(parameters: Count, context: JobContext) -> None:
    raise KeyboardInterrupt


def say_nothing_useful(parameters: Count, context: JobContext) -> list[int]:
    return [1]


def job_type(name: str) -> JobType:
    return JobType(name, name, "", Count, f"{HERE}:{name}")


def test_the_summary_comes_back_and_progress_is_passed_on(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    summary = run_foreground(
        TYPES["count"],
        {"items": 3},
        progress=lambda step, done, total: seen.append((step, done, total)),
        folder=tmp_path / "new",
    )
    assert summary == {"sum": 3}
    assert seen == [("count", 1, 3), ("count", 2, 3), ("count", 3, 3)]
    assert (tmp_path / "new" / "done.txt").read_text() == "0 1\n1 1\n2 1\n"


def test_an_instance_is_taken_as_it_is() -> None:
    assert run_foreground(TYPES["count"], Count(items=2)) == {"sum": 1}


def test_the_summary_is_what_json_can_hold(tmp_path: Path) -> None:
    assert run_foreground(TYPES["write"], {}, folder=tmp_path) == {"found": None, "names": ["a", "b"]}


def test_wrong_parameters_are_refused_by_the_same_words() -> None:
    with pytest.raises(ParameterError, match="items"):
        run_foreground(TYPES["count"], {"itens": 3})


def test_paths_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    summary = run_foreground(job_type("say_path"), {})
    assert summary["path"] == str(tmp_path / "a/b")
    assert summary["attempt"] == 1
    assert not Path(summary["folder"]).exists(), "nobody asked to keep the results"


def test_errors_pass_through_unchanged() -> None:
    with pytest.raises(EmberlineError, match=r"^a\.fits: is wrong\. Repair it\.$"):
        run_foreground(TYPES["fail"], {"how": "emberline"})
    with pytest.raises(ValueError, match="no good"):
        run_foreground(TYPES["fail"], {"how": "value"})
    with pytest.raises(KeyboardInterrupt):
        run_foreground(job_type("interrupt"), {})


def test_a_function_that_returns_no_mapping_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(TypeError, match="returned list"):
        run_foreground(job_type("say_nothing_useful"), {})


def test_a_function_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(EmberlineError, match="nothing_such"):
        run_foreground(TYPES["missing"], {})


def test_in_a_workspace_paths_are_confined(tmp_path: Path) -> None:
    context = JobContext(folder=tmp_path, confinement=Confinement(tmp_path))
    assert context.path("a", write=True) == tmp_path / "a"
    with pytest.raises(OutsideError):
        context.path("../a")


def test_a_checkpoint_is_kept_as_json_can_hold_it(tmp_path: Path) -> None:
    kept: list[Any] = []
    context = JobContext(folder=tmp_path, save=kept.append)
    context.save_checkpoint({"done": (1, 2)})
    assert kept == [{"done": [1, 2]}]
    assert context.checkpoint == {"done": [1, 2]}
