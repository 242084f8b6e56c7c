"""What a round asks: a control sample for the estimates, and the spectra that the strategy chooses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.asked import save_asked
from emberline.campaign.annotation.state import State
from emberline.campaign.control import save_draw
from emberline.campaign.database import Question
from emberline.campaign.pool import Pool
from emberline.campaign.predictions import (
    load_probabilities,
    model_of_round,
    runtime_of_round,
    stream,
    target_probability,
)
from emberline.learn.control import ask, draw_control
from emberline.learn.strategies import Query, Rows, strategy
from emberline.progress import Progress

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.learn import Model

__all__ = ["MET", "ask_round", "known_rows"]

MET = "control spectrum met by the strategy"

_PASSES = 20


def ask_round(campaign: Campaign, current: dict[str, Any], progress: Progress) -> None:
    """Draw the control sample, choose what to query, and store both as the round's questions."""
    number, batch, control = (int(current[key]) for key in ("number", "batch", "control"))
    if campaign.database.questions(number):
        return
    progress("query", 0, batch + control)
    model = model_of_round(campaign, number)
    probabilities = None if model is None else np.asarray(load_probabilities(campaign, number))
    questions: list[Question] = []
    if control:
        questions += _control_questions(campaign, number, control, probabilities)
    if batch:
        hidden = {q.identifier for q in [*campaign.database.questions(), *questions] if q.purpose == "control"}
        questions += _queries(campaign, number, batch, model, probabilities, hidden)
    if questions:
        save_asked(campaign, number, questions, model, probabilities)
        campaign.database.ask(questions)
    progress("query", len(questions), len(questions))


def known_rows(campaign: Campaign) -> Rows:
    """Rows that a strategy chose before, or that the campaign started from.

    What was asked in an earlier round and never answered may be asked again.
    """
    answered = campaign.database.look(State.answered)
    current = campaign.current_round()
    names = {
        q.identifier
        for q in campaign.database.questions()
        if q.purpose == "query" and (q.identifier in answered or (current and q.round == current["number"]))
    }
    names |= set(campaign.start.identifiers.tolist())
    rows = campaign.pool.find(sorted(names))
    return np.sort(rows[rows >= 0])


def _available(campaign: Campaign) -> NDArray[np.bool_]:
    available = campaign.pool.usable.copy()
    available[known_rows(campaign)] = False
    return available


def _control_questions(
    campaign: Campaign, number: int, size: int, probabilities: NDArray[np.float32] | None
) -> list[Question]:
    """Draw a control sample; spectra of it that an earlier sample asked about are not asked about again."""
    score = np.zeros(len(campaign.pool), np.float32)
    if probabilities is not None:
        score = target_probability(campaign, probabilities)
    threshold = campaign.config.candidates.threshold
    rng, assume = stream(campaign, number, "control"), campaign.config.control.assume
    draw = draw_control(score, _available(campaign), size, rng=rng, threshold=threshold, assume=assume)
    save_draw(campaign, number, draw)
    return [
        Question(number, rank, name, "control", "control", int(stratum))
        for rank, (name, stratum) in enumerate(zip(campaign.identifiers(draw.rows), draw.stratum, strict=True))
    ]


def _queries(
    campaign: Campaign,
    number: int,
    batch: int,
    model: Model | None,
    probabilities: NDArray[np.float32] | None,
    hidden: set[str],
) -> list[Question]:
    """What the strategy chooses, not knowing which spectra are control spectra.

    A control spectrum that it chooses is noted as a query too, but keeps its control answer and is not learnt from.
    """
    pool, config = campaign.pool, campaign.config
    name = config.query.cold_start if model is None else config.query.strategy
    query = Query(
        probabilities=probabilities,
        features=pool.values,
        embeddings=None if model is None else lambda rows: model.embed(_values(pool, rows)),
        stochastic=None if model is None else _passes(campaign, number, model),
        objects=pool.objects,
        available=_available(campaign),
        asked=known_rows(campaign),
        batch=batch,
        targets=config.target_indices,
        rng=stream(campaign, number, "query"),
    )
    control = pool.find(sorted(hidden))
    new, passed = ask(strategy(name, {} if model is None else config.query.parameters), query, control[control >= 0])
    chosen = [(name, row) for row in new] + [(MET, row) for row in passed]
    names = campaign.identifiers([row for _, row in chosen])
    return [
        Question(number, rank, identifier, "query", reason)
        for rank, ((reason, _), identifier) in enumerate(zip(chosen, names, strict=True))
    ]


def _values(pool: Pool, rows: Rows) -> NDArray[np.float32]:
    return np.ascontiguousarray(pool.values[rows], dtype=np.float32)


def _passes(campaign: Campaign, number: int, model: Model) -> Callable[[Rows], NDArray[np.float32]]:
    """Class probabilities of some rows in repeated passes with dropout on."""
    from emberline.learn.runtimes import FP32, usable

    @functools.cache
    def passes() -> Callable[[NDArray[np.floating]], NDArray[np.float32]]:
        noted = runtime_of_round(campaign, number)  # what read the pool then may be missing now, or have been elsewhere
        rng = stream(campaign, number, "stochastic")
        return model.passes(_PASSES, rng, choice=noted if usable(noted) else FP32)

    return lambda rows: passes()(_values(campaign.pool, rows))
