"""Parameters: described for forms, read from text, checked all at once, paths kept inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.confinement import Confinement
from emberline.jobs import Field, JobType, ParameterError, describe, from_text, parameter, validate


@dataclasses.dataclass(frozen=True)
class Everything:
    archive: Path = parameter("Where it goes.", kind="new-archive")
    name: str = parameter("What it is called.")
    count: int = parameter("How many.", default=3)
    share: float = parameter("Which part.", default=0.5)
    quick: bool = parameter("Whether to hurry.", default=False)
    method: Literal["small", "large"] = parameter("Which way.", default="small")
    files: tuple[Path, ...] = parameter("What to read.", kind="files", default=())
    classes: tuple[str, ...] = parameter("What to tell apart.", default_factory=lambda: ("be", "other"))
    window: tuple[float, float] = parameter("From and to.", default=(6519.0, 6732.0))
    seed: int | None = parameter("Where chance begins.", default=None)
    note: str | None = parameter("Anything.", default=None)
    model: Path | None = parameter("What to begin with.", kind="file", default=None)
    either: int | str = parameter("A number or a word.", default=0)
    days: tuple[int, ...] | None = parameter("Which nights.", default=None)
    level: Literal[1, 2] = parameter("How deep.", default=1)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count = {self.count} is negative")
        if self.quick and self.method == "large":
            raise ValueError("a hurry and the large method exclude each other")


TYPE = JobType("everything", "Everything", "", Everything, "x:y", writes=("archive",))
NAMES = tuple(field.name for field in dataclasses.fields(Everything))
NEEDED: Mapping[str, Any] = {"archive": "new", "name": "n"}


def wrong(
    mapping: Mapping[str, Any], confinement: Confinement | None = None, job_type: JobType = TYPE
) -> dict[str, str]:
    with pytest.raises(ParameterError) as caught:
        validate(job_type, mapping, confinement)
    return caught.value.fields


def test_parameters_are_described_for_forms():
    fields = {field.name: field for field in describe(Everything)}
    assert list(fields) == [field.name for field in dataclasses.fields(Everything)]
    assert fields["archive"] == Field("archive", "Where it goes.", "new-archive", "path", True, None)
    assert fields["method"] == Field("method", "Which way.", "", "choice", False, "small", ("small", "large"))
    assert fields["classes"] == Field("classes", "What to tell apart.", "", "list", False, ["be", "other"])
    assert fields["files"] == Field("files", "What to read.", "files", "list", False, [])
    assert fields["seed"] == Field("seed", "Where chance begins.", "", "integer", False, None)
    types = {name: field.type for name, field in fields.items()}
    assert types["share"] == "number"
    assert types["quick"] == "boolean"
    assert types["note"] == types["either"] == "text"
    assert types["model"] == "path"
    assert fields["level"].choices == ("1", "2")


def test_what_is_not_flat_is_an_error_of_the_programmer():
    @dataclasses.dataclass(frozen=True)
    class Table:
        weights: dict[str, float] = parameter("No.", default_factory=dict)

    @dataclasses.dataclass(frozen=True)
    class Nested:
        inner: tuple[Everything, ...] = ()

    for kind in (Table, Nested):
        with pytest.raises(TypeError, match=r"cannot be a job's parameter"):
            describe(kind)


def test_defaults_hold_and_values_are_converted():
    found = validate(TYPE, {**NEEDED, "share": 1, "window": [1, 2], "days": [3]}, None)
    assert found == Everything(Path("new"), "n", share=1.0, window=(1.0, 2.0), days=(3,))
    assert validate(TYPE, {**NEEDED, "seed": None, "model": None}, None).seed is None


def test_all_that_is_wrong_is_said_at_once():
    found = wrong(
        {
            "nmae": "n", "count": "three", "share": float("nan"), "quick": 1, "method": "larg", "files": "a",
            "window": [1], "model": "", "note": "bell\a", "classes": ["a", 2], "zzzzzz": 1,
        }
    )  # fmt: skip
    assert found["nmae"] == "is no parameter of this job; did you mean 'name'?"
    assert found["zzzzzz"].startswith("is no parameter of this job; known are archive, name")
    assert found["archive"] == found["name"] == "is missing"
    assert found["count"] == "expected a whole number, found 'three'"
    assert found["share"] == "expected a finite number, found nan"
    assert found["quick"] == "expected true or false, found 1"
    assert found["method"] == "expected one of 'small', 'large', found 'larg'. Did you mean 'large'?"
    assert found["files"] == "expected an array, found 'a'"
    assert found["window"].startswith("expected an array of 2")
    assert found["model"] == "expected a path, found none"
    assert found["note"] == "has control characters in it"
    assert found["classes"] == "expected text, found 2"


def test_what_the_dataclass_refuses_stands_at_its_field():
    assert wrong({**NEEDED, "count": -1}) == {"count": "count = -1 is negative"}
    assert wrong({**NEEDED, "quick": True, "method": "large"}) == {
        "": "a hurry and the large method exclude each other"
    }


def test_odd_mappings_are_refused_in_words():
    assert wrong([("name", "n")]) == {"": "expected names with values"}  # type: ignore[arg-type]
    assert wrong({**NEEDED, "either": "a", "dys": 1})["dys"].endswith("did you mean 'days'?")
    assert wrong({**NEEDED, "count": "9" * 500})["count"].endswith("…")
    assert wrong({**NEEDED, "name": "\ud800"}) == {"name": "has control characters in it"}

    @dataclasses.dataclass(frozen=True)
    class Hyphens:
        two_words: int = 0

    job_type = JobType("h", "", "", Hyphens, "x:y")
    assert validate(job_type, {"two-words": 1}, None).two_words == 1
    assert wrong({"two-words": 1, "two_words": 2}, job_type=job_type) == {"two_words": "is given twice"}
    assert "none is known" not in wrong({"x": 1}, job_type=job_type)["x"]


# Paths --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bounds(tmp_path: Path) -> Confinement:
    for folder in ("work/a", "work/jobs", "data", "secret"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "work" / "out").symlink_to(tmp_path / "secret")
    return Confinement((tmp_path / "work").resolve(), (tmp_path / "data",))


def test_paths_are_absolute_and_inside(bounds, tmp_path):
    found = validate(TYPE, {**NEEDED, "files": ["a/x.fits", str(tmp_path / "data" / "y")], "model": "m.pt"}, bounds)
    root = bounds.root
    assert found.archive == root / "new"
    assert found.files == (root / "a" / "x.fits", (tmp_path / "data" / "y").resolve())
    assert found.model == root / "m.pt"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "out/x", "a/../../secret", "out", "../data/x\0"])
def test_paths_that_lead_out_are_named_at_their_field(bounds, path):
    found = wrong({**NEEDED, "files": ["a", path], "model": path}, bounds)
    assert set(found) == {"files", "model"}


def test_what_is_written_must_be_in_the_workspace_itself(bounds, tmp_path):
    data = str(tmp_path / "data" / "new")
    assert "leads out" in wrong({**NEEDED, "archive": data}, bounds)["archive"]
    assert validate(TYPE, {**NEEDED, "model": data}, bounds).model == Path(data).resolve()
    named = dataclasses.replace(TYPE, writes=("model",))
    assert "leads out" in wrong({**NEEDED, "model": data}, bounds, named)["model"]
    assert "the workspace itself" in wrong({**NEEDED, "archive": "."}, bounds)["archive"]


@pytest.mark.parametrize("path", ["jobs", "jobs/x/results/a", "a/../jobs", ".emberline/accounts.db", "jobs/*"])
def test_the_engines_own_folders_are_out_of_reach(bounds, path):
    assert "kept for the workspace itself" in wrong({**NEEDED, "model": path}, bounds)["model"]
    assert "kept for" in wrong({**NEEDED, "archive": path}, bounds)["archive"]


def test_of_a_pattern_the_part_before_it_is_confined(bounds):
    root = bounds.root
    found = validate(TYPE, {**NEEDED, "files": ["a/*/x?.fits", "[ab]/**/*.fits", "*"]}, bounds)
    assert found.files == (root / "a" / "*" / "x?.fits", root / "[ab]" / "**" / "*.fits", root / "*")
    for path in ("../secret/*", "out/*.fits", "a/*/../../../secret/*", "/etc/*", "/*"):
        assert set(wrong({**NEEDED, "files": [path]}, bounds)) == {"files"}
    (root / "a" / "b[1].fits").write_text("")
    (root / "a" / "b[2].fits").symlink_to(root.parent / "secret")
    assert validate(TYPE, {**NEEDED, "files": ["a/b[1].fits"]}, bounds).files == (root / "a" / "b[1].fits",)
    assert set(wrong({**NEEDED, "files": ["a/b[2].fits"]}, bounds)) == {"files"}


def test_paths_that_are_defaults_are_confined_too(bounds):
    @dataclasses.dataclass(frozen=True)
    class Defaults:
        out: Path = parameter("", kind="new-archive", default=Path("made"))
        outside: Path = parameter("", default=Path("/etc"))

    job_type = JobType("d", "", "", Defaults, "x:y")
    assert set(wrong({}, bounds, job_type)) == {"outside"}
    assert validate(job_type, {"outside": "a"}, bounds).out == bounds.root / "made"
    assert validate(job_type, {}, None) == Defaults()


# From text ----------------------------------------------------------------------------------------------------------


def test_text_becomes_values():
    found = from_text(
        Everything,
        {
            "ARCHIVE": ["new"], "Name": ["n"], "count": [" 4 "], "share": ["1e-3"], "quick": ["false", "on"],
            "method": ["large"], "files": ["a b.fits\r\nc,d.fits\n", "e"], "window": ["1.5, 2"], "seed": ["7"],
            "either": ["8"], "days": ["1", "2,3"], "level": ["2"],
        },
    )  # fmt: skip
    assert found == {
        "archive": "new", "name": "n", "count": 4, "share": 1e-3, "quick": True, "method": "large",
        "files": ["a b.fits", "c,d.fits", "e"], "window": [1.5, 2.0], "seed": 7, "either": "8", "days": [1, 2, 3],
        "level": 2,
    }  # fmt: skip
    assert validate(TYPE, {**found, "quick": False}, None).level == 2


def test_what_is_left_empty_takes_its_default():
    empty = {name: [""] for name in (field.name for field in describe(Everything))}
    found = from_text(Everything, empty)
    assert found == {"classes": [], "files": [], "seed": None, "note": None, "model": None, "days": None}
    assert set(wrong(found)) == {"archive", "name"}

    @dataclasses.dataclass(frozen=True)
    class Text:
        note: str = "something"

    assert from_text(Text, {"note": [""]}) == {"note": ""}
    assert from_text(Text, {"note": []}) == {}


def test_text_that_does_not_fit_is_named_with_everything_else():
    found = from_text(
        Everything,
        {"count": ["four"], "share": ["nan"], "quick": ["maybe"], "level": ["3"], "name": ["a", "b"], "nonsense": ["1"],
         "seed": ["١٢"], "days": ["1,x"]},
    )  # fmt: skip
    assert set(wrong(found)) == {
        "archive", "count", "share", "quick", "level", "name", "nonsense", "seed", "days"
    }  # fmt: skip


def test_names_that_differ_in_case_are_one():
    assert from_text(Everything, {"files": ["a"], "FILES": ["b"]})["files"] == ["a", "b"]


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: "\ufffe" not in text and "\uffff" not in text
)
lines = words.map(str.strip).filter(lambda text: text != "" and text.splitlines() == [text])
values = st.fixed_dictionaries(
    {"archive": lines, "name": words},
    optional={
        "count": st.integers(0, 10**17),
        "share": st.floats(allow_nan=False, allow_infinity=False),
        "quick": st.booleans(),
        "classes": st.lists(lines),
        "files": st.lists(lines),
        "window": st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)).map(list),
        "seed": st.integers(-(10**17), 10**17),
        "note": words,
        "days": st.lists(st.integers(0, 10**6), min_size=1),  # none is as good as empty where that is allowed
        "level": st.sampled_from([1, 2]),
    },
)


def as_text(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


@given(values)
def test_values_survive_being_text(mapping):
    texts = {name.upper(): as_text(value) for name, value in mapping.items()}
    assert from_text(Everything, texts) == mapping


@given(values)
def test_what_was_valid_is_what_the_instance_holds(mapping):
    found = validate(TYPE, mapping, None)
    for name, value in mapping.items():
        held = getattr(found, name)
        expected = tuple(map(Path, value)) if name == "files" else Path(value) if name == "archive" else value
        assert held == (tuple(value) if isinstance(value, list) and name != "files" else expected)


def outcome(mapping: Mapping[str, Any], confinement: Confinement | None) -> Everything | dict[str, str]:
    """What comes of a mapping: an instance, or what is wrong with it."""
    try:
        return validate(TYPE, mapping, confinement)
    except ParameterError as error:
        return error.fields


@given(st.dictionaries(st.sampled_from([*NAMES, "x", "NAME"]), st.lists(st.text())))
def test_no_text_is_a_crash(texts):
    mapping = from_text(Everything, texts)
    found = outcome(mapping, None)
    if isinstance(found, dict):
        assert found
        assert all(isinstance(text, str) and text for text in found.values())
    else:
        assert isinstance(found, Everything)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*NAMES, "x"]), json_values))
def test_no_json_is_a_crash(mapping):
    bounds = Confinement(Path("/nowhere"))
    for confinement in (None, bounds):
        found = outcome(mapping, confinement)
        assert found
        if not isinstance(found, dict) and confinement is not None:
            assert found.archive.is_relative_to("/nowhere")
