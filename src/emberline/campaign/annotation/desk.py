"""One annotator at work on one campaign: questions out, decisions in, back and forth, and nothing lost."""

from __future__ import annotations

import dataclasses
import time as clock_of
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation import leases
from emberline.campaign.annotation.asked import find_asked
from emberline.campaign.annotation.decisions import (
    Decision,
    Receipt,
    checked_note,
    checked_seconds,
    checked_shown,
    decisions_of,
)
from emberline.campaign.annotation.events import Event
from emberline.campaign.annotation.handout import Handout, Task, agenda_of
from emberline.campaign.annotation.neighbours import Neighbour, neighbours_of
from emberline.campaign.annotation.progress import Progress, progress_of
from emberline.campaign.annotation.reviews import Dispute, SecondLook, disputes_of, second_looks_of
from emberline.campaign.annotation.siblings import Siblings, read_sibling, siblings_of
from emberline.campaign.annotation.state import State
from emberline.campaign.annotation.view import SpectrumView, view_of
from emberline.campaign.predictions import latest_model
from emberline.errors import CampaignError

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.spectra import Spectrum

__all__ = ["Desk", "Progress", "Task"]


class Desk:
    """One annotator at one campaign. Cheap to make; several may work at once, in threads and processes.

    Parameters
    ----------
    campaign : Campaign
        Its pool is not opened.
    who : str
        The annotator.
    session : str
        Which of the annotator's windows this is. Two windows with different names get different questions; one that
        is opened again under its old name goes on where it was.
    clock : function
        Seconds since 1970.
    """

    def __init__(
        self, campaign: Campaign, who: str, *, session: str = "", clock: Callable[[], float] = clock_of.time
    ) -> None:
        if not who.strip():
            raise CampaignError("an annotator needs a name", where=str(campaign.path))
        self.campaign = campaign
        self.who = who
        self.session = session
        self._handout = Handout(campaign, who, session, clock)
        self._database = campaign.database

    # Questions --------------------------------------------------------------------------------------------------

    def queue(self, n: int = 8) -> list[Task]:
        """The next `n` questions, those already handed out to this session first; each is kept for a while.

        Nobody else gets them meanwhile unless an overlap is configured. Skipped questions come when no other is left.
        """
        return self._handout.queue(n)

    def grid(self, n: int = 24) -> list[Task]:
        """As `queue`, for a page of thumbnails that are answered by `answer_many`."""
        return self.queue(n)

    def resume(self) -> Task | None:
        """The question at which this session was, or the next; None when all is done."""
        return next(iter(self.queue(1)), None)

    def renew(self) -> int:
        """Keep the questions of this session for another while; returns how many they are."""
        return self._handout.renew()

    def release(self) -> int:
        """Give this session's questions back, so that others may have them; returns how many they were."""
        return self._handout.release()

    # Decisions --------------------------------------------------------------------------------------------------

    def answer(
        self,
        identifier: str,
        answer: str,
        *,
        task: str = "",
        seconds: float | None = None,
        shown: Mapping[str, Any] | None = None,
        action: str = "",
    ) -> Receipt:
        """Say what a spectrum is: a class, ``not sure`` or ``bad``. It is on the disk when this returns.

        Answering again changes the answer; `undo` brings the earlier one back.

        Parameters
        ----------
        task : str
            The token of the question, from `queue`; without it an answer always counts as one's own label.
        seconds : float, optional
            How long it took.
        shown : mapping, optional
            What was on the screen, such as ``{"revealed": False, "smoothing": 3}``.
        action : str
            An identifier made by the sender (a UUID): the same action is stored once, however often it comes.

        Raises
        ------
        CampaignError
            The answer is not allowed, the spectrum was never asked about, or the task is not this annotator's.
        """
        tasks = {identifier: task} if task else {}
        return self.answer_many({identifier: answer}, tasks=tasks, seconds=seconds, shown=shown, action=action)

    def answer_many(
        self,
        answers: Mapping[str, str],
        *,
        tasks: Mapping[str, str] | None = None,
        seconds: float | None = None,
        shown: Mapping[str, Any] | None = None,
        action: str = "",
    ) -> Receipt:
        """Answer several questions in one action, which one `undo` takes back; see `answer`.

        Parameters
        ----------
        answers : mapping
            Spectrum → answer.
        tasks : mapping, optional
            Spectrum → token.
        """
        for identifier, given in answers.items():
            if given not in self.campaign.config.answers:
                allowed = ", ".join(self.campaign.config.answers)
                raise CampaignError("is no allowed answer", where=identifier, found=repr(given), expected=allowed)
        kinds = {True: "repeat", False: "label"}
        return self._decide(
            lambda silent: kinds[silent], dict(answers), tasks or {}, seconds, checked_shown(shown), {}, action
        )

    def skip(
        self,
        identifier: str,
        *,
        task: str = "",
        seconds: float | None = None,
        shown: Mapping[str, Any] | None = None,
        action: str = "",
    ) -> Receipt:
        """Pass a question over; it comes back when nothing else is left. It says nothing about the spectrum."""
        tasks = {identifier: task} if task else {}
        return self._decide(lambda _: "skip", {identifier: None}, tasks, seconds, checked_shown(shown), {}, action)

    def note(
        self,
        identifier: str,
        *,
        quality: int | None = None,
        flags: Sequence[str] = (),
        comment: str = "",
        task: str = "",
        action: str = "",
    ) -> Receipt:
        """Keep a quality from 1 (poor) to 4 (excellent), flags and a comment; they replace those of one's last note.

        Raises
        ------
        CampaignError
            The quality is another number, or a text is too long.
        """
        details = checked_note(identifier, quality, flags, comment)
        tasks = {identifier: task} if task else {}
        return self._decide(lambda _: "note", {identifier: None}, tasks, None, {}, details, action)

    def adjudicate(self, identifier: str, answer: str, *, comment: str = "", action: str = "") -> Receipt:
        """Decide a spectrum that has been labelled, over all annotators' heads.

        Raises
        ------
        CampaignError
            Nobody has labelled it, or the answer is not allowed.
        """
        if answer not in self.campaign.config.answers:
            allowed = ", ".join(self.campaign.config.answers)
            raise CampaignError("is no allowed answer", where=identifier, found=repr(answer), expected=allowed)
        if not self._database.look(lambda state: state.opinions(identifier)):
            raise CampaignError("nobody has labelled it, so there is nothing to adjudicate", where=identifier)
        details = checked_note(identifier, None, (), comment) if comment else {}
        return self._decide(lambda _: "adjudication", {identifier: answer}, {}, None, {}, details, action)

    def _decide(
        self,
        kind: Callable[[bool], str],
        answers: Mapping[str, str | None],
        tasks: Mapping[str, str],
        seconds: float | None,
        shown: dict[str, Any],
        details: dict[str, Any],
        action: str,
    ) -> Receipt:
        """Store one action on one spectrum or several, and close their questions."""
        model = latest_model(self.campaign.path)
        entries = agenda_of(self.campaign)
        number = next((entry.round for entry in entries.values()), 0)  # the newest round comes first
        seconds = checked_seconds(seconds)
        replaced: dict[str, str] = {}
        with self._database.transaction() as connection:

            def decide(state: State) -> list[Event]:
                events = []
                for name, answer in answers.items():
                    if name not in entries:
                        raise CampaignError("was never asked about, so it cannot be labelled", where=name)
                    token = tasks.get(name, "")
                    silent = bool(token) and leases.find(connection, token, self.who, name).silent
                    before = state.opinion(self.who, name)
                    if kind(silent) == "label" and before is not None:
                        replaced[name] = before.answer or ""
                    q = entries[name].question
                    name_of_model = model.stem if model else ""
                    events.append(
                        Event(
                            kind(silent), name, answer, q.purpose, q.round, name_of_model, None, token, silent,
                            seconds, shown, {"round": number, **details} if silent else details,
                        )
                    )  # fmt: skip
                return events

            last = self._database.state().last
            events = self._database.append(decide, who=self.who, action=action, answers=answers)
            for event in events:
                if event.id > last and event.kind in ("label", "repeat", "skip"):  # not delivered once before
                    leases.close(connection, event.identifier, self.who, event.task)
        return Receipt.of(events, replaced)

    # What is shown ----------------------------------------------------------------------------------------------

    def view(self, identifier: str, *, task: str = "", reveal: bool = False) -> SpectrumView:
        """Everything beside one question, without opening the pool.

        Why it was asked is there once it has been answered; the model's opinion is too, or when it is revealed (or the
        campaign is not blind). What was said of it before stays hidden while a question has come again.

        Raises
        ------
        CampaignError, ArchiveError
            It was never asked about, or its arrays cannot be read.
        """
        question = agenda_of(self.campaign).get(identifier)
        if question is None:
            raise CampaignError("was never asked about", where=identifier)
        silent = task if task and self._silent(task, identifier) else ""
        return view_of(self.campaign, self.who, identifier, question.question, silent, reveal)

    def _silent(self, task: str, identifier: str) -> bool:
        with self._database.transaction() as connection:
            return leases.find(connection, task, self.who, identifier).silent

    def windows(self, identifiers: Sequence[str]) -> NDArray[np.float32]:
        """The feature vectors of some questions, shape (n, pixels), for thumbnails."""
        if not identifiers:
            return np.zeros((0, 0), np.float32)
        places = [find_asked(self.campaign, name) for name in identifiers]
        return np.stack([asked.values[index] for asked, index in places])

    def neighbours(self, identifier: str, n: int = 5) -> list[Neighbour]:
        """The `n` labelled spectra most like one that was asked about: by the round's network, else by their pixels."""
        return neighbours_of(self.campaign, identifier, n)

    def siblings(self, identifier: str) -> Siblings:
        """Other spectra of the same object: its archive's by object, those of the others by position, with labels."""
        return siblings_of(self.campaign, identifier)

    def sibling(self, identifier: str, sibling: str, archive: str) -> Spectrum:
        """The arrays of one of the `siblings`, to lay over the one that is asked about."""
        return read_sibling(self.campaign, identifier, sibling, archive)

    # Back and forth ---------------------------------------------------------------------------------------------

    def undo(self, of: str = "", *, action: str = "") -> Receipt | None:
        """Take one's last action back, or the action `of`; None when there is nothing to take back.

        Whatever it was (answers, skip, note, adjudication), what held before it holds again, and the question is open
        again in this session. There is no limit, and it works across restarts.

        Raises
        ------
        CampaignError
            `of` is no action of this annotator, or has been taken back already.
        """
        return self._turn("undo", of, action)

    def redo(self, *, action: str = "") -> Receipt | None:
        """Bring back what the last `undo` took; None when something else has been done since."""
        return self._turn("redo", "", action)

    def _turn(self, kind: str, of: str, action: str) -> Receipt | None:
        with self._database.transaction() as connection:

            def decide(state: State) -> list[Event]:
                stack = (state.done if kind == "undo" else state.redoable).get(self.who, [])
                target = of or (stack[-1] if stack else "")
                if of and of not in stack:
                    raise CampaignError("there is no such action to take back", where=of, found=f"none by {self.who}")
                about = [state.events[number] for number in state.actions.get(target, ())]
                turned = [event for event in about if (event.id in state.undone) == (kind == "redo")]
                before.extend(turned)
                return [
                    dataclasses.replace(e, kind=kind, answer=None, undoes=e.id, seconds=None, shown={}, details={})
                    for e in reversed(turned)
                ]

            before: list[Event] = []
            events = self._database.append(decide, who=self.who, action=action)
            if not events:
                return None
            if kind == "undo":
                leases.reopen(connection, [event.task for event in before], self.session, self._handout.expiry())
            else:
                for event in before:
                    leases.close(connection, event.identifier, self.who, event.task)
        about = self._database.look(lambda state: [state.events[event.undoes or 0] for event in events])
        return dataclasses.replace(Receipt.of(about[::-1], {}), action=events[0].action, time=events[0].time, kind=kind)

    def history(self) -> list[Decision]:
        """One's own decisions that hold, in the order in which the questions were first dealt with."""
        return self._database.look(lambda state: decisions_of(state, self.who))

    def second_looks(self, number: int | None = None) -> list[SecondLook]:
        """One's own answers that deserve a second look; `number` takes those of one round only.

        You against the model: queries that it was sure are of another class. And questions that were answered
        otherwise when they came again. Control labels are never held against the model's opinion: to change only those
        that it disputes would make the estimates say that it is right. Answer with ``shown={"second_look": True}``,
        whether the answer changes or not, and it is not offered again.
        """
        return second_looks_of(self.campaign, self.who, number)

    def adjudication_queue(self) -> list[Dispute]:
        """Spectra that annotators disagree about, for `adjudicate`, in the order of their first labels."""
        return disputes_of(self.campaign)

    def progress(self) -> Progress:
        """How far one is in the present round, or in the last."""
        return progress_of(self.campaign, self.who, self._handout.clock())
