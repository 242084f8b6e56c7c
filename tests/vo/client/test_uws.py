"""Jobs of other archives: waited for with and without WAIT, come back to by their address, stopped, failed, gone."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from emberline.vo.client import ProtocolError, ServiceError, StatusError, TimeLimitError, tap, uws
from emberline.vo.client.config import ClientConfig
from emberline.vo.client.session import Session
from emberline.vo.server.adql import TableSet
from tests.vo.client.other_archives import OtherArchives, TapService, TapServiceJob
from tests.vo.client.other_sky import simbad_tables

QUERY = "SELECT main_id FROM basic WHERE nbref > 1000"


class Running(TapService):
    """A service on a port of its own."""

    url = ""
    waits = 0


@contextlib.contextmanager
def serving(version: str, tables: TableSet | None = None) -> Iterator[Running]:
    service = Running(tables or simbad_tables(), version=version)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        service.url = f"http://127.0.0.1:{listener.getsockname()[1]}/tap"
        application = Starlette(routes=[Mount("/tap", routes=service.routes())])
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield service
        finally:
            for job in service.jobs.values():
                job.release.set()
                job.ended.set()
            server.should_exit = server.force_exit = True
            thread.join(20)


@pytest.fixture(scope="module", params=["1.0", "1.1"])
def service(request: pytest.FixtureRequest) -> Iterator[Running]:
    with serving(request.param) as running:
        yield running


@pytest.fixture
def client() -> Iterator[Session]:
    with Session(ClientConfig(allow=("127.0.0.1",), rate=1e6)) as session:
        yield session


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run until they are released."""
    monkeypatch.setattr(TapServiceJob, "hold", True)
    monkeypatch.setattr(uws, "_FIRST_PAUSE", 0.02)


def job_of(service: Running, job: tap.TapJob) -> TapServiceJob:
    return service.jobs[job.url.rpartition("/")[2]]


def test_a_job_from_beginning_to_end(service: Running, client: Session) -> None:
    job = tap.submit(client, service.url, QUERY)
    assert job.url.startswith(f"{service.url}/async/")
    assert job.result(wait=60)["main_id"].tolist() == ["* gam Emb"]
    state = job.state()
    assert (state.phase, state.version, state.ended) == ("COMPLETED", service.version, True)
    assert state.destruction == "2030-01-01T00:00:00Z"
    assert job.error() == ""
    job.delete()
    assert job.url.rpartition("/")[2] not in service.jobs
    job.delete()  # gone is gone
    with pytest.raises(StatusError):
        job.state()


@pytest.mark.usefixtures("held")
def test_a_job_is_come_back_to_by_its_address(service: Running, client: Session) -> None:
    url = tap.submit(client, service.url, QUERY).url
    with Session(client.config) as other:
        job = tap.TapJob(other, url)
        assert job.phase == "EXECUTING"
        with pytest.raises(TimeLimitError, match="executing"):
            job.wait(0.05)
        seen: list[str] = []

        def told(state: uws.JobState) -> None:
            seen.append(state.phase)
            job_of(service, job).release.set()

        assert job.wait(60, told=told).phase == "COMPLETED"
        assert (seen[0], seen[-1]) == ("EXECUTING", "COMPLETED")
        assert len(job.result()) == 1


@pytest.mark.usefixtures("held")
def test_waiting_can_be_given_up(service: Running, client: Session) -> None:
    job = tap.submit(client, service.url, QUERY)
    cancel = threading.Event()
    assert job.wait(60, cancel=cancel, told=lambda _: cancel.set()).phase == "EXECUTING"


@pytest.mark.usefixtures("held")
def test_a_job_is_stopped(service: Running, client: Session) -> None:
    job = tap.submit(client, service.url, QUERY)
    job.abort()
    assert job.phase == "ABORTED"
    job.abort()  # has ended already
    with pytest.raises(ServiceError, match="aborted"):
        job.result()


def test_a_job_that_fails_says_why(service: Running, client: Session) -> None:
    job = tap.submit(client, service.url, "SELECT nothing FROM basic")
    with pytest.raises(StatusError) as caught:
        job.result(wait=60)
    assert "nothing" in caught.value.service_said
    assert "nothing" in job.error()


def test_a_job_with_an_upload(service: Running, client: Session) -> None:
    from astropy.table import Table

    job = tap.submit(client, service.url, "SELECT x FROM TAP_UPLOAD.mine", uploads={"mine": Table({"x": [1, 2]})})
    assert job.result(wait=60)["x"].tolist() == [1, 2]


@pytest.mark.usefixtures("held")
def test_a_service_of_version_1_1_is_not_asked_again_and_again(client: Session) -> None:
    with serving("1.1") as service:
        job = tap.submit(client, service.url, QUERY)
        waited: list[float] = []
        state = job.state

        def counted(*, wait: float = 0.0, phase: str = "") -> uws.JobState:
            waited.append(wait)
            if wait:
                job_of(service, job).release.set()
            return state(wait=wait, phase=phase)

        job.state = counted  # type: ignore[method-assign]
        assert job.wait(60).phase == "COMPLETED"
        assert len(waited) == 2
        assert waited[1] > 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html><body>Login please</body></html>", "Login please"),
        ("<job xmlns='http://www.ivoa.net/xml/UWS/v1.0'><phase>DREAMING</phase></job>", "DREAMING"),
        ("<job><phase>EXEC", "no XML"),
    ],
)
def test_what_is_no_job(body: str, words: str, session: Session, others: OtherArchives) -> None:
    job = tap.TapJob(session, others.document("job", body, "text/xml"))
    with pytest.raises(ProtocolError, match=words):
        job.state()


def test_a_job_of_our_own_service(session: Session, others: OtherArchives) -> None:
    job = tap.submit(session, f"{others.vo}/tap", "SELECT TOP 3 identifier FROM alpha.spectra")
    assert len(job.result(wait=120)) == 3
    job.delete()
