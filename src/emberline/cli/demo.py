"""The command that shows the whole job on a simulated survey."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emberline.cli.output import json_option, progress_display, show

__all__ = ["demo"]


@click.command(epilog="Example: emberline demo --out demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="The folder of the results."
)
@click.option("--spectra", type=click.IntRange(min=500), default=20_000, show_default=True, help="Size of the survey.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Fixes every random choice.")
@json_option
def demo(out: Path, spectra: int, seed: int, as_json: bool) -> None:
    """Run the whole job on a simulated survey.

    Writes candidates.vot, report/index.html and summary.json into the folder. Interrupted, it resumes.
    """
    from emberline.campaign import demo as run

    with progress_display() as progress:
        summary = run(out, spectra=spectra, seed=seed, progress=progress)
    show(summary, as_json=as_json, text=lambda found: _demo_text(found, out))


def _demo_text(summary: dict[str, Any], out: Path) -> str:
    last = summary["rounds"][-1]
    return "\n".join(
        [
            f"Found {last['candidates']:,} candidates among {summary['spectra']:,} spectra with "
            f"{last['labels_query'] + last['labels_control']:,} labels, in {summary['seconds']:.0f} s.",
            f"Purity {last['purity_true']:.3f} and completeness {last['completeness_true']:.3f} by the known truth.",
            f"The report: {out / 'report' / 'index.html'}",
            "Try next:",
            *(f"  {command}" for command in summary["next"]),
        ]
    )
