"""The labelled spectra that are most like one that is asked about, in the network's eyes or by their pixels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.asked import Asked, asked_of_round, find_asked

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["Neighbour", "labelled_windows", "neighbours_of"]


@dataclasses.dataclass(frozen=True, eq=False)
class Neighbour:
    """A labelled spectrum near the one asked about.

    Attributes
    ----------
    identifier, label : str
    source : str
        ``start`` or ``label``.
    distance : float
        In units of the typical distance between labelled spectra: 0 is the same, 1 is no likeness.
    space : str
        ``network`` or ``pixels``.
    values : ndarray of float32, shape (pixels,)
        Its feature vector.
    """

    identifier: str
    label: str
    source: str
    distance: float
    space: str
    values: NDArray[np.float32]


def labelled_windows(campaign: Campaign) -> dict[str, tuple[str, str, NDArray[np.float32]]]:
    """Spectrum → label, source and feature vector, of all that is labelled: the start, and answers that are classes."""
    start, classes = campaign.start, campaign.config.classes
    found = {
        str(name): (classes[label], "start", start.values[row])
        for row, (name, label) in enumerate(zip(start.identifiers, start.labels, strict=True))
    }
    windows: dict[str, NDArray[np.float32]] = {}
    for number in sorted({q.round for q in campaign.database.questions()}):
        asked = asked_of_round(campaign, number)
        windows.update(zip(asked.places, asked.values, strict=True))
    for label in campaign.labels():
        if label.answer in classes and label.identifier in windows:
            found[label.identifier] = (label.answer, "label", windows[label.identifier])
    return found


def neighbours_of(campaign: Campaign, identifier: str, n: int = 5) -> list[Neighbour]:
    """See `emberline.campaign.annotation.Desk.neighbours`: only labelled spectra are compared."""
    asked, index = find_asked(campaign, identifier)
    labelled = labelled_windows(campaign)
    labelled.pop(identifier, None)
    space, names, vectors, own = _space(asked, index, labelled)
    if not names:
        return []
    distance = np.linalg.norm(vectors - own, axis=1)
    typical = float(np.median(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1))) * np.sqrt(2) or 1.0
    return [
        Neighbour(names[i], labelled[names[i]][0], labelled[names[i]][1], float(distance[i]) / typical, space,
                  labelled[names[i]][2])
        for i in np.argsort(distance, kind="stable")[:n].tolist()
    ]  # fmt: skip


def _space(
    asked: Asked, index: int, labelled: dict[str, tuple[str, str, NDArray[np.float32]]]
) -> tuple[str, list[str], NDArray[np.float32], NDArray[np.float32]]:
    """The space to compare in: the round's network where there is one; names and places of the labelled spectra."""
    if not asked.embeddings.size:
        names = list(labelled)
        vectors = np.stack([labelled[name][2] for name in names]) if names else np.zeros((0, asked.values.shape[1]))
        return "pixels", names, vectors.astype(np.float32), asked.values[index]
    places = dict(zip(asked.known.tolist(), asked.known_embeddings, strict=True))
    places.update(zip(asked.places, asked.embeddings, strict=True))
    names = [name for name in labelled if name in places]
    stacked = np.stack([places[name] for name in names]) if names else asked.embeddings[:0]
    return "network", names, stacked, asked.embeddings[index]
