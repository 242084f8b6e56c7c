"""Control samples on disk: who could have been drawn with what chance, whatever becomes of the pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.campaign.pool import Pool
from emberline.campaign.predictions import round_folder
from emberline.errors import CampaignError
from emberline.files import atomic_path
from emberline.learn.control import ControlDraw

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["control_draws", "save_draw"]


def save_draw(campaign: Campaign, number: int, draw: ControlDraw) -> None:
    """Keep the strata of a round's control sample, and once for each pool the identifiers that they belong to."""
    names = _names_file(campaign.path, campaign.pool)
    if not names.exists():
        names.parent.mkdir(exist_ok=True)
        with atomic_path(names) as temporary:
            pq.write_table(pa.table({"identifier": campaign.pool.identifiers.tolist()}), temporary, compression="zstd")
    folder = round_folder(campaign.path, number)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "control.npz") as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream, assignment=draw.assignment, rows=draw.rows, pool=np.array(campaign.pool.fingerprint)
        )


def control_draws(campaign: Campaign) -> list[ControlDraw]:
    """All control samples whose questions have been asked, on the rows of the pool as it is now."""
    asked = {q.round for q in campaign.database.questions() if q.purpose == "control"}
    return [_load(campaign, number) for number in sorted(asked)]


def _load(campaign: Campaign, number: int) -> ControlDraw:
    file = round_folder(campaign.path, number) / "control.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            assignment, rows, fingerprint = stored["assignment"], stored["rows"], str(stored["pool"])
    except (OSError, ValueError, KeyError) as error:
        raise CampaignError(f"a control sample cannot be read: {error}", where=str(file)) from error
    if fingerprint == campaign.pool.fingerprint:
        return ControlDraw(assignment, rows)
    return _moved(campaign, assignment, rows, campaign.path / "pools" / f"{fingerprint}.parquet")


def _names_file(path: Path, pool: Pool) -> Path:
    return path / "pools" / f"{pool.fingerprint}.parquet"


def _moved(campaign: Campaign, assignment: NDArray[np.int8], rows: NDArray[np.int64], names: Path) -> ControlDraw:
    """A draw from an earlier pool, on today's rows: spectra that came later could not have been drawn."""
    old = pq.read_table(names)["identifier"].to_numpy(zero_copy_only=False).astype(np.str_)
    order = np.argsort(old, kind="stable")
    places = order[np.minimum(np.searchsorted(old, campaign.pool.identifiers, sorter=order), len(old) - 1)]
    there = old[places] == campaign.pool.identifiers
    moved = np.where(there, assignment[places], -1).astype(np.int8)
    row_of = {int(places[row]): int(row) for row in np.flatnonzero(there & np.isin(places, rows))}
    # In the order of the draw: the first few of it are a smaller sample of the same kind.
    return ControlDraw(moved, np.array([row_of[row] for row in rows.tolist() if row in row_of], np.int64))
