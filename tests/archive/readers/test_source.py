"""Finding and inflating sources."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from spectrum_files import flux, image, lamost_image

from emberline.archive.readers import Source, find_sources, open_source, read
from emberline.archive.readers import source as module
from emberline.errors import EmberlineError, ReadError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = image().raw
    for name in ("b.fits", "a.fits.gz", "sub/c.FIT", "sub/README", "notes.md", "params.txt", ".hidden.fits", "d.vot"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def names(locators: list[str], folder: Path) -> list[str]:
    return [locator.removeprefix(f"{folder}/") for locator in locators]


def test_folders_give_spectra_in_order_and_pass_over_the_rest(folder: Path) -> None:
    found = list(find_sources(folder))
    assert names(found, folder) == ["a.fits.gz", "b.fits", "d.vot", "sub/c.FIT"]
    assert found == list(find_sources([folder]))


def test_a_named_file_is_always_tried_and_each_file_comes_once(folder: Path) -> None:
    found = list(find_sources([folder / "params.txt", folder / "*.fits", folder]))
    assert names(found, folder) == ["params.txt", "b.fits", "a.fits.gz", "d.vot", "sub/c.FIT"]


def test_globs_reach_sub_folders(folder: Path) -> None:
    assert names(list(find_sources(f"{folder}/**/*.FIT")), folder) == ["sub/c.FIT"]


@pytest.mark.parametrize("path", ["missing.fits", "*.none", "missing.tar::a.fits"])
def test_what_is_not_there_is_an_error_that_names_it(folder: Path, path: str) -> None:
    with pytest.raises(EmberlineError, match="no such file") as caught:
        list(find_sources(folder / path))
    assert path in str(caught.value)


def archive_with(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as store:
            for name, content in members.items():
                store.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as store:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            store.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz", "x.zip"])
def test_members_of_archives_are_sources(tmp_path: Path, name: str) -> None:
    plain, packed = image().raw, lamost_image(gz=True).raw
    path = archive_with(tmp_path / name, {"in/z.fits": plain, "in/README": b"no", "a.fits.gz": packed})
    found = list(find_sources(tmp_path))
    assert found == [f"{path}::a.fits.gz", f"{path}::in/z.fits"]
    assert [open_source(locator).raw for locator in reversed(found)] == [plain, packed]
    assert open_source(found[1]).stem == "z"
    assert len(read(open_source(found[0]))) == 1
    assert list(find_sources(found[1])) == [found[1]]


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip"])
def test_a_cut_archive_is_refused_by_name_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    path = archive_with(tmp_path / name, {"a.fits": np.random.default_rng(1).bytes(60_000)})
    path.write_bytes(path.read_bytes()[:30_000])
    (tmp_path / "y.fits").write_bytes(image().raw)
    found = list(find_sources(tmp_path))
    assert found[-1] == str(tmp_path / "y.fits")
    with pytest.raises(ReadError) as caught:
        open_source(found[0])
    assert caught.value.reason == "truncated"
    assert str(path) in str(caught.value)


def test_a_missing_member_is_unreadable(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "x.zip", {"a.fits": b"x"})
    with pytest.raises(ReadError, match=r"no member 'b\.fits'"):
        open_source(f"{path}::b.fits")


def test_gunzip_reads_what_gzip_wrote_also_in_several_members() -> None:
    parts = [b"a" * 10, bytes(50_000), b""]
    assert module.gunzip(gzip.compress(parts[1])) == parts[1]
    assert module.gunzip(b"".join(gzip.compress(part) for part in parts)) == b"".join(parts)


@pytest.mark.parametrize("cut", [1, 4, 8, 100, -15, -5])
def test_cut_gzip_is_truncated(cut: int) -> None:
    raw = gzip.compress(np.random.default_rng(1).bytes(5000))
    with pytest.raises(ReadError) as caught:
        _ = Source("x.fits.gz", raw[:-cut]).data
    assert caught.value.reason == "truncated"


def test_damaged_gzip_is_found_by_its_checksum() -> None:
    raw = bytearray(gzip.compress(bytes(range(256)) * 20))
    raw[-6] ^= 1
    with pytest.raises(ReadError, match="damaged"):
        module.gunzip(bytes(raw))


@pytest.mark.parametrize("size", [200_001, 5_000_000])
def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int) -> None:
    monkeypatch.setattr(module, "MAX_INFLATED", 200_000)
    bomb = bytes(size)
    path = archive_with(tmp_path / "x.zip", {"a.fits": bomb})
    with pytest.raises(ReadError, match="200000 bytes at most"):
        open_source(f"{path}::a.fits")
    with pytest.raises(ReadError, match="200000 bytes at most") as caught:
        _ = Source("x.gz", gzip.compress(bomb)).data
    assert caught.value.reason == "unreadable"
    assert len(Source("x.gz", gzip.compress(bytes(200_000))).data) == 200_000


def test_a_lying_gzip_size_does_not_matter() -> None:
    raw = gzip.compress(bytes(5000))
    with pytest.raises(ReadError):  # the size is part of what gzip checks
        module.gunzip(raw[:-4] + b"\xff\xff\xff\xff")


def test_sha256_is_of_the_bytes_on_disk() -> None:
    source = lamost_image(gz=True)
    assert source.sha256 == hashlib.sha256(source.raw).hexdigest()
    assert source.data != source.raw


@pytest.mark.parametrize(
    ("name", "stem"),
    [("/a/b.fits.gz", "b"), ("x.tar::d/e.FIT", "e"), ("s.with.dots.fits", "s.with.dots"), ("t.fits.fz", "t")],
)
def test_stem(name: str, stem: str) -> None:
    assert Source(name, b"").stem == stem


def test_fpacked_images_are_read() -> None:
    keywords = {"CRVAL1": 6500.0, "CRPIX1": 1.0, "CDELT1": 0.25, "CTYPE1": "AWAV", "CUNIT1": "Angstrom"}
    values = flux(4000).reshape(1, -1)
    hdu = fits.CompImageHDU(values, fits.Header(keywords), compression_type="GZIP_2", quantize_level=0.0)
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    (spectrum,) = read(Source("star.fits.fz", stream.getvalue()))
    np.testing.assert_array_equal(spectrum.flux, values[0])
