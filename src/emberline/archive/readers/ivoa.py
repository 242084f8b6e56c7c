"""Any VOTable or FITS table in the IVOA Spectrum data model: columns by utype, UCD or name, wavelengths in any unit."""

from __future__ import annotations

import dataclasses
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import (
    Described,
    Statement,
    agreed_medium,
    comfortable,
    degrees,
    increasing,
    ivar_from_error,
    stated_frame,
    unit_in_angstrom,
    vacuum_grid,
)
from emberline.archive.readers.cards import Header
from emberline.archive.readers.fitsfast import Hdu
from emberline.archive.readers.source import Source
from emberline.archive.readers.wcs1d import middle_of_exposure
from emberline.errors import ReadError
from emberline.spectra import SPEED_OF_LIGHT, Mask, Medium, Metadata, Spectrum

__all__ = ["IvoaReader"]

_ROLES = {  # what a utype ends with, what a UCD begins with, what a column is called: the first that fits counts
    "spectral": ("spectralaxis.value", ("em.wl", "em.freq", "em.energy", "em.wavenumber"),
                 ("wave", "wavelength", "lambda", "spectral", "wl")),
    "flux": ("fluxaxis.value", ("phot.flux", "phot.count", "spect.continuum", "arith.ratio;phot.flux"),
             ("flux", "flux_reduced", "flux_density")),
    "error": ("fluxaxis.accuracy.staterror", ("stat.error;phot.flux", "stat.error;phot.count"),
              ("err", "error", "sigma", "flux_error", "flux_err")),
    "ivar": ("\0", ("stat.weight",), ("ivar",)),
    "quality": ("fluxaxis.accuracy.qualitystatus", ("meta.code.qual", "meta.code.error"), ("qual", "quality", "mask")),
}  # fmt: skip
_FREQUENCY = {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "thz": 1e12}
_ENERGY = {"ev": 1.0, "kev": 1e3, "mev": 1e6, "j": 1 / 1.602176634e-19}
_HC = 12398.419843320026  # eV Å
_LIGHT = SPEED_OF_LIGHT * 1e13  # Å/s


@dataclasses.dataclass(frozen=True)
class _Column:
    values: NDArray[Any]
    unit: str = ""
    ucd: str = ""
    comment: str = ""


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table from either format: columns by their role, and the header's keywords or the table's parameters."""

    columns: Mapping[str, _Column]
    header: Header


class IvoaReader(Described):
    """Spectra in the IVOA Spectrum data model 1.x (also as ESO Phase 3 and SSA services give it).

    References
    ----------
    McDowell et al. 2011, IVOA Spectrum Data Model 1.1; Tody et al. 2012, Simple Spectral Access 1.1.
    """

    name = "ivoa"
    states = Statement(
        survey="any, in the IVOA Spectrum data model",
        layout="FITS BINTABLE or VOTable, one row a pixel or one row of arrays; columns by utype, UCD or name",
        medium=(
            "UCD em.wl;obs.atmos is air, other UCDs are vacuum, unless VACUUM, AIRORVAC or a comment says it; "
            "refused when nothing says it or two contradict; frequency and energy are vacuum"
        ),
        velocity_frame="by SPECSYS, else unknown",
        flux_unit="the column's unit",
        ivar="1/error², or a column ivar; estimated from the scatter without",
        mask="quality not 0 → BAD",
        identifier="DS_IDPUB or publisher DID's last part, else the file's name",
        resolving_power="SPEC_RES where given",
    )

    def matches(self, source: Source) -> bool:
        """Whether it is a VOTable, or FITS whose first table has a spectral and a flux column."""
        if is_votable(source.data):
            return True
        return source.is_fits and _spectrum_hdu(source) is not None

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """The spectrum of the first table that is one."""
        table = _from_votable(source.data) if is_votable(source.data) else _from_fits(source)
        wavelength, medium, order = _vacuum_or_air(table)
        values = table.columns["flux"]
        factor, unit = comfortable(values.values, values.unit)
        flux = values.values[order] * factor
        ivar = _ivar(table, order, factor)
        mask = None
        if "quality" in table.columns:
            mask = np.where(np.asarray(table.columns["quality"].values[order]) != 0, Mask.BAD, 0).astype(np.uint8)
        meta = _metadata(table, source, medium, unit)
        yield Spectrum.checked(vacuum_grid(wavelength, medium), flux, ivar, mask, meta)


def is_votable(data: bytes) -> bool:
    """Whether the first bytes are those of a VOTable."""
    return re.search(rb"<(\w+:)?VOTABLE[\s>]", data[:4096]) is not None


def _role(utype: str, ucd: str, name: str) -> str | None:
    """Which of the five columns this is; utype before UCD before name."""
    utype, ucd, name = utype.lower(), ucd.lower().replace(" ", ""), name.lower()
    for role, (ending, _, _) in _ROLES.items():
        if utype.endswith(ending):
            return role
    if utype and "axis" in utype:
        return None
    for role, (_, starts, _) in _ROLES.items():
        if ucd and ucd.startswith(starts):
            return role
    if ucd:
        return None
    return next((role for role, (_, _, names) in _ROLES.items() if name in names), None)


def _spectrum_hdu(source: Source) -> Hdu | None:
    """The first table with a spectral and a flux column."""
    for hdu in source.fits:
        if hdu.is_table and {"spectral", "flux"} <= set(_roles(hdu)):
            return hdu
    return None


def _roles(hdu: Hdu) -> dict[str, str]:
    """Column name by role."""
    roles: dict[str, str] = {}
    for name in hdu.columns:
        number, header = hdu.number_of(name), hdu.header
        role = _role(header.text(f"TUTYP{number}"), header.text(f"TUCD{number}"), name)
        if role is not None:
            roles.setdefault(role, name)
    return roles


def _from_fits(source: Source) -> _Table:
    hdu = _spectrum_hdu(source)
    if hdu is None:
        raise ReadError(
            "no table has a spectral and a flux column",
            reason="no-spectrum",
            found="; ".join(f"HDU {hdu.index}: {', '.join(hdu.columns) or 'image'}" for hdu in source.fits),
            expected="columns known by utype, UCD or name",
        )
    columns = {}
    for role, name in _roles(hdu).items():
        number = hdu.number_of(name)
        columns[role] = _Column(
            hdu.column(name).reshape(-1),
            hdu.header.text(f"TUNIT{number}"),
            hdu.header.text(f"TUCD{number}").lower(),
            hdu.header.comment(f"TTYPE{number}").lower(),
        )
    primary = source.fits[0].header
    return _Table(columns, _Both(hdu.header, primary))


class _Both(Header):
    """The table's header, and behind it the primary one."""

    __slots__ = ("_second",)

    def __init__(self, first: Header, second: Header) -> None:
        super().__init__(first._text)
        self._second = second

    def _card(self, key: str) -> str | None:
        card = super()._card(key)
        return self._second._card(key) if card is None else card


class _Parameters(Header):
    """The PARAMs of a VOTable, under the keywords that a FITS header would have."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(b"")
        self._values = values

    def _card(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is None:
            return None
        text = str(value)
        try:
            float(text)
        except ValueError:
            return text if text in ("T", "F") else "'" + text.replace("'", "''") + "'"
        return text


_UTYPE_KEYWORDS = {
    "target.name": "OBJECT",
    "target.class": "SRCCLASS",
    "dataid.title": "TITLE",
    "dataid.datasetid": "DS_IDPUB",
    "dataid.creatordid": "DS_IDPUB",
    "curation.publisherdid": "DS_IDPUB",
    "char.timeaxis.coverage.location.value": "TMID",
    "char.timeaxis.coverage.bounds.extent": "TELAPSE",
    "coordsys.spectralframe.refpos": "SPECSYS",
    "spectralframe.refpos": "SPECSYS",
    "char.spatialaxis.coverage.location.value": "POS",
    "target.pos": "POS",
    "char.spectralaxis.respower": "SPEC_RES",
    "derived.snr": "SNR",
}


def _from_votable(data: bytes) -> _Table:
    """The first table with a spectral and a flux column; entities and remote streams are refused, not resolved."""
    if re.search(rb"<!(DOCTYPE|ENTITY)", data, re.IGNORECASE) or re.search(rb"<\w*:?STREAM[^>]*\shref\s*=", data):
        raise ReadError(
            "the VOTable has a DOCTYPE, entities or a remote stream",
            reason="unreadable",
            found="a reference outside the file",
            expected="a self-contained VOTable",
            action="Remove it; such references are not followed.",
        )
    import astropy.io.votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            votable = astropy.io.votable.parse(io.BytesIO(data), verify="ignore")
            tables = list(votable.iter_tables())
        except Exception as error:
            raise ReadError("is no readable VOTable", reason="unreadable", found=str(error)[:200]) from error
        for table in tables:
            columns = _votable_columns(table)
            if {"spectral", "flux"} <= set(columns):
                return _Table(columns, _Parameters(_parameters(votable, table)))
    found = "; ".join(", ".join(field.name for field in table.fields[:6]) or "no columns" for table in tables)
    raise ReadError(
        "no table of the VOTable is a spectrum",
        reason="no-spectrum",
        found=f"columns {found or 'none'}",
        expected="a spectral and a flux column, by utype, UCD or name (a list of datasets is none)",
    )


def _votable_columns(table: Any) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for field in table.fields:
        role = _role(field.utype or "", field.ucd or "", field.name or field.ID or "")
        if role is None or role in columns or field.datatype in ("char", "unicodeChar"):
            continue
        array = table.array[field.ID]
        values = np.ma.filled(array, np.nan) if array.dtype.kind == "f" else np.asarray(array)
        if values.dtype == object:  # one row of variable-length arrays
            values = np.concatenate([np.ma.filled(np.ma.asarray(cell, float), np.nan).reshape(-1) for cell in values])
        comment = str(field.description or "").lower()
        columns[role] = _Column(np.reshape(values, -1), str(field.unit or ""), (field.ucd or "").lower(), comment)
    return columns


def _parameters(votable: Any, table: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    resources = [param for resource in votable.resources for param in resource.params]
    for param in [*table.params, *_grouped(table.groups), *resources]:
        utype = re.sub(r"^(\w+:)?(spectrum|ssa|spec)?[.:]?", "", (param.utype or "").lower())
        key = _UTYPE_KEYWORDS.get(utype, (param.name or "").upper())
        value = param.value
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if key == "POS":
            place = np.ravel(np.asarray(value, object))
            if place.size == 2:
                values.setdefault("RA", place[0])
                values.setdefault("DEC", place[1])
        elif np.ndim(value) == 0:
            values.setdefault(key, "TF"[1 - int(value)] if isinstance(value, bool | np.bool_) else value)
    return values


def _grouped(groups: Any) -> Iterator[Any]:
    """The PARAMs in groups, at any depth."""
    for group in groups:
        for entry in group.entries:
            if hasattr(entry, "value"):
                yield entry
            elif hasattr(entry, "entries"):
                yield from _grouped([entry])


def _vacuum_or_air(table: _Table) -> tuple[NDArray[np.float64], Medium, slice]:
    """The wavelengths in ångström, their medium, and the order that makes them increase."""
    column = table.columns["spectral"]
    values = np.asarray(column.values, np.float64)
    unit = column.unit.strip()
    kind = unit.lower().replace(" ", "")
    if kind in _FREQUENCY or kind in _ENERGY:
        if not (values > 0).all():
            raise ReadError("frequencies are not positive", reason="bad-wavelength", found=f"{np.nanmin(values):g}")
        wave = _LIGHT / (values * _FREQUENCY[kind]) if kind in _FREQUENCY else _HC / (values * _ENERGY[kind])
        order = slice(None, None, -1 if wave.size > 1 and wave[0] > wave[-1] else 1)
        return increasing(wave[order]), "vacuum", order
    if not unit:
        raise ReadError(
            "the spectral column has no unit", reason="bad-keyword", found="none", expected="Angstrom, nm, m, Hz, eV, …"
        )
    wave = increasing(values * unit_in_angstrom(unit, "the spectral column"))
    return wave, _medium(column, table.header), slice(None)


def _medium(column: _Column, header: Header) -> Medium:
    said: dict[str, Medium] = {}
    if column.ucd.startswith("em.wl"):
        said[f"UCD {column.ucd}"] = "air" if "obs.atmos" in column.ucd else "vacuum"
    for word in ("air", "vacuum"):
        if re.search(rf"\b{word}\b", column.comment):
            said[f"comment '{column.comment}'"] = "air" if word == "air" else "vacuum"
    vacuum, text = header.get("VACUUM"), header.text("AIRORVAC").lower()
    if isinstance(vacuum, bool):
        said[f"VACUUM = {'T' if vacuum else 'F'}"] = "vacuum" if vacuum else "air"
    if text[:3] in ("air", "vac"):
        said[f"AIRORVAC = '{text}'"] = "air" if text[:3] == "air" else "vacuum"
    return agreed_medium(said, None)


def _ivar(table: _Table, order: slice, factor: float) -> NDArray[Any] | None:
    """The inverse variance of the flux times `factor`; None without one."""
    if "ivar" in table.columns:
        return np.asarray(table.columns["ivar"].values[order], np.float64) / factor**2
    return ivar_from_error(table.columns["error"].values[order] * factor) if "error" in table.columns else None


def _metadata(table: _Table, source: Source, medium: Medium, unit: str) -> Metadata:
    header = table.header
    exposure = header.number("TELAPSE", header.number("EXPTIME"))
    return Metadata(
        identifier=re.split(r"[/?#]", header.text("DS_IDPUB"))[-1] or source.stem,
        survey=header.text("COLLECT") or header.text("INSTRUME"),
        name=header.text("OBJECT") or header.text("TITLE"),
        ra=degrees(header.get("RA", ""), hours=True),
        dec=degrees(header.get("DEC", "")),
        mjd=middle_of_exposure(header, exposure),
        exposure=exposure if exposure > 0 else math.nan,
        snr=header.number("SNR"),
        survey_class=header.text("SRCCLASS"),
        medium=medium,
        velocity_frame=stated_frame(header, "unknown"),
        resolving_power=header.number("SPEC_RES"),
        flux_unit=unit,
    )
