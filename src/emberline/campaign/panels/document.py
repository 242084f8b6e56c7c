"""What is stored of a spectrum's context, as the page and the command line show it; nobody is asked for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from emberline.campaign.panels.places import identifiers_of
from emberline.campaign.panels.registry import chosen
from emberline.campaign.panels.store import ContextStore

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["context_document", "context_status"]


def context_document(store: ContextStore, names: Iterable[str], identifier: str, prefix: str) -> dict[str, Any]:
    """All panels of one spectrum; those that have not been asked yet wait.

    Parameters
    ----------
    store : ContextStore
    names : iterable of str
        The panels, in their order.
    identifier : str
    prefix : str
        The address before ``/image`` and ``/overlay``.
    """
    stored = store.documents(identifier)
    shown = chosen(list(names))
    return {
        "spectrum": identifier,
        "panels": [_panel(name, panel.title, stored.get(name), identifier, prefix) for name, panel in shown.items()],
    }


def _panel(name: str, title: str, stored: dict[str, Any] | None, identifier: str, prefix: str) -> dict[str, Any]:
    empty: dict[str, Any] = {"message": "", "service": "", "asked": ""}
    empty |= {"facts": [], "links": [], "warnings": [], "image": None, "overlays": []}
    document = {"name": name, "title": title, "state": "waiting", **empty, **(stored or {})}
    image = document["image"]
    if image is not None:
        address = f"{prefix}/image?{urlencode({'spectrum': identifier, 'panel': name, 'asked': document['asked']})}"
        document["image"] = {"href": address, **{key: image[key] for key in ("alt", "width", "height", "fov")}}
    document["overlays"] = [
        {**one, "href": f"{prefix}/overlay?{urlencode({'spectrum': identifier, 'overlay': one['id']})}"}
        for one in document["overlays"]
    ]
    return document


def context_status(campaign: Campaign, number: int | None = None) -> dict[str, Any]:
    """How many spectra of a round each panel knows of, by state, and what failed last."""
    names = identifiers_of(campaign, number)
    with ContextStore.of(campaign.path) as store:
        states, messages = store.states(), store.messages()
    found = []
    for name, panel in chosen(campaign.config.context.panels).items():
        counts: dict[str, int] = {}
        for spectrum in names:
            state = states.get((spectrum, name), "waiting")
            counts[state] = counts.get(state, 0) + 1
        bad = counts.get("failed", 0) + counts.get("offline", 0)
        service, message = messages.get(name, ("", "")) if bad else ("", "")
        found.append({"name": name, "title": panel.title, "states": counts, "service": service, "message": message})
    return {"campaign": campaign.config.name, "spectra": len(names), "panels": found}
