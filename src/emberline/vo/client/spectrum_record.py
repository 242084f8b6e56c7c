"""What is known of one spectrum of another archive before it is fetched."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberline.vo.client.soda import Descriptor

__all__ = ["SpectrumRecord"]


@dataclasses.dataclass(frozen=True)
class SpectrumRecord:
    """One spectrum of another archive, wherever its service puts these values.

    Attributes
    ----------
    access_url, media_type : str
        The address is empty where the service gives none.
    title, creator, collection, instrument, target : str
    publisher_did, creator_did : str
    ra, dec : float
        ICRS degrees; NaN where it is not said.
    mjd, exposure : float
        Middle of the exposure; its length in seconds. NaN where it is not said.
    band : tuple of float
        First and last wavelength, Å; NaN where it is not said.
    bytes : int or None
        Estimated size.
    datalink : str
        Address of its links; empty where the service has none.
    services : tuple of Descriptor
        Services on this spectrum, such as SODA, with its identifier filled in.
    row : int
        In the table of the answer.
    """

    access_url: str
    media_type: str = ""
    title: str = ""
    creator: str = ""
    collection: str = ""
    instrument: str = ""
    target: str = ""
    publisher_did: str = ""
    creator_did: str = ""
    ra: float = float("nan")
    dec: float = float("nan")
    mjd: float = float("nan")
    exposure: float = float("nan")
    band: tuple[float, float] = (float("nan"), float("nan"))
    bytes: int | None = None
    datalink: str = ""
    services: tuple[Descriptor, ...] = ()
    row: int = 0
