"""Commands on jobs: submit, list, show, wait, log, run, abort, rerun, archive, delete; in a folder or on a server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from emberline.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, json_option, show

if TYPE_CHECKING:
    from emberline.cli._job_clients import JobClient

__all__ = ["jobs"]

F = TypeVar("F", bound=Callable[..., Any])

_PHASES = ["PENDING", "QUEUED", "EXECUTING", "COMPLETED", "ERROR", "ABORTED", "HELD", "SUSPENDED", "ARCHIVED"]
_SETTLED = ("COMPLETED", "ERROR", "ABORTED", "ARCHIVED", "HELD", "PENDING")
"""Phases that a job does not leave by itself."""
_LOOK_SECONDS = 1.0


def _where_options(command: F) -> F:
    """Give a command the options that say where the jobs are, from which it gets `client`, a context manager."""
    options = (
        click.option(
            "--workspace",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            help="The workspace's folder; the present one by default.",
        ),
        click.option("--url", envvar="EMBERLINE_URL", help="The address of a server instead (or EMBERLINE_URL)."),
        click.option("--token", envvar="EMBERLINE_TOKEN", help="A token for the server (better: EMBERLINE_TOKEN)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _client(workspace: Path, url: str | None, token: str | None) -> Any:
    from emberline.cli._job_clients import open_client

    return open_client(workspace, url, token)


_job_argument = click.argument("job_id", metavar="JOB")


@click.group()
def jobs() -> None:
    """Run long work as jobs: submit, watch, stop and repeat it.

    Jobs are kept in a workspace: a folder with archives and campaigns. They outlive the terminal, and go on after a
    restart of the machine. Every command works on a folder (--workspace) or on a server (--url).
    """


@jobs.command("list", epilog="Example: emberline jobs list --phase EXECUTING --phase QUEUED")
@click.option("--phase", "phases", multiple=True, type=click.Choice(_PHASES, case_sensitive=False), help="Only these.")
@click.option("--type", "kind", help="Only jobs of this type.")
@click.option("--search", help="Only jobs with this in their label, type or owner.")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="So many, the newest.")
@click.option("--all", "everything", is_flag=True, help="All of them, the archived ones too.")
@_where_options
@json_option
def list_jobs(
    phases: tuple[str, ...],
    kind: str | None,
    search: str | None,
    last: int,
    everything: bool,
    workspace: Path,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List jobs, the newest first."""
    wanted = phases or (tuple(_PHASES) if everything else ())
    with _client(workspace, url, token) as client:
        found = client.find(phases=wanted, type=kind, search=search, last=0 if everything else last)
    show({"jobs": found}, as_json=as_json, text=lambda result: _table(result["jobs"]))


def _table(found: list[dict[str, Any]]) -> str:
    if not found:
        return "No jobs."
    rows = [("job", "type", "phase", "done", "created", "took", "owner", "label")]
    rows += [
        (
            job["id"],
            job["type"],
            job["phase"],
            "" if job["progress"] is None else f"{job['progress']:.0%}",
            job["created"][:19].replace("T", " "),
            _took(job),
            job["owner"],
            job["label"],
        )
        for job in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def _took(job: Mapping[str, Any]) -> str:
    """How long a job has been at work."""
    import datetime

    if job["started"] is None:
        return ""
    moment = datetime.datetime.fromisoformat
    end = moment(job["ended"]) if job["ended"] else datetime.datetime.now(datetime.UTC)
    seconds = max((end - moment(job["started"])).total_seconds(), 0)
    return _time(seconds)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


@jobs.command("show", epilog="Example: emberline jobs show JOB --json")
@_job_argument
@_where_options
@json_option
def show_job(job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Show a job: its phase, parameters, progress and results."""
    with _client(workspace, url, token) as client:
        found = client.job(job_id)
    show(found, as_json=as_json, text=_description)


def _description(job: dict[str, Any]) -> str:
    lines = [f"{job['type']} {job['id']}" + (f"  {job['label']}" if job["label"] else ""), f"  {_state(job)}"]
    for name in ("created", "started", "ended", "destruction"):
        if job[name]:
            lines.append(f"  {name:<12} {job[name]}")
    for name in ("owner", "clone_of"):
        if job[name]:
            lines.append(f"  {name.replace('_', ' '):<12} {job[name]}")
    if job["attempt"] > 1:
        lines.append(f"  attempts     {job['attempt']}")
    lines += ["  parameters:", *(f"    {name} = {json.dumps(v, ensure_ascii=False)}" for name, v in _given(job))]
    if job["results"]:
        lines.append("  results:")
        lines += [f"    {result['name']}  ({result['size']:,} bytes)" for result in job["results"]]
    return "\n".join(lines)


def _given(job: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(job["parameters"].items())


def _state(job: Mapping[str, Any]) -> str:
    """The phase, and how far it is or why it failed."""
    text = str(job["phase"])
    if job["phase"] == "EXECUTING" and job["progress"] is not None:
        text += f" {job['progress']:.0%}"
    detail = job["error"]["message"] if job["error"] else job["message"]
    text += f": {detail}" if detail else ""
    if job["phase"] == "EXECUTING" and job["eta"] is not None:
        text += f" ({_time(job['eta'])} left)"
    return text


@jobs.command(epilog="Example: emberline jobs submit ingest paths=dr10 into=lamost --label 'DR10' --wait")
@click.argument("job_type", metavar="TYPE")
@click.argument("values", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), help="A TOML or JSON file of parameters; KEY=VALUE wins.")
@click.option("--label", default="", help="What you call this job.")
@click.option("--wait", "waits", is_flag=True, help="Wait for its end, as `emberline jobs wait` does.")
@click.option("--hold", is_flag=True, help="Make it and do not run it yet; `emberline jobs run` does.")
@_where_options
@json_option
def submit(
    job_type: str,
    values: tuple[str, ...],
    config: Path | None,
    label: str,
    waits: bool,
    hold: bool,
    workspace: Path,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Make a job and run it.

    TYPE is ingest, harvest, features, simulate, round, predict, context, candidates, crossmatch or report; a list is
    given by repeating its key. Paths are relative to the workspace. On a folder without a server, a process of its own
    does the work; it goes on when the terminal is closed, and ends when nothing is left to do.
    """
    if waits and hold:
        raise click.UsageError("--wait would wait for ever for a job that is held: leave one of them out.")
    parameters = {**_from_file(config), **_from_words(job_type, values)}
    with _client(workspace, url, token) as client:
        made = client.submit(job_type, parameters, label=label, run=not hold)
        if waits:
            _wait(client, made["id"], as_json=as_json)
    show(made, as_json=as_json, text=lambda job: f"{job['id']} {_state(job)}")


def _from_file(path: Path | None) -> dict[str, Any]:
    import tomllib

    from emberline.errors import ConfigError

    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise ConfigError(f"is neither TOML nor JSON: {error}", where=str(path)) from error
    if not isinstance(found, dict):
        raise ConfigError("holds no parameters", where=str(path), expected="a table of keys and values")
    return found


def _from_words(job_type: str, words: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE arguments as the parameters of a job type; a type that is unknown here is left to the server."""
    from emberline.campaign.jobs import JOB_TYPES
    from emberline.jobs import from_text

    given: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{word!r} is no parameter: write KEY=VALUE.")
        given.setdefault(key, []).append(value)
    known = {known.name: known.parameters for known in JOB_TYPES}
    if job_type not in known:
        return {key: found[0] if len(found) == 1 else found for key, found in given.items()}
    return from_text(known[job_type], given)


@jobs.command(epilog="Example: emberline jobs wait JOB")
@_job_argument
@_where_options
@json_option
def wait(job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Wait for a job's end and show its progress.

    Exit code 0 when it is COMPLETED, 1 otherwise. Ctrl-C ends the waiting, not the job.
    """
    with _client(workspace, url, token) as client:
        _wait(client, job_id, as_json=as_json)


def _wait(client: JobClient, job_id: str, *, as_json: bool) -> None:
    """Follow a job until it does not go on by itself, then exit."""
    from emberline.cli.output import state_display

    try:
        job = client.job(job_id)
        with state_display() as display:
            display(_state(job), job["progress"])
            while job["phase"] not in _SETTLED:
                job = client.look(job_id, _LOOK_SECONDS)
                display(_state(job), job["progress"])
    except KeyboardInterrupt:
        click.echo(f"\nThe job goes on. To stop it: emberline jobs abort {job_id}", err=True)
        sys.exit(EXIT_INTERRUPTED)
    show(job, as_json=as_json, text=_description)
    if job["phase"] == "PENDING":
        click.echo(f"It has not been told to run: emberline jobs run {job_id}", err=True)
    sys.exit(0 if job["phase"] == "COMPLETED" else EXIT_FAILED)


@jobs.command(epilog="Example: emberline jobs log JOB --follow")
@_job_argument
@click.option("--follow", is_flag=True, help="Go on until the job ends.")
@_where_options
def log(job_id: str, follow: bool, workspace: Path, url: str | None, token: str | None) -> None:
    """Print what a job has written into its log."""
    offset = 0
    with _client(workspace, url, token) as client:
        while True:
            ended = client.job(job_id)["phase"] in _SETTLED
            text, offset = client.log(job_id, offset)
            click.echo(text, nl=False)
            if not text and (ended or not follow):
                return
            if not text:
                time.sleep(_LOOK_SECONDS)


def _act(action: str, job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    with _client(workspace, url, token) as client:
        found = client.do(job_id, action)
    show(found, as_json=as_json, text=lambda job: f"{job['id']} {_state(job)}")


@jobs.command(epilog="Example: emberline jobs run JOB")
@_job_argument
@_where_options
@json_option
def run(job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Run a job that was made with --hold, or that is held."""
    _act("run", job_id, workspace, url, token, as_json)


@jobs.command(epilog="Example: emberline jobs abort JOB")
@_job_argument
@_where_options
@json_option
def abort(job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Stop a job; its processes are gone within two seconds."""
    _act("abort", job_id, workspace, url, token, as_json)


@jobs.command(epilog="Example: emberline jobs archive JOB")
@_job_argument
@_where_options
@json_option
def archive(job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Delete a job's results and log, and keep the record of it."""
    _act("archive", job_id, workspace, url, token, as_json)


@jobs.command(epilog="Example: emberline jobs rerun JOB seed=2 --label 'another seed'")
@_job_argument
@click.argument("values", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--label", help="What you call the new job; the old one's label by default.")
@click.option("--wait", "waits", is_flag=True, help="Wait for its end, as `emberline jobs wait` does.")
@click.option("--hold", is_flag=True, help="Make it and do not run it yet; `emberline jobs run` does.")
@_where_options
@json_option
def rerun(
    job_id: str,
    values: tuple[str, ...],
    label: str | None,
    waits: bool,
    hold: bool,
    workspace: Path,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Run a job again, as a new one.

    The parameters that are given replace those of the old job; the others stay as they were.
    """
    if waits and hold:
        raise click.UsageError("--wait would wait for ever for a job that is held: leave one of them out.")
    with _client(workspace, url, token) as client:
        parameters = _from_words(client.job(job_id)["type"], values)
        made = client.rerun(job_id, parameters, label=label, run=not hold)
        if waits:
            _wait(client, made["id"], as_json=as_json)
    show(made, as_json=as_json, text=lambda job: f"{job['id']} {_state(job)}")


@jobs.command(epilog="Example: emberline jobs delete JOB")
@_job_argument
@_where_options
@json_option
def delete(job_id: str, workspace: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Delete a job with its results; when it is still at work, it is stopped first."""
    with _client(workspace, url, token) as client:
        client.delete(job_id)
    show({"deleted": job_id}, as_json=as_json, text=lambda result: f"{result['deleted']} deleted")
