"""Gaia's measurement of the target: magnitudes, colour, parallax, motion, and whether its astrometry can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from emberline.campaign.panels.base import Caution, Fact, Finding, Panel, Place, Tools
from emberline.campaign.panels.sources import GAIA, gaia_rows, mismatch

__all__ = ["PhotometryPanel"]

_RUWE = 1.4  # Lindegren et al. 2021, A&A 649, A2: above it one star does not fit the astrometry well


class PhotometryPanel(Panel):
    """The likeliest source of Gaia DR3 within the campaign's radius, at the date of the spectrum."""

    name: ClassVar[str] = "photometry"
    title: ClassVar[str] = "Photometry and parallax"
    service: ClassVar[str] = GAIA

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        nothing = f"Gaia has no source within {tools.config.radius:g}″"
        return gaia_rows(places, tools).findings(places, tools.config.radius, self.service, _photometry, nothing)


def _photometry(near: Sequence[Mapping[str, Any]]) -> Finding:
    row = min(near, key=lambda each: mismatch(each["separation"], each["phot_g_mean_mag"]))
    g, bp, rp = (row.get(f"phot_{band}_mean_mag") for band in ("g", "bp", "rp"))
    values = (
        ("G", _number(g, 2), "mag", ""),
        ("BP − RP", _number(None if bp is None or rp is None else bp - rp, 2), "mag", "colour, not corrected for dust"),
        ("Parallax", _with_error(row.get("parallax"), row.get("parallax_error"), 3), "mas", ""),
        ("Distance", *_distance(row), "1/parallax; only where the parallax is five times its error"),
        ("Absolute G", _absolute(row), "mag", "without extinction"),
        ("Proper motion", _motion(row), "mas/yr", "in right ascension (with cos δ) and declination"),
        ("Radial velocity", _with_error(row.get("radial_velocity"), row.get("radial_velocity_error"), 1), "km/s", ""),
        ("Temperature", _number(row.get("teff_gspphot"), 0), "K", "GSP-Phot; not made for emission-line stars"),
        ("RUWE", _number(row.get("ruwe"), 2), "", "about 1 for a single star"),
        ("Separation", _number(row["separation"], 2), "arcsec", "from the fibre, at the date of the spectrum"),
        ("Source", str(row["source_id"]), "", "Gaia DR3"),
    )
    facts = tuple(Fact(label, value, unit, "", title) for label, value, unit, title in values if value)
    return Finding("found", facts, warnings=tuple(_cautions(row, near)), service=GAIA)


def _cautions(row: Mapping[str, Any], near: Sequence[Mapping[str, Any]]) -> list[Caution]:
    found = []
    if row.get("ruwe") is not None and row["ruwe"] > _RUWE:
        found.append(
            Caution("caution", f"RUWE {row['ruwe']:.1f}: a double star, or astrometry disturbed by a neighbour")
        )
    if len(near) > 1:
        others = ", ".join(
            f"G {each['phot_g_mean_mag']:.1f}" for each in near if each is not row and each["phot_g_mean_mag"]
        )
        found.append(
            Caution("caution", f"{len(near)} sources of Gaia at one place; the others: {others or 'no magnitude'}")
        )
    return found


def _number(value: Any, digits: int) -> str:
    return "" if value is None else f"{float(value):.{digits}f}"


def _with_error(value: Any, error: Any, digits: int) -> str:
    if value is None:
        return ""
    return f"{float(value):.{digits}f}" + ("" if error is None else f" ± {float(error):.{digits}f}")


def _sure(row: Mapping[str, Any]) -> float | None:
    """The parallax in mas where it is five times its error."""
    parallax, error = row.get("parallax"), row.get("parallax_error")
    return parallax if parallax is not None and error and parallax > 5 * error else None


def _distance(row: Mapping[str, Any]) -> tuple[str, str]:
    parallax = _sure(row)
    if parallax is None:
        return "", ""
    parsecs = 1000 / parallax
    return (f"{parsecs:.0f}", "pc") if parsecs < 1000 else (f"{parsecs / 1000:.2f}", "kpc")


def _absolute(row: Mapping[str, Any]) -> str:
    parallax, g = _sure(row), row.get("phot_g_mean_mag")
    return "" if parallax is None or g is None else f"{g + 5 * math.log10(parallax / 100):.2f}"


def _motion(row: Mapping[str, Any]) -> str:
    pm = row.get("pmra"), row.get("pmdec")
    return "" if None in pm else f"{pm[0]:+.2f}, {pm[1]:+.2f}"
