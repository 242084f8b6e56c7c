"""Other spectra of the same object, for an overlay: those of one's own archives, and those that services have."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from emberline.campaign.annotation.arrays import read_spectrum
from emberline.campaign.panels.around import rows_around
from emberline.campaign.panels.base import Fact, Finding, Overlay, Panel, Place, Tools
from emberline.campaign.panels.overlays import overlay_of, overlay_title
from emberline.campaign.panels.parallel import in_parallel
from emberline.campaign.panels.services import (
    Offer,
    SpectrumService,
    offer_facts,
    offers_at,
    spectrum_services,
    try_fetch,
)
from emberline.campaign.panels.trouble import failure
from emberline.errors import ArchiveError, EmberlineError

__all__ = ["SpectraPanel", "own_spectra"]

_OWN = 12  # spectra of own archives that are laid over one
_Row = tuple[Path, dict[str, Any]]


class SpectraPanel(Panel):
    """Overlays in the frame of the spectrum that is asked about: own archives, then services whose coverage fits."""

    name: ClassVar[str] = "spectra"
    title: ClassVar[str] = "Other spectra"
    service: ClassVar[str] = "SSAP"
    local: ClassVar[bool] = True

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`; what own archives have is handed on before any service is asked."""
        own = {place.identifier: own_spectra(place, rows) for place, rows in _own_rows(places, tools)}
        placed = [place for place in places if place.placed]
        if not placed or tools.session is None or not tools.config.overlays:
            return own
        for identifier, finding in own.items():
            tools.keep(identifier, dataclasses.replace(finding, state="waiting"))
        table = _Table(own, tools)
        services = spectrum_services(tools)
        in_parallel(services, lambda service: table.ask(service, placed), tools, at_once=max(1, len(services)))
        return table.findings()


class _Table:
    """What has come of the services so far, for each place; a service that fails stands in nobody's way."""

    def __init__(self, own: Mapping[str, Finding], tools: Tools) -> None:
        self._own, self._tools = dict(own), tools
        self._lock = threading.Lock()
        self._overlays: dict[str, list[Overlay]] = {name: [] for name in own}
        self._offers: dict[str, list[Offer]] = {name: [] for name in own}
        self._unfetched: dict[str, str] = {}
        self._failures: dict[str, Finding] = {}

    def ask(self, service: SpectrumService, places: Sequence[Place]) -> None:
        """Ask one service about all places, one after another, and fetch the best of what it has."""
        for place in places:
            if self._tools.over:
                return
            try:
                offers = offers_at(place, service, self._tools)
            except EmberlineError as error:
                with self._lock:
                    self._failures[service.url] = failure(error, service.name)
                return
            if offers:
                self._fetch(place, offers)

    def _fetch(self, place: Place, offers: list[Offer]) -> None:
        name = place.identifier
        with self._lock:
            self._offers[name] += offers
        for offer in offers:
            with self._lock:
                enough = len(self._overlays[name]) >= self._tools.config.overlays
            got = f"only {self._tools.config.overlays} are fetched" if enough else try_fetch(place, offer, self._tools)
            with self._lock:
                if isinstance(got, Overlay):
                    self._overlays[name].append(got)
                else:
                    self._unfetched[offer.record.access_url] = got
        self._tools.keep(name, dataclasses.replace(self.finding(name), state="waiting"))

    def finding(self, name: str) -> Finding:
        """What is known of one place by now."""
        with self._lock:
            own = self._own[name]
            facts, links = offer_facts(self._offers[name], self._unfetched)
            overlays = (*own.overlays, *self._overlays[name])
            bad = next(iter(self._failures.values()), None)
            state = bad.state if bad else "found" if own.facts or facts else "nothing"
            service, message = (bad.service, bad.message) if bad else (own.service, "")
        both = (*own.facts, *facts)
        return dataclasses.replace(
            own, state=state, facts=both, links=links, overlays=overlays, service=service, message=message
        )

    def findings(self) -> dict[str, Finding]:
        """What is known of all places by now."""
        return {name: self.finding(name) for name in self._own}


def _own_rows(places: Sequence[Place], tools: Tools) -> list[tuple[Place, list[_Row]]]:
    """The rows of own catalogues at each place, the spectrum itself apart, the nearest in time first."""
    found: dict[str, list[_Row]] = {place.identifier: [] for place in places}
    for archive in tools.archives:
        try:
            around = rows_around(archive, places, tools.config.radius)
        except (OSError, pa.ArrowException):
            continue  # an archive that has gone is told where campaigns are opened
        for identifier, near in around.items():
            found[identifier] += [(archive, row) for row in near]
    ordered = []
    for place in places:
        itself = (place.archive, place.identifier)
        mine = [pair for pair in found[place.identifier] if (pair[0], pair[1]["identifier"]) != itself]
        now = place.metadata.mjd if math.isfinite(place.metadata.mjd) else 0.0
        mine.sort(key=lambda pair: (abs((pair[1]["mjd"] or 0.0) - now), pair[1]["identifier"]))
        ordered.append((place, mine))
    return ordered


def own_spectra(place: Place, rows: Sequence[_Row]) -> Finding:
    """The overlays of own archives; what cannot be read is said and left out."""
    overlays, facts = [], []
    for archive, row in rows[:_OWN]:
        try:
            spectrum = read_spectrum(archive, row["identifier"], row["part"], row["row"])
        except (ArchiveError, OSError) as error:
            facts.append(Fact(str(row["identifier"]), "cannot be read", title=str(error)))
            continue
        title = overlay_title(row["survey"] or archive.name, row["mjd"], row["snr"])
        overlays.append(overlay_of(spectrum, place, f"{archive.name}/{row['identifier']}", title))
        facts.append(Fact(title, f"{row['separation']:.1f}", "arcsec", title=str(row["identifier"])))
    if len(rows) > _OWN:
        facts.append(Fact("More of them", str(len(rows) - _OWN)))
    return Finding("found" if rows else "nothing", tuple(facts), overlays=tuple(overlays), service="own archives")
