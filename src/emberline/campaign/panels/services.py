"""Spectra that other archives have of an object: found by SSAP, fetched within limits, read by our readers."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from emberline.archive.readers import Source, read
from emberline.campaign.panels.base import Fact, Link, Overlay, Place, Tools
from emberline.campaign.panels.overlays import overlay_of, overlay_title
from emberline.errors import EmberlineError, ReadError

if TYPE_CHECKING:
    from emberline.spectra import Spectrum
    from emberline.vo.client.registry import Service
    from emberline.vo.client.ssap import SpectrumRecord

__all__ = ["Offer", "SpectrumService", "fetch_offer", "offers_at", "spectrum_services"]

_LOG = logging.getLogger("emberline.campaign.panels")
_SERVICES = 1000  # SSAP services of the registry; there are some two hundred
_REGISTRY = 30.0  # s that the registry may take
_MOST = 200  # spectra of one service at one place that are looked through
_DRAWN = ("image/", "text/html", "application/pdf", "application/x-tar", "application/zip", "video/")


@dataclasses.dataclass(frozen=True)
class SpectrumService:
    """One SSAP service.

    Attributes
    ----------
    name : str
        Its title, or its host.
    url : str
    coverage : MOC or None
        Where it has spectra; None when it does not say.
    """

    name: str
    url: str
    coverage: object = None

    def covers(self, place: Place) -> bool:
        """Whether it may have a spectrum there."""
        if self.coverage is None:
            return True
        from astropy import units

        inside = self.coverage.contains_lonlat(place.ra * units.deg, place.dec * units.deg)  # type: ignore[attr-defined]
        return bool(np.atleast_1d(inside)[0])


@dataclasses.dataclass(frozen=True)
class Offer:
    """A spectrum that a service has, not fetched yet."""

    service: SpectrumService
    record: SpectrumRecord
    separation: float

    @property
    def title(self) -> str:
        """What it is, when it was taken, and of which archive."""
        record = self.record
        name = record.instrument or record.collection or record.title or self.service.name
        return overlay_title(name, record.mjd, math.nan)


def spectrum_services(tools: Tools) -> list[SpectrumService]:
    """The configured services, with what the registry says of their coverage, so that none is asked in vain.

    Without an answer of the registry those given by their addresses are asked everywhere.

    Raises
    ------
    ServiceError
        The registry does not know, or does not say, where a service is that is given by its IVOA identifier.
    """
    from emberline.vo.client import registry

    known = _registered(tools)
    found = []
    for address in tools.asking().config.services.ssap:
        entry = known.get(_plain(address))
        url = address
        if address.lower().startswith("ivo://"):
            url = entry.access_url if entry else registry.resolve(tools.asking(), address, "ssap")
        name = entry.title if entry else urlsplit(url).hostname or url
        found.append(SpectrumService(name, url, _moc(entry.coverage) if entry else None))
    return found


def _registered(tools: Tools) -> dict[str, Service]:
    """Identifier and address → service, of all SSAP services that the registry knows; none when it does not answer."""
    from emberline.vo.client import registry

    session = tools.asking()
    try:
        with session.limits(total=_REGISTRY):
            services = registry.search(session, protocol="ssa", with_coverage=True, limit=_SERVICES)
    except EmberlineError as error:
        _LOG.info("the registry does not say what services cover: it %s", error.message)
        return {}
    return {_plain(key): service for service in services for key in (service.ivoid, service.access_url) if key}


def _plain(address: str) -> str:
    """An address without what may differ between two ways to write it."""
    return address.lower().removeprefix("http://").removeprefix("https://").rstrip("?&/")


def _moc(text: str) -> object:
    from mocpy import MOC

    try:
        return MOC.from_string(text, format="ascii") if text else None
    except Exception:  # the library has no error of its own; what cannot be read says nothing
        return None


def offers_at(place: Place, service: SpectrumService, tools: Tools) -> list[Offer]:
    """What a service has at a place: what covers most of the optical range comes first, then what is nearest.

    Raises
    ------
    ServiceError
        It cannot be asked.
    """
    from astropy.coordinates import SkyCoord

    from emberline.vo.client import ssap

    centre = SkyCoord(place.ra, place.dec, unit="deg")
    found: list[tuple[tuple[float, float], Offer]] = []
    if not service.covers(place):
        return []
    for record in ssap.search(tools.asking(), service.url, centre, tools.config.radius / 3600, limit=_MOST):
        apart = _apart(place, record)
        if apart <= max(2 * tools.config.radius, 5.0) and _is_spectrum(record):
            found.append(((-_overlap(record), apart), Offer(service, record, apart)))
    found.sort(key=lambda pair: pair[0])
    return [offer for _, offer in found]


def _apart(place: Place, record: SpectrumRecord) -> float:
    from emberline.sky import separation

    if not (math.isfinite(record.ra) and math.isfinite(record.dec)):
        return 0.0  # it was found there
    return float(separation(place.ra, place.dec, record.ra, record.dec)) * 3600


def _is_spectrum(record: SpectrumRecord) -> bool:
    return bool(record.access_url) and not record.media_type.lower().startswith(_DRAWN)


def _overlap(record: SpectrumRecord) -> float:
    """How much of 3700 to 9000 Å a spectrum covers, in steps of 500 Å, so that ties are ties."""
    low, high = record.band
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0
    return round(max(0.0, min(high, 9000.0) - max(low, 3700.0)) / 500)


def fetch_offer(place: Place, offer: Offer, tools: Tools) -> Overlay:
    """Fetch a spectrum and bring it into the place's frame.

    Raises
    ------
    ServiceError
        It cannot be had, or is too large.
    ReadError
        It cannot be read.
    """
    session = tools.asking()
    url = _direct(offer.record, tools)
    with session.limits(max_bytes=min(tools.config.spectrum_bytes, session.config.max_bytes), total=tools.left or 1.0):
        answer = session.get(url)
    answer.raise_for_status()
    spectrum = _read(answer.content, url)
    return overlay_of(spectrum, place, f"{offer.service.url} {offer.record.access_url}", offer.title)


def _direct(record: SpectrumRecord, tools: Tools) -> str:
    """The address of the spectrum itself, by way of its links where the record gives only those."""
    if "datalink" not in record.media_type.lower():
        return record.access_url
    from emberline.vo.client import datalink

    for link in datalink.links(tools.asking(), record.access_url):
        if link.semantics == "#this" and link.url:
            return link.url
    raise ReadError("its links lead to no spectrum", reason="no-spectrum", where=record.access_url)


def _read(content: bytes, url: str) -> Spectrum:
    name = urlsplit(url).path.rpartition("/")[2] or "spectrum"
    spectra = read(Source(name, content))
    return max(spectra, key=lambda spectrum: spectrum.grid.n)


def offer_facts(offers: Sequence[Offer], failed: dict[str, str]) -> tuple[tuple[Fact, ...], tuple[Link, ...]]:
    """What is offered beside what was fetched: facts for the first few, and links."""
    facts = tuple(
        Fact(
            offer.title,
            f"{offer.separation:.1f}",
            "arcsec",
            title=failed.get(offer.record.access_url, offer.service.name),
        )
        for offer in offers[:10]
    )
    links = tuple(
        Link(f"{offer.title} ({offer.service.name})", offer.record.access_url)
        for offer in offers[:10]
        if offer.record.access_url in failed
    )
    return facts, links


def try_fetch(place: Place, offer: Offer, tools: Tools) -> Overlay | str:
    """The overlay, or why there is none."""
    size = offer.record.bytes
    if size is not None and size > tools.config.spectrum_bytes:
        return f"{size / 1e6:.0f} MB, more than is fetched"
    try:
        return fetch_offer(place, offer, tools)
    except EmberlineError as error:
        return str(error)[:300]
