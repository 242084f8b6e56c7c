"""The command ``crossmatch``: candidates, a table or an archive beside what catalogues know of them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import click

from emberline.cli.output import EXIT_REJECTED, harmless, json_option, progress_display, show

__all__ = ["crossmatch"]


@click.command(epilog="Example: emberline crossmatch be-stars --with simbad,gaia --types 'Be*,Em*' --out found.vot")
@click.argument("target", metavar="CAMPAIGN|TABLE|ARCHIVE", type=click.Path(path_type=Path))
@click.option(
    "--with",
    "catalogues",
    multiple=True,
    metavar="CATALOGUES",
    help="With commas between them: simbad, gaia, a table of VizieR (II/246/out), a TAP address with its table "
    "(https://…/tap#table), an archive or a file. NAME=… before one names its columns, @2015.5 after it states its "
    "epoch. A campaign's configuration names them by default.",
)
@click.option("--radius", type=float, help="Arcseconds; the campaign's by default, otherwise 3.")
@click.option(
    "--out",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .vot, .fits, .csv, .ecsv or .parquet file; may be repeated.",
)
@click.option("--epoch", type=float, help="Julian year of the positions where no column says when they were observed.")
@click.option("--types", help="Types that count as known targets, with commas; the campaign's by default.")
@click.option("--known-by", help="The catalogues that make an object known; SIMBAD by default where it is asked.")
@click.option(
    "--pairs",
    type=click.Choice(["nearest", "all", "mutual"]),
    help="Match with one local table and write pairs only; the default for two archives is nearest.",
)
@click.option(
    "--chance/--no-chance", default=True, help="Estimate how many matches are by chance (the default), or not."
)
@click.option("--fresh", is_flag=True, help="Ask again what services answered in the last days.")
@json_option
@click.pass_context
def crossmatch(context: click.Context, /, target: Path, pairs: str | None, as_json: bool, **given: Any) -> None:
    """Match candidates with catalogues by position.

    Columns of each catalogue are put beside the candidates, and a summary says what is known, as what, and what is new.
    A campaign keeps the result in its folder; a table or an archive needs --out.

    Proper motions are taken into account where the catalogue has them and the date of the spectrum is known. A run that
    was stopped goes on where it was. When a catalogue fails the others are written, and the exit code is 3.
    """
    from emberline.campaign.crossmatch import parse_requests

    is_campaign = (target / "campaign.toml").exists()
    requests = parse_requests(given["catalogues"]) if given["catalogues"] or not is_campaign else ()
    archives = [
        path for path in (target, *(Path(r.what) for r in requests if r.local)) if (path / "archive.toml").exists()
    ]
    if pairs is not None or (len(requests) == 1 and len(archives) == 2):
        _pairs(target, requests, pairs or "nearest", as_json, given)
        return
    summary = _beside(target, requests, is_campaign, given)
    from emberline.campaign.crossmatch import summary_text

    show(summary, as_json=as_json, text=summary_text)
    if summary["failed"]:
        for item in summary["catalogues"]:
            if item["state"] == "failed":
                click.echo(harmless(f"Error: {item['name']} failed: {item['message']}"), err=True)
        context.exit(EXIT_REJECTED)


def _beside(target: Path, requests: Any, is_campaign: bool, given: dict[str, Any]) -> dict[str, Any]:
    """Catalogues beside the candidates: the summary."""
    from emberline.campaign import open_campaign
    from emberline.campaign.crossmatch import Options, crossmatch_campaign, crossmatch_table, parse_requests
    from emberline.campaign.crossmatch.targets import options_of

    out, epoch = given["out"], math.nan if given["epoch"] is None else given["epoch"]
    with progress_display() as progress:
        if not is_campaign:
            options = _options(Options(), given)
            return crossmatch_table(target, requests, options, out=out, epoch=epoch, progress=progress).summary
        campaign = open_campaign(target, progress=progress)
        try:
            requests = requests or parse_requests(campaign.config.crossmatch.catalogues)
            options = _options(options_of(campaign), given)
            return crossmatch_campaign(campaign, requests, options, out=out, epoch=epoch, progress=progress).summary
        finally:
            campaign.close()


def _options(options: Any, given: dict[str, Any]) -> Any:
    changes: dict[str, Any] = {"chance": given["chance"]}
    if given["radius"] is not None:
        changes["radius_arcsec"] = given["radius"]
    if given["types"]:
        changes["types"] = {"target": tuple(text.strip() for text in given["types"].split(",") if text.strip())}
    if given["known_by"]:
        changes["known_by"] = tuple(text.strip() for text in given["known_by"].split(",") if text.strip())
    if given["fresh"]:
        changes["max_age_days"] = 0.0
    return dataclasses.replace(options, **changes)


def _pairs(target: Path, requests: Any, keep: Any, as_json: bool, given: dict[str, Any]) -> None:
    from emberline.campaign.crossmatch import crossmatch_pairs

    if len(requests) != 1 or not requests[0].local or (target / "campaign.toml").exists():
        raise click.UsageError("--pairs matches one table or archive with one other: a file or an archive.")
    radius = 3.0 if given["radius"] is None else given["radius"]
    with progress_display() as progress:
        summary = crossmatch_pairs(target, requests[0].what, given["out"], radius, keep=keep, progress=progress)
    files = [str(path) for path in given["out"]]
    show({**summary, "files": files}, as_json=as_json, text=_pairs_text)


def _pairs_text(summary: dict[str, Any]) -> str:
    left, right = summary["rows"]
    return (
        f"{summary['pairs']:,} pairs within {summary['radius_arcsec']:g} arcsec: {summary['matched']:,} of {left:,} "
        f"rows have a partner among {right:,}, {summary['ambiguous']:,} of them more than one. "
        f"Written to {', '.join(summary['files'])}."
    )
