"""Pictures from hips2fits: what is asked for, and that what comes is such a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from PIL import Image

from emberline.vo.client import ClientConfig, ProtocolError, ServiceError, ServicesConfig, Session, TooLargeError
from emberline.vo.client.hips import Picture, cutout, picture
from tests.vo.client.misbehaving import Misbehaving

PLACE = SkyCoord(345.48, 42.326, unit="deg")


def image(width: int, height: int, kind: str, **how: Any) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind, **how)
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        server.serve("/hips", image(64, 64, "JPEG"), "image/jpeg")
        yield server


def session_for(server: Misbehaving, path: str = "/hips", **settings: Any) -> Session:
    services = ServicesConfig(hips2fits=server.url + path if path else "", hips="CDS/P/Test")
    return Session(ClientConfig(allow=(server.host,), rate=1000.0, services=services, **settings))


def test_a_picture_is_cut_out(server: Misbehaving) -> None:
    with session_for(server) as session:
        body = cutout(session, PLACE.galactic, Angle("3arcmin"), pixels=64)
    assert Image.open(io.BytesIO(body)).size == (64, 64)
    asked = {name: values[0] for name, values in server.requests[0].query.items()}
    assert asked == {
        "hips": "CDS/P/Test", "ra": "345.480000", "dec": "42.326000", "fov": "0.05", "width": "64", "height": "64",
        "projection": "TAN", "coordsys": "icrs", "format": "jpg",
    }  # fmt: skip


def test_survey_and_format_may_be_chosen(server: Misbehaving) -> None:
    server.serve("/hips", image(32, 32, "PNG"), "image/png")
    with session_for(server) as session:
        cutout(session, PLACE, 0.5, hips="CDS/P/Other", pixels=32, format="png")
    assert server.requests[0].query["hips"] == ["CDS/P/Other"]
    assert server.requests[0].query["fov"] == ["0.5"]


@pytest.mark.parametrize("path", ["/wrong-type", "/empty", "/good", "/no-xml"])
def test_what_is_no_picture_is_refused(server: Misbehaving, path: str) -> None:
    with session_for(server, path) as session, pytest.raises(ProtocolError, match="no picture"):
        cutout(session, PLACE, 0.05, pixels=64)


def test_a_picture_of_another_size_is_refused(server: Misbehaving) -> None:
    server.serve("/hips", image(65, 64, "JPEG"), "image/jpeg")
    with session_for(server) as session, pytest.raises(ProtocolError, match="65 × 64 pixels"):
        cutout(session, PLACE, 0.05, pixels=64)


def test_a_picture_of_too_many_bytes_is_refused(server: Misbehaving) -> None:
    with session_for(server, max_bytes=1000) as session, pytest.raises(TooLargeError):
        cutout(session, PLACE, 0.05, pixels=64)


def test_no_service(server: Misbehaving) -> None:
    with session_for(server, "") as session, pytest.raises(ServiceError, match=r"services\.hips2fits"):
        cutout(session, PLACE, 0.05)


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0.0}, {"size": float("nan")}, {"size": 200.0}, {"pixels": 0}, {"pixels": 5000}, {"format": "fits"}],
)
def test_what_cannot_be_asked_for(server: Misbehaving, wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"size": 0.05, "pixels": 64, **wrong}
    size = given.pop("size")
    with session_for(server) as session, pytest.raises(ValueError, match="no such picture"):
        cutout(session, PLACE, size, **given)
    assert server.count() == 0


@pytest.mark.parametrize(
    "how", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}, {"comment": b"x" * 5000}]
)
def test_the_size_of_a_jpeg_is_read(how: dict[str, Any]) -> None:
    assert picture(image(37, 21, "JPEG", **how)) == Picture("image/jpeg", 37, 21)


def test_the_size_of_a_png_is_read() -> None:
    assert picture(image(37, 21, "PNG")) == Picture("image/png", 37, 21)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_half_a_picture_is_none(kind: str) -> None:
    whole = image(37, 21, kind)
    for part in range(0, len(whole) - 20, 7):
        assert picture(whole[:part]) is None
