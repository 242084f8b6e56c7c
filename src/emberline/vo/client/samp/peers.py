"""The other programs at a hub, and who of them is meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from emberline.vo.client.samp.errors import NoPeerError

__all__ = ["Delivery", "Peer", "choose"]


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another program at the hub.

    Attributes
    ----------
    id : str
        The hub's name for it.
    name, description : str
        What it says of itself.
    subscriptions : tuple of str
        The message types that it takes; ``table.load.*`` stands for all that begin so.
    """

    id: str
    name: str
    description: str
    subscriptions: tuple[str, ...]

    def accepts(self, mtype: str) -> bool:
        """Whether it takes messages of this type."""
        return any(
            mtype == name or name == "*" or (name.endswith(".*") and mtype.startswith(name[:-1]))
            for name in self.subscriptions
        )


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What became of a message at one peer; `error` is empty when it went well. `result` is what it answered."""

    peer: Peer
    mtype: str
    error: str = ""
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the peer took it."""
        return not self.error


def choose(everybody: Sequence[Peer], mtypes: Sequence[str], to: str) -> tuple[tuple[Peer, str], ...]:
    """Who takes one of some message types, with the first of them that each takes; see `Samp.takers`."""
    if not everybody:
        raise NoPeerError("no other program is at the SAMP hub", action="Start TOPCAT, Aladin or SPLAT and try again.")
    names = ", ".join(dict.fromkeys(peer.name for peer in everybody))
    meant = _meant(everybody, to.strip().lower())
    if not meant:
        raise NoPeerError("no such program is at the SAMP hub", where=to, found=names)
    pairs = [(peer, next((name for name in mtypes if peer.accepts(name)), "")) for peer in meant]
    takers = tuple((peer, mtype) for peer, mtype in pairs if mtype)
    if takers:
        return takers
    kinds = " or ".join(mtypes)
    if to:
        taken = ", ".join(meant[0].subscriptions)[:300] or "nothing"
        raise NoPeerError("does not take messages of this type", where=meant[0].name, found=taken, expected=kinds)
    raise NoPeerError("no program at the SAMP hub takes messages of this type", found=names, expected=kinds)


def _meant(everybody: Sequence[Peer], wanted: str) -> list[Peer]:
    """Those of this name or identifier; else those whose name begins so. All when none is named."""
    exact = [peer for peer in everybody if not wanted or wanted in (peer.id.lower(), peer.name.lower())]
    return exact or [peer for peer in everybody if peer.name.lower().startswith(wanted)]
