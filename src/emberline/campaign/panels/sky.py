"""An image of the sky around the target, cut out of a HiPS survey; the page may put Aladin Lite in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from emberline.campaign.panels.base import Finding, Panel, Picture, Place, Tools
from emberline.campaign.panels.parallel import in_parallel

__all__ = ["SkyPanel"]


class SkyPanel(Panel):
    """A cut-out for each place, several at a time within the client's limits; each is handed on as it comes."""

    name: ClassVar[str] = "sky"
    title: ClassVar[str] = "Sky"
    service: ClassVar[str] = "hips2fits"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`; after a failure no further place is begun, and the error is that of all that are left."""
        survey = tools.config.hips or tools.asking().config.services.hips
        in_parallel(places, lambda place: tools.keep(place.identifier, _cutout(place, tools, survey)), tools)
        return {}


def _cutout(place: Place, tools: Tools, survey: str) -> Finding:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.hips import cutout, picture

    field, pixels = tools.config.field, tools.config.pixels
    centre = SkyCoord(place.ra, place.dec, unit="deg")
    data = cutout(tools.asking(), centre, field / 60, hips=survey, pixels=pixels)
    kind = picture(data)
    alt = f"{field:g}′ of the sky around {place.metadata.name or place.object or place.identifier}, {survey}"
    image = Picture(data, kind.media_type if kind else "image/jpeg", alt, pixels, pixels, field * 60)
    return Finding("found", image=image, service=survey)
