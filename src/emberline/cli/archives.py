"""Commands on archives: ingest, info, simulate, features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import click

from emberline.cli import harvests
from emberline.cli.engines import EngineChoice, engine_options
from emberline.cli.output import EXIT_REJECTED, json_option, progress_display, show

__all__ = ["features", "info", "ingest", "simulate"]

_workers_option = click.option("--workers", type=click.IntRange(min=1), help="Processes; all cores by default.")


@click.command(epilog="Example: emberline ingest dr10/*.fits.gz extra.tar --into lamost")
@click.argument("paths", nargs=-1)
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The archive's folder; made when new.")
@click.option("--reader", help="Force a reader instead of detecting the format of each file.")
@_workers_option
@engine_options
@harvests.source_options
@json_option
@click.pass_context
def ingest(
    context: click.Context,
    /,
    paths: tuple[str, ...],
    into: Path,
    reader: str | None,
    workers: int | None,
    engine: EngineChoice,
    as_json: bool,
    **options: Any,
) -> None:
    """Read spectra into an archive, from files or from other archives.

    PATHS are files, folders, glob patterns, and tar or zip files whose members are spectra. What is already in the
    archive is skipped; what cannot be read is listed in the archive's rejected.parquet and the rest goes on. After
    an interruption the same command resumes. With --engine spark they may be addresses that Spark's readers know,
    such as hdfs://host/folder and s3a://bucket/folder.

    Without PATHS spectra are fetched: from SSAP services at a position, from a VOTable with addresses, or from the
    answer to a TAP query; what became of each file is in `emberline harvest history`. Without these either, it goes
    on with what still waits.
    """
    if paths and harvests.is_asked(options):
        raise click.UsageError("Give either PATHS or what to fetch (--ssap, --votable, --tap), not both.")
    if not paths:
        if not harvests.is_asked(options) and not (into / ".harvest" / "history.db").exists():
            raise click.UsageError("Missing argument 'PATHS...', or what to fetch: --ssap, --votable or --tap.")
        harvests.run(context, into, reader, as_json, options)
        return
    from emberline.archive import ingest as read_into
    from emberline.provenance import plain

    with progress_display() as progress, engine.started(workers) as where:
        done = read_into(paths, into, reader=reader, workers=workers, engine=where, progress=progress)
    summary = plain(dataclasses.asdict(done))
    show(summary, as_json=as_json, text=_ingest_text)
    if summary["rejected"]:
        context.exit(EXIT_REJECTED)


def _ingest_text(summary: dict[str, Any]) -> str:
    rate = summary["ingested"] / summary["seconds"] if summary["seconds"] else 0.0
    lines = [
        f"{summary['ingested']:,} spectra ingested in {summary['seconds']:.1f} s ({rate:,.0f}/s), "
        f"{summary['already']:,} files were there already, {summary['rejected']:,} rejected."
    ]
    lines += [f"  {count:>6,}  {reason}" for reason, count in sorted(summary["by_reason"].items())]
    if summary["rejected"]:
        lines.append("Each rejected file is in rejected.parquet, with what was found and what was expected.")
    return "\n".join(lines)


@click.command(epilog="Example: emberline info lamost --json")
@click.argument("archive", type=click.Path(path_type=Path))
@json_option
def info(archive: Path, as_json: bool) -> None:
    """Say what an archive holds.

    Counts, coverage, classes, and how many files were rejected for what reason.
    """
    from emberline.archive import open_archive

    show(open_archive(archive).info(), as_json=as_json, text=lambda found: "\n".join(_lines(found)))


def _lines(mapping: dict[str, Any], indent: str = "") -> list[str]:
    """A nested mapping as aligned text."""
    lines = []
    width = max((len(str(key)) for key in mapping), default=0)
    for key, value in mapping.items():
        name = str(key).replace("_", " ")
        if isinstance(value, dict):
            lines.append(f"{indent}{name}:" + ("" if value else " none"))
            lines += _lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{name}:")
            for item in value:
                lines += [*_lines(item, indent + "  "), ""]
        else:
            lines.append(f"{indent}{name:<{width}}  {_plain(value)}")
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


@click.command(epilog="Example: emberline simulate --into survey --spectra 20000 --seed 1 --prevalence 0.005")
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The archive's folder.")
@click.option("--spectra", required=True, type=click.IntRange(min=1), help="How many spectra.")
@click.option("--seed", required=True, type=click.IntRange(min=0), help="The same seed gives the same survey.")
@click.option("--prevalence", type=click.FloatRange(0, 1), help="Share of targets; the preset's by default.")
@click.option(
    "--preset",
    type=click.Choice(["lamost", "ondrejov"]),
    default="lamost",
    show_default=True,
    help="The instrument: its grid, resolution, noise and mix of classes.",
)
@click.option("--hosts", type=click.Path(path_type=Path), help="An archive whose real stars carry the lines.")
@_workers_option
@json_option
def simulate(
    into: Path,
    spectra: int,
    seed: int,
    prevalence: float | None,
    preset: Literal["lamost", "ondrejov"],
    hosts: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Make a survey whose truth is known.

    It has stars, Be disks, nebulae, M dwarfs and quasars, with noise and defects, in the preset's resolution.

    The truth goes into ARCHIVE/truth.csv; the spectra themselves do not know it.
    """
    from emberline.archive.jobs import SIMULATE, SimulateParameters
    from emberline.jobs import run_foreground

    asked = SimulateParameters(into, spectra, seed, prevalence, preset, hosts, workers)
    with progress_display() as progress:
        summary = run_foreground(SIMULATE, asked, progress=progress)
    show(summary, as_json=as_json, text=lambda s: _simulate_text(s, into))


def _simulate_text(summary: dict[str, Any], into: Path) -> str:
    return f"{summary['ingested']:,} spectra simulated in {summary['seconds']:.1f} s; the truth is in {into}/truth.csv"


@click.command(epilog="Example: emberline features lamost --recipe halpha-140")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--recipe", required=True, help="A TOML file, or the name of a shipped recipe.")
@click.option(
    "--parts",
    default="",
    metavar="URL",
    help="With Spark: where a copy of the archive's folder spectra/ is, as hdfs://….",
)
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="Write the vectors as Parquet too, into this new folder, for emberline predict.",
)
@_workers_option
@engine_options
@json_option
def features(
    archive: Path,
    recipe: str,
    parts: str,
    table: Path | None,
    workers: int | None,
    engine: EngineChoice,
    as_json: bool,
) -> None:
    """Compute an archive's feature vectors.

    They are kept in the archive, under the recipe's hash; what is there already is not computed again.
    """
    from emberline.archive import open_archive
    from emberline.archive.jobs import features_summary
    from emberline.features import Recipe

    if parts and engine.name != "spark":
        raise click.UsageError("--parts is for --engine spark")
    opened, wanted = open_archive(archive), Recipe.load(recipe)
    with progress_display() as progress, engine.started(workers) as where:
        matrix = opened.build_features(wanted, workers=workers, engine=where, parts=parts, progress=progress)
        if table is not None:
            from emberline.campaign.tables import write_features

            write_features(matrix, table, progress=progress)
    result = features_summary(matrix)
    show(result, as_json=as_json, text=lambda found: "\n".join(_lines(found)))
