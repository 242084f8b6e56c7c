"""The store of jobs: made, listed, counted, looked for; what is wrong is said."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

import pytest

from emberline._version import __version__
from emberline.jobs import (
    JobError,
    JobNotFoundError,
    JobStore,
    ParameterError,
    Phase,
)
from emberline.jobs._schema import change
from tests.jobs.clerk import TYPES, do


def test_a_job_is_made_and_found_again(store):
    made = store.create("count", {"items": 4}, owner="eve", label="  my \n first ")
    assert made == store.job(made.id)
    assert (made.type, made.label, made.owner, made.phase) == ("count", "my first", "eve", Phase.PENDING)
    assert made.parameters == {"items": 4}
    assert made.queued is made.started is made.ended is made.failure is made.progress is made.destruction is None
    assert made.duration == made.attempt == 0
    assert json.dumps(made.to_mapping())
    queued = store.create("greet", {"name": "Škoda ☆"}, run=True)
    assert queued.phase == Phase.QUEUED
    assert queued.queued == queued.created
    assert queued.version > made.version


def test_what_was_asked_lies_in_the_jobs_folder_for_people(store):
    job = store.create("count", {"items": 4})
    text = (store.job_folder(job.id) / "parameters.toml").read_text(encoding="utf-8")
    assert text.startswith("# Count things: count, parameters ")
    assert __version__ in text.splitlines()[0]
    assert "items = 4" in text
    store.update(job.id, parameters={"out": "a"})
    assert 'items = 3\nout = "a"' in (store.job_folder(job.id) / "parameters.toml").read_text()
    assert sorted(os.listdir(store.job_folder(job.id))) == ["parameters.toml", "results"]


def test_identifiers_sort_by_time_and_are_safe_in_addresses(store):
    made = [store.create("count", {}) for _ in range(50)]
    assert [job.id for job in made] == sorted(job.id for job in made)
    assert [job.created for job in made] == sorted({job.created for job in made})
    assert all(set(job.id) <= set("0123456789abcdefghijklmnopqrstuvwxyz-") for job in made)
    assert [job.id for job in store.jobs()] == [job.id for job in reversed(made)]


def test_a_clock_set_back_far_is_followed(store):
    job = store.create("count", {})
    with store.database.transaction() as connection:
        change(connection, job.id, created="2999-01-01T00:00:00.000Z")
    assert store.create("count", {}).created < "2999"


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        ({"type": "cuont"}, "type", "did you mean 'count'"),
        ({"type": "zzz"}, "type", "there are count, greet"),
        ({"parameters": {"itmes": 1}}, "itmes", "did you mean 'items'"),
        ({"parameters": {"out": "../x"}}, "out", "leads out of the workspace"),
        ({"label": "x" * 201}, "label", "201 characters, expected 200"),
        ({"label": "bell\a"}, "label", "control characters"),
        ({"label": 3}, "label", "expected text"),
        ({"duration": -1}, "duration", "from 0"),
        ({"duration": float("inf")}, "duration", "from 0"),
        ({"duration": "1"}, "duration", "expected seconds"),
        ({"destruction": "tomorrow"}, "destruction", "is no time"),
        ({"type": "greet", "parameters": {"name": "x" * (1 << 20)}}, "", "too long"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(store, arguments, field, words):
    with pytest.raises(ParameterError) as caught:
        store.create(**{"type": "count", "parameters": {}, **arguments})
    assert words in caught.value.fields[field]
    assert store.count() == 0
    assert [entry for entry in os.listdir(store.folder) if not entry.startswith("jobs.db")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-31", "2030-01-31T00:00:00.000Z"),
        ("2030-01-31T12:00", "2030-01-31T12:00:00.000Z"),
        ("2030-01-31 12:00:01", "2030-01-31T12:00:01.000Z"),
        ("2030-01-31T12:00:01Z", "2030-01-31T12:00:01.000Z"),
        ("2030-01-31T12:00:01.25Z", "2030-01-31T12:00:01.250Z"),
        ("2030-01-31T12:00:01.123456", "2030-01-31T12:00:01.123Z"),
        ("2030-01-31T12:00:01+02:00", "2030-01-31T10:00:01.000Z"),
    ],
)
def test_times_are_taken_as_people_write_them(store, text, expected):
    job = store.create("count", {}, destruction=text)
    assert job.destruction == expected
    assert store.update(job.id, destruction="").destruction is None


@pytest.mark.parametrize(
    "text", ["", "now", "2030", "2030-13-01", "31.1.2030", "2030-01-31T25:00", "٢٠٣٠-01-01", "0001-01-01T00:00+23:00"]
)
def test_what_is_no_time_is_refused(store, text):
    with pytest.raises(JobError, match="is no time"):
        store.jobs(after=text)


def test_limits_are_set_for_jobs_that_say_nothing(tmp_path):
    with JobStore(tmp_path / "jobs", TYPES, default_duration=3600, keep_days=2) as store:
        job = store.create("count", {})
        assert job.duration == 3600
        days = datetime.datetime.fromisoformat(job.destruction) - datetime.datetime.fromisoformat(job.created)
        assert abs(days - datetime.timedelta(days=2)) < datetime.timedelta(seconds=10)
        other = store.create("count", {}, duration=0, destruction="")
        assert (other.duration, other.destruction) == (0, None)


def test_paths_that_jobs_write_are_kept_for_the_engine(store, tmp_path):
    job = store.create("count", {"out": "a/b"})
    with store.database.read() as connection:
        row = connection.execute(
            "SELECT writes, emberline, parameters_hash FROM jobs WHERE id = ?", (job.id,)
        ).fetchone()
    assert json.loads(row[0]) == [str(tmp_path.resolve() / "a" / "b")]
    assert row[1] == __version__
    assert len(row[2]) == 16


def test_lists_are_filtered(store):
    a = store.create("count", {}, owner="eve", label="Night 1")
    b = store.create("greet", {"name": "x"}, owner="adam", label="ŠKODA 100%", run=True)
    c = store.create("count", {}, owner="eve", run=True)
    d = store.create("count", {}, owner="eve", label="old")
    do(store, d.id, "abort", "archive")

    def ids(**filters: Any) -> list[str]:
        found = [job.id for job in store.jobs(**filters)]
        assert store.count(**filters) == len(found)
        return found

    assert ids() == [c.id, b.id, a.id]
    assert ids(phases=["PENDING"]) == [a.id]
    assert ids(phases=["queued", Phase.ARCHIVED]) == [d.id, c.id, b.id]
    assert ids(phases=[]) == ids(phases=None) == ids()
    assert ids(type="count") == ids(owner="eve") == [c.id, a.id]
    assert ids(type="zzz") == ids(owner="") == []
    assert ids(after=a.created) == [c.id, b.id]
    assert ids(after=a.created.removesuffix("Z")) == [c.id, b.id]
    assert ids(last=2) == [c.id, b.id]
    assert ids(last=0) == []
    assert ids(last=1, owner="adam") == [b.id]
    assert ids(last=1, phases=["QUEUED"], after=a.created, type="greet") == [b.id]
    assert ids(search="škoda") == ids(search=" 0% ") == ids(search="ADAM") == ids(search="greet") == [b.id]
    assert ids(search=a.id[-8:]) == [a.id]
    assert ids(search="%") == [b.id]
    assert ids(search="_") == []
    assert ids(search="  ") == ids()


def test_lists_come_in_pages(store):
    made = [store.create("count", {}).id for _ in range(7)][::-1]
    assert [job.id for job in store.jobs(limit=3)] == made[:3]
    assert [job.id for job in store.jobs(limit=3, offset=5)] == made[5:]
    assert [job.id for job in store.jobs(last=4, limit=3, offset=2)] == made[2:4]
    assert store.jobs(last=4, offset=5) == []
    assert store.count(last=4) == 4
    assert store.count(last=40) == 7
    for name in ("limit", "offset", "last"):
        with pytest.raises(JobError, match=f"{name}: is no number of jobs"):
            store.jobs(**{name: -1})


def test_unknown_phases_are_refused_with_the_nearest(store):
    with pytest.raises(JobError, match=r"found 'EXECUTNG'.*Did you mean EXECUTING"):
        store.jobs(phases=["EXECUTNG"])


@pytest.mark.parametrize("id", ["", "..", "no", "../../etc/passwd", "a\0b", "\ud800", "x" * 10_000])
def test_jobs_that_are_not_there(store, id):
    calls = [
        store.job, store.run, store.abort, store.archive, store.delete, store.rerun, store.log,
        lambda id: store.wait(id, 1), lambda id: store.result_path(id, "x"), lambda id: store.update(id, label="x"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(JobError) as caught:
            call(id)
        assert isinstance(caught.value, JobNotFoundError) or id == "\ud800"
    assert store.version() == 0
