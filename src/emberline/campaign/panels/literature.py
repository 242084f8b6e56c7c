"""Where the object is written about: by the name that SIMBAD gives it, else by its position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote

from emberline.campaign.panels.base import Finding, Link, Panel, Place, Tools
from emberline.campaign.panels.sources import Rows, simbad_rows
from emberline.errors import EmberlineError

__all__ = ["LiteraturePanel"]

_ADS = "https://ui.adsabs.harvard.edu/search/q={query}&sort=date+desc"
_SIMBAD = "https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius={radius:g}&Radius.unit=arcsec"


class LiteraturePanel(Panel):
    """Links; a name makes better ones, and where SIMBAD does not answer the position serves."""

    name: ClassVar[str] = "literature"
    title: ClassVar[str] = "Literature"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`; SIMBAD's answer is shared with the panel of identity."""
        for place in places:
            tools.keep(place.identifier, Finding("waiting", links=_links(place, "", tools)))
        try:
            rows = simbad_rows(places, tools)
        except (EmberlineError, TimeoutError):
            rows = Rows({})
        return {p.identifier: Finding("found", links=_links(p, _name(p, rows, tools), tools)) for p in places}


def _name(place: Place, rows: Rows, tools: Tools) -> str:
    near = [row for row in rows.of.get(place.identifier, ()) if row["separation"] <= tools.config.radius]
    return " ".join(str(near[0]["main_id"]).split()) if near else ""


def _links(place: Place, name: str, tools: Tools) -> tuple[Link, ...]:
    where = f"{place.ra:.6f} {place.dec:+.6f}"
    found = []
    template = "" if tools.session is None else tools.session.config.services.literature
    if name and "{name}" in template:
        found.append(Link(f"{name} in the literature", template.replace("{name}", quote(name, safe=""))))
    if name:
        found.append(Link(f"Articles about {name} (ADS)", _ADS.format(query=quote(f'object:"{name}"'))))
    arcminutes = max(tools.config.radius / 60, 0.05)
    by_place = quote(f'object:"{where}:{arcminutes:.3f}"')
    found.append(Link("Articles about this position (ADS)", _ADS.format(query=by_place)))
    found.append(Link("SIMBAD at this position", _SIMBAD.format(place=quote(where), radius=tools.config.radius)))
    return tuple(found)
