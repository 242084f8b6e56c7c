"""Spectra taken at the same time through neighbouring fibres: a nebula or bad sky shows in many of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline.campaign.annotation.arrays import read_spectrum
from emberline.campaign.panels.base import Place
from emberline.campaign.panels.nebular import Nebular, measure_nebular
from emberline.errors import ArchiveError
from emberline.sky import separation

__all__ = ["Neighbours", "fibres_beside", "measure_beside", "plate_of"]

FIBRES = 24
"""So many of the nearest fibres of a plate are measured."""

RADIUS_DEGREES = 1.0
_COLUMNS = ["identifier", "object", "ra", "dec", "part", "row"]
_PATTERNS = (
    re.compile(r"(?P<plate>(?:spec|med)-\d+-[^_]+)_sp\d+-\d+"),  # LAMOST: date and plan
    re.compile(r"(?P<plate>spec-\d{3,5}-\d{5})-\d{1,4}"),  # SDSS: plate and date
)


def plate_of(identifier: str) -> str:
    """What all spectra share that were taken together, by the survey's way of naming; empty where nothing says it."""
    for pattern in _PATTERNS:
        found = pattern.match(identifier)
        if found:
            return found["plate"]
    return ""


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The nearest fibres of one plate, and what was measured through them.

    Attributes
    ----------
    plate : str
    measured : tuple of Nebular
        One for each other object whose spectrum could be measured.
    """

    plate: str
    measured: tuple[Nebular, ...]

    def showing(self, own: Nebular) -> tuple[frozenset[str], int]:
        """The lines of the spectrum that some others show too, and how many do, at its velocity to 100 km/s."""
        found = [own.names & other.names for other in self.measured if abs(other.velocity - own.velocity) <= 100.0]
        some = [names for names in found if names]
        return frozenset().union(*some), len(some)


def fibres_beside(archive: Path, places: Sequence[Place]) -> dict[str, list[dict[str, Any]]]:
    """The nearest fibres of each place's plate, other objects than its own, within a degree; read once for all places.

    Raises
    ------
    OSError, pyarrow.ArrowException
        The catalogue cannot be read.
    """
    plates = {plate_of(place.identifier) for place in places if place.placed} - {""}
    rows: dict[str, list[dict[str, Any]]] = {plate: [] for plate in plates}
    if not plates:
        return {}
    with pq.ParquetFile(archive / "catalogue.parquet") as file:
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, columns=["identifier"], use_threads=False)["identifier"].to_pylist()
            hits = [(row, plate) for row, name in enumerate(names) if (plate := plate_of(name)) in plates]
            if hits:
                whole = file.read_row_group(group, columns=_COLUMNS, use_threads=False)
                taken = whole.take(pa.array([row for row, _ in hits])).to_pylist()
                for (_, plate), row in zip(hits, taken, strict=True):
                    rows[plate].append(row)
    found = {}
    for place in places:
        mine = rows.get(plate_of(place.identifier), []) if place.placed else []
        others = [row for row in mine if row["object"] != place.object and row["ra"] is not None]
        found[place.identifier] = _nearest(place, others)
    return found


def _nearest(place: Place, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not rows:
        return []
    apart = separation(place.ra, place.dec, [row["ra"] for row in rows], [row["dec"] for row in rows])
    order = np.argsort(apart, kind="stable")[:FIBRES]
    return [rows[index] for index in order.tolist() if apart[index] <= RADIUS_DEGREES]


def measure_beside(archive: Path, rows: Sequence[dict[str, Any]], known: dict[str, Nebular | None]) -> list[Nebular]:
    """Measure the spectra of some rows; `known` keeps what was measured, for neighbours are shared."""
    found = []
    for row in rows:
        name = str(row["identifier"])
        if name not in known:
            try:
                known[name] = measure_nebular(read_spectrum(archive, name, row["part"], row["row"]))
            except (ArchiveError, OSError):
                known[name] = None
        measured = known[name]
        if measured is not None:
            found.append(measured)
    return found
