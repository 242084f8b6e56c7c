"""Line profiles of the gas disk around a Be star: Keplerian rotation, optical depth, electrons and the shell."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

__all__ = ["Disks", "emission_profile", "shell_depth", "velocity_axis"]

Floats = NDArray[np.float64]

_RINGS, _ANGLES = 28, 72


@dataclasses.dataclass(frozen=True)
class Disks:
    """Parameters of n disks; every field has the shape (n,).

    Attributes
    ----------
    inclination : degrees, 0 is pole-on
    orbital : Keplerian velocity at the inner edge, km/s
    outer : outer radius in units of the inner one (the stellar radius)
    slope : the source function falls as R to the power -slope
    thickness : 0 for an optically thin line, 1 for a thick one whose shear lets photons out along the line of sight
    asymmetry : a of a one-armed brightness 1 + a cos φ: the approaching (violet) edge is (1 + a) / (1 - a) times as
        bright as the receding one
    turbulence : local broadening, km/s
    electrons : share of the line's photons scattered by free electrons
    electron_width : standard deviation of the scattered profile, km/s
    """

    inclination: Floats
    orbital: Floats
    outer: Floats
    slope: Floats
    thickness: Floats
    asymmetry: Floats
    turbulence: Floats
    electrons: Floats
    electron_width: Floats

    def __len__(self) -> int:
        return len(self.inclination)

    def take(self, rows: NDArray[np.int64]) -> Disks:
        """The disks at `rows`."""
        return Disks(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})

    @property
    def outer_velocity(self) -> Floats:
        """Projected Keplerian velocity at the outer edge: half of the peak separation (Huang 1972, ApJ 171, 549)."""
        return np.asarray(self.orbital * np.sin(np.radians(self.inclination)) / np.sqrt(self.outer), np.float64)


def velocity_axis(step: float, half: float = 3200.0) -> Floats:
    """Velocities from -`half` to `half` km/s by `step`, zero in the middle."""
    n = int(half / step)
    return np.asarray(step * np.arange(-n, n + 1, dtype=np.float64))


def emission_profile(disks: Disks, axis: Floats, instrument: float) -> Floats:
    """Line profiles of unit area.

    The disk is summed over rings and azimuths; a photon leaves an optically thick place more easily where the shear of
    the orbit along the line of sight is large (Horne & Marsh 1986, MNRAS 218, 761, eq. 8: it sharpens and parts the
    peaks); one side may be brighter (a one-armed density wave: Okazaki 1991, PASJ 43, 75). Electron scattering spreads
    a share of the photons into broad wings (Poeckert & Marlborough 1979, ApJ 233, 259).

    Parameters
    ----------
    disks : Disks
    axis : ndarray, shape (v,)
        Even, symmetric velocities in km/s, see `velocity_axis`.
    instrument : float
        Standard deviation of the line-spread function, km/s.

    Returns
    -------
    ndarray, shape (n, v)
        Per km/s.
    """
    raw = _histogram(disks, axis)
    step = axis[1] - axis[0]
    frequency = np.fft.rfftfreq(axis.size, step)
    local = disks.turbulence**2 + instrument**2
    narrow = np.exp(-2.0 * np.pi**2 * local[:, None] * frequency**2)
    wide = np.exp(-2.0 * np.pi**2 * (disks.electron_width**2)[:, None] * frequency**2)
    share = disks.electrons[:, None]
    blurred = np.fft.irfft(np.fft.rfft(raw, axis=1) * narrow * (1.0 - share + share * wide), axis.size, axis=1)
    return np.asarray(blurred / (blurred.sum(axis=1, keepdims=True) * step))


def _histogram(disks: Disks, axis: Floats) -> Floats:
    """Emission by velocity before any blurring: every ring and azimuth dropped into the two nearest bins."""
    n = len(disks)
    ring = (np.arange(_RINGS) + 0.5) / _RINGS
    phi = 2.0 * np.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES
    radius = disks.outer[:, None] ** ring[None, :]
    sine = np.sin(np.radians(disks.inclination))[:, None]
    speed = disks.orbital[:, None] * sine / np.sqrt(radius)
    bright = radius ** (2.0 - disks.slope[:, None])
    cosine = np.cos(phi)
    shear = np.abs(np.sin(2.0 * phi))
    tangent = np.minimum(np.tan(np.radians(np.minimum(disks.inclination, 85.0))), 4.0)[:, None] * sine
    escape = 1.0 + 0.6 * disks.thickness[:, None, None] * tangent[:, :, None] * shear[None, None, :]
    weight = bright[:, :, None] * escape * (1.0 - disks.asymmetry[:, None, None] * cosine)
    place = (speed[:, :, None] * cosine - axis[0]) / (axis[1] - axis[0])
    place = np.clip(place, 0.0, axis.size - 1.001)
    below = place.astype(np.int64)
    part = place - below
    index = (below + axis.size * np.arange(n)[:, None, None]).ravel()
    size = n * axis.size
    total = np.bincount(index, (weight * (1.0 - part)).ravel(), size)
    total += np.bincount(index + 1, (weight * part).ravel(), size + 1)[:size]
    return np.asarray(total.reshape(n, axis.size), np.float64)


def shell_depth(disks: Disks, axis: Floats, instrument: float, depth: Floats) -> Floats:
    """Share of the light that the disk takes away in front of the star, by velocity; shape (n, v).

    Gas at radius R crosses the stellar face with line-of-sight velocities up to ± v(R) / R, so far gas makes a narrow
    core and near gas a broad base (Hanuschik 1995, A&A 295, 423: the central quasi-emission and shell profiles).
    Optical depth falls as R to the power -slope / 2; lines of sight above the disk's edge (half opening
    about 10°, fuzzy by 1°) see nothing.

    Parameters
    ----------
    depth : ndarray, shape (n,)
        Depth at the line centre of an edge-on disk, 0 to 1, before the instrument.
    """
    radius = disks.outer[:, None] ** np.linspace(0.35, 1.0, 8)
    width = disks.orbital[:, None] / radius**1.5
    sigma = np.sqrt((0.5 * width) ** 2 + disks.turbulence[:, None] ** 2 + instrument**2)
    share = radius ** (-0.5 * disks.slope[:, None]) * (disks.turbulence[:, None] / sigma)
    share /= (radius ** (-0.5 * disks.slope[:, None])).sum(axis=1, keepdims=True)
    seen = depth / (1.0 + np.exp((80.0 - disks.inclination) / 1.0))
    profile = np.einsum("nr,nrv->nv", share, np.exp(-0.5 * (axis / sigma[:, :, None]) ** 2))
    return np.asarray(seen[:, None] * profile)
