"""Trust: what disagreement means, which neighbours count, and how often the flag is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.learn.trust import Reference, disagreement


def test_passes_that_agree_do_not_disagree_whatever_they_say():
    passes = np.tile([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]], (20, 1, 1))
    np.testing.assert_allclose(disagreement(passes, (1, 2)), 0.0, atol=1e-7)


def test_disagreement_is_of_the_targets_together():
    """Passes that move probability from one target to the other agree that it is a target."""
    passes = np.array([[[0.1, 0.9, 0.0]], [[0.1, 0.0, 0.9]]])
    assert disagreement(passes, (1, 2))[0] == pytest.approx(0.0, abs=1e-7)
    assert disagreement(passes, (1,))[0] == pytest.approx(0.45)


def test_the_most_that_passes_can_disagree_is_a_half():
    assert disagreement(np.array([[[0.0, 1.0]], [[1.0, 0.0]]]), (1,))[0] == pytest.approx(0.5)


def test_distances_are_those_of_a_direct_computation():
    rng = np.random.default_rng(1)
    training, points = rng.normal(size=(40, 5)), rng.normal(size=(70, 5))
    reference = Reference.fit(training, np.arange(40))
    direct = np.linalg.norm(points[:, None] - training[None], axis=2)
    expected = np.sort(direct, axis=1)[:, :3].mean(axis=1) / reference.scale
    np.testing.assert_allclose(reference.distance(points), expected, rtol=1e-5)
    apart = np.linalg.norm(training[:, None] - training[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert reference.scale == pytest.approx(np.median(np.sort(apart, axis=1)[:, :3].mean(axis=1)))


def test_other_spectra_of_the_same_object_are_no_neighbours():
    rng = np.random.default_rng(2)
    single = rng.normal(size=(60, 4))
    often = np.repeat(single, 4, axis=0) + 1e-6 * rng.normal(size=(240, 4))
    alone = Reference.fit(often, np.arange(240))
    by_object = Reference.fit(often, np.repeat(np.arange(60), 4))
    assert alone.scale < 1e-3
    assert by_object.scale > 0.1


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.01, 100.0))
def test_the_scale_of_the_embedding_changes_nothing(seed, factor):
    rng = np.random.default_rng(seed)
    training, points = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    one, other = Reference.fit(training, np.arange(30)), Reference.fit(factor * training, np.arange(30))
    np.testing.assert_allclose(one.distance(points), other.distance(factor * points), rtol=1e-4, atol=1e-5)
    assert one.threshold == pytest.approx(other.threshold, rel=1e-6)


@pytest.mark.parametrize("false_flags", [0.01, 0.05, 0.2])
def test_what_is_like_the_training_set_is_flagged_as_seldom_as_promised(false_flags):
    """Over many draws the share of false flags is the promise, within the error of the experiment."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(60):
        reference = Reference.fit(rng.normal(size=(300, 4)), np.arange(300), false_flags=false_flags)
        shares.append(reference.unlike(reference.distance(rng.normal(size=(500, 4)))).mean())
    assert np.mean(shares) == pytest.approx(false_flags, abs=0.25 * false_flags + 0.003)


def test_what_is_far_away_is_flagged():
    rng = np.random.default_rng(4)
    reference = Reference.fit(rng.normal(size=(300, 4)), np.arange(300))
    assert reference.unlike(reference.distance(rng.normal(size=(200, 4)) + 8.0)).all()


def test_few_labels_flag_beyond_the_largest_distance_among_them():
    rng = np.random.default_rng(5)
    training = rng.normal(size=(10, 3))
    reference = Reference.fit(training, np.arange(10))
    apart = np.linalg.norm(training[:, None] - training[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert reference.threshold == pytest.approx(np.sort(apart, axis=1)[:, :3].mean(axis=1).max() / reference.scale)


def test_two_objects_are_enough_and_copies_do_no_harm():
    reference = Reference.fit(np.zeros((4, 2)), np.array(["a", "a", "b", "b"]))
    assert np.isfinite(reference.distance(np.ones((3, 2)))).all()


@pytest.mark.parametrize(
    ("points", "objects"), [(np.zeros((3, 2)), ["a"] * 3), (np.zeros((0, 2)), []), (np.zeros((2, 2)), ["a"])]
)
def test_too_little_to_compare_is_refused(points, objects):
    with pytest.raises(ValueError, match="two objects"):
        Reference.fit(points, np.array(objects))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_false_flags_are_a_share(share):
    with pytest.raises(ValueError, match="choose a share"):
        Reference.fit(np.eye(3), np.arange(3), false_flags=share)
