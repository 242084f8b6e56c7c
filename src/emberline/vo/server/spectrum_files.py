"""Spectra as files in the IVOA Spectrum data model (https://www.ivoa.net/documents/SpectrumDM/), and as pictures."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from emberline import __version__
from emberline.vo.server._fits_cards import Card, header, padding, table_header
from emberline.vo.server._preview import png_preview, svg_preview
from emberline.vo.server._spectra import Shown, find, unit_of
from emberline.vo.server.adql.tables import Column
from emberline.vo.server.dali import Call, DaliError, Endpoint, address, plain_refusal, single, usage
from emberline.vo.server.database import Catalogues, catalogues_of
from emberline.vo.server.votable import Info, Limited, Param, TableDocument, write_votable

if TYPE_CHECKING:
    from emberline.vo.server.published import Published

__all__ = ["FORMATS", "SpectrumFormat", "routes", "spectrum_address", "spectrum_response"]


@dataclasses.dataclass(frozen=True)
class SpectrumFormat:
    """A format in which spectra leave.

    Attributes
    ----------
    name : str
        As FORMAT names it.
    media_type, extension : str
    media_types : tuple of str
        All that mean it, in lower case and without blanks.
    bytes_per_pixel, bytes_in_all : int
        About how long a file is.
    write : callable, optional
        None for the source file.
    """

    name: str
    media_type: str
    extension: str
    media_types: tuple[str, ...]
    bytes_per_pixel: int = 0
    bytes_in_all: int = 0
    write: Callable[[Shown], bytes] | None = None


# --- FITS ------------------------------------------------------------------------------------------------------------

_DTYPE = np.dtype([("wave", ">f8"), ("flux", ">f4"), ("err", ">f4"), ("mask", "u1")])
_SPECTRUM = "spec:Spectrum.Data."


def fits_bytes(shown: Shown) -> bytes:
    """One row a pixel: wave, flux, err, mask; utypes and UCDs say what they are."""
    rows = np.empty(shown.wavelength.size, _DTYPE)
    rows["wave"], rows["flux"], rows["err"], rows["mask"] = shown.wavelength, shown.flux, shown.error, shown.mask
    data = rows.tobytes()
    first = header(
        [
            ("SIMPLE", True, "FITS 4.0"),
            ("BITPIX", 8, ""),
            ("NAXIS", 0, "the spectrum is in the first extension"),
            ("EXTEND", True, ""),
            ("LONGSTRN", "OGIP 1.0", "CONTINUE cards are used"),
            ("ORIGIN", f"Emberline {__version__}", "program that wrote this file"),
        ]
    )
    unit = unit_of(shown.flux_unit, "fits") or "adu"
    comment = "" if shown.flux_unit else "in an arbitrary unit"
    columns: list[list[Card]] = [
        _column("wave", "D", "Angstrom", "em.wl", "SpectralAxis.Value", "wavelength in vacuum"),
        _column("flux", "E", unit, "phot.flux.density;em.wl", "FluxAxis.Value", comment),
        _column("err", "E", unit, "stat.error;phot.flux.density;em.wl", "FluxAxis.Accuracy.StatError", "1 sigma"),
        _column("mask", "B", "", "meta.code.qual", "FluxAxis.Accuracy.QualityStatus", "0 is good"),
    ]
    return first + table_header(_DTYPE.itemsize, len(rows), columns, _cards(shown)) + data + padding(len(data))


def _column(name: str, form: str, unit: str, ucd: str, utype: str, comment: str) -> list[Card]:
    cards: list[Card] = [("TTYPE", name, comment), ("TFORM", form, "")]
    if unit:
        cards.append(("TUNIT", unit, ""))
    return [*cards, ("TUCD", ucd, ""), ("TUTYP", _SPECTRUM + utype, "")]


def _cards(shown: Shown) -> list[Card]:
    """What the Spectrum data model says of a spectrum, by its keywords for FITS."""
    row, publication = shown.row, shown.item.publication
    mjd, exposure = _known(row["mjd"]), _known(row["exposure"])
    low, high = float(shown.edges[0]), float(shown.edges[-1])
    cards: list[Card] = [
        ("EXTNAME", "SPECTRUM", ""),
        ("VOCLASS", "SPECTRUM 1.1", "IVOA data model"),
        ("VOPUB", publication.publisher, "publisher"),
        ("DS_IDPUB", shown.did, "publisher's dataset identifier"),
        ("TITLE", shown.title, ""),
        ("OBJECT", row["name"] or row["object"], "target"),
        ("COLLECT", row["survey"], "survey"),
        ("INSTRUME", publication.instrument, ""),
        ("RADESYS", "ICRS", ""),
        ("RA", _known(row["ra"]), "[deg] ICRS"),
        ("DEC", _known(row["dec"]), "[deg] ICRS"),
        ("APERTURE", publication.aperture_arcsec / 3600, "[deg] diameter of the fibre or slit"),
        ("TIMESYS", "UTC", ""),
        ("MJD-AVG", mjd, "[d] middle of the exposure"),
        ("TMID", mjd, "[d] MJD"),
        ("EXPTIME", exposure, "[s]"),
        ("TELAPSE", exposure, "[s]"),
        ("SPEC_VAL", (low + high) / 2, "[Angstrom] middle of the range"),
        ("SPEC_BW", high - low, "[Angstrom] width of the range"),
        ("SPEC_RES", _known(row["resolving_power"]), "wavelength / FWHM"),
        ("SPECSYS", _FRAMES.get(row["velocity_frame"], ""), "velocity frame"),
        ("AIRORVAC", "vac", "all wavelengths are in vacuum"),
        ("SNR", _known(row["snr"]), "median per pixel, as the survey states it"),
        ("SRCCLASS", row["survey_class"], "class that the survey gave"),
        ("REDSHIFT", _known(row["redshift"]), "that the survey gave"),
        ("VOREF", publication.bibcode or publication.doi, "article or data to cite"),
        ("VORIGHTS", publication.rights, ""),
        ("DATAVERS", publication.version, "version of the publication"),
    ]
    if shown.recipe is not None:
        cards += [
            ("RECIPE", shown.recipe.name, "processed: rectified, resampled, scaled"),
            ("RECHASH", shown.recipe.hash, "all that changes a number"),
        ]
    return [card for card in cards if card[1] != ""]


_FRAMES = {"barycentric": "BARYCENT", "heliocentric": "HELIOCEN", "topocentric": "TOPOCENT"}


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)


# --- VOTable ---------------------------------------------------------------------------------------------------------


def votable_bytes(shown: Shown) -> bytes:
    """The same table as a VOTable."""
    unit = shown.flux_unit
    columns = (
        Column(
            "wave", "double", unit="Angstrom", ucd="em.wl", utype=f"{_SPECTRUM}SpectralAxis.Value",
            description="Wavelength in vacuum",
        ),
        Column(
            "flux", "float", unit=unit, ucd="phot.flux.density;em.wl", utype=f"{_SPECTRUM}FluxAxis.Value",
            description="Flux" if unit else "Flux in an arbitrary unit",
        ),
        Column(
            "err", "float", unit=unit, ucd="stat.error;phot.flux.density;em.wl",
            utype=f"{_SPECTRUM}FluxAxis.Accuracy.StatError", description="One standard deviation of the flux",
        ),
        Column(
            "mask", "unsignedByte", ucd="meta.code.qual", utype=f"{_SPECTRUM}FluxAxis.Accuracy.QualityStatus",
            description="0 where the pixel may be trusted",
        ),
    )  # fmt: skip
    batch = pa.RecordBatch.from_arrays(
        [pa.array(values) for values in (shown.wavelength, shown.flux, shown.error, shown.mask)],
        names=[column.name for column in columns],
    )
    document = TableDocument(
        columns,
        name="spectrum",
        utype="spec:Spectrum",
        description=shown.title,
        infos=(Info("publisher", shown.item.publication.publisher), Info("citation", shown.item.publication.citation)),
        constants=tuple(_params(shown)),
    )
    return b"".join(write_votable(document, Limited([batch], None)))


def _params(shown: Shown) -> Iterator[Param]:
    row, publication = shown.row, shown.item.publication
    low, high = float(shown.edges[0]), float(shown.edges[-1])
    place = [row["ra"], row["dec"]]
    texts = {
        "DataModel": "Spectrum-1.1",
        "Type": "Spectrum",
        "DataID.Title": shown.title,
        "DataID.Collection": row["survey"],
        "DataID.Instrument": publication.instrument,
        "Curation.Publisher": publication.publisher,
        "Curation.PublisherDID": shown.did,
        "Curation.Rights": publication.rights,
        "Curation.Reference": publication.bibcode or publication.doi or publication.reference_url,
        "Target.Name": row["name"] or row["object"],
        "Target.Class": row["survey_class"],
        "CoordSys.SpaceFrame.Name": "ICRS",
        "CoordSys.SpectralFrame.RefPos": _FRAMES.get(row["velocity_frame"], ""),
        "Char.SpectralAxis.Ucd": "em.wl",
        "Char.FluxAxis.Ucd": "phot.flux.density;em.wl",
    }
    numbers = {
        "Char.TimeAxis.Coverage.Location.Value": (row["mjd"], "d", "time.epoch"),
        "Char.TimeAxis.Coverage.Bounds.Extent": (row["exposure"], "s", "time.duration"),
        "Char.SpectralAxis.Coverage.Location.Value": ((low + high) / 2, "Angstrom", "instr.bandpass"),
        "Char.SpectralAxis.Coverage.Bounds.Extent": (high - low, "Angstrom", "instr.bandwidth"),
        "Char.SpectralAxis.ResPower": (row["resolving_power"], "", "spect.resolution"),
        "Derived.SNR": (row["snr"], "", "stat.snr"),
        "Derived.Redshift.Value": (row["redshift"], "", "src.redshift"),
    }
    for utype, text in texts.items():
        if text:
            kind = "char" if text.isascii() else "unicodeChar"
            yield Param(_name(utype), text, kind, utype=f"spec:Spectrum.{utype}")
    if None not in place:
        pair = " ".join(repr(float(value)) for value in place)
        for utype, ucd in (("Target.Pos", "pos.eq;src"), ("Char.SpatialAxis.Coverage.Location.Value", "pos.eq")):
            yield Param(_name(utype), pair, "double", "2", "deg", ucd, f"spec:Spectrum.{utype}")
    for utype, (value, unit, ucd) in numbers.items():
        if value is not None:
            yield Param(_name(utype), repr(float(value)), "double", "", unit, ucd, f"spec:Spectrum.{utype}")
    if shown.recipe is not None:
        yield Param("Recipe", shown.recipe.name, description=f"Processed by this recipe, {shown.recipe.hash}")


def _name(utype: str) -> str:
    return utype.replace(".", "_")


# --- CSV -------------------------------------------------------------------------------------------------------------


def csv_bytes(shown: Shown) -> bytes:
    """The same columns as comma-separated values."""
    import io

    import pyarrow.csv

    table = pa.table({"wave": shown.wavelength, "flux": shown.flux, "err": shown.error, "mask": shown.mask})
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink, pyarrow.csv.WriteOptions(quoting_style="none"))
    return sink.getvalue()


FORMATS: dict[str, SpectrumFormat] = {
    item.name: item
    for item in (
        SpectrumFormat(
            "fits", "application/fits", "fits", ("application/fits", "image/fits", "spectrum/fits", "fits"),
            _DTYPE.itemsize, 11_520, fits_bytes,
        ),
        SpectrumFormat(
            "votable", "application/x-votable+xml", "vot",
            ("application/x-votable+xml", "text/xml", "spectrum/votable", "application/x-votable", "votable"),
            80, 4_000, votable_bytes,
        ),
        SpectrumFormat("csv", "text/csv", "csv", ("text/csv", "csv"), 45, 0, csv_bytes),
        SpectrumFormat("png", "image/png", "png", ("image/png", "png"), 0, 20_000, png_preview),
        SpectrumFormat("svg", "image/svg+xml", "svg", ("image/svg+xml", "svg"), 0, 12_000, svg_preview),
        SpectrumFormat("native", "application/octet-stream", "", ("native",), 12, 5_760),
    )
}  # fmt: skip
"""By the word for FORMAT."""


def format_of(text: str, name: str = "FORMAT") -> SpectrumFormat:
    """The format that a word or a media type means."""
    key = re.sub(r"\s+", "", text).lower().partition(";")[0]
    for item in FORMATS.values():
        if key == item.name or key in item.media_types:
            return item
    raise usage(name, text, ", ".join(FORMATS))


def spectrum_address(base: str, name: str, form: SpectrumFormat, did: str = "") -> str:
    """Where a spectrum is; without `did` the identifier is still to be appended, encoded."""
    return (
        address(base, name, "spectrum")
        + ("?ID=" if form.name == "fits" else f"?FORMAT={form.name}&ID=")
        + _encoded(did)
    )


@functools.lru_cache(maxsize=1024)
def _encoded(text: str) -> str:
    import urllib.parse

    return urllib.parse.quote(text, safe="")


def file_name(shown: Shown, extension: str) -> str:
    """A name for saving: of the identifier what every file system takes."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", shown.row["identifier"]).strip("._")[:100] or "spectrum"
    return f"{stem}.{extension}"


def spectrum_response(shown: Shown, form: SpectrumFormat, media_type: str = "") -> Response:
    """A spectrum in one of the formats that are written here."""
    assert form.write is not None
    headers = {
        "Content-Disposition": f'inline; filename="{file_name(shown, form.extension)}"',
        "Cache-Control": "public, max-age=3600",
    }
    return Response(form.write(shown), media_type=media_type or form.media_type, headers=headers)


# --- the route -------------------------------------------------------------------------------------------------------


def routes(published: Published) -> list[BaseRoute]:
    """The route of the files: ``/<name>/spectrum?ID=…&FORMAT=…``."""
    service = _Files(published, catalogues_of(published))
    endpoint = Endpoint(service.answer, plain_refusal)
    return [Route("/{name}/spectrum", endpoint.answer, methods=["GET", "HEAD", "POST"])]


@dataclasses.dataclass(frozen=True)
class _Files:
    published: Published
    catalogues: Catalogues

    def answer(self, call: Call) -> Response:
        """One spectrum in one format."""
        identifier = single(call.parameters, "ID")
        if identifier is None:
            raise DaliError("ID: is missing (expected the IVOA dataset identifier of a spectrum)")
        form = format_of(single(call.parameters, "FORMAT") or "fits")
        found = find(self.published, self.catalogues, call.name, identifier)
        if found is None:
            raise DaliError(f"ID: there is no spectrum {identifier[:100]!r} here", 404, "NotFoundFault")
        if form.write is not None:
            return spectrum_response(Shown.of(*found), form)
        path = self.catalogues.source(found[0], found[1]["identifier"])
        if path is None:
            raise DaliError("The file that the spectrum was read from is not kept here.", 404, "NotFoundFault")
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)
