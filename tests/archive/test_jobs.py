"""Long work on archives as jobs: within a workspace, interrupted and called again, and never outside."""

from __future__ import annotations

import dataclasses
import importlib
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from archives import content, write_lamost, write_survey

from emberline.archive import open_archive
from emberline.archive.jobs import FEATURES, INGEST, SIMULATE, run_ingest
from emberline.confinement import Confinement, OutsideError
from emberline.errors import ArchiveError, EmberlineError, RecipeError
from emberline.jobs import JobContext, JobType, ParameterError, describe, run_foreground, validate


class StopError(Exception):
    """Stands for whatever interrupts a job."""


def run(job_type: JobType, folder: Path, values: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """A job as a worker runs it in the workspace `folder`."""
    bounds = Confinement(folder, context.pop("readable", ()))
    given = JobContext(folder=folder / "jobs" / "x" / "results", confinement=bounds, **context)
    module, _, name = job_type.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    found: dict[str, Any] = function(validate(job_type, values, bounds), given)
    return found


def stop_at(done: int, wanted: str) -> Any:
    """A progress that interrupts the step `wanted` once so much of it is done."""

    def progress(step: str, count: int, total: int | None) -> None:
        if step == wanted and count >= done:
            raise StopError

    return progress


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with eight spectra in ``data``, and a folder beside it with another."""
    write_survey(tmp_path / "workspace" / "data", 8)
    write_survey(tmp_path / "outside", 1, first=900)
    return tmp_path / "workspace"


# Ingest ---------------------------------------------------------------------------------------------------------------


def test_an_ingest_names_files_relative_to_the_workspace(workspace: Path) -> None:
    summary = run(INGEST, workspace, {"paths": ["data"], "into": "survey", "workers": 1})
    assert (summary["ingested"], summary["rejected"], summary["archive"]) == (8, 0, "survey")
    files = open_archive(workspace / "survey").catalogue(["source_file"])["source_file"].to_pylist()
    assert sorted(files)[0] == "data/00000.fits"


def test_the_same_job_in_the_foreground_takes_any_path(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    summary = run_foreground(INGEST, {"paths": ["../outside", "data"], "into": "../elsewhere", "workers": 1})
    assert (summary["ingested"], summary["archive"]) == (9, "../elsewhere")


@pytest.mark.parametrize("paths", [["data"], ["data/*"], ["d*/**/*.fits*"], ["**"], ["."]])
def test_links_that_lead_out_are_rejected_and_the_rest_goes_on(workspace: Path, paths: list[str]) -> None:
    secret = next((workspace.parent / "outside").iterdir())
    (workspace / "data" / "link.fits").symlink_to(secret)
    (workspace / "data" / "way").symlink_to(workspace.parent / "outside")
    (workspace / "data" / "inside.fits").symlink_to(workspace / "data" / "00000.fits")
    parameters = dataclasses.replace(
        validate(INGEST, {"paths": ["data"], "into": "survey", "workers": 1}, Confinement(workspace)),
        paths=tuple(workspace / path for path in paths),
    )
    summary = run_ingest(parameters, JobContext(folder=workspace, confinement=Confinement(workspace)))
    assert summary["ingested"] == 8
    assert set(summary["by_reason"]) == {"outside"}
    rejects = open_archive(workspace / "survey").rejected().to_pylist()
    assert {row["file"] for row in rejects} <= {"data/link.fits", "data/way"}
    assert any(row["file"].endswith("link.fits") for row in rejects)
    assert not any(secret.name in row["file"] for row in rejects)


@pytest.mark.parametrize("pattern", ["*", "**/*", "da*/../*", "."])
def test_what_the_engine_keeps_is_never_ingested(workspace: Path, pattern: str) -> None:
    write_lamost(workspace / "jobs" / "1" / "results" / "other.fits", 77)
    write_lamost(workspace / ".emberline" / "key.fits", 78)
    (workspace / "data" / "short-cut.fits").symlink_to(workspace / "jobs" / "1" / "results" / "other.fits")
    bounds = Confinement(workspace)
    parameters = dataclasses.replace(
        validate(INGEST, {"paths": ["data"], "into": "survey", "workers": 1}, bounds), paths=(workspace / pattern,)
    )
    summary = run_ingest(parameters, JobContext(folder=workspace, confinement=bounds))
    assert summary["ingested"] == 8
    files = {os.path.normpath(row["file"]) for row in open_archive(workspace / "survey").rejected().to_pylist()}
    assert files == {"data/short-cut.fits"}


def test_members_of_tar_files_and_readable_folders_are_taken(workspace: Path) -> None:
    with tarfile.open(workspace / "more.tar", "w") as tar:
        for path in sorted((workspace / "data").iterdir()):
            tar.add(path, arcname=f"../../{path.name}")
    outside = workspace.parent / "outside"
    values = {"paths": ["more.tar", str(outside)], "into": "survey", "workers": 1}
    summary = run(INGEST, workspace, values, readable=(outside,))
    assert (summary["ingested"], summary["rejected"]) == (9, 0)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"paths": ["../outside"], "into": "survey"}, "paths"),
        ({"paths": ["/etc/passwd"], "into": "survey"}, "paths"),
        ({"paths": ["data"], "into": "../survey"}, "into"),
        ({"paths": [], "into": "survey"}, "paths"),
        ({"paths": ["data"], "into": "survey", "workers": 0}, "workers"),
        ({"paths": ["data"], "into": "jobs/x"}, "into"),
    ],
)
def test_wrong_parameters_are_named(workspace: Path, values: dict[str, Any], field: str) -> None:
    with pytest.raises(ParameterError) as caught:
        run(INGEST, workspace, values)
    assert set(caught.value.fields) == {field}


def test_an_archive_with_a_link_out_of_it_is_not_written(workspace: Path) -> None:
    run(INGEST, workspace, {"paths": ["data/00000.fits"], "into": "survey", "workers": 1})
    (workspace / "survey" / "features").symlink_to(workspace.parent / "outside")
    for job_type, values in (
        (INGEST, {"paths": ["data"], "into": "survey"}),
        (FEATURES, {"archive": "survey", "recipe": "halpha-140"}),
        (SIMULATE, {"into": "new", "spectra": 5, "seed": 1, "hosts": "survey"}),
    ):
        with pytest.raises(OutsideError):
            run(job_type, workspace, values)
    assert len(list((workspace.parent / "outside").iterdir())) == 1


def test_an_interrupted_ingest_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emberline.archive.ingestion._FILES_PER_JOB", (2, 2))
    values = {"paths": ["data"], "into": "survey", "workers": 1}
    with pytest.raises(StopError):
        run(INGEST, workspace, values, progress=stop_at(4, "ingest"))
    steps: list[tuple[str, int]] = []
    summary = run(INGEST, workspace, values, progress=lambda step, done, total: steps.append((step, done)))
    assert (summary["ingested"], summary["already"], summary["total"]) == (4, 4, 8)
    assert set(INGEST.steps) == {step for step, _ in steps}
    run(INGEST, workspace, {**values, "into": "other"})
    assert content(workspace / "survey")["arrays"] == content(workspace / "other")["arrays"]


# Features and simulations ---------------------------------------------------------------------------------------------


def test_an_interrupted_simulation_goes_on_and_its_features_too(workspace: Path) -> None:
    values = {"into": "survey", "spectra": 1500, "seed": 3, "prevalence": 0.1, "workers": 1}
    with pytest.raises(StopError):
        run(SIMULATE, workspace, values, progress=stop_at(1, "simulate"))
    steps: list[tuple[str, int]] = []
    summary = run(SIMULATE, workspace, values, progress=lambda step, done, total: steps.append((step, done)))
    assert 0 < summary["ingested"] < 1500
    assert (summary["total"], summary["archive"]) == (1500, "survey")
    assert {step for step, _ in steps} == set(SIMULATE.steps)
    run(SIMULATE, workspace, {**values, "into": "whole"})
    assert content(workspace / "survey") == content(workspace / "whole")
    asked = {"archive": "survey", "recipe": "halpha-140"}
    with pytest.raises(StopError):
        run(FEATURES, workspace, asked, progress=stop_at(1500, "features"))
    built = run(FEATURES, workspace, asked)
    assert (built["spectra"], built["pixels"], built["recipe"]) == (1500, 140, "halpha-140")


def test_recipes_by_name_or_by_a_file_inside(workspace: Path) -> None:
    from emberline.features import Recipe

    run(INGEST, workspace, {"paths": ["data"], "into": "survey", "workers": 1})
    narrow = dataclasses.replace(Recipe.load("halpha-140"), name="narrow", window_angstrom=(6400.0, 6500.0), pixels=20)
    for place in (workspace / "narrow.toml", workspace.parent / "outside" / "narrow.toml"):
        place.write_text(narrow.to_toml(), encoding="utf-8")
    built = run(FEATURES, workspace, {"archive": "survey", "recipe": "narrow.toml"})
    assert (built["recipe"], built["pixels"], built["spectra"]) == ("narrow", 20, 8)
    with pytest.raises(OutsideError, match="leads out of the workspace"):
        run(FEATURES, workspace, {"archive": "survey", "recipe": "../outside/narrow.toml"})
    with pytest.raises(RecipeError, match="Did you mean 'halpha-140'"):
        run(FEATURES, workspace, {"archive": "survey", "recipe": "halpha-141"})
    with pytest.raises(ArchiveError):
        run(FEATURES, workspace, {"archive": "data", "recipe": "halpha-140"})


def test_hosts_may_lie_in_a_folder_that_is_only_read(workspace: Path) -> None:
    outside = workspace.parent / "outside"
    run_foreground(SIMULATE, {"into": str(outside / "stars"), "spectra": 40, "seed": 5, "workers": 1})
    values = {"into": "new", "spectra": 30, "seed": 1, "hosts": str(outside / "stars"), "workers": 1}
    with pytest.raises(ParameterError, match="leads out"):
        run(SIMULATE, workspace, values)
    assert run(SIMULATE, workspace, values, readable=(outside,))["ingested"] == 30
    with pytest.raises(ParameterError, match="leads out"):
        run(SIMULATE, workspace, {**values, "into": str(outside / "new")}, readable=(outside,))


@pytest.mark.parametrize("job_type", [INGEST, FEATURES, SIMULATE], ids=lambda t: t.name)
def test_presets_name_real_parameters_with_values_that_fit(job_type: JobType, tmp_path: Path) -> None:
    required: dict[str, Any] = {"paths": ["x"], "into": "y", "archive": "z", "recipe": "r", "spectra": 1, "seed": 1}
    names = {field.name for field in describe(job_type.parameters)}
    given = {name: value for name, value in required.items() if name in names}
    assert job_type.presets
    for preset in job_type.presets:
        validate(job_type, {**given, **preset.parameters}, Confinement(tmp_path))
    assert set(job_type.writes) <= names
    assert sum(job_type.steps.values()) == pytest.approx(1)


def test_readers_and_recipes_of_presets_exist() -> None:
    from emberline.archive.readers import readers
    from emberline.features import shipped_recipes

    assert {p.parameters["reader"] for p in INGEST.presets if p.parameters} <= set(readers())
    assert {p.parameters["recipe"] for p in FEATURES.presets} <= set(shipped_recipes())


def test_a_condition_reads_no_file_and_writes_none(workspace: Path) -> None:
    run(INGEST, workspace, {"paths": ["data"], "into": "survey", "workers": 1})
    archive = open_archive(workspace / "survey")
    target = workspace.parent / "stolen"
    for where in (
        "identifier in (SELECT content FROM read_text('/etc/hostname'))",
        f"true); COPY (SELECT 1) TO '{target}'; --",
        "ra > (SELECT count(*) FROM glob('/*'))",
        "true); SET enable_external_access = true; --",
        "ra > 0 AND identifier IN (SELECT identifier FROM 'catalogue.parquet')",
    ):
        with pytest.raises(EmberlineError, match="condition cannot be used"):
            archive.catalogue(["identifier"], where=where)
    assert not target.exists()
