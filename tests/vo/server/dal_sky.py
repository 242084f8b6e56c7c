"""A small published workspace, a real server on it, and what clients do again and again."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from astropy.io.votable import parse
from astropy.io.votable.tree import VOTableFile
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from emberline.archive import ingest_blocks
from emberline.archive.catalogue import healpix_of
from emberline.config import to_toml
from emberline.files import write_text
from emberline.jobs import Workspace
from emberline.spectra import Grid, Mask, Metadata, SpectrumBlock
from emberline.vo.server._freeze import Summary
from emberline.vo.server.publication import Publication, publish
from emberline.vo.server.published import Published

CENTRE = (40.0, 20.0)
ALPHA, BETA = 300, 40
ODD = "odd/id 100%+&é"
"""An identifier with everything that an address must encode."""
SETTINGS: dict[str, Any] = {
    "creators": ["Doe, J.", "Roe, R."],
    "subjects": ["Be stars"],
    "publisher": "The Test Observatory <&>",
    "contact_name": "Jane Doe",
    "contact_email": "jane@example.org",
    "authority": "example.org",
    "rights": "CC-BY 4.0",
    "instrument": "Spectrograph",
    "description": 'Spectra for tests, "quoted" & <marked>.',
}


def sky(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions about the centre, at most `spread` degrees away."""
    rng = np.random.default_rng(seed)
    angle, distance = rng.uniform(0, 2 * np.pi, count), spread * np.sqrt(rng.uniform(0, 1, count))
    dec = CENTRE[1] + distance * np.sin(angle)
    return CENTRE[0] + distance * np.cos(angle) / np.cos(np.radians(dec)), dec


def block(grid: Grid, meta: Sequence[Metadata], seed: int) -> SpectrumBlock:
    """Spectra with a line at Hα; the first and last three pixels hold nothing, one in the middle has no weight."""
    rng = np.random.default_rng(seed)
    shape = (len(meta), grid.n)
    flux = 10 + rng.normal(0, 0.2, shape) + 5 * np.exp(-0.5 * ((grid.wavelength - 6564.6) / 4) ** 2)
    ivar, mask = np.full(shape, 25.0), np.zeros(shape, np.uint8)
    for pixels in (slice(0, 3), slice(-3, None)):
        flux[:, pixels], ivar[:, pixels], mask[:, pixels] = 0, 0, Mask.NO_DATA
    ivar[:, grid.n // 2], mask[:, grid.n // 2] = 0, Mask.NO_WEIGHT
    return SpectrumBlock(grid, flux.astype("f4"), ivar.astype("f4"), mask, list(meta))


def alpha_meta() -> list[Metadata]:
    """Objects over three degrees: every tenth spectrum repeats the one before, the last two have no position."""
    ra, dec = sky(ALPHA, 3.0, 1)
    ra[9::10], dec[9::10] = ra[8::10], dec[8::10]
    ra[-2:] = dec[-2:] = np.nan
    return [
        Metadata(
            identifier=ODD if i == 5 else f"alpha-{i:04d}",
            survey="Alpha Survey DR1",
            name="" if i % 7 == 0 else f"Star {i}",
            ra=float(ra[i]),
            dec=float(dec[i]),
            mjd=float("nan") if i % 50 == 3 else 57000.5 + i,
            exposure=900.0,
            snr=float("nan") if i % 50 == 4 else 10.0 + i % 90,
            survey_class=["STAR", "GALAXY", "QSO"][i % 3],
            redshift=0.001 * (i % 20) if i % 2 else float("nan"),
            velocity_frame="heliocentric",
            resolving_power=1800.0,
            flux_unit="10**-17 erg s**-1 cm**-2 Angstrom**-1" if i % 2 else "",
        )
        for i in range(ALPHA)
    ]


def make_workspace(folder: Path) -> Workspace:
    """Two archives, ``alpha`` and ``beta``, some of whose objects are the same, and the candidates ``gems``."""
    alpha = alpha_meta()
    ingest_blocks([block(Grid.log10(3.8, 1e-4, 400), alpha, 1)], folder / "alpha", survey="Alpha")
    ra, dec = CENTRE
    own = Metadata(identifier="from-file", ra=ra, dec=dec, mjd=58000.0, survey="Alpha Survey DR1", name="Filed")
    (folder / "raw").mkdir()
    (folder / "raw" / "one.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 2850)
    ingest_blocks(
        [block(Grid.log10(3.8, 1e-4, 400), [own], 3)], folder / "alpha", survey="Alpha", source="raw/one.fits"
    )
    beta = [
        dataclasses.replace(alpha[i], identifier=f"beta {i}", survey="Beta", resolving_power=9000.0, flux_unit="adu")
        for i in range(BETA)
    ]
    ingest_blocks([block(Grid.linear(6500.0, 0.25, 500), beta, 2)], folder / "beta", survey="Beta")
    publish(folder / "alpha", title="Alpha spectra", **SETTINGS)
    publish(folder / "beta", title="Beta spectra", **SETTINGS)
    _publish_candidates(folder / "gems", alpha[:30])
    return Workspace(folder)


def _publish_candidates(folder: Path, meta: Sequence[Metadata]) -> None:
    """The files of a published campaign, without the campaign."""
    folder.mkdir()
    write_text(folder / "campaign.toml", "")
    record = Publication(
        name="gems", title="Gems of Alpha", kind="catalogue", created="2026-01-01T00:00:00Z",
        updated="2026-01-02T00:00:00Z", **{key: tuple(v) if isinstance(v, list) else v for key, v in SETTINGS.items()},
    )  # fmt: skip
    ra, dec = (np.array([getattr(item, name) for item in meta]) for name in ("ra", "dec"))
    columns = {
        "identifier": ([item.identifier for item in meta], "", "meta.id;meta.main", "Identifier"),
        "archive": (["alpha"] * len(meta), "", "meta.id;meta.dataset", "Archive"),
        "obs_publisher_did": (
            [f"ivo://example.org/alpha?{urllib.parse.quote(item.identifier, safe='')}" for item in meta],
            "",
            "meta.ref.ivoid",
            "Spectrum",
        ),
        "object": ([f"J{i}" for i in range(len(meta))], "", "meta.id;src", "Object"),
        "survey": (["Alpha"] * len(meta), "", "meta.dataset", "Survey"),
        "ra": (ra, "deg", "pos.eq.ra;meta.main", "Right ascension"),
        "dec": (dec, "deg", "pos.eq.dec;meta.main", "Declination"),
        "healpix": (healpix_of(ra, dec), "", "pos.healpix", "Pixel"),
        "mjd": ([item.mjd for item in meta], "d", "time.epoch", "Time"),
        "class": (["emission"] * len(meta), "", "src.class", "Class"),
        "probability": (np.linspace(0.5, 1, len(meta)).astype("f4"), "", "stat.probability", "Probability"),
    }
    fields = [
        pa.field(name, pa.array(values).type, metadata={"unit": unit, "ucd": ucd, "description": text})
        for name, (values, unit, ucd, text) in columns.items()
    ]
    table = pa.table([pa.array(values) for values, *_ in columns.values()], schema=pa.schema(fields))
    made = folder / "published" / "v1"
    made.mkdir(parents=True)
    pq.write_table(table.sort_by("healpix"), made / "catalogue.parquet")
    write_text(made / "summary.json", json.dumps(dataclasses.asdict(Summary.of(table, ("alpha",)))))
    write_text(folder / "publication.toml", to_toml(record))


def dal_routes(published: Published) -> list[BaseRoute]:
    """The routes of the services that are tested here."""
    import importlib

    routes = []
    for name in ("ssap", "scs", "sia2", "datalink", "soda", "spectrum_files"):
        try:
            module = importlib.import_module(f"emberline.vo.server.{name}")
        except ModuleNotFoundError:
            continue
        routes += module.routes(published)
    return routes


class Service:
    """A running server."""

    def __init__(self, workspace: Workspace, url: str) -> None:
        self.workspace, self.published, self.url = workspace, Published(workspace), url
        self.base = f"{url}/vo"
        self.http = httpx.Client(base_url=f"{self.base}/", timeout=30)

    def did(self, identifier: str, name: str = "alpha") -> str:
        """The dataset identifier of a spectrum."""
        item = self.published.by_name(name)
        assert item is not None
        return item.publication.did(identifier)

    def votable(self, path: str, status: int = 200, **parameters: Any) -> VOTableFile:
        """The answer, read by astropy, which may not warn."""
        answer = self.http.get(path, params=parameters)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("application/x-votable+xml")
        return parse(io.BytesIO(answer.content), verify="exception")


@contextlib.contextmanager
def serving(folder: Path, routes_of: Callable[[Published], list[BaseRoute]] = dal_routes) -> Iterator[Service]:
    """A server on a free port."""
    workspace = make_workspace(folder)
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        service = Service(workspace, f"http://127.0.0.1:{listener.getsockname()[1]}")
        stack.callback(service.http.close)
        application = Starlette(routes=[Mount("/vo", routes=routes_of(service.published))])
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        stack.callback(thread.join, 20)
        stack.callback(setattr, server, "should_exit", True)
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield service


def status_of(votable: VOTableFile) -> list[str]:
    """All values of QUERY_STATUS, in their order."""
    return [info.value for info in votable.resources[0].infos if info.name == "QUERY_STATUS"]


def message_of(votable: VOTableFile) -> str:
    """What an error document says."""
    return next(str(info.content) for info in votable.resources[0].infos if info.name == "QUERY_STATUS")
