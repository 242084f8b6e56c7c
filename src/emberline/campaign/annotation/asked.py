"""What is known of the spectra that a round asks about, kept beside the round so that nobody need open the pool.

``rounds/<n>/asked.npz`` holds, for each of some hundred spectra, where its arrays lie, its feature vector, and what the
round's network says of it; and where the spectra that had been labelled by then lie in the network's space.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.events import Question
from emberline.campaign.annotation.state import State
from emberline.campaign.predictions import load_probabilities, model_of_round, round_folder, target_probability
from emberline.errors import CampaignError
from emberline.files import atomic_path

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.learn import Model

__all__ = ["Asked", "add_asked", "asked_of_round", "find_asked", "save_asked"]


_OF_A_SPECTRUM = (
    "identifiers", "objects", "part", "archive", "row", "bad_fraction", "values", "probabilities", "rank", "embeddings",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """The m spectra of one round; arrays of shape (m,) unless something else is said.

    Attributes
    ----------
    identifiers, objects, part : ndarray of str
    archive, row : ndarray of int
        Which archive of the pool, and which row of the part in it.
    bad_fraction : ndarray of float
        The share of bad pixels in the recipe's window.
    values : ndarray of float32, shape (m, pixels)
        Feature vectors.
    probabilities : ndarray of float32, shape (m, classes)
        Empty (0, 0) when there was no network yet; so are the following.
    rank : ndarray of int
        Place by target probability in the pool; 1 is the most probable.
    embeddings : ndarray of float32, shape (m, e)
    known : ndarray of str, shape (n,)
        Spectra that had been labelled before.
    known_embeddings : ndarray of float32, shape (n, e)
    pool : int
        The size of the pool.
    """

    identifiers: NDArray[np.str_]
    objects: NDArray[np.str_]
    part: NDArray[np.str_]
    archive: NDArray[np.int32]
    row: NDArray[np.int64]
    bad_fraction: NDArray[np.float32]
    values: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    rank: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    known: NDArray[np.str_]
    known_embeddings: NDArray[np.float32]
    pool: NDArray[np.int64]

    @functools.cached_property
    def places(self) -> dict[str, int]:
        """Spectrum → its index."""
        return {str(name): index for index, name in enumerate(self.identifiers)}


def save_asked(
    campaign: Campaign,
    number: int,
    questions: Iterable[Question],
    model: Model | None,
    probabilities: NDArray[np.float32] | None,
) -> None:
    """Keep what annotators will want to see of a round's questions; the pool is open now and need not be later."""
    names = list(dict.fromkeys(q.identifier for q in questions))
    _save(campaign, number, _gather(campaign, names, model, probabilities))


def add_asked(
    campaign: Campaign,
    number: int,
    names: Iterable[str],
    model: Model | None,
    probabilities: NDArray[np.float32] | None,
) -> None:
    """Keep the same of spectra that are added to a round's questions; what is there already stays as it is."""
    before = asked_of_round(campaign, number)
    new = [name for name in dict.fromkeys(names) if name not in before.places]
    if new:
        more = _gather(campaign, new, model, probabilities)
        joined = {name: np.concatenate([getattr(before, name), getattr(more, name)]) for name in _OF_A_SPECTRUM}
        _save(campaign, number, dataclasses.replace(before, **joined))


def _save(campaign: Campaign, number: int, asked: Asked) -> None:
    folder = round_folder(campaign.path, number)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "asked.npz") as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **{field.name: getattr(asked, field.name) for field in dataclasses.fields(asked)})


def _gather(
    campaign: Campaign, names: list[str], model: Model | None, probabilities: NDArray[np.float32] | None
) -> Asked:
    pool = campaign.pool
    rows = pool.rows(names)
    values = np.ascontiguousarray(pool.values[rows], dtype=np.float32)
    part, row = _arrays_of(campaign, names, pool.archive_index[rows])
    none = np.zeros((0, 0), np.float32)
    known, known_values = _labelled(campaign)
    if probabilities is None:
        rank = np.zeros(0, np.int64)
    else:
        chance = target_probability(campaign, probabilities)
        ordered = np.sort(chance[pool.usable])
        rank = 1 + len(ordered) - np.searchsorted(ordered, chance[rows], side="right")
    return Asked(
        identifiers=np.array(names, np.str_),
        objects=pool.objects[rows],
        part=part,
        archive=pool.archive_index[rows],
        row=row,
        bad_fraction=pool.bad_fraction[rows],
        values=values,
        probabilities=none if probabilities is None else np.asarray(probabilities[rows], np.float32),
        rank=rank.astype(np.int64),
        embeddings=none if model is None else model.embed(values),
        known=known,
        known_embeddings=none if model is None else model.embed(known_values),
        pool=np.array(int(pool.usable.sum()), np.int64),
    )


def _arrays_of(
    campaign: Campaign, names: list[str], archive: NDArray[np.int32]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """The part and the row in it that hold the arrays of some spectra."""
    part, row = np.full(len(names), "", object), np.zeros(len(names), np.int64)
    for index in np.unique(archive).tolist():
        mine = np.flatnonzero(archive == index)
        places = campaign.pool.archives[index].locate([names[i] for i in mine])
        part[mine], row[mine] = [name for name, _ in places], [number for _, number in places]
    return part.astype(np.str_), row


def _labelled(campaign: Campaign) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    """The labelled spectra, start and answers, with their feature vectors."""
    names = sorted(campaign.database.look(State.answered) - set(campaign.start.identifiers.tolist()))
    rows = campaign.pool.find(names)
    rows = rows[rows >= 0]
    known = np.concatenate([campaign.start.identifiers.astype(np.str_), campaign.pool.identifiers[rows]])
    return known, np.concatenate([campaign.start.values, np.asarray(campaign.pool.values[rows], np.float32)])


def asked_of_round(campaign: Campaign, number: int) -> Asked:
    """What is kept of a round's questions; made anew, from the pool, for a round that was asked by an older version.

    Raises
    ------
    CampaignError
        The file cannot be read, or the pool cannot be opened to make it.
    """
    path = round_folder(campaign.path, number) / "asked.npz"
    if not path.is_file():
        _make_again(campaign, number)
    try:
        return _load(str(path), path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError) as error:
        raise CampaignError(
            f"what was asked cannot be read: {error}", where=str(path), action="Remove the file: it is made again."
        ) from error


@functools.lru_cache(maxsize=256)
def _load(path: str, changed: int) -> Asked:
    with np.load(Path(path), allow_pickle=False) as stored:
        return Asked(**{field.name: stored[field.name] for field in dataclasses.fields(Asked)})


def _make_again(campaign: Campaign, number: int) -> None:
    model = model_of_round(campaign, number)
    try:
        probabilities = None if model is None else np.asarray(load_probabilities(campaign, number))
    except CampaignError:
        probabilities = None
    save_asked(campaign, number, campaign.database.questions(number), model, probabilities)


def find_asked(campaign: Campaign, identifier: str) -> tuple[Asked, int]:
    """The newest round that asked about a spectrum, and the spectrum's index in it.

    Raises
    ------
    CampaignError
        It was never asked about.
    """
    numbers = [q.round for q in campaign.database.questions() if q.identifier == identifier]
    if not numbers:
        raise CampaignError("was never asked about", where=identifier)
    asked = asked_of_round(campaign, max(numbers))
    return asked, asked.places[identifier]
