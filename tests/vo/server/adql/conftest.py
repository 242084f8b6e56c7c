"""One database of a simulated sky for all tests of ADQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import adql_sky
import pytest

from emberline.vo.server.adql import Limits, Runner, TableSet


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> TableSet:
    return adql_sky.table_set(tmp_path_factory.mktemp("sky"))


@pytest.fixture(scope="session")
def runner(sky: TableSet) -> Iterator[Runner]:
    with Runner(sky, Limits(memory="1GB", query_memory="500MB", threads=2, seconds=20)) as runner:
        yield runner


@pytest.fixture(scope="session")
def folder(sky: TableSet) -> Path:
    return next(table for table in sky if table.name == "sky.stars").files[0].parent
