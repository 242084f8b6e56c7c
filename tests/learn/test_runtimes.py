"""All runtimes give what PyTorch gives; the one that is chosen is fast enough and right."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from learn_profiles import CLASSES, RECIPE, profiles

from emberline.errors import ConfigError, MissingExtraError, ModelError
from emberline.learn import TrainConfig, train
from emberline.learn.config import PredictConfig
from emberline.learn.graphs import Calibrated, Passes
from emberline.learn.networks import build
from emberline.learn.runtimes import Choice, base, choice, installed, usable
from emberline.learn.runtimes.base import compile_graph
from emberline.learn.runtimes.torch_runner import stream
from emberline.learn.strategies._measures import entropy

RUNTIMES = ("torch", "openvino", "onnxruntime")


@pytest.fixture(scope="module", params=["ember", "vgg"])
def model(request):
    config = TrainConfig(members=1, network=request.param, epochs=3, epoch_steps=5, batch=32)
    return train(*profiles(200, 1), CLASSES, config, rng=np.random.default_rng(0), recipe_hash=RECIPE)


@pytest.fixture(scope="module")
def values():
    return profiles(1500, 2)[0]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_gives_the_same_classes_and_probabilities(model, values, runtime):
    expected = model.predict(values)
    found = model.predict(values, choice=Choice(runtime))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("rows", [0, 1, 127, 128, 129])
def test_any_number_of_rows_will_do(model, values, runtime, rows):
    found = model.predict(values[:rows], choice=Choice(runtime))
    assert found.shape == (rows, len(CLASSES))
    np.testing.assert_allclose(found, model.predict(values[:rows]), atol=1e-4)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bf16_stays_within_a_hundredth(model, values, runtime):
    found = model.predict(values, choice=Choice(runtime, "bf16"))
    assert np.abs(found - model.predict(values)).max() <= 1e-2
    assert np.abs(found - model.predict(values)).max() > 0


def test_mixed_precision_asks_the_same_questions(model, values):
    exact = model.predict(values)
    background = int(np.bincount(exact.argmax(axis=1)).argmax())
    mixed = model.predict(values, choice=Choice("openvino", "mixed", background))
    np.testing.assert_allclose(mixed, exact, atol=1e-2)
    doubtful = exact[:, background] < choice.PLAIN - 1e-2
    np.testing.assert_allclose(mixed[doubtful], exact[doubtful], atol=1e-4)
    top, found = (set(np.argsort(-entropy(p))[:100].tolist()) for p in (exact, mixed))
    assert len(top & found) >= 99


def test_the_passes_are_the_same_networks_in_every_runtime(model, values):
    passes = [
        model.stochastic(values[:300], 8, np.random.default_rng(5), choice=Choice(runtime)) for runtime in RUNTIMES
    ]
    for found in passes[1:]:
        np.testing.assert_allclose(found, passes[0], atol=1e-4)


def test_passes_are_dropout_with_the_silenced_units_taken_out(model, values):
    """The same units silenced by hand, layer by layer."""
    passes, rng, x = 5, np.random.default_rng(9), torch.from_numpy(values[:20])
    graph = Passes(model.network, model.temperature, passes, rng)
    again = np.random.default_rng(9)
    network = model.network
    rate = network.dropout.rate
    last = (again.random((passes, network.width)) >= rate) / (1 - rate)
    with torch.inference_mode():
        features = network.features(x)
        parts = list(network.hidden.children())
        first = (again.random((passes, features.shape[1])) >= rate) / (1 - rate) if parts else np.ones((passes, 1))
        for number in range(passes):
            hidden = features * torch.from_numpy(first[number].astype("f4"))
            hidden = torch.relu(parts[1](hidden)) if parts else hidden
            logits = network.output(hidden * torch.from_numpy(last[number].astype("f4")))
            expected = torch.softmax(logits / model.temperature, dim=1)
            torch.testing.assert_close(graph(x)[:, number], expected, atol=1e-5, rtol=1e-4)


def test_a_spectrum_passes_alike_in_any_company(model, values):
    together = model.stochastic(values[:50], 6, np.random.default_rng(2))
    alone = model.stochastic(values[49:50], 6, np.random.default_rng(2))
    np.testing.assert_allclose(alone[:, 0], together[:, 49], atol=1e-5)


def test_blocks_of_a_memory_map_are_as_the_whole(model, values, tmp_path, monkeypatch):
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    expected = model.predict(values)
    monkeypatch.setattr("emberline.learn.model._BLOCK", 333)
    np.testing.assert_allclose(model.predict(mapped, choice=Choice("openvino")), expected, atol=1e-4)
    broken = values.copy()
    broken[1000, 3] = np.inf
    with pytest.raises(ModelError, match="row 1000"):
        model.predict(broken)


@pytest.mark.parametrize("chunk", [1, 64, 4096])
def test_streaming_to_a_device_keeps_every_row_in_its_place(model, values, chunk):
    """The way to a GPU, with the processor in its stead."""
    graph = Calibrated(model.network, model.temperature).eval()
    found = stream(graph, values[:300], torch.device("cpu"), chunk)
    np.testing.assert_allclose(found, model.predict(values[:300]), atol=1e-5)
    assert stream(graph, values[:0], torch.device("cpu"), chunk).shape == (0, len(CLASSES))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_agrees_with_the_processor(model, values):
    graph = Calibrated(model.network, model.temperature).eval()
    with torch.inference_mode():
        expected = graph(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(model.predict(values), expected, atol=1e-4)
    np.testing.assert_allclose(model.predict(values, choice=Choice("torch", "bf16")), expected, atol=1e-2)


def test_a_small_pool_is_not_worth_a_measurement(model, values):
    assert model.choose(values, PredictConfig()) == Choice("torch", "fp32")


def test_what_is_chosen_for_a_large_pool_is_right(model, values):
    chosen = model.choose(values, PredictConfig(), rows=1_000_000)
    assert chosen.runtime in RUNTIMES
    assert chosen == Choice(**chosen.to_mapping())
    np.testing.assert_allclose(model.predict(values, choice=chosen), model.predict(values), atol=1e-2)


def test_what_is_asked_for_is_taken(model, values):
    assert model.choose(values, PredictConfig("openvino", "fp32"), rows=10**6) == Choice("openvino", "fp32")
    assert model.choose(values, PredictConfig("openvino", "bf16"), rows=10**6) == Choice("openvino", "bf16")
    mixed = model.choose(values, PredictConfig("openvino", "mixed"))
    assert (mixed.runtime, mixed.precision) == ("openvino", "mixed")
    assert mixed.background == np.bincount(model.predict(values).argmax(axis=1)).argmax()


def _wrong(graph, pixels, runtime, precision, *, threads):
    """A runtime that is quick and wrong."""
    if runtime == "torch":
        return base.compile_graph(graph, pixels, runtime, precision, threads=threads)
    return lambda values: np.full((len(values), len(CLASSES)), 1 / len(CLASSES), np.float32)


def test_a_runtime_that_disagrees_is_not_chosen(model, values, monkeypatch):
    monkeypatch.setattr(choice, "compile_graph", _wrong)
    assert model.choose(values, PredictConfig(precision="fp32"), rows=10**6).runtime == "torch"


def test_bf16_that_disagrees_is_not_chosen(model, values, monkeypatch):
    def coarse(graph, pixels, runtime, precision, *, threads):
        exact = base.compile_graph(graph, pixels, runtime, "fp32", threads=threads)
        background = int(np.bincount(exact(values).argmax(axis=1)).argmax())
        sure = np.eye(len(CLASSES), dtype=np.float32)[background]
        return exact if precision == "fp32" else lambda rows: np.tile(sure, (len(rows), 1))

    monkeypatch.setattr(choice, "compile_graph", coarse)
    assert model.choose(values, PredictConfig("openvino"), rows=10**6) == Choice("openvino", "fp32")


def test_mixed_precision_needs_to_know_what_is_common():
    with pytest.raises(ValueError, match="commonest"):
        Choice("torch", "mixed")


def test_a_runtime_that_is_not_there_is_named(model, values, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not installed("openvino")
    with pytest.raises(MissingExtraError, match=r"emberline\[openvino\]"):
        model.stochastic(values, 2, np.random.default_rng(0), choice=Choice("openvino"))
    with pytest.raises(MissingExtraError, match=r"emberline\[onnx\]"):
        model.stochastic(values, 2, np.random.default_rng(0), choice=Choice("onnxruntime"))


def test_what_a_runtime_cannot_do_is_said(model, values):
    with pytest.raises(ConfigError, match=r"onnxruntime.*bf16.*fp32"):
        model.predict(values, choice=Choice("onnxruntime", "bf16"))
    with pytest.raises(ConfigError, match=r"no such runtime.*abacus"):
        model.predict(values, choice=Choice("abacus"))


def test_openvino_is_loaded_without_its_reporter():
    code = (
        "import sys\n"
        "from emberline.learn.runtimes.openvino_runner import _openvino\n"
        "_openvino()\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_what_was_chosen_elsewhere_may_be_missing_here(monkeypatch):
    assert usable(Choice("torch", "mixed", 0))
    assert not usable(Choice("abacus"))
    assert not usable(Choice("onnxruntime", "mixed", 0))
    monkeypatch.setattr(base, "installed", lambda name: name != "openvino")
    assert not usable(Choice("openvino"))


def test_a_runtime_without_the_precision_is_not_chosen(model, values, monkeypatch):
    monkeypatch.setattr(choice, "installed", lambda name: name != "openvino")
    monkeypatch.setattr(choice, "_race", lambda runners, sample: {name: float(name == "torch") for name in runners})
    for precision in ("bf16", "mixed"):
        chosen = model.choose(values, PredictConfig(precision=precision), rows=10**6)
        assert chosen.runtime == "torch"
        model.predict(values[:200], choice=chosen)


def test_a_runtime_without_bf16_that_wins_in_fp32_does_not_keep_others_from_mixed(model, values, monkeypatch):
    order = {"mixed": 0.0, "onnxruntime": 1.0, "openvino": 2.0, "torch": 3.0, "fp32": 9.0}
    monkeypatch.setattr(choice, "_race", lambda runners, sample: {name: order[name] for name in runners})
    chosen = model.choose(values, PredictConfig(), rows=10**6)
    assert (chosen.runtime, chosen.precision) == ("openvino", "mixed")


def test_a_runtime_that_does_not_take_the_network_is_left_out(model, values, monkeypatch):
    def broken(graph, pixels, runtime, precision, *, threads):
        if runtime == "openvino":
            raise RuntimeError("this processor is unknown")
        return base.compile_graph(graph, pixels, runtime, precision, threads=threads)

    monkeypatch.setattr(choice, "compile_graph", broken)
    assert model.choose(values, PredictConfig(precision="fp32"), rows=10**6).runtime != "openvino"
    with pytest.raises(RuntimeError, match="unknown"):
        model.choose(values, PredictConfig("openvino"), rows=10**6)
    assert model.choose(np.full_like(values, np.nan), PredictConfig(), rows=10**6) == Choice()


def test_a_network_that_is_no_longer_used_frees_what_was_compiled_of_it():
    pytest.importorskip("openvino")
    graph = Calibrated(build("ember", 140, 2, generator=torch.Generator().manual_seed(0)), 1.0)
    runner = compile_graph(graph, 140, "openvino", "fp32", threads=1)
    assert runner(np.zeros((3, 140), np.float32)).shape == (3, 2)
    there = weakref.ref(runner)
    del runner
    gc.collect()
    assert there() is None
