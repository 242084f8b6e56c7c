"""Small spectra in the formats in which archives send them, lists of them, and a server that has them."""

from __future__ import annotations

import io
import xml.sax.saxutils
from pathlib import Path

import numpy as np
from astropy.io import fits

from emberline.vo.client.config import ClientConfig
from emberline.vo.client.session import Session
from tests.vo.client.misbehaving import Misbehaving

N = 400
FITS, VOTABLE = "application/fits", "application/x-votable+xml"


def session_for(*servers: Misbehaving) -> Session:
    """A session that may ask these servers, and tries quickly."""
    config = ClientConfig(allow=tuple(server.host for server in servers), rate=1e6, tries=2, timeout=10, total=30)
    session = Session(config)
    session.backoff = 0.001
    return session


def flux_of(seed: int) -> np.ndarray:
    return (1000.0 + 10.0 * np.random.default_rng(seed).standard_normal(N)).astype(np.float32)


def image_spectrum(seed: int = 1, *, name: str = "omi And", medium: str = "AWAV") -> bytes:
    """A one-dimensional FITS image with its wavelengths in the header."""
    hdu = fits.PrimaryHDU(flux_of(seed))
    for key, value in {"CRVAL1": 6500.0, "CRPIX1": 1.0, "CDELT1": 0.25, "CTYPE1": medium, "CUNIT1": "Angstrom",
                       "OBJECT": name}.items():  # fmt: skip
        hdu.header[key] = value
    stream = io.BytesIO()
    hdu.writeto(stream)
    return stream.getvalue()


def table_spectrum(seed: int = 2, *, did: str = "", ra: float | None = None) -> bytes:
    """A FITS table with the columns WAVE, FLUX and ERR, one row of arrays, as SSA services send it."""
    wave = np.linspace(650.0, 660.0, N)
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("WAVE", f"{N}D", unit="nm", array=wave[None]),
            fits.Column("FLUX", f"{N}E", unit="erg/cm**2/s/Angstrom", array=flux_of(seed)[None]),
            fits.Column("ERR", f"{N}E", unit="erg/cm**2/s/Angstrom", array=np.full((1, N), 10.0, np.float32)),
        ]
    )
    hdu.header["VACUUM"] = True
    if did:
        hdu.header["DS_IDPUB"] = did
    if ra is not None:
        hdu.header["RA"], hdu.header["DEC"] = ra, 42.0
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    return stream.getvalue()


def votable_spectrum(seed: int = 3) -> bytes:
    """A VOTable in the IVOA Spectrum data model, wavelengths in micrometres."""
    wave, flux = np.linspace(0.65, 0.66, N), flux_of(seed)
    rows = "".join(f"<TR><TD>{w!r}</TD><TD>{f!r}</TD></TR>" for w, f in zip(wave.tolist(), flux.tolist(), strict=True))
    return (
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE utype="spec:Spectrum">'
        '<PARAM name="target" utype="spec:Target.Name" datatype="char" arraysize="*" value="28 Cyg"/>'
        '<FIELD name="s" utype="spec:Data.SpectralAxis.Value" ucd="em.wl" unit="um" datatype="double"/>'
        '<FIELD name="f" utype="spec:Data.FluxAxis.Value" ucd="phot.flux.density" unit="Jy" datatype="double"/>'
        f"<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    ).encode()


def listing(*rows: dict[str, str]) -> bytes:
    """A table of records as an SSAP service or ObsCore gives it; keys: url, format, title, did, pos, target."""
    names = {
        "url": ("acref", "ssa:Access.Reference", "meta.ref.url"),
        "format": ("mime", "ssa:Access.Format", "meta.code.mime"),
        "title": ("title", "ssa:DataID.Title", "meta.title;meta.dataset"),
        "did": ("pubdid", "ssa:Curation.PublisherDID", "meta.ref.ivoid"),
        "target": ("targname", "ssa:Target.Name", "meta.id;src"),
    }
    fields = "".join(
        f'<FIELD name="{name}" utype="{utype}" ucd="{ucd}" datatype="char" arraysize="*"/>'
        for name, utype, ucd in names.values()
    )
    fields += '<FIELD name="location" datatype="double" arraysize="2" unit="deg" ucd="pos.eq"'
    fields += ' utype="ssa:Char.SpatialAxis.Coverage.Location.Value"/>'
    body = "".join(
        "<TR>"
        + "".join(f"<TD>{xml.sax.saxutils.escape(row.get(key, ''))}</TD>" for key in names)
        + f"<TD>{row.get('pos', 'NaN NaN')}</TD></TR>"
        for row in rows
    )
    return (
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="OK"/><TABLE>{fields}<DATA><TABLEDATA>{body}</TABLEDATA></DATA></TABLE>'
        "</RESOURCE></VOTABLE>"
    ).encode()


def write_listing(path: Path, *rows: dict[str, str]) -> Path:
    path.write_bytes(listing(*rows))
    return path
