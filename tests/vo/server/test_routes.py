"""All routes together: files for Aladin, nothing outside of what is published, whatever a path says."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse
from mocpy import MOC
from publishing_sky import SETTINGS, Client, stilts

from emberline.jobs import Workspace
from emberline.vo.server import Published, vo_routes
from emberline.vo.server.publication import publish, withdraw


@pytest.fixture(scope="module")
def client(published_folder: Path) -> Client:
    return Client(vo_routes(Published(Workspace(published_folder))))


def test_the_coverage(client: Client, tmp_path: Path) -> None:
    answer = client.get("/survey/moc.fits")
    assert answer.headers["content-type"] == "application/fits"
    (tmp_path / "moc.fits").write_bytes(answer.content)
    moc = MOC.load(tmp_path / "moc.fits", format="fits")
    assert not moc.empty()
    assert client.get("/survey/hips/Moc.fits").content == answer.content
    assert MOC.from_json(client.get("/survey/moc.json").json()) == moc


def test_aladin_finds_its_way(client: Client) -> None:
    """As Aladin goes: the properties, the columns, the first tiles, and then deeper."""
    properties = client.get("/survey/hips/properties")
    assert properties.headers["content-type"].startswith("text/plain")
    words = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in properties.text.splitlines())
    assert words["hips_service_url"] == "https://example.org/vo/survey/hips"
    metadata = client.get("/survey/hips/metadata.xml")
    names = [field.name for field in parse(io.BytesIO(metadata.content)).get_first_table().fields]
    for depth in (1, 2):
        everything = client.get(f"/survey/hips/Norder{depth}/Allsky.tsv")
        assert everything.status_code == 200
        assert everything.text.splitlines()[1].split("\t") == names
    assert client.get("/survey/hips/Norder1/Dir0/Npix47.tsv").status_code == 404
    assert properties.text in client.get("/hipslist").text


@pytest.mark.parametrize(
    "path",
    [
        "/survey/hips/../../summary.json",
        "/survey/hips/..%2f..%2fsummary.json",
        "/survey/hips/Norder1/../../summary.json",
        "/survey/hips/Norder1/Dir0/../../../summary.json",
        "/survey/hips/Norder1/Dir0/Npix1.tsv/",
        "/survey/hips/Norder1/Dir0/Npix1.tsv%00",
        "/survey/hips/%2fetc%2fpasswd",
        "/survey/hips/publish.lock",
        "/survey/catalogue-v1.parquet",
        "/search/catalogue-v0.parquet",
        "/search/catalogue-v2.parquet",
        "/search/catalogue-v-1.parquet",
        "/search/catalogue-v99999999999999999999.parquet",
        "/search/catalogue-v1.parquet/../../publish.lock",
        "/../survey/publication.toml",
        "/survey/publication.toml",
        "/survey/published/v1/summary.json",
        "/style.css/../base.html.j2",
        "/nowhere/moc.fits",
        "/nowhere/hips/properties",
        "/nowhere/record.xml",
        "/%00/moc.fits",
        "/survey%00/moc.fits",
    ],
)
def test_nothing_else_is_reached(client: Client, path: str, published_folder: Path) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert str(published_folder) not in answer.text
    assert "Traceback" not in answer.text


def test_every_version_of_a_catalogue_that_is_kept_can_be_fetched(own: Path) -> None:
    publish(own / "search", **SETTINGS)
    publish(own / "search")
    client = Client(vo_routes(Published(Workspace(own), seconds=0)))
    for version in (1, 2):
        answer = client.get(f"/search/catalogue-v{version}.parquet")
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        assert "class" in pq.read_table(io.BytesIO(answer.content)).column_names
    withdraw(own / "search", version=1)
    assert client.get("/search/catalogue-v1.parquet").status_code == 404
    assert client.get("/search/catalogue-v2.parquet").status_code == 200
    withdraw(own / "search")
    assert client.get("/search/catalogue-v2.parquet").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_nothing_is_changed_from_outside(client: Client, method: str) -> None:
    for path in ("/", "/survey/", "/survey/moc.fits", "/registry/oai", "/tap/capabilities"):
        assert client.request(method, path).status_code == 405


def test_what_is_not_published_is_not_there(own: Path) -> None:
    client = Client(vo_routes(Published(Workspace(own))))
    for path in (
        "/survey/",
        "/survey/capabilities",
        "/survey/tables",
        "/survey/moc.fits",
        "/survey/ssa",
        "/search/scs",
    ):
        answer = client.get(path)
        assert answer.status_code in (200, 404)
        assert "spectrum-0" not in answer.text


def test_stilts_reads_the_description_of_the_tiles(client: Client, tmp_path: Path) -> None:
    (tmp_path / "metadata.xml").write_bytes(client.get("/survey/hips/metadata.xml").content)
    judged = stilts("votlint", f"votable={tmp_path / 'metadata.xml'}")
    if judged is None:
        pytest.skip("STILTS is not found")
    assert "ERROR" not in judged.stdout + judged.stderr
