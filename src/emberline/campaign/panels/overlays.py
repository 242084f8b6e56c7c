"""A spectrum as an overlay of another: vacuum, in its velocity frame, and no larger than a screen can show."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from emberline.campaign.panels.base import Overlay, Place
from emberline.campaign.panels.frames import common_frame
from emberline.dates import calendar_date
from emberline.spectra import Mask, Spectrum

__all__ = ["overlay_of", "overlay_title"]

_PIXELS = 8192  # of an overlay: more than a screen shows, and little enough to send


def overlay_title(survey: str, mjd: float | None, snr: float | None) -> str:
    """``LAMOST DR10 LRS, 2022-01-31, S/N 45``, as far as it is known."""
    date = str(calendar_date(mjd)) if mjd is not None and math.isfinite(mjd) else ""
    noise = f"S/N {snr:.0f}" if snr is not None and math.isfinite(snr) else ""
    return ", ".join(part for part in (survey, date, noise) if part)


def overlay_of(spectrum: Spectrum, place: Place, key: str, title: str) -> Overlay:
    """A spectrum for the plot at `place`: bad pixels left out, above 8192 averaged; `key` names it."""
    wavelength, frame, note = common_frame(spectrum, place)
    good = ((spectrum.mask & ~np.uint8(Mask.NO_WEIGHT)) == 0) & np.isfinite(spectrum.flux)
    wavelength, flux = wavelength[good], spectrum.flux[good]
    step = -(-wavelength.size // _PIXELS)
    if step > 1:
        whole = wavelength.size // step * step
        wavelength = wavelength[:whole].reshape(-1, step).mean(axis=1)
        flux = flux[:whole].reshape(-1, step).mean(axis=1)
    identity = hashlib.sha256(key.encode()).hexdigest()[:16]
    return Overlay(identity, f"{title} ({note})" if note else title, wavelength, flux.astype(np.float32), frame, note)
