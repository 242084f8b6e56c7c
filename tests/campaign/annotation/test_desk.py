"""A desk hands questions out, keeps what is said, and goes back as far as one likes."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest

from emberline.campaign import Campaign
from emberline.campaign.annotation.desk import Desk
from emberline.campaign.annotation.events import event_of
from emberline.campaign.annotation.state import State, replay
from emberline.campaign.questions import known_rows
from emberline.campaign.summary import answers_by_row
from emberline.campaign.training import training_set
from emberline.errors import CampaignError
from tests.campaign.annotation.conftest import MakeCampaign, ask


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def _held(campaign: Campaign) -> dict[str, str]:
    return {label.identifier: label.answer for label in campaign.labels()}


def _answer_all(desk: Desk, answer: str = "none", at_once: int = 3) -> list[str]:
    """Answer until nothing is left; the spectra in the order in which they came."""
    seen = []
    while tasks := desk.queue(at_once):
        for task in tasks:
            desk.answer(task.identifier, answer, task=task.token)
            seen.append(task.identifier)
    return seen


def test_every_question_comes_once_and_the_kinds_are_mixed(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(40, 20)
    seen = _answer_all(Desk(campaign, "ann"))
    questions = {q.identifier: q for q in campaign.database.questions()}
    assert sorted(seen) == sorted(questions)
    kinds = "".join(questions[name].purpose[0] for name in seen)
    assert len([1 for a, b in itertools.pairwise(kinds) if a != b]) > 12, "control questions come in between"
    for purpose in ("query", "control"):
        ranks = [questions[name].rank for name in seen if questions[name].purpose == purpose]
        assert ranks == sorted(ranks), "each kind keeps its order"
    assert campaign.open_questions() == []


def test_the_order_is_that_of_the_seed(make_campaign: MakeCampaign) -> None:
    orders = [[t.identifier for t in Desk(make_campaign(name=n), "ann").queue(16)] for n in ("one", "two")]
    assert orders[0] == orders[1]


def test_a_task_tells_nothing_of_its_purpose(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(repeats=0.5)
    desk = Desk(campaign, "ann")
    for task in desk.queue(16):
        assert set(vars(task)) == {"token", "identifier", "expires", "skipped"}
        receipt = desk.answer(task.identifier, "none", task=task.token)
        assert receipt.kind == "label"


def test_skipped_questions_come_back_at_the_end(make_campaign: MakeCampaign) -> None:
    desk = Desk(make_campaign(), "ann")
    first, second = desk.queue(2)
    desk.skip(first.identifier, task=first.token)
    desk.skip(second.identifier, task=second.token)
    assert desk.progress().skipped == 2
    rest = [task.identifier for task in desk.queue(14)]
    assert first.identifier not in rest
    for name in rest:
        desk.answer(name, "none")
    assert [(task.identifier, task.skipped) for task in desk.queue(5)] == [
        (first.identifier, True),
        (second.identifier, True),
    ]
    assert desk.campaign.labels().__len__() == 14, "a skip is no answer"


def test_two_annotators_never_get_the_same_question(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(30, 10)
    ann, bob = Desk(campaign, "ann"), Desk(campaign, "bob")
    a, b = ann.queue(20), bob.queue(30)
    assert len(a) == len(b) == 20
    assert not {t.identifier for t in a} & {t.identifier for t in b}
    assert Desk(campaign, "cid").queue(5) == []
    assert Desk(campaign, "cid").progress().elsewhere == 40


def test_many_threads_and_data_bases_share_the_questions_out(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(36, 12)
    failures: list[BaseException] = []

    def work(who: str, own: bool) -> None:
        try:
            mine = Campaign(campaign.path) if own else campaign
            mine.config = campaign.config
            _answer_all(Desk(mine, who), at_once=4)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"a{i}", i % 2 == 0)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    labels = [event for event in campaign.database.events() if event["kind"] == "label"]
    assert Counter(event["identifier"] for event in labels).most_common(1)[0][1] == 1
    assert len(campaign.labels()) == 48


def test_a_lease_ends_and_an_answer_that_comes_late_counts(make_campaign: MakeCampaign) -> None:
    campaign, clock = make_campaign(4, 0, lease_minutes=10), Clock()
    ann, bob = (Desk(campaign, who, clock=clock) for who in ("ann", "bob"))
    (first,) = ann.queue(1)
    clock.now += 9 * 60
    assert ann.renew() == 1
    clock.now += 9 * 60
    assert first.identifier not in {t.identifier for t in bob.queue(4)}
    clock.now += 11 * 60
    assert first.identifier in {t.identifier for t in bob.queue(4)}
    ann.answer(first.identifier, "none", task=first.token)
    bob.answer(first.identifier, "emission")
    assert campaign.database.state().disputed(first.identifier), "both opinions are kept"


def test_questions_given_back_are_free_at_once(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(3, 0)
    ann, bob = Desk(campaign, "ann"), Desk(campaign, "bob")
    assert len(ann.queue(3)) == 3
    assert bob.queue(3) == []
    assert ann.release() == 3
    assert len(bob.queue(3)) == 3


def test_two_windows_of_one_annotator_get_different_questions(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(8, 0)
    one, two = Desk(campaign, "ann", session="one"), Desk(campaign, "ann", session="two")
    a, b = one.queue(4), two.queue(4)
    assert not {t.identifier for t in a} & {t.identifier for t in b}
    for task in b:
        two.answer(task.identifier, "none", task=task.token)
    moved = two.queue(4)
    assert {t.identifier for t in moved} == {t.identifier for t in a}, "nothing else is left, so the other's are taken"
    two.answer(moved[0].identifier, "none", task=moved[0].token)
    late = one.answer(moved[0].identifier, "emission", task=moved[0].token)
    assert late.replaced == {moved[0].identifier: "none"}, "the other window is told"
    assert _held(campaign)[moved[0].identifier] == "emission"


def test_work_is_resumed_where_it_was(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign()
    desk = Desk(campaign, "ann")
    tasks = desk.queue(5)
    desk.answer(tasks[0].identifier, "none", task=tasks[0].token)
    campaign.close()
    again = Desk(Campaign(campaign.path), "ann").resume()
    assert again is not None
    assert (again.identifier, again.token) == (tasks[1].identifier, tasks[1].token)


def test_undo_goes_back_over_everything_and_redo_comes_forward(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign()
    desk = Desk(campaign, "ann")
    a, b, c = desk.queue(3)
    desk.answer(a.identifier, "none", task=a.token)
    desk.note(a.identifier, quality=3, flags=["noteworthy", "P Cygni"], comment="čárový profil ★")
    desk.skip(b.identifier, task=b.token)
    desk.answer_many({b.identifier: "bad", c.identifier: "not sure"})
    desk.answer(a.identifier, "emission")
    campaign.close()

    campaign = Campaign(campaign.path)
    desk = Desk(campaign, "ann")
    undone = [receipt.answers for receipt in iter(desk.undo, None)]
    assert undone == [
        {a.identifier: "emission"},
        {b.identifier: "bad", c.identifier: "not sure"},
        {b.identifier: None},
        {a.identifier: None},
        {a.identifier: "none"},
    ]
    assert _held(campaign) == {}
    assert desk.history() == []
    assert {t.identifier for t in desk.queue(3)} == {a.identifier, b.identifier, c.identifier}
    for _ in range(5):
        assert desk.redo() is not None
    assert desk.redo() is None
    assert _held(campaign) == {a.identifier: "emission", b.identifier: "bad", c.identifier: "not sure"}
    assert desk.history()[0].comment == "čárový profil ★"


def test_nothing_is_redone_after_something_new(make_campaign: MakeCampaign) -> None:
    desk = Desk(make_campaign(), "ann")
    a, b = desk.queue(2)
    desk.answer(a.identifier, "none", task=a.token)
    desk.undo()
    desk.answer(b.identifier, "none", task=b.token)
    assert desk.redo() is None


def test_one_takes_back_only_what_is_ones_own(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign()
    ann, bob = Desk(campaign, "ann"), Desk(campaign, "bob")
    (task,) = ann.queue(1)
    receipt = ann.answer(task.identifier, "none", task=task.token)
    assert bob.undo() is None
    with pytest.raises(CampaignError, match="no such action to take back"):
        bob.undo(receipt.action)
    assert ann.undo(receipt.action) is not None
    with pytest.raises(CampaignError, match="no such action to take back"):
        ann.undo(receipt.action)


def test_an_action_delivered_twice_counts_once(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign()
    desk = Desk(campaign, "ann")
    a, b = desk.queue(2)
    first = desk.answer(a.identifier, "none", task=a.token, action="uuid-1")
    desk.answer(b.identifier, "emission", task=b.token, action="uuid-2")
    assert desk.answer(a.identifier, "none", task=a.token, action="uuid-1") == first
    desk.undo(action="uuid-3")
    desk.undo(action="uuid-3")
    assert _held(campaign) == {a.identifier: "none"}
    assert len(campaign.database.events()) == 3
    with pytest.raises(CampaignError, match="belongs to another action"):
        desk.answer(a.identifier, "emission", action="uuid-1")
    with pytest.raises(CampaignError, match="belongs to another action"):
        Desk(campaign, "bob").answer(a.identifier, "none", action="uuid-1")


def test_an_action_that_comes_again_after_it_was_taken_back_closes_nothing(make_campaign: MakeCampaign) -> None:
    desk = Desk(make_campaign(), "anna", session="one")
    task = desk.queue(1)[0]
    desk.answer(task.identifier, "none", task=task.token, action="sent-by-two-tabs")
    desk.undo()
    desk.answer(task.identifier, "none", task=task.token, action="sent-by-two-tabs")
    assert _held(desk.campaign) == {}
    assert desk.queue(1)[0].token == task.token


def test_what_is_senseless_is_refused_and_stores_nothing(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign()
    desk = Desk(campaign, "ann")
    (task,) = desk.queue(1)
    name = task.identifier
    for act, message in (
        (lambda: desk.answer(name, "emision"), "no allowed answer.*'emision'"),
        (lambda: desk.answer("nobody", "none"), "never asked about"),
        (lambda: desk.answer_many({name: "none", "nobody": "none"}), "never asked about"),
        (lambda: desk.answer(name, "none", task="wrong"), "not handed out to this annotator"),
        (lambda: desk.answer(name, "none", seconds=float("nan")), "cannot take so long"),
        (lambda: desk.answer(name, "none", shown={"x": object()}), "cannot be kept"),
        (lambda: desk.answer(name, "none", shown={"x": "y" * 9000}), "too long"),
        (lambda: desk.note(name, quality=5), "is no quality.*5"),
        (lambda: desk.note(name, comment="x" * 5000), "too long a comment"),
        (lambda: desk.note(name, flags=["x" * 70]), "too long ones"),
        (lambda: desk.adjudicate(name, "none"), "nobody has labelled it"),
        (lambda: Desk(campaign, " "), "needs a name"),
        (lambda: Desk(campaign, "bob").answer(name, "none", task=task.token), "not handed out to this annotator"),
    ):
        with pytest.raises(CampaignError, match=message):
            act()
    assert campaign.database.events() == []


def test_everything_is_kept_for_an_audit(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign()
    (campaign.path / "models").mkdir()
    (campaign.path / "models" / "round-000.model").touch()
    desk = Desk(campaign, "Žofie")
    (task,) = desk.queue(1)
    desk.answer(task.identifier, "none", task=task.token, seconds=1.25, shown={"revealed": False, "smoothing": 3})
    (row,) = campaign.database.read("SELECT * FROM events")
    event = event_of(row)
    assert (event.who, event.seconds, event.model, event.task) == ("Žofie", 1.25, "round-000", task.token)
    assert event.shown == {"revealed": False, "smoothing": 3}
    assert event.time.endswith("Z")
    assert event.action


def test_going_back_keeps_edits_and_places(make_campaign: MakeCampaign) -> None:
    desk = Desk(make_campaign(), "ann")
    tasks = desk.queue(3)
    for task in tasks:
        desk.answer(task.identifier, "none", task=task.token)
    desk.note(tasks[0].identifier, comment="first")
    desk.answer(tasks[0].identifier, "emission", task=tasks[0].token)
    history = desk.history()
    assert [d.identifier for d in history] == [t.identifier for t in tasks]
    assert (history[0].answer, history[0].comment, history[0].task) == ("emission", "first", tasks[0].token)


def test_an_overlap_goes_to_several_and_disagreement_is_trained_on_by_nobody(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(16, 4, overlap=0.5, annotators=2)
    ann, bob, cid = (Desk(campaign, who) for who in ("ann", "bob", "cid"))
    a = _answer_all(ann, "none")
    b = _answer_all(bob, "emission")
    assert (len(a), len(b)) == (20, 10)
    assert set(b) <= set(a)
    assert _answer_all(cid) == []
    assert set(_held(campaign)) == set(a) - set(b)
    assert campaign.open_questions() == [], "what is in dispute has been answered"
    assert campaign.status()["disputed"] == 10
    ann.answer(b[0], "emission")
    assert _held(campaign)[b[0]] == "emission"
    cid.adjudicate(b[1], "bad", comment="saturated")
    assert _held(campaign)[b[1]] == "bad"
    cid.undo()
    assert b[1] not in _held(campaign)
    (label,) = (label for label in campaign.labels() if label.identifier == b[0])
    assert label.who == "ann, bob"


def test_what_is_in_dispute_is_not_trained_on_and_counts_as_undecided(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(6, 3, overlap=1.0)
    ann, bob = Desk(campaign, "ann"), Desk(campaign, "bob")
    names = [task.identifier for task in ann.queue(9)]
    ann.answer_many(dict.fromkeys(names, "none"))
    purposes = {q.identifier: q.purpose for q in campaign.database.questions()}
    disputed = [next(n for n in names if purposes[n] == purpose) for purpose in ("query", "control")]
    bob.answer_many(dict.fromkeys(disputed, "emission"))
    trained = training_set(campaign).identifiers.tolist()
    assert sorted(trained) == sorted(n for n in names if purposes[n] == "query" and n not in disputed)
    for name in names:
        (row,) = campaign.pool.rows([name])
        assert answers_by_row(campaign, purposes[name])[int(row)] == (None if name in disputed else 0)
    assert set(names) <= set(campaign.identifiers(known_rows(campaign))) | {
        n for n in names if purposes[n] == "control"
    }


def test_some_questions_come_again_and_never_replace_the_first_answer(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(60, 20, repeats=0.1)
    desk = Desk(campaign, "ann")
    seen = _answer_all(desk, "none", 2)
    again = [name for name, count in Counter(seen).items() if count == 2]
    assert 5 <= len(again) <= 8
    assert len(seen) == 80 + len(again)
    for name in again:
        places = [i for i, other in enumerate(seen) if other == name]
        assert places[1] - places[0] >= 10
    assert len(campaign.labels()) == 80
    kinds = Counter(event["kind"] for event in campaign.database.events())
    assert kinds == {"label": 80, "repeat": len(again)}


def test_another_answer_to_a_repeat_changes_nothing(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(60, 0, repeats=0.2)
    desk = Desk(campaign, "ann")
    known: dict[str, str] = {}
    while tasks := desk.queue(2):
        for task in tasks:
            silent = task.identifier in known
            receipt = desk.answer(task.identifier, "emission" if silent else "none", task=task.token)
            assert receipt.replaced == {}, "the receipt does not tell it from a first answer"
            known[task.identifier] = "none"
            if silent:
                desk.undo()
                (back,) = [t for t in desk.queue(3) if t.token == task.token]
                desk.note(back.identifier, comment="seen before?", task=back.token)
                desk.answer(back.identifier, "emission", task=back.token)
    assert set(_held(campaign).values()) == {"none"}
    assert sum(d.answer == "emission" for d in desk.history()) >= 5
    assert all(event is None for event in (campaign.database.state().note("ann", name) for name in known))


def test_progress_counts_the_way(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(10, 5)
    desk = Desk(campaign, "ann")
    assert Desk(campaign, "ann").progress().total == 15
    for task in desk.queue(4):
        desk.answer(task.identifier, "none", task=task.token)
    progress = desk.progress()
    assert (progress.round, progress.done, progress.left, progress.asked, progress.answered) == (0, 4, 11, 15, 4)
    assert {field for field in vars(progress) if "control" in field or "query" in field} == set()
    campaign.database.finish_round(0, {})
    ask(campaign, 1, 6, 0)
    progress = desk.progress()
    assert (progress.round, progress.done, progress.left, progress.earlier) == (1, 0, 6, 11)
    names = [task.identifier for task in desk.queue(17)]
    assert all(campaign.database.questions(1)[i].identifier in names[:6] for i in range(6)), "the new round comes first"
    assert len(names) == 17


def test_the_state_in_memory_is_that_of_a_replay(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(repeats=0.3)
    _answer_all(Desk(campaign, "ann"))
    Desk(campaign, "ann").undo()
    events = [event_of(row) for row in campaign.database.read("SELECT * FROM events ORDER BY id")]
    assert isinstance(campaign.database.state(), State)
    assert campaign.database.state() == replay(events) == Campaign(campaign.path).database.state()
