"""Which spectra there are: SSAP services at positions, a table in a file, the answer to a TAP query."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emberline.errors import EmberlineError, ReadError
from emberline.vo.client.harvest._threads import as_they_come
from emberline.vo.client.harvest.constraints import Constraints, resolve
from emberline.vo.client.harvest.history import HarvestError
from emberline.vo.client.harvest.records import Record, of_document, of_spectrum_record, of_table

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["Answer", "Sources", "ask_ssap", "check_answers", "read_votable", "select", "title_of"]

_AT_ONCE = 8
"""Services that are asked at a time."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Who tells of spectra.

    Attributes
    ----------
    ssap : tuple of str
        Addresses or registry identifiers of SSAP services.
    votable : Path or None
        A VOTable file with a column of addresses; `shown` is what it is called in the history.
    tap, service : str
        An ADQL query whose answer has a column of addresses, and the TAP service that is asked.
    """

    ssap: tuple[str, ...] = ()
    votable: Path | None = None
    tap: str = ""
    service: str = ""
    shown: str = ""

    def __bool__(self) -> bool:
        return bool(self.ssap or self.votable or self.tap)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one service answered at one position.

    Attributes
    ----------
    service, title : str
        Its address or identifier, and what it is called.
    position : str
        As it was written; empty for tables and queries.
    state : str
        ``asked``, or ``failed`` with the reason in `error`.
    records : tuple of Record
    more : bool
        Whether the service has more than it gave.
    """

    service: str
    title: str
    position: str = ""
    state: Literal["asked", "failed"] = "asked"
    records: tuple[Record, ...] = ()
    more: bool = False
    error: str = ""


def title_of(service: str) -> str:
    """What a service is called where nobody has said it: its host and path, or what its identifier names."""
    bare = re.sub(r"^\w+://", "", service)
    if not service.startswith("ivo://"):
        host, slash, path = bare.partition("/")
        bare = f"{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}".rstrip("/")
    return bare


def ask_ssap(
    session: Session, service: str, place: tuple[str, SkyCoord], asked: Constraints, *, title: str = ""
) -> Answer:
    """One SSAP service at one position; what goes wrong is the answer's `error`.

    Parameters
    ----------
    session : Session
    service : str
        Its address, or its identifier in the registry (``ivo://…``).
    place : tuple
        The position as it was written, and where that is.
    asked : Constraints
    title : str
        What the service is called.
    """
    from emberline.vo.client import registry, ssap

    position, coordinates = place
    title = title or title_of(service)
    try:
        address = registry.resolve(session, service, "ssa") if service.startswith("ivo://") else service
        band = asked.band
        found = ssap.search(
            session, address, coordinates, asked.size / 2, band=band, time=asked.moments(), limit=asked.limit
        )
        records = tuple(of_spectrum_record(record, service, title) for record in found if record.access_url)
    except EmberlineError as error:
        return Answer(service, title, position, "failed", error=str(error))
    except Exception as error:  # a service's answer must not end the others'
        return Answer(service, title, position, "failed", error=f"the answer cannot be read: {error}"[:500])
    kept = records if asked.limit is None else records[: asked.limit]
    return Answer(service, title, position, "asked", kept, found.overflow or len(kept) < len(records))


def read_votable(path: Path, shown: str = "") -> tuple[Record, ...]:
    """The records in a VOTable file, which `shown` is called in errors and in the history.

    Raises
    ------
    ReadError
        It cannot be read.
    ServiceError
        It is no VOTable, or has no column of addresses.
    """
    name = shown or str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}", reason="unreadable", where=name) from error
    return tuple(of_document(data, name))


def select(
    session: Session, sources: Sources, asked: Constraints, noted: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Answer]:
    """Ask all that was named, many services at once, and hand over each answer as it comes.

    Raises
    ------
    ConfigError, ServiceError, ReadError
        A position or the file cannot be understood. What goes wrong with one service is in its answer.
    """
    if sources.votable is not None:
        name = sources.shown or str(sources.votable)
        yield Answer(name, name, records=read_votable(sources.votable, name))
    if sources.tap:
        yield _ask_tap(session, sources.service, sources.tap, asked.limit)
    if not sources.ssap:
        return
    places = resolve(session, asked.positions)
    tasks = [(name, place) for place in places for name in dict.fromkeys(sources.ssap)]
    noted(0, len(tasks))
    answers = as_they_come(lambda task: ask_ssap(session, task[0], task[1], asked), tasks, _AT_ONCE)
    for done, answer in enumerate(answers, 1):
        yield answer
        noted(done, len(tasks))


def _ask_tap(session: Session, service: str, adql: str, limit: int | None) -> Answer:
    from emberline.vo.client import registry
    from emberline.vo.client import tap as client

    title = title_of(service)
    try:
        address = registry.resolve(session, service, "tap") if service.startswith("ivo://") else service
        table = client.query(session, address, adql, limit=limit)
        records = tuple(of_table(table, service, title))
    except EmberlineError as error:
        return Answer(service, title, state="failed", error=str(error))
    return Answer(service, title, records=records if limit is None else records[:limit])


def check_answers(answers: Sequence[Answer]) -> None:
    """Refuse a selection for which no service could be asked.

    Raises
    ------
    HarvestError
    """
    errors = dict.fromkeys(answer.error for answer in answers if answer.state == "failed")
    if not answers or any(answer.state != "failed" for answer in answers):
        return
    if len(errors) == 1:
        raise HarvestError(next(iter(errors)).rstrip("."))
    raise HarvestError("no service could be asked", found="; ".join(list(errors)[:3]))
