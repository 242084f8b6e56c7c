"""What an archive's catalogue has around many places: read once for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from emberline.campaign.panels.base import Place

__all__ = ["rows_around", "separation_arcsec", "unit_vectors"]

_COLUMNS = (
    "identifier", "object", "survey", "name", "ra", "dec", "mjd", "snr", "wavelength_min", "wavelength_max", "part",
    "row",
)  # fmt: skip


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    """Positions in degrees, shape (n,), as vectors of shape (n, 3)."""
    longitude, latitude = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)


def separation_arcsec(ra: ArrayLike, dec: ArrayLike, other_ra: ArrayLike, other_dec: ArrayLike) -> Any:
    """Between positions in degrees, by the chord, which is exact for small angles."""
    chord = np.linalg.norm(unit_vectors(ra, dec) - unit_vectors(other_ra, other_dec), axis=-1)
    return np.degrees(2 * np.arcsin(np.minimum(1.0, chord / 2))) * 3600


def rows_around(archive: Path, places: Sequence[Place], radius_arcsec: float) -> dict[str, list[dict[str, Any]]]:
    """Rows of an archive's catalogue near each place, the nearest first; `separation` in arcseconds is added.

    Only the positions are read of row groups in which nothing is near.

    Returns
    -------
    dict
        Identifier of a place → rows; places without any are left out.

    Raises
    ------
    OSError, pyarrow.ArrowException
        The catalogue cannot be read.
    """
    from scipy.spatial import cKDTree

    placed = [place for place in places if place.placed]
    if not placed:
        return {}
    tree = cKDTree(unit_vectors([p.ra for p in placed], [p.dec for p in placed]))
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    found: dict[str, list[dict[str, Any]]] = {}
    with pq.ParquetFile(archive / "catalogue.parquet") as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["ra", "dec"], use_threads=False)
            ra, dec = (table[name].to_numpy(zero_copy_only=False).astype(float) for name in ("ra", "dec"))
            known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
            near = tree.query_ball_point(unit_vectors(ra[known], dec[known]), chord)
            hits = [(int(row), int(place)) for row, some in zip(known, near, strict=True) for place in some]
            if hits:
                rows = sorted({row for row, _ in hits})
                whole = file.read_row_group(group, columns=list(_COLUMNS), use_threads=False)
                taken = dict(zip(rows, whole.take(pa.array(rows)).to_pylist(), strict=True))
                for row, index in hits:
                    place = placed[index]
                    apart = float(separation_arcsec(place.ra, place.dec, ra[row], dec[row]))
                    found.setdefault(place.identifier, []).append({**taken[row], "separation": apart})
    for rows_of_place in found.values():
        rows_of_place.sort(key=lambda row: row["separation"])
    return found
