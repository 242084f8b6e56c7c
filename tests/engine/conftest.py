"""Spark on this machine: one session a module, and nothing of it left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from tests.campaign.conftest import config, survey  # noqa: F401 - a campaign that runs in seconds

from emberline.engine import SparkEngine

needs_spark = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")

QUIET = {"spark.sql.shuffle.partitions": "2", "spark.driver.memory": "700m", "spark.sql.codegen.wholeStage": "false"}


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkEngine]:
    """An engine on two cores of this process's machine."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    with SparkEngine("local[2]", QUIET) as engine:
        yield engine
