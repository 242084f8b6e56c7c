"""A workspace with an archive and a campaign that has run, ready to be published; a client for ASGI routes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from emberline.archive import ingest_blocks
from emberline.config import to_toml
from emberline.files import write_text
from emberline.spectra import Grid, Mask, Metadata, SpectrumBlock
from emberline.vo.server.publication import Publication, publish, read_publication

BASE = "https://example.org/vo"
SETTINGS: dict[str, Any] = {
    "title": "Spectra of a test's survey",
    "creators": ("Doe, J.", "Roe, R."),
    "description": 'Spectra that were made for tests: <b>nothing</b> is real & "true".\n\nA second paragraph.',
    "subjects": ("be-stars", "spectroscopy"),
    "publisher": "Observatory of O'Hara & Sons",
    "contact_name": "J. Doe",
    "contact_email": "doe@example.org",
    "authority": "example.org",
    "instrument": "Spectrograph 'S'",
    "facility": "Two-metre telescope",
    "rights": "CC-BY 4.0",
    "rights_url": "https://creativecommons.org/licenses/by/4.0/",
    "bibcode": "2020A&A...643A.122S",
    "doi": "10.5281/zenodo.1234567",
}
COUNT = 300


def make_archive(folder: Path, count: int = COUNT) -> Path:
    """Spectra about one point of the sky, one of them without a position, from a file with a path."""
    rng = np.random.default_rng(11)
    grid = Grid.log10(3.8075, 1e-4, 280)
    target = np.arange(count) < 25
    wave = grid.wavelength[None, :]
    flux = 1 - rng.uniform(0.1, 0.5, (count, 1)) * np.exp(-0.5 * ((wave - 6564.6) / 6) ** 2)
    flux += np.where(target, rng.uniform(0.5, 2, count), 0)[:, None] * np.exp(-0.5 * ((wave - 6564.6) / 2.5) ** 2)
    flux += rng.normal(0, 0.03, flux.shape)
    ra, dec = 40 + rng.uniform(-3, 3, count), 20 + rng.uniform(-3, 3, count)
    ra[-1] = np.nan
    meta = [
        Metadata(
            identifier="a/b c?d&é#" if index == 30 else f"spectrum-{index:03d}",
            survey="Test DR1",
            name="" if index % 3 else f"Star {index}",
            ra=float(ra[index]),
            dec=float(dec[index]),
            mjd=57000.0 + index,
            exposure=float("nan") if index == 40 else 1800.0,
            snr=10.0 + index,
            survey_class="STAR",
            velocity_frame="heliocentric",
            resolving_power=1800.0,
        )
        for index in range(count)
    ]
    block = SpectrumBlock(grid, flux.astype("f4"), np.full(flux.shape, 1e3, "f4"), np.zeros(flux.shape, np.uint8), meta)
    assert not (block.mask & np.uint8(Mask.BAD)).any()
    ingest_blocks([block], folder, survey="Test", source="/secret/folder/file.fits")
    return folder


def make_campaign(folder: Path, archive: Path, rounds: int = 1) -> Path:
    """A campaign that has run, with answers for everything."""
    from emberline.campaign import CampaignConfig, new_campaign, open_campaign
    from emberline.campaign.config import ControlConfig, PoolConfig, QueryConfig, StopConfig, TrainConfig

    config = CampaignConfig(
        name="Search",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(archive.resolve(),)),
        train=TrainConfig(members=1, epochs=3, epoch_steps=8),
        query=QueryConfig(batch=20),
        control=ControlConfig(per_round=5, final=20),
        stop=StopConfig(rounds=rounds),
    )
    new_campaign(folder, config).close()
    campaign = open_campaign(folder)
    identifiers = [str(name) for name in campaign.pool.identifiers]
    truth = {
        name: "emission" if name.startswith("spectrum-0") and int(name[-2:]) < 25 else "none" for name in identifiers
    }
    campaign.run(truth)
    campaign.close()
    return folder


def make_workspace(folder: Path) -> Path:
    """``survey`` and ``search``, not yet published."""
    folder.mkdir(parents=True)
    make_archive(folder / "survey")
    make_campaign(folder / "search", folder / "survey")
    return folder


def publish_all(folder: Path) -> Path:
    """Publish both, as on a fixed day."""
    publish(folder / "survey", **SETTINGS)
    dated(folder / "survey")
    publish(folder / "search", **{**SETTINGS, "title": "Emission-line stars of the test", "doi": ""})
    dated(folder / "search")
    return folder


def dated(folder: Path, day: str = "2026-02-03T04:05:06Z") -> Publication:
    """Change the times in a record, so that documents can be compared with golden ones."""
    import dataclasses

    record = read_publication(folder)
    assert record is not None
    record = dataclasses.replace(record, created="2026-01-02T03:04:05Z", updated=day)
    write_text(folder / "publication.toml", to_toml(record))
    return record


class Client:
    """Asks routes that are mounted under ``/vo``, without a server."""

    def __init__(self, routes: list[BaseRoute], base: str = "https://example.org") -> None:
        self.application = Starlette(routes=[Mount("/vo", routes=routes)])
        self.base = base

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
                return await client.request(method, f"/vo{path}", **options)

        return asyncio.run(ask())


def stilts(*arguments: str | Path) -> subprocess.CompletedProcess[str] | None:
    """Run STILTS, where it is found: as EMBERLINE_STILTS says, or on the path."""
    program = os.environ.get("EMBERLINE_STILTS") or shutil.which("stilts")
    if program is None:
        return None
    return subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
