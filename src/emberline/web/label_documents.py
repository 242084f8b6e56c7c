"""What the oracle's page is told, as plain values: campaigns, spectra, opinions, history."""

from __future__ import annotations

import base64
import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberline.dates import calendar_date
from emberline.provenance import plain
from emberline.spectral_lines import line_lists

if TYPE_CHECKING:
    from emberline.campaign import Campaign
    from emberline.campaign.annotation import Desk, State
    from emberline.campaign.annotation.siblings import Siblings
    from emberline.campaign.annotation.view import SpectrumView

__all__ = [
    "FLAGS",
    "Encoding",
    "campaign_document",
    "encode",
    "history_document",
    "line_list_documents",
    "opinion_document",
    "progress_document",
    "spectrum_arrays",
    "view_document",
]

Encoding = Literal["list", "base64"]
FLAGS = ("noteworthy", "blend", "nebula", "second opinion")
"""What the page offers as flags; the API takes any."""

_KINDS = {"f": ("f4", "<f4"), "u": ("u1", "<u1"), "b": ("u1", "<u1"), "i": ("f8", "<f8")}


def encode(values: ArrayLike, encoding: Encoding, *, double: bool = False) -> Any:
    """An array for JSON: a list in which None stands for what is not finite, or its bytes in base64, little-endian."""
    array = np.asarray(values)
    if encoding == "list":
        return plain(array)
    name, kind = ("f8", "<f8") if double else _KINDS[array.dtype.kind]
    data = np.ascontiguousarray(array, dtype=kind).tobytes()
    return {"dtype": name, "data": base64.b64encode(data).decode("ascii")}


def spectrum_arrays(spectrum: Any, encoding: Encoding) -> dict[str, Any]:
    """Wavelength (vacuum Å), flux, ivar and mask."""
    return {
        "wavelength": encode(spectrum.wavelength, encoding, double=True),
        "flux": encode(spectrum.flux, encoding),
        "ivar": encode(spectrum.ivar, encoding),
        "mask": encode(spectrum.mask, encoding),
    }


def line_list_documents() -> list[dict[str, Any]]:
    """All line lists, in vacuum Å."""
    return [
        {"name": name, "lines": [dataclasses.asdict(line) for line in lines]} for name, lines in line_lists().items()
    ]


def progress_document(desk: Desk) -> dict[str, Any]:
    """How far this annotator is."""
    progress = desk.progress()
    return {**dataclasses.asdict(progress), "total": progress.total}


def campaign_document(campaign: Campaign, desk: Desk, path: str) -> dict[str, Any]:
    """What the page needs once: classes, guidelines, line lists, progress."""
    from emberline.campaign.annotation import guidelines_of

    config, guide = campaign.config, guidelines_of(campaign)
    classes = [
        {
            "name": entry.name,
            "text": entry.hint,
            "target": entry.target,
            "examples": [
                {"identifier": example.identifier, "values": encode(example.values, "list")}
                for example in entry.examples
            ],
        }
        for entry in guide.classes
    ]
    return {
        "path": path,
        "name": config.name,
        "description": config.description,
        "classes": list(config.classes),
        "targets": list(config.targets),
        "answers": list(config.answers),
        "flags": list(FLAGS),
        "blind": config.annotation.blind,
        "guidelines": {
            "text": guide.text,
            "html": as_html(guide.text),
            "classes": [item for item in classes if item["text"] or item["examples"]],
        },
        "line_lists": line_list_documents(),
        "progress": progress_document(desk),
    }


def as_html(markdown: str) -> str:
    """Markdown as HTML; markup in the text itself is shown, not obeyed, and addresses of scripts make no links."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(markdown))


def view_document(view: SpectrumView, desk: Desk, encoding: Encoding) -> dict[str, Any]:
    """Everything beside one question but the model's opinion, which is asked for by itself."""
    meta, window = view.metadata, view.window
    siblings = desk.siblings(view.identifier)
    frame = meta.get("velocity_frame", "unknown")
    unit = meta.get("flux_unit") or "arbitrary unit"
    stretch = 1.0 + (meta.get("redshift", 0.0) if window.frame == "rest" else 0.0)
    return {
        "identifier": view.identifier,
        "object": view.object,
        "archive": view.archive,
        "name": meta.get("name") or view.identifier,
        "subtitle": " · ".join(_subtitle(view)),
        "spectrum_text": f"{_FRAMES.get(frame, frame)}, {unit}",
        "window_text": f"recipe {window.recipe}, {window.frame} frame, {window.bad_fraction:.0%} of its pixels bad",
        "position": {"ra": meta["ra"], "dec": meta["dec"]} if "ra" in meta and "dec" in meta else None,
        "summary": summary(view),
        "spectrum": spectrum_arrays(view, encoding),
        "window": {
            "wavelength": encode(window.wavelength, encoding, double=True),
            "values": encode(window.values, encoding),
            "band": [float(window.wavelength[0]) * stretch, float(window.wavelength[-1]) * stretch],
        },
        "facts": _facts(view),
        "metadata": plain(meta),
        "neighbours": [
            {
                "identifier": near.identifier,
                "answer": near.label,
                "distance": near.distance,
                "space": near.space,
                "values": encode(near.values, encoding),
            }
            for near in desk.neighbours(view.identifier)
        ],
        **_others(siblings),
    }


_FRAMES = {
    "barycentric": "barycentric frame",
    "heliocentric": "heliocentric frame",
    "topocentric": "topocentric frame",
    "rest": "rest frame",
    "unknown": "frame not known",
}


def _others(siblings: Siblings) -> dict[str, Any]:
    others = [
        {
            "identifier": other.identifier,
            "archive": other.archive,
            "same_archive": other.same_archive,
            "survey": other.survey,
            "date": date_of(other.mjd),
            "snr": other.snr,
            "answer": other.label,
            "separation_arcsec": other.separation_arcsec,
        }
        for other in siblings.spectra
    ]
    failures = [{"archive": archive, "message": message} for archive, message in siblings.failures.items()]
    return {"others": others, "failures": failures}


def date_of(mjd: float | None) -> str:
    """A modified Julian date as a calendar date; empty when it is not known."""
    if mjd is None or not np.isfinite(mjd):
        return ""
    return calendar_date(mjd).isoformat()


def _subtitle(view: SpectrumView) -> list[str]:
    meta = view.metadata
    parts = [view.identifier] if meta.get("name") else []
    parts.append(meta.get("survey", view.archive))
    if "ra" in meta and "dec" in meta:
        parts.append(f"{meta['ra']:.5f} {meta['dec']:+.5f}")
    if "mjd" in meta:
        parts.append(date_of(meta["mjd"]))
    if "snr" in meta:
        parts.append(f"S/N {meta['snr']:.0f}")
    return [part for part in parts if part]


_NAMES = {
    "identifier": "Identifier",
    "name": "Name",
    "survey": "Survey",
    "ra": "Right ascension (°)",
    "dec": "Declination (°)",
    "mjd": "MJD",
    "exposure": "Exposure (s)",
    "snr": "Signal to noise",
    "redshift": "Survey's redshift",
    "survey_class": "Survey's class",
    "survey_subclass": "Survey's subclass",
    "medium": "Medium of the file",
    "velocity_frame": "Velocity frame",
    "resolving_power": "Resolving power",
    "flux_unit": "Flux unit",
    "ivar_source": "Uncertainties",
}


def _facts(view: SpectrumView) -> list[tuple[str, str]]:
    known = {**view.metadata, "archive": view.archive, "object": view.object}
    names = {**_NAMES, "archive": "Archive", "object": "Object"}
    return [
        (names.get(key, key), f"{value:.6g}" if isinstance(value, float) else str(value))
        for key, value in known.items()
    ]


def summary(view: SpectrumView) -> str:
    """The plot in words, for who cannot see it."""
    good = (view.mask == 0) & np.isfinite(view.flux)
    words = [
        f"{len(view.flux):,} pixels from {view.wavelength[0]:.0f} to {view.wavelength[-1]:.0f} Å in vacuum",
        f"{int((~good).sum()):,} of them masked",
    ]
    weighed = good & (view.ivar > 0)
    if weighed.any():
        ratio = float(np.median(np.abs(view.flux[weighed]) * np.sqrt(view.ivar[weighed])))
        words.append(f"median signal to noise {ratio:.0f} a pixel")
    window = view.window
    peak = _extreme(window.values)
    if peak is not None:
        at, kind, height = peak
        words.append(
            f"in the network's window the strongest feature is {kind} at {window.wavelength[at]:.1f} Å, "
            f"{height:.1f} times the scatter"
        )
    return "; ".join(words) + "."


def _extreme(values: NDArray[np.float32]) -> tuple[int, str, float] | None:
    """The pixel farthest from the median: where, which way, and how far in units of the scatter of the window."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    middle = float(np.median(values[finite]))
    scatter = 1.4826 * float(np.median(np.abs(values[finite] - middle)))
    away = np.where(finite, values - middle, 0.0)
    at = int(np.argmax(np.abs(away)))
    if scatter <= 0:
        return None
    return at, "emission" if away[at] > 0 else "absorption", abs(float(away[at])) / scatter


def opinion_document(view: SpectrumView) -> dict[str, Any]:
    """What the model says of it, and why it was asked about, as far as that may be told now."""
    opinion, why = view.opinion, view.why
    if opinion is None:
        return {"classes": [], "suggestion": None, "text": _reason(view) or "No network has read this spectrum yet."}
    numbers = (
        f"Target probability {opinion.target:.2f}, place {opinion.rank:,} of {opinion.pool:,}; "
        f"entropy {opinion.entropy:.2f} of 1, margin {opinion.margin:.2f}."
    )
    return {
        "classes": sorted(opinion.probabilities.items(), key=lambda item: -item[1]),
        "suggestion": opinion.suggestion,
        "target": opinion.target,
        "entropy": opinion.entropy,
        "margin": opinion.margin,
        "rank": opinion.rank,
        "pool": opinion.pool,
        "why": None if why is None else dataclasses.asdict(why),
        "text": f"{numbers} {_reason(view)}".strip(),
    }


def _reason(view: SpectrumView) -> str:
    why = view.why
    if why is None:
        return ""
    if why.purpose == "control":
        return f"It was asked in round {why.round} as a control spectrum, drawn at random from {why.stratum}."
    return f"It was asked in round {why.round}: {why.reason}."


def history_document(desk: Desk, limit: int) -> dict[str, Any]:
    """One's own decisions in order, and the actions that can be taken back, the last one last."""
    decisions = desk.history()[-limit:]
    items = [
        {
            "identifier": made.identifier,
            "task": made.task,
            "decision": _decision(made.answer, made.skipped),
            "note": {"quality": made.quality, "flags": list(made.flags), "comment": made.comment},
            "time": made.time,
            "seconds": made.seconds,
        }
        for made in decisions
    ]
    return {"items": items, "actions": desk.campaign.database.look(lambda state: _actions(state, desk.who)[-limit:])}


def _actions(state: State, who: str) -> list[dict[str, Any]]:
    """What `undo` takes back, the next one last."""
    found = []
    for action in state.done.get(who, []):
        events = [state.events[number] for number in state.actions[action]]
        kind = "many" if len(events) > 1 else "label" if events[0].kind == "repeat" else events[0].kind
        found.append({"id": action, "kind": kind, "identifier": events[0].identifier, "task": events[0].task})
    return found


def _decision(answer: str | None, skipped: bool) -> dict[str, Any] | None:
    if answer is not None:
        return {"kind": "label", "answer": answer}
    return {"kind": "skip", "answer": None} if skipped else None
