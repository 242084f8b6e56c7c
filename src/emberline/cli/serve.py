"""Commands that run the pages: serve, and the accounts of those who may use them."""

from __future__ import annotations

import datetime
import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emberline.cli.output import json_option, show

if TYPE_CHECKING:
    from emberline.web.accounts import Accounts

__all__ = ["accounts", "open_browser", "serve"]

_ROLES = ("reader", "annotator", "manager", "admin")

_workspace_argument = click.argument("workspace", type=click.Path(path_type=Path, file_okay=False))


@click.command(epilog="Example: emberline serve . --port 8765")
@_workspace_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="The port; 0 takes any that is free."
)
@click.option("--name", "names", multiple=True, help="A host name that it is also reached by, as through a proxy.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--verbose", is_flag=True, help="Log every request, not only changes and failures.")
def serve(workspace: Path, host: str, port: int, names: tuple[str, ...], no_browser: bool, verbose: bool) -> None:
    """Open a workspace in the browser: jobs, labels, results.

    WORKSPACE is a folder with archives, campaigns and jobs. While it is served, queued jobs are done; Ctrl-C ends it,
    and what was at work goes on when it is served again. Without accounts it is for you alone, on this machine, by
    the address that is printed; to serve others, add accounts first.
    """
    from emberline.jobs import Workspace
    from emberline.web import serve as run

    def announce(address: str) -> None:
        click.echo(f"Emberline serves {workspace} at {address}\nCtrl-C ends it.", err=True)
        if not no_browser:
            open_browser(address)

    run(Workspace.open(workspace), host, port, names=names, announce=announce, verbose=verbose)


def open_browser(address: str) -> None:
    """Open an address in a browser that has a window of its own; one in the terminal would take it over."""
    if _has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


@click.group()
def accounts() -> None:
    """Say who may use a workspace's pages, and as what."""


def _accounts(workspace: Path) -> Accounts:
    from emberline.jobs import Workspace
    from emberline.web.accounts import Accounts

    return Accounts.of(Workspace.open(workspace).private)


_name_argument = click.argument("name")
_role_option = click.option(
    "--role",
    type=click.Choice(_ROLES),
    required=True,
    help="What the person may do: each role may do what the ones before it may.",
)
_stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def _password(from_stdin: bool) -> str:
    """A password that was typed twice, or the first line of standard input; never from the arguments."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


@accounts.command("add", epilog="Example: emberline accounts add . anna --role annotator")
@_workspace_argument
@_name_argument
@_role_option
@_stdin_option
@json_option
def add_account(workspace: Path, name: str, role: str, password_stdin: bool, as_json: bool) -> None:
    """Add an account. The password is prompted for, and is never part of the command.

    A reader looks, an annotator also labels and runs rounds, a manager also ingests and sees all jobs, an admin also
    keeps the accounts. The first account should be an admin.
    """
    book = _accounts(workspace)
    made = book.add(name, role, _password(password_stdin))
    show(
        {"name": made.name, "role": str(made.role)},
        as_json=as_json,
        text=lambda account: f"{account['name']} may now log in, as {account['role']}",
    )


@accounts.command("list", epilog="Example: emberline accounts list .")
@_workspace_argument
@json_option
def list_accounts(workspace: Path, as_json: bool) -> None:
    """List the accounts of a workspace with their roles."""
    found = [
        {"name": account.name, "role": str(account.role), "created": _iso(account.created)}
        for account in _accounts(workspace).all()
    ]
    show({"accounts": found}, as_json=as_json, text=_account_table)


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _account_table(result: dict[str, Any]) -> str:
    if not result["accounts"]:
        return "No accounts: the pages are for whoever starts them."
    width = max(len(account["name"]) for account in result["accounts"])
    return "\n".join(f"{a['name']:<{width}}  {a['role']:<9}  since {a['created'][:10]}" for a in result["accounts"])


@accounts.command("password", epilog="Example: emberline accounts password . anna")
@_workspace_argument
@_name_argument
@_stdin_option
def change_password(workspace: Path, name: str, password_stdin: bool) -> None:
    """Change a password; whoever is logged in under this name is logged out."""
    book = _accounts(workspace)
    book.get(name)
    book.set_password(name, _password(password_stdin))
    click.echo(f"The password of {name} is changed.")


@accounts.command("role", epilog="Example: emberline accounts role . anna --role manager")
@_workspace_argument
@_name_argument
@_role_option
def change_role(workspace: Path, name: str, role: str) -> None:
    """Change what somebody may do, at once."""
    account = _accounts(workspace).set_role(name, role)
    click.echo(f"{account.name} is now {account.role}.")


@accounts.command("remove", epilog="Example: emberline accounts remove . anna")
@_workspace_argument
@_name_argument
def remove_account(workspace: Path, name: str) -> None:
    """Remove an account with its sessions and tokens; the jobs stay."""
    _accounts(workspace).remove(name)
    click.echo(f"{name} is removed.")
