"""What SAMP messages point at: tables and spectra that come, fetched with care, and those that go, written to files."""

from __future__ import annotations

import dataclasses
import io
import ipaddress
import re
import urllib.parse
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.errors import EmberlineError
from emberline.vo.client.samp.errors import SampError

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.spectra import Spectrum

__all__ = ["MAX_BYTES", "fetch", "read_table", "table_format", "write_spectrum", "write_table"]

MAX_BYTES = 200_000_000
"""The largest document that is taken."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DECLARATION = re.compile(rb"<!(ENTITY|DOCTYPE)", re.IGNORECASE)
_FORMATS = {".vot": "votable", ".xml": "votable", ".votable": "votable", ".fits": "fits", ".fit": "fits"}
_UTYPE = "spec:Spectrum.Data."


def fetch(url: str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The document that a message points at.

    A file, or what another program on this machine serves, is what SAMP messages are about. An address elsewhere (some
    web pages send those) is asked as any service is: under the limits of the workspace's VO client, and never one in a
    private network.

    Raises
    ------
    SampError
        It is nothing that may be fetched, is too large, or is not there.
    """
    address = urllib.parse.urlsplit(url)
    if address.scheme == "file":
        return _file(address, url, max_bytes)
    if address.scheme in ("http", "https") and address.hostname:
        return _served(url, address.hostname, max_bytes)
    raise SampError("is no address that may be fetched", where=url[:200], expected="file:, http: or https:")


def _file(address: urllib.parse.SplitResult, url: str, max_bytes: int) -> bytes:
    if address.netloc not in ("", "localhost", "127.0.0.1"):
        raise SampError("is a file of another machine", where=url[:200])
    path = Path(urllib.parse.unquote(address.path))
    try:
        if not path.is_file():
            raise SampError("there is no such file", where=str(path)[:200])
        with open(path, "rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise SampError(f"cannot be read: {error.strerror or error}", where=str(path)[:200]) from error
    if len(content) > max_bytes:
        raise _too_large(url, max_bytes)
    return content


def _too_large(url: str, max_bytes: int) -> SampError:
    return SampError("is too large", where=url[:200], expected=f"at most {max_bytes:,} bytes")


def _served(url: str, host: str, max_bytes: int) -> bytes:
    from emberline.vo.client.config import load_config
    from emberline.vo.client.session import Session

    config = load_config()
    near = _is_loopback(host)
    config = dataclasses.replace(
        config,
        offline=config.offline and not near,
        allow=(*config.allow, *_LOOPBACK) if near else config.allow,
        max_bytes=min(config.max_bytes, max_bytes),
        tries=1 if near else config.tries,
    )
    try:
        with Session(config) as session, session.fresh():
            response = session.get(url)
            response.raise_for_status()
            return bytes(response.content)
    except EmberlineError as error:
        raise SampError(f"cannot be fetched: {error}", where=url[:200]) from error
    except OSError as error:  # among them all that requests raises
        raise SampError(f"cannot be fetched: {str(error)[:300]}", where=url[:200]) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def table_format(path: Path | str) -> str:
    """``votable`` or ``fits`` by a file's ending; empty for others."""
    return _FORMATS.get(Path(path).suffix.lower(), "")


def read_table(content: bytes, form: str, where: str = "") -> Table:
    """The first table of a VOTable or FITS file that has rows; the first at all when none has.

    Raises
    ------
    SampError
        It is no such file, or an XML file with declarations: those are the door to bombs and to other files.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = _votables(content, where) if form == "votable" else _fits_tables(content)
    except SampError:
        raise
    except Exception as error:  # parsers raise what they like
        raise SampError(
            f"is no {'VOTable' if form == 'votable' else 'FITS table'}: {str(error)[:200]}", where=where[:200]
        ) from error
    if not tables:
        raise SampError("holds no table", where=where[:200])
    return next((table for table in tables if len(table)), tables[0])


def _votables(content: bytes, where: str) -> list[Table]:
    import astropy.io.votable

    if _DECLARATION.search(content.replace(b"\0", b"")):
        raise SampError("declares a document type, and is not read", where=where[:200], expected="a VOTable")
    parsed = astropy.io.votable.parse(io.BytesIO(content), verify="ignore")
    return [_with_ucds(table) for table in parsed.iter_tables()]


def _with_ucds(table: Any) -> Table:
    made = table.to_table(use_names_over_ids=True)
    for field, name in zip(table.fields, made.colnames, strict=True):
        if field.ucd:
            made[name].meta["ucd"] = str(field.ucd)
    return made


def _fits_tables(content: bytes) -> list[Table]:
    from astropy.io import fits
    from astropy.table import Table

    with fits.open(io.BytesIO(content), lazy_load_hdus=False) as hdus:
        return [Table.read(hdu) for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]


# What goes -----------------------------------------------------------------------------------------------------------


def write_table(table: Table, path: Path) -> None:
    """Write a table as VOTable; a column's ``meta["ucd"]`` goes with it."""
    from astropy.io.votable import from_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = from_table(table)
        fields = next(document.iter_tables()).fields
        for field, name in zip(fields, table.colnames, strict=True):
            ucd = table[name].info.meta.get("ucd") if table[name].info.meta else None
            if ucd:
                field.ucd = ucd
        document.to_xml(str(path))


def write_spectrum(spectrum: Spectrum, path: Path) -> None:
    """Write a spectrum as VOTable in the Spectrum data model 1.1: wave (vacuum Å), flux, err, mask."""
    from astropy.io.votable import from_table
    from astropy.table import Table

    ivar = np.asarray(spectrum.ivar, np.float64)
    error = np.full(ivar.shape, np.nan, np.float32)
    np.divide(1.0, np.sqrt(ivar, where=ivar > 0, out=np.ones_like(ivar)), out=error, where=ivar > 0, casting="unsafe")
    table = Table(
        {"wave": spectrum.wavelength, "flux": spectrum.flux, "err": error, "mask": spectrum.mask},
        units={"wave": "Angstrom"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = from_table(table)
        inside = next(document.iter_tables())
        inside.name = spectrum.meta.identifier or "spectrum"
        inside.utype = "spec:Spectrum"
        for field, (utype, ucd) in zip(inside.fields, _SPECTRUM_COLUMNS.values(), strict=True):
            field.utype, field.ucd = _UTYPE + utype, ucd
        document.to_xml(str(path))


_SPECTRUM_COLUMNS: Mapping[str, tuple[str, str]] = {
    "wave": ("SpectralAxis.Value", "em.wl"),
    "flux": ("FluxAxis.Value", "phot.flux.density;em.wl"),
    "err": ("FluxAxis.Accuracy.StatError", "stat.error;phot.flux.density;em.wl"),
    "mask": ("FluxAxis.Accuracy.QualityStatus", "meta.code.qual"),
}
