"""How fast a host is asked, and when it is left alone: a fair rate limiter and a circuit breaker."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Breaker", "CancelledError", "RateLimiter", "WaitTooLongError"]

Clock = Callable[[], float]


class CancelledError(Exception):
    """The session was closed while a request waited for its turn."""


class WaitTooLongError(Exception):
    """The turn would come later than the request may take."""


@dataclass
class _Lane:
    """The requests to one host: when the last ones began, and who waits, first come first served."""

    begun: collections.deque[float] = field(default_factory=collections.deque)
    waiting: collections.deque[object] = field(default_factory=collections.deque)
    held_until: float = 0.0


class RateLimiter:
    """Lets no more than so many requests a second go to one host, in the order in which they came.

    In any stretch of ``n / rate`` seconds at most ``n`` requests begin, where ``n`` is `rate` rounded down, or 1.

    Parameters
    ----------
    rate : float
        Requests a second.
    clock : callable, optional
        Seconds that never go back.
    """

    def __init__(self, rate: float, clock: Clock = time.monotonic) -> None:
        self._burst = max(1, int(rate))
        self._stretch = self._burst / rate
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._changed = threading.Condition()
        self._generation = 0

    def wait(self, host: str, *, until: float = float("inf")) -> None:
        """Return when it is this request's turn; `until` is a moment of the clock after which nobody wants it any more.

        Raises
        ------
        WaitTooLongError
            The turn does not come before `until`.
        CancelledError
            `cancel` was called meanwhile.
        """
        ticket = object()
        with self._changed:
            lane = self._lanes.setdefault(host, _Lane())
            lane.waiting.append(ticket)
            generation = self._generation
            try:
                while (delay := self._delay(lane, ticket)) > 0:
                    if generation != self._generation:
                        raise CancelledError
                    left = until - self._clock()
                    if left <= 0:
                        raise WaitTooLongError
                    self._changed.wait(min(delay, left, 60.0))
                lane.begun.append(self._clock())
            finally:
                lane.waiting.remove(ticket)
                self._changed.notify_all()

    def _delay(self, lane: _Lane, ticket: object) -> float:
        """Seconds until the ticket's turn; infinite while others are before it."""
        if lane.waiting[0] is not ticket:
            return float("inf")
        moment = self._clock()
        while lane.begun and lane.begun[0] <= moment - self._stretch:
            lane.begun.popleft()
        full = lane.begun[-self._burst] + self._stretch if len(lane.begun) >= self._burst else moment
        return max(full, lane.held_until) - moment

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask the host for so long: it has said that it is asked too often."""
        with self._changed:
            lane = self._lanes.setdefault(host, _Lane())
            lane.held_until = max(lane.held_until, self._clock() + seconds)

    def release(self, host: str) -> None:
        """Forget that the host is held."""
        with self._changed:
            if host in self._lanes:
                self._lanes[host].held_until = 0.0
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait for so long, to be ended by `cancel`.

        Raises
        ------
        CancelledError
            `cancel` was called meanwhile.
        """
        end = self._clock() + seconds
        with self._changed:
            generation = self._generation
            while (left := end - self._clock()) > 0:
                self._changed.wait(min(left, 60.0))
                if generation != self._generation:
                    raise CancelledError

    def cancel(self) -> None:
        """Send away everybody who waits."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()


@dataclass
class _State:
    failures: int = 0
    openings: int = 0
    closed_at: float = 0.0
    trying: bool = False
    last: str = ""


class Breaker:
    """Leaves a host alone that has failed several times in a row; after a while one request may try it again.

    Parameters
    ----------
    failures : int
        How many failures in a row break the circuit.
    cooling : float
        Seconds for which the host is left alone first; twice as long each time that the trial fails, to `longest`.
    """

    def __init__(
        self, failures: int = 5, cooling: float = 60.0, longest: float = 960.0, clock: Clock = time.monotonic
    ) -> None:
        self._failures, self._cooling, self._longest, self._clock = failures, cooling, longest, clock
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()

    def admit(self, host: str) -> tuple[float, str]:
        """Whether the host may be asked: the seconds for which it is still left alone (0: ask), and why.

        Whoever is let in reports by `succeeded`, `failed` or `undecided`.
        """
        with self._lock:
            state = self._states.get(host)
            if state is None or state.failures < self._failures:
                return 0.0, ""
            left = state.closed_at - self._clock()
            if left > 0:
                return left, state.last
            if state.trying:
                return 1.0, state.last
            state.trying = True
            return 0.0, ""

    def succeeded(self, host: str) -> None:
        """The host has answered; that it did not like the question is an answer too."""
        with self._lock:
            self._states.pop(host, None)

    def failed(self, host: str, why: str) -> bool:
        """The host has failed; returns whether it is now left alone."""
        with self._lock:
            state = self._states.setdefault(host, _State())
            state.failures += 1
            state.last = why
            if state.failures < self._failures:
                return False
            if state.trying or state.failures == self._failures:
                pause = min(self._cooling * 2**state.openings, self._longest)
                state.closed_at = self._clock() + pause
                state.openings += 1
                state.trying = False
            return True

    def undecided(self, host: str) -> None:
        """The request ended without telling anything of the host; the next one may be the trial."""
        with self._lock:
            if host in self._states:
                self._states[host].trying = False

    def reset(self, host: str) -> None:
        """Forget what was."""
        with self._lock:
            self._states.pop(host, None)
