"""The commands of the group vo: which services are asked, whether they answer, and what they know."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emberline.cli.output import EXIT_FAILED, json_option, show

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["vo"]


def _workspace(command: Any) -> Any:
    return click.option(
        "--workspace",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="The workspace whose vo.toml holds; the user's own by default.",
    )(command)


def _session(workspace: Path | None) -> Session:
    from emberline.vo.client import open_session

    session: Session = open_session(workspace)
    return session


@click.group()
def vo() -> None:
    """Ask the Virtual Observatory: check its services, find others, resolve names.

    Addresses and limits stand in vo.toml: of the workspace, else in the file that EMBERLINE_VO names, else in
    ~/.config/emberline/vo.toml. Without any, the defaults hold.
    """


@vo.command(epilog="Example: emberline vo check --json")
@_workspace
@json_option
def check(workspace: Path | None, as_json: bool) -> None:
    """Ask each configured service the least that shows that it does what it is asked for.

    Every service is told of with what it answered or what is wrong. The exit code is 1 when one of those that are
    switched on does not answer.
    """
    with _session(workspace) as session:
        from emberline.vo.client.check import check as check_services

        results = check_services(session, done=_say_line)
    found = [
        {
            "service": result.service,
            "address": result.address,
            "state": result.state,
            "seconds": result.seconds,
            "message": result.message,
        }
        for result in results
    ]
    show({"services": found}, as_json=as_json, text=_check_text)
    if any(result.state in ("fails", "refused") for result in results):
        raise click.exceptions.Exit(EXIT_FAILED)


def _say_line(result: Any) -> None:
    """Tell a person who waits which service has answered."""
    if sys.stderr.isatty():
        click.echo(f"{result.service}: {result.state}", err=True)


def _check_text(found: dict[str, Any]) -> str:
    rows = found["services"]
    wide = max(len(row["service"]) for row in rows)
    lines = []
    for row in rows:
        time = f"{row['seconds']:6.2f} s" if row["seconds"] else " " * 8
        lines.append(f"{row['service']:<{wide}}  {row['state']:<8} {time}  {row['address']}")
        if row["state"] != "answers" or row["message"]:
            message = re.sub(r"^(https?|ivo)://\S+: ", "", row["message"])  # its address stands above
            lines += textwrap.wrap(message, 110, initial_indent=" " * (wide + 2), subsequent_indent=" " * (wide + 2))
    count = sum(row["state"] == "answers" for row in rows)
    on = sum(row["state"] != "off" for row in rows)
    return "\n".join([*lines, f"{count} of {on} answer."])


@vo.command(epilog="Example: emberline vo config > vo.toml")
@_workspace
@json_option
def config(workspace: Path | None, as_json: bool) -> None:
    """Print the configuration that holds, as TOML, and say where it comes from.

    What is printed is a whole vo.toml: a file to begin with.
    """
    from emberline.config import to_mapping, to_toml
    from emberline.vo.client.config import cache_folder, config_source, load_config

    source, effective = config_source(workspace), load_config(workspace)
    origin = str(source) if source is not None else "defaults"
    result = {"source": origin, "cache": str(cache_folder()), "config": to_mapping(effective)}
    head = f"# From: {origin}\n# Answers are kept in: {cache_folder()}\n"
    show(result, as_json=as_json, text=lambda _: head + to_toml(effective).rstrip())


@vo.command(epilog="Example: emberline vo cache --clear")
@click.option("--clear", is_flag=True, help="Drop all answers that are kept.")
@_workspace
@json_option
def cache(clear: bool, workspace: Path | None, as_json: bool) -> None:
    """Say how many answers of services are kept on this machine, or drop them."""
    with _session(workspace) as session:
        kept = session.cache
        assert kept is not None
        dropped = kept.clear() if clear else 0
        count, size = kept.usage()
        result = {"folder": str(kept.folder), "answers": count, "bytes": size, "dropped": dropped}
    show(result, as_json=as_json, text=_cache_text)


def _cache_text(found: dict[str, Any]) -> str:
    dropped = f"Dropped {found['dropped']:,}. " if found["dropped"] else ""
    return f"{dropped}{found['answers']:,} answers, {found['bytes'] / 1e6:,.1f} MB, in {found['folder']}"


@vo.command(epilog="Example: emberline vo resolve 'omi And'")
@click.argument("name")
@_workspace
@json_option
def resolve(name: str, workspace: Path | None, as_json: bool) -> None:
    """Find the position and the other names of the object NAME.

    The name resolver Sesame of the CDS is asked, which asks SIMBAD, NED and VizieR.
    """
    with _session(workspace) as session:
        from emberline.vo.client.names import resolve as resolve_name

        found = resolve_name(session, name)
    if found is None:
        raise click.ClickException(f"no object is known by the name {name!r}")
    result = {
        "name": found.name,
        "ra": found.ra,
        "dec": found.dec,
        "object_type": found.object_type,
        "names": list(found.names),
        "resolver": found.resolver,
    }
    show(result, as_json=as_json, text=_resolve_text)


def _resolve_text(found: dict[str, Any]) -> str:
    kind = f" ({found['object_type']})" if found["object_type"] else ""
    lines = [f"{found['name']}{kind}", f"{found['ra']:.6f} {found['dec']:+.6f} deg, ICRS ({found['resolver']})"]
    others = [name for name in found["names"] if name != found["name"]]
    return "\n".join(lines + ([", ".join(others)] if others else []))


_PROTOCOLS = ("ssa", "scs", "sia", "sia2", "tap", "slap", "datalink", "soda")
_WAVEBANDS = ("radio", "millimeter", "infrared", "optical", "uv", "euv", "x-ray", "gamma-ray", "neutrino")


@vo.command(epilog="Example: emberline vo search --protocol ssa --waveband optical 'Be stars'")
@click.argument("words", nargs=-1)
@click.option("--protocol", type=click.Choice(_PROTOCOLS), help="Only services of this protocol.")
@click.option("--waveband", type=click.Choice(_WAVEBANDS), help="Only services of this part of the spectrum.")
@click.option(
    "--position", help="Only services that cover this place: right ascension and declination, as 345.48,42.33."
)
@click.option(
    "--radius",
    type=click.FloatRange(0, 180),
    default=0.1,
    show_default=True,
    help="How far about --position, in degrees.",
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Services at most.")
@_workspace
@json_option
def search(
    words: tuple[str, ...],
    protocol: str | None,
    waveband: str | None,
    position: str | None,
    radius: float,
    limit: int,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Find services in the registry of the Virtual Observatory by WORDS that describe them."""
    place = _place(position) if position else None
    with _session(workspace) as session:
        from emberline.vo.client.registry import search as search_registry

        services = search_registry(
            session,
            protocol=protocol or "",
            keywords=words,
            waveband=waveband or "",
            position=place,
            radius=radius if place is not None else None,
            limit=limit,
        )
    found = [
        {
            "ivoid": service.ivoid,
            "title": service.title,
            "protocol": service.protocol,
            "access_url": service.access_url,
            "publisher": service.publisher,
            "waveband": list(service.waveband),
            "description": service.description,
        }
        for service in services
    ]
    show({"services": found}, as_json=as_json, text=_search_text)


def _place(text: str) -> Any:
    from astropy.coordinates import SkyCoord

    try:
        ra, dec = (float(part) for part in text.replace(",", " ").split())
        if not 0 <= ra <= 360:
            raise ValueError("no right ascension")
        return SkyCoord(ra, dec, unit="deg", frame="icrs")
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no position: write degrees, as 345.48,42.33", param_hint="--position"
        ) from None


def _search_text(found: dict[str, Any]) -> str:
    if not found["services"]:
        return "No service fits. Try fewer words, or another protocol."
    lines = []
    for service in found["services"]:
        lines += [service["title"], f"  {service['protocol']}  {service['access_url']}", f"  {service['ivoid']}"]
    return "\n".join(lines)
