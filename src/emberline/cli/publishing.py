"""The command publish: show an archive or a campaign's candidates to the Virtual Observatory, or take them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emberline.cli.output import json_option, progress_display, show

__all__ = ["publish"]


@click.command(
    epilog="Example: emberline publish lamost --title 'LAMOST spectra' --creator 'Doe, J.' --config publication.toml"
)
@click.argument("folder", metavar="ARCHIVE|CAMPAIGN", type=click.Path(path_type=Path))
@click.option("--title", help="One line that says what it is.")
@click.option("--creator", "creators", multiple=True, help="Who made it: 'Doe, J.'. May be repeated.")
@click.option("--description", help="A paragraph: what is in it, how it was made, what it is good for.")
@click.option("--subject", "subjects", multiple=True, help="A keyword, best of the UAT: be-stars. May be repeated.")
@click.option("--publisher", help="The institution that publishes it.")
@click.option("--contact-name", help="Who answers questions.")
@click.option("--contact-email", help="Where they are sent to.")
@click.option("--authority", help="Your authority in IVOA identifiers: example.org.")
@click.option("--name", help="Its name in addresses and queries; the folder's by default.")
@click.option("--reference-url", help="A page about the data; the service's own by default.")
@click.option("--rights", help="The licence, in words.")
@click.option("--rights-url", help="The licence's address.")
@click.option("--facility", help="The telescope.")
@click.option("--instrument", help="The spectrograph.")
@click.option("--waveband", multiple=True, help="Optical by default; Infrared, UV, … May be repeated.")
@click.option("--bibcode", help="The article that describes it.")
@click.option("--doi", help="The DOI of the data.")
@click.option(
    "--aperture", "aperture_arcsec", type=float, help="Diameter of the fibre on the sky in arcsec; 3 by default."
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file with all of this; options go before what it says."
)
@click.option("--withdraw", is_flag=True, help="Take back what was published; the folder itself stays as it is.")
@click.option("--version", type=click.IntRange(min=1), help="With --withdraw: only this older version.")
@json_option
def publish(
    folder: Path, config: Path | None, withdraw: bool, version: int | None, as_json: bool, **settings: Any
) -> None:
    """Publish an archive, or the candidates of a campaign, in the Virtual Observatory.

    What is shown is frozen as it is now and served, without signing in, under /vo by `emberline serve`. Publish again
    to show what has been added since: as the next version, with everything that is not said anew as it was. What
    registries need and is missing is listed, and nothing is published before it is there.
    """
    if withdraw:
        _withdraw(folder, version, as_json)
        return
    if version is not None:
        raise click.UsageError("--version goes with --withdraw: publishing finds the next version itself.")
    from emberline.vo.server.publication import publish as publish_folder

    with progress_display() as progress:
        record = publish_folder(folder, config=config, progress=progress, **settings)
    show(_shown(folder, record), as_json=as_json, text=_published_text)


def _withdraw(folder: Path, version: int | None, as_json: bool) -> None:
    from emberline.vo.server.publication import withdraw

    record = withdraw(folder, version=version)
    show(_shown(folder, record), as_json=as_json, text=lambda found: _withdrawn_text(found, version))


def _shown(folder: Path, record: Any) -> dict[str, Any]:
    from emberline.config import to_mapping
    from emberline.vo.server.publication import versions_of

    return {**to_mapping(record), "ivoid": record.ivoid, "versions": versions_of(folder)}


def _published_text(found: dict[str, Any]) -> str:
    lines = [f"Published {found['name']}, version {found['version']}: {found['ivoid']}"]
    older = [version for version in found["versions"] if version != found["version"]]
    if older:
        lines.append(f"Older versions are kept until they are withdrawn: {', '.join(map(str, older))}.")
    lines.append(f"Its page is /vo/{found['name']}/ on the server that emberline serve starts in its workspace.")
    return "\n".join(lines)


def _withdrawn_text(found: dict[str, Any], version: int | None) -> str:
    what = found["name"] if version is None else f"version {version} of {found['name']}"
    return f"Withdrawn: {what}."
