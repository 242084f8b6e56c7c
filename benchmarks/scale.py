"""How long each step of a search takes as the pool grows, and how near to the machine's limit. One command, one table.

    python benchmarks/scale.py [--sizes 10000 100000 1000000 4100000] [--folder FOLDER] [--out benchmarks/results]

Each size runs in a process of its own, on an archive of simulated noise that is kept in FOLDER for the next run. Prints
step, rate, limit, fraction of the limit and ratio to the named baseline, with the exponent of growth; writes scale.json
and scale.png. The limit of a network is the multiply-adds that the cores can do in fp32, measured by `peak.c` in the
same run; bf16 units may pass it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
MFLOP = {"ember": 4.5, "vgg": 39.4}  # a spectrum of 140 pixels; `network.py --only rates` counts them
PIXELS = 200
PEAK = "peak GFLOP/s a core"
LARGEST = {("ember", "PyTorch fp32"): 100_000, ("vgg", "PyTorch fp32"): 100_000, ("vgg", "fp32"): 1_000_000}


def main() -> None:
    """Measure each size in a process of its own, then print, and write the numbers and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where archives are kept; a folder that is removed by default")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.folder)))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="emberline-scale-"))
    options.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"machine": machine(), "runs": []}
    try:
        for size in sorted(options.sizes):
            result["runs"].append(in_a_process(size, folder))
            result["growth"] = growth(result["runs"])
            (options.out / "scale.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    show(result)
    draw(result, options.out / "scale.png")


def in_a_process(size: int, folder: Path) -> dict[str, Any]:
    print(f"{size:,} spectra …", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--one", str(size), "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
    import torch

    from emberline._version import __version__

    versions = {"torch": torch.__version__, "emberline": __version__}
    return {"cores": os.cpu_count(), **versions, PEAK: peak()}


def peak() -> dict[str, float]:
    """The most that one core can do, by number format; empty without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        subprocess.run([compiler, "-O2", "-march=native", str(HERE / "peak.c"), "-o", str(program)], check=True)
        found: dict[str, list[float]] = {}
        for _ in range(3):
            for line in subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines():
                name, value = line.split()
                found.setdefault(name, []).append(float(value))
    return {name: max(values) for name, values in found.items()}


# One size ---------------------------------------------------------------------------------------------------------


def measure(size: int, folder: Path) -> dict[str, Any]:
    """All steps on a pool of `size` spectra: seconds, and bytes of memory."""
    from emberline.archive import ingest_blocks, open_archive
    from emberline.features import Recipe

    path = folder / f"survey-{size}"
    steps: dict[str, Any] = {}
    recipe = Recipe.load("halpha-140")
    if not (path / "archive.toml").exists():
        steps["write the archive"] = timed(lambda: ingest_blocks(blocks(size), path, survey="benchmark"))
    archive = open_archive(path)
    if not (path / "features" / recipe.hash / "index.parquet").exists():
        steps["features"] = timed(lambda: archive.build_features(recipe))
    steps |= campaign_steps(size, path, folder)
    steps |= archive_steps(path, size)
    return {"spectra": size, "steps": steps, "resident MB at most": resident("VmHWM")}


def campaign_steps(size: int, path: Path, folder: Path) -> dict[str, Any]:
    """Open the pool, read it with each network, pass it stochastically, choose what to ask."""
    from emberline.campaign.config import PoolConfig
    from emberline.campaign.pool import open_pool
    from emberline.features import Recipe
    from emberline.learn.config import PredictConfig

    steps: dict[str, Any] = {}
    opened: list[Any] = []
    steps["open the pool"] = timed(lambda: opened.append(open_pool(PoolConfig((path,)), Recipe.load("halpha-140"))))
    pool = opened[0]
    probabilities = None
    for name in ("vgg", "ember"):
        steps[f"train {name} on 1,000 labels"], model = trained(name)
        for label, config in {
            "PyTorch fp32": PredictConfig("torch", "fp32"),
            "fp32": PredictConfig("auto", "fp32"),
            "as chosen": PredictConfig(),
            "bf16": PredictConfig("openvino", "bf16"),
        }.items():
            if size > LARGEST.get((name, label), size):
                continue  # linear, and slow
            choice = model.choose(pool.values, config)
            model.predict(pool.values[:256], choice=choice)
            steps[f"predict {name}, {label}"] = timed(lambda m=model, c=choice: m.predict(pool.values, choice=c)) | {
                "choice": choice.to_mapping()
            }
        choice = model.choose(pool.values, PredictConfig())
        passes = model.passes(20, np.random.default_rng(0), choice=choice)
        passes(pool.values[:256])
        steps[f"20 passes {name}, as chosen"] = timed(lambda p=passes: [p(block).shape for block in cut(pool)])
    probabilities = model.predict(pool.values, choice=choice)
    steps |= queries(pool, model, probabilities)
    steps["draw the control sample"] = timed(lambda: control(pool, probabilities))
    return steps


def trained(name: str) -> tuple[dict[str, Any], Any]:
    """A network that has learnt to tell noise with a bump from noise."""
    from emberline.learn import TrainConfig, train

    rng = np.random.default_rng(0)
    values = rng.standard_normal((1000, 140)).astype(np.float32)
    labels = (np.arange(1000) % 5 == 0).astype(np.int64)
    values[labels == 1, 60:80] += 1.0
    found: list[Any] = []
    config = TrainConfig(network=name, members=1)

    def run() -> None:
        objects = np.arange(1000).astype(str)
        found.append(train(values, labels, objects, ("none", "line"), config, rng=rng, recipe_hash="benchmark"))

    return timed(run), found[-1]


def cut(pool: Any) -> Iterator[Any]:
    """Blocks of the map, whose pages are given back as the campaign's own reading does."""
    from emberline.files import forget_pages

    for start in range(0, len(pool), 65_536):
        yield pool.values[start : start + 65_536]
        forget_pages(pool.values)


def queries(pool: Any, model: Any, probabilities: Any) -> dict[str, Any]:
    """A hundred questions by several strategies."""
    from emberline.learn.strategies import Query, strategy

    steps = {}
    for name in ("entropy", "diverse", "seek", "bald", "cold_start"):
        query = Query(
            objects=pool.objects,
            available=pool.usable.copy(),
            batch=100,
            rng=np.random.default_rng(0),
            probabilities=None if name == "cold_start" else probabilities,
            targets=(1,),
            embeddings=lambda rows: model.embed(pool.values[rows]),
            features=pool.values,
            stochastic=lambda rows: model.stochastic(pool.values[rows], 20, np.random.default_rng(0)),
        )
        steps[f"query by {name}"] = timed(lambda n=name, q=query: strategy(n).select(q))
    return steps


def control(pool: Any, probabilities: Any) -> None:
    from emberline.learn.control import draw_control

    draw_control(probabilities[:, 1], pool.usable, 100, np.random.default_rng(0))


COLD = """
import sys, time
import numpy as np
from emberline.archive import open_archive
path, name, where = sys.argv[1], sys.argv[2], sys.argv[3]
rows = np.sort(np.random.default_rng(0).integers(0, int(sys.argv[4]), 100))
archive = open_archive(path)
begun = time.perf_counter()
if name == "spectrum":
    archive.spectrum(where)
elif name == "rows":
    values = archive.feature_values()
    begun = time.perf_counter()
    values[rows].sum()
elif name == "query":
    archive.catalogue(["identifier"], where=where)
print(time.perf_counter() - begun)
"""


def archive_steps(path: Path, size: int) -> dict[str, Any]:
    """What a user asks of an archive: by a process that has just started, of files that are not in memory."""
    asked = {
        "one spectrum by its identifier, cold": ("spectrum", f"s{size // 3:08d}"),
        "100 rows of features, cold": ("rows", ""),
        "catalogue query, cold": ("query", "ra BETWEEN 10 AND 11 AND dec BETWEEN -1 AND 0"),
    }
    steps = {}
    for title, (name, argument) in asked.items():
        seconds = []
        for _ in range(5):
            forget(path)
            command = [sys.executable, "-c", COLD, str(path), name, argument, str(size)]
            seconds.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        steps[title] = {"seconds": statistics.median(seconds)}
    return steps


def forget(folder: Path) -> None:
    """Let the system drop what it keeps of these files in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def timed(function: Callable[[], Any]) -> dict[str, float]:
    """Seconds on the clock and of this process's processors, once: the steps are long."""
    begun, used = time.perf_counter(), time.process_time()
    function()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    return {"seconds": seconds, "cpu seconds": cpu, "resident MB": resident("VmRSS")}


def resident(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1000
    return float("nan")


def blocks(spectra: int) -> Iterator[Any]:
    """Noise around one, with positions all over the sky."""
    from emberline.spectra import Grid, Metadata, SpectrumBlock

    rng = np.random.default_rng(1)
    grid = Grid.log10(3.8125, 1e-4, PIXELS)
    for start in range(0, spectra, 20_000):
        count = min(20_000, spectra - start)
        flux = rng.normal(1, 0.05, (count, PIXELS)).astype("f4")
        ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
        meta = [Metadata(identifier=f"s{start + i:08d}", ra=float(ra[i]), dec=float(dec[i])) for i in range(count)]
        yield SpectrumBlock(grid, flux, np.full(flux.shape, 400, "f4"), np.zeros(flux.shape, "u1"), meta)


# The table ---------------------------------------------------------------------------------------------------------


def growth(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The exponent of each step's time: seconds grow as the number of spectra to this power."""
    exponents = {}
    for name in {name for run in runs for name in run["steps"]}:
        points = [(run["spectra"], run["steps"][name]["seconds"]) for run in runs if name in run["steps"]]
        if len(points) > 1:
            size, seconds = np.log(np.array(points, dtype=float)).T
            exponents[name] = float(np.polyfit(size, seconds, 1)[0])
    return exponents


def limit(name: str, result: dict[str, Any]) -> tuple[float, str] | None:
    """The most spectra a second that this machine could do in a step, and what bounds it."""
    top, cores = result["machine"][PEAK].get("fp32"), result["machine"]["cores"]
    for network, cost in MFLOP.items():
        if top and name.startswith((f"predict {network}", f"20 passes {network}")):
            return top * 1e3 * cores / cost, "fp32 multiply-adds"
    return None


def baseline(name: str, run: dict[str, Any], runs: list[dict[str, Any]]) -> tuple[float, str] | None:
    """The rate that a step is compared with, in spectra a second."""
    for network in MFLOP:
        plain = f"predict {network}, PyTorch fp32"
        if name.startswith(f"predict {network}") and name != plain:
            known = [r for r in runs if plain in r["steps"]]
            return known[-1]["spectra"] / known[-1]["steps"][plain]["seconds"], "PyTorch fp32"
        if name.startswith(f"20 passes {network}"):
            return run["spectra"] / run["steps"][f"predict {network}, as chosen"]["seconds"], "one plain pass"
    return None


def show(result: dict[str, Any]) -> None:
    """The table of the largest pool, and the exponents."""
    run = result["runs"][-1]
    print(f"\n{run['spectra']:,} spectra, {result['machine']['cores']} cores, {PEAK}: {result['machine'][PEAK]}")
    print(f"resident at most {run['resident MB at most'] / 1000:.2f} GB\n")
    print(f"{'step':<42}{'seconds':>10}{'spectra/s':>13}{'of limit':>10}{'baseline':>24}{'exponent':>10}")
    for name, step in run["steps"].items():
        rate = run["spectra"] / step["seconds"]
        bound, compared = limit(name, result), baseline(name, run, result["runs"])
        share = f"{rate / bound[0]:.2f}" if bound else ""
        ratio = f"{rate / compared[0]:.2f} x {compared[1]}" if compared else ""
        power = f"{result['growth'][name]:.2f}" if name in result["growth"] else ""
        print(f"{name:<42}{step['seconds']:>10.3g}{rate:>13,.0f}{share:>10}{ratio:>24}{power:>10}")


def draw(result: dict[str, Any], path: Path) -> None:
    """Seconds against the size of the pool, a line a step."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 6))
    for turn, name in enumerate(result["runs"][-1]["steps"]):
        points = [(run["spectra"], run["steps"][name]["seconds"]) for run in result["runs"] if name in run["steps"]]
        if len(points) > 1:
            look = {
                "color": f"C{turn % 7}",
                "linestyle": ("-", "--", ":")[turn // 7 % 3],
                "marker": "osD"[turn // 7 % 3],
            }
            axes.loglog(*zip(*points, strict=True), markersize=3, label=name, **look)
    axes.set(xlabel="spectra in the pool", ylabel="seconds")
    axes.legend(fontsize=7, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main()
