"""Commands on campaigns: new, run, round, predict, status, context, candidates, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emberline.cli.engines import EngineChoice, engine_options
from emberline.cli.output import json_option, progress_display, show

__all__ = ["campaign", "candidates", "report"]

_campaign_argument = click.argument("folder", metavar="CAMPAIGN", type=click.Path(path_type=Path))


@click.group()
def campaign() -> None:
    """Start a search, run its rounds, see where it stands."""


@campaign.command(epilog="Example: emberline campaign new be-stars --config be-stars.toml")
@_campaign_argument
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The campaign's TOML file.")
@json_option
def new(folder: Path, config: Path, as_json: bool) -> None:
    """Make a campaign: a folder that holds everything about one search."""
    from emberline.campaign import CampaignConfig, new_campaign

    with progress_display() as progress:
        made = new_campaign(folder, CampaignConfig.load(config), progress=progress)
    show(made.status(), as_json=as_json, text=_status_text)


@campaign.command(epilog="Example: emberline campaign run be-stars --oracle truth.csv --rounds 5")
@_campaign_argument
@click.option("--oracle", required=True, type=click.Path(path_type=Path), help="A CSV table of known answers.")
@click.option("--rounds", type=click.IntRange(min=1), help="How many rounds to run; the configuration's by default.")
@engine_options
@json_option
def run(folder: Path, oracle: Path, rounds: int | None, engine: EngineChoice, as_json: bool) -> None:
    """Run rounds with a table of known answers.

    Each round trains, predicts the pool, chooses what to ask, and takes the answers from the table.

    A round that was interrupted is resumed. After the last round the network is trained once more on all labels.
    """
    from emberline.campaign import Campaign

    opened = Campaign(folder)
    with progress_display() as progress, engine.started() as where:
        opened.run(oracle, rounds=rounds, engine=where, progress=progress)
    show(opened.status(), as_json=as_json, text=_status_text)


@campaign.command("round", epilog="Example: emberline campaign round be-stars --batch 50")
@_campaign_argument
@click.option("--batch", type=click.IntRange(min=0), help="How many to ask about; 0 for the final control sample only.")
@click.option("--finish", is_flag=True, help="Close the open round although some of its questions have no answer.")
@engine_options
@json_option
def run_round(folder: Path, batch: int | None, finish: bool, engine: EngineChoice, as_json: bool) -> None:
    """Run one round as far as it goes without answers.

    Closes the open round when all its questions are answered; then trains, predicts the pool, and chooses what to ask
    next. The questions then wait for an oracle. Meanwhile another process asks what is known of the spectra, as
    `emberline campaign context` does.

    A round that was interrupted is resumed.
    """
    from emberline.campaign.jobs import ROUND, RoundParameters
    from emberline.campaign.panels.jobs import start_in_background
    from emberline.jobs import run_foreground

    with progress_display() as progress, engine.started() as where:
        outcome = run_foreground(ROUND, RoundParameters(folder, batch, finish), progress=progress, engine=where)
    if outcome["open_questions"]:
        start_in_background(folder)
    show(outcome, as_json=as_json, text=_round_text)


def _round_text(outcome: dict[str, Any]) -> str:
    closed, number = outcome["closed_round"], outcome["round"]
    lines = [] if closed is None else [f"Round {closed} is closed."]
    trained = "a network was trained" if outcome["trained"] else "too few labels to train on yet"
    asked = f"{outcome['query_questions']:,} queries and {outcome['control_questions']:,} control questions"
    lines.append(f"Round {number}: {trained}; {asked} were asked.")
    if outcome["open_questions"]:
        lines.append(f"{outcome['open_questions']:,} questions wait for an answer.")
    return "\n".join(lines)


@campaign.command("context", epilog="Example: emberline campaign context be-stars --retry")
@_campaign_argument
@click.option("--retry", is_flag=True, help="Ask again what failed; without it only what was never asked.")
@click.option("--again", is_flag=True, help="Ask everything again, also what is known.")
@click.option("--panel", "panels", multiple=True, help="Only this panel; may be given several times.")
@click.option("--status", "only_status", is_flag=True, help="Ask nothing: say what is known by now.")
@json_option
def run_context(
    folder: Path, retry: bool, again: bool, panels: tuple[str, ...], only_status: bool, as_json: bool
) -> None:
    """Ask what is known of the newest round's spectra.

    Identity, photometry, catalogues, other spectra, images and warnings are fetched and kept for the labelling page. A
    service that fails is named, and the others go on. This begins by itself when a round is made.
    """
    from emberline.campaign import Campaign
    from emberline.campaign.panels import context_status
    from emberline.campaign.panels.jobs import CONTEXT, ContextParameters
    from emberline.jobs import run_foreground

    if not only_status:
        parameters = ContextParameters(folder, panels=panels, again=again, retry=retry or again)
        with progress_display() as progress:
            run_foreground(CONTEXT, parameters, progress=progress)
    show(context_status(Campaign(folder)), as_json=as_json, text=_context_text)


def _context_text(status: dict[str, Any]) -> str:
    lines = [f"{status['campaign']}: {status['spectra']:,} spectra in the newest round."]
    for panel in status["panels"]:
        counts = ", ".join(f"{count:,} {state}" for state, count in panel["states"].items())
        lines.append(f"{panel['title']:<26} {counts}")
        if panel["message"]:
            lines.append(f"{'':<26} {panel['service']}: {panel['message']}")
    return "\n".join(lines)


@campaign.command("predict", epilog="Example: emberline campaign predict be-stars")
@_campaign_argument
@engine_options
@json_option
def run_predict(folder: Path, engine: EngineChoice, as_json: bool) -> None:
    """Let the newest network read a pool that has grown.

    The candidates then include the new spectra. Estimates stay those of the last round; a further round renews them.
    """
    from emberline.campaign.jobs import PREDICT, PredictParameters
    from emberline.jobs import run_foreground

    with progress_display() as progress, engine.started() as where:
        outcome = run_foreground(PREDICT, PredictParameters(folder), progress=progress, engine=where)
    show(outcome, as_json=as_json, text=_predict_text)


def _predict_text(outcome: dict[str, Any]) -> str:
    read = "has read" if outcome["changed"] else "had read already"
    return f"The network {outcome['network']} {read} all {outcome['spectra']:,} spectra of the pool."


@campaign.command(epilog="Example: emberline campaign status be-stars --json")
@_campaign_argument
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Say where a campaign stands: rounds, labels, estimates."""
    from emberline.campaign import read_status

    show(read_status(folder), as_json=as_json, text=_status_text)


@campaign.command(epilog="Example: emberline campaign labels be-stars --out labels.csv")
@_campaign_argument
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .csv or .json file.")
@json_option
def labels(folder: Path, out: Path, as_json: bool) -> None:
    """Write everything that annotators did.

    Every event in its order, those taken back included; JSON has the questions and the labels that hold as well.
    """
    from emberline.campaign import Campaign
    from emberline.campaign.annotation import export_labels

    count = export_labels(Campaign(folder), out)
    show({"events": count, "file": str(out)}, as_json=as_json, text=lambda r: f"{r['events']:,} events in {r['file']}")


def _status_text(status: dict[str, Any]) -> str:
    labels = status["labels"]
    lines = [
        f"{status['name']}: {status['pool']:,} spectra in the pool, {labels['query']:,} query labels, "
        f"{labels['control']:,} control labels, {labels['start']:,} to start from."
    ]
    if status["rounds"]:
        lines.append(
            f"{'round':>5} {'labels':>7} {'candidates':>10}  {'purity':<22} {'completeness':<22} {'seconds':>7}"
        )
    for row in status["rounds"]:
        lines.append(
            f"{row['number']:>5} {row['labels']:>7,} {row['candidates']:>10,}  {_interval(row['purity']):<22} "
            f"{_interval(row['completeness']):<22} {sum(row['seconds'].values()):>7.1f}"
        )
    if status["rounds"]:
        lines += _judged(status["rounds"], status["labels"]["control"])
    if status["open_questions"]:
        lines.append(f"{status['open_questions']:,} questions wait for an answer.")
    if status["unanswered"]:
        lines.append(
            f"{status['unanswered']:,} questions of earlier rounds got no answer; the next run asks them again."
        )
    lines.append(f"Next: {status['next']}")
    return "\n".join(lines)


def _judged(rounds: list[dict[str, Any]], control: int) -> list[str]:
    """What the last round's numbers rest on, what they leave out, and whether more labels are worth the work."""
    from emberline.campaign import wording as words
    from emberline.learn.stopping import Gain

    last, lines = rounds[-1], []
    if last["completeness"] and last["completeness"]["value"] is not None:
        assumed = last.get("assumed")
        rests = words.basis(assumed)
        lines.append(f"Completeness: {rests[0].lower()}{rests[1:]}")
        if assumed == "scores":
            lines.append(f"From the random draw alone, without that: {_interval(last['completeness_from_draw'])}.")
    elif not control:
        lines.append("Purity and completeness take control labels: per_round or final in [control].")
    lines += words.asides(last.get("revised", 0), last.get("unsure", 0))
    if last.get("gain"):
        gain = Gain(**last["gain"])
        lines.append(words.expected_of_next(gain))
        if last.get("worth"):
            lines.append(words.worth_of_next(gain, last["worth"]))
    return lines


def _interval(estimate: dict[str, Any] | None) -> str:
    if not estimate or estimate["value"] is None:
        return "not yet estimated"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


@click.command(epilog="Example: emberline candidates be-stars --out be-stars.vot")
@_campaign_argument
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .vot, .fits, .csv or .parquet file.")
@json_option
def candidates(folder: Path, out: Path, as_json: bool) -> None:
    """Write the catalogue of candidates.

    The ending of the file's name chooses the format.
    """
    from emberline.campaign.jobs import CANDIDATES, CandidatesParameters
    from emberline.jobs import run_foreground

    with progress_display() as progress:
        result = run_foreground(CANDIDATES, CandidatesParameters(folder, out=out), progress=progress)
    show(result, as_json=as_json, text=lambda r: f"{r['candidates']:,} candidates written to {r['file']}")


@click.command(epilog="Example: emberline report be-stars --out report")
@_campaign_argument
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder of the page.")
@json_option
def report(folder: Path, out: Path, as_json: bool) -> None:
    """Write the report of a campaign.

    One self-contained HTML page: learning curve, estimates, candidates, timings, provenance.
    """
    from emberline.campaign.jobs import REPORT, ReportParameters
    from emberline.jobs import run_foreground

    with progress_display() as progress:
        result = run_foreground(REPORT, ReportParameters(folder, out=out), progress=progress)
    show(result, as_json=as_json, text=lambda r: f"The report is at {r['page']}")
