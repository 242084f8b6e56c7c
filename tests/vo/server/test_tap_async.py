"""TAP queries as jobs of strangers: from beginning to end, with uploads, errors, limits, and nothing to be found."""

from __future__ import annotations

import dataclasses
import io
import re
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import pyvo
from astropy.io.votable import parse
from astropy.table import Table
from dal_sky import ALPHA, Service, message_of, status_of

from emberline.jobs import Phase
from emberline.vo.server import tap_jobs
from emberline.vo.server.published import Published
from emberline.vo.server.tap_jobs import TapJobs, tap_jobs_of
from emberline.vo.server.tap_limits import LIMITS

QUERY = "SELECT identifier, ra, dec, snr FROM alpha.spectra"
HEAVY = "SELECT COUNT(*) AS n FROM alpha.spectra AS a, alpha.spectra AS b, alpha.spectra AS c, alpha.spectra AS d"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"


def make(tap: Service, **parameters: Any) -> str:
    """A new job's address."""
    answer = tap.http.post("tap/async", data={"LANG": "ADQL", **parameters})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def job(tap: Service, address: str, **parameters: Any) -> ElementTree.Element:
    answer = tap.http.get(address, params=parameters)
    assert answer.status_code == 200, answer.text
    return ElementTree.fromstring(answer.content)


def text(found: ElementTree.Element, name: str) -> str | None:
    return found.findtext(f"{UWS}{name}")


def ended(tap: Service, address: str) -> ElementTree.Element:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = job(tap, address, WAIT=5)
        if text(found, "phase") in ("COMPLETED", "ERROR", "ABORTED"):
            return found
    raise AssertionError("the job does not end")


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    found = parse(io.BytesIO(answer.content), verify="exception")
    assert status_of(found) == ["ERROR"]
    for word in words:
        assert word in message_of(found)


def test_a_job_from_beginning_to_end(tap: Service) -> None:
    address = make(tap, QUERY=QUERY, RESPONSEFORMAT="fits", RUNID="mine", OTHER="ignored")
    found = job(tap, address)
    assert (text(found, "phase"), text(found, "runId"), text(found, "ownerId")) == ("PENDING", "mine", "")
    names = {item.attrib["id"]: item.text for item in found.iter(f"{UWS}parameter")}
    assert names == {"LANG": "ADQL", "QUERY": QUERY, "RESPONSEFORMAT": "fits"}
    assert tap.http.post(f"{address}/phase", data={"PHASE": "RUN"}).headers["location"] == address
    found = ended(tap, address)
    assert text(found, "phase") == "COMPLETED"
    (result,) = found.iter(f"{UWS}result")
    assert (result.attrib["id"], result.attrib["mime-type"]) == ("result", "application/fits")
    assert result.attrib[f"{XLINK}href"] == f"{address}/results/result"
    answer = tap.http.get(f"{address}/results/result")
    assert answer.headers["content-type"] == "application/fits"
    assert 'filename="result.fits"' in answer.headers["content-disposition"]
    assert len(Table.read(io.BytesIO(answer.content), format="fits")) == ALPHA + 1
    assert tap.http.get(f"{address}/results/summary.json").status_code == 404
    assert tap.http.get(f"{address}/error").status_code == 404
    answer = tap.http.delete(address)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{tap.base}/tap/async")
    refused(tap.http.get(address), 404, "no such job")


def test_pyvo_submits_with_an_upload(tap: Service) -> None:
    from astropy.io.votable import from_table

    buffer = io.BytesIO()
    from_table(Table({"identifier": ["alpha-0001", "alpha-0002", "none"], "mine": [1, 2, 3]})).to_xml(buffer)
    buffer.seek(0)
    service = pyvo.dal.TAPService(f"{tap.base}/tap")
    query = "SELECT u.mine, a.snr FROM TAP_UPLOAD.u AS u JOIN alpha.spectra AS a ON u.identifier = a.identifier"
    work = service.submit_job(query, uploads={"u": buffer})
    assert (work.phase, work.query, work.owner) == ("PENDING", query, None)
    work.run()
    work.wait(timeout=60)
    work.raise_if_error()
    assert sorted(work.fetch_result()["mine"].tolist()) == [1, 2]
    work.delete()


def test_parameters_come_one_by_one_and_uploads_too(tap: Service) -> None:
    address = make(tap)
    assert tap.http.post(f"{address}/parameters", data={"query": "SELECT * FROM TAP_UPLOAD.t"}).status_code == 303
    table = '<VOTABLE><RESOURCE><TABLE><FIELD name="x" datatype="int"/><DATA><TABLEDATA><TR><TD>5</TD></TR></TABLEDATA>'
    body = f"{table}</DATA></TABLE></RESOURCE></VOTABLE>".encode()
    sent = tap.http.post(f"{address}/parameters", data={"UPLOAD": "t,param:p"}, files={"p": ("p", body)})
    assert sent.status_code == 303, sent.text
    put = tap.http.put(f"{address}/parameters/RESPONSEFORMAT", content=b"csv")
    assert put.status_code == 303, put.text
    tap.http.post(address, data={"PHASE": "ignored", "MAXREC": "7"})
    assert tap.http.get(f"{address}/parameters/query").text == "SELECT * FROM TAP_UPLOAD.t"
    tap.http.post(f"{address}/phase", data={"PHASE": "RUN"})
    assert text(ended(tap, address), "phase") == "COMPLETED"
    assert tap.http.get(f"{address}/results/result").text == "x\r\n5\r\n"


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({}, "QUERY: is missing"),
        ({"QUERY": "SELECT nothing FROM alpha.spectra"}, "no such column"),
        ({"QUERY": QUERY, "LANG": "PQL"}, "LANG: 'PQL'"),
        ({"QUERY": QUERY, "MAXREC": "-1"}, "MAXREC: '-1'"),
        ({"QUERY": QUERY, "RESPONSEFORMAT": "papyrus"}, "RESPONSEFORMAT: 'papyrus'"),
        ({"QUERY": "SELECT * FROM read_csv('/etc/passwd')"}, "line 1"),
    ],
)
def test_what_is_wrong_shows_when_the_job_is_run(tap: Service, parameters: dict[str, str], word: str) -> None:
    address = make(tap, **parameters, PHASE="RUN")
    found = ended(tap, address)
    assert text(found, "phase") == "ERROR"
    summary = found.find(f"{UWS}errorSummary")
    assert summary is not None
    assert word in (summary.findtext(f"{UWS}message") or "")
    assert summary.attrib["hasDetail"] == "false"
    answer = tap.http.get(f"{address}/error")
    error = parse(io.BytesIO(answer.content), verify="exception")
    assert status_of(error) == ["ERROR"]
    assert word in message_of(error)
    assert not re.search("Traceback|/tmp|emberline", answer.text)


def test_overflow_is_marked_in_the_result(tap: Service) -> None:
    address = make(tap, QUERY=QUERY, MAXREC=5, PHASE="RUN")
    ended(tap, address)
    found = parse(io.BytesIO(tap.http.get(f"{address}/results/result").content), verify="exception")
    assert (len(found.get_first_table().array), status_of(found)) == (5, ["OK", "OVERFLOW"])


def test_a_job_is_stopped(tap: Service) -> None:
    address = make(tap, QUERY=HEAVY, PHASE="RUN")
    while text(job(tap, address), "phase") == "QUEUED":
        time.sleep(0.05)
    tap.http.post(f"{address}/phase", data={"PHASE": "ABORT"})
    assert text(job(tap, address), "phase") == "ABORTED"
    assert tap.http.get(f"{address}/results/result").status_code == 404


def test_what_runs_too_long_is_ended(tap: Service) -> None:
    address = make(tap, QUERY=HEAVY)
    tap.http.post(f"{address}/executionduration", data={"EXECUTIONDURATION": 1})
    tap.http.post(f"{address}/phase", data={"PHASE": "RUN"})
    found = ended(tap, address)
    assert "longer than" in str(found.findtext(f"{UWS}errorSummary/{UWS}message"))


def test_limits_cannot_be_lifted(tap: Service) -> None:
    address = make(tap, QUERY=QUERY)
    for seconds in (0, 10**8):
        tap.http.post(f"{address}/executionduration", data={"EXECUTIONDURATION": seconds})
        assert tap.http.get(f"{address}/executionduration").text == str(LIMITS.execution_seconds)
    tap.http.post(f"{address}/executionduration", data={"EXECUTIONDURATION": 20})
    assert tap.http.get(f"{address}/executionduration").text == "20"
    latest = tap.http.get(f"{address}/destruction").text
    for moment in ("2999-01-01T00:00:00Z", ""):
        tap.http.post(f"{address}/destruction", data={"DESTRUCTION": moment})
        assert tap.http.get(f"{address}/destruction").text[:13] == latest[:13]
    tap.http.post(f"{address}/destruction", data={"DESTRUCTION": "2001-01-01T00:00:00Z"})
    assert tap.http.get(f"{address}/destruction").text.startswith("2001")
    make(tap, QUERY=QUERY)  # clears away what is over
    assert tap.http.get(address).status_code == 404


def test_nobody_finds_the_jobs_of_others(tap: Service) -> None:
    address = make(tap, QUERY=QUERY)
    assert list(job(tap, f"{tap.base}/tap/async")) == []
    assert list(job(tap, f"{tap.base}/tap/async?PHASE=PENDING&LAST=5")) == []
    assert re.fullmatch(r"\d{8}-\d{6}-\d{3}-[0-9a-z]{26}", address.rpartition("/")[2])
    refused(tap.http.get(f"{address[:-1]}{'0' if address[-1] != '0' else '1'}"), 404, "no such job")
    assert tap.http.get("tap/async/..%2f..%2fx").status_code == 404


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"PHASE": "ABORT"}, ["PHASE", "ABORT"]),
        ({"UPLOAD": "t,param:x"}, ["UPLOAD", "no part"]),
        ({"UPLOAD": "t,file:///etc/passwd"}, ["UPLOAD", "param:part"]),
        ({"PHASE": ["RUN", "RUN"]}, ["PHASE", "2 times"]),
        ({"RUNID": "\x07"}, ["label"]),
    ],
)
def test_what_cannot_be_a_job_is_refused(tap: Service, parameters: dict[str, Any], words: list[str]) -> None:
    refused(tap.http.post("tap/async", data={"QUERY": QUERY, **parameters}), 400, *words)


def test_too_many_jobs_are_refused(tap: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = tap_jobs_of(tap.published)
    count = waiting.store.count(phases=[Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.HELD, Phase.SUSPENDED])
    monkeypatch.setattr(tap_jobs, "LIMITS", dataclasses.replace(LIMITS, waiting_jobs=count + 1))
    make(tap, QUERY=QUERY)
    refused(tap.http.post("tap/async", data={"QUERY": QUERY}), 503, "too many jobs")


def test_a_result_that_is_too_large_is_refused(tmp_path: Path, tap: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from emberline.jobs import JobContext

    place = tmp_path / "ws" / ".emberline" / "tap" / "job"
    (place / "results").mkdir(parents=True)
    tap_jobs.Sent("http://example.org/vo").save(place, {})
    monkeypatch.setattr(tap_jobs, "_workspace_of", lambda job: tap.workspace.folder)
    monkeypatch.setattr(tap_jobs, "LIMITS", dataclasses.replace(LIMITS, result_bytes=2000))
    with pytest.raises(tap_jobs.TapError, match="larger than 2000 bytes"):
        tap_jobs.run_tap(tap_jobs.TapJobParameters(query=QUERY), JobContext(place / "results"))
    assert list((place / "results").iterdir()) == []


def test_what_breaks_tells_nothing_of_this_machine(tmp_path: Path) -> None:
    from emberline.jobs import JobContext

    (tmp_path / "a" / "b" / "c" / "job" / "results").mkdir(parents=True)
    with pytest.raises(tap_jobs.TapError) as caught:
        tap_jobs.run_tap(tap_jobs.TapJobParameters(query=QUERY), JobContext(tmp_path / "a/b/c/job/results"))
    assert str(tmp_path) not in str(caught.value)


def test_jobs_go_on_after_a_restart(tap: Service) -> None:
    """What another process left queued is taken up by whoever opens the store next."""
    published = Published(tap.workspace)
    first = TapJobs(tap.workspace)
    first.close()  # it is told to stop, so that nobody runs what comes now
    waiting = first.store.create("tap", {"query": QUERY}, run=True)
    tap_jobs.Sent(tap.base).save(first.store.job_folder(waiting.id), {})
    second = tap_jobs_of(published)
    try:
        end = time.monotonic() + 60
        while second.store.job(waiting.id).phase in (Phase.QUEUED, Phase.EXECUTING) and time.monotonic() < end:
            time.sleep(0.1)
        assert second.store.job(waiting.id).phase == Phase.COMPLETED
    finally:
        second.close()
