"""The published network against the default, and ways of balancing. Run: python benchmarks/network.py

Spectra come from simulated surveys through the recipe halpha-140; training and test share no object. Rates are measured
in turn within one run, several times; medians and their ratios are printed. Set OMP_NUM_THREADS=1 for numbers per core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from emberline.features import Recipe
from emberline.learn import Model, TrainConfig, train
from emberline.learn.calibrate import expected_calibration_error
from emberline.learn.networks import build
from emberline.learn.split import split_objects
from emberline.simulate import Survey, feature_block

Sample = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]

NETWORKS = {
    "ember": TrainConfig(members=1),
    "vgg, trained as ember": TrainConfig(network="vgg", members=1),
    "vgg, as published": TrainConfig.published(),
}
SHIFTS = {f"shift {pixels:g}": TrainConfig(members=1, shift_pixels=pixels) for pixels in (0.0, 0.3, 0.5, 1.0)}
BALANCES = {name: TrainConfig(members=1, balance=name) for name in ("none", "weights", "smote", "adasyn")}


def labelled(config: Survey) -> tuple[Sample, tuple[str, ...]]:
    """Feature vectors, labels and objects of a simulated survey, and the names of the classes."""
    recipe = Recipe.load("halpha-140")
    blocks = [feature_block(config, index, recipe) for index in range(config.blocks)]
    names, objects = (np.concatenate([block.truth[key] for block in blocks]) for key in ("label", "object"))
    classes, labels = np.unique(names, return_inverse=True)
    values = np.concatenate([block.features.values for block in blocks])
    return (values, labels.astype(np.int64), objects), tuple(map(str, classes))


def drawn(sample: Sample, rows: NDArray[np.int64]) -> Sample:
    """Some rows of a sample."""
    return sample[0][rows], sample[1][rows], sample[2][rows]


def scores(model: Model, test: Sample, target: int) -> dict[str, float]:
    """How good a model is on objects that it has not seen."""
    probabilities, labels = model.predict(test[0]), test[1]
    predicted = probabilities.argmax(axis=1)
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced": float(balanced_accuracy_score(labels, predicted)),
        "AP": float(average_precision_score(labels == target, probabilities[:, target])),
        "loss": float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1)).mean()),
        "ECE": expected_calibration_error(probabilities, labels),
        "epochs": float(model.metrics["epochs"]),
        "seconds": float(model.metrics["seconds"]),
    }


def compare(
    configs: dict[str, TrainConfig], draws: list[tuple[Sample, Sample]], classes: tuple[str, ...], target: int
) -> dict[str, dict[str, float]]:
    """Means over the draws (training, test); the configurations take turns."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in configs}
    for seed, (training, test) in enumerate(draws):
        for name, config in configs.items():
            model = train(*training, classes, config, rng=np.random.default_rng(seed), recipe_hash="benchmark")
            results[name].append(scores(model, test, target))
    return {name: {key: statistics.mean(r[key] for r in some) for key in some[0]} for name, some in results.items()}


def published_case(
    configs: dict[str, TrainConfig], spectra: int, training: int, seeds: int
) -> dict[str, dict[str, float]]:
    """Profiles of labelled Ondřejov-like spectra."""
    sample, classes = labelled(Survey(preset="ondrejov", spectra=spectra, seed=1, repeats=0.4))
    draws = []
    for seed in range(seeds):
        test, learnt = split_objects(sample[1], sample[2], training / spectra, np.random.default_rng(seed))
        draws.append((drawn(sample, learnt), drawn(sample, test)))
    return compare(configs, draws, classes, classes.index("emission"))


def search_case(configs: dict[str, TrainConfig], labels: int, seeds: int) -> dict[str, dict[str, float]]:
    """A LAMOST-like search: half of the labels are stars, the other half of rare classes; tested on another survey."""
    sample, classes = labelled(Survey(preset="lamost", spectra=6000, seed=7, prevalence=0.05))
    pool, same = labelled(Survey(preset="lamost", spectra=20000, seed=1))
    assert classes == same
    star = classes.index("star")
    rng = np.random.default_rng(0)
    ordinary = rng.permutation(np.flatnonzero(pool[1] == star))[:4000]
    test = drawn(pool, np.concatenate([np.flatnonzero(pool[1] != star), ordinary]))
    draws = []
    for _ in range(seeds):
        order = rng.permutation(len(sample[1]))
        stars, rare = order[sample[1][order] == star], order[sample[1][order] != star]
        half = min(labels // 2, len(rare))
        draws.append((drawn(sample, np.concatenate([stars[: labels - half], rare[:half]])), test))
    return compare(configs, draws, classes, classes.index("be"))


def rates(repeats: int) -> dict[str, dict[str, float]]:
    """Spectra a second of inference by chunk, of stochastic passes, and of optimiser steps; the networks take turns."""
    values = np.random.default_rng(0).standard_normal((2048, 140)).astype(np.float32)
    jobs: dict[str, dict[str, tuple[Callable[[], object], int]]] = {}
    for name in ("ember", "vgg"):
        config = TrainConfig(network=name, members=1)
        network = build(config.network, 140, 5, generator=torch.Generator().manual_seed(0))
        model = Model(network, tuple("abcde"), 140, "benchmark", config)
        jobs[name] = {"predict": (lambda m=model: m.predict(values), 2048)}
        jobs[name]["20 passes"] = (lambda m=model: m.stochastic(values[:512], 20, np.random.default_rng(0)), 512)
        jobs[name]["step of 64"] = (_step(config), 64)
    found: dict[str, dict[str, list[float]]] = {name: {key: [] for key in jobs[name]} for name in jobs}
    for repeat in range(repeats + 1):
        for key in jobs["vgg"]:
            for name, own in jobs.items():
                start = time.perf_counter()
                own[key][0]()
                if repeat:  # the first turn warms up
                    found[name][key].append(own[key][1] / (time.perf_counter() - start))
    return {name: {key: statistics.median(values) for key, values in own.items()} for name, own in found.items()}


def _step(config: TrainConfig) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(0)
    network = build(config.network, 140, 5, generator=generator).train()
    optimiser = torch.optim.AdamW(network.parameters())
    x, y = torch.randn(64, 140, generator=generator), torch.randint(5, (64,), generator=generator)

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()

    return step


def costs() -> dict[str, dict[str, float]]:
    """MFLOP a spectrum and thousands of weights."""
    found = {}
    for name in ("ember", "vgg"):
        network = build(TrainConfig(network=name).network, 140, 5).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 140))
        weights = sum(weight.numel() for weight in network.parameters())
        found[name] = {"MFLOP": counter.get_total_flops() / 1e6, "thousand weights": weights / 1e3}
    return found


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """One row a configuration; for two networks also their ratio."""
    print(f"\n{title}")
    columns = list(next(iter(table.values())))
    print(f"{'':<24}" + "".join(f"{column:>17}" for column in columns))
    for name, row in table.items():
        print(f"{name:<24}" + "".join(f"{row[column]:>17.4g}" for column in columns))
    if set(table) == {"ember", "vgg"}:
        print(f"{'ember / vgg':<24}" + "".join(f"{table['ember'][c] / table['vgg'][c]:>17.3g}" for c in columns))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--labels", type=int, nargs="*", default=[150, 900])
    parser.add_argument("--only", choices=["rates", "published", "networks", "balances", "shifts"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wanted = [options.only] if options.only else ["rates", "published", "networks", "balances", "shifts"]
    tables: dict[str, dict[str, dict[str, float]]] = {}
    if "rates" in wanted:
        tables["cost"] = costs()
        tables["spectra a second"] = rates(options.repeats)
    if "published" in wanted:
        tables["Ondřejov-like profiles, 1000 labels"] = published_case(NETWORKS, 3000, 1000, options.seeds)
    if "shifts" in wanted:
        tables["Ondřejov-like profiles, 1000 labels, shifts"] = published_case(SHIFTS, 3000, 1000, options.seeds)
    for part, configs in (("networks", NETWORKS), ("balances", BALANCES), ("shifts", SHIFTS)):
        for labels in options.labels if part in wanted else []:
            tables[f"LAMOST-like search, {labels} labels, {part}"] = search_case(configs, labels, options.seeds)
    if options.json:
        print(json.dumps(tables, indent=1))
        return
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for title, table in tables.items():
        show(title, table)


if __name__ == "__main__":
    main()
