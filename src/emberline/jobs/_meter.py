"""From what a job reports, how far it is in all and how long it will still take."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Mapping

__all__ = ["Meter", "Reading"]

_SPAN = 10.0  # s over which the rate is averaged at first; later a quarter of the time passed
_PATIENCE = 1.0  # s before anything is said about the time left


@dataclasses.dataclass(frozen=True)
class Reading:
    """Fraction done (None: cannot be said), what is being done, and seconds left (None: cannot be said)."""

    fraction: float | None = None
    message: str = ""
    eta: float | None = None


class Meter:
    """A `Progress` that adds up the steps of a job type; safe to call from any thread, and as often as one likes.

    Parameters
    ----------
    steps : mapping
        The steps in order, each with its usual share of the time. Without any, each step counts from 0 to 1 by itself.
    clock : callable
        Seconds, for tests.
    """

    def __init__(self, steps: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        whole = math.fsum(steps.values())
        self._shares = {name: share / whole for name, share in steps.items()} if whole > 0 else {}
        self._clock = clock
        self._lock = threading.Lock()
        self._step = ""
        self._reading = Reading()
        self._restart()

    def _restart(self) -> None:
        self._begin: float | None = None
        self._last = (0.0, 0.0)
        self._rate: float | None = None

    @property
    def reading(self) -> Reading:
        """What was reported last."""
        return self._reading

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Take note of a report, as `emberline.progress.Progress` has it."""
        with self._lock:
            if step != self._step and not self._shares:
                self._restart()
            self._step = step
            fraction = self._fraction(step, done, total)
            self._reading = Reading(fraction, _message(step, done, total), self._eta(fraction))

    def _fraction(self, step: str, done: int, total: int | None) -> float | None:
        own = min(max(done / total, 0.0), 1.0) if total else 0.0
        if not self._shares:
            return own if total else None
        before = self._reading.fraction
        if step not in self._shares:
            return before
        names = list(self._shares)
        passed = math.fsum(self._shares[name] for name in names[: names.index(step)])
        return max(min(passed + own * self._shares[step], 1.0), before or 0.0)

    def _eta(self, fraction: float | None) -> float | None:
        """From the rate since this attempt began: what an earlier one had done came at once and says nothing."""
        if fraction is None:
            return None
        now = self._clock()
        if self._begin is None:
            self._begin, self._last = now, (now, fraction)
            return None
        passed, gain = now - self._last[0], fraction - self._last[1]
        if passed >= 0.2:
            span = max(_SPAN, 0.25 * (now - self._begin))
            weight = 1 - math.exp(-passed / span)
            rate = gain / passed
            self._rate = rate if self._rate is None else self._rate + weight * (rate - self._rate)
            self._last = (now, fraction)
        if not self._rate or now - self._begin < _PATIENCE:
            return None
        return round((1 - fraction) / self._rate, 1)


def _message(step: str, done: int, total: int | None) -> str:
    if total:
        return f"{step}: {done:,} of {total:,}"
    return f"{step}: {done:,}" if done else step
