"""Training learns, repeats itself bit by bit, and refuses what cannot be learnt."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from learn_profiles import CLASSES, RECIPE, profiles

from emberline import config as configuration
from emberline.errors import ConfigError, ModelError
from emberline.learn import TrainConfig, train
from emberline.learn.fitting import shifted

QUICK = TrainConfig(members=1, epochs=3, epoch_steps=5)


def _train(values, labels, objects, config=QUICK, *, seed=0, classes=CLASSES, **more):
    return train(values, labels, objects, classes, config, rng=np.random.default_rng(seed), recipe_hash=RECIPE, **more)


def _accuracy(model, seed=99):
    values, labels, _ = profiles(800, seed)
    return (model.predict(values).argmax(axis=1) == labels).mean()


def _weights(model):
    return list(model.network.state_dict().values())


@pytest.fixture(scope="module")
def trained():
    return _train(*profiles(400, 1), TrainConfig(members=1, epochs=10, balance="smote"))


def test_the_default_learns_from_400_labels(trained):
    assert _accuracy(trained) > 0.95
    assert trained.metrics["accuracy"] > 0.9
    assert trained.metrics["ece"] < 0.1


def test_the_published_network_learns():
    config = TrainConfig(members=1, network="vgg", epochs=3, epoch_steps=5, balance="none")
    assert _accuracy(_train(*profiles(400, 1), config)) > 0.85


def test_metrics_say_what_happened(trained):
    metrics = trained.metrics
    assert sum(metrics["counts"].values()) + sum(metrics["counts_validation"].values()) == 400
    assert len(set(metrics["counts_balanced"].values())) == 1
    assert metrics["balance"] == {"asked": "smote", "used": "smote", "reason": ""}
    assert set(metrics["per_class"]) == set(CLASSES)
    assert 1 <= metrics["best_epoch"] <= metrics["epochs"]
    assert metrics["seconds"] > 0
    assert metrics["temperature"] == trained.temperature
    assert trained.provenance["recipe_hash"] == RECIPE
    assert trained.provenance["config"]["network"] == "ember"


@pytest.mark.parametrize("network", ["ember", "vgg"])
def test_the_same_seed_gives_the_same_bits(network):
    config = TrainConfig(members=1, network=network, epochs=2, epoch_steps=3, shift_pixels=1.0, noise=0.1)
    sample = profiles(90, 3)
    first = _train(*sample, config, seed=5)
    torch.manual_seed(123)  # the process-wide generator has no say
    second = _train(*sample, config, seed=5)
    other = _train(*sample, config, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(_weights(first), _weights(second), strict=True))
    assert first.temperature == second.temperature
    assert not torch.equal(_weights(first)[-1], _weights(other)[-1])


def test_the_process_wide_generators_are_left_alone():
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    _train(*profiles(60, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.parametrize("n", [4, 40])
def test_a_handful_of_labels_is_learnt_in_seconds(n):
    values, labels, _ = profiles(n, 4)
    labels[:2] = (0, 1)
    values[1] = -values[0]
    started = time.perf_counter()
    model = _train(values, labels, np.arange(n), TrainConfig(members=1, epochs=10))
    assert time.perf_counter() - started < 60
    assert np.isfinite(model.predict(values)).all()
    if n == 4:
        assert model.metrics["accuracy"] is None
        assert model.temperature == 1.0


def test_a_class_without_validation_or_without_any_example_is_no_obstacle():
    values, labels, objects = profiles(120, 5)
    labels[:], objects = labels % 2, np.arange(120)
    labels[7] = 2
    model = _train(
        values, labels, objects, TrainConfig(members=1, epochs=2, balance="smote"), classes=(*CLASSES, "never seen")
    )
    assert model.metrics["counts"]["double-peak"] == 1
    assert model.metrics["per_class"]["double-peak"]["support"] == 0
    assert model.metrics["balance"]["used"] == "weights"
    assert model.metrics["balance"]["reason"]
    assert model.predict(values).shape == (120, 4)


def test_features_of_any_scale_are_learnt():
    values, labels, objects = profiles(300, 1)
    tiny = _train(1e-17 * (values + 30).astype(np.float32), labels, objects, TrainConfig(members=1, epochs=8))
    assert tiny.metrics["accuracy"] > 0.85


def test_constant_features_are_survived():
    values, labels, objects = profiles(60, 1)
    assert np.isfinite(_train(np.zeros_like(values), labels, objects).predict(values)).all()


def test_early_stopping_restores_the_best_weights():
    values, labels, _ = profiles(100, 6)
    labels = np.random.default_rng(0).permutation(labels)  # nothing to learn: the validation loss soon rises
    model = _train(values, labels, np.arange(100), TrainConfig(members=1, patience=3, balance="none"))
    assert model.metrics["epochs"] == model.metrics["best_epoch"] + 3
    from emberline.learn.split import split_objects

    _, held_out = split_objects(labels, np.arange(100), 0.2, np.random.default_rng(0))
    logits = torch.from_numpy(model.logits(values[held_out]))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[held_out]))
    assert float(loss) == pytest.approx(model.metrics["loss"], rel=1e-4)


def test_warm_start_keeps_what_was_learnt_and_takes_a_new_class(trained):
    values, labels, objects = profiles(60, 8)
    barely = TrainConfig(members=1, epochs=1, epoch_steps=1, learning_rate=1e-6)
    assert _accuracy(_train(values, labels, objects, barely, init=trained)) > 0.95
    assert _accuracy(_train(values, labels, objects, barely)) < 0.9
    renamed = ("new", *CLASSES)
    model = _train(values, labels + 1, objects, barely, init=trained, classes=renamed)
    test, truth, _ = profiles(500, 9)
    assert (model.predict(test)[:, 1:].argmax(axis=1) == truth).mean() > 0.95


def test_warm_start_refuses_another_recipe_and_another_network(trained):
    sample = profiles(60, 8)
    with pytest.raises(ModelError, match="another recipe"):
        train(*sample, CLASSES, QUICK, rng=np.random.default_rng(0), recipe_hash="f" * 16, init=trained)
    with pytest.raises(ModelError, match=r"another network.*ember.*vgg"):
        _train(*sample, TrainConfig(members=1, network="vgg"), init=trained)
    with pytest.raises(ModelError, match=r"another length.*140.*100"):
        _train(sample[0][:, :100], *sample[1:], init=trained)


def test_progress_hears_of_each_epoch_and_may_stop_the_training():
    heard = []
    _train(*profiles(90, 3), progress=lambda *event: heard.append(event))
    assert heard == [("train", 1, 3), ("train", 2, 3), ("train", 3, 3)]

    def interrupt(step, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(*profiles(90, 3), progress=interrupt)


def test_a_single_class_is_refused_by_name():
    values, _, objects = profiles(30, 1)
    with pytest.raises(ModelError, match=r"30 of 'emission'.*two classes"):
        _train(values, np.ones(30, np.int64), objects)
    with pytest.raises(ModelError, match="no labels at all"):
        _train(values[:0], np.empty(0, np.int64), objects[:0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_with_their_row(bad):
    values, labels, objects = profiles(30, 1)
    values[17, 3] = bad
    with pytest.raises(ModelError, match="row 17"):
        _train(values, labels, objects)


def test_wrong_arrays_are_refused():
    values, labels, objects = profiles(30, 1)
    with pytest.raises(ModelError, match="do not fit"):
        _train(values, labels[:29], objects)
    labels[4] = 3
    with pytest.raises(ModelError, match=r"row 4.*found 3.*0 to 2"):
        _train(values, labels, objects)


def test_a_loss_that_is_not_finite_ends_the_training():
    values, labels, objects = profiles(100, 1)
    with pytest.raises(ModelError, match="learning_rate"):
        _train(values, labels, objects, TrainConfig(members=1, learning_rate=1e30, epochs=3))


def test_the_configuration_is_read_from_a_mapping_and_checked():
    config = configuration.from_mapping(TrainConfig, {"network": "vgg", "learning-rate": 1, "balance": "none"})
    assert config == TrainConfig(network="vgg", learning_rate=1.0, balance="none")
    assert configuration.from_mapping(TrainConfig, configuration.to_mapping(config)) == config
    with pytest.raises(ConfigError, match="patience"):
        configuration.from_mapping(TrainConfig, {"patiense": 3})
    with pytest.raises(ConfigError, match="batch = 0"):
        configuration.from_mapping(TrainConfig, {"batch": 0})
    with pytest.raises(ConfigError, match="smote"):
        configuration.from_mapping(TrainConfig, {"balance": "smot"})


def test_augmentation_shifts_by_fractions_of_a_pixel():
    x = torch.arange(20.0)[None].repeat(3, 1)
    moved = shifted(x, torch.tensor([0.0, 1.5, -2.25]))
    torch.testing.assert_close(moved[:, 5:15], torch.stack([x[0], x[0] - 1.5, x[0] + 2.25])[:, 5:15])
    assert float(moved.min()) == 0.0
    assert float(moved.max()) == 19.0
