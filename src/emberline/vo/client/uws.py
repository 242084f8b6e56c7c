"""Jobs of other archives, by the Universal Worker Service pattern 1.0 and 1.1 (https://www.ivoa.net/documents/UWS/)."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emberline.vo.client._answers import said
from emberline.vo.client._tables import answered, read_table
from emberline.vo.client._vosi import local, root_of
from emberline.vo.client.errors import ProtocolError, ServiceError, StatusError, TimeLimitError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = ["JobState", "TapJob"]

_ACTIVE = ("PENDING", "QUEUED", "EXECUTING", "HELD", "SUSPENDED", "UNKNOWN")
_ENDED = ("COMPLETED", "ERROR", "ABORTED", "ARCHIVED")
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.5, 30.0, 1.5
_HREF = "{http://www.w3.org/1999/xlink}href"


@dataclasses.dataclass(frozen=True)
class JobState:
    """What a job was at one moment.

    Attributes
    ----------
    phase : str
        ``PENDING``, ``QUEUED``, ``EXECUTING``, ``COMPLETED``, ``ERROR``, ``ABORTED``, ``HELD`` …
    identifier : str
        The service's own for it.
    message : str
        Why it failed.
    results : tuple of (str, str)
        Names and addresses.
    destruction : str
        When the service forgets it (ISO 8601, UTC).
    version : str
        Of UWS.
    """

    phase: str
    identifier: str = ""
    message: str = ""
    results: tuple[tuple[str, str], ...] = ()
    destruction: str = ""
    version: str = "1.0"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.phase in _ENDED


class TapJob:
    """An asynchronous query on another archive; its address is all that is needed to come back to it.

    Parameters
    ----------
    session : Session
    url : str
        Of the job.
    """

    def __init__(self, session: Session, url: str) -> None:
        self.session = session
        self.url = url.rstrip("/")

    @classmethod
    def of_answer(cls, session: Session, answer: Any) -> TapJob:
        """The job that a service made: where its answer leads to, or the job that it is."""
        place = answer.headers.get("Location", "")
        if answer.status_code in (301, 302, 303, 307, 308) and place:
            return cls(session, urllib.parse.urljoin(answer.url, place))
        body = answered(answer)
        state = _state(body, answer.url)
        return cls(session, f"{str(answer.url).rstrip('/')}/{state.identifier}")

    def state(self, *, wait: float = 0.0, phase: str = "") -> JobState:
        """Ask for the state; with `wait`, a service of UWS 1.1 answers when `phase` is over or so many seconds are.

        Raises
        ------
        ServiceError
            The service could not be asked, or has no such job any more.
        """
        parameters = {"WAIT": str(int(wait)), "PHASE": phase} if wait >= 1.0 else {}
        with self.session.fresh():
            answer = self.session.get(self.url, params=parameters)
        return _state(answered(answer), answer.url)

    @property
    def phase(self) -> str:
        """The phase at this moment."""
        return self.state().phase

    def run(self) -> None:
        """Start it, when it was made but not started."""
        self._post("phase", PHASE="RUN")

    def abort(self) -> None:
        """Stop it; a job that has ended stays as it is."""
        if not self.state().ended:
            self._post("phase", PHASE="ABORT")

    def delete(self, *, quietly: bool = False) -> None:
        """Make the service forget it and its result.

        Parameters
        ----------
        quietly : bool
            Do not raise when that fails: the service will forget it by itself.
        """
        with contextlib.suppress(ServiceError) if quietly else contextlib.nullcontext():
            answer = self.session.delete(self.url, allow_redirects=False)
            if answer.status_code != 404:
                answered(answer)

    def wait(
        self,
        seconds: float | None = None,
        *,
        cancel: threading.Event | None = None,
        told: Callable[[JobState], None] | None = None,
    ) -> JobState:
        """Wait until it has ended.

        Parameters
        ----------
        seconds : float, optional
            At most so long.
        cancel : threading.Event, optional
            Gives up the waiting, not the job; noticed within half of the configuration's `timeout`.
        told : callable, optional
            Told each state that was seen.

        Returns
        -------
        JobState
            The last one seen; it has ended, unless `cancel` was set.

        Raises
        ------
        TimeLimitError
            It is still running after so many seconds; it goes on, and can be waited for again.
        """
        cancel = cancel or threading.Event()
        end = None if seconds is None else time.monotonic() + seconds
        pause, state = _FIRST_PAUSE, self.state()
        while not state.ended:
            if told is not None:
                told(state)
            if cancel.is_set():
                return state
            left = float("inf") if end is None else end - time.monotonic()
            if left <= 0:
                raise TimeLimitError(
                    f"the job is still {state.phase.lower()} after {seconds:g} s",
                    url=self.url,
                    action="Wait for it again.",
                )
            began, before = time.monotonic(), state.phase
            patience = min(self.session.config.timeout / 2, left)
            if state.version != "1.0" and patience >= 1.0:
                state = self.state(wait=patience, phase=before)
            if state.phase != before:
                pause = _FIRST_PAUSE
            elif time.monotonic() - began < pause:  # no WAIT in this service, or it does not keep to it
                cancel.wait(min(pause, left))
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
                state = self.state()
        if told is not None:
            told(state)
        return state

    def result(self, *, wait: float | None = None) -> Table:
        """The table, when it is there.

        Parameters
        ----------
        wait : float, optional
            Seconds to wait for the job's end; without end by default.

        Raises
        ------
        ServiceError
            The job failed (`service_said`), was aborted, or its result is gone.
        """
        state = self.wait(wait)
        if state.phase != "COMPLETED":
            raise self._failure(state)
        addresses = dict(state.results)
        address = addresses.get("result") or next(iter(addresses.values()), f"{self.url}/results/result")
        return read_table(self.session.get(urllib.parse.urljoin(f"{self.url}/", address)))

    def error(self) -> str:
        """Why it failed, in the service's words; empty when it did not."""
        state = self.state()
        if state.phase != "ERROR":
            return ""
        detail = ""
        with contextlib.suppress(ServiceError), self.session.fresh():
            answer = self.session.get(f"{self.url}/error")
            detail = said(answer.content or b"") if answer.status_code < 400 else ""
        return detail or state.message

    def _failure(self, state: JobState) -> ServiceError:
        if state.phase == "ERROR":
            error = StatusError("the job failed", url=self.url, service_said=self.error() or state.message)
            error.status = 400
            return error
        return ServiceError(f"the job has no result: it is {state.phase.lower()}", url=self.url)

    def _post(self, name: str, **parameters: str) -> None:
        answer = self.session.post(f"{self.url}/{name}", data=parameters, allow_redirects=False)
        answered(answer)


def _state(body: bytes, url: str) -> JobState:
    root = root_of(body, url, "job")
    children = {local(child): child for child in root}
    phase = _text(children.get("phase")).upper()
    if phase not in (*_ACTIVE, *_ENDED):
        raise ProtocolError(
            "the job is in a phase that UWS does not know", url=url, found=phase or "none", expected=", ".join(_ACTIVE)
        )
    results = [
        (str(item.get("id", "")), str(item.get(_HREF, "")))
        for item in root.iter()
        if local(item) == "result" and item.get(_HREF)
    ]
    message = " ".join(_text(item) for item in root.iter() if local(item) == "message")
    return JobState(
        phase,
        _text(children.get("jobId")),
        message,
        tuple(results),
        _text(children.get("destruction")),
        str(root.get("version", "1.0")),
    )


def _text(element: Element | None) -> str:
    return "" if element is None else " ".join((element.text or "").split())
