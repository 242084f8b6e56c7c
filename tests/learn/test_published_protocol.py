"""The published network and protocol on labelled Ondřejov-like spectra, split by object.

The classes are profiles without emission, with one peak and with two; a shell's two peaks count as two.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emberline.features import Recipe
from emberline.learn import TrainConfig, train
from emberline.learn.split import split_objects
from emberline.simulate import Survey, feature_block


@pytest.mark.slow
def test_the_published_network_and_protocol_reach_096():
    recipe = Recipe.load("halpha-140")
    config = Survey(preset="ondrejov", spectra=2000, seed=11, repeats=0.2)
    blocks = [feature_block(config, index, recipe) for index in range(config.blocks)]
    values = np.concatenate([block.features.values for block in blocks])
    names, objects = (np.concatenate([block.truth[key] for block in blocks]) for key in ("label", "object"))
    classes, labels = np.unique(np.where(names == "shell", "double-peak", names), return_inverse=True)
    training, test = split_objects(labels, objects, 0.25, np.random.default_rng(0))
    assert not set(objects[training]) & set(objects[test])

    model = train(
        values[training],
        labels[training],
        objects[training],
        tuple(map(str, classes)),
        dataclasses.replace(TrainConfig.published(), epochs=8),
        rng=np.random.default_rng(0),
        recipe_hash=recipe.hash,
    )
    accuracy = (model.predict(values[test]).argmax(axis=1) == labels[test]).mean()
    assert model.metrics["balance"]["used"] == "smote"
    assert accuracy >= 0.96
