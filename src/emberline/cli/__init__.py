"""The command line: each command calls the Python function of the same name and prints what it returns."""

from __future__ import annotations

import click

from emberline._version import __version__
from emberline.cli.archives import features, info, ingest, simulate
from emberline.cli.campaigns import campaign, candidates, report
from emberline.cli.crossmatch import crossmatch
from emberline.cli.demo import demo
from emberline.cli.harvests import harvest
from emberline.cli.jobs import jobs
from emberline.cli.label import label
from emberline.cli.output import Command
from emberline.cli.publishing import publish
from emberline.cli.samp import ask, samp
from emberline.cli.serve import accounts, serve
from emberline.cli.tables import predict, query
from emberline.cli.vo import vo

__all__ = ["cli", "main"]

_EPILOG = """\b
Exit codes: 0 done; 1 failed, the message says why; 2 wrong usage or configuration;
3 done, but some of the input was rejected or a service failed; 130 interrupted (run it again to resume)."""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="emberline")
def cli() -> None:
    """Find rare objects in archives of millions of spectra.

    \b
    A search goes like this:
      emberline ingest SPECTRA... --into ARCHIVE
      emberline campaign new CAMPAIGN --config CAMPAIGN.toml
      emberline campaign run CAMPAIGN --oracle TRUTH.csv
      emberline candidates CAMPAIGN --out candidates.vot
      emberline report CAMPAIGN --out report
      emberline publish CAMPAIGN --config publication.toml

    Try `emberline demo` first. `emberline serve FOLDER` does the same in the browser.
    """


for _command in (
    ingest, harvest, info, simulate, features, campaign, label, candidates, crossmatch, report, publish, demo, jobs,
    serve, accounts, vo, samp, predict, query,
):  # fmt: skip
    cli.add_command(_command)
campaign.add_command(ask)


def main() -> None:
    """Run the command line, as the script ``emberline`` does."""
    Command.run(cli)
