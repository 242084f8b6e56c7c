"""Synthetic survey files, written by astropy, with any keyword changed or left out."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from emberline.archive.readers import Source, read
from emberline.errors import ReadError

N = 400
START, STEP = 3.8, 1e-4
LOGLAM = START + STEP * np.arange(N)

LAMOST_HEADER: dict[str, Any] = {
    "EXTEN0": "Flux, Inverse, Wavelength, Andmask, Ormask",
    "DATA_V": "LAMOST DR7",
    "TELESCOP": "LAMOST",
    "DATE-BEG": "2019-04-01T21:00:00.0",
    "DATE-END": "2019-04-01T23:00:00.0",
    "LMJD": 58575,
    "MJD": 58574,
    "PLANID": "HD103621N361936B01",
    "RA": 158.2,
    "DEC": 35.7,
    "DESIG": "LAMOST J103250.26+354136.2",
    "FIBERID": 2,
    "EXPTIME": 4500.0,
    "SPID": 3,
    "HELIO": True,
    "VACUUM": True,
    "COEFF0": START,
    "COEFF1": STEP,
    "CRVAL1": START,
    "CD1_1": STEP,
    "CLASS": "STAR",
    "SUBCLASS": "K5",
    "Z": -9999.0,
    "SNRR": 55.3,
}


def flux(n: int = N, seed: int = 1) -> np.ndarray:
    """A continuum with noise and an absorption line."""
    noise = np.random.default_rng(seed).normal(0, 1, n)
    return (100 + noise - 40 * np.exp(-0.5 * ((np.arange(n) - n / 2) / 5) ** 2)).astype(np.float32)


def packed(hdus: Iterable[Any], name: str = "file.fits", *, gz: bool = False) -> Source:
    """HDUs as a `Source`."""
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream, output_verify="ignore")
    raw = stream.getvalue()
    return Source(f"{name}.gz" if gz else name, gzip.compress(raw) if gz else raw)


def header_of(values: Mapping[str, Any], changes: Mapping[str, Any]) -> fits.Header:
    """A header; a change to None leaves the keyword out."""
    header = fits.Header()
    for key, value in {**values, **changes}.items():
        if value is not None:
            header[key] = value
    return header


def lamost_image(rows: Mapping[int, Any] | None = None, *, gz: bool = False, **changes: Any) -> Source:
    """The 5×N layout; `rows` replaces rows by number."""
    values = np.stack([flux(), np.full(N, 0.5), 10**LOGLAM, np.zeros(N), np.zeros(N)])
    for row, content in (rows or {}).items():
        values[row] = content
    header = header_of(LAMOST_HEADER, changes)
    return packed([fits.PrimaryHDU(values.astype(np.float32), header)], "spec.fits", gz=gz)


def image(values: Any = None, name: str = "star.fits", **keywords: Any) -> Source:
    """A one-dimensional image in air, linear, with any keyword changed."""
    base = {"CRVAL1": 6500.0, "CRPIX1": 1.0, "CDELT1": 0.25, "CTYPE1": "AWAV", "CUNIT1": "Angstrom"}
    changes = {key.replace("__", "-"): value for key, value in keywords.items()}
    return packed([fits.PrimaryHDU(flux() if values is None else values, header_of(base, changes))], name)


def rejection(source: Source, reader: str | None = None) -> ReadError:
    """The error with which a source is rejected; it must name the source."""
    with pytest.raises(ReadError) as caught:
        read(source, reader)
    assert str(caught.value).startswith(source.name)
    return caught.value
