"""What may make a spectrum show something that is not its target's: neighbours, nebulae, other fibres, other names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from emberline.campaign.panels.around import rows_around
from emberline.campaign.panels.base import Caution, Fact, Finding, Panel, Place, Tools
from emberline.campaign.panels.leak import leak
from emberline.campaign.panels.nebular import Nebular, measure_nebular
from emberline.campaign.panels.plates import Neighbours, fibres_beside, measure_beside, plate_of
from emberline.campaign.panels.sources import Source, mismatch, sources_around
from emberline.errors import ArchiveError

__all__ = ["ConfusionPanel", "blend_cautions", "leak_cautions", "nebular_cautions", "plate_cautions"]

_DANGER = 0.10  # of the target's own light
_SHOWN = 4  # neighbours that are named
_BY_POSITION = re.compile(r"J\d{6}")  # names that repeat the position differ in their last digits for one star
_BRIGHT = 3.0  # magnitudes by which a neighbour without a target must beat the faintest


class ConfusionPanel(Panel):
    """Warnings. What the spectrum, its plate and the archive say needs no network; neighbours need Gaia and SIMBAD."""

    name: ClassVar[str] = "confusion"
    title: ClassVar[str] = "Confusion"
    local: ClassVar[bool] = True

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`; what is known without the network is handed on before it is asked."""
        own = {place.identifier: _local(place) for place in places}
        for archive in dict.fromkeys(place.archive for place in places):
            _add_archive(archive, [place for place in places if place.archive == archive], own)
        placed = [place for place in places if place.placed]
        around: dict[str, list[Source]] = {}
        failed: dict[str, Finding] = {}
        if placed:
            for place in placed:
                local = _finding(place, own[place.identifier], (), None, tools)
                tools.keep(place.identifier, dataclasses.replace(local, state="waiting"))
            around, failed = sources_around(placed, tools)
        found = {}
        for place in places:
            name = place.identifier
            found[name] = _finding(place, own[name], around.get(name, ()), failed.get(name), tools)
        return found


class _Own:
    """What is known of a place without the network."""

    def __init__(self, measured: Nebular | None) -> None:
        self.measured = measured
        self.facts: list[Fact] = []
        self.cautions: list[Caution] = []


def _local(place: Place) -> _Own:
    try:
        own = _Own(measure_nebular(place.spectrum()))
    except (ArchiveError, OSError):
        return _Own(None)
    if own.measured is not None:
        own.facts += nebular_facts(own.measured)
        own.cautions += nebular_cautions(own.measured)
    return own


def _add_archive(archive: Path, places: list[Place], own: dict[str, _Own]) -> None:
    """What the catalogue says: other objects within the fibre, and the other fibres of the plate."""
    try:
        radius = max((place.fibre.diameter_arcsec for place in places), default=0.0)
        for identifier, rows in rows_around(archive, places, max(radius, 3.0)).items():
            place = next(p for p in places if p.identifier == identifier)
            own[identifier].cautions += blend_cautions(place, rows)
        known: dict[str, Nebular | None] = {}
        shining = [p for p in places if (m := own[p.identifier].measured) is not None and m.names]
        beside = fibres_beside(archive, shining)
    except (OSError, pa.ArrowException):
        return
    for place in shining:
        measured = own[place.identifier].measured
        assert measured is not None
        others = measure_beside(archive, beside.get(place.identifier, ()), known)
        own[place.identifier].cautions += plate_cautions(
            measured, Neighbours(plate_of(place.identifier), tuple(others))
        )


def nebular_facts(measured: Nebular) -> list[Fact]:
    """The equivalent widths of lines that are there."""
    strengths = {"[N II]": measured.nitrogen, "[S II]": measured.sulphur, "Hα": measured.hydrogen}
    return [
        Fact(f"{name} narrow emission", f"{measured.widths[name]:.2f}", "Å", title=f"{strengths[name]:.1f} σ")
        for name in ("Hα", "[N II]", "[S II]")
        if name in measured.names
    ]


def nebular_cautions(measured: Nebular) -> list[Caution]:
    """Forbidden lines come from thin gas: a nebula around or before the star, whose Hα lies on the star's."""
    if not measured.seen:
        return []
    text = (
        f"nebular lines: [N II] {measured.nitrogen:.0f} σ, [S II] {measured.sulphur:.0f} σ, at "
        f"{measured.velocity:+.0f} km/s. Narrow Hα emission here is a nebula's unless it is much the stronger."
    )
    return [Caution("danger", text)]


def plate_cautions(measured: Nebular, neighbours: Neighbours) -> list[Caution]:
    """Lines that many fibres show at one velocity come from the field, not from a star."""
    names, count = neighbours.showing(measured)
    of = len(neighbours.measured)
    if count < 2 or count < 0.1 * of:
        return []
    lines = " and ".join(sorted(names))
    severity = "danger" if count >= 0.5 * of else "caution"
    fibres = f"{count} of the {of} nearest fibres on {neighbours.plate}"
    text = f"{fibres} show {lines} too, at the same velocity: it is the field's, or sky"
    return [Caution(severity, text)]  # type: ignore[arg-type]


def blend_cautions(place: Place, rows: Sequence[Mapping[str, Any]]) -> list[Caution]:
    """Other objects of the archive so near that the fibre cannot tell them apart."""
    half = place.fibre.diameter_arcsec / 2 + place.fibre.seeing_arcsec / 2
    others = {
        str(row["object"]): row
        for row in reversed(rows)
        if row["object"] != place.object and float(row["separation"]) <= half
    }
    near_by = [row for row in rows if float(row["separation"]) <= half]
    names = {str(row["name"]) for row in near_by if row["name"] and not _BY_POSITION.search(str(row["name"]))}
    found = []
    if others:
        near = ", ".join(f"{name} at {row['separation']:.1f}″" for name, row in list(others.items())[:_SHOWN])
        found.append(Caution("caution", f"several objects of the archive at one place: {near}"))
    elif len(names) > 1:
        found.append(Caution("caution", f"several names at one place: {', '.join(sorted(names)[:_SHOWN])}"))
    return found


def leak_cautions(place: Place, sources: Sequence[Source], radius: float, least: float, faint: float) -> list[Caution]:
    """Neighbours whose light in the fibre is at least `least` of the target's, see `emberline.campaign.panels.leak`.

    The target is the likeliest source within `radius` (see `target_of`); without one its magnitude is taken as `faint`.
    """
    target = target_of(sources, radius)
    magnitude = faint if target is None else target.magnitude
    size, seeing = place.fibre.diameter_arcsec, place.fibre.seeing_arcsec
    found = []
    for source in sources:
        if source is target or (source.separation <= radius and target is not None and source.same(target)):
            continue
        share = leak(source.magnitude, magnitude, source.separation, size, seeing)
        if share >= least:
            found.append((share, source))
    found.sort(key=lambda pair: -pair[0])
    return [_leak_caution(share, source, target, magnitude, size) for share, source in found[:_SHOWN]]


def _leak_caution(share: float, source: Source, target: Source | None, magnitude: float, size: float) -> Caution:
    against = f"the target's ({target.band} {magnitude:.1f})" if target else f"a star of magnitude {magnitude:.1f}'s"
    amount = f"{100 * share:.0f} % of {against}" if share < 1 else f"{share:.1f} times {against}"
    text = (
        f"{source.name}, {source.band} {source.magnitude:.1f}, {source.separation:.1f}″ away: "
        f"its light in the {size:g}″ fibre is about {amount}"
    )
    return Caution("danger" if share >= _DANGER else "caution", text)


def target_of(sources: Sequence[Source], radius: float) -> Source | None:
    """The source within `radius` arcseconds at which the fibre was pointed: see `mismatch`."""
    near = [source for source in sources if source.separation <= radius]
    return min(near, key=lambda source: mismatch(source.separation, source.magnitude), default=None)


def _crowd_cautions(sources: Sequence[Source], radius: float, half: float) -> list[Caution]:
    """Several sources of one catalogue within the fibre."""
    target = target_of(sources, radius)
    found = []
    for catalogue in dict.fromkeys(source.catalogue for source in sources):
        inside = [s for s in sources if s.catalogue == catalogue and s.separation <= half]
        others = [s for s in inside if target is None or s.magnitude <= target.magnitude + _BRIGHT]
        if len(others) > 1:
            names = ", ".join(f"{s.name} ({s.band} {s.magnitude:.1f})" for s in others[:_SHOWN])
            found.append(Caution("caution", f"{len(others)} sources of {catalogue} within the fibre: {names}"))
    return found


def _finding(place: Place, own: _Own, sources: Sequence[Source], bad: Finding | None, tools: Tools) -> Finding:
    config = tools.config
    facts, cautions = list(own.facts), list(own.cautions)
    if sources:
        cautions += leak_cautions(place, sources, config.radius, config.leak, config.faint)
        cautions += _crowd_cautions(sources, config.radius, place.fibre.diameter_arcsec / 2)
        beyond = [source for source in sources if source.separation > config.radius]
        facts.append(Fact(f"Sources within {config.neighbours:g}″", str(len(beyond)), title="the target's own apart"))
    facts.append(
        Fact("Fibre", f"{place.fibre.diameter_arcsec:g}", "arcsec", title=f"seeing {place.fibre.seeing_arcsec:g}″")
    )
    cautions.sort(key=lambda caution: caution.severity != "danger")
    state = bad.state if bad else "found" if cautions or sources or own.measured else "nothing"
    message, service = (bad.message, bad.service) if bad else ("", "")
    return Finding(state, tuple(facts), warnings=tuple(cautions), message=message, service=service)
