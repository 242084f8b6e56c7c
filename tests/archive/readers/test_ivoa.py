"""Tables and VOTables in the IVOA Spectrum data model."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.table import Table
from spectrum_files import N, flux, packed, rejection

from emberline.archive.readers import Source, detect, find_sources, open_source, read
from emberline.spectra import Mask, air_to_vacuum

WAVE = 6500 + 0.25 * np.arange(N)
VALUE = "spec:Spectrum.Data.SpectralAxis.Value"
FLUX = "spec:Spectrum.Data.FluxAxis.Value"
ERROR = "spec:Spectrum.Data.FluxAxis.Accuracy.StatError"


TEXT = 'char" arraysize="*'
PARAMETERS = [
    (TEXT, "Curation.PublisherDID", "ivo://a/b?s17"),
    (TEXT, "Target.Name", "BT CMi"),
    ('double" arraysize="2', "Char.SpatialAxis.Coverage.Location.Value", "119.26 2.95"),
    (TEXT, "CoordSys.SpectralFrame.RefPos", "BARYCENTER"),
    ("double", "Char.TimeAxis.Coverage.Location.Value", "56000.5"),
]


def votable(
    wave: Any = WAVE, unit: str = "Angstrom", ucd: str = "em.wl", form: str = "tabledata", **extra: Any
) -> Source:
    """A VOTable as an SSA service gives it; further columns by name, parameters by PARAMS."""
    parameters = extra.pop("params", "")
    columns = {"x": wave, "y": extra.pop("flux", flux()), **extra}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy has opinions on units that services use
        file = from_table(Table(columns))
        fields = {field.name: field for field in file.get_first_table().fields}
        fields["x"].utype, fields["x"].ucd, fields["x"].unit = VALUE, ucd, unit or None
        fields["y"].utype, fields["y"].unit = FLUX, "Jy"
        if "e" in fields:
            fields["e"].utype = ERROR
        stream = io.BytesIO()
        file.to_xml(stream, tabledata_format=form)
    return Source("ssa.vot", stream.getvalue().replace(b"<FIELD", parameters.encode() + b"<FIELD", 1))


def table(units: str = "Angstrom", comment: str = "", vector: bool = False, **keywords: Any) -> Source:
    form = f"{N}D" if vector else "D"
    shape: Any = (lambda values: [values]) if vector else (lambda values: values)
    columns = [fits.Column("wave", form, unit=units or None, array=shape(WAVE))]
    columns += [
        fits.Column("flux", form, unit="Jy", array=shape(flux())),
        fits.Column("err", form, array=shape(np.full(N, 2.0))),
    ]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TTYPE1"] = ("wave", comment)
    for key, value in keywords.items():
        hdu.header[key] = value
    return packed([fits.PrimaryHDU(), hdu], "spectrum.fits")


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_votables_in_every_serialisation(form: str) -> None:
    params = "".join(
        f'<PARAM name="p{number}" datatype="{kind}" utype="spec:Spectrum.{utype}" value="{value}"/>'
        for number, (kind, utype, value) in enumerate(PARAMETERS)
    )
    source = votable(form=form, e=np.full(N, 0.5), params=params)
    assert detect(source).name == "ivoa"
    (spectrum,) = read(source)
    np.testing.assert_allclose(spectrum.flux, flux(), rtol=1e-6)
    np.testing.assert_allclose(spectrum.ivar, 4.0)
    np.testing.assert_allclose(spectrum.wavelength, WAVE)
    meta = spectrum.meta
    assert (meta.identifier, meta.name, meta.ra, meta.dec, meta.mjd) == ("s17", "BT CMi", 119.26, 2.95, 56000.5)
    assert (meta.medium, meta.velocity_frame, meta.ivar_source) == ("vacuum", "barycentric", "file")
    assert meta.flux_unit == "Jy"


@pytest.mark.parametrize(
    ("unit", "factor"), [("Angstrom", 1.0), ("nm", 0.1), ("m", 1e-10), ("um", 1e-4), ("0.1nm", 1.0)]
)
def test_units_of_wavelength(unit: str, factor: float) -> None:
    np.testing.assert_allclose(read(votable(WAVE * factor, unit))[0].wavelength, WAVE)
    (air,) = read(votable(WAVE * factor, unit, "em.wl;obs.atmos"))
    np.testing.assert_allclose(air.wavelength, air_to_vacuum(WAVE))
    assert air.meta.medium == "air"


@pytest.mark.parametrize(
    ("unit", "values"), [("Hz", 2.99792458e18 / WAVE), ("GHz", 2.99792458e9 / WAVE), ("eV", 12398.419843 / WAVE)]
)
def test_frequency_and_energy(unit: str, values: np.ndarray) -> None:
    """They decrease with wavelength: the arrays are turned round, errors too."""
    error = np.linspace(1, 2, N)
    for step in (1, -1):
        (spectrum,) = read(votable(values[::step], unit, "em.freq", e=error[::step], flux=flux()[::step]))
        np.testing.assert_allclose(spectrum.wavelength, WAVE, rtol=1e-9)
        np.testing.assert_allclose(spectrum.flux, flux(), rtol=1e-6)
        np.testing.assert_allclose(spectrum.ivar, 1 / error**2, rtol=1e-6)


@pytest.mark.parametrize("vector", [False, True])
def test_fits_tables_by_pixel_or_by_row(vector: bool) -> None:
    (spectrum,) = read(table(comment="Air wavelength", vector=vector, OBJECT="x", SPECSYS="HELIOCEN"))
    np.testing.assert_allclose(spectrum.wavelength, air_to_vacuum(WAVE))
    np.testing.assert_allclose(spectrum.ivar, 0.25)
    assert (spectrum.meta.name, spectrum.meta.velocity_frame) == ("x", "heliocentric")
    assert (spectrum.meta.identifier, spectrum.meta.flux_unit) == ("spectrum", "Jy")


def test_physical_flux_keeps_its_ivar_within_single_precision() -> None:
    (spectrum,) = read(votable(flux=flux().astype("f8") * 2e-17, e=np.full(N, 1e-20)))
    assert spectrum.meta.flux_unit == "10**-15 Jy"
    np.testing.assert_allclose(spectrum.flux, flux() / 50, rtol=1e-5)
    np.testing.assert_allclose(spectrum.ivar, 1e10, rtol=1e-5)


def test_quality_is_bad() -> None:
    (spectrum,) = read(votable(qual=(np.arange(N) == 7).astype("i2")))
    assert list(np.flatnonzero(spectrum.mask)) == [7]
    assert spectrum.mask[7] & Mask.BAD


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (votable(unit=""), "bad-keyword", "no unit"),
        (votable(unit="km/s"), "bad-keyword", "km / s"),
        (votable(WAVE[::-1]), "bad-wavelength", "increase"),
        (votable(np.repeat(WAVE[::2], 2)), "bad-wavelength", "increase"),
        (votable(unit="m"), "bad-wavelength", "unit may be wrong"),
        (votable(-WAVE, "Hz", "em.freq"), "bad-wavelength", "positive"),
        (votable(e=np.full(N, -1.0)), "bad-ivar", "negative"),
        (votable(flux=np.full(N, np.nan)), "bad-flux", "finite"),
        (table(), "wrong-frame", "neither air nor vacuum"),
        (table(comment="Air wavelength", VACUUM=True), "wrong-frame", "comment 'air wavelength' and VACUUM = T"),
        (table(TUCD1="em.wl", AIRORVAC="air"), "wrong-frame", "UCD em.wl and AIRORVAC = 'air'"),
        (table(units="", VACUUM=True), "bad-keyword", "no unit"),
        (Source("x.vot", b"<VOTABLE version='1.3'><RESOURCE><TABLE>"), "unreadable", "VOTable"),
        (Source("x.vot", b"<VOTABLE version='1.3'></VOTABLE>"), "no-spectrum", "no table"),
    ],
)  # fmt: skip
def test_rejections(source: Source, reason: str, words: str) -> None:
    error = rejection(source)
    assert error.reason == reason
    assert words in str(error)


@pytest.mark.parametrize(
    "evil",
    [
        b'<?xml version="1.0"?><!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]><VOTABLE>&x;</VOTABLE>',
        b'<!DOCTYPE v [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><VOTABLE>&b;</VOTABLE>',
        b'<VOTABLE><RESOURCE><TABLE><DATA><BINARY><STREAM href="http://x.example/"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>',
        b'<VOTABLE><v:STREAM\n encoding="a" HREF = "file:///etc/passwd"/></VOTABLE>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE v><VOTABLE></VOTABLE>'.encode("utf-16"),
    ],
)
def test_references_outside_the_file_are_not_followed(evil: bytes) -> None:
    error = rejection(Source("evil.xml", evil), "ivoa")
    assert error.reason in ("unreadable", "no-spectrum", "not-fits")
    assert "passwd" not in str(error)


@pytest.mark.data
def test_answers_of_services_are_no_spectra(data: Path) -> None:
    for locator in find_sources(data / "vo"):
        error = rejection(open_source(locator))
        assert error.reason == "no-spectrum"
        assert "spectral and a flux column" in str(error)
