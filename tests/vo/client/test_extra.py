"""Without the packages of the extra ``vo`` every module of the client says which extra it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WITHOUT = """
import importlib, importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("requests", "pyvo", "defusedxml", "mocpy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
from emberline.errors import MissingExtraError
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"emberline.vo.client.{name}")
    except MissingExtraError as error:
        assert "pip install 'emberline[vo]'" in str(error), error
    else:
        raise AssertionError(name)
"""
MODULES = "session tap uws registry ssap sia2 scs datalink simbad gaia vizier xmatch hips moc check samp.connection"


def test_each_module_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, *MODULES.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["config", "errors", "names", "harvest.jobs"])
def test_what_needs_no_package_can_be_had_without(name: str) -> None:
    program = _WITHOUT.partition("for name")[0] + f"importlib.import_module('emberline.vo.client.{name}')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
