"""Where the object is written about: links by its name and its position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote

from emberline.campaign.panels.base import Finding, Link, Panel, Place, Tools

__all__ = ["LiteraturePanel"]


class LiteraturePanel(Panel):
    """Links to the literature; SIMBAD's own list of references by position, which needs no name."""

    name: ClassVar[str] = "literature"
    title: ClassVar[str] = "Literature"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`; nobody is asked."""
        return {place.identifier: Finding("found", links=_links(place, tools)) for place in places}


def _links(place: Place, tools: Tools) -> tuple[Link, ...]:
    where = quote(f"{place.ra:.6f} {place.dec:+.6f}")
    radius = f"Radius={tools.config.radius:g}&Radius.unit=arcsec"
    simbad = f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={where}&{radius}&submit=submit+query"
    arcminutes = max(tools.config.radius / 60, 0.05)
    ads_query = quote(f'object:"{place.ra:.6f} {place.dec:+.6f}:{arcminutes:.3f}"')
    ads = f"https://ui.adsabs.harvard.edu/search/q={ads_query}"
    return (Link("Articles about this position (ADS)", ads), Link("SIMBAD at this position", simbad))
