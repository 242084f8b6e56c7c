"""The documents: links resolve, commands and configuration are all explained, examples parse."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

import click
import pytest

from emberline.jobs import JobType, describe

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def _load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("emberline_reference", DOCS / "_ext" / "emberline_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["emberline_reference"] = module
    spec.loader.exec_module(module)
    return module


reference = _load_reference()

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    if not {"_build", "_generated"} & set(path.relative_to(ROOT).parts)
)
COMMANDS = list(reference.commands())


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a document in any of `languages`."""
    pattern = rf"^(?P<fence>`{{3,}}|:{{3,}})(?:{'|'.join(languages)})\s*\n(.*?)^(?P=fence)\s*$"
    return [match[2] for match in re.finditer(pattern, text, flags=re.MULTILINE | re.DOTALL)]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_between_documents_resolve(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        if "_generated" in place.parts:
            known = {"commands", "configuration", "columns", "job-types", "python", *reference.MODULES}
            if place.stem not in known:
                broken.append(target)
        elif not place.exists() or (fragment and place.suffix == ".md" and fragment not in anchors(place)):
            broken.append(target)
    assert not broken, f"{page_name(path)} links to {broken}"


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_examples_parse(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for block in code_blocks(text, "python"):
        ast.parse(block)
    for block in code_blocks(text, "toml"):
        tomllib.loads(block)


def shell_lines(text: str) -> list[list[str]]:
    """The `emberline …` commands in the shell blocks of a document, continuation lines joined."""
    lines = []
    for block in code_blocks(text, "sh", "bash", "console", "shell"):
        for line in block.replace("\\\n", " ").splitlines():
            command, _, rest = line.strip().removeprefix("$ ").partition(" ")
            if command in ("emberline", ".venv/bin/emberline"):  # other commands may quote over several lines
                lines.append(shlex.split(rest, comments=True))
    return lines


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_commands_shown_in_documents_exist(path: Path) -> None:
    """Each `emberline …` in a shell block names a real command with real options."""
    for words in shell_lines(path.read_text(encoding="utf-8")):
        command: click.Command = reference.application()
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            context = click.Context(command)
            inner = command.get_command(context, rest[0])
            assert inner is not None, f"{page_name(path)}: no command {rest[0]!r} in `emberline {' '.join(words)}`"
            command, rest = inner, rest[1:]
        known = {"--help", "--version"}
        for parameter in command.params:
            known |= {*parameter.opts, *parameter.secondary_opts}
        unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
        assert not unknown, f"{page_name(path)}: `emberline {' '.join(words)}` has no {unknown}"


@pytest.mark.parametrize("command", COMMANDS, ids=[command.title for command in COMMANDS])
def test_every_command_and_option_is_explained(command: object) -> None:
    assert isinstance(command, reference.Command)
    text = command.click.help or ""
    assert len(text) > 20, f"{command.title}: no help"
    shown = command.click.get_help(click.Context(command.click, info_name=command.title))
    assert f"Example: {command.title} " in shown, f"{command.title}: --help shows no example"
    silent = [option.name for option in command.options if not (option.help or "").strip()]
    assert not silent, f"{command.title}: no help for {silent}"


def test_the_reference_holds_every_command_and_option() -> None:
    page = reference.command_page()
    for command in COMMANDS:
        assert f"## {command.title}\n" in page
        section = page.partition(f"## {command.title}\n")[2].partition("\n## ")[0]
        for option in command.options:
            assert all(f"`{name}`" in section for name in option.opts), f"{command.title} {option.opts}"


def test_the_commands_promised_are_there() -> None:
    promised = (
        "ingest, info, simulate, features, campaign new, campaign run, campaign status, candidates, report, demo, "
    )
    promised += "campaign round, campaign predict, serve, jobs list, jobs show, jobs submit, jobs wait, jobs abort, "
    promised += "jobs rerun, jobs delete, jobs log"
    assert {f"emberline {name}" for name in promised.split(", ")} <= {command.title for command in COMMANDS}


def test_a_programs_commands_speak_json() -> None:
    speaking = {command.title for command in COMMANDS if any("--json" in option.opts for option in command.options)}
    assert {"emberline info", "emberline campaign status"} <= speaking


@pytest.mark.parametrize("name", reference.CONFIGURATION)
def test_every_configuration_key_is_explained(name: str) -> None:
    keys = list(reference.configuration_keys(reference.resolve(name)))
    silent = [f"[{key.table}] {key.name}" for key in keys if not key.text]
    assert keys
    assert not silent, f"{name}: not described in the class's docstring: {silent}"


JOB_TYPES = reference.resolve(reference.JOB_TYPES)


@pytest.mark.parametrize("job_type", JOB_TYPES, ids=lambda job_type: job_type.name)
def test_every_job_type_and_parameter_is_explained(job_type: JobType) -> None:
    assert len(job_type.title) > 5
    assert job_type.description.endswith(".")
    silent = [field.name for field in describe(job_type.parameters) if len(field.help) < 10]
    assert not silent, f"{job_type.name}: no help for {silent}"
    assert all(preset.description.endswith(".") for preset in job_type.presets)
    section = reference.job_types_page().partition(f"## {job_type.name}\n")[2].partition("\n## ")[0]
    for field in describe(job_type.parameters):
        assert f"| `{field.name}` |" in section
        assert reference._cell(field.help) in section


def test_the_how_to_names_every_job_type() -> None:
    page = (DOCS / "howto" / "jobs.md").read_text(encoding="utf-8")
    assert [job_type.name for job_type in JOB_TYPES if f"| `{job_type.name}` |" not in page] == []


@dataclasses.dataclass(frozen=True)
class Inner:
    """A table.

    Attributes
    ----------
    low, high : float
        The ends
        of it.
    """

    low: float = 0.5
    high: float = 1.0
    bare: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outer:
    """The whole.

    Attributes
    ----------
    name : str
        What it is called.
    """

    name: str
    kind: Literal["a", "b"] = "a"
    inner: Inner = dataclasses.field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


def test_configuration_is_read_from_dataclasses() -> None:
    keys = {(key.table, key.name): key for key in reference.configuration_keys(Outer)}
    assert keys["", "name"].text == "What it is called."
    assert keys["", "name"].default == "required"
    assert keys["", "kind"].kind == '"a" or "b"'
    assert keys["", "kind"].text == ""
    assert keys["", "many"].kind == "tables"
    assert keys["inner", "low"].text == keys["inner", "high"].text == "The ends of it."
    assert keys["[many]", "low"].default == "0.5"
    assert keys["inner", "bare"].kind == "array of whole number"


@pytest.fixture
def documented_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The reader of the how-to, registered as if its package were installed; yields the how-to's example file."""
    from emberline.archive import readers

    page = (DOCS / "howto" / "write-a-reader.md").read_text(encoding="utf-8")
    module = ModuleType("mysurvey")
    exec(code_blocks(page, "python")[0], module.__dict__)
    entry = tomllib.loads(code_blocks(page, "toml")[0])["project"]["entry-points"]["emberline.readers"]
    assert entry == {"mysurvey": "mypackage.mysurvey:MySurvey"}
    monkeypatch.setitem(sys.modules, "mypackage", ModuleType("mypackage"))
    monkeypatch.setitem(sys.modules, "mypackage.mysurvey", module)
    points = [importlib.metadata.EntryPoint(name, value, "emberline.readers") for name, value in entry.items()]
    monkeypatch.setattr(readers.importlib.metadata, "entry_points", lambda group: points)
    readers.readers.cache_clear()
    yield code_blocks(page, "text")[0]
    readers.readers.cache_clear()


def test_the_documented_reader_works(documented_reader: str, tmp_path: Path) -> None:
    import emberline

    (tmp_path / "good.txt").write_text(documented_reader)
    (tmp_path / "nameless.txt").write_text(documented_reader.replace("# ID 2026-0042\n", ""))
    summary = emberline.ingest([tmp_path / "good.txt", tmp_path / "nameless.txt"], tmp_path / "archive", workers=1)
    assert summary.ingested == 1
    assert summary.by_reason == {"bad-keyword": 1}
    spectrum = emberline.open_archive(tmp_path / "archive").spectrum("2026-0042")
    assert spectrum.wavelength == pytest.approx([6520.8, 6521.3, 6521.8], abs=0.02)  # 1.8 Å more in vacuum
    assert spectrum.ivar == pytest.approx([1 / 0.03**2] * 3, rel=1e-5)
    assert spectrum.meta.medium == "air"


def test_generated_pages_are_written_once(tmp_path: Path) -> None:
    reference.generate(tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {
        "commands.md",
        "configuration.md",
        "columns.md",
        "job-types.md",
        "python.md",
        "emberline.archive.md",
    } <= set(written)
    reference.generate(tmp_path)
    assert written == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", reference.MODULES)
def test_the_reference_of_a_module_holds_every_public_name(name: str) -> None:
    page = reference.module_page(name, "heading")
    module = importlib.import_module(name)
    assert module.__all__
    missing = [public for public in module.__all__ if f":: {name}.{public}\n" not in page]
    assert not missing
    assert ":: emberline" in page


def test_the_picture_is_small() -> None:
    pictures = [path for path in (DOCS / "_static").iterdir() if path.suffix == ".png"]
    assert pictures
    assert all(path.stat().st_size < 200_000 for path in pictures)
