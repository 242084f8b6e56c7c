"""No object is on both sides, and every class is on both as far as it goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.learn.split import split_objects


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=120),
    fraction=st.floats(0.0, 0.9),
    seed=st.integers(0, 5),
)
def test_a_split_never_shares_an_object(rows, fraction, seed):
    labels = np.array([label for label, _ in rows], dtype=np.int64)
    objects = np.array([f"object-{number}" for _, number in rows], dtype=str)
    training, validation = split_objects(labels, objects, fraction, np.random.default_rng(seed))
    assert sorted([*training, *validation]) == list(range(len(rows)))
    assert not set(objects[training]) & set(objects[validation])


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5), seed=st.integers(0, 5))
def test_every_class_is_split_in_proportion(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    training, validation = split_objects(labels, np.arange(len(labels)), 0.25, np.random.default_rng(seed))
    for label, size in enumerate(sizes):
        held_out = int((labels[validation] == label).sum())
        assert int((labels[training] == label).sum()) >= 1
        assert abs(held_out - 0.25 * size) <= 1
        assert held_out >= 1 or size == 1


def test_one_object_per_class_is_all_for_training():
    training, validation = split_objects(
        np.array([0, 0, 1, 1]), np.array(["a", "a", "b", "b"]), 0.5, np.random.default_rng(0)
    )
    assert training.tolist() == [0, 1, 2, 3]
    assert validation.size == 0


def test_an_object_that_is_most_of_its_class_is_learnt_from():
    labels = np.zeros(100, dtype=np.int64)
    objects = np.where(np.arange(100) < 90, 0, np.arange(100))
    for seed in range(10):
        training, validation = split_objects(labels, objects, 0.2, np.random.default_rng(seed))
        assert 0 in objects[training]
        assert 1 <= validation.size <= 20


def test_the_share_counts_spectra_not_objects():
    rng = np.random.default_rng(0)
    objects = np.repeat(np.arange(300), rng.integers(1, 12, 300))
    _, validation = split_objects(np.zeros(objects.size, np.int64), objects, 0.2, rng)
    assert validation.size / objects.size == pytest.approx(0.2, abs=0.01)


def test_the_generator_decides():
    labels, objects = np.arange(200) % 3, np.arange(200)
    draws = [split_objects(labels, objects, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
