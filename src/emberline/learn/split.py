"""Hold out a share of the objects: no star is ever both learnt from and tested on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["split_objects"]


def split_objects(
    labels: NDArray[np.int64],
    objects: NDArray[Any],
    fraction: float,
    rng: np.random.Generator,
    *,
    before: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split spectra into training and validation by object, every class in the same proportion as far as it goes.

    Parameters
    ----------
    labels : (n,) int
        The class of each spectrum.
    objects : (n,) str or int
        The object of each spectrum; all spectra of one object go to the same side.
    fraction : float
        The share of each class's spectra to hold out.
    rng : numpy.random.Generator
        Chooses the objects.
    before : (n,) bool, optional
        Spectra that were held out before, by another member of a committee: their objects are held out again only when
        their class has no others left.

    Returns
    -------
    training, validation : (a,) and (b,) int64
        Sorted row numbers. Every class keeps at least one object for training, so a class of one object has no
        validation example; a class of two or more has one, unless the object is most of the class. An object whose
        spectra have different labels counts for its most frequent one.
    """
    labels = np.asarray(labels, dtype=np.int64)
    _, inverse = np.unique(objects, return_inverse=True)
    held_out = np.zeros(inverse.max(initial=-1) + 1, dtype=bool)
    sizes = np.bincount(inverse)
    classes = _majority(labels, inverse)
    used = np.zeros(len(held_out), dtype=bool)
    if before is not None:
        used[inverse[before]] = True
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        members = members[np.argsort(used[members], kind="stable")]
        held_out[_draw(members, sizes, fraction)] = True
    validation = held_out[inverse]
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def _majority(labels: NDArray[np.int64], inverse: NDArray[np.intp]) -> NDArray[np.intp]:
    """The most frequent label of each object; the lowest of equals."""
    if labels.size == 0:
        return np.empty(0, dtype=np.intp)
    counts = np.zeros((inverse.max() + 1, labels.max() + 1), dtype=np.int64)
    np.add.at(counts, (inverse, labels), 1)
    majority: NDArray[np.intp] = counts.argmax(axis=1)
    return majority


def _draw(members: NDArray[np.intp], sizes: NDArray[np.intp], fraction: float) -> list[int]:
    """Take objects of one class, in the given random order, up to `fraction` of its spectra."""
    if fraction <= 0 or members.size < 2:
        return []
    total = int(sizes[members].sum())
    room = max(fraction * total, 1.0)
    drawn: list[int] = []
    for member in members:
        if sizes[member] <= room + 0.5 and len(drawn) < members.size - 1:
            drawn.append(int(member))
            room -= sizes[member]
        if room < 0.5:
            break
    if not drawn:  # every object is larger than the share: the smallest, if it leaves most of the class
        smallest = int(members[sizes[members].argmin()])
        return [smallest] if sizes[smallest] * 2 <= total else []
    return drawn
