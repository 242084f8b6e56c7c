"""ObsCore 1.1 (https://www.ivoa.net/documents/ObsCore/): ``ivoa.obscore``, one row a spectrum, over all archives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from emberline.vo.server._descriptors import DATALINK_TYPE
from emberline.vo.server.adql.tables import Column, Position, Region, Schema, Table

if TYPE_CHECKING:
    from emberline.vo.server.published import PublishedArchive

__all__ = ["BASE_VARIABLE", "OBSCORE_SCHEMA", "OBSCORE_UTYPE", "obscore_table"]

OBSCORE_UTYPE = "ivo://ivoa.net/std/ObsCore#core-1.1"
OBSCORE_SCHEMA = Schema("ivoa", "Tables that the IVOA defines", "")
BASE_VARIABLE = "vo_base"
"""A variable of the data base's connection: the address of the services, where the view was made without one."""

_TEXT, _REAL, _LONG = "VARCHAR", "DOUBLE", "BIGINT"
_KINDS = {
    _TEXT: ("char", "*"),
    _REAL: ("double", ""),
    _LONG: ("long", ""),
    "FLOAT": ("float", ""),
    "INTEGER": ("int", ""),
}
_SPACE, _TIME, _SPECTRAL = "Char.SpatialAxis.", "Char.TimeAxis.", "Char.SpectralAxis."
_PLACE = f"{_SPACE}Coverage.Location.Coord.Position2D.Value2."

_COLUMNS: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    ("dataproduct_type", _TEXT, "", "meta.code.class", "ObsDataset.dataProductType", "'spectrum'", "Kind of product"),
    ("calib_level", "INTEGER", "", "meta.code;obs.calib", "ObsDataset.calibLevel", "2", "Calibration level, 0 to 4"),
    ("obs_collection", _TEXT, "", "meta.id", "DataID.Collection", "survey", "Survey, and release where known"),
    ("obs_id", _TEXT, "", "meta.id", "DataID.observationID", "identifier", "Identifier of the observation"),
    ("obs_publisher_did", _TEXT, "", "meta.ref.ivoid", "Curation.PublisherDID", "{did}", "Identifier in the VO"),
    ("access_url", _TEXT, "", "meta.ref.url", "Access.Reference", "{link}", "Links to the data and all about them"),
    ("access_format", _TEXT, "", "meta.code.mime", "Access.Format", f"'{DATALINK_TYPE}'", "What access_url gives"),
    ("access_estsize", _LONG, "kbyte", "phys.size;meta.file", "Access.Size", "{size}", "About the size of the data"),
    ("target_name", _TEXT, "", "meta.id;src", "Target.Name", "coalesce(nullif(name, ''), object)", "Object"),
    ("s_ra", _REAL, "deg", "pos.eq.ra", f"{_PLACE}C1", "ra", "Right ascension, ICRS"),
    ("s_dec", _REAL, "deg", "pos.eq.dec", f"{_PLACE}C2", "dec", "Declination, ICRS"),
    ("s_fov", _REAL, "deg", "phys.angSize;instr.fov", f"{_SPACE}Coverage.Bounds.Extent.diameter", "{fov}",
     "Diameter of the fibre or slit on the sky"),
    ("s_region", _TEXT, "", "pos.outline;obs.field", f"{_SPACE}Coverage.Support.Area", "{region}",
     "The fibre or slit on the sky, as a circle"),
    ("s_resolution", _REAL, "arcsec", "pos.angResolution", f"{_SPACE}Resolution.Refval.value", "NULL",
     "Spatial resolution: a spectrum of one fibre has none"),
    ("s_xel1", _LONG, "", "meta.number", f"{_SPACE}numBins1", "1", "Number of elements on the first spatial axis"),
    ("s_xel2", _LONG, "", "meta.number", f"{_SPACE}numBins2", "1", "Number of elements on the second spatial axis"),
    ("t_min", _REAL, "d", "time.start;obs.exposure", f"{_TIME}Coverage.Bounds.Limits.StartTime", "mjd - {half}",
     "Begin of the exposure, MJD"),
    ("t_max", _REAL, "d", "time.end;obs.exposure", f"{_TIME}Coverage.Bounds.Limits.StopTime", "mjd + {half}",
     "End of the exposure, MJD"),
    ("t_exptime", _REAL, "s", "time.duration;obs.exposure", f"{_TIME}Coverage.Support.Extent", "exposure",
     "Exposure time"),
    ("t_resolution", _REAL, "s", "time.resolution", f"{_TIME}Resolution.Refval.value", "exposure",
     "Resolution in time: the exposure"),
    ("t_xel", _LONG, "", "meta.number", f"{_TIME}numBins", "1", "Number of elements on the time axis"),
    ("em_min", _REAL, "m", "em.wl;stat.min", f"{_SPECTRAL}Coverage.Bounds.Limits.LoLimit", "wavelength_min * 1e-10",
     "Shortest wavelength, vacuum"),
    ("em_max", _REAL, "m", "em.wl;stat.max", f"{_SPECTRAL}Coverage.Bounds.Limits.HiLimit", "wavelength_max * 1e-10",
     "Longest wavelength, vacuum"),
    ("em_res_power", _REAL, "", "spect.resolution", f"{_SPECTRAL}Resolution.ResolPower.refVal", "resolving_power",
     "Resolving power"),
    ("em_xel", _LONG, "", "meta.number", f"{_SPECTRAL}numBins", "pixels", "Number of pixels"),
    ("o_ucd", _TEXT, "", "meta.ucd", "Char.ObservableAxis.ucd", "'phot.flux.density;em.wl'", "What was measured"),
    ("pol_states", _TEXT, "", "meta.code;phys.polarization", "Char.PolarizationAxis.stateList", "NULL",
     "Polarisation states: none"),
    ("pol_xel", _LONG, "", "meta.number", "Char.PolarizationAxis.numBins", "NULL", "Number of polarisation states"),
    ("facility_name", _TEXT, "", "meta.id;instr.tel", "Provenance.ObsConfig.Facility.name", "{facility}", "Telescope"),
    ("instrument_name", _TEXT, "", "meta.id;instr", "Provenance.ObsConfig.Instrument.name", "{instrument}",
     "Instrument"),
    ("target_class", _TEXT, "", "src.class", "Target.Class", "nullif(survey_class, '')", "Class that the survey gave"),
    ("obs_title", _TEXT, "", "meta.title;obs", "DataID.Title", "{title}", "One line about the spectrum"),
    ("em_ucd", _TEXT, "", "em.wl", f"{_SPECTRAL}ucd", "'em.wl'", "What the spectral axis is"),
    ("obs_release_date", _TEXT, "", "time.release", "Curation.releaseDate", "{released}", "When it was published, UTC"),
)  # fmt: skip
"""Name, SQL type, unit, UCD, utype, SQL over the frozen catalogue, description; the first thirty are mandatory."""
_OPTIONAL = ("target_class", "obs_title", "em_ucd", "obs_release_date")
_PRINCIPAL = (
    "obs_collection",
    "obs_publisher_did",
    "access_url",
    "target_name",
    "s_ra",
    "s_dec",
    "t_min",
    "em_min",
    "em_max",
)
_XTYPES = {"s_region": "adql:REGION", "obs_release_date": "timestamp"}
_UCDS = {"em_ucd": "meta.ucd"}
_BASE = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+(?:/[A-Za-z0-9._~!$&()*+,;=:@%/-]*)?")


def obscore_table(archives: Sequence[PublishedArchive], base: str = "") -> Table:
    """``ivoa.obscore`` over the frozen catalogues of these archives; nothing is copied.

    Parameters
    ----------
    archives : sequence of PublishedArchive
    base : str, optional
        The address of the services (``https://example.org/vo``), for ``access_url``. Without it the address is read
        from the variable `BASE_VARIABLE` of the data base's connection whenever a query runs.

    Raises
    ------
    ValueError
        There is no archive, or `base` is no such address.
    """
    if not archives:
        raise ValueError("ObsCore needs an archive at least")
    if base and not _BASE.fullmatch(base):
        raise ValueError("the address of the services is not an http address")
    address = _literal(base.rstrip("/")) if base else f"coalesce(getvariable('{BASE_VARIABLE}'), '')"
    radius = max(item.publication.aperture_arcsec for item in archives) / 7200.0
    return Table(
        name="ivoa.obscore",
        columns=tuple(_column(row, _wide(archives)) for row in _COLUMNS),
        description="All published spectra, described by ObsCore 1.1",
        utype=OBSCORE_UTYPE,
        kind="view",
        position=Position("s_ra", "s_dec", "healpix"),
        regions=(Region("s_region", "s_ra", "s_dec", radius),),
        files=tuple(item.catalogue_path for item in archives),
        select="\nUNION ALL\n".join(_select(item, address) for item in archives),
        rows=sum(item.summary.rows for item in archives),
    )


_TEXTS = {
    "obs_id": ("identifier",),
    "target_name": ("name", "object"),
    "obs_collection": ("survey",),
    "obs_title": ("survey", "name", "object"),
    "target_class": ("survey_class",),
}
"""The columns of the catalogues that texts come from."""


def _wide(archives: Sequence[PublishedArchive]) -> frozenset[str]:
    """The columns whose texts are not all ASCII."""
    found = {name for item in archives for name in item.summary.unicode}
    wide = {name for name, sources in _TEXTS.items() if found & set(sources)}
    records = [item.publication for item in archives]
    wide |= {f"{name}_name" for name in ("facility", "instrument") for r in records if not getattr(r, name).isascii()}
    return frozenset(wide)


def _column(row: tuple[str, ...], wide: frozenset[str]) -> Column:
    name, kind, unit, ucd, utype, _, description = row
    datatype, arraysize = _KINDS[kind]
    return Column(
        name,
        "unicodeChar" if name in wide else datatype,
        arraysize,
        _XTYPES.get(name, ""),
        unit,
        _UCDS.get(name, ucd),
        f"obscore:{utype}",
        description,
        principal=name in _PRINCIPAL,
        std=True,
        indexed=name in ("s_ra", "s_dec"),
    )


def _select(item: PublishedArchive, address: str) -> str:
    """The rows of one archive; everything that comes from a record is a quoted literal."""
    record = item.publication
    did = f"({_literal(record.did_prefix)} || url_encode(identifier))"
    words = {
        "did": did,
        "link": f"({address} || {_literal(f'/{record.name}/datalink?ID=')} || url_encode{did})",
        "size": "CAST(ceil((pixels * 17 + 20000) / 1000.0) AS BIGINT)",
        "fov": repr(record.aperture_arcsec / 3600.0),
        "region": _region(record.aperture_arcsec / 7200.0),
        "half": "coalesce(exposure, 0.0) / 172800.0",
        "facility": _literal(record.facility) if record.facility else "NULL",
        "instrument": _literal(record.instrument) if record.instrument else "NULL",
        "title": "concat_ws(' ', nullif(survey, ''), coalesce(nullif(name, ''), object))",
        "released": _literal(record.updated.removesuffix("Z")),
    }
    listed = [f"CAST({_filled(sql, words)} AS {kind}) AS {name}" for name, kind, _, _, _, sql, _ in _COLUMNS]
    return f"SELECT {', '.join(listed)}, healpix FROM read_parquet({_literal(str(item.catalogue_path))})"


def _filled(sql: str, words: dict[str, str]) -> str:
    """The SQL with its words replaced, once: what is put in is not looked at again."""
    return re.sub(r"\{(\w+)\}", lambda match: words[match[1]], sql)


def _region(radius: float) -> str:
    """A circle in STC-S, as ObsCore has it; nothing without a position."""
    return f"CASE WHEN healpix >= 0 THEN printf('Circle ICRS %.7f %.7f %.7f', ra, dec, {radius!r}) END"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
