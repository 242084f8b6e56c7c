"""What the commands share: progress on the terminal, results as text or JSON, errors as exit codes."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from emberline.errors import ConfigError, EmberlineError, RecipeError
from emberline.progress import Progress

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_REJECTED",
    "EXIT_USAGE",
    "Command",
    "harmless",
    "json_option",
    "progress_display",
    "show",
    "state_display",
]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Give a command the option ``--json``, which it gets as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")(command)


class Command:
    """The frame in which a command runs: every error becomes one line and an exit code, never a traceback."""

    @staticmethod
    def run(group: click.Group) -> None:
        """Run `group` on the process's arguments and exit."""
        try:
            code = group.main(standalone_mode=False)
        except click.exceptions.Abort:
            click.echo("Interrupted. Run the same command again to resume.", err=True)
            code = EXIT_INTERRUPTED
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except EmberlineError as error:
            click.echo(harmless(f"Error: {error}"), err=True)
            code = EXIT_USAGE if _is_wrong_usage(error) else EXIT_FAILED
        except KeyboardInterrupt:
            click.echo("Interrupted. Run the same command again to resume.", err=True)
            code = EXIT_INTERRUPTED
        except BrokenPipeError:
            code = 0
        except OSError as error:
            click.echo(f"Error: {error.filename or 'a file'}: {error.strerror or error}", err=True)
            code = EXIT_FAILED
        sys.exit(code if isinstance(code, int) else 0)


def _is_wrong_usage(error: EmberlineError) -> bool:
    from emberline.jobs.model import ParameterError

    return isinstance(error, ConfigError | RecipeError | ParameterError)


def show(result: dict[str, Any], *, as_json: bool, text: Callable[[dict[str, Any]], str]) -> None:
    """Print a result: JSON for programs, `text` for people."""
    if as_json:
        said = json.dumps(result, indent=2, ensure_ascii=False, default=str)
        click.echo(_COMMANDING.sub(lambda match: f"\\u{ord(match[0]):04x}", said))
    else:
        click.echo(harmless(text(result)))


_COMMANDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: control characters, and those that turn the direction of text."""


def harmless(text: str) -> str:
    """A text that a terminal shows and does nothing else with, whatever a service or a file has written into it."""
    return _COMMANDING.sub("\N{REPLACEMENT CHARACTER}", text)


@contextlib.contextmanager
def progress_display(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress callback: bars on a terminal, a plain line now and then elsewhere; all on standard error."""
    if quiet:
        yield lambda step, done, total: None
    elif sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _PlainLines()


@contextlib.contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as display:
        tasks: dict[str, Any] = {}

        def report(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = display.add_task(step, total=total)
            display.update(tasks[step], completed=done, total=total)

        yield report


@contextlib.contextmanager
def state_display() -> Iterator[Callable[[str, float | None], None]]:
    """A callback for one state that changes, with the fraction done: a bar on a terminal, lines now and then elsewhere.

    All on standard error.
    """
    if not sys.stderr.isatty():
        yield _StateLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task("", total=1.0)
        yield lambda text, fraction: display.update(task, description=text, completed=fraction or 0.0)


class _StateLines:
    """A line when the first word of the state changes, and every ten seconds while the rest of it does."""

    def __init__(self) -> None:
        self._text = ""
        self._last = 0.0

    def __call__(self, text: str, fraction: float | None) -> None:
        moment = time.monotonic()
        changed = text.partition(" ")[0] != self._text.partition(" ")[0]
        if changed or (text != self._text and moment - self._last >= 10):
            self._text, self._last = text, moment
            click.echo(text, err=True)


class _PlainLines:
    """One line a step when it starts, ends, and every ten seconds between."""

    def __init__(self) -> None:
        self._step = ""
        self._last = 0.0

    def __call__(self, step: str, done: int, total: int | None) -> None:
        ended = total is not None and done >= total
        moment = time.monotonic()
        if step == self._step and not ended and moment - self._last < 10:
            return
        self._step, self._last = step, moment
        click.echo(f"{step}: {done:,}" + ("" if total is None else f" of {total:,}"), err=True)
