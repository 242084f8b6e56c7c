"""The rate limiter and the circuit breaker, by clocks that the tests turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from emberline.vo.client._limits import Breaker, CancelledError, RateLimiter, WaitTooLongError


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.002)


def queued(limiter: RateLimiter, host: str) -> int:
    return len(limiter._lanes[host].waiting) if host in limiter._lanes else 0


@pytest.mark.parametrize(("rate", "burst", "stretch"), [(5.0, 5, 1.0), (1.0, 1, 1.0), (0.5, 1, 2.0), (2.5, 2, 0.8)])
def test_no_stretch_of_time_has_too_many_requests(rate: float, burst: int, stretch: float) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, clock)
    for _ in range(burst):
        limiter.wait("a")
    with pytest.raises(WaitTooLongError):
        limiter.wait("a", until=clock.now)
    limiter.wait("b", until=clock.now)  # another host has its own turn
    clock.now += stretch * 0.99
    with pytest.raises(WaitTooLongError):
        limiter.wait("a", until=clock.now)
    clock.now += stretch * 0.02
    limiter.wait("a", until=clock.now)


def test_threads_together_keep_the_rate() -> None:
    limiter = RateLimiter(40.0)
    begun: list[float] = []

    def ask() -> None:
        for _ in range(15):
            limiter.wait("a")
            begun.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    starts = sorted(limiter._lanes["a"].begun)
    assert len(begun) == 60
    assert max(begun) - min(begun) > 0.4  # 60 at 40 a second, the first 40 at once
    assert len([start for start in starts if start > starts[-1] - 1.0]) <= 40


def test_who_came_first_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(1000.0)
    limiter.hold("a", 600)
    order: list[int] = []

    def ask(number: int) -> None:
        limiter.wait("a")
        order.append(number)

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
        until(lambda: queued(limiter, "a") == number + 1)  # noqa: B023
    assert order == []
    limiter.release("a")
    for thread in threads:
        thread.join(60)
    assert order == list(range(8))


def test_cancelling_sends_the_waiting_away_and_leaves_no_trace() -> None:
    limiter = RateLimiter(1000.0)
    limiter.hold("a", 600)
    ends: list[type[BaseException]] = []

    def ask() -> None:
        try:
            limiter.wait("a")
        except CancelledError as error:
            ends.append(type(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: queued(limiter, "a") == 3)
    limiter.cancel()
    for thread in threads:
        thread.join(60)
    assert ends == [CancelledError] * 3
    assert queued(limiter, "a") == 0
    limiter.release("a")
    limiter.wait("a")


def test_who_waits_no_longer_blocks_nobody() -> None:
    limiter = RateLimiter(1000.0)
    limiter.hold("a", 0.2)
    with pytest.raises(WaitTooLongError):
        limiter.wait("a", until=time.monotonic() + 0.01)
    limiter.wait("a")
    assert queued(limiter, "a") == 0


def test_a_pause_ends_by_itself_or_by_cancelling() -> None:
    limiter = RateLimiter(1.0)
    limiter.pause(0.01)
    thread = threading.Timer(0.05, limiter.cancel)
    thread.start()
    with pytest.raises(CancelledError):
        limiter.pause(600)
    thread.join()


def test_five_failures_in_a_row_break_the_circuit() -> None:
    clock = Clock()
    breaker = Breaker(5, 60.0, clock=clock)
    assert [breaker.failed("a", "status 503") for _ in range(4)] == [False] * 4
    assert breaker.admit("a") == (0.0, "")
    assert breaker.failed("a", "status 503")
    assert breaker.admit("a") == (60.0, "status 503")
    assert breaker.admit("b") == (0.0, "")
    clock.now += 59.0
    assert breaker.admit("a")[0] == pytest.approx(1.0)


def test_success_between_failures_forgets_them() -> None:
    breaker = Breaker(2)
    for _ in range(5):
        breaker.failed("a", "")
        breaker.succeeded("a")
        assert breaker.admit("a")[0] == 0.0


def test_one_request_tries_a_broken_host_and_decides() -> None:
    clock = Clock()
    breaker = Breaker(1, 60.0, 200.0, clock=clock)
    breaker.failed("a", "down")
    pauses = []
    for _ in range(4):
        clock.now += breaker.admit("a")[0]
        assert breaker.admit("a")[0] == 0.0  # the trial
        assert breaker.admit("a")[0] > 0.0  # nobody else meanwhile
        breaker.failed("a", "down")
        pauses.append(breaker.admit("a")[0])
    assert pauses == [120.0, 200.0, 200.0, 200.0]
    clock.now += 200.0
    assert breaker.admit("a")[0] == 0.0
    breaker.undecided("a")  # the trial was cancelled: somebody else may try
    assert breaker.admit("a")[0] == 0.0
    breaker.succeeded("a")
    assert breaker.admit("a")[0] == breaker.admit("a")[0] == 0.0


def test_requests_under_way_when_it_breaks_do_not_lengthen_the_pause() -> None:
    clock = Clock()
    breaker = Breaker(2, 60.0, clock=clock)
    for _ in range(6):
        breaker.failed("a", "down")
    assert breaker.admit("a")[0] == 60.0


def test_resetting_forgets() -> None:
    breaker = Breaker(1)
    breaker.failed("a", "down")
    assert breaker.admit("a")[0] > 0
    breaker.reset("a")
    assert breaker.admit("a")[0] == 0.0
