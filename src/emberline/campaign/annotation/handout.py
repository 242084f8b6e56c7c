"""Which questions are in whose hands: a queue for one window of one annotator, kept while it works."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emberline.campaign.annotation import leases
from emberline.campaign.annotation.assignment import (
    Entry,
    agenda,
    eligible,
    own_labels,
    repeat_of,
    repeats_due,
    still_wanted,
)
from emberline.campaign.annotation.leases import Lease
from emberline.campaign.annotation.state import State
from emberline.campaign.database import Database

if TYPE_CHECKING:
    import sqlite3

    from emberline.campaign.campaign import Campaign

__all__ = ["Handout", "Task", "agenda_of"]

_BETWEEN_REPEATS = 5

_agendas: weakref.WeakKeyDictionary[Database, tuple[Any, dict[str, Entry]]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Task:
    """A question in this annotator's hands; nothing in it tells what it was asked for.

    Attributes
    ----------
    token : str
        Goes back with the answer.
    identifier : str
    expires : float
        Until when it is kept, seconds since 1970.
    skipped : bool
        The annotator skipped it before.
    """

    token: str
    identifier: str
    expires: float
    skipped: bool = False


def agenda_of(campaign: Campaign) -> dict[str, Entry]:
    """Spectrum → its question, in the order in which they are handed out; worked out anew when there are others."""
    questions = campaign.database.questions()
    rows = campaign.database.read("SELECT number FROM rounds WHERE finished IS NOT NULL")
    over = frozenset(row["number"] for row in rows)
    key = (len(questions), over, campaign.config.seed, repr(campaign.config.annotation))
    known = _agendas.get(campaign.database)
    if known is None or known[0] != key:
        known = _agendas[campaign.database] = (key, agenda(campaign.config, questions, over))
    return known[1]


class Handout:
    """Questions for one window of one annotator; see `emberline.campaign.annotation.Desk` for the parameters."""

    def __init__(self, campaign: Campaign, who: str, session: str, clock: Callable[[], float]) -> None:
        self.campaign = campaign
        self.who = who
        self.session = session
        self.clock = clock
        self._database = campaign.database

    def expiry(self) -> float:
        """When a question that is handed out now is free again."""
        return self.clock() + 60.0 * self.campaign.config.annotation.lease_minutes

    def queue(self, n: int = 8) -> list[Task]:
        """The next `n` questions, those already handed out to this session first; each is kept for a while.

        Nobody else gets them meanwhile unless an overlap is configured. Skipped questions come when no other is left.
        """
        with self._database.transaction() as connection:
            state, entries = self._database.state(), agenda_of(self.campaign)
            held = leases.live(connection, self.clock())
            mine = [lease for lease in held if self._goes_on(state, entries, lease)]
            expires = self.expiry()
            leases.renew(connection, [lease.token for lease in mine[:n]], self.session, expires)
            if len(mine) < n:
                mine += self._more(connection, state, entries, held, n - len(mine))
            return [
                Task(x.token, x.identifier, expires, not x.silent and state.skipped(self.who, x.identifier) is not None)
                for x in mine[:n]
            ]

    def _goes_on(self, state: State, entries: Mapping[str, Entry], lease: Lease) -> bool:
        """Whether a lease is this session's and its question still open."""
        if (lease.who, lease.session) != (self.who, self.session):
            return False
        entry = entries.get(lease.identifier)
        return lease.silent or (entry is not None and still_wanted(state, entry, self.who))

    def _more(
        self, connection: sqlite3.Connection, state: State, entries: Mapping[str, Entry], held: list[Lease], n: int
    ) -> list[Lease]:
        """Up to `n` questions that this session has not in hand."""
        holders = leases.holders_of(held)
        free = [e for e in entries.values() if eligible(state, e, self.who, holders.get(e.identifier, ()))]
        names = [entry.identifier for entry in sorted(free, key=lambda e: self._last_skip(state, e.identifier))]
        new = [name for name in names if self.who not in holders.get(name, ())][:n]
        found = [leases.open_lease(connection, name, self.who, self.session, self.expiry()) for name in new]
        if found:
            again = self._repeat(connection, state, held)
            return found if again is None else [*found[: n - 1], again, *found[n - 1 :]][:n]
        # Nothing else is left: what lies in another window of the same annotator is handed over.
        moved = [lease for lease in held if lease.who == self.who and lease.session != self.session]
        moved = [lease for lease in moved if lease.silent or lease.identifier in names][:n]
        leases.renew(connection, [lease.token for lease in moved], self.session, self.expiry())
        return moved

    def _last_skip(self, state: State, identifier: str) -> int:
        skip = state.skipped(self.who, identifier)
        return 0 if skip is None else skip.id

    def _repeat(self, connection: sqlite3.Connection, state: State, held: list[Lease]) -> Lease | None:
        """A question that comes again, when one is due."""
        if any(lease.silent and lease.who == self.who for lease in held):
            return None
        given = leases.silent_leases(connection, self.who)
        lost = next((lease for lease in given if not lease.closed), None)
        if lost is not None:
            leases.renew(connection, [lost.token], self.session, self.expiry())
            return lost
        own = own_labels(state, self.who)
        if not repeats_due(self.campaign.config, len(own), len(given)) or self._just_repeated(state):
            return None
        chosen = repeat_of(self.campaign.config, own, {lease.identifier for lease in given}, self.who)
        if chosen is None:
            return None
        return leases.open_lease(connection, chosen.identifier, self.who, self.session, self.expiry(), silent=True)

    def _just_repeated(self, state: State) -> bool:
        own = [event for event in state.events.values() if event.who == self.who][-_BETWEEN_REPEATS:]
        return any(event.silent for event in own)

    def renew(self) -> int:
        """Keep the questions of this session for another while; returns how many they are."""
        with self._database.transaction() as connection:
            mine = [
                lease.token
                for lease in leases.live(connection, self.clock())
                if (lease.who, lease.session) == (self.who, self.session)
            ]
            leases.renew(connection, mine, self.session, self.expiry())
            return len(mine)

    def release(self) -> int:
        """Give this session's questions back, so that others may have them; returns how many they were."""
        with self._database.transaction() as connection:
            return leases.release(connection, self.who, self.session)
