"""Tell browsers of changes as they happen: one look at the store for all of them, and server-sent events to each."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from emberline.jobs import ACTIVE, Job, JobDesk, JobNotFoundError, JobStore, Phase

__all__ = ["Hub", "Subscription", "all_events", "job_events", "stream"]

_LOG = logging.getLogger("emberline.web")
POLL = 0.1
HEARTBEAT = 15.0
MOST_SUBSCRIBERS = 1000
_WHOLE_LIST = 1000
_LOG_PIECE = 65536
_RETRY = "retry: 2000\n"
_HEARTBEAT = ": heartbeat\n\n"
_QUIET = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Subscription:
    """What one listener has not heard yet: the latest state of each job that has changed.

    A slow listener misses states in between, never the last one, and what waits for it cannot grow beyond one state a
    job.
    """

    def __init__(self, *, owner: str | None, job: str | None = None) -> None:
        self.owner = owner
        self.job = job
        self.changed: dict[str, Job] = {}
        self.deleted: set[str] = set()
        self.log_grew = False
        self.ended = False
        self._news = asyncio.Event()

    def concerns(self, job: Job) -> bool:
        """Whether the listener asked for this job and may see it."""
        return (self.owner is None or job.owner == self.owner) and (self.job is None or job.id == self.job)

    def wake(self) -> None:
        """Say that there is something new."""
        self._news.set()

    async def news(self, timeout: float) -> bool:
        """Wait for something new; False after `timeout` seconds without."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def take(self) -> tuple[list[Job], list[str], bool]:
        """What has changed, what was deleted, and whether the log grew, since the last time."""
        taken = list(self.changed.values()), sorted(self.deleted), self.log_grew
        self.changed, self.deleted, self.log_grew = {}, set(), False
        return taken


@dataclasses.dataclass(frozen=True)
class _Sight:
    """What one look at the store has shown: `owners` of all jobs, and where the logs end that somebody follows."""

    version: int
    changed: list[Job]
    owners: dict[str, str]
    ends: dict[str, int]


class Hub:
    """Looks at the store while anybody listens, and tells each listener what concerns them.

    Parameters
    ----------
    store : JobStore
    poll : float
        Seconds between looks.
    """

    def __init__(self, store: JobStore, poll: float = POLL) -> None:
        self._store = store
        self._poll = poll
        self._subscriptions: set[Subscription] = set()
        self._version: int | None = None
        self._known: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self._logs: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed

    def __len__(self) -> int:
        return len(self._subscriptions)

    @contextlib.asynccontextmanager
    async def subscribe(self, *, owner: str | None, job: str | None = None) -> AsyncIterator[Subscription]:
        """Listen: what changes from now on is told, so read the present state after this, not before."""
        if len(self._subscriptions) >= MOST_SUBSCRIBERS:
            raise HTTPException(503, "too many listeners; try again later")
        subscription = Subscription(owner=owner, job=job)
        subscription.ended = self._closed
        self._subscriptions.add(subscription)
        try:
            if self._version is None:
                found = await anyio.to_thread.run_sync(self._present)
                if self._version is None:  # another listener may have come meanwhile
                    self._version, self._known = found
            if self._task is None and not self._closed:
                self._task = asyncio.create_task(self._watch())
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def shown(self, jobs: Iterable[Job]) -> None:
        """Note which jobs a listener has been shown.

        One that was made and deleted between two looks would otherwise stay in the listener's list for ever.
        """
        self._shown |= {job.id: job.owner for job in jobs if job.id not in self._known}

    def close(self) -> None:
        """End all streams, now and from now on."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for subscription in self._subscriptions:
            subscription.ended = True
            subscription.wake()

    async def wait(self, desk: JobDesk, id: str, seconds: float, phase: Phase | None = None) -> Job:
        """The job, as soon as its phase changes or after that many seconds; at once when nothing will change.

        With `phase`, only while that is its phase. No thread waits with the client.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self.subscribe(owner=None, job=id) as subscription:
            job = first = await anyio.to_thread.run_sync(desk.job, id)
            self.shown([job])
            if first.phase not in ACTIVE or (phase is not None and first.phase != phase):
                return first
            while job.phase == first.phase and not subscription.ended:
                if not await subscription.news(max(0.0, deadline - loop.time())):
                    break
                job = await anyio.to_thread.run_sync(desk.job, id)
        return job

    async def _watch(self) -> None:
        while self._subscriptions:
            try:
                recheck, self._known, self._shown = bool(self._shown), self._known | self._shown, {}
                self._tell(await anyio.to_thread.run_sync(self._look, self._version or 0, recheck, self._watched()))
            except Exception:
                _LOG.exception("the jobs cannot be watched; trying again")
                await asyncio.sleep(5)
            await asyncio.sleep(self._poll)
        self._task, self._version = None, None
        self._logs.clear()

    def _watched(self) -> set[str]:
        """The jobs whose logs are followed."""
        return {subscription.job for subscription in self._subscriptions if subscription.job}

    def _present(self) -> tuple[int, dict[str, str]]:
        version = self._store.version()
        return version, self._store.owners()

    def _look(self, since: int, recheck: bool, logs: set[str]) -> _Sight:
        """In a thread: what has changed since that version, and with `recheck` which jobs are gone in any case."""
        version = self._store.version()
        changed: list[Job] = []
        owners = self._known
        if version != since or recheck:
            changed = self._store.changed(since)
            owners = owners | {job.id: job.owner for job in changed}
            if len(owners) != self._store.count(phases=Phase):  # some have been deleted
                owners = self._store.owners()
        ends: dict[str, int] = {}
        for job in logs:
            with contextlib.suppress(JobNotFoundError):
                ends[job] = self._store.log(job, -4, 4)[1]
        return _Sight(version, changed, owners, ends)

    def _tell(self, sight: _Sight) -> None:
        grown = {job for job, end in sight.ends.items() if end != self._logs.get(job)}
        gone = {id: self._known[id] for id in self._known.keys() - sight.owners.keys()}
        self._version, self._known, self._logs = sight.version, sight.owners, sight.ends
        for subscription in self._subscriptions:
            before = len(subscription.deleted)
            mine = {job.id: job for job in sight.changed if subscription.concerns(job)}
            subscription.changed |= mine
            for id, owner in gone.items():
                if subscription.owner in (None, owner) and subscription.job in (None, id):
                    subscription.deleted.add(id)
                    subscription.changed.pop(id, None)
            subscription.log_grew |= subscription.job in grown
            if mine or subscription.log_grew or len(subscription.deleted) != before:
                subscription.wake()


def stream(events: AsyncIterator[str]) -> StreamingResponse:
    """Events as an answer that stays open."""
    return StreamingResponse(events, media_type="text/event-stream", headers=_QUIET)


def _event(name: str, data: Any) -> str:
    # One line: JSON has no raw line breaks.
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def all_events(
    hub: Hub, desk: JobDesk, owner: str | None, still_allowed: Callable[[], Awaitable[bool]], since: int | None = None
) -> AsyncIterator[str]:
    """Changes of all jobs that the listener may see; first the newest of them, or with `since` those changed later."""
    async with hub.subscribe(owner=owner) as subscription:
        version = await anyio.to_thread.run_sync(desk.version)
        jobs = await anyio.to_thread.run_sync(lambda: desk.jobs(limit=_WHOLE_LIST))
        hub.shown(jobs)
        if since is not None:
            jobs = [job for job in jobs if job.version > since]
        yield _RETRY + _event("jobs", _listed(version, jobs, [], whole=since is None))
        async for news in _turns(subscription, still_allowed):
            if not news:
                yield _HEARTBEAT
                continue
            changed, deleted, _ = subscription.take()
            if not changed and not deleted:
                continue
            version = max([version, *(job.version for job in changed)])
            yield _event("jobs", _listed(version, changed, deleted))


async def job_events(
    hub: Hub, desk: JobDesk, id: str, still_allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """Changes of one job and its log as it grows; first the whole job and the end of its log."""
    async with hub.subscribe(owner=None, job=id) as subscription:
        job = await anyio.to_thread.run_sync(desk.job, id)
        hub.shown([job])
        text, offset = await anyio.to_thread.run_sync(desk.log, id, -_LOG_PIECE)
        yield _RETRY + _event("job", job.to_mapping())
        yield _event("log", {"text": text, "next": offset, "whole": True})
        async for news in _turns(subscription, still_allowed):
            if not news:
                yield _HEARTBEAT
                continue
            changed, deleted, _ = subscription.take()
            if deleted:
                yield _event("deleted", {"id": id})
                return
            # The log comes first: whoever sees that the job has ended has then seen all of its log.
            async for piece in _rest_of_log(desk, id, offset):
                offset = piece["next"]
                yield _event("log", piece)
            for state in changed:
                yield _event("job", state.to_mapping())


async def _rest_of_log(desk: JobDesk, id: str, offset: int) -> AsyncIterator[dict[str, Any]]:
    """The log from `offset` on, in pieces: the text, where it goes on, and whether it begins anew."""
    while True:
        try:
            text, following = await anyio.to_thread.run_sync(desk.log, id, offset)
        except JobNotFoundError:
            return
        if following == offset:
            return
        yield {"text": text, "next": following, "whole": following < offset}
        offset = following


async def _turns(subscription: Subscription, still_allowed: Callable[[], Awaitable[bool]]) -> AsyncIterator[bool]:
    """True for each piece of news, False when it is time for a heartbeat; ends with the server or the session."""
    checked = time.monotonic()
    while not subscription.ended:
        news = await subscription.news(HEARTBEAT)
        if time.monotonic() - checked >= HEARTBEAT:
            checked = time.monotonic()
            if not await still_allowed():
                return
        if not subscription.ended:
            yield news


def _listed(version: int, changed: list[Job], deleted: list[str], *, whole: bool = False) -> dict[str, Any]:
    return {"version": version, "whole": whole, "changed": [job.to_mapping() for job in changed], "deleted": deleted}
