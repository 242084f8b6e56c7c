"""What the object is, as SIMBAD has it: type, names, spectral type, number of references, and how far away that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from emberline.campaign.panels.base import Caution, Fact, Finding, Link, Panel, Place, Tools
from emberline.campaign.panels.sources import SIMBAD, simbad_rows

__all__ = ["IdentityPanel"]

_NAMES = 8
_SIMBAD = "https://simbad.cds.unistra.fr/simbad/sim-id?Ident="


class IdentityPanel(Panel):
    """The nearest object of SIMBAD within the campaign's radius; others there are named."""

    name: ClassVar[str] = "identity"
    title: ClassVar[str] = "Identity"
    service: ClassVar[str] = SIMBAD

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        nothing = f"SIMBAD knows nothing within {tools.config.radius:g}″"
        return simbad_rows(places, tools).findings(places, tools.config.radius, self.service, _identity, nothing)


def _identity(near: Sequence[Mapping[str, Any]]) -> Finding:
    row = near[0]
    main = " ".join(str(row["main_id"]).split())
    names = [" ".join(name.split()) for name in str(row.get("ids") or "").split("|") if name.strip()]
    others = [name for name in dict.fromkeys(names) if name != main]
    page = _SIMBAD + quote(main)
    shown = ", ".join(others[:_NAMES]) + (f" and {len(others) - _NAMES} more" if len(others) > _NAMES else "")
    values = (
        ("Name", main, "", page, ""),
        ("Type", row.get("otype"), "", "", "SIMBAD's main object type"),
        ("Spectral type", row.get("sp_type"), "", "", ""),
        ("V", _number(row.get("vmag"), 2), "mag", "", ""),
        ("Separation", f"{row['separation']:.2f}", "arcsec", "", "from the fibre, at the date of the spectrum"),
        ("References", row.get("nbref"), "", f"{page}&submit=display+references", "articles that SIMBAD lists"),
        ("Radial velocity", _number(row.get("radial_velocity"), 1), "km/s", "", ""),
        ("Other names", shown, "", "", ", ".join(others)),
    )
    facts = tuple(Fact(a, str(b), c, d, e) for a, b, c, d, e in values if b not in (None, ""))
    return Finding("found", facts, (Link("SIMBAD", page),), _several(near), service=SIMBAD)


def _several(near: Sequence[Mapping[str, Any]]) -> tuple[Caution, ...]:
    if len(near) < 2:
        return ()
    named = ", ".join(f"{' '.join(str(row['main_id']).split())} ({row['separation']:.1f}″)" for row in near[:4])
    return (Caution("caution", f"several objects of SIMBAD at one place: {named}"),)


def _number(value: Any, digits: int) -> str:
    return "" if value is None else f"{float(value):.{digits}f}"
