"""The FITS reader, with astropy as the second opinion, and everything that can be wrong with a file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from spectrum_files import image, lamost_image, packed

from emberline.archive.readers import Source, read_each
from emberline.archive.readers.fitsfast import FitsFile
from emberline.errors import ReadError


def written(*hdus: Any) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8", "u2"])
def test_images_of_every_type(kind: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    hdu = FitsFile(written(fits.PrimaryHDU(values)))[0]
    assert hdu.shape == (2, 3, 4)
    np.testing.assert_array_equal(hdu.image(), values)


def test_table_columns_are_what_astropy_reads() -> None:
    rows = 5
    columns = [
        fits.Column("text", "6A", array=["a", "bc", "", "def", "ghijkl"]),
        fits.Column("Flux", "E", array=np.arange(rows, dtype="f4")),
        fits.Column("bits", "12X", array=np.zeros((rows, 12), bool)),
        fits.Column("vec", "3D", array=np.arange(3 * rows, dtype="f8").reshape(rows, 3)),
        fits.Column("num", "I", array=np.arange(rows, dtype="u2") + 40_000, bzero=32_768),
        fits.Column("var", "PE()", array=np.array([np.arange(4, dtype="f4") + i for i in range(rows)], dtype=object)),
        fits.Column("none", "0E"),
    ]
    data = written(fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="tab"))
    table = FitsFile(data).named("TAB")
    assert table is not None
    assert table.columns == ["TEXT", "FLUX", "BITS", "VEC", "NUM", "VAR", "NONE"]
    with fits.open(io.BytesIO(data)) as opened:
        for name in ("FLUX", "VEC", "NUM"):
            np.testing.assert_array_equal(table.column(name), opened[1].data[name])
        np.testing.assert_array_equal(table.column("VAR"), np.stack(list(opened[1].data["VAR"])))
    assert table.cell("TEXT") == "a"
    assert table.cell("FLUX") == 0.0
    assert table.cell("MISSING", 3) == 3
    assert table.number_of("VEC") == 4
    for name in ("BITS", "NONE", "MISSING"):
        with pytest.raises(ReadError):
            table.column(name)
    with pytest.raises(ReadError, match="holds no image"):
        table.image()


def test_hdus_are_found_one_after_the_other() -> None:
    data = written(fits.PrimaryHDU(), fits.ImageHDU(np.ones(3), name="ONE"), fits.ImageHDU(np.ones((2, 2)), name="TWO"))
    file = FitsFile(data + b"\0" * 100)
    assert [hdu.name for hdu in file] == ["", "ONE", "TWO"]
    assert file[2].shape == (2, 2)
    assert file.named("THREE") is None
    with pytest.raises(ReadError, match="has no HDU 3") as caught:
        _ = file[3]
    assert caught.value.reason == "no-spectrum"


@pytest.mark.parametrize("data", [b"", b"hello", b"<html>", bytes(3000), b"SIMPLE=T"])
def test_what_is_not_fits_says_so(data: bytes) -> None:
    with pytest.raises(ReadError) as caught:
        FitsFile(data)
    assert caught.value.reason == "not-fits"


def test_a_header_without_end_and_missing_data_are_truncated() -> None:
    data = written(fits.PrimaryHDU(np.ones(4000)))
    for cut in (1000, 2880, 2881, 2880 + 4000 * 8 - 1):
        with pytest.raises(ReadError) as caught:
            FitsFile(data[:cut])[0].image()
        assert caught.value.reason == "truncated", cut
    np.testing.assert_array_equal(FitsFile(data[: 2880 + 4000 * 8])[0].image(), np.ones(4000))  # padding may be missing


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"BITPIX  =                  -64", b"BITPIX  =                   17"),
        (b"NAXIS1  =                    6", b"NAXIS1  =                   -6"),
        (b"NAXIS1  =                    6", b"NAXIS1  =                 six "),
        (b"NAXIS   =                    1", b"NAXIS   =                  1.5"),
        (b"PCOUNT  =                    0", b"PCOUNT  =             -9999999"),
        (b"GCOUNT  =                    1", b"GCOUNT  =                   -1"),
    ],
)
def test_senseless_structure_is_a_bad_keyword(old: bytes, new: bytes) -> None:
    data = written(fits.PrimaryHDU(), fits.ImageHDU(np.arange(6.0)))
    assert old in data
    with pytest.raises(ReadError) as caught:
        list(FitsFile(data.replace(old, new)))
    assert caught.value.reason == "bad-keyword"


def test_columns_must_fill_the_rows() -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(3.0))])
    data = written(fits.PrimaryHDU(), table)
    with pytest.raises(ReadError, match="do not fill its rows"):
        _ = FitsFile(data.replace(b"TFORM1  = 'E ", b"TFORM1  = '9E"))[1]


FILES = [
    image(),
    lamost_image(),
    packed(
        [
            fits.PrimaryHDU(),
            fits.BinTableHDU.from_columns([fits.Column("F", "PE()", array=np.array([np.ones(9, "f4")], dtype=object))]),
        ]
    ),
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 6000), st.binary(min_size=1, max_size=12)), min_size=1, max_size=3),
    st.integers(0, 20_000),
)
def test_damaged_files_give_spectra_or_read_errors(file: Source, changes: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(file.raw)
    for at, content in changes:
        data[at : at + len(content)] = content
    if cut < 8000:
        del data[cut:]
    for item in read_each(Source("x.fits", bytes(data))):
        assert not isinstance(item, ReadError) or str(item).startswith("x.fits")
