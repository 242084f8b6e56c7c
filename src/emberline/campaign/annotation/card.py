"""The card of a round: what changed, how good the catalogue is, who labelled what, and whether to go on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emberline.campaign.annotation.advice import Advice, advise
from emberline.campaign.annotation.agreement import Agreement, Share, agreement
from emberline.campaign.annotation.handout import agenda_of
from emberline.campaign.annotation.listings import candidates_of_round
from emberline.campaign.annotation.state import State
from emberline.learn.stopping import Gain

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["Changes", "CurvePoint", "NewCandidate", "RoundCard", "round_card"]

_NEW = 24


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """One finished round: labels so far, new targets of its own queries, candidates, and the estimates then."""

    round: int
    labels_start: int
    labels_query: int
    labels_control: int
    new_targets: int
    candidates: int
    purity: Share | None
    completeness: Share | None


@dataclasses.dataclass(frozen=True)
class Changes:
    """The last finished round against the one before; `added` and `removed` candidates are None when not known."""

    labels: int
    new_targets: int
    candidates: int
    added: int | None
    removed: int | None


@dataclasses.dataclass(frozen=True)
class NewCandidate:
    """A candidate that the last round brought."""

    identifier: str
    probability: float


@dataclasses.dataclass(frozen=True)
class RoundCard:
    """Where a campaign stands between two rounds.

    Attributes
    ----------
    campaign : str
    open_round, last_round : int or None
        The round that is open, and the last finished one.
    asked, answered, disputed : int
        Questions of the newest round that has any; those that somebody answered; and all disputes.
    changes : Changes or None
    purity, completeness : Share or None
        Of the last finished round, from its control labels alone; never of a round that is open.
    classes : dict
        Answer → labels that hold, those of the start included.
    annotators : dict
        Annotator → labels that hold.
    agreement : Agreement
    curve : tuple of CurvePoint
        The finished rounds.
    new_candidates : tuple of NewCandidate
        The most probable first, at most 24.
    advice : Advice
    gain : Gain or None
        New targets expected of the next 100 labels.
    worth : float
        How many new targets make 100 labels worth the work.
    completeness_from_draw : Share or None
        The completeness that rests on the random draw alone, where `completeness` assumes more; else None.
    revised, unsure : int
        Control answers that were changed after the network's opinion had been seen; those that name no class.
    calibration : mapping or None
        The fields of `emberline.campaign.pool_probability.Calibration`; None where no answers tell.
    """

    campaign: str
    open_round: int | None
    last_round: int | None
    asked: int
    answered: int
    disputed: int
    changes: Changes | None
    purity: Share | None
    completeness: Share | None
    classes: dict[str, int]
    annotators: dict[str, int]
    agreement: Agreement
    curve: tuple[CurvePoint, ...]
    new_candidates: tuple[NewCandidate, ...]
    advice: Advice
    gain: Gain | None
    worth: float
    completeness_from_draw: Share | None
    revised: int
    unsure: int
    calibration: Mapping[str, Any] | None


def round_card(campaign: Campaign) -> RoundCard:
    """Make the card; the pool is not opened."""
    rounds = campaign.rounds()
    curve = tuple(_point(row["summary"]) for row in rounds if row["summary"])
    lists = _last_two_lists(campaign, curve)
    entries = list(agenda_of(campaign).values())
    newest = max((entry.round for entry in entries), default=None)
    mine = [entry.identifier for entry in entries if entry.round == newest]
    answered = campaign.database.look(State.answered)
    last = curve[-1] if curve else None
    newest_summary: dict[str, Any] = next((row["summary"] for row in reversed(rounds) if row["summary"]), {})
    gain = _gain(rounds)
    return RoundCard(
        campaign=campaign.config.name,
        open_round=rounds[-1]["number"] if rounds and not rounds[-1]["finished"] else None,
        last_round=last.round if last else None,
        asked=len(mine),
        answered=len(answered & set(mine)),
        disputed=len(campaign.database.look(State.disputes)),
        changes=_changes(curve, lists),
        purity=last.purity if last else None,
        completeness=last.completeness if last else None,
        classes=_classes(campaign),
        annotators=campaign.database.look(_annotators),
        agreement=agreement(campaign),
        curve=curve,
        new_candidates=_new(lists),
        advice=_advice(rounds, curve, lists, gain, campaign.config.stop.worth),
        gain=gain,
        worth=campaign.config.stop.worth,
        completeness_from_draw=(
            _share(newest_summary["completeness_from_draw"]) if newest_summary.get("assumed") == "scores" else None
        ),
        revised=newest_summary.get("revised", 0),
        unsure=newest_summary.get("unsure", 0),
        calibration=newest_summary.get("calibration"),
    )


def _gain(rounds: list[dict[str, Any]]) -> Gain | None:
    """Of the last finished round; None without a network, and for rounds of older versions."""
    finished = [row["summary"] for row in rounds if row["summary"]]
    found = finished[-1].get("gain") if finished else None
    return None if found is None else Gain(**found)


def _point(summary: Mapping[str, Any]) -> CurvePoint:
    counts = {field.name: summary[field.name] for field in dataclasses.fields(CurvePoint)[1:-2]}
    return CurvePoint(
        round=summary["number"],
        **counts,
        purity=_share(summary["purity"]),
        completeness=_share(summary["completeness"]),
    )


def _share(estimate: Mapping[str, Any] | None) -> Share | None:
    if estimate is None or estimate["value"] is None:
        return None
    return Share(estimate["value"], estimate["low"], estimate["high"], estimate["n"])


_Lists = tuple[dict[str, float] | None, dict[str, float] | None]


def _last_two_lists(campaign: Campaign, curve: tuple[CurvePoint, ...]) -> _Lists:
    """The candidates of the last finished round and of the one before it."""
    found = [candidates_of_round(campaign.path, point.round) for point in curve[-2:]]
    return (found[-1] if found else None), (found[0] if len(found) == 2 else None)


def _changes(curve: tuple[CurvePoint, ...], lists: _Lists) -> Changes | None:
    if not curve:
        return None
    last = curve[-1]
    before = curve[-2] if len(curve) > 1 else dataclasses.replace(last, labels_query=0, labels_control=0, candidates=0)
    now, then = lists
    both = now is not None and then is not None
    return Changes(
        labels=last.labels_query + last.labels_control - before.labels_query - before.labels_control,
        new_targets=last.new_targets,
        candidates=last.candidates - before.candidates,
        added=len((now or {}).keys() - (then or {}).keys()) if both else None,
        removed=len((then or {}).keys() - (now or {}).keys()) if both else None,
    )


def _new(lists: _Lists) -> tuple[NewCandidate, ...]:
    now, then = lists
    new = {name: chance for name, chance in (now or {}).items() if name not in (then or {})}
    ordered = sorted(new.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(NewCandidate(name, chance) for name, chance in ordered[:_NEW])


def _classes(campaign: Campaign) -> dict[str, int]:
    counts = Counter(label.answer for label in campaign.labels())
    counts.update(campaign.config.classes[index] for index in campaign.start.labels)
    return {name: counts[name] for name in campaign.config.answers}


def _annotators(state: State) -> dict[str, int]:
    counts = Counter(who for name in state.labels_by for who in state.opinions(name))
    return dict(counts.most_common())


def _advice(
    rounds: list[dict[str, Any]], curve: tuple[CurvePoint, ...], lists: _Lists, gain: Gain | None, worth: float
) -> Advice:
    asking = {row["number"] for row in rounds if row["batch"] and row["summary"]}
    counts = {}
    before = 0
    for point in curve:
        counts[point.round] = (point.labels_query - before, point.new_targets)
        before = point.labels_query
    last_two = [counts[number] for number in sorted(asking)[-2:]]
    now, then = lists
    overlap = None
    if now is not None and then is not None and (now or then):
        overlap = len(now.keys() & then.keys()) / len(now.keys() | then.keys())
    trained = sum(point.round in asking and point.candidates > 0 for point in curve)
    return advise(
        sum(labels for labels, _ in last_two),
        sum(targets for _, targets in last_two),
        trained,
        overlap,
        curve[-1].completeness if curve else None,
        gain,
        worth,
    )
