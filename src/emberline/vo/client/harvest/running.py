"""A harvest: select, queue, fetch, ingest; each part goes on where an interrupted run has stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.errors import ArchiveError, EmberlineError
from emberline.files import exclusive_lock
from emberline.progress import Progress, silent
from emberline.vo.client.harvest.constraints import Constraints
from emberline.vo.client.harvest.history import FOLDER, HarvestError, History, open_history
from emberline.vo.client.harvest.selecting import Sources, check_answers, select

if TYPE_CHECKING:
    from emberline.spectra import Medium
    from emberline.vo.client.session import Session

__all__ = ["HarvestSummary", "check_folder", "harvest"]

_BUSY = "another harvest is fetching into this archive"
_TOLD = 20  # errors in a summary; the history has them all


@dataclasses.dataclass(frozen=True)
class HarvestSummary:
    """What a harvest did.

    Attributes
    ----------
    archive : Path
    selected : int
        Records that the services, the table or the query gave.
    added : int
        Files that are new in the queue; the others were in it before.
    fetched : int
        Files that came in this run; `bytes` is how much that was.
    ingested, failed, skipped : int
        Files that ended so in this run.
    waiting : int
        Files that still wait, because their service is down; the next run goes on with them.
    spectra : int
        Spectra that are new in the archive.
    services : tuple of dict
        For each service that was asked: ``service``, ``title``, ``position``, ``state``, ``records``, ``more``,
        ``error``.
    down : tuple of str
        Hosts that could not be asked any more, with the reason.
    errors : tuple of dict
        The first files that failed: ``number``, ``address``, ``error``.
    seconds : float
    """

    archive: Path
    selected: int = 0
    added: int = 0
    fetched: int = 0
    bytes: int = 0
    ingested: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    spectra: int = 0
    services: tuple[dict[str, object], ...] = ()
    down: tuple[str, ...] = ()
    errors: tuple[dict[str, object], ...] = ()
    seconds: float = 0.0


def check_folder(into: Path) -> None:
    """Refuse a folder that is neither an archive nor empty, before anything is fetched."""
    if (into / "archive.toml").exists() or not into.exists():
        return
    strangers = sorted(path.name for path in into.iterdir() if not path.name.startswith(".")) if into.is_dir() else []
    if strangers or not into.is_dir():
        raise ArchiveError(
            "this is not an archive, and not empty",
            where=str(into),
            found=", ".join(strangers[:3]) or "a file",
            expected="an archive, an empty folder, or a new name",
            action="Choose another folder with --into.",
        )


def harvest(
    session: Session,
    into: str | Path,
    sources: Sources | None = None,
    asked: Constraints | None = None,
    *,
    options: Mapping[str, str] | None = None,
    retry_failed: bool = False,
    reader: str | None = None,
    medium: Medium | None = None,
    keep: bool = False,
    asked_by: str = "",
    progress: Progress = silent,
) -> HarvestSummary:
    """Select spectra of other archives, fetch them, and ingest them into an archive, which is made when it is new.

    Without sources it goes on with what waits. A file is never fetched twice: it is known by its address and options.
    What fails is a row of the history with the reason, and the rest goes on.

    Parameters
    ----------
    session : Session
    into : path
        The archive's folder.
    sources : Sources, optional
        SSAP services, a table, a query.
    asked : Constraints, optional
        Positions, size, band, time and limit for the SSAP services.
    options : mapping of str to str, optional
        What DataLink and SODA services are asked for, by name (see `options.order`).
    retry_failed : bool
        Let what failed in earlier runs be tried again.
    reader : str, optional
        By default each file's format is detected.
    medium : "air" or "vacuum", optional
        What holds for files that say neither; they fail otherwise.
    keep : bool
        Keep the files after they were ingested, in the archive's hidden folder.
    asked_by : str
        Who selects, for the history.
    progress : Progress

    Raises
    ------
    ConfigError, ServiceError, HarvestError
        What was asked cannot be understood, or no service could be asked.
    ArchiveError, EmberlineError
        The folder is no archive and not empty, or another harvest works on it.
    """
    from emberline.vo.client.harvest.fetching import fetch
    from emberline.vo.client.harvest.ingestion import ingest_fetched

    began, into = time.monotonic(), Path(into)
    check_folder(into)
    _check_reader(reader)
    folder = into / FOLDER
    with exclusive_lock(folder / "lock", _BUSY), open_history(into, create=True) as history:
        if retry_failed:
            history.retry()
        before, first = history.counts(), history.version()
        summary = HarvestSummary(into)
        if sources:
            with _leaving_nothing(into, history):
                summary = _select(
                    session, history, sources, asked or Constraints(), summary, options, asked_by, progress
                )
        down = fetch(session, history, folder, history.files(["waiting"]), progress=progress)
        got = [file for file in history.files(["fetched"]) if file.changed > first]
        ingested = ingest_fetched(history, into, folder, reader=reader, medium=medium, keep=keep, progress=progress)
        after = history.counts()
        failed = [file for file in history.files(["failed"]) if file.changed > first]
    told = [{"number": file.number, "address": file.record.address, "error": file.error} for file in failed[:_TOLD]]
    return dataclasses.replace(
        summary,
        fetched=len(got),
        bytes=sum(file.bytes or 0 for file in got),
        ingested=after["ingested"] - before["ingested"],
        failed=len(failed),
        skipped=after["skipped"] - before["skipped"],
        waiting=after["waiting"],
        spectra=ingested.ingested if ingested else 0,
        down=down,
        errors=tuple(told),
        seconds=time.monotonic() - began,
    )


@contextlib.contextmanager
def _leaving_nothing(into: Path, history: History) -> Iterator[None]:
    """When the very first selection fails, the folder that was made for it goes again."""
    try:
        yield
    except EmberlineError:
        if not history.version() and not (into / "archive.toml").exists():
            history.close()
            shutil.rmtree(into / FOLDER, ignore_errors=True)
            with contextlib.suppress(OSError):
                into.rmdir()
        raise


def _check_reader(name: str | None) -> None:
    from emberline.archive import readers

    if name is not None and name not in readers.readers():
        raise HarvestError(f"there is no reader {name!r}", expected=f"one of {', '.join(readers.readers())}")


def _select(
    session: Session,
    history: History,
    sources: Sources,
    asked: Constraints,
    summary: HarvestSummary,
    options: Mapping[str, str] | None,
    asked_by: str,
    progress: Progress,
) -> HarvestSummary:
    """Put what the services answer into the queue, answer by answer."""
    added, answers = 0, []
    progress("select", 0, None)
    for answer in select(session, sources, asked, lambda done, total: progress("select", done, total)):
        added += history.add(answer.records, options, asked_by=asked_by)
        answers.append(answer)
    check_answers(answers)
    progress("select", 1, 1)
    facts = tuple(
        {
            **{name: getattr(answer, name) for name in ("service", "title", "position", "state", "more", "error")},
            "records": len(answer.records),
        }
        for answer in answers
    )
    return dataclasses.replace(
        summary, selected=sum(len(answer.records) for answer in answers), added=added, services=facts
    )
