"""Commands that talk to TOPCAT, Aladin and SPLAT: samp send, receive, peers, hub."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emberline.cli.output import harmless, json_option, progress_display, show

if TYPE_CHECKING:
    from emberline.campaign.samp import Offer
    from emberline.vo.client.samp import Delivery, Samp

__all__ = ["ask", "samp"]

_LOOK = 5.0
"""Seconds between two looks whether the hub is still there."""
_KINDS = ("table", "spectrum", "position", "moc", "image")


@click.group()
def samp() -> None:
    """Send to TOPCAT, Aladin or SPLAT, and take sets to label from them (SAMP)."""


_to_option = click.option("--to", default="", help="The program by its name; all that take it by default.")
_timeout_option = click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds that a program may take."
)


@samp.command("send", epilog="Example: emberline samp send be-stars --to topcat")
@click.argument("what", metavar="CAMPAIGN|FILE", type=click.Path(path_type=Path))
@_to_option
@click.option("--as", "kind", type=click.Choice(_KINDS), help="What it is; by default a table, or for --spectrum that.")
@click.option("--spectrum", "identifier", default="", help="One spectrum of the campaign's pool, by its identifier.")
@click.option("--name", default="", help="What the program shows it as.")
@_timeout_option
@json_option
def send(what: Path, to: str, kind: str | None, identifier: str, name: str, timeout: float, as_json: bool) -> None:
    """Send a table, a spectrum, a position, a coverage or an image to other programs.

    Of a campaign the candidates are sent, or with --as moc where they are on the sky, or with --spectrum one spectrum
    (with --as position its place). Waits until the programs have taken it.
    """
    from emberline.vo.client.samp import connect

    kind = kind or ("spectrum" if identifier else "table")
    with progress_display() as progress, connect() as connection:
        if what.is_dir():
            from emberline.campaign.samp import send_campaign

            done = send_campaign(
                what, connection, kind, identifier, name=name, to=to, timeout=timeout, progress=progress
            )
        else:
            done = _send_file(connection, what, kind, name, to, timeout)
    show({"deliveries": [_delivery(item) for item in done]}, as_json=as_json, text=_deliveries_text)
    if not any(item.ok for item in done):
        raise click.exceptions.Exit(1)


def _send_file(connection: Samp, path: Path, kind: str, name: str, to: str, timeout: float) -> tuple[Delivery, ...]:
    if kind == "position":
        raise click.UsageError("a position is sent of a spectrum of a campaign: give --spectrum")
    sends: dict[str, Callable[..., tuple[Delivery, ...]]] = {
        "table": connection.send_table,
        "spectrum": connection.send_spectrum,
        "moc": connection.send_moc,
        "image": connection.send_image,
    }
    return sends[kind](path, name=name, to=to, timeout=timeout)


def _delivery(item: Delivery) -> dict[str, Any]:
    return {"to": item.peer.name, "type": item.mtype, "ok": item.ok, "error": item.error}


def _deliveries_text(result: dict[str, Any]) -> str:
    return "\n".join(
        f"{item['to']} has taken it ({item['type']})" if item["ok"] else f"{item['to']}: {item['error']}"
        for item in result["deliveries"]
    )


@samp.command("peers", epilog="Example: emberline samp peers --json")
@json_option
def peers(as_json: bool) -> None:
    """List the programs at the running hub, with the types of messages that they take."""
    from emberline.vo.client.samp import connect

    with connect() as connection:
        found = [
            {"id": p.id, "name": p.name, "description": p.description, "takes": list(p.subscriptions)}
            for p in connection.peers()
        ]
    show({"peers": found}, as_json=as_json, text=_peers_text)


def _peers_text(result: dict[str, Any]) -> str:
    lines = []
    for peer in result["peers"]:
        about = f": {peer['description']}" if peer["description"] else ""
        taken = [name for name in peer["takes"] if not name.startswith("samp.")]
        lines += [f"{peer['name']} ({peer['id']}){about}", f"  takes {', '.join(taken) or 'nothing'}"]
    return "\n".join(lines) or "No other program is at the hub."


@samp.command("hub", epilog="Example: emberline samp hub --pages")
@click.option("--pages", is_flag=True, help="Let pages in a browser ask to register; each is put before you.")
def hub(pages: bool) -> None:
    """Run a SAMP hub, for when neither TOPCAT nor Aladin brings one; Ctrl-C ends it."""
    from emberline.vo.client.samp import lock_file, start_hub

    with _until_told() as told:
        running = start_hub(web=pages, confirm=_confirm_page if pages and sys.stdin.isatty() else None)
        try:
            more = " Pages may ask to register." if pages else ""
            click.echo(f"A SAMP hub is running ({lock_file()}).{more} Ctrl-C ends it.", err=True)
            if pages and not sys.stdin.isatty():
                click.echo("There is no terminal to ask at: every page is refused.", err=True)
            told.wait()
        finally:
            running.stop()


def _confirm_page(name: str, origin: str) -> bool:
    text = f"\nThe page {name!r} from {origin} wants to register. It could then send to and read from your programs."
    click.echo(harmless(text), err=True)
    return click.confirm("Let it in?", default=False, err=True)


@contextlib.contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that is set when the process is asked to end, so that the lock file is taken away."""
    told = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, lambda *_: told.set())
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@samp.command("receive", epilog="Example: emberline samp receive be-stars")
@click.argument("folder", metavar="CAMPAIGN", type=click.Path(path_type=Path))
@click.option("--radius", default=3.0, show_default=True, type=click.FloatRange(0.01, 600), help="Arcseconds.")
@click.option("--yes", is_flag=True, help="Add each set without asking.")
@click.option("--once", is_flag=True, help="End after the first set.")
@json_option
def receive(folder: Path, radius: float, yes: bool, once: bool, as_json: bool) -> None:
    """Take tables and selected rows that other programs send, and add their spectra to the open round's questions.

    Rows are found in the pool by a column of identifiers, else by position within --radius. A hub is started when none
    is running. Ctrl-C ends it.
    """
    from emberline.campaign import open_campaign
    from emberline.campaign.samp import receive as offers
    from emberline.vo.client.samp import connect

    come: queue.Queue[Offer] = queue.Queue()
    with progress_display() as progress:
        opened = open_campaign(folder, progress=progress)
    with _until_told() as told, connect(f"Emberline {opened.config.name}", start=True) as connection:
        offers(opened, connection, come.put, radius=radius)
        seen = time.monotonic()
        click.echo(f"Waiting for tables and selections for {opened.config.name}. Ctrl-C ends it.", err=True)
        while not told.is_set() and not connection.gone.is_set():
            try:
                if _take(folder, come.get(timeout=0.3), yes, as_json) and once:
                    break
            except queue.Empty:
                looked = time.monotonic()
                if looked - seen > _LOOK:
                    connection.alive()
                    seen = looked
        if connection.gone.is_set():
            click.echo("The SAMP hub has ended.", err=True)
    opened.close()


def _take(folder: Path, offer: Offer, yes: bool, as_json: bool) -> bool:
    """Put one offer before the user; whether it became a set."""
    from emberline.errors import EmberlineError

    found = offer.matched
    text = f"{offer.sender} sends {offer.title}: {len(found.identifiers):,} spectra of the pool, by {found.by}"
    missed = f"; {found.missed:,} of {found.rows:,} rows fit none" if found.missed else ""
    click.echo(harmless(f"{text}{missed}."), err=True)
    if not offer.whole or not (yes or (sys.stdin.isatty() and click.confirm("Ask about them?", err=True))):
        return False
    try:
        _ask(folder, found.identifiers, offer.reason, as_json)
    except EmberlineError as error:
        click.echo(harmless(f"Error: {error}"), err=True)
        return False
    return True


def _ask(folder: Path, identifiers: tuple[str, ...], reason: str, as_json: bool) -> None:
    import dataclasses

    from emberline.campaign import Campaign
    from emberline.campaign.sets import lines_of

    campaign = Campaign(folder)
    try:
        with progress_display() as progress:
            campaign.prepare(progress=progress)
        done = campaign.ask_about(identifiers, reason)
    finally:
        campaign.close()
    show(dataclasses.asdict(done), as_json=as_json, text=lambda _: "\n".join(lines_of(done)))


@click.command("ask", epilog="Example: emberline campaign ask be-stars my-targets.csv")
@click.argument("folder", metavar="CAMPAIGN", type=click.Path(path_type=Path))
@click.argument("what", metavar="FILE|IDENTIFIER...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why, for the record; by default what was given.")
@click.option("--radius", default=3.0, show_default=True, type=click.FloatRange(0.01, 600), help="Arcseconds.")
@json_option
def ask(folder: Path, what: tuple[str, ...], reason: str, radius: float, as_json: bool) -> None:
    """Ask about spectra of your own choice: add them to the open round's questions.

    FILE is a table (VOTable, FITS, CSV, ECSV or Parquet); its rows are found in the pool by a column of identifiers,
    else by position within --radius. Nothing is asked twice.
    """
    from emberline.campaign import open_campaign
    from emberline.campaign.sets import match_table
    from emberline.vo.client.samp.tables import read_file

    names = what
    if len(what) == 1 and Path(what[0]).is_file():
        with progress_display() as progress:
            opened = open_campaign(folder, progress=progress)
        found = match_table(opened, read_file(Path(what[0])), radius=radius)
        opened.close()
        click.echo(f"{len(found.identifiers):,} of {found.rows:,} rows found by {found.by}.", err=True)
        names, reason = found.identifiers, reason or f"set given by hand: {Path(what[0]).name}"
    _ask(folder, names, reason or "set given by hand", as_json)
