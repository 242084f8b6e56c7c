"""Spark on two cores: the same results as here, and clear words where there can be none."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.archive.archives import make_block, write_lamost
from tests.campaign.test_tables import CLASSES, write_model

from emberline.archive import Archive, ingest, ingest_blocks, open_archive
from emberline.archive import ingestion as ingestion_module
from emberline.archive import matrix as matrix_module
from emberline.campaign import CampaignConfig, new_campaign, open_campaign
from emberline.campaign.scoring import Predictor
from emberline.campaign.tables import predict_tables, query_tables, write_features
from emberline.engine import LocalEngine, Matrix, SparkEngine, Tables, _driver, binary_column, matrix_of
from emberline.errors import ArchiveError, EngineError, ModelError
from emberline.features import Recipe

SUMS = pa.schema([("row", pa.int64()), ("sum", pa.float64())])


@pytest.fixture
def many_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small work is cut into several jobs."""
    monkeypatch.setattr(ingestion_module, "_FILES_PER_JOB", (4, 4))
    monkeypatch.setattr(matrix_module, "_ROWS_PER_JOB", 4)


@pytest.fixture
def survey_files(tmp_path: Path) -> Path:
    """Eighteen files in LAMOST's layout, a tar of two more, a copy, an empty and a damaged file."""
    import tarfile

    folder = tmp_path / "files"
    for number in range(18):
        write_lamost(folder / f"a {number % 3}" / f"spec-{number:05d}[x].fits.gz", number)
    with tarfile.open(folder / "more.tar", "w") as tar:
        for number in (20, 21):
            tar.add(write_lamost(tmp_path / f"spec-{number:05d}.fits.gz", number), f"in/spec-{number:05d}.fits.gz")
    shutil.copy(folder / "a 0" / "spec-00003[x].fits.gz", folder / "copy.fits.gz")
    (folder / "empty.fits").touch()
    (folder / "cut.fits.gz").write_bytes((folder / "copy.fits.gz").read_bytes()[:900])
    return folder


def parts_of(archive: Archive) -> list[pa.Table]:
    """The parts with all that is in them, in order."""
    return [pq.read_table(archive.part_path(name)) for name in archive.parts]


def without_prefix(table: pa.Table, column: str, prefix: str) -> list[dict[str, Any]]:
    """Rows without what two runs cannot share: names of parts, times, and the scheme of an address."""
    rows = table.drop_columns([name for name in ("part", "time") if name in table.column_names]).to_pylist()
    for row in rows:
        row[column] = row[column].removeprefix(prefix)
    return sorted(rows, key=str)


def assert_same_archive(found: Archive, expected: Archive, prefix: str = "") -> None:
    """Catalogue, rejects and arrays are equal, byte by byte."""
    for name, column in (("catalogue", "source_file"), ("rejected", "file")):
        mine, theirs = (without_prefix(getattr(a, name)(), column, prefix) for a in (found, expected))
        for row in (*mine, *theirs):
            row.pop("message", None) if prefix else None  # it may name the path
        assert mine == theirs, name
    for mine, theirs in zip(parts_of(found), parts_of(expected), strict=True):
        assert mine.schema.metadata == theirs.schema.metadata
        assert mine.drop_columns(["source_file"]).equals(theirs.drop_columns(["source_file"]))


# Functions on jobs and batches ----------------------------------------------------------------------------------------


def test_results_come_in_order_and_functions_bring_their_errors(spark: SparkEngine) -> None:
    def square(number: int) -> int:
        if number == 77:
            raise ArchiveError("is damaged", where="part 77", found="x")
        if number == 88:
            raise LookupError("nothing of ours")
        if number == 99:
            os._exit(9)
        return number * number

    assert list(spark.map(square, range(9))) == [number**2 for number in range(9)]  # three waves
    with pytest.raises(ArchiveError, match=r"part 77: is damaged \(found x\)"):
        list(spark.map(square, [1, 2, 77, 4, 5]))
    with pytest.raises(EngineError, match=r"Spark gave up: LookupError: nothing of ours"):
        list(spark.map(square, [88]))
    with pytest.raises(EngineError, match="want of memory"):
        list(spark.map(square, [1, 99]))
    assert list(spark.map(square, [3])) == [9]
    assert list(spark.map(square, [])) == []


def test_jobs_that_bring_much_along_go_out_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from emberline.engine import spark

    monkeypatch.setattr(spark, "_WAVE_BYTES", 10_000)
    jobs = [b"x" * size for size in (10, 10, 10, 10, spark._WAVE_BYTES, 10, 10)]
    waves = list(spark._waves(jobs, lambda: 3))
    assert [[row["number"][0].as_py() for row in wave] for wave in waves] == [[0, 1, 2], [3, 4], [5, 6]]
    assert list(spark._waves([], lambda: 3)) == []


def test_the_driver_has_no_more_under_way_than_fits_into_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    room = _driver.Room(1000)
    monkeypatch.setattr(_driver, "_UNKNOWN_BYTES", 100)
    assert room.jobs == 10
    answers = [pa.RecordBatch.from_arrays([pa.array([b"x" * size], pa.binary())], ["answer"]) for size in (292, 12)]
    assert room.measured(answers) is answers
    assert room.jobs == 1000 // answers[0].nbytes == 3
    room.measured([pa.RecordBatch.from_arrays([pa.array([b"x" * 4000], pa.binary())], ["answer"])])
    assert room.jobs == 1
    assert _driver.in_flight() >= 1 << 30


@pytest.mark.parametrize("way", ["jobs", "files"])
def test_large_answers_are_fetched_a_few_at_a_time(
    spark: SparkEngine, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of jobs whose answers are large no more begin than there is room for, until answers have been taken."""
    begun = tmp_path / "begun"
    begun.mkdir()

    def large(number: int, contents: Any = ()) -> bytes:
        (begun / str(number)).touch()
        return bytes(200_000)

    monkeypatch.setattr("emberline.engine.spark.in_flight", lambda: 700_000)
    monkeypatch.setattr(_driver, "_UNKNOWN_BYTES", 100_000)
    (tmp_path / "file").write_bytes(b"x")
    if way == "jobs":
        results = spark.map(large, range(9))
    else:
        results = spark.map_files(large, range(9), lambda number: [f"file://{tmp_path}/file"])
    taken = 0
    for answer in results:
        taken += 1
        assert len(answer) == 200_000
        assert len(list(begun.iterdir())) - taken <= 7  # seven of them at first, and three once one has been measured
        if taken > 6:
            assert len(list(begun.iterdir())) - taken <= 3
    assert taken == 9


def test_a_sample_is_from_all_over_and_the_rows_are_counted(spark: SparkEngine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        rows = np.arange(10 * number, 10 * number + 10)
        pq.write_table(pa.table({"row": rows, "spare": rows}), tmp_path / "in" / f"{number:02d}[x].parquet")
    source = Tables([f"file://{tmp_path}/in"], ["row"])
    count, sample = spark.sample(source, 64)
    assert (count, sample.column_names, len(sample)) == (400, ["row"], 64)
    places = [row // 10 for row in sample["row"].to_pylist()]
    assert {places.count(place) for place in places} == {8}
    assert {0, 39} < set(places)
    pq.write_table(pa.table({"row": np.zeros(0, np.int64)}), tmp_path / "none.parquet")
    count, nothing = spark.sample(Tables([f"file://{tmp_path}/none.parquet"], ["row"]), 64)
    assert (count, len(nothing), nothing.column_names) == (0, 0, ["row"])


def test_a_task_computes_on_one_thread(spark: SparkEngine) -> None:
    def threads(number: int) -> int:
        import torch

        return torch.get_num_threads()

    assert set(spark.map(threads, range(4))) == {1}


@pytest.mark.parametrize("where", ["mapped", "in memory", "unseen"])
def test_a_matrix_reaches_the_workers_from_wherever_it_is(
    spark: SparkEngine, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sums(batch: pa.RecordBatch) -> pa.RecordBatch:
        total = matrix_of(batch["values"]).sum(axis=1, dtype=np.float64)
        return pa.RecordBatch.from_arrays([batch["row"], pa.array(total)], schema=SUMS)

    values = np.random.default_rng(1).normal(size=(60, 5)).astype("<f4")
    np.save(tmp_path / "v.npy", values)
    if where == "unseen":
        monkeypatch.setattr(SparkEngine, "_is_seen", lambda self, file, mark: False)
    matrix = Matrix(values if where == "in memory" else np.load(tmp_path / "v.npy", mmap_mode="r"), start=5, rows=11)
    found = list(spark.map_batches(sums, matrix, schema=SUMS))
    assert found == list(LocalEngine().map_batches(sums, matrix, schema=SUMS))
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]


def test_tables_are_read_and_written_by_spark(spark: SparkEngine, tmp_path: Path) -> None:
    def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch["row"][0].as_py() == 999:
            raise ModelError("is of another recipe", found="b", expected="a")
        twice = binary_column(2 * matrix_of(batch["values"]))
        return pa.RecordBatch.from_arrays([batch["row"], twice], ["row", "values"])

    schema = pa.schema([("row", pa.int64()), ("values", pa.binary(12))])
    values = np.random.default_rng(2).normal(size=(40, 3)).astype("<f4")
    table = pa.table({"row": np.arange(40), "values": binary_column(values), "spare": np.zeros(40)})
    (tmp_path / "in").mkdir()
    for number in range(2):
        pq.write_table(table.slice(20 * number, 20), tmp_path / "in" / f"{number}.parquet")
    source = Tables([f"file://{tmp_path}/in"], ["row", "values"])
    out = f"file://{tmp_path}/out"
    assert spark.write_batches(doubled, source, out, schema=schema) == 40
    written = pq.read_table(tmp_path / "out").sort_by("row").combine_chunks()
    np.testing.assert_array_equal(matrix_of(written["values"].chunk(0)), 2 * values)
    fetched = pa.Table.from_batches(spark.map_batches(doubled, source, schema=schema)).sort_by("row")
    assert fetched["row"].to_pylist() == list(range(40))
    with pytest.raises(EngineError, match=r"nothing.*cannot be resolved"):
        list(spark.map_batches(doubled, Tables([f"file://{tmp_path}/in"], ["nothing"]), schema=schema))
    pq.write_table(table.slice(0, 1).set_column(0, "row", pa.array([999])), tmp_path / "in" / "2.parquet")
    with pytest.raises(ModelError, match=r"another recipe \(found b, expected a\)"):
        list(spark.map_batches(doubled, source, schema=schema))
    (tmp_path / "in" / "0.parquet").write_bytes(b"PAR1 and nothing that a reader could use PAR1")
    with pytest.raises(EngineError, match=r"0\.parquet"):
        list(spark.map_batches(doubled, source, schema=schema))


# Archives -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("many_jobs")
def test_ingest_is_the_same_from_paths_and_from_addresses(
    spark: SparkEngine, survey_files: Path, tmp_path: Path
) -> None:
    expected = ingest(survey_files, tmp_path / "local", workers=1)
    assert (expected.ingested, expected.already, expected.rejected) == (20, 1, 2)
    local = open_archive(tmp_path / "local")

    seen: list[int] = []
    by_path = ingest(
        survey_files, tmp_path / "paths", engine=spark, progress=lambda step, done, total: seen.append(done)
    )
    assert seen[:-2] == sorted(seen[:-2])
    counts = ("found", "files", "ingested", "already", "rejected", "by_reason", "total")
    assert [getattr(by_path, name) for name in counts] == [getattr(expected, name) for name in counts]
    assert_same_archive(open_archive(tmp_path / "paths"), local)

    by_address = ingest([f"file://{survey_files}"], tmp_path / "addresses", engine=spark)
    assert [getattr(by_address, name) for name in counts] == [getattr(expected, name) for name in counts]
    found = open_archive(tmp_path / "addresses")
    rows = found.catalogue().sort_by("identifier")
    assert rows["source_file"][0].as_py().startswith("file:/")
    same = [name for name in rows.column_names if name not in ("part", "row", "source_file", "grid", "start")]
    expected_rows = local.catalogue().sort_by("identifier")
    assert rows.select(same).to_pylist() == expected_rows.select(same).to_pylist()
    for identifier in rows["identifier"].to_pylist():
        mine, theirs = found.spectrum(identifier), local.spectrum(identifier)
        assert mine.grid == theirs.grid
        assert all(np.array_equal(getattr(mine, n), getattr(theirs, n)) for n in ("flux", "ivar", "mask"))

    again = ingest([f"file://{survey_files}"], tmp_path / "addresses", engine=spark)
    assert (again.ingested, again.total) == (0, 20)
    left = [p.name for p in (tmp_path / "addresses" / "spectra").iterdir() if p.name not in found.parts]
    assert left == []


@pytest.mark.usefixtures("many_jobs")
def test_an_archive_that_executors_do_not_see_is_sent_its_parts(
    spark: SparkEngine, survey_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion_module, "mark_run", lambda folder, run: None)
    ingest(survey_files, tmp_path / "local", workers=1)
    ingest(survey_files, tmp_path / "sent", engine=spark)
    assert_same_archive(open_archive(tmp_path / "sent"), open_archive(tmp_path / "local"))


def test_addresses_that_lead_nowhere_or_are_mixed_with_paths(spark: SparkEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"file:///nowhere.*no such file or folder"):
        ingest(["file:///nowhere"], tmp_path / "a", engine=spark)
    with pytest.raises(EngineError, match=r"nofs://x/y.*cannot be listed.*nofs"):
        ingest(["nofs://x/y"], tmp_path / "a", engine=spark)
    with pytest.raises(ArchiveError, match="cannot be mixed"):
        ingest(["file:///nowhere", "here"], tmp_path / "a", engine=spark)
    with pytest.raises(EngineError, match=r"--engine spark"):
        ingest(["hdfs://host/x"], tmp_path / "a")


def test_two_runs_on_one_archive_are_refused(spark: SparkEngine, survey_files: Path, tmp_path: Path) -> None:
    from emberline.archive.ledger import open_ledger
    from emberline.errors import EmberlineError

    with open_ledger(tmp_path / "a"), pytest.raises(EmberlineError, match="another ingest is writing"):
        ingest(survey_files, tmp_path / "a", engine=spark)


@pytest.fixture
def archive(tmp_path: Path, many_jobs: None, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Forty spectra in eight parts."""
    from emberline.archive import filework

    monkeypatch.setattr(filework, "_PART_BYTES", 9 * 300 * 5)
    ingest_blocks([make_block(5, first=5 * k) for k in range(8)], tmp_path / "archive", survey="test")
    return open_archive(tmp_path / "archive")


@pytest.fixture
def recipe() -> Recipe:
    """Within what `make_block` covers."""
    return dataclasses.replace(Recipe.load("halpha-140"), name="test", window_angstrom=(6380.0, 6600.0))


@pytest.mark.parametrize("parts", ["", "copy"])
def test_features_are_the_same(
    spark: SparkEngine, archive: Archive, recipe: Recipe, parts: str, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(archive.path, tmp_path / "other"))
    expected = archive.build_features(recipe, workers=1)
    address = ""
    if parts:
        (copy / "spectra").rename(tmp_path / "elsewhere")
        address = f"file://{tmp_path}/elsewhere/"
    found = open_archive(copy).build_features(recipe, engine=spark, parts=address)
    assert found.values.shape == (40, recipe.pixels)
    assert found.values.tobytes() == expected.values.tobytes()
    for name in ("identifiers", "objects", "bad_fraction", "flagged"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    left = {path.name for path in (copy / "features" / recipe.hash).iterdir()}
    assert left == {"index.parquet", "pending", "recipe.toml", "values.npy", ".lock"}


@pytest.mark.parametrize("parts", ["", "address"])
def test_a_corrupt_part_is_named_and_the_rest_is_kept(
    spark: SparkEngine, archive: Archive, recipe: Recipe, parts: str
) -> None:
    broken = archive.part_path(archive.parts[-1])
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    address = f"file://{archive.path}/spectra" if parts else ""
    with pytest.raises(ArchiveError, match=rf"{broken.name}.*damaged.*Restore") as caught:
        archive.build_features(recipe, engine=spark, parts=address)
    assert caught.value.where.startswith("file:/" if parts else str(archive.path))
    with pytest.raises(ArchiveError, match="the recipe"):
        archive.features(recipe)
    broken.write_bytes(whole)
    assert len(archive.build_features(recipe, engine=spark, parts=address)) == 40


def test_an_archive_that_executors_do_not_see_is_said(
    spark: SparkEngine, archive: Archive, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.touch
    monkeypatch.setattr(
        Path, "touch", lambda self, *a, **k: None if self.name.startswith(".seen-") else real(self, *a, **k)
    )
    with pytest.raises(ArchiveError, match=r"an executor does not see the archive.*--parts"):
        archive.build_features(recipe, engine=spark)


# Campaigns ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def after_one_round(config: CampaignConfig, survey: Path, tmp_path: Path) -> Path:
    """A campaign whose next round trains a network."""
    campaign = new_campaign(tmp_path / "campaign", config)
    campaign.run(survey / "truth.csv", rounds=1)
    campaign.close()
    return tmp_path / "campaign"


def test_a_round_asks_the_same_questions(
    spark: SparkEngine, after_one_round: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emberline.campaign.rounds._BLOCK", 64)
    asked, probabilities = [], []
    for name, engine in (("here", None), ("there", spark)):
        folder = shutil.copytree(after_one_round, tmp_path / name)
        campaign = open_campaign(folder)
        number = campaign.advance(batch=12, engine=engine)
        asked.append(campaign.database.questions(number))
        probabilities.append(np.array(campaign.probabilities(number)))
        assert not list((folder / "rounds").rglob(".probabilities*"))
        campaign.close()
    assert probabilities[0].tobytes() == probabilities[1].tobytes()
    assert len(asked[0]) >= 12
    assert asked[0] == asked[1]


def test_features_of_another_recipe_are_refused_by_executors(spark: SparkEngine, after_one_round: Path) -> None:
    model = sorted((after_one_round / "models").iterdir())[-1].read_bytes()
    source = Matrix(np.zeros((10, 140), "<f4"))
    with pytest.raises(ModelError, match=r"another recipe.*found 0123456789abcdef"):
        list(spark.map_batches(Predictor(spark.share(model), "0123456789abcdef"), source, schema=Predictor.schema(2)))


def test_tables_are_predicted_and_asked_about_the_same(spark: SparkEngine, survey: Path, tmp_path: Path) -> None:
    matrix = open_archive(survey / "survey").build_features(Recipe.load("halpha-140"))
    write_features(matrix, tmp_path / "features")
    model = write_model(tmp_path / "it.model", matrix.recipe_hash)
    asked = []
    for name, engine in (("here", LocalEngine()), ("there", spark)):
        out = f"file://{tmp_path}/{name}"
        assert predict_tables(model, [f"file://{tmp_path}/features"], out, engine=engine)["spectra"] == len(matrix)
        asked.append(query_tables(model, [out], "entropy", 20, engine=engine))
    here, there = (pq.read_table(tmp_path / name).sort_by("identifier") for name in ("here", "there"))
    assert here.to_pylist() == there.to_pylist()
    assert asked[0].equals(asked[1])
    other = write_model(tmp_path / "other.model", "0123456789abcdef")
    with pytest.raises(ModelError, match=r"another recipe.*expected 0123456789abcdef"):
        predict_tables(other, [f"file://{tmp_path}/features"], f"file://{tmp_path}/no", engine=spark)
    with pytest.raises(EngineError, match=r"here.* is there already"):
        predict_tables(model, [f"file://{tmp_path}/features"], f"file://{tmp_path}/here", engine=spark)


@pytest.mark.parametrize("asked", [("openvino", "fp32"), ("torch", "mixed"), ("auto", "auto")])
def test_executors_predict_tables_by_the_runtime_that_is_asked_for(
    spark: SparkEngine, survey: Path, tmp_path: Path, asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.learn.config import PredictConfig
    from emberline.learn.runtimes import choice, installed

    if asked[0] != "auto" and not installed(asked[0]):
        pytest.skip(f"{asked[0]} is not installed")
    monkeypatch.setattr(choice, "_WORTH_A_CHOICE", 300)
    matrix = open_archive(survey / "survey").build_features(Recipe.load("halpha-140"))
    write_features(matrix, tmp_path / "features")
    model = write_model(tmp_path / "it.model", matrix.recipe_hash)
    config = PredictConfig(*asked)  # type: ignore[arg-type]
    places, said = [f"file://{tmp_path}/features"], []
    for name, engine, by in (("here", LocalEngine(), PredictConfig("torch", "fp32")), ("there", spark, config)):
        result = predict_tables(model, places, f"file://{tmp_path}/{name}", config=by, engine=engine)
        table = pq.read_table(tmp_path / name).sort_by("identifier")
        said.append(np.stack([table[f"p_{name}"].to_numpy() for name in CLASSES], axis=1))
    if asked[0] != "auto":
        assert (result["runtime"], result["precision"]) == asked
    np.testing.assert_allclose(said[1], said[0], atol=1e-4 if result["precision"] == "fp32" else 1e-2, rtol=0)
