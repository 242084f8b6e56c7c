"""The package as a whole: versions agree, floors hold, everything public is explained, starting is cheap."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import emberline

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "emberline"

GROUND = (
    "_version",
    "addresses",
    "config",
    "confinement",
    "dates",
    "errors",
    "files",
    "progress",
    "provenance",
    "sky",
    "spectra",
    "spectral_lines",
    "wavelengths",
)
FLOORS = {
    **dict.fromkeys(GROUND, 0),
    "features": 1,
    "engine": 1,
    "jobs": 1,
    "simulate": 2,
    "learn": 3,
    "archive": 4,
    "vo.client": 5,
    "campaign": 6,
    "explore": 6,
    "vo.server": 7,
    "web": 8,
    "cli": 9,
}
"""Each part's floor; a part may import from the floors beneath its own and from itself, the ground from the ground."""
PURE = ("features", "simulate", "learn")
HEAVY = ("torch", "astropy", "sklearn", "imblearn", "matplotlib", "duckdb", "pyarrow", "scipy", "numpy")


def part_of(module: str) -> str:
    """``emberline.vo.client.tap`` → ``vo.client``; ``emberline.learn.train`` → ``learn``."""
    names = module.split(".")[1:]
    return ".".join(names[:2]) if names[:1] == ["vo"] else names[0] if names else ""


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of ours that a file imports, anywhere in it, with the line."""
    package = ("emberline", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module in ("emberline", "emberline.vo"):
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def upward_imports(path: Path) -> list[str]:
    """What a file imports from its own height or above, its own part apart."""
    here = part_of(".".join(("emberline", *path.relative_to(SOURCE).with_suffix("").parts)))
    wrong = []
    for line, module in imported_modules(path):
        there = part_of(module) if module.startswith("emberline.") else None
        if not there or there == here or there == "__version__":
            continue
        if there not in FLOORS:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}, which has no floor")
        elif FLOORS[there] >= max(FLOORS[here], 1):
            wrong.append(f"{path.relative_to(ROOT)}:{line} ({here}) imports {module}")
    return wrong


MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def test_every_part_has_a_floor() -> None:
    parts = {part_of(".".join(("emberline", *path.relative_to(SOURCE).with_suffix("").parts))) for path in MODULES}
    assert parts - {"vo.__init__", "__main__"} <= set(FLOORS)


def test_no_module_imports_upwards() -> None:
    wrong = [line for path in MODULES if path.name != "__main__.py" for line in upward_imports(path)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("place", "code", "clean"),
    [
        ("learn/a.py", "from emberline.archive import Archive", False),
        ("learn/a.py", "def f():\n    import emberline.campaign.rounds", False),
        ("archive/readers/a.py", "from ...campaign import Campaign", False),
        ("archive/a.py", "from .. import campaign", False),
        ("campaign/a.py", "from emberline import cli", False),
        ("features/a.py", "from emberline.learn import Model", False),
        ("spectra.py", "from emberline.features import Recipe", False),
        (
            "archive/a.py",
            "from emberline.features import Recipe\nfrom . import store\nfrom ..files import atomic_path",
            True,
        ),
        ("campaign/a.py", "import emberline.learn.train\nfrom emberline import __version__", True),
    ],
)
def test_the_check_of_floors_sees_what_it_should(
    place: str, code: str, clean: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert (upward_imports(path) == []) is clean


def test_pure_parts_open_no_database_or_archive() -> None:
    """Arrays in, arrays out: storage belongs to the floors above."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for part in PURE
        for path in (SOURCE / part).rglob("*.py")
        for line, module in imported_modules(path)
        if module.split(".")[0] in ("duckdb", "pyarrow", "sqlite3", "urllib", "requests", "socket", "http")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_version_is_the_same_everywhere() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.\w+)?", emberline.__version__)
    assert importlib.metadata.version("emberline") == emberline.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {emberline.__version__}\n" in citation
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changes, flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == emberline.__version__


def test_the_citation_has_what_the_format_asks_for() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == "BSD-3-Clause"
    assert citation["references"][0]["doi"] == "10.1051/0004-6361/201936090"
    assert citation["references"][0]["authors"][0]["family-names"] == "Škoda"


def test_type_hints_and_data_are_shipped() -> None:
    with open(ROOT / "pyproject.toml", "rb") as stream:
        shipped = tomllib.load(stream)["tool"]["setuptools"]["package-data"]["emberline"]
    assert (SOURCE / "py.typed").is_file()
    assert "py.typed" in shipped
    files = {path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".so")}
    covered = {path for pattern in shipped for path in SOURCE.glob(pattern)}
    assert not files - covered, f"not in package-data: {sorted(str(f.relative_to(SOURCE)) for f in files - covered)}"


def test_dependencies_are_pinned() -> None:
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    names = {re.sub(r"[-_.]+", "-", name).lower() for name, _ in pins}
    with open(ROOT / "pyproject.toml", "rb") as stream:
        project = tomllib.load(stream)["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    needed = {re.sub(r"[-_.]+", "-", re.split(r"[<>=\[;! ]", text)[0]).lower() for text in wanted} - {"emberline"}
    assert needed <= names, f"make constraints: {sorted(needed - names)}"
    assert not [f"{name}=={version}" for name, version in pins if "+" in version or name.startswith(("nvidia", "cuda"))]


def test_help_loads_nothing_heavy() -> None:
    """Help must answer in under 0.3 s, which one of these imports alone would use up."""
    code = (
        "import sys\nsys.argv = ['emberline', '--help']\nfrom emberline.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "Usage:" in result.stdout
    assert result.stdout.rstrip().endswith("HEAVY []")


def test_importing_emberline_loads_nothing_heavy() -> None:
    code = f"import sys, emberline\nprint(sorted(set({HEAVY!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


PUBLIC = sorted(
    "emberline." + ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in MODULES
    if re.search(r"^__all__\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
)


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, name
    silent = []
    for public in module.__all__:
        value = getattr(module, public)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value) or (inspect.isclass(value) and (value.__doc__ or "").startswith(f"{public}(")):
            silent.append(public)  # a dataclass without a docstring shows its signature instead
        if inspect.isclass(value) and value.__module__ == name:
            methods = [key for key, item in vars(value).items() if inspect.isfunction(item) and key[0] != "_"]
            silent += [f"{public}.{key}" for key in methods if not inspect.getdoc(getattr(value, key))]
    assert not silent, f"{name}: no docstring on {silent}"


def test_every_public_name_can_be_imported() -> None:
    missing = [name for name in emberline.__all__ if getattr(emberline, name, None) is None]
    assert not missing
    with pytest.raises(AttributeError, match="nothing_such"):
        emberline.nothing_such  # noqa: B018
