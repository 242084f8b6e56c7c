"""The registry of the Virtual Observatory: which services there are, by protocol, waveband, words and place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.coordinates import Angle, SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["Service", "resolve", "search"]


@dataclasses.dataclass(frozen=True)
class Service:
    """One service of a protocol, as the registry describes it.

    Attributes
    ----------
    ivoid : str
    title, description : str
    protocol : str
        ``ssa``, ``sia``, ``sia2``, ``scs``, ``tap``, ``datalink``, ``soda``, or the standard's identifier.
    access_url : str
    publisher : str
    waveband : tuple of str
    coverage : str
        What the registry says of its sky coverage, as an ASCII MOC; empty where it says nothing.
    """

    ivoid: str
    title: str
    description: str = ""
    protocol: str = ""
    access_url: str = ""
    publisher: str = ""
    waveband: tuple[str, ...] = ()
    coverage: str = ""


def search(
    session: Session,
    *,
    protocol: str = "",
    keywords: Sequence[str] = (),
    waveband: str = "",
    position: SkyCoord | None = None,
    radius: Angle | None = None,
    limit: int = 200,
) -> tuple[Service, ...]:
    """The services that fit all that is asked."""
    raise NotImplementedError


def resolve(session: Session, ivoid: str, protocol: str) -> str:
    """The address of a service that is known by its identifier."""
    raise NotImplementedError
