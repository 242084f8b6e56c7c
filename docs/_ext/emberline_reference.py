"""Write the reference pages from the code: commands from click, configuration from dataclasses, modules by autodoc.

Sphinx runs `generate` before it reads the documents; the tests run the same functions and look at what they return.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MODULES = {
    "emberline.archive": "Archives: ingest, catalogue, feature matrices",
    "emberline.archive.crossmatch": "Cross-match of two catalogues",
    "emberline.archive.readers": "Readers: one for each survey's files",
    "emberline.features": "Recipes: spectra in, feature vectors out",
    "emberline.simulate": "Simulated surveys with known truth",
    "emberline.learn": "Networks, training, estimates",
    "emberline.learn.strategies": "Query strategies",
    "emberline.campaign": "Campaigns: rounds, labels, candidates, report",
    "emberline.campaign.annotation": "Labelling: desks, agreement, round cards",
    "emberline.campaign.panels": "What is known beside a spectrum: panels, findings, their store",
    "emberline.campaign.crossmatch": "Cross-match of candidates",
    "emberline.engine": "Engines: where array work runs",
    "emberline.jobs": "Jobs: a persistent engine for long work",
    "emberline.sky": "Angles on the sky",
    "emberline.vo.client": "Asking the Virtual Observatory",
    "emberline.vo.client.registry": "The registry",
    "emberline.vo.client.tap": "TAP: queries on other archives",
    "emberline.vo.client.uws": "Jobs of other archives",
    "emberline.vo.client.ssap": "Spectra of other archives, by position",
    "emberline.vo.client.spectrum_record": "What is known of a spectrum before it is fetched",
    "emberline.vo.client.datalink": "What belongs to a dataset",
    "emberline.vo.client.soda": "Services on a dataset: cut-outs",
    "emberline.vo.client.scs": "Cone searches",
    "emberline.vo.client.sia2": "Images and other data",
    "emberline.vo.client.simbad": "SIMBAD at many positions",
    "emberline.vo.client.gaia": "Gaia at many positions",
    "emberline.vo.client.vizier": "VizieR at many positions",
    "emberline.vo.client.xmatch": "The CDS cross-match service",
    "emberline.vo.client.harvest": "Spectra of other archives",
    "emberline.spectra": "The spectrum itself",
    "emberline.wavelengths": "Wavelengths: air, vacuum and grids",
    "emberline.errors": "Errors",
    "emberline.config": "Configuration files",
}
"""The public modules, each with the heading of its page."""

CONFIGURATION = {
    "emberline.campaign:CampaignConfig": "A campaign",
    "emberline.features:Recipe": "A recipe",
    "emberline.jobs:WorkspaceConfig": "A workspace (`workspace.toml`)",
    "emberline.vo.client:ClientConfig": "Services of the Virtual Observatory (`vo.toml`)",
    "emberline.vo.server.publication:Publication": "A publication (`publication.toml`)",
}
"""The dataclasses that users write as TOML, each with its heading; those nested in them come along."""


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of the command line, with the words that call it."""

    words: tuple[str, ...]
    click: click.Command

    @property
    def title(self) -> str:
        return " ".join(self.words)

    @property
    def options(self) -> list[click.Option]:
        """What may be written with dashes; arguments are explained in the help's text."""
        return [p for p in self.click.params if isinstance(p, click.Option) and not p.hidden]


def application() -> click.Group:
    """The click group behind ``emberline``, wherever `emberline.cli` keeps it."""
    module = importlib.import_module("emberline.cli")
    groups = [value for value in vars(module).values() if isinstance(value, click.Group)]
    if not groups:
        raise RuntimeError("emberline.cli holds no click group")
    return next((group for group in groups if group.name in ("emberline", "main", "app", "cli")), groups[0])


def commands(group: click.Group | None = None, words: tuple[str, ...] = ("emberline",)) -> Iterator[Command]:
    """Every command that can be run, depth first, hidden ones apart."""
    group = group or application()
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield Command((*words, name), command)


def command_page() -> str:
    """The command-line reference as MyST."""
    lines = ["# Command line", "", "Made from the commands themselves. Exit codes: [](../../howto/exit-codes.md).", ""]
    for command in commands():
        lines += _command_section(command)
    return "\n".join(lines) + "\n"


def _command_section(command: Command) -> list[str]:
    context = click.Context(command.click, info_name=command.title)
    usage = " ".join(command.click.collect_usage_pieces(context))
    lines = [f"## {command.title}", "", "```text", f"{command.title} {usage}", "```", ""]
    lines += [_help(command.click.help or ""), "", *_example(command.click.epilog or ""), ""]
    lines += ["| option | meaning |", "|---|---|"]
    lines += [f"| {names} | {_cell(text)} |" for names, text in map(_option, command.options)]
    return [*lines, ""]


def _example(epilog: str) -> list[str]:
    """The example that stands under a command's help."""
    shown = epilog.removeprefix("Example:").strip()
    return ["```sh", shown, "```"] if shown else []


def _option(option: click.Option) -> tuple[str, str]:
    """How an option is written, and what it means."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    record = option.get_help_extra(click.Context(click.Command("x")))
    extra = [f"default {record['default']}"] if record.get("default") else []
    extra += [" or ".join(option.type.choices)] if isinstance(option.type, click.Choice) else []
    extra += ["required"] if option.required else []
    return names, (option.help or "") + (f" ({'; '.join(extra)})" if extra else "")


def _help(text: str) -> str:
    """A docstring of click as MyST: a paragraph after \\b is kept as it stands."""
    paragraphs = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            body = inspect.cleandoc(paragraph.removeprefix("\b").strip("\n"))
            first, _, rest = body.partition("\n")
            paragraphs.append(
                f"{first}\n\n```text\n{inspect.cleandoc(rest)}\n```"
                if first.rstrip().endswith(":") and rest
                else f"```text\n{body}\n```"
            )
        else:
            paragraphs.append(re.sub(r"\s*\n\s*", " ", paragraph))
    return "\n\n".join(paragraphs)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a configuration file."""

    table: str
    name: str
    kind: str
    default: str
    text: str


def configuration_keys(kind: type[Any], table: str = "") -> Iterator[Key]:
    """The keys of a dataclass in order, those of nested dataclasses after it with their table's name."""
    hints = typing.get_type_hints(kind)
    described = described_fields(kind)
    nested: list[tuple[type[Any], str]] = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        inner, many = _inner_dataclass(hints[field.name])
        path = f"{table}.{field.name}" if table else field.name
        text = described.get(field.name, "")
        if inner is None:
            yield Key(table, field.name, _kind(hints[field.name]), _default(field), text)
        else:
            text = text or _first_line(inner)
            yield Key(table, field.name, "tables" if many else "table", "", text)
            nested.append((inner, f"[{path}]" if many else path))
    for inner, path in nested:
        yield from configuration_keys(inner, path)


def described_fields(kind: type[Any]) -> dict[str, str]:
    """Field name → what its class's docstring says of it, inherited fields included."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        text = inspect.cleandoc(owner.__dict__.get("__doc__") or "")
        for match in re.finditer(r"^(\w[\w, ]*) : .*\n((?:[ ]+.*\n?|\n(?=[ ]))+)", text + "\n", flags=re.MULTILINE):
            for name in match[1].split(","):
                found[name.strip()] = re.sub(r"\s+", " ", match[2]).strip()
        for line in re.finditer(r"^(\w[\w, ]*) : (.+)$", text, flags=re.MULTILINE):
            for name in line[1].split(","):
                found.setdefault(name.strip(), "")
    return found


def _inner_dataclass(hint: Any) -> tuple[type[Any] | None, bool]:
    """The dataclass that a type hint holds, and whether it is a list of them."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint, False
    many = typing.get_origin(hint) is tuple
    for argument in typing.get_args(hint):
        if dataclasses.is_dataclass(argument) and isinstance(argument, type):
            return argument, many
    return None, False


def _kind(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f'"{value}"' for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        every = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return f"array of {_kind(every[0])}" if len(set(every)) == 1 else "array"
    if origin is dict:
        return "table"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", Any: "any value"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _default(field: dataclasses.Field[Any]) -> str:
    from emberline.config import to_toml

    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "required"
    if value is None or value in ({}, ()):
        return "none"
    return to_toml({"value": value}).partition("=")[2].strip().replace("\n", " ")


def _first_line(kind: type[Any]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def resolve(name: str) -> type[Any]:
    """The object behind ``module:name``."""
    module, _, attribute = name.partition(":")
    return typing.cast(type[Any], getattr(importlib.import_module(module), attribute))


def configuration_page() -> str:
    """The reference of configuration files as MyST."""
    lines = ["# Configuration files", "", "TOML; an unknown key is refused, and the nearest known one is named.", ""]
    for name, heading in CONFIGURATION.items():
        kind = resolve(name)
        lines += [f"## {heading} (`{kind.__name__}`)", "", _first_line(kind), ""]
        table = None
        for key in configuration_keys(kind):
            if key.table != table:
                table = key.table
                lines += [f"### `[{table}]`", ""] if table else []
                lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
            lines.append(f"| `{key.name}` | {_cell(key.kind)} | {_code(key.default)} | {_cell(key.text)} |")
        lines.append("")
    # A blank line before each sub-heading's table, whatever the order in which they came.
    return re.sub(r"(\|)\n(### )", r"\1\n\n\2", "\n".join(lines)) + "\n"


def _code(text: str) -> str:
    return text if text in ("", "none", "required") else f"`{_cell(text)}`"


def module_page(name: str, heading: str) -> str:
    """A module's page. Autodoc is told each public name, since modules that import lazily do not show theirs."""
    module = importlib.import_module(name)
    lines = [f"# {heading}", "", "```{eval-rst}", f".. automodule:: {name}", "   :no-members:", ""]
    for public in module.__all__:
        lines += [f".. {_directive(getattr(module, public))}:: {name}.{public}", ""]
    return "\n".join([*lines, "```", ""])


def _directive(value: Any) -> str:
    """The directive that documents an object; an alias of a type has no documentation of its own."""
    if typing.get_origin(value) is not None:
        return "py:data"
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if callable(value) else "autodata"


def overview_page() -> str:
    """What ``import emberline`` gives, with where each name lives."""
    import emberline

    lines = ["# Python", "", "What `import emberline` gives; each name is imported when it is first used.", ""]
    lines += ["| name | what |", "|---|---|"]
    for name in emberline.__all__:
        if name.startswith("__"):
            continue
        value = getattr(emberline, name)
        doc = _first_line(value)
        home = emberline._PUBLIC[name]
        lines.append(f"| {{py:obj}}`emberline.{name} <{home}.{name}>` | {_cell(doc)} |")
    lines += ["", "```{toctree}", ":maxdepth: 1", ""]
    return "\n".join([*lines, *MODULES, "```", ""])


JOB_TYPES = "emberline.campaign.jobs:JOB_TYPES"
"""Where all job types are declared."""


def job_types_page() -> str:
    """The types of jobs with their parameters and presets, as MyST."""
    lines = [
        "---",
        "orphan: true",
        "---",
        "",
        "# Job types",
        "",
        "What `emberline jobs submit TYPE KEY=VALUE…`, the page New job and UWS take.",
        "",
    ]
    for job_type in resolve(JOB_TYPES):
        lines += _job_type_section(job_type)
    return "\n".join(lines) + "\n"


def _job_type_section(job_type: Any) -> list[str]:
    from emberline.jobs import describe

    lines = [f"## {job_type.name}", "", job_type.description, ""]
    lines += ["| parameter | value | default | meaning |", "|---|---|---|---|"]
    for field in describe(job_type.parameters):
        kind = " or ".join(f"`{choice}`" for choice in field.choices) or field.type
        default = "required" if field.required else "none" if field.default in (None, "") else _json(field.default)
        lines.append(f"| `{field.name}` | {kind} | {_code(default)} | {_cell(field.help)} |")
    lines += ["", "Ready-made:", ""]
    for preset in job_type.presets:
        given = ", ".join(f"`{name}` = {_code(_json(value))}" for name, value in preset.parameters.items())
        lines.append(f"- **{preset.name}**: {preset.description}" + (f" ({given})" if given else ""))
    steps = ", ".join(f"{name} ({share:.0%})" for name, share in job_type.steps.items())
    return [*lines, "", f"Steps, with their usual share of the time: {steps}.", ""]


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


COLUMN_TABLES = {
    "emberline.archive.schema:COLUMNS": "`catalogue.parquet` of an archive",
    "emberline.archive.schema:REJECTED_SCHEMA": "`rejected.parquet` of an archive",
    "emberline.campaign.candidate_columns:CANDIDATE_COLUMNS": "A table of candidates",
}
"""The tables that Emberline writes for others to read, each with its heading."""


def columns_page() -> str:
    """The columns of the tables that users read, with units and UCDs, as MyST."""
    lines = ["# Columns", "", "Units are VOUnit, UCDs UCD1+. The Parquet files carry the same as field metadata.", ""]
    for name, heading in COLUMN_TABLES.items():
        lines += [f"## {heading}", "", "| column | type | unit | UCD | meaning |", "|---|---|---|---|---|"]
        lines += [f"| `{c[0]}` | {c[1]} | {c[2]} | {c[3]} | {_cell(c[4])} |" for c in _columns(resolve(name))]
        lines.append("")
    return "\n".join(lines)


def _columns(table: Any) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, type, unit, UCD and description of each column, be it a record of ours or an Arrow field."""
    for column in table:
        if hasattr(column, "ucd"):
            yield column.name, column.dtype, column.unit, column.ucd, column.description
        else:
            text = {key.decode(): value.decode() for key, value in column.metadata.items()}
            yield column.name, str(column.type), text["unit"], text["ucd"], text["description"]


def generate(folder: Path) -> None:
    """Write all pages below `folder`; a page that has not changed is left alone, so that Sphinx need not read it."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "commands": command_page(),
        "configuration": configuration_page(),
        "columns": columns_page(),
        "job-types": job_types_page(),
        "python": overview_page(),
    }
    pages.update({name: module_page(name, heading) for name, heading in MODULES.items()})
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: generate(Path(app.srcdir) / "reference" / "_generated"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
