"""SODA 1.0 and other services on one dataset: what they can be asked, and asking them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from emberline.vo.client.session import Download, Session

__all__ = ["Descriptor", "Parameter", "sync"]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What a service can be asked for one parameter.

    Attributes
    ----------
    name, datatype, arraysize, xtype, unit, ucd, description : str
        As VOTable has them.
    value : str
        What is sent where nothing is asked.
    ref : str
        The column of the results with the value.
    least, most : str
        The limits; for an interval, circle or polygon those of the dataset.
    options : tuple of (str, str)
        Allowed values, and what they mean.
    """

    name: str
    datatype: str = "char"
    arraysize: str = ""
    xtype: str = ""
    unit: str = ""
    ucd: str = ""
    description: str = ""
    value: str = ""
    ref: str = ""
    least: str = ""
    most: str = ""
    options: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A service on a dataset.

    Attributes
    ----------
    identifier : str
        Its XML ID in the answer that described it.
    standard : str
        ``ivo://ivoa.net/std/SODA#sync-1.0`` and the like; empty for a service of no standard.
    access_url : str
    parameters : tuple of Parameter
    description : str
    """

    identifier: str
    standard: str
    access_url: str
    parameters: tuple[Parameter, ...] = ()
    description: str = ""


def sync(
    session: Session, descriptor: Descriptor, *, path: Path | None = None, **parameters: Any
) -> bytes | Download:
    """Ask a service: the answer's bytes, or a file at `path`."""
    raise NotImplementedError
