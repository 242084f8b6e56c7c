"""Other spectra of the same object: in its archive, in the other archives of the pool, and among the start."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline.campaign.annotation.arrays import read_spectrum
from emberline.campaign.annotation.asked import find_asked
from emberline.errors import CampaignError
from emberline.sky import separation

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.spectra import Spectrum

__all__ = ["RADIUS_ARCSEC", "Sibling", "Siblings", "read_sibling", "siblings_of"]

RADIUS_ARCSEC = 3.0
"""Spectra of other archives that are nearer than this show the same object."""

_CHAIN_ARCSEC = 10.0  # how far spectra of one object may lie apart in one archive, where chains of pairs are joined
_COLUMNS = [
    "identifier",
    "object",
    "survey",
    "ra",
    "dec",
    "mjd",
    "snr",
    "wavelength_min",
    "wavelength_max",
    "part",
    "row",
]


@dataclasses.dataclass(frozen=True)
class Sibling:
    """Another spectrum of the same object.

    Attributes
    ----------
    identifier, survey : str
    archive : str
        The name of its archive's folder.
    same_archive : bool
        It is a repeat in the same archive.
    separation_arcsec : float or None
        None when no positions are known.
    mjd, snr : float or None
    wavelength_min, wavelength_max : float
        Vacuum Å.
    label : str or None
        The label that holds.
    """

    identifier: str
    survey: str
    archive: str
    same_archive: bool
    separation_arcsec: float | None
    mjd: float | None
    snr: float | None
    wavelength_min: float
    wavelength_max: float
    label: str | None
    path: Path = dataclasses.field(repr=False)
    part: str = dataclasses.field(repr=False, default="")
    row: int = dataclasses.field(repr=False, default=0)


@dataclasses.dataclass(frozen=True)
class Siblings:
    """What was found, the same archive and the nearest in time first; and archives that could not be asked."""

    spectra: tuple[Sibling, ...]
    failures: dict[str, str]


def siblings_of(campaign: Campaign, identifier: str) -> Siblings:
    """See `emberline.campaign.annotation.Desk.siblings`."""
    asked, index = find_asked(campaign, identifier)
    paths = campaign.config.pool.archives
    home = paths[int(asked.archive[index])]
    meta = read_spectrum(home, identifier, str(asked.part[index]), int(asked.row[index])).meta
    labels = _labels(campaign)
    found: list[Sibling] = []
    failures: dict[str, str] = {}
    for path in dict.fromkeys((*paths, *(start.archive for start in campaign.config.start))):
        try:
            same = path == home
            rows = _rows(path / "catalogue.parquet", meta.ra, meta.dec, str(asked.objects[index]) if same else None)
        except (OSError, pa.ArrowException) as error:
            failures[path.name] = str(error).splitlines()[0]
            continue
        found += [_sibling(row, path, same, labels) for row in rows if not (same and row["identifier"] == identifier)]
    now = meta.mjd if np.isfinite(meta.mjd) else 0.0
    found.sort(key=lambda s: (not s.same_archive, abs((s.mjd or 0.0) - now), s.identifier))
    return Siblings(tuple(found), failures)


def _labels(campaign: Campaign) -> dict[str, str]:
    pairs = zip(campaign.start.identifiers.tolist(), campaign.start.labels.tolist(), strict=True)
    start = {name: campaign.config.classes[index] for name, index in pairs}
    return start | {label.identifier: label.answer for label in campaign.labels()}


def _rows(path: Path, ra: float, dec: float, name: str | None) -> list[dict[str, Any]]:
    """Rows of a catalogue at a position; those of the object `name` when it is the same archive."""
    placed = bool(np.isfinite(ra) and np.isfinite(dec))
    if not placed:
        named = (
            [] if name is None else pq.read_table(path, columns=_COLUMNS, filters=[("object", "==", name)]).to_pylist()
        )
        return [{**row, "separation": None} for row in named]
    rows = _near(path, ra, dec, RADIUS_ARCSEC if name is None else _CHAIN_ARCSEC)
    for row in rows:
        row["separation"] = _separation(ra, dec, row["ra"], row["dec"])
    if name is not None:
        return [row for row in rows if row["object"] == name]
    return [row for row in rows if row["separation"] is not None and row["separation"] <= RADIUS_ARCSEC]


def _near(path: Path, ra: float, dec: float, radius_arcsec: float) -> list[dict[str, Any]]:
    """Rows in a box around a position.

    The catalogue is sorted by HEALPix, so that few of its row groups reach there, and of these only the positions are
    read unless one fits.
    """
    radius = radius_arcsec / 3600
    half = 180.0 if abs(dec) + radius > 89.9 else float(radius / np.cos(np.radians(abs(dec) + radius)))
    rows: list[dict[str, Any]] = []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            if not _reaches(file, group, ra, dec, half, radius):
                continue
            found = file.read_row_group(group, columns=["ra", "dec"], use_threads=False)
            there_ra, there_dec = (found[key].to_numpy(zero_copy_only=False).astype(float) for key in ("ra", "dec"))
            inside = np.abs((there_ra - ra + 180) % 360 - 180) <= half
            inside &= np.abs(there_dec - dec) <= radius
            if inside.any():
                whole = file.read_row_group(group, columns=_COLUMNS, use_threads=False)
                rows += whole.take(pa.array(np.flatnonzero(inside))).to_pylist()
    return rows


def _reaches(file: pq.ParquetFile, group: int, ra: float, dec: float, half: float, radius: float) -> bool:
    """Whether a row group's ranges of right ascension and declination reach a box; also when they are not known."""
    metadata = file.metadata.row_group(group)
    spans = {}
    for name in ("ra", "dec"):
        statistics = metadata.column(file.schema_arrow.get_field_index(name)).statistics
        if statistics is None or not statistics.has_min_max:
            return statistics is None or statistics.null_count != metadata.num_rows
        spans[name] = (statistics.min, statistics.max)
    low, high = spans["dec"]
    if not low - radius <= dec <= high + radius:
        return False
    low, high = spans["ra"]
    return any(low - half <= turn <= high + half for turn in (ra % 360 - 360, ra % 360, ra % 360 + 360))


def _separation(ra: float, dec: float, other_ra: float | None, other_dec: float | None) -> float | None:
    """Between two positions, arcseconds; None when one is not known."""
    if other_ra is None or other_dec is None:
        return None
    return float(separation(ra, dec, other_ra, other_dec)) * 3600


def _sibling(row: dict[str, Any], path: Path, same: bool, labels: dict[str, str]) -> Sibling:
    numbers = {key: row[key] if row[key] is not None and np.isfinite(row[key]) else None for key in ("mjd", "snr")}
    return Sibling(
        identifier=row["identifier"],
        survey=row["survey"] or "",
        archive=path.name,
        same_archive=same,
        separation_arcsec=row["separation"],
        mjd=numbers["mjd"],
        snr=numbers["snr"],
        wavelength_min=row["wavelength_min"],
        wavelength_max=row["wavelength_max"],
        label=labels.get(row["identifier"]),
        path=path,
        part=row["part"],
        row=row["row"],
    )


def read_sibling(campaign: Campaign, identifier: str, sibling: str, archive: str) -> Spectrum:
    """The arrays of one of the spectra that `siblings_of` lists, for an overlay.

    Raises
    ------
    CampaignError
        It is none of them.
    """
    for found in siblings_of(campaign, identifier).spectra:
        if (found.identifier, found.archive) == (sibling, archive):
            return read_spectrum(found.path, sibling, found.part, found.row)
    raise CampaignError(f"is no other spectrum of {identifier}'s object", where=sibling, found=f"archive {archive!r}")
