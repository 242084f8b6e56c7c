"""DataLink 1.0 and 1.1: what belongs to a dataset of another archive, files and services alike."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberline.vo.client.session import Session
    from emberline.vo.client.soda import Descriptor
    from emberline.vo.client.ssap import SpectrumRecord

__all__ = ["Link", "links"]


@dataclasses.dataclass(frozen=True)
class Link:
    """One thing that belongs to a dataset.

    Attributes
    ----------
    identifier : str
        Of the dataset.
    semantics : str
        ``#this``, ``#preview``, ``#cutout`` …
    url : str
        Where it is; empty for a service and for an error.
    description, media_type : str
    bytes : int or None
    descriptor : Descriptor or None
        The service, when it is one.
    error : str
        Why there is nothing.
    readable : bool or None
        Whether we may read it, where the service says so.
    """

    identifier: str
    semantics: str
    url: str = ""
    description: str = ""
    media_type: str = ""
    bytes: int | None = None
    descriptor: Descriptor | None = None
    error: str = ""
    readable: bool | None = None


def links(session: Session, url_or_record: str | SpectrumRecord) -> tuple[Link, ...]:
    """All links of a dataset."""
    raise NotImplementedError
