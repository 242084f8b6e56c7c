"""How far an annotator is, told so that nothing gives away what a question was asked for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from emberline.campaign.annotation import leases
from emberline.campaign.annotation.assignment import Entry, eligible, own_labels, repeats_due, still_wanted
from emberline.campaign.annotation.handout import agenda_of
from emberline.campaign.annotation.leases import Lease, holders_of
from emberline.campaign.annotation.state import State
from emberline.campaign.config import CampaignConfig

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["Progress", "progress_of"]


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an annotator is in a round; queries, control questions and repeats are counted alike.

    Attributes
    ----------
    round : int or None
        None before the first.
    done, left : int
        Answered by this annotator, and still to be answered by him or her.
    skipped, elsewhere : int
        Of those left: skipped before, and at present in somebody else's hands.
    earlier : int
        Questions of rounds that are over, which nobody has answered.
    asked, answered, disputed : int
        Of the round, by all annotators together.
    """

    round: int | None
    done: int
    left: int
    skipped: int
    elsewhere: int
    earlier: int
    asked: int
    answered: int
    disputed: int

    @property
    def total(self) -> int:
        """The length of the way."""
        return self.done + self.left


def progress_of(campaign: Campaign, who: str, now: float) -> Progress:
    """How far an annotator is in the newest round that has questions."""
    database = campaign.database
    with database.transaction() as connection:
        held, silent = leases.live(connection, now), leases.silent_leases(connection, who)
    entries = list(agenda_of(campaign).values())
    return database.look(lambda state: _count(campaign.config, state, entries, who, held, silent))


def _count(
    config: CampaignConfig, state: State, entries: list[Entry], who: str, held: list[Lease], silent: list[Lease]
) -> Progress:
    number = max((entry.round for entry in entries), default=None)
    mine = [entry for entry in entries if entry.round == number]
    own = [event for event in own_labels(state, who) if event.round == number]
    left = [entry for entry in mine if still_wanted(state, entry, who)]
    repeats = [state.repeat(who, lease.token) for lease in silent]
    again = sum(event is not None and event.details.get("round") == number for event in repeats)
    holders = holders_of(held)
    return Progress(
        round=number,
        done=len(own) + again,
        left=len(left) + (_coming(config, state, who, len(left), silent) if left else 0),
        skipped=sum(state.skipped(who, entry.identifier) is not None for entry in left),
        elsewhere=sum(not eligible(state, e, who, holders.get(e.identifier, ())) for e in left),
        earlier=sum(e.round != number and still_wanted(state, e, who) for e in entries),
        asked=len(mine),
        answered=sum(bool(state.opinions(entry.identifier)) for entry in mine),
        disputed=sum(state.disputed(entry.identifier) for entry in mine),
    )


def _coming(config: CampaignConfig, state: State, who: str, left: int, silent: list[Lease]) -> int:
    """How many questions will come again by the end, so that the way does not grow when one does."""
    total = len(own_labels(state, who)) + left
    return repeats_due(config, total, len(silent)) + sum(not lease.closed for lease in silent)
