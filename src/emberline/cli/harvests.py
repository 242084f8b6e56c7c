"""Spectra of other archives: what ``ingest`` does with services, and ``harvest`` search, options and history."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from emberline.cli.output import EXIT_REJECTED, json_option, progress_display, show

if TYPE_CHECKING:
    from emberline.vo.client.harvest.selecting import Answer

__all__ = ["harvest", "is_asked", "run", "source_options"]

F = TypeVar("F", bound=Callable[..., Any])
STATES = ("waiting", "fetched", "ingested", "failed", "skipped")
_SHOWN = 50

_WHERE = (
    click.option("--ssap", multiple=True, metavar="URL|IVOID", help="An SSAP service to ask; repeat it for several."),
    click.option("--pos", "position", multiple=True, metavar="NAME|RA DEC",
                 help="An object's name, or ICRS coordinates: 83.6331 +22.0145, 05:34:31.9 +22:00:52. Repeatable."),
    click.option("--size", default="10arcsec", show_default=True, metavar="ANGLE",
                 help="Diameter of the circle around each position: 10arcsec, 3arcmin, 0.1 (deg)."),
    click.option("--band", default="", metavar="FIRST/LAST",
                 help="Wavelengths to touch, vacuum: 6500/6700 (Angstrom), 650/670 nm; an end may be left out."),
    click.option("--time", default="", metavar="FIRST/LAST",
                 help="When it was observed, UTC: 2012-01-01/2013-06; an end may be left out."),
    click.option("--limit", type=click.IntRange(min=1), help="Records from each service at each position, at most."),
)  # fmt: skip
_OTHERS = (
    click.option("--votable", type=click.Path(path_type=Path),
                 help="A VOTable file with a column of addresses, such as a saved SSAP or ObsCore answer."),
    click.option("--tap", default="", metavar="QUERY", help="An ADQL query whose answer has a column of addresses."),
    click.option("--service", default="", metavar="URL|IVOID", help="The TAP service that --tap is asked of."),
    click.option("--option", multiple=True, metavar="NAME=VALUE",
                 help="Ask DataLink and SODA: cutout=6500/6700, format=fits, rectified=yes, or a service's own name."),
    click.option("--retry-failed", is_flag=True, help="Try again what failed to be fetched or read in earlier runs."),
    click.option("--medium", type=click.Choice(["air", "vacuum"]),
                 help="What holds for fetched files that say neither; they fail without."),
    click.option("--keep", is_flag=True, help="Keep the fetched files, in the archive's folder .harvest."),
)  # fmt: skip


def source_options(command: F) -> F:
    """Give a command the options that say which spectra of which services."""
    for option in reversed((*_WHERE, *_OTHERS)):
        command = option(command)
    return command


def is_asked(options: dict[str, Any]) -> bool:
    """Whether any of the options of `source_options` was given."""
    return any(value for name, value in options.items() if name != "size")


def run(context: click.Context, into: Path, reader: str | None, as_json: bool, options: dict[str, Any]) -> None:
    """Fetch and ingest, print what came of it, and exit with 3 when something failed or still waits."""
    from emberline.jobs import run_foreground
    from emberline.vo.client.harvest.jobs import HARVEST

    given = {name: _plain(value) for name, value in options.items() if value not in (None, "", (), False)}
    given |= {"into": str(into), **({"reader": reader} if reader else {})}
    with progress_display() as progress:
        summary = run_foreground(HARVEST, given, progress=progress)
    show(summary, as_json=as_json, text=_summary_text)
    if summary["failed"] or summary["waiting"] or any(item["error"] for item in summary["services"]):
        context.exit(EXIT_REJECTED)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _summary_text(summary: dict[str, Any]) -> str:
    lines = []
    for item in summary["services"]:
        place = f" at {item['position']}" if item["position"] else ""
        more = ", and has more" if item["more"] else ""
        said = item["error"] or f"{item['records']:,} records{more}"
        lines.append(f"{item['title']}{place}: {said}")
    lines.append(
        f"{summary['fetched']:,} files fetched ({summary['bytes'] / 1e6:,.1f} MB), {summary['spectra']:,} spectra new "
        f"in the archive, {summary['failed']:,} files failed, {summary['waiting']:,} wait, "
        f"{summary['skipped']:,} skipped."
    )
    reasons = collections.Counter(item["error"] for item in summary["errors"])
    lines += [f"  {reason}" + (f" ({count:,} files)" if count > 1 else "") for reason, count in reasons.most_common()]
    lines += [f"  down: {text}" for text in summary["down"]]
    archive = summary["archive"]
    if summary["failed"]:
        lines.append(f"What failed: emberline harvest history {archive} --state failed; again with --retry-failed.")
    if summary["waiting"]:
        lines.append(f"Go on with what waits: emberline ingest --into {archive}")
    return "\n".join(lines)


@click.group()
def harvest() -> None:
    """Look at spectra of other archives before they are fetched, and at what became of them.

    `emberline ingest --ssap … --pos … --into ARCHIVE` fetches them.
    """


def _where(command: F) -> F:
    for option in reversed(_WHERE):
        command = option(command)
    return command


@harvest.command(
    "search", epilog='Example: emberline harvest search --ssap ivo://org.gavo.dc/flashheros/q/ssa --pos "gamma Cas"'
)
@_where
@json_option
def search(as_json: bool, **options: Any) -> None:
    """List what SSAP services have at a position, without fetching it."""
    answers = _ask(options)
    found = {
        "services": [
            {"service": a.service, "title": a.title, "position": a.position, "state": a.state, "more": a.more,
             "error": a.error, "records": [record.to_mapping() for record in a.records]}
            for a in answers
        ]
    }  # fmt: skip
    show(found, as_json=as_json, text=_search_text)


def _ask(options: dict[str, Any]) -> list[Answer]:
    from emberline.errors import ConfigError
    from emberline.vo.client import open_session
    from emberline.vo.client.harvest.constraints import Constraints, parse_band, parse_size, parse_time
    from emberline.vo.client.harvest.selecting import Sources, check_answers, select

    for name in ("ssap", "position"):
        if not options[name]:
            raise ConfigError(f"--{'pos' if name == 'position' else name} is missing")
    asked = Constraints(
        options["position"],
        parse_size(options["size"]),
        parse_band(options["band"]) if options["band"] else None,
        parse_time(options["time"]) if options["time"] else None,
        options["limit"],
    )
    answers = list(select(open_session(), Sources(ssap=options["ssap"]), asked))
    check_answers(answers)
    return answers


def _search_text(found: dict[str, Any]) -> str:
    lines = []
    for answer in found["services"]:
        records = answer["records"]
        said = answer["error"] or f"{len(records):,} records{', and it has more' if answer['more'] else ''}"
        lines.append(f"{answer['title']} at {answer['position']}: {said}")
        for record in records[:_SHOWN]:
            low, high = record["band"]
            band = f"{low:.0f}-{high:.0f} Å" if low and high else ""
            parts = (record["title"] or record["target"], band, record["media_type"], record["address"])
            lines.append("  " + "  ".join(part for part in parts if part))
        if len(records) > _SHOWN:
            lines.append(f"  … and {len(records) - _SHOWN:,} more: --json lists them all")
    return "\n".join(lines)


@harvest.command(
    "options", epilog='Example: emberline harvest options --ssap https://dc.example.org/ssa --pos "gamma Cas"'
)
@_where
@json_option
def options_(as_json: bool, **options: Any) -> None:
    """List what --option can ask of SSAP services, by the DataLink and SODA of their first spectrum there."""
    import dataclasses

    from emberline.vo.client import open_session
    from emberline.vo.client.harvest.options import offers

    records = [record for answer in _ask(options) for record in answer.records]
    found, wrong = offers(open_session(), records)
    result = {"options": [dataclasses.asdict(offer) for offer in found], "errors": wrong}
    show(result, as_json=as_json, text=_options_text)


def _options_text(found: dict[str, Any]) -> str:
    lines = []
    for offer in found["options"]:
        unit = f" [{offer['unit']}]" if offer["unit"] else ""
        lines.append(f"{offer['name']}{unit}: {offer['description']} ({', '.join(offer['services'])})")
        if offer["values"]:
            lines.append(f"  one of {', '.join(offer['values'])}")
    lines += [f"{title}: {error}" for title, error in found["errors"].items()]
    return "\n".join(lines) or "These services offer no options."


@harvest.command("history", epilog="Example: emberline harvest history my-archive --state failed")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--state", multiple=True, type=click.Choice(STATES), help="Only files in this state; repeatable.")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True, help="So many files at most.")
@json_option
def history(archive: Path, state: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Show what became of each file that was fetched into an archive, the latest change first."""
    from emberline.vo.client.harvest.history import open_history

    with open_history(archive) as kept:
        files = kept.files(state or STATES, newest=True, limit=limit)
        found = {"archive": str(archive), "counts": kept.counts(), "files": [file.to_mapping() for file in files]}
    show(found, as_json=as_json, text=_history_text)


def _history_text(found: dict[str, Any]) -> str:
    lines = [", ".join(f"{count:,} {state}" for state, count in found["counts"].items())]
    for file in found["files"]:
        size = f"{file['bytes'] / 1e3:,.0f} kB" if file["bytes"] else ""
        tries = f"{file['tries']} tries" if file["tries"] > 1 else ""
        facts = (file["state"], size, tries, file["ended"] or file["fetched"] or file["added"])
        lines += [f"{file['number']:>6}  " + "  ".join(filter(None, facts)) + f"  {file['address']}"]
        if file["error"]:
            lines.append(f"        {file['error']}")
    return "\n".join(lines)
