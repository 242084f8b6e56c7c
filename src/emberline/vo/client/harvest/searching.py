"""A search that runs behind a page: many services at once, each with its state, the records joined as they come."""

from __future__ import annotations

import dataclasses
import queue
import secrets
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emberline.errors import EmberlineError
from emberline.vo.client.harvest.constraints import Constraints, resolve
from emberline.vo.client.harvest.records import Record
from emberline.vo.client.harvest.selecting import Answer, ask_ssap, title_of

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["MOST_RECORDS", "Search", "ServiceState"]

MOST_RECORDS = 50_000
"""Records that one search keeps; what comes after is left out, and said so."""
_AT_ONCE = 8


@dataclasses.dataclass
class ServiceState:
    """Where one service of a search stands.

    Attributes
    ----------
    service, title : str
    state : str
        ``waiting``, ``asked``, or ``failed``: then nothing at all came from it, and `error` says why.
    records : int
    more : bool
        Whether the service has more than it gave.
    error : str
        What went wrong, at one position or all.
    """

    service: str
    title: str
    state: str = "waiting"
    records: int = 0
    more: bool = False
    error: str = ""
    left: int = dataclasses.field(default=0, repr=False)
    answered: int = dataclasses.field(default=0, repr=False)


class Search:
    """One search; it begins when it is made, in threads of its own that end with it.

    Parameters
    ----------
    session : Session
    services : mapping of str to str
        Address or identifier of each service, with its title (may be empty).
    asked : Constraints

    Attributes
    ----------
    id : str
        Not to be guessed.
    owner : str
        For whoever keeps searches of several people.
    """

    def __init__(self, session: Session, services: Mapping[str, str], asked: Constraints, owner: str = "") -> None:
        self.id = secrets.token_urlsafe(12)
        self.owner, self.asked = owner, asked
        self.services = [ServiceState(name, title or title_of(name)) for name, title in services.items()]
        self.records: list[Record] = []
        self.error = ""
        self.full = False
        self._session = session
        self._known: set[str] = set()
        self._changed = threading.Condition()
        self._version = 0
        self._stopped = False
        self._places: list[tuple[str, SkyCoord]] = []
        threading.Thread(target=self._begin, name="search", daemon=True).start()

    # What runs behind -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        try:
            self._places = resolve(self._session, self.asked.positions)
        except EmberlineError as error:
            with self._changing():
                self.error = str(error)
                for state in self.services:
                    state.state, state.error = "failed", "was not asked"
            return
        self._ask(self.services, again=False)

    def _ask(self, states: Sequence[ServiceState], *, again: bool) -> None:
        """Ask some services at all positions."""
        tasks: queue.SimpleQueue[tuple[ServiceState, tuple[str, SkyCoord]]] = queue.SimpleQueue()
        with self._changing():
            for state in states:
                state.state, state.error, state.left, state.answered = "waiting", "", len(self._places), 0
        for place in self._places:
            for state in states:
                tasks.put((state, place))
        for _ in range(min(_AT_ONCE, tasks.qsize())):
            threading.Thread(target=self._work, args=(tasks, again), name="search-service", daemon=True).start()

    def _work(self, tasks: queue.SimpleQueue[tuple[ServiceState, tuple[str, SkyCoord]]], again: bool) -> None:
        while not self._stopped:
            try:
                state, place = tasks.get_nowait()
            except queue.Empty:
                return
            if again:
                with self._session.fresh():
                    answer = ask_ssap(self._session, state.service, place, self.asked, title=state.title)
            else:
                answer = ask_ssap(self._session, state.service, place, self.asked, title=state.title)
            self._take(state, answer)

    def _take(self, state: ServiceState, answer: Answer) -> None:
        with self._changing():
            state.left -= 1
            if answer.state == "failed":
                place = f"{answer.position}: " if len(self._places) > 1 else ""
                state.error = "; ".join(filter(None, (state.error, place + answer.error)))[:1000]
            else:
                state.answered += 1
                state.more = state.more or answer.more
                for record in answer.records:
                    self._keep(state, record)
            if not state.left:
                state.state = "asked" if state.answered else "failed"

    def _keep(self, state: ServiceState, record: Record) -> None:
        if record.address in self._known:
            return
        if len(self.records) >= MOST_RECORDS:
            self.full = True
            return
        self._known.add(record.address)
        self.records.append(record)
        state.records += 1

    def _changing(self) -> _Changing:
        return _Changing(self)

    # What the page asks -----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether some service has not answered yet."""
        return not self.error and any(state.state == "waiting" for state in self.services)

    def retry(self, service: str) -> bool:
        """Ask a service once more, whatever is kept of it and however often it has failed; False if it is at work."""
        with self._changed:
            states = [state for state in self.services if state.service == service and state.state != "waiting"]
            ready = bool(states) and not self.error
            if ready:
                states[0].state = "waiting"
        if ready:
            host = urllib.parse.urlsplit(service).netloc
            if host:
                self._session.reset(service)
            self._ask(states, again=True)
        return ready

    def stop(self) -> None:
        """Ask nobody any more."""
        with self._changing():
            self._stopped = True

    def wait(self, version: int, seconds: float) -> None:
        """Until something has changed since `version`, or nothing will any more, or the time is over."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._version <= version and self.busy and not self._stopped:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return

    def document(self, first: int = 0) -> dict[str, Any]:
        """What JSON can hold: the services' states, and the records from number `first` on."""
        with self._changed:
            records = [
                {"number": first + index, **record.to_row()} for index, record in enumerate(self.records[first:])
            ]
            return {
                "id": self.id,
                "version": self._version,
                "busy": self.busy,
                "error": self.error,
                "full": self.full,
                "services": [
                    {key: getattr(state, key) for key in ("service", "title", "state", "records", "more", "error")}
                    for state in self.services
                ],
                "total": len(self.records),
                "records": records,
            }


class _Changing:
    """A change that those who wait hear of."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def __enter__(self) -> None:
        self._search._changed.acquire()

    def __exit__(self, *_: object) -> None:
        self._search._version += 1
        self._search._changed.notify_all()
        self._search._changed.release()
