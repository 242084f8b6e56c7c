"""A pool read by a GPU from host memory: rate, share of the card's matrix peak, agreement with fp32 on the processor.

    python benchmarks/gpu.py [--spectra 4100000] [--out benchmarks/results]

Without a GPU the same code runs on the processor, on fewer spectra, and the numbers are called what they are. Writes
gpu.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emberline.learn import Model, TrainConfig, train
from emberline.learn.config import Choice, PredictConfig
from emberline.learn.networks import device

MFLOP = {"ember": 4.5, "vgg": 39.4}
TOP = 1000


def pool(spectra: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Noise, and in one of two hundred a bump of some height: a rare class of every difficulty."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((spectra, 140), dtype=np.float32)
    labels = (rng.random(spectra) < 0.005).astype(np.int64)
    values[labels == 1, 55:85] += rng.uniform(0.2, 2.0, (int(labels.sum()), 1)).astype(np.float32)
    return values, labels


def trained(network: str, values: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Model, float]:
    """A network that has learnt from 2,000 spectra, half of them of the rare class, and the seconds that it took."""
    rng = np.random.default_rng(2)
    rare = np.flatnonzero(labels)[:1000]
    rows = np.concatenate([rare, np.flatnonzero(labels == 0)[: len(rare)]])
    begun = time.perf_counter()
    config = TrainConfig(network=network)  # type: ignore[arg-type]
    model = train(values[rows], labels[rows], rows.astype(str), ("none", "line"), config, rng=rng, recipe_hash="gpu")
    return model, time.perf_counter() - begun


def matrix_peak() -> float:
    """What a large product of bf16 matrices reaches here, TFLOP/s."""
    side = 8192 if device().type == "cuda" else 1024
    a = torch.randn(side, side, device=device(), dtype=torch.bfloat16)
    best = 0.0
    for _ in range(6):
        _wait()
        begun = time.perf_counter()
        a @ a
        _wait()
        best = max(best, 2 * side**3 / (time.perf_counter() - begun) / 1e12)
    return best


def _wait() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()


def read(model: Model, values: NDArray[np.float32], choice: Choice) -> tuple[NDArray[np.float32], float]:
    """Probabilities, and the seconds from host memory to host memory; the best of three."""
    model.predict(values[:100_000], choice=choice)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        probabilities = model.predict(values, choice=choice)
        seconds.append(time.perf_counter() - begun)
    return probabilities, min(seconds)


def doubt(probabilities: NDArray[np.float32]) -> set[int]:
    """The rows that would be asked about first."""
    return set(np.argsort(np.abs(probabilities[:, 1] - 0.5), kind="stable")[:TOP].tolist())


def measure(spectra: int) -> dict[str, Any]:
    """Both networks, in each precision."""
    values, labels = pool(spectra)
    name = torch.cuda.get_device_name() if device().type == "cuda" else "processor"
    peak = matrix_peak()
    result: dict[str, Any] = {"device": name, "spectra": spectra, "bf16 matrix peak TFLOP/s": peak, "networks": {}}
    for network in MFLOP:
        model, seconds = trained(network, values, labels)
        exact, slow = read(model, values, Choice("torch", "fp32"))
        chosen = model.choose(values, PredictConfig())
        found: dict[str, Any] = {"train a round, s": seconds, "chosen": chosen.to_mapping()}
        background = int(np.bincount(exact[:100_000].argmax(axis=1)).argmax())
        for precision in ("fp32", "bf16", "mixed"):
            choice = Choice("torch", precision, background if precision == "mixed" else -1)
            probabilities, taken = (exact, slow) if precision == "fp32" else read(model, values, choice)
            found[precision] = {
                "seconds": taken,
                "spectra a second": spectra / taken,
                "of the matrix peak": spectra * MFLOP[network] / taken / 1e6 / peak,
                "largest difference": float(np.abs(probabilities - exact).max()),
                "same of the first 1,000": len(doubt(probabilities) & doubt(exact)) / TOP,
            }
        result["networks"][network] = found
    return result


def main() -> None:
    """Measure, print, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    result = measure(options.spectra or (4_100_000 if device().type == "cuda" else 50_000))
    print(f"{result['device']}, {result['spectra']:,} spectra, peak {result['bf16 matrix peak TFLOP/s']:.1f} TFLOP/s")
    for network, found in result["networks"].items():
        print(f"\n{network}: a round is trained in {found['train a round, s']:.1f} s; chosen: {found['chosen']}")
        for precision in ("fp32", "bf16", "mixed"):
            print(f"  {precision:<6}" + "".join(f"{key}: {value:<14.4g}" for key, value in found[precision].items()))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
