"""What a round asks: a control sample for the estimates, and the spectra that the strategy chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.database import Question
from emberline.campaign.pool import Pool
from emberline.campaign.predictions import load_probabilities, model_of_round, stream, target_probability
from emberline.learn import Model
from emberline.learn.control import ControlDraw, draw_control
from emberline.learn.strategies import Query, Rows, strategy
from emberline.progress import Progress

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["ask_round", "asked_rows"]

_PASSES = 20


def ask_round(campaign: Campaign, current: dict[str, Any], progress: Progress) -> None:
    number, batch, control = (int(current[key]) for key in ("number", "batch", "control"))
    if campaign.database.questions(number):
        return
    model = model_of_round(campaign, number)
    probabilities = None if model is None else np.asarray(load_probabilities(campaign, number))
    available = campaign.pool.usable.copy()
    available[asked_rows(campaign)] = False
    questions: list[Question] = []
    sizes: dict[int, int] = {}
    if control and available.any():
        drawn = _draw_control(campaign, number, control, probabilities, available)
        available[drawn.rows] = False
        names = campaign.identifiers(drawn.rows)
        questions += [
            Question(number, rank, name, "control", "control", int(stratum))
            for rank, (name, stratum) in enumerate(zip(names, drawn.stratum, strict=True))
        ]
        sizes = {stratum: int(size) for stratum, size in enumerate(drawn.sizes)}
    if batch and available.any():
        rows, reasons = _select(campaign, number, batch, model, probabilities, available)
        questions += [
            Question(number, rank, name, "query", reason)
            for rank, (name, reason) in enumerate(zip(campaign.identifiers(rows), reasons, strict=True))
        ]
    if questions:
        campaign.database.ask(questions, sizes)
    progress("query", len(questions), len(questions))


def asked_rows(campaign: Campaign) -> NDArray[np.int64]:
    """Rows that were asked about before, or that the campaign started from."""
    names = {q.identifier for q in campaign.database.questions()} | set(campaign.start.identifiers.tolist())
    return np.flatnonzero(np.isin(campaign.pool.identifiers, np.array(sorted(names), np.str_)))


def _draw_control(
    campaign: Campaign,
    number: int,
    size: int,
    probabilities: NDArray[np.float32] | None,
    available: NDArray[np.bool_],
) -> ControlDraw:
    score = np.zeros(len(campaign.pool), np.float32)
    if probabilities is not None:
        score = target_probability(campaign, probabilities)
    return draw_control(score, available, size, rng=stream(campaign, number, "control"))


def _select(
    campaign: Campaign,
    number: int,
    batch: int,
    model: Model | None,
    probabilities: NDArray[np.float32] | None,
    available: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], list[str]]:
    """The rows to ask about, and why each was chosen."""
    pool, config = campaign.pool, campaign.config
    name = config.query.cold_start if model is None else config.query.strategy
    query = Query(
        probabilities=probabilities,
        features=pool.values,
        embeddings=None if model is None else lambda rows: model.embed(_values(pool, rows)),
        stochastic=None if model is None else _passes(campaign, number, model),
        objects=pool.objects,
        available=available,
        asked=asked_rows(campaign),
        batch=batch,
        targets=config.target_indices,
        rng=stream(campaign, number, "query"),
    )
    rows = strategy(name, {} if model is None else config.query.parameters).select(query)
    return rows, [name] * len(rows)


def _values(pool: Pool, rows: Rows) -> NDArray[np.float32]:
    return np.ascontiguousarray(pool.values[rows], dtype=np.float32)


def _passes(campaign: Campaign, number: int, model: Model) -> Callable[[Rows], NDArray[np.float32]]:
    """Class probabilities of some rows in repeated passes with dropout on."""

    def run(rows: Rows) -> NDArray[np.float32]:
        return model.stochastic(_values(campaign.pool, rows), _PASSES, stream(campaign, number, "stochastic"))

    return run
