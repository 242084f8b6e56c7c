"""Labelling as JSON: questions out, decisions in, spectra, opinions, second looks, rounds; for the page and scripts."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from emberline.campaign import Campaign
from emberline.campaign.annotation import Desk
from emberline.campaign.database import NotStoredError
from emberline.errors import EmberlineError
from emberline.jobs import Job, Phase
from emberline.provenance import plain
from emberline.web import label_documents as documents
from emberline.web.card_documents import card_document, second_look_document
from emberline.web.label_documents import Encoding
from emberline.web.permissions import Action, require
from emberline.web.visitors import Visitor, desk_of, required, site_of

__all__ = ["router"]

router = APIRouter(prefix="/api/campaigns", tags=["labels"])

_ONE_ROUND = threading.Lock()
_GOING = (Phase.QUEUED, Phase.EXECUTING, Phase.SUSPENDED, Phase.HELD)

Window = Annotated[str, Field(max_length=100, description="Which of one's windows asks: each has its own questions.")]
Identifier = Annotated[str, Query(max_length=500, description="The spectrum.")]
Task = Annotated[str, Query(max_length=100, description="The token of its question, from `queue`.")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Ask(_Strict):
    """How many questions are wanted."""

    count: int = Field(8, ge=1, le=200)
    window: Window = ""
    encoding: Encoding = "list"


class Note(_Strict):
    """What is kept beside an answer."""

    quality: int | None = None
    flags: list[str] = Field(default_factory=list)
    comment: str = ""


class Act(_Strict):
    """One thing that the annotator did.

    `id` is made by the sender: an action that comes twice is stored once.
    """

    id: str = Field(min_length=8, max_length=100)
    kind: Literal["label", "skip", "note", "many", "undo", "redo", "adjudication"]
    identifier: str = ""
    answer: str | None = None
    answers: dict[str, str] = Field(default_factory=dict, description="Of `many`: spectrum → answer.")
    task: str | None = ""
    tasks: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None
    shown: dict[str, Any] | None = None
    note: Note = Field(default_factory=Note)
    undoes: str = Field("", description="Of `undo`: the action; the last one when left out.")
    comment: str = ""


class Acts(_Strict):
    """Actions in the order in which they were done."""

    actions: list[Act] = Field(max_length=200)
    window: Window = ""


class NewRound(_Strict):
    """How the next round is to be made."""

    finish: bool = Field(False, description="Close the open round though some of its questions have no answer.")
    batch: int | None = Field(None, ge=0)


@dataclasses.dataclass(frozen=True)
class At:
    """Who is at which campaign."""

    path: str
    campaign: Campaign
    visitor: Visitor

    def desk(self, window: str = "") -> Desk:
        """The annotator's desk in one window."""
        return Desk(self.campaign, self.visitor.name, session=window)


def _at(request: Request, path: str, action: Action) -> At:
    visitor = required(request, action)
    return At(path, site_of(request).campaigns.open(path), visitor)


def _looking(request: Request, campaign: Annotated[str, Path(max_length=500)]) -> At:
    return _at(request, campaign, Action.LOOK)


def _labelling(request: Request, campaign: Annotated[str, Path(max_length=500)]) -> At:
    return _at(request, campaign, Action.LABEL)


Looking = Annotated[At, Depends(_looking)]
Labelling = Annotated[At, Depends(_labelling)]


@router.get("", summary="List campaigns")
def list_campaigns(request: Request) -> dict[str, Any]:
    """The campaigns of the workspace; one that cannot be opened is named with the reason."""
    required(request)
    campaigns = site_of(request).campaigns
    found = []
    for path in campaigns.names():
        try:
            status = campaigns.open(path).status()
            found.append({"path": path, "name": status["name"], "status": plain(status)})
        except EmberlineError as error:
            found.append({"path": path, "name": path, "error": str(error)})
    return {"campaigns": found}


@router.post("/{campaign:path}/queue", summary="The next questions")
def queue(at: Labelling, ask: Ask) -> dict[str, Any]:
    """Questions for this window, those already in its hands first; each is kept for it for a while."""
    desk = at.desk(ask.window)
    tasks = desk.queue(ask.count)
    questions = [{"identifier": task.identifier, "task": task.token, "skipped": task.skipped} for task in tasks]
    return {
        "questions": questions,
        "ended": len(tasks) < ask.count,
        "progress": documents.progress_document(desk),
    }


@router.post("/{campaign:path}/grid", summary="The next questions with their windows")
def grid(at: Labelling, ask: Ask) -> dict[str, Any]:
    """As `queue`, each with the feature vector that the network sees, for a page of thumbnails."""
    desk = at.desk(ask.window)
    tasks = desk.grid(ask.count)
    windows = desk.windows([task.identifier for task in tasks])
    items = [
        {
            "identifier": task.identifier,
            "task": task.token,
            "name": task.identifier,
            "values": documents.encode(values, ask.encoding),
        }
        for task, values in zip(tasks, windows, strict=True)
    ]
    return {"items": items}


@router.get("/{campaign:path}/view", summary="A spectrum that was asked about")
def view(at: Labelling, identifier: Identifier, task: Task = "", encoding: Encoding = "list") -> dict[str, Any]:
    """The whole spectrum, the network's window, neighbours, other spectra of the object; not the model's opinion."""
    desk = at.desk()
    return documents.view_document(desk.view(identifier, task=task), desk, encoding)


@router.get("/{campaign:path}/opinion", summary="The model's opinion")
def opinion(at: Labelling, identifier: Identifier, task: Task = "") -> dict[str, Any]:
    """What the model says of a spectrum; and, once it has been answered, why it was asked about."""
    return documents.opinion_document(at.desk().view(identifier, task=task, reveal=True))


@router.get("/{campaign:path}/spectrum", summary="Another spectrum of the same object")
def spectrum(
    at: Labelling, identifier: Identifier, other: Identifier, archive: Identifier, encoding: Encoding = "list"
) -> dict[str, Any]:
    """The arrays of one of the `others` that `view` lists."""
    found = at.desk().sibling(identifier, other, archive)
    return {**documents.spectrum_arrays(found, encoding), "frame": found.meta.velocity_frame or "unknown"}


@router.post("/{campaign:path}/actions", summary="Decide")
def act(at: Labelling, acts: Acts) -> dict[str, Any]:
    """Store actions, each on the disk before the answer; one that is refused says why and does not hold up the rest."""
    desk = at.desk(acts.window)
    results = [_stored(desk, action, at.visitor) for action in acts.actions]
    return {"results": results, "progress": documents.progress_document(desk)}


def _stored(desk: Desk, action: Act, visitor: Visitor) -> dict[str, Any]:
    try:
        if action.kind == "adjudication":
            require(visitor.role, Action.ADJUDICATE)
        receipt = _DOERS[action.kind](desk, action)
    except NotStoredError:
        raise  # it is no fault of the action, which must come again
    except EmberlineError as error:
        return {"id": action.id, "status": "refused", "message": str(error)}
    return {"id": action.id, "status": "saved", "time": None if receipt is None else receipt.time}


def _label(desk: Desk, act: Act) -> Any:
    return desk.answer(
        act.identifier, act.answer or "", task=act.task or "", seconds=act.seconds, shown=act.shown, action=act.id
    )


def _many(desk: Desk, act: Act) -> Any:
    return desk.answer_many(act.answers, tasks=act.tasks, seconds=act.seconds, shown=act.shown, action=act.id)


def _skip(desk: Desk, act: Act) -> Any:
    return desk.skip(act.identifier, task=act.task or "", seconds=act.seconds, shown=act.shown, action=act.id)


def _note(desk: Desk, act: Act) -> Any:
    note = act.note
    return desk.note(
        act.identifier,
        quality=note.quality,
        flags=note.flags,
        comment=note.comment,
        task=act.task or "",
        action=act.id,
    )


_DOERS: dict[str, Callable[[Desk, Act], Any]] = {
    "label": _label,
    "many": _many,
    "skip": _skip,
    "note": _note,
    "undo": lambda desk, act: desk.undo(act.undoes, action=act.id),
    "redo": lambda desk, act: desk.redo(action=act.id),
    "adjudication": lambda desk, act: desk.adjudicate(
        act.identifier, act.answer or "", comment=act.comment, action=act.id
    ),
}


@router.get("/{campaign:path}/history", summary="One's own decisions")
def history(at: Labelling, limit: Annotated[int, Query(ge=1, le=10_000)] = 500) -> dict[str, Any]:
    """Decisions in the order in which the questions were dealt with, and the actions that can be taken back."""
    return documents.history_document(at.desk(), limit)


@router.get("/{campaign:path}/second-looks", summary="You against the model")
def second_looks(at: Labelling) -> dict[str, Any]:
    """Own answers that deserve a second look."""
    return {"items": [second_look_document(look) for look in at.desk().second_looks()]}


@router.get("/{campaign:path}/disputes", summary="Where annotators disagree")
def disputes(at: Labelling) -> dict[str, Any]:
    """Spectra that await adjudication, with everybody's answer."""
    return {"items": [plain(dataclasses.asdict(dispute)) for dispute in at.desk().adjudication_queue()]}


@router.get("/{campaign:path}/card", summary="Where the campaign stands")
def card(request: Request, at: Looking) -> dict[str, Any]:
    """The round's card: what changed, estimates, counts, agreement, learning curve, advice, the next round's job."""
    going, document = _going(request, at), card_document(at.campaign, at.desk(), at.visitor)
    seen = going is not None and (going.owner == at.visitor.name or desk_of(request).all)
    may_finish = document["may_finish"] and going is None
    return {**document, "may_finish": may_finish, "job": going.to_mapping() if going and seen else None}


def _going(request: Request, at: At) -> Job | None:
    """The job, of whomever, that is making the campaign's next round."""
    site = site_of(request)
    jobs = site.store.jobs(type="round", phases=_GOING, limit=1000)
    folder = at.campaign.path.resolve()
    mine = (job for job in jobs if (site.workspace.folder / str(job.parameters.get("campaign"))).resolve() == folder)
    return next(mine, None)


@router.post("/{campaign:path}/round", status_code=201, summary="Make the next round")
def next_round(request: Request, at: Labelling, new: NewRound, response: Response) -> dict[str, Any]:
    """Start the job that closes the open round, trains, reads the pool and asks anew; refused while one is at it."""
    parameters = {"campaign": at.path, **new.model_dump(exclude_none=True)}
    with _ONE_ROUND:  # a second one would close the new round before anybody has answered
        going = _going(request, at)
        if going is not None:
            message = f"the next round is being made already, by a job of {going.owner} ({going.phase.value.lower()})"
            raise HTTPException(409, message)
        job = desk_of(request).create("round", parameters, label=f"Next round of {at.campaign.config.name}", run=True)
    response.headers["location"] = f"/api/jobs/{job.id}"
    return {"job": job.to_mapping()}


@router.get("/{campaign:path}", summary="A campaign as an annotator sees it")
def show(at: Labelling) -> dict[str, Any]:
    """Classes, guidelines, line lists, and how far one is."""
    return documents.campaign_document(at.campaign, at.desk(), at.path)
