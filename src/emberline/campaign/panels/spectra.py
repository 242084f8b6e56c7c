"""Other spectra of the same object, for an overlay: those of one's own archives, and those that services have."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from emberline.campaign.annotation.arrays import read_spectrum
from emberline.campaign.panels.around import rows_around
from emberline.campaign.panels.base import Fact, Finding, Overlay, Panel, Place, Tools
from emberline.campaign.panels.frames import common_frame
from emberline.dates import calendar_date
from emberline.errors import ArchiveError
from emberline.spectra import Spectrum

__all__ = ["SpectraPanel", "overlay_of"]

_OWN = 12  # spectra of own archives that are laid over one
_PIXELS = 8192  # of an overlay: more than a screen shows, and little enough to send


class SpectraPanel(Panel):
    """Overlays in the frame of the spectrum that is asked about: own archives, then services whose coverage fits."""

    name: ClassVar[str] = "spectra"
    title: ClassVar[str] = "Other spectra"
    local: ClassVar[bool] = True

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        found = {place.identifier: own_spectra(place, rows) for place, rows in _own_rows(places, tools)}
        return found


_Row = tuple[Path, dict[str, Any]]


def _own_rows(places: Sequence[Place], tools: Tools) -> list[tuple[Place, list[_Row]]]:
    """The rows of own catalogues at each place, the spectrum itself apart, the nearest in time first."""
    found: dict[str, list[_Row]] = {place.identifier: [] for place in places}
    for archive in tools.archives:
        try:
            around = rows_around(archive, places, tools.config.radius)
        except (OSError, pa.ArrowException):
            continue  # an archive that has gone is told where campaigns are opened
        for identifier, rows in around.items():
            found[identifier] += [(archive, row) for row in rows]
    ordered = []
    for place in places:
        rows = [
            (archive, row)
            for archive, row in found[place.identifier]
            if (archive, row["identifier"]) != (place.archive, place.identifier)
        ]
        now = place.metadata.mjd if math.isfinite(place.metadata.mjd) else 0.0
        rows.sort(key=lambda pair: (abs((pair[1]["mjd"] or 0.0) - now), pair[1]["identifier"]))
        ordered.append((place, rows))
    return ordered


def own_spectra(place: Place, rows: list[_Row]) -> Finding:
    """The overlays of own archives; what cannot be read is said and left out."""
    overlays, facts = [], []
    for archive, row in rows[:_OWN]:
        try:
            spectrum = read_spectrum(archive, row["identifier"], row["part"], row["row"])
        except (ArchiveError, OSError) as error:
            facts.append(Fact(str(row["identifier"]), "cannot be read", title=str(error)))
            continue
        title = _title(row["survey"] or archive.name, row["mjd"], row["snr"])
        overlays.append(overlay_of(spectrum, place, f"{archive.name}/{row['identifier']}", title))
        facts.append(Fact(title, f"{row['separation']:.1f}", "arcsec", title=str(row["identifier"])))
    if len(rows) > _OWN:
        facts.append(Fact("More of them", str(len(rows) - _OWN)))
    return Finding("found" if rows else "nothing", tuple(facts), overlays=tuple(overlays), service="own archives")


def _title(survey: str, mjd: float | None, snr: float | None) -> str:
    date = calendar_date(mjd) if mjd is not None and math.isfinite(mjd) else ""
    noise = f"S/N {snr:.0f}" if snr is not None and math.isfinite(snr) else ""
    return ", ".join(part for part in (survey, date, noise) if part)


def overlay_of(spectrum: Spectrum, place: Place, key: str, title: str) -> Overlay:
    """A spectrum as an overlay of another: vacuum, in its velocity frame, bad pixels left out, at most 8192 pixels."""
    wavelength, frame, note = common_frame(spectrum, place)
    good = (spectrum.mask == 0) & np.isfinite(spectrum.flux)
    wavelength, flux = wavelength[good], spectrum.flux[good]
    step = -(-wavelength.size // _PIXELS)
    if step > 1:
        whole = wavelength.size // step * step
        wavelength = wavelength[:whole].reshape(-1, step).mean(axis=1)
        flux = flux[:whole].reshape(-1, step).mean(axis=1)
    identity = hashlib.sha256(key.encode()).hexdigest()[:16]
    return Overlay(identity, f"{title} ({note})" if note else title, wavelength, flux.astype(np.float32), frame, note)
