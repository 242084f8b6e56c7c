"""What a workspace holds and what one may do next, read cheaply, and again only when it has changed."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from emberline.errors import EmberlineError
from emberline.jobs import JobDesk, Phase, Workspace
from emberline.web.wording import plural

__all__ = ["ArchiveFacts", "CampaignFacts", "Step", "archives", "campaigns", "steps"]

_LATELY = datetime.timedelta(days=3)


@dataclasses.dataclass(frozen=True)
class ArchiveFacts:
    """One archive; `problem` says why it cannot be read."""

    path: str
    survey: tuple[str, ...] = ()
    spectra: int = 0
    matrices: int = 0
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class CampaignFacts:
    """One campaign; `waiting` counts the open round's questions without an answer."""

    path: str
    name: str = ""
    targets: tuple[str, ...] = ()
    rounds: int = 0
    labels: int = 0
    waiting: int = 0
    open: bool = False
    problem: str = ""

    @property
    def href(self) -> str:
        """The address of the page where it is labelled."""
        return f"/label/{urllib.parse.quote(self.path)}"

    @property
    def state(self) -> str:
        """Where it stands, in words; rounds are counted from 0."""
        last = self.rounds - 1
        if self.waiting:
            return f"round {last}: {plural(self.waiting, 'question')} without an answer"
        if self.open:
            return f"round {last} is open"
        return f"round {last} has ended" if self.rounds else "no round yet"


@dataclasses.dataclass(frozen=True)
class Step:
    """Something that may be done next: by a page, by a command, or both."""

    text: str
    href: str = ""
    word: str = ""
    command: str = ""


def archives(workspace: Workspace) -> list[ArchiveFacts]:
    """The archives of the workspace."""
    root = workspace.folder
    return [
        _archive(root, path, _times(root / path, "archive.toml", "catalogue.parquet", "features"))
        for path in workspace.archives()
    ]


def campaigns(workspace: Workspace) -> list[CampaignFacts]:
    """The campaigns of the workspace."""
    names = ("campaign.toml", "campaign.db", "campaign.db-wal")
    return [
        _campaign(workspace.folder, path, _times(workspace.folder / path, *names)) for path in workspace.campaigns()
    ]


def _times(folder: Path, *names: str) -> tuple[int, ...]:
    """When some files last changed: while that is the same, so is what was read from them."""
    found = []
    for name in names:
        try:
            status = (folder / name).stat()
            found.append(status.st_mtime_ns ^ status.st_size)
        except OSError:
            found.append(0)
    return tuple(found)


@functools.lru_cache(maxsize=256)
def _archive(root: Path, path: str, _times: tuple[int, ...]) -> ArchiveFacts:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from emberline.archive.schema import ArchiveInfo

    folder = root / path
    try:
        info = ArchiveInfo.load(folder)
        catalogue = folder / "catalogue.parquet"
        spectra = pq.read_metadata(catalogue).num_rows if catalogue.is_file() else 0
    except (EmberlineError, OSError, pa.ArrowException) as error:
        return ArchiveFacts(path, problem=_reason(error, path))
    features = folder / "features"
    matrices = sum(1 for entry in features.iterdir() if entry.is_dir()) if features.is_dir() else 0
    return ArchiveFacts(path, info.survey, spectra, matrices)


@functools.lru_cache(maxsize=256)
def _campaign(root: Path, path: str, _times: tuple[int, ...]) -> CampaignFacts:
    from emberline.campaign.config import CampaignConfig
    from emberline.campaign.database import Database
    from emberline.config import from_toml

    try:
        config = from_toml(CampaignConfig, root / path / "campaign.toml")
        database = Database(root / path / "campaign.db")
    except (EmberlineError, OSError) as error:
        return CampaignFacts(path, path, problem=_reason(error, path))
    try:
        rounds, labels = database.rounds(), database.labels()
        is_open = bool(rounds) and rounds[-1]["finished"] is None
        asked = {question.identifier for question in database.questions(rounds[-1]["number"])} if is_open else set()
        waiting = len(asked - {label.identifier for label in labels})
        return CampaignFacts(path, config.name, config.targets, len(rounds), len(labels), waiting, is_open)
    finally:
        database.close()


def _reason(error: Exception, path: str) -> str:
    """Why something cannot be read, without the machine's own paths."""
    return f"cannot be read: {error.message}" if isinstance(error, EmberlineError) else f"{path} cannot be read"


def steps(
    found: list[ArchiveFacts], searches: list[CampaignFacts], desk: JobDesk, allowed: Callable[[str], bool]
) -> list[Step]:
    """What one may do next, the most urgent first; `allowed` says whether a type of job may be run."""
    result = _troubles(desk)
    for search in searches:
        result += _next_of(search, allowed)
    if not found:
        if allowed("simulate"):
            result.append(
                Step("Simulate a survey with known truth, to try everything out.", "/jobs/new/simulate", "Simulate")
            )
        if allowed("ingest"):
            result.append(Step("Make an archive of your own spectra.", "/jobs/new/ingest", "Ingest"))
        if allowed("harvest"):
            result.append(Step("Fetch spectra from other archives.", "/harvest", "Fetch"))
    elif not searches:
        command = "emberline campaign new my-search --config my-search.toml"
        result.append(Step("Begin a campaign: say in a TOML file what to look for, and where.", command=command))
    return result


def _troubles(desk: JobDesk) -> list[Step]:
    result = []
    if held := desk.count(phases=[Phase.HELD]):
        result.append(Step(f"{plural(held, 'job is', 'jobs are')} held.", "/jobs?phase=HELD", "See why"))
    lately = (datetime.datetime.now(datetime.UTC) - _LATELY).isoformat(timespec="seconds")
    if failed := desk.count(phases=[Phase.ERROR], after=lately):
        text = f"{plural(failed, 'job has', 'jobs have')} failed in the last days."
        result.append(Step(text, "/jobs?phase=ERROR", "See why"))
    return result


def _next_of(search: CampaignFacts, allowed: Callable[[str], bool]) -> list[Step]:
    query = urllib.parse.urlencode({"p.campaign": search.path})
    if search.problem:
        return []
    if search.waiting:
        text = f"{search.name}: {plural(search.waiting, 'spectrum waits', 'spectra wait')} for a label."
        return [Step(text, search.href, "Label") if allowed("round") else Step(text)]
    result = []
    if allowed("round"):
        which = "the first" if not search.rounds else "the next"
        result.append(Step(f"{search.name}: run {which} round.", f"/jobs/new/round?{query}", "Run"))
    if search.rounds and allowed("report"):
        result.append(Step(f"{search.name}: write its report.", f"/jobs/new/report?{query}", "Report"))
    return result
