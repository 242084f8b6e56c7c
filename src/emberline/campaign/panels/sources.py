"""Sources around many places, as Gaia and SIMBAD know them: one question to each for a whole round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.campaign.panels.base import Finding, Place, Tools
from emberline.campaign.panels.trouble import failure
from emberline.errors import EmberlineError
from emberline.sky import separation

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

__all__ = [
    "GAIA",
    "SIMBAD",
    "Rows",
    "Source",
    "by_place",
    "gaia_rows",
    "mismatch",
    "positions",
    "simbad_rows",
    "sources_around",
]

GAIA, SIMBAD = "Gaia DR3", "SIMBAD"
_Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Source:
    """One source near a place, at the epoch of its spectrum.

    Attributes
    ----------
    catalogue, name : str
    ra, dec : float
        ICRS degrees, of the catalogue's own epoch.
    separation : float
        Arcseconds from the place, at the epoch of its spectrum.
    magnitude : float
    band : str
        ``G`` or ``V``.
    """

    catalogue: str
    name: str
    ra: float
    dec: float
    separation: float
    magnitude: float
    band: str

    def same(self, other: Source) -> bool:
        """Whether both are one star in two catalogues: within 1.5″, and within 1.5 mag."""
        apart = float(separation(self.ra, self.dec, other.ra, other.dec)) * 3600
        near = min(apart, abs(self.separation - other.separation)) <= 1.5 and apart <= 60
        return self.catalogue != other.catalogue and near and abs(self.magnitude - other.magnitude) <= 1.5


@dataclasses.dataclass(frozen=True)
class Rows:
    """What a service has around each place.

    Attributes
    ----------
    of : dict
        Identifier → rows, the nearest first; None stands for what is not known.
    unanswered : frozenset of str
        Places about which the service did not answer, while it did about others.
    reason : str
        Why.
    """

    of: dict[str, list[_Row]]
    unanswered: frozenset[str] = frozenset()
    reason: str = ""

    def finding(self, service: str) -> Finding:
        """What is shown of a place that is among the unanswered."""
        return Finding("failed", message=self.reason or "no answer", service=service)

    def findings(
        self,
        places: Sequence[Place],
        radius: float,
        service: str,
        describe: Callable[[Sequence[Mapping[str, Any]]], Finding],
        nothing: str,
    ) -> dict[str, Finding]:
        """What is shown of each place: `describe` of the rows within `radius` arcsec, or that there is `nothing`."""
        found = {}
        for place in places:
            near = [row for row in self.of[place.identifier] if row["separation"] <= radius]
            if place.identifier in self.unanswered:
                found[place.identifier] = self.finding(service)
            elif near:
                found[place.identifier] = describe(near)
            else:
                found[place.identifier] = Finding("nothing", message=nothing, service=service)
        return found


def mismatch(separation: float, magnitude: float | None) -> float:
    """How badly a source fits for the target of a fibre: arcseconds, and half of one for each magnitude.

    Surveys' positions are good to a fraction of an arcsecond, so the nearest is the target; but not where it is much
    fainter than another one as near, at which nobody would have pointed instead.
    """
    return separation + 0.5 * (99.0 if magnitude is None else magnitude)


def positions(places: Sequence[Place]) -> tuple[SkyCoord, np.ndarray[Any, np.dtype[np.float64]]]:
    """Positions of places, and the epochs of their spectra; 2016.0 where it is not known."""
    from astropy.coordinates import SkyCoord

    coords = SkyCoord([place.ra for place in places], [place.dec for place in places], unit="deg")
    return coords, np.array([place.epoch if math.isfinite(place.epoch) else 2016.0 for place in places])


def by_place(table: Table, places: Sequence[Place]) -> Rows:
    """A table with the column ``place`` taken apart."""
    found: dict[str, list[_Row]] = {place.identifier: [] for place in places}
    names = [name for name in table.colnames if name != "place"]
    for row in table:
        found[places[int(row["place"])].identifier].append({name: _plain(row[name]) for name in names})
    failures = table.meta.get("failures", ())
    missing = {places[index].identifier for each in failures for index in range(each.start, each.stop)}
    reason = str(getattr(failures[0], "error", getattr(failures[0], "message", ""))) if failures else ""
    return Rows(found, frozenset(missing), reason[:500])


def _plain(value: Any) -> Any:
    """A cell: None where it is masked, not a number or empty."""
    if value is np.ma.masked:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.strip() or None if isinstance(value, str) else value


def gaia_rows(places: Sequence[Place], tools: Tools) -> Rows:
    """Gaia's sources within the radius of neighbours; asked once for all panels.

    Raises
    ------
    ServiceError
    """

    def ask() -> Rows:
        from emberline.vo.client import gaia

        session = tools.asking()
        coords, epochs = positions(places)
        return by_place(gaia.around(session, coords, tools.config.neighbours / 3600, epoch=epochs), places)

    return tools.shared.once(_key("gaia", places), ask, tools.left)


def simbad_rows(places: Sequence[Place], tools: Tools) -> Rows:
    """SIMBAD's objects within the radius of neighbours; asked once for all panels.

    Raises
    ------
    ServiceError
    """

    def ask() -> Rows:
        from emberline.vo.client import simbad

        session = tools.asking()
        coords, epochs = positions(places)
        return by_place(simbad.around(session, coords, tools.config.neighbours / 3600, epoch=epochs), places)

    return tools.shared.once(_key("simbad", places), ask, tools.left)


def _key(service: str, places: Sequence[Place]) -> tuple[str, ...]:
    return (service, *(place.identifier for place in places))


def sources_around(places: Sequence[Place], tools: Tools) -> tuple[dict[str, list[Source]], dict[str, Finding]]:
    """All sources with a magnitude around each place, the nearest first; and, by place, who did not answer.

    Gaia counts where both have a star; the brightest stars, which Gaia lacks, are SIMBAD's.
    """
    found: dict[str, list[Source]] = {place.identifier: [] for place in places}
    failed: dict[str, Finding] = {}
    for service, ask, read in ((GAIA, gaia_rows, _gaia_source), (SIMBAD, simbad_rows, _simbad_source)):
        try:
            rows = ask(places, tools)
        except (EmberlineError, TimeoutError) as error:
            failed |= dict.fromkeys((place.identifier for place in places), failure(error, service))
            continue
        failed |= dict.fromkeys(rows.unanswered, rows.finding(service))
        for identifier, some in rows.of.items():
            mine = found[identifier]
            for source in filter(None, map(read, some)):
                if not any(source.same(other) for other in mine):
                    mine.append(source)
    for sources in found.values():
        sources.sort(key=lambda source: source.separation)
    return found, failed


def _gaia_source(row: _Row) -> Source | None:
    if row.get("phot_g_mean_mag") is None:
        return None
    name = f"{GAIA} {row['source_id']}"
    return Source(GAIA, name, row["ra"], row["dec"], row["separation"], row["phot_g_mean_mag"], "G")


def _simbad_source(row: _Row) -> Source | None:
    if row.get("vmag") is None or row.get("ra") is None:
        return None
    return Source(SIMBAD, str(row["main_id"]), row["ra"], row["dec"], row["separation"], row["vmag"], "V")
