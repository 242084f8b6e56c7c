"""Places and small campaigns whose spectra point at the objects of the tests' other archives."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import json
import math
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Latitude, Longitude

from emberline.archive import ingest_blocks
from emberline.archive.schema import Fibre
from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.panels import Place
from emberline.config import from_mapping, to_toml
from emberline.spectra import Grid, Metadata, Spectrum
from tests.campaign.conftest import lines
from tests.vo.client.other_archives import OtherArchives, other_archives
from tests.vo.client.other_sky import OBJECTS
from tests.web.labelling import SETTINGS

MJD = 59600.0
EPOCH = 2000.0 + (MJD - 51544.5) / 365.25


def place(identifier: str = "s", ra: float = 40.0, dec: float = 20.0, **changes: Any) -> Place:
    """A place without a spectrum behind it."""
    meta = changes.pop("metadata", None) or Metadata(
        identifier=identifier, ra=ra, dec=dec, mjd=MJD, velocity_frame="heliocentric"
    )
    values = {"epoch": EPOCH, "archive": Path("nowhere"), "fibre": Fibre(3.3, 3.0), **changes}
    return Place(identifier, f"J{identifier}", ra, dec, metadata=meta, **values)


def spectrum(
    emission: dict[float, float] | None = None,
    *,
    noise: float = 0.02,
    seed: int = 1,
    depth: float = 0.5,
    velocity: float = 0.0,
    **meta: Any,
) -> Spectrum:
    """LAMOST's sampling and resolution: Hα in absorption, and narrow lines (vacuum Å → equivalent width)."""
    grid = Grid.log10(3.8075, 1e-4, 280)
    wave, rng = grid.wavelength, np.random.default_rng(seed)
    flux = 1 - depth * np.exp(-0.5 * ((wave - 6564.6) / 8) ** 2)
    for centre, width in (emission or {}).items():
        moved = centre * (1 + velocity / 299792.458)
        sigma = moved / 1800 / 2.3548
        flux += width / (sigma * math.sqrt(2 * math.pi)) * np.exp(-0.5 * ((wave - moved) / sigma) ** 2)
    flux += rng.normal(0, noise, wave.size)
    known = Metadata(**{"identifier": "s", "resolving_power": 1800.0, **meta})
    ivar = np.full(wave.size, 1 / noise**2 if noise else 1e6)
    return Spectrum.checked(grid, flux, ivar, None, known)


def make_campaign(
    folder: Path, *, objects: bool = True, context: dict[str, Any] | None = None, **changes: Any
) -> Campaign:
    """A campaign with a round of 12 questions and 4 control questions; its spectra point at the tests' objects."""
    made = _template(objects, json.dumps(changes))
    shutil.copytree(made, folder, dirs_exist_ok=True)
    path = folder / "search" / "campaign.toml"
    mapping = tomllib.loads(path.read_text(encoding="utf-8"))
    mapping["context"] |= context or {}
    path.write_text(to_toml(mapping), encoding="utf-8")
    return Campaign(folder / "search")


@functools.cache
def _template(objects: bool, changes: str) -> Path:
    """Made once, and copied for each test."""
    folder = Path(tempfile.mkdtemp(prefix="emberline-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    block, _ = lines(24, targets=8, seed=5)
    meta = []
    for number, one in enumerate(block.meta):
        ra, dec = OBJECTS[number % len(OBJECTS)].at(EPOCH) if objects else (math.nan, math.nan)
        values = {"ra": ra, "dec": dec, "mjd": MJD, "velocity_frame": "heliocentric", **json.loads(changes)}
        meta.append(dataclasses.replace(one, **values))
    ingest_blocks([dataclasses.replace(block, meta=meta)], folder / "survey", survey="LAMOST DR10 LRS")
    tables = [{"table": "II/246/out", "columns": ["Jmag", "Kmag"], "title": "2MASS"}]
    mapping = {
        **SETTINGS,
        "pool": {"archives": ["survey"]},
        "query": {"batch": 12},
        "control": {"per_round": 4},
        "context": {"vizier": tables},
    }
    with contextlib.closing(
        new_campaign(folder / "search", from_mapping(CampaignConfig, mapping).resolved(folder))
    ) as campaign:
        campaign.advance()
    return folder


@pytest.fixture(scope="module", autouse=True)
def _true_coverage() -> Iterator[None]:
    """The tests' registry says the same MOC of all services; here each covers where it is said to be."""
    from mocpy import MOC

    from emberline.vo.client import registry

    search = registry.search

    def cones(*places: tuple[float, float]) -> str:
        one = [
            MOC.from_cone(Longitude(ra, "deg"), Latitude(dec, "deg"), radius=3 * units.deg, max_depth=6)
            for ra, dec in places
        ]
        return str(functools.reduce(MOC.union, one).to_string(format="ascii"))

    texts = {
        "ivo://emb.test/alpha": cones((40.0, 20.0), (0.0, -5.0), (120.0, 88.0)),
        "ivo://emb.test/far": cones((200.0, -45.0)),
    }

    def true(*arguments: Any, **keywords: Any) -> Any:
        found = search(*arguments, **keywords)
        return tuple(dataclasses.replace(one, coverage=texts.get(one.ivoid, "")) for one in found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "search", true)
        yield


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("world") / "workspace") as others:
        yield others


@pytest.fixture
def world(_world: OtherArchives) -> Iterator[OtherArchives]:
    """The other archives, with nothing asked yet and no faults."""
    _world.asked.clear()
    _world.faults.clear()
    yield _world
    for fault in _world.faults:
        if fault.hang is not None:
            fault.hang.set()
    _world.faults.clear()


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    with contextlib.closing(make_campaign(tmp_path)) as made:
        yield made
