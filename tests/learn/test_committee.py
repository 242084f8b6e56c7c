"""A committee is the mean of its members, in training, reading, passing and on disk."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch
from learn_profiles import CLASSES, RECIPE, profiles

from emberline.learn import Model, TrainConfig, train
from emberline.learn.networks import Committee, build
from emberline.learn.split import split_objects

QUICK = TrainConfig(members=3, epochs=2, epoch_steps=4)


def _train(values, labels, objects, config=QUICK, *, seed=0, **more):
    return train(values, labels, objects, CLASSES, config, rng=np.random.default_rng(seed), recipe_hash=RECIPE, **more)


@pytest.fixture(scope="module", params=["ember", "vgg"])
def committee(request):
    return _train(*profiles(90, 1), TrainConfig(network=request.param, members=3, epochs=2, epoch_steps=4))


@torch.inference_mode()
def _logits(network, values):
    return network.eval()(torch.tensor(values)).numpy()


def test_its_logits_are_the_mean_of_its_members(committee):
    values = profiles(20, 2)[0]
    members = committee.network.split()
    assert len(members) == 3
    each = [_logits(member, values) for member in members]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(committee.logits(values), np.mean(each, axis=0), atol=1e-4)


def test_members_that_are_joined_again_are_the_same_committee(committee):
    again = Committee(committee.network.split()).state_dict()
    for name, weight in committee.network.state_dict().items():
        torch.testing.assert_close(again[name], weight)


def test_passes_go_round_the_members():
    network = build("ember", 140, 2, dropout=0.0, members=3, generator=torch.Generator().manual_seed(3))
    network.output.weight.data.mul_(300)
    network.member_bias.data = torch.tensor([[0.0, 0.0], [0.5, -0.5], [-1.0, 1.0]])
    model = Model(network, ("a", "b"), 140, RECIPE, TrainConfig(members=3, dropout=0.0))
    values = profiles(15, 4)[0]
    passes = model.stochastic(values, 7, np.random.default_rng(0))
    for number, found in enumerate(passes):
        alone = torch.softmax(torch.tensor(_logits(network.split()[number % 3], values)), dim=1).numpy()
        np.testing.assert_allclose(found, alone, atol=1e-5)
    assert np.abs(passes[0] - passes[1]).max() > 0.01


def test_each_member_holds_out_other_objects_while_there_are_any():
    labels, objects = np.repeat([0, 1], [40, 20]), np.arange(60)
    rng, before = np.random.default_rng(0), np.zeros(60, dtype=bool)
    for _ in range(5):
        training, held_out = split_objects(labels, objects, 0.2, rng, before=before)
        assert not before[held_out].any()
        assert np.bincount(labels[held_out]).tolist() == [8, 4]
        assert len(training) == 48
        before[held_out] = True
    assert before.all()
    assert len(split_objects(labels, objects, 0.2, rng, before=before)[1]) == 12


def test_it_is_judged_by_members_that_have_not_learnt_the_spectrum():
    values, labels, objects = profiles(100, 1)
    model = _train(values, labels, objects, TrainConfig(members=5, epochs=1, epoch_steps=2))
    assert sum(model.metrics["counts"].values()) == 100
    assert sum(model.metrics["counts_validation"].values()) >= 90
    assert model.metrics["temperature"] == model.temperature


def test_the_same_seed_gives_the_same_bits_however_many_threads():
    sample, found = profiles(90, 3), []
    before = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(_train(*sample, seed=5))
    torch.set_num_threads(before)
    first, second = (model.network.state_dict() for model in found)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert found[0].temperature == found[1].temperature


@pytest.mark.parametrize("count", [1, 2])
def test_progress_rises_to_its_total_and_what_it_raises_ends_the_training(count):
    sample, told, before = profiles(60, 3), [], torch.get_num_threads()

    def stop(step, done, total):
        raise KeyboardInterrupt

    torch.set_num_threads(count)
    try:
        _train(*sample, progress=lambda step, done, total: told.append((done, total)))
        with pytest.raises(KeyboardInterrupt):
            _train(*sample, progress=stop)
    finally:
        torch.set_num_threads(before)
    assert {total for _, total in told} == {6}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (6, 6)


def test_it_is_saved_and_starts_another_training(committee, tmp_path):
    values, labels, objects = profiles(60, 2)
    committee.save(tmp_path / "committee.model")
    loaded = Model.load(tmp_path / "committee.model")
    np.testing.assert_array_equal(loaded.predict(values), committee.predict(values))
    config = TrainConfig(network=committee.config.network, members=2, epochs=1, epoch_steps=1, learning_rate=1e-9)
    members = committee.network.split()
    follower = _train(values, labels, objects, config, init=loaded).network.split()
    for one, other in zip(follower, members, strict=False):
        np.testing.assert_allclose(one.output.weight.detach(), other.output.weight.detach(), atol=1e-6)


def test_a_model_from_before_committees_is_one_network(tmp_path):
    model = _train(*profiles(60, 2), TrainConfig(epochs=1, epoch_steps=1, members=1))
    path, old = tmp_path / "new.model", tmp_path / "old.model"
    model.save(path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "model.json":
                header = json.loads(data)
                del header["config"]["members"], header["members"]
                data = json.dumps(header).encode()
            target.writestr(name, data)
    assert not isinstance(Model.load(old).network, Committee)
