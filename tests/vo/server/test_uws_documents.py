"""UWS documents, compared with golden files; the golden files were checked against the UWS 1.1 schema."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from uws_documents import pretty

from emberline.jobs import Failure, Job, Phase, Result
from emberline.vo.server import _uws_documents as documents

GOLDEN = Path(__file__).parent / "golden"
BASE = "https://example.org/emberline/uws"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"

WAITING = Job(
    id="20260131T120000-waiting",
    type="ingest",
    label="",
    owner="",
    phase=Phase.PENDING,
    created="2026-01-31T12:00:00.123Z",
    queued=None,
    started=None,
    ended=None,
    quote=None,
    parameters={
        "archive": "archives/lamost",
        "paths": ["fits/a", "fits/b & c"],
        "snr": 5.5,
        "strict": True,
        "note": None,
    },
    progress=None,
    message="",
    eta=None,
    duration=0,
    destruction=None,
    attempt=0,
    failure=None,
    results=(),
    clone_of=None,
    version=7,
)
RUNNING = dataclasses.replace(
    WAITING,
    id="20260131T120100-running",
    label="Be stars, <first> try",
    owner="vera",
    phase=Phase.EXECUTING,
    started="2026-01-31T12:01:00.500Z",
    quote="2026-01-31T12:31:00.000Z",
    progress=0.25,
    message="reading 3 of 12 files",
    eta=1799.5,
    duration=7200.2,
    destruction="2026-03-01T00:00:00.000Z",
    attempt=2,
)
DONE = dataclasses.replace(
    RUNNING,
    id="20260131T120200-done",
    phase=Phase.COMPLETED,
    ended="2026-01-31T12:21:00.000Z",
    quote=None,
    progress=1.0,
    message="",
    eta=None,
    results=(
        Result("report/index.html", "text/html", 12345),
        Result("candidates & co.csv", "text/csv", 0),
    ),
    clone_of=RUNNING.id,
)
FAILED = dataclasses.replace(
    RUNNING,
    id="20260131T120300-failed",
    phase=Phase.ERROR,
    ended="2026-01-31T12:02:00.000Z",
    quote=None,
    progress=None,
    eta=None,
    message="",
    failure=Failure("no spectra (found 0 files, expected at least 1)", "transient", "Traceback …\nValueError"),
)
JOBS = {"waiting": WAITING, "running": RUNNING, "done": DONE, "failed": FAILED}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_the_golden_document(name: str) -> None:
    document = documents.job_document(JOBS[name], BASE, detail=True)
    assert document.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert pretty(document) == (GOLDEN / f"job-{name}.xml").read_text(encoding="utf-8")


def test_the_list_is_the_golden_document() -> None:
    document = documents.job_list(JOBS.values(), BASE)
    assert pretty(document) == (GOLDEN / "jobs.xml").read_text(encoding="utf-8")


def test_parameters_and_results_are_those_of_the_job() -> None:
    job = ElementTree.fromstring(documents.job_document(DONE, BASE, detail=False))
    for name, alone in (
        ("parameters", documents.parameters_document(DONE)),
        ("results", documents.results_document(DONE, BASE)),
    ):
        part = job.find(UWS + name)
        assert part is not None
        assert ElementTree.canonicalize(ElementTree.tostring(part)) == ElementTree.canonicalize(
            ElementTree.tostring(ElementTree.fromstring(alone))
        )


def test_an_empty_list_is_a_document() -> None:
    root = ElementTree.fromstring(documents.job_list([], BASE))
    assert root.tag == f"{UWS}jobs"
    assert root.attrib == {"version": "1.1"}
    assert not list(root)


def test_detail_is_announced_only_to_who_may_see_it() -> None:
    for detail in (True, False):
        summary = ElementTree.fromstring(documents.job_document(FAILED, BASE, detail=detail)).find(f"{UWS}errorSummary")
        assert summary is not None
        assert summary.attrib == {"type": "transient", "hasDetail": str(detail).lower()}
        assert "Traceback" not in "".join(summary.itertext())


HOSTILE = "a\x00b\x0b<script>&\ud800\ufffe]]>\"'\x1b[31m é✦𝔅"


@pytest.mark.parametrize("field", ["label", "owner", "message"])
def test_no_text_breaks_a_document(field: str) -> None:
    job = dataclasses.replace(
        FAILED,
        **{field: HOSTILE},
        parameters={HOSTILE: HOSTILE, "list": [HOSTILE, {"deep": HOSTILE}]},
        failure=Failure(HOSTILE, "fatal", HOSTILE),
        results=(Result(HOSTILE, HOSTILE, 1),),
    )
    clean = documents.clean(HOSTILE)
    assert clean == "a\ufffdb\ufffd<script>&\ufffd\ufffd]]>\"'\ufffd[31m é✦𝔅"
    root = ElementTree.fromstring(documents.job_document(job, BASE, detail=True))
    texts = [element.text for element in root.iter()]
    assert texts.count(clean) >= 4
    parameter = root.find(f"{UWS}parameters/{UWS}parameter")
    assert parameter is not None
    assert parameter.get("id") == clean
    if field != "message":
        assert clean in "".join(ElementTree.fromstring(documents.job_list([job], BASE)).itertext())


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, []),
        ("", [""]),
        ("x y", ["x y"]),
        (True, ["true"]),
        (3, ["3"]),
        (0.1, ["0.1"]),
        ([], []),
        (["a", "b"], ["a", "b"]),
        ({"a": "é"}, ['{"a": "é"}']),
    ],
)
def test_a_parameter_reads_as_it_is_written(value: Any, texts: list[str]) -> None:
    assert documents.parameter_texts(value) == texts


@pytest.mark.parametrize(("duration", "seconds"), [(0, 0), (0.2, 1), (60.0, 60), (60.5, 61)])
def test_a_short_duration_is_not_no_limit(duration: float, seconds: int) -> None:
    assert documents.whole_seconds(duration) == seconds


def test_pyvo_reads_the_documents() -> None:
    uws = pytest.importorskip("pyvo.io.uws")
    done = uws.parse_job(io.BytesIO(documents.job_document(DONE, BASE, detail=True)))
    assert (done.jobid, done.phase, done.runid, done.ownerid) == (DONE.id, "COMPLETED", DONE.label, "vera")
    assert done.creationtime.isot == "2026-01-31T12:00:00.123"
    assert done.executionduration.to_value("s") == 7201
    assert [(result.id_, result.href, result.size) for result in done.results] == [
        ("report/index.html", f"{BASE}/{DONE.id}/results/report/index.html", 12345),
        ("candidates & co.csv", f"{BASE}/{DONE.id}/results/candidates%20%26%20co.csv", 0),
    ]
    failed = uws.parse_job(io.BytesIO(documents.job_document(FAILED, BASE, detail=True)))
    assert failed.errorsummary.message.content == FAILED.failure.message  # type: ignore[union-attr]
    listed = uws.parse_job_list(io.BytesIO(documents.job_list(JOBS.values(), BASE)))
    assert [job.jobid for job in listed] == [job.id for job in JOBS.values()]
