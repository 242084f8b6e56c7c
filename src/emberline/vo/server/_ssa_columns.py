"""The columns of an SSAP answer: their utypes, and how each comes from an archive's catalogue."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emberline.vo.server._quoting import quoted
from emberline.vo.server.adql.tables import Column
from emberline.vo.server.votable import Param

if TYPE_CHECKING:
    from emberline.vo.server._shelf import ShelfTable
    from emberline.vo.server.publication import Publication

__all__ = ["SSA_COLUMNS", "Access", "constants", "plain_columns", "ssa_batch", "ssa_columns"]

_ANGSTROM = 1e-10


@dataclasses.dataclass(frozen=True)
class Access:
    """Where and as what the spectra are offered.

    Attributes
    ----------
    publication : Publication
    address : str
        What precedes the encoded dataset identifier in a spectrum's address.
    media_type : str
    bytes_per_pixel, bytes_in_all : int
        About how long an answer is.
    """

    publication: Publication
    address: str
    media_type: str
    bytes_per_pixel: int
    bytes_in_all: int


_Make = Callable[[pa.RecordBatch, Access], Any]


def _plain(name: str) -> _Make:
    return lambda rows, access: rows.column(name)


def _numbers(rows: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    """A column for numpy, which is quicker than Arrow on the few rows of a cone; NaN for null."""
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), np.float64)


def _array(values: NDArray[Any]) -> Any:
    return pa.array(values, from_pandas=True)


def _scaled(name: str, factor: float) -> _Make:
    return lambda rows, access: _array(_numbers(rows, name) * factor)


def _constant(value: Callable[[Access], str]) -> _Make:
    return lambda rows, access: pa.repeat(pa.scalar(value(access), pa.string()), rows.num_rows)


def _joined(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")


def _did(rows: pa.RecordBatch, access: Access) -> Any:
    return _joined(access.publication.did_prefix, quoted(rows.column("identifier")))


def _reference(rows: pa.RecordBatch, access: Access) -> Any:
    # The identifier is encoded twice: once in the dataset identifier, once as a parameter's value.
    prefix = access.address + urllib.parse.quote(access.publication.did_prefix, safe="")
    return _joined(prefix, quoted(quoted(rows.column("identifier"))))


def _title(rows: pa.RecordBatch, access: Access) -> Any:
    name = pc.if_else(pc.equal(rows.column("name"), ""), rows.column("identifier"), rows.column("name"))
    return pc.utf8_trim_whitespace(_joined(rows.column("survey"), " ", name))


def _target(rows: pa.RecordBatch, access: Access) -> Any:
    return pc.if_else(pc.equal(rows.column("name"), ""), rows.column("object"), rows.column("name"))


def _position(rows: pa.RecordBatch, access: Access) -> Any:
    both = np.empty((rows.num_rows, 2))
    both[:, 0], both[:, 1] = _numbers(rows, "ra"), _numbers(rows, "dec")
    pair = pa.FixedSizeListArray.from_arrays(pa.array(both.ravel()), 2)
    missing = np.isnan(both).any(axis=1)
    return pc.if_else(pa.array(missing), pa.scalar(None, pair.type), pair) if missing.any() else pair


def _date(rows: pa.RecordBatch, access: Access) -> Any:
    # The day alone: pyvo reads no time of day behind a T, and SSAP allows no blank. The moment itself is in t_mid.
    mjd = _numbers(rows, "mjd")
    known = np.abs(mjd) < 2e6
    days = (np.floor(np.where(known, mjd, 40587.0)) - 40587).astype(np.int64).astype("datetime64[D]")
    return pa.array(np.datetime_as_string(days), pa.string(), mask=~known)


def _middle(rows: pa.RecordBatch, access: Access) -> Any:
    return _array((_numbers(rows, "wavelength_min") + _numbers(rows, "wavelength_max")) * (_ANGSTROM / 2))


def _extent(rows: pa.RecordBatch, access: Access) -> Any:
    return _array((_numbers(rows, "wavelength_max") - _numbers(rows, "wavelength_min")) * _ANGSTROM)


def _kilobytes(rows: pa.RecordBatch, access: Access) -> Any:
    size = np.nan_to_num(_numbers(rows, "pixels")) * access.bytes_per_pixel + access.bytes_in_all
    return pa.array(np.ceil(size / 1024).astype(np.int64))


def _instrument(rows: pa.RecordBatch, access: Access) -> Any:
    if access.publication.instrument:
        return _constant(lambda _: access.publication.instrument)(rows, access)
    return rows.column("survey")


@dataclasses.dataclass(frozen=True)
class SsaColumn:
    """A column of the answer, the function that makes it from rows of the catalogue, and the texts in it."""

    column: Column
    make: _Make
    texts: frozenset[str] = frozenset()


def _c(
    name: str,
    utype: str,
    make: _Make,
    description: str,
    *,
    kind: str = "char",
    size: str = "",
    texts: tuple[str, ...] = (),
    **more: str,
) -> SsaColumn:
    arraysize = size or ("*" if kind == "char" else "")
    return SsaColumn(
        Column(name, kind, arraysize, utype=f"ssa:{utype}", description=description, **more),  # type: ignore[arg-type]
        make,
        frozenset(texts),
    )


SSA_COLUMNS: tuple[SsaColumn, ...] = (
    _c("accref", "Access.Reference", _reference, "Address of the spectrum", ucd="meta.ref.url"),
    _c("mime", "Access.Format", _constant(lambda a: a.media_type), "Its format", ucd="meta.code.mime"),
    _c(
        "size", "Access.Size", _kilobytes, "About how long it is", kind="long", unit="kbyte", ucd="phys.size;meta.file"
    ),
    _c("title", "DataID.Title", _title, "Survey and target", ucd="meta.title;meta.dataset",
       texts=("survey", "name", "identifier")),
    _c("pubdid", "Curation.PublisherDID", _did, "IVOA dataset identifier", ucd="meta.ref.ivoid"),
    _c("target_name", "Target.Name", _target, "Name of the target", ucd="meta.id;src", texts=("name", "object")),
    _c("target_class", "Target.Class", _plain("survey_class"), "Class that the survey gave", ucd="src.class",
       texts=("survey_class",)),
    _c(
        "target_pos", "Target.Pos", _position, "Position of the target, ICRS", kind="double", size="2",
        unit="deg", ucd="pos.eq;src",
    ),
    _c(
        "location", "Char.SpatialAxis.Coverage.Location.Value", _position, "Where the telescope pointed, ICRS",
        kind="double", size="2", unit="deg", ucd="pos.eq",
    ),
    _c("redshift", "Target.Redshift", _plain("redshift"), "Redshift that the survey gave", kind="float",
       ucd="src.redshift"),
    _c("date_obs", "DataID.Date", _date, "Day of the observation, UTC", xtype="timestamp", ucd="time;obs"),
    _c(
        "t_mid", "Char.TimeAxis.Coverage.Location.Value", _plain("mjd"), "Middle of the exposure, MJD",
        kind="double", unit="d", ucd="time.epoch",
    ),
    _c(
        "t_ext", "Char.TimeAxis.Coverage.Bounds.Extent", _plain("exposure"), "Exposure time",
        kind="float", unit="s", ucd="time.duration",
    ),
    _c(
        "spec_mid", "Char.SpectralAxis.Coverage.Location.Value", _middle, "Middle of the wavelengths, vacuum",
        kind="double", unit="m", ucd="em.wl;instr.bandpass",
    ),
    _c(
        "spec_ext", "Char.SpectralAxis.Coverage.Bounds.Extent", _extent, "Width of the range of wavelengths",
        kind="double", unit="m", ucd="instr.bandwidth",
    ),
    _c(
        "spec_start", "Char.SpectralAxis.Coverage.Bounds.Start", _scaled("wavelength_min", _ANGSTROM),
        "Wavelength of the first pixel, vacuum", kind="double", unit="m", ucd="em.wl;stat.min",
    ),
    _c(
        "spec_stop", "Char.SpectralAxis.Coverage.Bounds.Stop", _scaled("wavelength_max", _ANGSTROM),
        "Wavelength of the last pixel, vacuum", kind="double", unit="m", ucd="em.wl;stat.max",
    ),
    _c("length", "Dataset.Length", _plain("pixels"), "Number of pixels", kind="long", ucd="meta.number"),
    _c("snr", "Derived.SNR", _plain("snr"), "Median signal to noise per pixel", kind="float", ucd="stat.snr"),
    _c(
        "specrp", "Char.SpectralAxis.ResPower", _plain("resolving_power"),
        "Wavelength over its resolution element (FWHM)", kind="float", ucd="spect.resolution",
    ),
    _c("collection", "DataID.Collection", _plain("survey"), "Survey, and release where known", ucd="meta.dataset",
       texts=("survey",)),
    _c("instrument", "DataID.Instrument", _instrument, "Instrument, or else the survey", ucd="meta.id;instr",
       texts=("survey",)),
    _c("flux_unit", "Char.FluxAxis.Unit", _plain("flux_unit"), "Unit of the flux; empty when arbitrary",
       ucd="meta.unit", texts=("flux_unit",)),
)  # fmt: skip
"""All columns that differ from row to row."""


def ssa_columns(table: ShelfTable) -> tuple[Column, ...]:
    """The columns, with ``unicodeChar`` where the catalogue's text is not all ASCII."""
    return tuple(
        dataclasses.replace(item.column, datatype="unicodeChar") if table.unicode & item.texts else item.column
        for item in SSA_COLUMNS
    )


def plain_columns(table: ShelfTable, access: Access) -> frozenset[str]:
    """The columns that need no escape."""
    names = {item.column.name for item in SSA_COLUMNS if not table.special & item.texts}
    safe = re.fullmatch(r"[A-Za-z0-9:/?=._~%\[\]-]+", access.address) is not None
    return frozenset(names - {"instrument"} - (set() if safe else {"accref"}))


def ssa_batch(rows: pa.RecordBatch, access: Access) -> pa.RecordBatch:
    """Rows of the catalogue as rows of the answer."""
    made: dict[_Make, Any] = {}
    for item in SSA_COLUMNS:
        if item.make not in made:
            made[item.make] = item.make(rows, access)
    return pa.RecordBatch.from_arrays(
        [made[item.make] for item in SSA_COLUMNS], names=[item.column.name for item in SSA_COLUMNS]
    )


def constants(publication: Publication) -> tuple[Param, ...]:
    """What is the same for all rows."""
    values = {
        "Dataset.DataModel": "Spectrum-1.1",
        "Dataset.Type": "Spectrum",
        "DataID.Creator": "; ".join(publication.creators),
        "DataID.CreationType": "archival",
        "DataID.DataSource": "survey",
        "Curation.Publisher": publication.publisher,
        "Curation.PublisherID": f"ivo://{publication.authority}",
        "Curation.Reference": publication.bibcode or publication.doi or publication.reference_url,
        "Curation.Rights": publication.rights,
        "Curation.Date": publication.updated,
        "Curation.Version": str(publication.version),
        "Curation.Contact.Name": publication.contact_name,
        "Curation.Contact.Email": publication.contact_email,
        "CoordSys.SpaceFrame.Name": "ICRS",
        "CoordSys.TimeFrame.Name": "UTC",
        "Char.SpatialAxis.Ucd": "pos.eq",
        "Char.SpectralAxis.Ucd": "em.wl",
        "Char.SpectralAxis.Unit": "Angstrom",
        "Char.SpectralAxis.Calibration": "absolute",
        "Char.FluxAxis.Ucd": "phot.flux.density;em.wl",
        "Char.TimeAxis.Ucd": "time",
    }
    texts = tuple(
        Param(utype.replace(".", "_"), value, "char" if value.isascii() else "unicodeChar", utype=f"ssa:{utype}")
        for utype, value in values.items()
        if value
    )
    aperture = Param(
        "Char_SpatialAxis_Coverage_Bounds_Extent",
        f"{publication.aperture_arcsec / 3600:.7g}",
        "double",
        unit="deg",
        ucd="phys.angSize;instr.fov",
        utype="ssa:Char.SpatialAxis.Coverage.Bounds.Extent",
        description="Diameter of the fibre or slit on the sky",
    )
    return (*texts, aperture)
