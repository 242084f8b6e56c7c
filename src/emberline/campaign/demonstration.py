"""The demonstration: the whole job, from a simulated survey with known truth to candidates and a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from emberline.archive import simulate
from emberline.campaign.campaign import Campaign, new_campaign, open_campaign
from emberline.campaign.config import (
    CampaignConfig,
    ControlConfig,
    OracleConfig,
    PoolConfig,
    QueryConfig,
    StartConfig,
    StopConfig,
)
from emberline.campaign.results import campaign_provenance
from emberline.files import write_text
from emberline.progress import Progress, silent

__all__ = ["demo", "demo_config"]

_START = 400
_PREVALENCE = 0.005
_DESCRIPTION = (
    "A simulated survey at the resolution of LAMOST, in which a few stars in a thousand have a gaseous disk and "
    "show Hα in emission. The search starts from spectra of another instrument, finer in resolution, as the "
    "published search started from the Ondřejov 2 m telescope."
)


def demo(
    out: Path | str = "demo", *, spectra: int = 20_000, seed: int = 1, progress: Progress = silent
) -> dict[str, Any]:
    """Simulate a survey, search it with a known-truth oracle, and write what was found into the folder `out`.

    Parameters
    ----------
    out : path
        Gets ``survey`` and ``start`` (archives), ``campaign``, ``candidates.vot``, ``report/index.html`` and
        ``summary.json``. What an interrupted demonstration left there is continued.
    spectra : int
        Size of the survey; 0.5 % of it are targets.
    seed : int
        The same seed gives the same survey and the same search.

    Returns
    -------
    dict
        What ``summary.json`` holds: per round the labels so far, purity, completeness and seconds of each step.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    simulate(out / "start", spectra=_START, seed=seed + 1, preset="ondrejov", progress=progress)
    simulate(out / "survey", spectra=spectra, seed=seed, prevalence=_PREVALENCE, progress=progress)
    simulated = time.perf_counter() - begun
    folder = out / "campaign"
    if (folder / "campaign.db").exists():
        campaign = open_campaign(folder, progress=progress)
    else:
        campaign = new_campaign(folder, demo_config(out, seed), progress=progress)
    campaign.run(out / "survey" / "truth.csv", progress=progress)
    campaign.write_candidates(out / "candidates.vot")
    campaign.write_report(out / "report")
    summary = _summary(campaign, out, spectra, simulated, time.perf_counter() - begun)
    write_text(out / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return summary


def demo_config(out: Path, seed: int) -> CampaignConfig:
    """The demonstration's campaign, on the archives in `out`."""
    to_classes = {"be": "be", "emission": "be", "double-peak": "be", "shell": "be", "bad": "bad", "*": "none"}
    return CampaignConfig(
        name="Be stars in a simulated survey",
        description=_DESCRIPTION,
        classes=("none", "be"),
        targets=("be",),
        recipe="halpha-140",
        seed=seed,
        pool=PoolConfig(archives=(out.resolve() / "survey",)),
        start=(
            StartConfig(
                archive=out.resolve() / "start", table=out.resolve() / "start" / "truth.csv", classes=to_classes
            ),
        ),
        query=QueryConfig(batch=60),
        control=ControlConfig(per_round=20, final=200),
        stop=StopConfig(rounds=6),
        oracle=OracleConfig(classes=to_classes),
    )


def _summary(campaign: Campaign, out: Path, spectra: int, simulated: float, seconds: float) -> dict[str, Any]:
    rounds = []
    for row in campaign.rounds():
        summary = row["summary"]
        rounds.append(
            {
                **{key: summary[key] for key in ("number", "labels_start", "labels_query", "labels_control")},
                "labels": summary["labels_query"] + summary["labels_control"],
                "candidates": summary["candidates"],
                "purity": summary["purity"],
                "completeness": summary["completeness"],
                "purity_true": summary["truth"].get("purity"),
                "completeness_true": summary["truth"].get("completeness"),
                "seconds": summary["seconds"],
            }
        )
    return {
        "spectra": spectra,
        "prevalence": _PREVALENCE,
        "seconds": seconds,
        "seconds_simulation": simulated,
        "rounds": rounds,
        "next": [
            f"emberline campaign status {out / 'campaign'}",
            f"emberline info {out / 'survey'}",
        ],
        "provenance": campaign_provenance(campaign),
    }
