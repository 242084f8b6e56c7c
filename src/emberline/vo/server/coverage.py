"""Where on the sky the published rows are: a Multi-Order Coverage map, at an order that fits their density."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.errors import MissingExtraError
from emberline.files import atomic_path

if TYPE_CHECKING:
    from mocpy import MOC

__all__ = ["coverage_of", "coverage_order", "read_coverage", "short_text", "write_coverage"]

HEALPIX_ORDER = 29
_ORDERS = (6, 10)
"""From cells of 55 to cells of 3.4 arcminutes."""
_ROWS_PER_CELL = 4
_LONGEST = 4000


def coverage_order(healpix: NDArray[np.int64]) -> int:
    """The finest order at which a cell that holds any row holds four of them on average.

    A dense survey becomes connected areas. Where no order will do, the finest is taken: single pointings stay single.

    Parameters
    ----------
    healpix : ndarray of int64
        Cells of order 29, nested; negative ones are passed over.
    """
    placed = healpix[healpix >= 0]
    lowest, finest = _ORDERS
    for order in range(finest, lowest - 1, -1):
        cells = len(np.unique(placed >> 2 * (HEALPIX_ORDER - order)))
        if cells and len(placed) / cells >= _ROWS_PER_CELL:
            return order
    return finest


def coverage_of(healpix: NDArray[np.int64]) -> MOC:
    """The coverage of rows by their HEALPix cells (order 29, nested)."""
    kind = _moc_type()
    order = coverage_order(healpix)
    cells = np.unique(healpix[healpix >= 0] >> 2 * (HEALPIX_ORDER - order)).astype(np.uint64)
    return kind.from_healpix_cells(cells, np.full(len(cells), order, np.uint8), max_depth=order)


def _moc_type() -> Any:
    try:
        from mocpy import MOC
    except ModuleNotFoundError as error:
        raise MissingExtraError("mocpy", "vo") from error
    return MOC


def write_coverage(moc: MOC, folder: Path) -> None:
    """Write ``moc.fits`` and ``moc.json`` into `folder`."""
    for kind in ("fits", "json"):
        with atomic_path(folder / f"moc.{kind}") as temporary:
            moc.save(str(temporary), format=kind, overwrite=True)


def read_coverage(path: Path) -> MOC:
    """The coverage in a FITS file."""
    moc: MOC = _moc_type().load(str(path), format="fits")
    return moc


def short_text(moc: MOC) -> str:
    """The coverage as text for a registry record: made coarser until it is no longer than a page."""
    finest = int(moc.max_order)
    for order in range(finest, -1, -1):
        coarser = moc.degrade_to_order(order) if order < finest else moc
        text = " ".join(coarser.to_string(format="ascii").split())
        if len(text) <= _LONGEST:
            return text
    return "0/0-11"
