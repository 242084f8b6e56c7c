"""Where the light curve of the object is: links into variability surveys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote, urlsplit

from emberline.campaign.panels.base import Finding, Link, Panel, Place, Tools

__all__ = ["VariabilityPanel"]

_KNOWN = {"irsa.ipac.caltech.edu": "ZTF light curves (IRSA)", "asas-sn.osu.edu": "ASAS-SN variable stars"}


class VariabilityPanel(Panel):
    """Links made of the templates in ``vo.toml``; nobody is asked."""

    name: ClassVar[str] = "variability"
    title: ClassVar[str] = "Variability"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        templates = () if tools.session is None else tools.session.config.services.variability
        found = {}
        for place in places:
            links = tuple(Link(_text(template), _filled(template, place)) for template in templates)
            found[place.identifier] = Finding("found" if links else "nothing", links=links)
        return found


def _text(template: str) -> str:
    host = urlsplit(template).hostname or template
    return _KNOWN.get(host, f"Light curves at {host}")


def _filled(template: str, place: Place) -> str:
    values = {"ra": f"{place.ra:.6f}", "dec": f"{place.dec:.6f}", "name": quote(place.metadata.name or place.object)}
    for key, value in values.items():
        template = template.replace("{" + key + "}", value)
    return template
