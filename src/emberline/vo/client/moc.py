"""Which part of the sky something covers: multi-order coverage maps (MOC 2.0) fetched from their address.

mocpy reads such files too, but takes a map of times for one of the sky, and aborts on damaged ones. What comes from
elsewhere is therefore read here, cell by cell, and handed to it as ranges that are known to be sound.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.vo.client._answers import said
from emberline.vo.client.errors import ProtocolError

if TYPE_CHECKING:
    from mocpy import MOC
    from numpy.typing import NDArray

    from emberline.vo.client.session import Session

__all__ = ["coverage", "read_moc"]

_MOST_BYTES = 100_000_000
_DEEPEST = 29
_CELLS = 12 * 4**_DEEPEST
_NONE = (0, -1)
"""In the place of cells where an order is named without any: it tells the resolution."""


def coverage(session: Session, url: str) -> MOC:
    """Fetch a coverage map, as FITS, JSON or text.

    Parameters
    ----------
    session : Session
        By which it is asked for.
    url : str
        Where it lies, as ``…/Moc.fits`` of a HiPS survey.

    Raises
    ------
    ServiceError
        It cannot be had, or is no coverage map of the sky.
    """
    with session.limits(max_bytes=min(_MOST_BYTES, session.config.max_bytes)):
        answer = session.get(url)
    answer.raise_for_status()
    return read_moc(answer.content, answer.url)


def read_moc(body: bytes, url: str) -> MOC:
    """The coverage map in these bytes; `url` names where they come from.

    Raises
    ------
    ProtocolError
        They are none.
    """
    from mocpy import MOC

    try:
        if body.startswith(b"SIMPLE  ="):
            ranges, order = _from_fits(body)
        else:
            text = body.decode("ascii").strip()
            cells = list(_from_json(text) if text.startswith("{") else _from_text(text))
            if not cells:
                raise ValueError("nothing that says a cell")
            order = _checked(max(cell[0] for cell in cells))
            found = [_range(*cell) for cell in cells if cell[1:] != _NONE]
            ranges = np.array(found, dtype=np.uint64).reshape(-1, 2)
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise ProtocolError(
            f"the answer is no coverage map of the sky ({error})", url=url, service_said=said(body)
        ) from None
    return MOC.from_depth29_ranges(order, ranges)


def _checked(order: int) -> int:
    if not 0 <= order <= _DEEPEST:
        raise ValueError(f"there is no order {order}")
    return order


def _range(order: int, first: int, last: int) -> tuple[int, int]:
    """The cells `first` to `last` of an order as a range of cells of order 29, its end excluded."""
    if not 0 <= order <= _DEEPEST or not 0 <= first <= last < 12 * 4**order:
        raise ValueError(f"there is no cell {order}/{last}")
    shift = 2 * (_DEEPEST - order)
    return first << shift, (last + 1) << shift


def _from_json(text: str) -> Iterator[tuple[int, int, int]]:
    """The cells of ``{"3": [3], "4": [100]}``; an order without cells tells the resolution."""
    for order, cells in json.loads(text).items():
        if not cells:
            yield int(order), *_NONE
        for cell in cells:
            if type(cell) is not int:
                raise ValueError(f"{cell!r} is no cell")
            yield int(order), cell, cell


def _from_text(text: str) -> Iterator[tuple[int, int, int]]:
    """The cells of ``3/3 10-12 4/100 6/`` (MOC 2.0, 4.3.2), also with commas."""
    order = None
    for word in text.replace(",", " ").split():
        match = re.fullmatch(r"(?:(\d+)/)?(?:(\d+)(?:-(\d+))?)?", word)
        if match is None or (match[1] is None and order is None):
            raise ValueError("neither FITS nor JSON nor cells")
        if match[1] is not None:
            order = int(match[1])
            if match[2] is None:
                yield order, *_NONE
        if match[2] is not None and order is not None:
            yield order, int(match[2]), int(match[3] or match[2])


def _from_fits(body: bytes) -> tuple[NDArray[np.uint64], int]:
    """The ranges of order 29 of a file, and its resolution (MOC 2.0, 4.3.1)."""
    from astropy.io import fits

    with fits.open(io.BytesIO(body), memmap=False) as file:
        header = file[1].header
        dimension = str(header.get("MOCDIM", "SPACE")).strip().upper()
        frame = str(header.get("COORDSYS", "C")).strip().upper()
        if dimension != "SPACE" or frame not in ("C", "ICRS"):
            raise ValueError(f"a map of {dimension.lower()} in the frame {frame}")
        order = int(header.get("MOCORD_S", header.get("MOCORDER", _DEEPEST)))
        values = np.asarray(file[1].data.field(0)).astype(np.int64).ravel()
        ordering = str(header.get("ORDERING", "NUNIQ")).strip().upper()
    return (_pairs(values) if ordering == "RANGE" else _unpacked(values)), _checked(order)


def _pairs(values: NDArray[Any]) -> NDArray[np.uint64]:
    ranges = values.reshape(-1, 2)
    if (ranges[:, 0] > ranges[:, 1]).any() or (ranges < 0).any() or (ranges > _CELLS).any():
        raise ValueError("ranges that are none")
    return ranges.astype(np.uint64)


def _unpacked(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Ranges from NUNIQ numbers: 4·4^order + cell."""
    if (values < 4).any() or (values >= 16 * 4**_DEEPEST).any():
        raise ValueError("numbers of cells that are none")
    bits = np.frexp(values.astype(np.float64))[1] - 1  # floor(log2), corrected where rounding went up
    bits -= (np.int64(1) << bits.astype(np.int64)) > values
    order = bits // 2 - 1
    shift = 2 * (_DEEPEST - order)
    cell = values - (np.int64(4) << (2 * order).astype(np.int64))
    return np.stack([cell << shift, (cell + 1) << shift], axis=-1).astype(np.uint64)
