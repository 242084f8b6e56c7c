"""An exported model gives the same probabilities in another runtime."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from learn_profiles import CLASSES, RECIPE, profiles

from emberline.errors import MissingExtraError
from emberline.learn import TrainConfig, train


def _model(network):
    config = TrainConfig(members=1, network=network, epochs=1, epoch_steps=5, batch=32)
    return train(*profiles(150, 1), CLASSES, config, rng=np.random.default_rng(0), recipe_hash=RECIPE)


@pytest.mark.parametrize("network", ["ember", "vgg"])
def test_onnx_gives_the_same_probabilities(network, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = _model(network)
    model.temperature = 1.7
    model.export_onnx(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 77):
        values = profiles(200, 5)[0][:rows]
        (probabilities,) = session.run(["probabilities"], {"features": values})
        np.testing.assert_allclose(probabilities, model.predict(values), atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["classes"].split("\n") == list(CLASSES)
    assert metadata["recipe_hash"] == RECIPE
    assert [item.name for item in tmp_path.iterdir()] == ["m.onnx"]


def test_without_the_extra_the_error_says_what_to_install(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    with pytest.raises(MissingExtraError, match=r"emberline\[onnx\]"):
        _model("ember").export_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
