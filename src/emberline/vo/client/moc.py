"""Which part of the sky something covers: multi-order coverage maps (MOC 2.0) fetched from their address."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from emberline.vo.client._answers import said
from emberline.vo.client.errors import ProtocolError

if TYPE_CHECKING:
    from mocpy import MOC

    from emberline.vo.client.session import Session

__all__ = ["coverage", "read_moc"]

_MOST_BYTES = 100_000_000


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
            found = MOC.from_fits(io.BytesIO(body))
        else:
            text = body.decode("ascii").strip()
            found = MOC.from_string(text, format="json" if text.startswith("{") else "ascii") if text else None
    except Exception as error:  # the library has no error of its own
        raise ProtocolError(
            "the answer is no coverage map", url=url, found=type(error).__name__, service_said=said(body)
        ) from None
    if not isinstance(found, MOC):
        raise ProtocolError(
            "the answer is no coverage map of the sky", url=url, found=type(found).__name__, expected="a space MOC"
        )
    return found
