"""What goes wrong on real machines, for every step and on both engines: an error that says so, or the right answer.

`CELLS` has a test or a reason for each fault of each step. After every error the same command is run again, and gives
what an undisturbed run gives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.archive.archives import content, make_block, write_lamost
from tests.campaign.test_tables import write_model
from tests.engine import faulty
from tests.engine.faulty import FaultyEngine, small_files

from emberline.archive import ingest, ingest_blocks, open_archive
from emberline.archive import ingestion as ingestion_module
from emberline.archive import matrix as matrix_module
from emberline.campaign.tables import predict_tables, query_tables, write_query
from emberline.engine import Engine, LocalEngine, SparkEngine, binary_column
from emberline.errors import ArchiveError, EmberlineError, EngineError, ModelError
from emberline.features import Recipe
from emberline.progress import Progress

STEPS, ENGINES = ("ingest", "features", "predict", "query"), ("local", "spark")
FAULTS = ("disk", "memory", "corrupt", "worker", "twice", "recipes")
RECIPE = dataclasses.replace(Recipe.load("halpha-140"), name="test", window_angstrom=(6380.0, 6600.0))

HERE = "engine/test_fault_cells.py:"
ONE_PROCESS = "on one machine batches are read by the process itself: killed, it leaves what `resume` tests look at"
CELLS: dict[tuple[str, str, str], str] = {
    **{(step, engine, "memory"): f"{HERE}test_a_worker_out_of_memory" for step in STEPS for engine in ENGINES},
    **{(step, engine, "corrupt"): f"{HERE}test_a_damaged_file" for step in STEPS for engine in ENGINES},
    **{(step, "spark", "worker"): f"{HERE}test_a_worker_that_is_killed" for step in STEPS},
    **{(step, "local", "worker"): f"{HERE}test_a_worker_that_is_killed" for step in ("ingest", "features")},
    **{
        (step, "local", "worker"): f"{HERE}test_killed_it_leaves_no_table: {ONE_PROCESS}"
        for step in ("predict", "query")
    },
    **{(step, engine, "disk"): f"{HERE}test_a_full_disk" for step in STEPS for engine in ENGINES},
    **{(step, engine, "twice"): f"{HERE}test_two_runs_at_once" for step in STEPS[:3] for engine in ENGINES},
    **{
        ("query", engine, "twice"): "reason: it changes nothing; its answer is written by one rename"
        for engine in ENGINES
    },
    **{("ingest", engine, "recipes"): "reason: an ingest knows no recipe" for engine in ENGINES},
    (
        "features",
        "local",
        "recipes",
    ): "archive/test_faults.py:test_features_of_another_recipe_under_this_ones_name_are_refused",
    ("features", "spark", "recipes"): f"{HERE}test_mixed_recipes",
    **{(step, engine, "recipes"): f"{HERE}test_mixed_recipes" for step in ("predict", "query") for engine in ENGINES},
}


def test_every_fault_of_every_step_has_a_test_or_a_reason() -> None:
    assert set(CELLS) == set(itertools.product(STEPS, ENGINES, FAULTS))
    for said in CELLS.values():
        where, _, name = said.partition(":")
        text = "" if where == "reason" else (Path(__file__).parents[1] / where).read_text(encoding="utf-8")
        assert where == "reason" or f"def {name.partition(':')[0]}(" in text


# What is done ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Work:
    """Inputs of all steps in one folder, and what comes of them in another."""

    root: Path
    out: Path

    @classmethod
    def of(cls, root: Path, name: str) -> Work:
        """With an archive of its own."""
        shutil.copytree(root / "archive", root / name / "archive")
        return cls(root, root / name)

    @property
    def archive(self) -> Path:
        """To which features are added."""
        return self.out / "archive"

    def run(self, step: str, engine: Engine) -> Any:
        """Do one step, and say what came of it in a form that can be compared."""
        return getattr(self, step)(engine)

    def ingest(self, engine: Engine) -> Any:
        """Files into a new archive."""
        ingest(self.root / "files", self.out / "new", engine=engine)
        return content(self.out / "new")

    def features(self, engine: Engine) -> Any:
        """Of the archive."""
        matrix = open_archive(self.archive).build_features(RECIPE, engine=engine)
        return matrix.values.tobytes(), matrix.identifiers.tolist(), matrix.flagged.tolist()

    def predict(self, engine: Engine) -> Any:
        """Tables of features."""
        places = [f"file://{self.root}/features"]
        predict_tables(self.root / "it.model", places, f"file://{self.out}/said", engine=engine)
        return pq.read_table(self.out / "said").sort_by("identifier").to_pylist()

    def query(self, engine: Engine) -> Any:
        """Tables of predictions."""
        places = [f"file://{self.root}/predictions"]
        return query_tables(self.root / "it.model", places, "entropy", 9, engine=engine).to_pylist()

    def visible(self, step: str) -> Any:
        """What others see of a step's result: nothing of it before it is complete."""
        if step == "ingest":
            return len(open_archive(self.out / "new")) if (self.out / "new" / "archive.toml").exists() else 0
        if step == "features":
            return open_archive(self.archive).info()["features"]
        return [path.name for path in self.out.iterdir() if "said" in path.name]


NOTHING: dict[str, Any] = {"ingest": 0, "features": [], "predict": [], "query": []}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in LAMOST's layout, an archive in eight parts, a table of features and one of predictions."""
    from emberline.archive import filework

    monkeypatch.setattr(ingestion_module, "_FILES_PER_JOB", (4, 4))  # little work is cut into several jobs
    monkeypatch.setattr(matrix_module, "_ROWS_PER_JOB", 4)
    monkeypatch.setattr(filework, "_PART_BYTES", 9 * 300 * 5)
    for number in range(12):
        write_lamost(tmp_path / "files" / f"spec-{number:05d}.fits.gz", number)
    ingest_blocks([make_block(5, first=5 * k) for k in range(8)], tmp_path / "archive", survey="test")
    rng = np.random.default_rng(3)
    (tmp_path / "features").mkdir()
    for number in range(2):
        names = [f"s{number}-{row:03d}" for row in range(30)]
        columns = {"identifier": names, "recipe_hash": [RECIPE.hash] * 30, "flagged": [False] * 30}
        values = binary_column(rng.normal(size=(30, 140)).astype("<f4"))
        pq.write_table(pa.table({**columns, "values": values}), tmp_path / "features" / f"{number}.parquet")
    write_model(tmp_path / "it.model", RECIPE.hash)
    said = tmp_path / "predictions"
    predict_tables(tmp_path / "it.model", [str(tmp_path / "features")], str(said), engine=LocalEngine(1))
    return tmp_path


@pytest.fixture
def work(root: Path) -> Work:
    """In a folder of its own."""
    return Work.of(root, "work")


@pytest.fixture
def expected(root: Path) -> Callable[[str], Any]:
    """What an undisturbed run gives."""
    return lambda step: Work.of(root, "undisturbed").run(step, LocalEngine(1))


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine on two cores."""
    if request.param == "local":
        yield LocalEngine(2)
        return
    spark: SparkEngine = request.getfixturevalue("spark")
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(faulty)  # type: ignore[no-untyped-call]  # workers have the package, and not its tests
    yield spark
    cloudpickle.unregister_pickle_by_value(faulty)  # type: ignore[no-untyped-call]


# What goes wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_out_of_memory(step: str, engine: Engine, work: Work, expected: Callable[[str], Any]) -> None:
    with pytest.raises(EmberlineError, match="memory ran out"):
        work.run(step, FaultyEngine(engine, "memory"))
    assert work.visible(step) == NOTHING[step]
    assert work.run(step, engine) == expected(step)


@pytest.mark.parametrize(
    ("step", "engine"),
    [(step, "spark") for step in STEPS] + [(step, "local") for step in ("ingest", "features")],
    indirect=["engine"],
)
def test_a_worker_that_is_killed(step: str, engine: Engine, work: Work, expected: Callable[[str], Any]) -> None:
    with pytest.raises(EngineError, match=r"(worker process|Python worker).* died.*want of memory"):
        work.run(step, FaultyEngine(engine, "worker"))
    assert work.visible(step) == NOTHING[step]
    assert work.run(step, engine) == expected(step)


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk(step: str, engine: Engine, work: Work, expected: Callable[[str], Any]) -> None:
    said = "cannot be written|a disk is full"
    if step == "query":
        table = pa.Table.from_pylist(work.run(step, engine))
        for name in ("best.csv", "best.parquet"):
            with small_files(100), pytest.raises(EmberlineError, match=said):
                write_query(table, work.out / name)
        assert [path.name for path in work.out.iterdir()] == ["archive"]
        return
    if step == "predict":
        with full_disk_where_tables_are_written(engine), pytest.raises(EmberlineError, match=said):
            work.run(step, engine)
    else:
        with pytest.raises(EmberlineError, match=said):
            work.run(step, FaultyEngine(engine, "disk"))
    assert work.visible(step) == NOTHING[step]
    assert work.run(step, engine) == expected(step)


@contextlib.contextmanager
def full_disk_where_tables_are_written(engine: Engine) -> Iterator[None]:
    """By this process, or by Java."""
    if isinstance(engine, LocalEngine):
        with small_files(1000):
            yield
        return
    assert isinstance(engine, SparkEngine)
    gateway: Any = engine.session.sparkContext._gateway
    java = gateway.proc.pid
    before = resource.prlimit(java, resource.RLIMIT_FSIZE)
    resource.prlimit(java, resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.prlimit(java, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("step", ["ingest", "features"])
def test_a_full_disk_of_the_driver(
    step: str, spark: SparkEngine, work: Work, expected: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion_module, "mark_run", lambda folder, run: None)  # parts are sent to the driver
    if step == "ingest":
        ingest(work.root / "files" / "spec-00000.fits.gz", work.out / "new", engine=LocalEngine(1))
    seen = work.visible(step)
    with small_files(4000), pytest.raises(EmberlineError, match=r"cannot be written|Spark cannot work"):
        work.run(step, spark)
    assert work.visible(step) == seen
    assert work.run(step, spark) == expected(step)


@pytest.mark.parametrize("step", STEPS)
def test_a_damaged_file(step: str, engine: Engine, work: Work, expected: Callable[[str], Any]) -> None:
    archive, again = work.out / "new", work.out / "again"
    if step == "ingest":  # a part that an interrupted run has committed
        for number in range(8):  # other spectra under known names: they are compared with those in the part
            write_lamost(again / f"spec-{number:05d}.fits", number, seed=99)
        with pytest.raises(KeyboardInterrupt):
            ingest(work.root / "files", archive, engine=engine, progress=_stop_at(8))
        assert work.visible(step) == 8
        (part,) = [archive / "spectra" / open_archive(archive).parts[0]]
    elif step == "features":
        part = open_archive(work.archive).part_path(open_archive(work.archive).parts[-1])
    else:
        folder = work.root / {"predict": "features", "query": "predictions"}[step]
        part = sorted(folder.glob("*.parquet"))[-1]
    before, whole = work.visible(step), part.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:200] + bytes(len(whole) - 400) + whole[-200:]):
        part.write_bytes(damaged)
        with pytest.raises(EmberlineError, match=rf"{part.name}.*damaged"):
            ingest(again, archive, engine=engine) if step == "ingest" else work.run(step, engine)
        assert work.visible(step) == before
    part.write_bytes(whole)
    assert work.run(step, engine) == expected(step)


def _stop_at(count: int) -> Progress:
    def progress(step: str, done: int, total: int | None) -> None:
        if step == "ingest" and done >= count:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("step", STEPS[:3])
def test_two_runs_at_once(
    step: str, engine: Engine, work: Work, expected: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first is at work; it is refused, and the first ends as if alone."""
    refused: list[str] = []

    class Twice(FaultyEngine):
        def _second(self) -> None:
            if not refused:
                refused.append("")
                with pytest.raises(EmberlineError) as caught:
                    work.run(step, engine)
                refused.append(str(caught.value))

        def map(self, function: Any, jobs: Any, *, workers: int | None = None) -> Iterator[Any]:
            self._second() if step != "predict" else None
            return engine.map(function, jobs, workers=workers)

        def write_batches(self, function: Any, source: Any, out: str, *, schema: pa.Schema) -> int:
            if not refused:  # of two that write one table the first to end has it
                refused.append("")
                work.run(step, engine)
            return engine.write_batches(function, source, out, schema=schema)

    if step == "predict":
        with pytest.raises(EmberlineError, match="is there already"):
            work.run(step, Twice(engine, ""))
        assert pq.read_table(work.out / "said").sort_by("identifier").to_pylist() == expected(step)
        assert work.visible(step) == ["said"]
        return
    assert work.run(step, Twice(engine, "")) == expected(step)
    assert "another ingest is writing" in refused[1] or "another process is building" in refused[1]


def test_of_two_that_write_one_table_side_by_side_one_is_refused(engine: Engine, work: Work, expected: Any) -> None:
    """Both find the name free, and both write: the first to end has it, and no file of the other is among its own."""
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(work.predict, engine) for _ in range(2)]
        failures = [run.exception() for run in runs]
    said = [str(failure) for failure in failures if failure is not None]
    assert len(said) <= 1
    assert all("is there already" in text for text in said)
    assert len(said) == 1
    assert pq.read_table(work.out / "said").sort_by("identifier").to_pylist() == expected("predict")
    assert work.visible("predict") == ["said"]


@pytest.mark.parametrize("step", ["features", "predict", "query"])
def test_mixed_recipes(step: str, engine: Engine, work: Work, expected: Callable[[str], Any]) -> None:
    if step == "features":
        other = dataclasses.replace(RECIPE, max_bad_fraction=0.4)
        folder = work.archive / "features"
        open_archive(work.archive).build_features(other, engine=LocalEngine(1))
        (folder / other.hash).rename(folder / RECIPE.hash)
        with pytest.raises(ArchiveError, match=f"of another recipe.*{other.hash}.*{RECIPE.hash}"):
            work.run(step, engine)
        shutil.rmtree(folder / RECIPE.hash)
    else:
        folder, column = work.root / "features", "recipe_hash"
        if step == "query":
            folder, column = work.root / "predictions", "model"
        file = sorted(folder.glob("*.parquet"))[-1]
        whole, table = file.read_bytes(), pq.read_table(file)
        last = pa.array([table[column][0].as_py()] * (len(table) - 1) + ["0123456789abcdef"])
        pq.write_table(table.set_column(table.schema.get_field_index(column), column, last), file)
        with pytest.raises(ModelError, match=r"another (recipe|network).*found 0123456789abcdef"):
            work.run(step, engine)
        assert work.visible(step) == []
        file.write_bytes(whole)
    assert work.run(step, engine) == expected(step)


_KILLED = """
    import os, signal, sys
    from emberline.campaign import tables
    from emberline.engine import LocalEngine
    real = LocalEngine.write_batches
    class Killed(LocalEngine):
        def map_batches(self, *args, **options):
            yield from super().map_batches(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)
    tables.predict_tables(sys.argv[1], [sys.argv[2]], sys.argv[3], engine=Killed())
"""


def test_killed_it_leaves_no_table(work: Work, expected: Callable[[str], Any]) -> None:
    arguments = [str(work.root / "it.model"), str(work.root / "features"), str(work.out / "said")]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(_KILLED), *arguments], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not (work.out / "said").exists()
    assert work.run("predict", LocalEngine(1)) == expected("predict")
    with pytest.raises(EngineError, match="no such table"):
        query_tables(work.root / "it.model", [str(work.out / "other")], "entropy", 3, engine=LocalEngine(1))


def test_a_table_that_spark_has_not_finished_is_refused(engine: Engine, work: Work) -> None:
    (work.root / "predictions" / "_temporary").mkdir()
    with pytest.raises(EngineError, match="the table is not complete"):
        work.run("query", engine)
