"""Send spectra, tables and places to TOPCAT, Aladin or SPLAT, and take theirs: SAMP 1.3.

The standard: https://www.ivoa.net/documents/SAMP/.

Names are looked up when they are used, so that importing this costs nothing without pyvo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emberline.vo.client.samp.errors import NoHubError, NoPeerError, SampError

if TYPE_CHECKING:
    from emberline.vo.client.samp.connection import Samp, connect
    from emberline.vo.client.samp.hub import Hub, start_hub
    from emberline.vo.client.samp.lockfile import find_hub, lock_file
    from emberline.vo.client.samp.peers import Delivery, Peer
    from emberline.vo.client.samp.received import Position, Selection, SpectrumOffer, TableReceived

__all__ = [
    "Delivery",
    "Hub",
    "NoHubError",
    "NoPeerError",
    "Peer",
    "Position",
    "Samp",
    "SampError",
    "Selection",
    "SpectrumOffer",
    "TableReceived",
    "connect",
    "find_hub",
    "lock_file",
    "start_hub",
]

_HOMES = {
    **dict.fromkeys(("Samp", "connect"), "connection"),
    **dict.fromkeys(("Delivery", "Peer"), "peers"),
    **dict.fromkeys(("Hub", "start_hub"), "hub"),
    **dict.fromkeys(("find_hub", "lock_file"), "lockfile"),
    **dict.fromkeys(("Position", "Selection", "SpectrumOffer", "TableReceived"), "received"),
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
