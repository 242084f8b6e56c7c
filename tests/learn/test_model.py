"""A model predicts, survives a file, and refuses what is not its own."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from learn_profiles import CLASSES, RECIPE, profiles

from emberline.errors import EmberlineError, ModelError, NewerVersionError
from emberline.learn import Model, TrainConfig, train


@pytest.fixture(scope="module", params=["ember", "vgg"])
def model(request):
    config = TrainConfig(members=1, network=request.param, epochs=2, epoch_steps=5, batch=32)
    return train(*profiles(150, 1), CLASSES, config, rng=np.random.default_rng(0), recipe_hash=RECIPE)


@pytest.fixture(scope="module")
def values():
    return profiles(300, 2)[0]


def test_probabilities_are_probabilities_whatever_the_chunk(model, values):
    probabilities = model.predict(values)
    assert probabilities.shape == (300, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(
        np.concatenate([model.predict(values[i : i + 7]) for i in range(0, 300, 7)]), probabilities, atol=1e-5
    )


def test_probabilities_are_calibrated_logits(model, values):
    expected = torch.softmax(torch.from_numpy(model.logits(values)) / model.temperature, dim=1).numpy()
    np.testing.assert_allclose(model.predict(values), expected, atol=1e-6)


def test_a_memory_map_and_nothing_at_all_can_be_predicted(model, values, tmp_path):
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    np.testing.assert_array_equal(model.predict(mapped), model.predict(values))
    assert model.predict(values[:0]).shape == (0, 3)
    assert model.embed(values[:0]).shape == (0, model.network.width)
    assert model.stochastic(values[:0], 4, np.random.default_rng(0)).shape == (4, 0, 3)


def test_the_last_layer_separates_the_embedding(model, values):
    embedding = torch.from_numpy(model.embed(values))
    with torch.inference_mode():
        logits = model.network.output(embedding.to(model.network.output.weight.device)).cpu().numpy()
    np.testing.assert_allclose(logits, model.logits(values), atol=1e-4)


def test_stochastic_passes_scatter_around_and_share_the_trunk(model, values):
    passes = model.stochastic(values[:100], 30, np.random.default_rng(3))
    assert passes.shape == (30, 100, 3)
    np.testing.assert_allclose(passes.sum(axis=2), 1, atol=1e-5)
    assert passes.std(axis=0).max() > 0.01
    assert np.abs(passes.mean(axis=0) - model.predict(values[:100])).mean() < 0.1


def test_stochastic_passes_follow_their_generator_and_change_nothing(model, values):
    before = model.predict(values)
    first, second, other = (model.stochastic(values, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(model.predict(values), before)


def test_a_saved_model_is_the_same_model(model, values, tmp_path):
    path = tmp_path / "models" / "round-1.model"
    model.save(path)
    again = Model.load(path)
    np.testing.assert_array_equal(again.predict(values), model.predict(values))
    for name in ("classes", "pixels", "recipe_hash", "config", "temperature", "metrics", "provenance"):
        assert getattr(again, name) == getattr(model, name)
    assert [item.name for item in path.parent.iterdir()] == ["round-1.model"]
    again.save(tmp_path / "again.model")
    assert (tmp_path / "again.model").read_bytes() == path.read_bytes()


def test_a_model_file_holds_no_pickle(model, tmp_path):
    model.save(tmp_path / "m.model")
    with zipfile.ZipFile(tmp_path / "m.model") as archive:
        names = archive.namelist()
        for name in names[1:]:
            np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
    assert names[0] == "model.json"
    assert all(name.startswith("weights/") for name in names[1:])


def test_features_of_another_recipe_are_refused_with_both_hashes(model):
    model.check_recipe(RECIPE)
    with pytest.raises(ModelError, match=f"ffffffffffffffff.*{RECIPE}"):
        model.check_recipe("f" * 16)


def test_features_of_another_shape_or_not_finite_are_refused(model, values):
    with pytest.raises(ModelError, match=r"\(300, 139\).*\(n, 140\)"):
        model.predict(values[:, :139])
    with pytest.raises(ModelError, match=r"\(140,\)"):
        model.predict(values[0])
    broken = values.copy()
    broken[211, 5] = np.nan
    with pytest.raises(ModelError, match="row 211"):
        model.predict(broken)


def _rewritten(source, target, change):
    """Copy a model file with its header changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            raw = old.read(name)
            if name == "model.json":
                header = json.loads(raw)
                change(header)
                raw = json.dumps(header).encode()
            new.writestr(name, raw)


def test_a_model_of_a_newer_version_is_refused(model, tmp_path):
    model.save(tmp_path / "m.model")
    _rewritten(
        tmp_path / "m.model", tmp_path / "new.model", lambda header: header.update(format=2, weights="elsewhere")
    )
    with pytest.raises(NewerVersionError, match=r"new\.model.*format 2.*Update"):
        Model.load(tmp_path / "new.model")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("classes"),
        lambda header: header.update(classes=["a", "b"]),
        lambda header: header.update(pixels=20),
        lambda header: header["config"].update(surprise=1),
        lambda header: header.update(format="x"),
        lambda header: header.update(temperature=None),
    ],
)
def test_a_header_that_does_not_fit_is_refused(model, tmp_path, change):
    model.save(tmp_path / "m.model")
    _rewritten(tmp_path / "m.model", tmp_path / "bad.model", change)
    with pytest.raises(ModelError, match=r"bad\.model"):
        Model.load(tmp_path / "bad.model")


def test_damaged_files_are_refused(model, tmp_path):
    path, bad = tmp_path / "m.model", tmp_path / "bad.model"
    model.save(path)
    raw = path.read_bytes()
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 0x10
    for damaged in (b"", b"not a model", raw[:1000], raw[: len(raw) // 2], bytes(flipped)):
        bad.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"bad\.model.*damaged"):
            Model.load(bad)
    with pytest.raises(ModelError, match="No such file"):
        Model.load(tmp_path / "absent.model")


def test_a_write_that_fails_leaves_the_old_model(model, values, tmp_path, monkeypatch):
    path = tmp_path / "m.model"
    model.save(path)
    before = path.read_bytes()

    def full(*_args, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emberline.learn.model.np.save", full)
    with pytest.raises(EmberlineError, match=r"m\.model.*No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["m.model"]
