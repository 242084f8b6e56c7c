"""A desk shows its user's own jobs; of the others it does not even say that they are there."""

from __future__ import annotations

import inspect

import pytest

from emberline.jobs import JobDesk, JobNotFoundError, JobStore, Phase
from tests.jobs.clerk import do, register

ON_ONE_JOB = {
    "job": lambda desk, id: desk.job(id),
    "wait": lambda desk, id: desk.wait(id, 5),
    "log": lambda desk, id: desk.log(id),
    "result_path": lambda desk, id: desk.result_path(id, "a.txt"),
    "update": lambda desk, id: desk.update(id, label="mine"),
    "update the parameters": lambda desk, id: desk.update(id, parameters={"itmes": 1}),
    "rerun": lambda desk, id: desk.rerun(id, parameters={"itmes": 1}),
    "run": lambda desk, id: desk.run(id),
    "abort": lambda desk, id: desk.abort(id),
    "archive": lambda desk, id: desk.archive(id),
    "delete": lambda desk, id: desk.delete(id),
}


@pytest.fixture
def eve(store):
    return JobDesk(store, "eve")


@pytest.fixture
def adam(store):
    return JobDesk(store, "adam")


@pytest.mark.parametrize("name", ON_ONE_JOB)
def test_others_jobs_look_as_if_they_were_not_there(store, eve, adam, name):
    job = eve.create("count", {})
    register(store, job.id, "a.txt")
    gone = "20200101-000000-000-aaaaaa"
    messages = []
    for id in (job.id, gone):
        with pytest.raises(JobNotFoundError) as caught:
            ON_ONE_JOB[name](adam, id)
        messages.append(str(caught.value).replace(id, "ID"))
    assert messages[0] == messages[1]
    assert store.job(job.id).to_mapping() == eve.job(job.id).to_mapping()
    assert store.job(job.id).label == ""
    assert store.count() == 1


def test_every_method_on_one_job_is_checked():
    methods = {
        name
        for name, item in vars(JobDesk).items()
        if inspect.isfunction(item) and name[0] != "_" and "id" in inspect.signature(item).parameters
    }
    assert methods == {name.split()[0] for name in ON_ONE_JOB}


def test_the_desk_has_the_methods_of_the_store_that_users_need():
    internal = {"changed", "close", "expire", "job_folder", "owners", "stop_orphans", "supervised"}
    public = {name for name, item in vars(JobStore).items() if inspect.isfunction(item) and name[0] != "_"}
    assert public - internal == {name for name in vars(JobDesk) if name[0] != "_" and name != "types"}
    for name in public - internal:
        ours = inspect.signature(getattr(JobDesk, name)).parameters
        theirs = inspect.signature(getattr(JobStore, name)).parameters
        assert set(theirs) - set(ours) <= {"owner", "clone_of"}, name
        assert [str(ours[key]) for key in ours] == [str(theirs[key]) for key in ours], name


def test_a_user_does_everything_with_a_job_of_their_own(store, eve):
    job = eve.create("count", {"items": 1}, label="one", duration=5, destruction="2030-01-01")
    assert (job.owner, job.label, job.duration) == ("eve", "one", 5)
    assert eve.update(job.id, label="two").label == "two"
    assert eve.run(job.id).phase == Phase.QUEUED
    assert eve.wait(job.id, 0).phase == Phase.QUEUED
    do(store, job.id, "start", "complete")
    register(store, job.id, "a.txt", "result")
    assert eve.result_path(job.id, "a.txt").read_text() == "result"
    assert eve.log(job.id) == ("", 0)
    clone = eve.rerun(job.id, parameters={"items": 2})
    assert (clone.owner, clone.clone_of, clone.parameters) == ("eve", job.id, {"items": 2})
    assert eve.abort(clone.id).phase == Phase.ABORTED
    assert eve.archive(job.id).phase == Phase.ARCHIVED
    eve.delete(job.id)
    assert [found.id for found in eve.jobs(phases=list(Phase))] == [clone.id]
    assert eve.types == store.types
    assert eve.version() == store.version()


def test_lists_hold_the_users_own_jobs(store, eve, adam):
    mine = [eve.create("count", {}, run=run).id for run in (True, False)]
    adam.create("count", {}, label="eve's rival")
    assert [job.id for job in eve.jobs()] == mine[::-1]
    assert eve.count() == eve.count(owner="eve") == 2
    assert [job.id for job in eve.jobs(phases=["QUEUED"], last=5)] == mine[:1]
    assert eve.jobs(owner="adam") == []
    assert eve.count(owner="adam") == 0
    assert [job.owner for job in eve.jobs(search="eve")] == ["eve", "eve"]
    assert len(eve.jobs(last=1)) == 1
    assert eve.jobs(limit=1, offset=1)[0].id == mine[0]


def test_who_may_see_all_sees_all(store, eve, adam):
    manager = JobDesk(store, "maria", all=True)
    job, other = eve.create("count", {}), adam.create("count", {})
    assert {found.id for found in manager.jobs()} == {job.id, other.id}
    assert manager.count(owner="eve") == 1
    assert manager.abort(job.id).owner == "eve"
    assert manager.rerun(other.id).owner == "maria"
    assert manager.create("count", {}).owner == "maria"
    with pytest.raises(JobNotFoundError):
        manager.job("20200101-000000-000-aaaaaa")


def test_jobs_without_an_owner_are_not_everybodys(store, eve):
    job = store.create("count", {})
    with pytest.raises(JobNotFoundError):
        eve.job(job.id)
    assert JobDesk(store, "").job(job.id) == job
