"""Pictures of the sky around a position, cut out of HiPS surveys by the service hips2fits."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emberline.vo.client._answers import said
from emberline.vo.client.errors import ProtocolError, ServiceError

if TYPE_CHECKING:
    import requests
    from astropy.coordinates import Angle, SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["Picture", "cutout", "picture"]

_MOST_BYTES = 20_000_000
_MOST_PIXELS = 4096


@dataclass(frozen=True)
class Picture:
    """What the first bytes of a picture say of it.

    Attributes
    ----------
    media_type : str
        ``image/jpeg`` or ``image/png``.
    width, height : int
        In pixels.
    """

    media_type: str
    width: int
    height: int


def cutout(
    session: Session,
    position: SkyCoord,
    size: Angle | float,
    *,
    hips: str = "",
    pixels: int = 300,
    format: str = "jpg",
) -> bytes:
    """A square picture centred on a position, north up and east to the left, as JPEG or PNG.

    Parameters
    ----------
    session : Session
        Its configuration's `services.hips2fits` is asked.
    position : SkyCoord
        The centre, in any frame.
    size : Angle or float
        The side of the square; degrees when it is a number.
    hips : str, optional
        The survey; `services.hips` of the configuration by default.
    pixels : int, optional
        Pixels on a side, at most 4096.
    format : str, optional
        ``jpg`` or ``png``.

    Raises
    ------
    ServiceError
        The service cannot be asked, or what it sends is no such picture.
    ValueError
        `size`, `pixels` or `format` is impossible.
    """
    degrees = float(size.to_value("deg") if hasattr(size, "to_value") else size)
    if not 0 < degrees <= 180 or not 1 <= pixels <= _MOST_PIXELS or format not in ("jpg", "png"):
        raise ValueError(f"no such picture: {degrees} degrees, {pixels} pixels, {format}")
    address = session.config.services.hips2fits
    if not address:
        raise ServiceError("no service for pictures is configured", action="Give services.hips2fits in vo.toml.")
    centre = position.icrs
    asked = {
        "hips": hips or session.config.services.hips,
        "ra": f"{centre.ra.deg:.6f}",
        "dec": f"{centre.dec.deg:.6f}",
        "fov": f"{degrees:.6g}",
        "width": str(pixels),
        "height": str(pixels),
        "projection": "TAN",
        "coordsys": "icrs",
        "format": format,
    }
    with session.limits(max_bytes=min(_MOST_BYTES, session.config.max_bytes)):
        answer = session.get(address, params=asked)
    answer.raise_for_status()
    return _expected(answer, pixels)


def _expected(answer: requests.Response, pixels: int) -> bytes:
    """The picture in an answer, if it is the one that was asked for."""
    found = picture(answer.content)
    if found is None:
        raise ProtocolError(
            "the answer is no picture", url=answer.url, expected="JPEG or PNG", service_said=said(answer.content)
        )
    if (found.width, found.height) != (pixels, pixels):
        raise ProtocolError(
            "the picture has another size than was asked for",
            url=answer.url,
            found=f"{found.width} × {found.height} pixels",
            expected=f"{pixels} × {pixels}",
        )
    return answer.content


def picture(body: bytes) -> Picture | None:
    """What kind of picture these bytes are, and how large; None when they are no whole JPEG or PNG.

    Read from the file's own markers (ISO/IEC 10918-1 B.2, PNG 5.3), never from what the server calls it.
    """
    if body.startswith(b"\x89PNG\r\n\x1a\n") and body[12:16] == b"IHDR" and b"IEND" in body[-16:]:
        width, height = struct.unpack(">II", body[16:24])
        return Picture("image/png", width, height)
    if body.startswith(b"\xff\xd8\xff") and b"\xff\xd9" in body[-64:]:
        return _jpeg(body)
    return None


def _jpeg(body: bytes) -> Picture | None:
    place = 2
    while place + 9 < len(body) and body[place] == 0xFF:
        kind = body[place + 1]
        if kind == 0xFF:  # filling
            place += 1
            continue
        length = struct.unpack(">H", body[place + 2 : place + 4])[0]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", body[place + 5 : place + 9])
            return Picture("image/jpeg", width, height)
        if kind == 0xDA or length < 2:
            return None
        place += 2 + length
    return None
