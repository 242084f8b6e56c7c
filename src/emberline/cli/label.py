"""The command that opens a campaign's labelling page."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import click

from emberline.cli.serve import open_browser

__all__ = ["label"]


@click.command(epilog="Example: emberline label be-stars")
@click.argument("campaign", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port to listen at; by default the campaign's own, so that the browser finds what it has kept. 0: any.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def label(campaign: Path, port: int | None, no_browser: bool) -> None:
    """Label a campaign's spectra in the browser.

    Opens the page of the present round: one key a spectrum. Each answer is on the disk before the page says that it
    is saved; close the page whenever you like, and go on where you were. Ctrl-C ends the server. For several
    annotators use `emberline serve`.
    """
    from emberline.web import serve
    from emberline.web.labelling import campaign_workspace, usual_port

    workspace, page = campaign_workspace(campaign)

    def announce(address: str) -> None:
        place = urlunsplit(urlsplit(address)._replace(path=page))
        click.echo(f"Label {campaign} at {place}\nCtrl-C ends it.", err=True)
        if not no_browser:
            open_browser(place)

    serve(workspace, port=usual_port(campaign) if port is None else port, announce=announce)
