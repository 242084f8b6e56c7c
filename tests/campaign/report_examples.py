"""Made-up campaigns for the report's tests: realistic, empty, hostile."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from emberline.campaign.report_data import GalleryItem, Interval, Reliability, ReportData, RoundSummary
from emberline.learn.pool_calibration import Evidence, PoolCalibration
from emberline.learn.stopping import Gain

CLASSES = ("absorption", "Be star", "nebular emission", "M dwarf emission", "other")
TARGETS = ("Be star", "nebular emission")
LINES = {"[N II]": 6549.86, "Hα": 6564.61, "[N II] ": 6585.27, "[S II]": 6718.29, "[S II] ": 6732.67}
HOSTILE = "<script>alert('x')</script>\"'&amp;</title><img src=http://evil.example/x>"


def profile(wavelength: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Something that looks like the window round Hα."""

    def line(at: float, width: float, height: float) -> np.ndarray:
        return height * np.exp(-0.5 * ((wavelength - at) / width) ** 2)

    flux = rng.normal(0, 0.12, wavelength.size)
    if kind == "Be star":
        split = rng.uniform(1.5, 5)
        flux += line(6564.6 - split, 2.6, 3.2) + line(6564.6 + split, 2.6, 3.0 * rng.uniform(0.8, 1.1))
    elif kind == "nebular emission":
        for at, height in ((6549.9, 0.9), (6564.6, 4.5), (6585.3, 2.4), (6718.3, 0.9), (6732.7, 0.7)):
            flux += line(at, 1.7, height)
    else:
        flux -= line(6564.6, 5, 2.0)
    return flux


def item(number: int, rng: np.random.Generator, *, sure: bool = True) -> GalleryItem:
    """One candidate with its whole spectrum."""
    window = np.linspace(6519, 6732, 140)
    whole = 10 ** np.linspace(math.log10(3700), math.log10(9100), 3909)
    kind = CLASSES[number % 5] if not sure else TARGETS[number % 2]
    tilt = 40 * (whole / 5000) ** rng.uniform(-3, 2)
    return GalleryItem(
        identifier=f"55859-F5902-{number % 16:02d}-{rng.integers(1, 250):03d}",
        name=f"J{rng.integers(0, 24):02d}{rng.integers(0, 60):02d}18.73+2759{number:02d}.9",
        ra=float(rng.uniform(0, 360)),
        dec=float(rng.uniform(-10, 60)),
        predicted=kind,
        probability=float(1 - 0.004 * number if sure else rng.uniform(0.44, 0.56)),
        label=kind if number % 3 == 0 else ("absorption" if number == 4 else None),
        wavelength=window,
        values=profile(window, kind, rng).astype(np.float32),
        full_wavelength=whole,
        full_flux=(tilt * (1 + 0.04 * rng.normal(size=whole.size)) * (1 + 0.4 * profile(whole, kind, rng))),
        note="Also in an earlier round: weak [S II], perhaps the sky." if number == 5 else "",
    )


def around(value: float, n: int) -> Interval:
    """An interval as wide as n labels make it."""
    half = 1.96 * math.sqrt(max(value * (1 - value), 0.01) / n)
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


def rounds(count: int, *, truth: bool = True, control: int = 20) -> tuple[RoundSummary, ...]:
    """A campaign that gets better."""
    made = []
    for k in range(count):
        purity, completeness = 1 - 0.55 * math.exp(-k / 2.2), 1 - 0.7 * math.exp(-k / 3.0)
        n = max(control * (k + 1) // 3, 1)
        made.append(
            RoundSummary(
                number=k + 1,
                labels_query=25 * (k + 1),
                labels_control=control * (k + 1),
                labels_start=53,
                purity=around(purity, n) if control else None,
                completeness=around(completeness, n) if control and k else None,
                purity_by_class={
                    "Be star": around(purity, n),
                    "nebular emission": Interval(math.nan, math.nan, math.nan),
                },
                candidates=40 + 9 * k,
                new_targets=max(0, 7 - k),
                seconds={"features": 0.8, "train": 21.0 / (1 + 0.1 * k), "predict": 6.5, "query": 1.2, "estimate": 0.3},
                metrics={"accuracy": 0.9 + 0.01 * k, "validation_loss": 0.31 - 0.02 * k},
                truth={"purity": purity - 0.03, "completeness": min(1.0, completeness + 0.04)} if truth else {},
                completeness_from_draw=Interval(1.0, 0.31, 1.0) if control and k else None,
                gain=Gain(9.0 - k, float(max(0, 3 - k)), 16.0 - k, 25 * (k + 1), 4.0, 12.0 - k, k + 1),
                worth=5.0,
                revised=2,
                unsure=1,
            )
        )
    return tuple(made)


def reliability() -> Reliability:
    """A network that states too much."""
    rng = np.random.default_rng(3)
    x = rng.normal(-1, 3, 180)
    evidence = Evidence(x, rng.random(180) < 1 / (1 + np.exp(1.0 - 0.8 * x)), np.ones(180))
    return Reliability.of(PoolCalibration.fit(evidence), evidence, candidates=41, promised=37.24, expected=30.13)


def example(count: int = 8, gallery: int = 12) -> ReportData:
    """A campaign in full swing."""
    rng = np.random.default_rng(5)
    chance = np.concatenate([rng.beta(0.06, 9, 1700), rng.beta(1, 1, 60), rng.beta(20, 0.5, 110)])
    return ReportData(
        name="Emission-line stars in LAMOST",
        created="2026-03-02T10:11:12Z",
        description="Warm start from the Ondřejov archive; the pool is one night of low-resolution spectra.",
        classes=CLASSES,
        targets=TARGETS,
        pool_size=1870,
        archives=["lamost-lrs"],
        recipe={"name": "halpha-140", "window_angstrom": [6519.0, 6732.0], "pixels": 140, "resolving_power": 1800.0},
        rounds=rounds(count),
        confusion=np.array([[92, 1, 0, 0, 4], [1, 17, 1, 0, 0], [0, 1, 14, 0, 0], [0, 2, 0, 6, 0], [3, 0, 0, 1, 17]]),
        confusion_classes=CLASSES,
        class_balance={
            "absorption": 180,
            "Be star": 61,
            "nebular emission": 44,
            "M dwarf emission": 19,
            "other": 72,
            "bad": 5,
        },
        probabilities_histogram=np.histogram(chance, bins=50, range=(0, 1)),
        threshold=0.5,
        reliability=reliability(),
        best=[item(k, rng) for k in range(gallery)],
        uncertain=[item(k, rng, sure=False) for k in range(gallery)],
        lines=LINES,
        method="Wilson intervals within each stratum, combined by their weights.",
        provenance={
            "emberline": "0.1.0",
            "created": "2026-03-02T10:19:40Z",
            "libraries": {"numpy": "2.4.0", "torch": "2.13.0"},
            "configuration": {"seed": 1, "query": {"strategy": "entropy", "batch": 25}, "loss": math.nan},
            "recipe_hash": "7f3a9c01d2e4b586",
        },
    )


def edge_cases() -> dict[str, ReportData]:
    """Name → data that a report must survive."""
    full = example(gallery=2)
    long = "an extraordinarily long class name that somebody typed in on a Friday afternoon"
    many = tuple(f"class {k:02d} {'of long name' if k % 3 else ''}".strip() for k in range(20))
    rng = np.random.default_rng(1)
    nan = Interval(math.nan, math.nan, math.nan)
    blank = GalleryItem(identifier="blank", wavelength=np.arange(5.0), values=np.full(5, np.nan))
    flat = GalleryItem(
        identifier="flat",
        wavelength=np.arange(5.0),
        values=np.ones(5),
        full_wavelength=np.arange(2.0),
        full_flux=np.full(2, np.nan),
    )
    return {
        "nothing": ReportData(name="Just begun"),
        "no rounds": dataclasses.replace(full, rounds=(), best=(), uncertain=(), confusion=np.zeros((5, 5), int)),
        "one round": dataclasses.replace(full, rounds=rounds(1)),
        "no control labels": dataclasses.replace(
            full, rounds=rounds(4, truth=False, control=0), confusion=np.zeros((5, 5), int)
        ),
        "only NaN": dataclasses.replace(
            full,
            rounds=[
                RoundSummary(
                    number=0,
                    purity=nan,
                    completeness=nan,
                    seconds={"train": math.nan},
                    metrics={"loss": math.nan},
                    truth={"purity": math.nan},
                )
            ],
            best=[blank, flat],
            threshold=math.nan,
        ),
        "no candidates": dataclasses.replace(full, best=(), uncertain=()),
        "forty rounds": dataclasses.replace(full, rounds=rounds(40)),
        "twenty classes": dataclasses.replace(
            full,
            classes=many,
            targets=many[:2],
            confusion=rng.integers(0, 30, (20, 20)) + 60 * np.eye(20, dtype=int),
            confusion_classes=many,
            class_balance={name: 5 * k for k, name in enumerate(many)},
        ),
        "long names": renamed(full, long),
        "hostile": renamed(full, HOSTILE),
    }


def renamed(data: ReportData, text: str) -> ReportData:
    """The same campaign with `text` in every place that a user can write into."""
    swap: dict[str, Any] = {"name": text, "identifier": text, "predicted": text, "label": text, "note": text}
    items = [dataclasses.replace(one, **swap) for one in data.best]
    summaries = [
        dataclasses.replace(
            one, purity_by_class={text: around(0.5, 9)}, seconds={text: 2.0, "b": 1.0}, metrics={text: 1.0}
        )
        for one in data.rounds
    ]
    classes = (text, *data.classes[1:])
    return dataclasses.replace(
        data,
        name=text,
        created=text,
        description=text,
        classes=classes,
        targets=(text,),
        archives=[text],
        recipe={"name": text, text: text},
        rounds=summaries,
        confusion_classes=classes,
        class_balance={text: 3, "b": 2},
        best=items,
        uncertain=items,
        lines={text: 6564.6, "b": 6565.0, "c": 6565.5},
        method=text,
        provenance={text: text, "created": text},
    )
