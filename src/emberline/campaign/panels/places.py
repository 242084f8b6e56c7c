"""Where the spectra point that a campaign has asked about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.archive.surveys import fibre_of
from emberline.campaign.annotation.arrays import read_spectrum
from emberline.campaign.annotation.asked import Asked, asked_of_round
from emberline.campaign.panels.base import Place
from emberline.errors import ArchiveError

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["archives_of", "identifiers_of", "places_of"]

_MJD_2000 = 51544.5


def identifiers_of(campaign: Campaign, number: int | None = None) -> list[str]:
    """The spectra that a round asked about, by default the newest that asked any, in the order of its questions."""
    questions = campaign.database.questions()
    if not questions:
        return []
    wanted = max(q.round for q in questions) if number is None else number
    return list(dict.fromkeys(q.identifier for q in questions if q.round == wanted))


def archives_of(campaign: Campaign) -> tuple[Path, ...]:
    """The archives of the pool and of the start, each once."""
    return tuple(dict.fromkeys((*campaign.config.pool.archives, *(start.archive for start in campaign.config.start))))


def places_of(campaign: Campaign, identifiers: Iterable[str]) -> list[Place]:
    """Position, date, archive and fibre of some spectra that were asked about; those that cannot be read are left out.

    The pool is not opened.
    """
    wanted = dict.fromkeys(identifiers)
    rounds: dict[str, int] = {}
    for question in campaign.database.questions():
        if question.identifier in wanted:
            rounds[question.identifier] = max(question.round, rounds.get(question.identifier, -1))
    found = []
    for name in wanted:
        if name in rounds:
            asked = asked_of_round(campaign, rounds[name])
            place = _place(campaign, asked, name)
            if place is not None:
                found.append(place)
    return found


def _place(campaign: Campaign, asked: Asked, name: str) -> Place | None:
    index = asked.places[name]
    archive = campaign.config.pool.archives[int(asked.archive[index])]
    part, row = str(asked.part[index]), int(asked.row[index])
    try:
        meta = read_spectrum(archive, name, part, row).meta
    except (ArchiveError, OSError):
        return None
    epoch = 2000.0 + (meta.mjd - _MJD_2000) / 365.25 if math.isfinite(meta.mjd) else math.nan
    fibre = fibre_of(archive, meta.survey, meta.mjd)
    return Place(name, str(asked.objects[index]), meta.ra, meta.dec, epoch, archive, meta, fibre, part, row)
