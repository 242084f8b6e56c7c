"""Two catalogues matched by position, against brute force, where the sky is awkward: poles, 0 h, borders of cells."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emberline.archive.crossmatch as module
from emberline import sky
from emberline.archive.crossmatch import KEEP, Matches, match
from emberline.archive.positions import Positions
from emberline.errors import ConfigError

RADIUS = 3.0


def brute_force(left: Positions, right: Positions, radius: float, keep: str) -> list[tuple[int, int, float, int]]:
    """Every left row with every right one, by the definition."""
    apart = np.full((len(left), len(right)), np.inf)
    for i in range(len(left)):
        for j in range(len(right)):
            apart[i, j] = at_common_epoch(left, i, right, j)
    apart[~(apart <= radius)] = np.inf
    near = np.isfinite(apart)
    counts = near.sum(axis=1)
    best_of_right = apart.argmin(axis=0) if len(left) else np.zeros(0, int)
    found = []
    for i in range(len(left)):
        order = sorted(np.flatnonzero(near[i]), key=lambda j: (apart[i, j], j))
        if keep == "nearest":
            order = order[:1]
        if keep == "mutual":
            order = [j for j in order[:1] if best_of_right[j] == i]
        found += [(i, int(j), float(apart[i, j]), int(counts[i])) for j in order]
    return found


def at_common_epoch(left: Positions, i: int, right: Positions, j: int) -> float:
    places = [[p.ra[n], p.dec[n]] for p, n in ((left, i), (right, j))]
    if any(not np.isfinite(ra) or not abs(dec) <= 90 for ra, dec in places):
        return np.inf
    if left.epoch is not None and right.epoch is not None and np.isfinite(left.epoch[i] - right.epoch[j]):
        for side, (mover, n), other in ((1, (right, j), left.epoch[i]), (0, (left, i), right.epoch[j])):
            if mover.pmra is None or mover.pmdec is None or mover.epoch is None:
                continue
            motion = np.nan_to_num([mover.pmra[n], mover.pmdec[n]]) if np.isfinite(mover.pmra[n]) else np.zeros(2)
            if motion.any():
                there = sky.propagate(*places[side], *motion, other - mover.epoch[n])
                places[side] = [float(there.ra), float(there.dec)]
                break
    return float(sky.separation(*places[0], *places[1])) * 3600


def check(left: Positions, right: Positions, keep: Any, radius: float = RADIUS, threads: int = 1) -> Matches:
    """The same pairs as brute force; pairs on the very edge of the radius may fall on either side."""
    found = match(left, right, radius, keep=keep, threads=threads)
    wanted = brute_force(left, right, radius, keep)
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == [pair[:2] for pair in wanted]
    assert found.separation == pytest.approx([pair[2] for pair in wanted], abs=1e-6)
    assert found.neighbours.tolist() == [pair[3] for pair in wanted]
    return found


centres = st.one_of(
    st.tuples(st.floats(0, 360), st.floats(-90, 90)),
    st.tuples(st.floats(0, 360), st.sampled_from([90.0, -90.0, 89.9999, -89.9999])),
    st.tuples(st.sampled_from([0.0, 360.0, 359.99999, 1e-9]), st.floats(-80, 80)),
    st.tuples(st.sampled_from([0.0, 45.0, 90.0, 135.0]), st.sampled_from([0.0, 41.8103149, -41.8103149])),
)
"""Anywhere, at the poles, at 0 h, and at the corners of HEALPix's base cells, where only seven cells meet."""


@st.composite
def two_lists(draw: st.DrawFn) -> tuple[Positions, Positions]:
    """A few clumps of a few arcseconds, with duplicates and rows without a position."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    clumps = draw(st.lists(centres, min_size=1, max_size=4))
    lists = []
    for _ in range(2):
        size = draw(st.integers(0, 14))
        ra, dec = np.array(clumps)[rng.integers(0, len(clumps), size)].T if size else np.zeros((2, 0))
        ra, dec = sky.offset(ra, dec, rng.uniform(0, 360, size), np.abs(rng.normal(0, 3, size)) / 3600)
        ra = ra + rng.choice([0, 0, 360], size)
        if size > 3:
            ra[1], dec[1] = ra[0], dec[0]
            ra[2], dec[2] = rng.choice([(np.nan, 0.0), (10.0, np.nan), (-9999.0, -9999.0)])
        lists.append(Positions.of(ra, dec))
    return lists[0], lists[1]


@settings(max_examples=60, deadline=None)
@given(two_lists(), st.sampled_from(KEEP))
def test_matches_are_those_of_brute_force(lists: tuple[Positions, Positions], keep: Any) -> None:
    check(*lists, keep)


@st.composite
def moving_lists(draw: st.DrawFn) -> tuple[Positions, Positions]:
    left, right = draw(two_lists())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sides = draw(st.sampled_from([(False, True), (True, False), (True, True)]))
    made = []
    for positions, moves in zip((left, right), sides, strict=True):
        size = len(positions)
        epoch = np.where(rng.random(size) < 0.1, np.nan, rng.uniform(1950, 2025, size))
        motion = rng.normal(0, 1, (2, size)) * 10.0 ** rng.uniform(0, 4, size)
        motion[:, rng.random(size) < 0.2] = np.nan
        known = {"pmra": motion[0], "pmdec": motion[1]} if moves else {}
        made.append(dataclasses.replace(positions, epoch=epoch, **known))
    return made[0], made[1]


@settings(max_examples=60, deadline=None)
@given(moving_lists(), st.sampled_from(KEEP))
def test_matches_of_moving_stars_are_those_of_brute_force(lists: tuple[Positions, Positions], keep: Any) -> None:
    check(*lists, keep)


def test_a_fast_star_is_found_at_the_candidates_epoch_and_not_at_the_catalogues() -> None:
    star = sky.propagate(269.45, 4.69, -800.0, 10_360.0, -4.0)
    right = Positions.of([269.45], [4.69], epoch=2016.0, pmra=[-800.0], pmdec=[10_360.0])
    seen = Positions.of(star.ra[None], star.dec[None], epoch=2012.0)
    found = match(seen, right, 1.0)
    assert found.separation == pytest.approx([0.0], abs=1e-5)
    still = Positions.of(star.ra[None], star.dec[None])
    assert not len(match(still, right, 1.0)), "without an epoch it is 41 arcsec away"
    passed = Positions.of([269.45], [4.69], epoch=2012.0)
    assert not len(match(passed, right, 1.0)), "it stood there four years later"


def test_blocks_of_sky_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    left = Positions.of(ra, dec)
    right = Positions.of(
        *sky.offset(np.tile(ra, 2), np.tile(dec, 2), rng.uniform(0, 360, 6000), rng.rayleigh(2, 6000) / 3600)
    )
    whole = {keep: match(left, right, RADIUS, keep=keep, threads=1) for keep in KEEP}
    assert len(whole["nearest"]) > 1500
    assert len(whole["mutual"]) == len(whole["nearest"]), "nobody else is about"
    monkeypatch.setattr("emberline.archive.positions.BLOCK_ROWS", 64)
    monkeypatch.setattr("emberline.archive.positions._MOST_CELLS", 16)
    monkeypatch.setattr(module, "_MOST_PAIRS", 10)
    for keep in KEEP:
        found = match(left, right, RADIUS, keep=keep, threads=2)
        for name in ("left", "right", "neighbours", "separation"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole[keep], name), err_msg=f"{keep} {name}")


def test_many_rows_at_one_place() -> None:
    left, right = (
        Positions.of(np.full(300, 10.0), np.full(300, 20.0)),
        Positions.of(np.full(400, 10.0), np.full(400, 20.0)),
    )
    nearest = match(left, right, 1.0)
    assert nearest.right.tolist() == [0] * 300, "of equally near ones the first"
    assert nearest.neighbours.tolist() == [400] * 300
    assert len(match(left, right, 1.0, keep="all")) == 120_000
    assert list(
        zip(*(getattr(match(left, right, 1.0, keep="mutual"), k).tolist() for k in ("left", "right")), strict=True)
    ) == [(0, 0)]


@pytest.mark.parametrize("radius", [0.01, 60.0, 3600.0, 36_000.0])
def test_any_radius(radius: float) -> None:
    rng = np.random.default_rng(3)
    lists = []
    for _ in range(2):
        ra, dec = sky.offset(
            np.full(20, 44.9), np.full(20, 41.8), rng.uniform(0, 360, 20), rng.rayleigh(radius, 20) / 3600
        )
        lists.append(Positions.of(ra, dec))
    assert len(check(*lists, "all", radius)) > 10


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), 40_000.0])
def test_an_impossible_radius_is_refused(radius: float) -> None:
    with pytest.raises(ConfigError, match="radius"):
        match(Positions.of([1.0], [1.0]), Positions.of([1.0], [1.0]), radius)


def test_empty_lists_match_nothing() -> None:
    some, none = Positions.of([1.0], [1.0]), Positions.of([], [])
    for left, right in ((some, none), (none, some), (none, none)):
        for keep in KEEP:
            assert len(match(left, right, 1.0, keep=keep)) == 0


def test_masked_positions_are_not_known() -> None:
    ra = np.ma.array([10.0, 10.0], mask=[True, False])
    assert match(Positions.of(ra, [0.0, 0.0]), Positions.of([10.0], [0.0]), 1.0).left.tolist() == [1]
