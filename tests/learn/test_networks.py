"""The networks have the shapes and costs that they are said to have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from emberline.errors import ModelError
from emberline.learn.networks import Dropout, build, use_generator


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["ember", "vgg"])
@pytest.mark.parametrize("pixels", [8, 95, 140, 1024])
def test_any_length_gives_one_logit_per_class(name, pixels):
    network = build(name, pixels, 4, generator=_generator()).eval()
    x = torch.randn(3, pixels)
    assert network(x).shape == (3, 4)
    assert network.embed(x).shape == (3, network.width)


@pytest.mark.parametrize(("name", "million", "weights"), [("vgg", 39.4, 2_876_000), ("ember", 4.46, 168_600)])
def test_cost_is_as_documented(name, million, weights):
    network = build(name, 140, 5, generator=_generator()).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode(False), torch.no_grad():
        network(torch.zeros(1, 140))
    assert counter.get_total_flops() / 1e6 == pytest.approx(million, rel=0.02)
    assert sum(weight.numel() for weight in network.parameters()) == pytest.approx(weights, rel=0.01)


def test_the_published_network_is_the_published_network():
    kinds = [
        (type(module).__name__, getattr(module, "out_channels", None) or getattr(module, "out_features", None))
        for module in build("vgg", 140, 5).modules()
        if type(module).__name__ in {"Conv2d", "Linear", "MaxPool2d", "Dropout"}
    ]
    pairs = [[("Conv2d", n), ("Conv2d", n), ("MaxPool2d", None)] for n in (64, 128, 256)]
    dense = [("Linear", 512), ("Dropout", None), ("Linear", 512), ("Dropout", None), ("Linear", 5)]
    assert kinds == [layer for pair in pairs for layer in pair] + dense


@pytest.mark.parametrize("name", ["ember", "vgg"])
def test_weights_come_from_the_generator_alone(name):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build(name, 140, 3, generator=_generator(7)).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = build(name, 140, 3, generator=_generator(7)).state_dict()
    other = build(name, 140, 3, generator=_generator(8)).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])


def test_fresh_predictions_are_near_even():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 140)).astype(np.float32))
    for name in ("ember", "vgg"):
        probabilities = torch.softmax(build(name, 140, 4, generator=_generator()).eval()(x), dim=1)
        assert float((probabilities.detach() - 0.25).abs().max()) < 0.2


def test_dropout_keeps_the_mean_and_follows_its_generator():
    layer = Dropout(0.5).train()
    x = torch.ones(200, 200)
    use_generator(layer, _generator(3))
    first = layer(x)
    use_generator(layer, _generator(3))
    assert torch.equal(first, layer(x))
    assert set(first.unique().tolist()) == {0.0, 2.0}
    assert float(first.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("resnet", 140, 3), "ember, vgg"), (("ember", 7, 3), "7 pixels"), (("ember", 140, 1), "two classes")],
)
def test_impossible_networks_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        build(*arguments)
