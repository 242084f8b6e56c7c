"""Slow down whoever guesses passwords, without locking anybody out."""

from __future__ import annotations

import dataclasses
import ipaddress
import time
from collections.abc import Callable

__all__ = ["Throttle"]


@dataclasses.dataclass
class _Record:
    failures: int = 0
    last: float = 0.0


class Throttle:
    """Counts failed logins by name and by address, and says how long to wait before the next try.

    The first failures cost nothing; then the wait doubles, to at most a minute for an address and ten seconds for a
    name. An address from which a name has logged in before does not wait for what others do to that name, so that
    guessing at somebody's name does not keep them out. Counts are forgotten after a quiet hour.
    """

    FREE = 5
    LONGEST_ADDRESS, LONGEST_NAME = 60.0, 10.0
    FORGET = 3600.0
    MOST = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[tuple[str, str], _Record] = {}
        self._known: dict[tuple[str, str], None] = {}

    def wait(self, name: str, address: str) -> float:
        """Seconds until the next try is looked at; 0 for now."""
        name, address = name.casefold(), _network(address)
        waits = [self._remaining(("address", address), self.LONGEST_ADDRESS)]
        if (name, address) not in self._known:
            waits.append(self._remaining(("name", name), self.LONGEST_NAME))
        return max(waits)

    def failed(self, name: str, address: str) -> None:
        """Count a failed try."""
        for key in (("name", name.casefold()), ("address", _network(address))):
            record = self._records.pop(key, _Record())
            if self._clock() - record.last > self.FORGET:
                record = _Record()
            record.failures, record.last = record.failures + 1, self._clock()
            self._records[key] = record  # at the end: the first ones are the oldest
        while len(self._records) > self.MOST:
            self._records.pop(next(iter(self._records)))

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of this name and remember the address. Other names tried from there still count."""
        name, address = name.casefold(), _network(address)
        self._records.pop(("name", name), None)
        self._known.pop((name, address), None)
        self._known[name, address] = None
        while len(self._known) > self.MOST:
            self._known.pop(next(iter(self._known)))

    def _remaining(self, key: tuple[str, str], longest: float) -> float:
        record = self._records.get(key)
        if record is None or record.failures < self.FREE:
            return 0.0
        wait = min(longest, 2.0 ** min(record.failures - self.FREE, 16))
        return max(0.0, record.last + wait - self._clock())


def _network(address: str) -> str:
    """An address; of IPv6 the first 64 bits, for a household has that many."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
