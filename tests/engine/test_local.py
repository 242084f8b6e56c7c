"""The engine of one machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline.engine import Engine, LocalEngine, Matrix, Tables, binary_column, local, matrix_of, open_engine
from emberline.engine.base import Contents
from emberline.errors import EmberlineError, EngineError

SUMS = pa.schema([("row", pa.int64()), ("sum", pa.float64())])


def sums(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The sum of each row."""
    total = matrix_of(batch["values"]).astype(np.float64).sum(axis=1)
    return pa.RecordBatch.from_arrays([batch["row"], pa.array(total)], schema=SUMS)


def sizes(job: int, contents: Contents) -> tuple[int, list[int]]:
    """How long a job's files are."""
    return job, [len(data) for _, data in contents]


@pytest.fixture
def engine() -> Engine:
    """With one worker, which is this process."""
    return LocalEngine(1)


def write_tables(folder: Path, values: np.ndarray, parts: int) -> list[str]:
    """A matrix as Parquet files in `folder`."""
    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(values)), parts)):
        table = pa.table({"row": rows, "values": binary_column(values[rows]), "spare": rows})
        pq.write_table(table, folder / f"{number}.parquet")
    return sorted(str(path) for path in folder.iterdir())


def test_a_matrix_is_worked_on_in_order(engine: Engine) -> None:
    values = np.random.default_rng(0).normal(size=(100, 7)).astype("<f4")
    found = pa.Table.from_batches(engine.map_batches(sums, Matrix(values, rows=17), schema=SUMS))
    assert found["row"].to_pylist() == list(range(100))
    np.testing.assert_array_equal(found["sum"], values.astype(np.float64).sum(axis=1))


def test_tables_are_worked_on_and_written(engine: Engine, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype("<f4")
    files = write_tables(tmp_path / "in", values, 3)
    found = engine.find_files([str(tmp_path / "in")], lambda name: name != "1.parquet")
    assert found == {path: Path(path).stat().st_size for path in (files[0], files[2])}
    source = Tables([f"file://{tmp_path / 'in'}"], ["row", "values"])
    assert engine.write_batches(sums, source, str(tmp_path / "out"), schema=SUMS) == 50
    table = pq.read_table(tmp_path / "out").sort_by("row")
    np.testing.assert_array_equal(table["sum"], values.astype(np.float64).sum(axis=1))
    with pytest.raises(EmberlineError, match="is there already"):
        engine.write_batches(sums, source, str(tmp_path / "out"), schema=SUMS)


def test_a_sample_is_from_all_over_and_the_rows_are_counted(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_tables(tmp_path / "in", np.arange(1200, dtype="<f4").reshape(400, 3), 40)
    write_tables(tmp_path / "in" / "none", np.zeros((0, 3), "<f4"), 1)
    count, sample = engine.sample(Tables([str(tmp_path / "in")], ["values", "row"]), 64)
    assert (count, sample.column_names) == (400, ["values", "row"])
    rows = sample["row"].to_pylist()
    assert len(rows) == 64
    assert {row // 10 for row in rows} >= {0, 39}
    assert len({row // 10 for row in rows}) == 32
    np.testing.assert_array_equal(matrix_of(sample["values"].combine_chunks())[:, 0], 3 * np.array(rows))
    assert engine.sample(Tables([str(tmp_path / "in")], ["row"]), 64)[1]["row"].to_pylist() == rows
    count, nothing = engine.sample(Tables([str(tmp_path / "in" / "none")], ["row"]), 64)
    assert (count, len(nothing), nothing.column_names) == (0, 0, ["row"])
    with pytest.raises(EngineError, match=r"0\.parquet.*lacks a column.*expected nothing"):
        engine.sample(Tables(files, ["nothing"]), 5)
    pq.write_table(pa.table({"row": ["a text"]}), tmp_path / "in" / "5.parquet")
    with pytest.raises(EngineError, match="not alike"):
        engine.sample(Tables(files, ["row"]), 400)


def test_a_damaged_missing_or_narrow_table_is_named(engine: Engine, tmp_path: Path) -> None:
    files = write_tables(tmp_path / "in", np.zeros((9, 3), "<f4"), 1)
    with pytest.raises(EngineError, match=r"0\.parquet.*lacks a column.*expected nothing"):
        list(engine.map_batches(sums, Tables(files, ["nothing"]), schema=SUMS))
    Path(files[0]).write_bytes(Path(files[0]).read_bytes()[:-20])
    with pytest.raises(EngineError, match=r"0\.parquet.*damaged"):
        list(engine.map_batches(sums, Tables(files), schema=SUMS))
    with pytest.raises(EngineError, match=r"nowhere.*no such table"):
        list(engine.map_batches(sums, Tables([str(tmp_path / "nowhere")]), schema=SUMS))


def test_an_empty_folder_is_no_table(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "_temporary.parquet").touch()
    for name, said in (("other", "there is no such table"), ("_temporary", "the table is not complete")):
        (tmp_path / "in" / name).mkdir()
        with pytest.raises(EngineError, match=said):
            engine.write_batches(sums, Tables([str(tmp_path / "in")]), str(tmp_path / "out"), schema=SUMS)
    assert not (tmp_path / "out").exists()


def test_a_table_is_not_blamed_for_what_the_work_on_it_raises(engine: Engine, tmp_path: Path) -> None:
    def full(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise OSError(28, "No space left on device")

    write_tables(tmp_path / "in", np.zeros((9, 3), "<f4"), 1)
    with pytest.raises(OSError, match="No space left"):
        list(engine.map_batches(full, Tables([str(tmp_path / "in")]), schema=SUMS))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 1 failed"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_want_of_memory_is_said_as_such_whoever_notices(engine: Engine, tmp_path: Path, error: Exception) -> None:
    def short(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise error

    write_tables(tmp_path / "in", np.zeros((9, 3), "<f4"), 1)
    for source in (Matrix(np.zeros((9, 3), "<f4")), Tables([str(tmp_path / "in")])):
        with pytest.raises(EngineError, match="memory ran out"):
            list(engine.map_batches(short, source, schema=SUMS))
    with pytest.raises(EngineError, match="memory ran out"), local._naming(tmp_path):
        raise error
    with pytest.raises(EngineError, match="damaged"), local._naming(tmp_path):
        raise OSError(5, "Input/output error")


def test_files_come_with_their_jobs(engine: Engine, tmp_path: Path) -> None:
    for name, size in {"a": 3, "b": 0, "c": 5}.items():
        (tmp_path / name).write_bytes(b"x" * size)
    places = {1: [f"file://{tmp_path}/c", f"file://{tmp_path}/a"], 2: [f"{tmp_path}/b", f"{tmp_path}/gone"]}
    assert list(engine.map_files(sizes, [1, 2], places.__getitem__)) == [(1, [3, 5]), (2, [0])]
    with pytest.raises(EngineError, match=r"hdfs://x/y.*--engine spark"):
        list(engine.map_files(sizes, [1], lambda job: ["hdfs://x/y"]))


def test_there_are_two_engines() -> None:
    assert open_engine("local", workers=3).cores == 3
    with pytest.raises(EngineError, match="no engine 'dask'"):
        open_engine("dask")
    with pytest.raises(EngineError, match="for Spark"):
        open_engine("local", "local[2]")
