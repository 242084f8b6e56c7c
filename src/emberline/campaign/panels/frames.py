"""Bring another spectrum into the velocity frame of the one that is asked about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.panels.base import Place
from emberline.spectra import Spectrum

__all__ = ["common_frame"]

_SUN = ("barycentric", "heliocentric")
"""They differ by at most 0.013 km/s, which is no pixel of any survey."""


def common_frame(spectrum: Spectrum, place: Place) -> tuple[NDArray[np.float64], str, str]:
    """Vacuum wavelengths in the frame of the spectrum at `place`, that frame, and what could not be made common.

    Wavelengths of a `Spectrum` are in vacuum already. Heliocentric and barycentric are the same here. A spectrum in its
    own rest frame is moved by the redshift that its survey gave. From the Earth's frame the motion towards the
    object would have to be known together with the observatory, which files seldom name: such a spectrum is shown as it
    is, and the note says so, since it may be off by up to 30 km/s (0.7 Å at Hα).
    """
    wanted, there = place.metadata.velocity_frame, spectrum.meta.velocity_frame
    wavelength = spectrum.wavelength
    if there == wanted or {there, wanted} <= set(_SUN):
        return wavelength, wanted, ""
    if there == "rest" and np.isfinite(spectrum.meta.redshift):
        return wavelength * (1 + spectrum.meta.redshift), wanted, ""
    if wanted == "rest" and np.isfinite(place.metadata.redshift) and there in _SUN:
        return wavelength / (1 + place.metadata.redshift), wanted, ""
    if wanted == "unknown":
        return wavelength, there, "the frame of the spectrum itself is unknown, may be off by 30 km/s"
    said = "frame unknown" if there == "unknown" else f"{there} frame"
    return wavelength, there, f"{said}, may be off by {'any velocity' if 'rest' in (there, wanted) else '30 km/s'}"
