"""A pool of synthetic line profiles with rare targets, and a small network to learn it.

``python tests/learn/strategies/pools.py`` makes the comparison in ``docs/explanation/strategies.md``.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies import Query, strategy

PIXELS = 60


def profiles(n: int, prevalence: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Absorption lines; double-peaked targets; narrow lines elsewhere, bumps and spikes. (n, d), (n,)"""
    rng = np.random.default_rng([77, seed])
    x = np.arange(PIXELS) - PIXELS / 2

    def bump(centre, width, height):
        return height[:, None] * np.exp(-0.5 * ((x - centre[:, None]) / width[:, None]) ** 2)

    def uniform(low, high):
        return rng.uniform(low, high, n)

    kind = rng.choice(4, n, p=[0.93 - prevalence, prevalence, 0.04, 0.03])
    zero, apart, width, peak = np.zeros(n), uniform(1, 4), uniform(1.5, 3), uniform(0.3, 1.5)
    flux = 1 - bump(zero, uniform(2, 8), uniform(0.1, 0.8))
    flux += (kind == 1)[:, None] * (bump(apart, width, peak) + bump(-apart, width, peak * uniform(0.6, 1)))
    side = uniform(8, 25) * rng.choice([-1, 1], n)
    flux += (kind == 2)[:, None] * bump(side, np.full(n, 1.5), uniform(0.3, 1.5))
    flux += (kind == 3)[:, None] * bump(uniform(-25, 25), np.full(n, 12.0), uniform(0.2, 0.6))
    spikes = np.flatnonzero(rng.random(n) < 0.03)
    flux[spikes, rng.integers(0, PIXELS, len(spikes))] += 1.5
    flux += rng.normal(size=flux.shape) * 10 ** uniform(-2, -1)[:, None]
    flux = (flux - flux.mean(axis=1, keepdims=True)) / flux.std(axis=1, keepdims=True)
    return flux.astype(np.float32), (kind == 1).astype(np.int64)


def learn(values, labels, pool, seed):
    """Probabilities of the pool and its embeddings, by a small network that sees each class equally often."""
    from sklearn.neural_network import MLPClassifier

    positive = np.flatnonzero(labels)
    rows = np.r_[np.arange(len(labels)), np.tile(positive, max(len(labels) // (2 * len(positive)) - 1, 0))]
    network = MLPClassifier((16,), max_iter=80, random_state=seed, alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(values[rows], labels[rows])
    return network.predict_proba(pool), np.maximum(pool @ network.coefs_[0] + network.intercepts_[0], 0)


def search(name: str, values, truth, *, seed: int, rounds: int, batch: int) -> list[int]:
    """Targets that were found after the cold start and after each round."""
    rng = np.random.default_rng(seed)
    pool = {"objects": np.arange(len(truth)), "available": np.ones(len(truth), dtype=bool), "features": values}
    asked = strategy("cold_start").select(Query(batch=batch, rng=rng, **pool))
    found = [int(truth[asked].sum())]
    for _ in range(rounds):
        if truth[asked].any():
            probabilities, embeddings = learn(values[asked], truth[asked], values, seed)
        else:
            probabilities, embeddings = np.tile([1.0, 0.0], (len(truth), 1)), values
        query = Query(
            batch=batch, rng=rng, probabilities=probabilities, targets=(1,), embeddings=embeddings, asked=asked, **pool
        )
        asked = np.append(asked, strategy(name).select(query))
        found.append(int(truth[asked].sum()))
    return found


def main() -> None:
    print("| targets | strategy | found after 50, 100, 150, 200, 250, 300 labels |")
    print("|---|---|---|")
    for prevalence in (0.001, 0.005, 0.01):
        for name in ("seek", "entropy", "margin", "diverse", "random"):
            found, total = [], 0
            for seed in (1, 2, 3):
                values, truth = profiles(20_000, prevalence, seed)
                found.append(search(name, values, truth, seed=seed, rounds=5, batch=50))
                total += int(truth.sum())
            means = ", ".join(f"{mean:.0f}" for mean in np.mean(found, axis=0))
            print(f"| {total / 3:.0f} ({prevalence:.1%}) | `{name}` | {means} |", flush=True)


if __name__ == "__main__":
    main()
