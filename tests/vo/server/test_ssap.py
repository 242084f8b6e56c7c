"""Simple Spectral Access over HTTP: every parameter, metadata, overflow, errors; read by astropy and pyvo."""

from __future__ import annotations

import re
from pathlib import Path

import dal_sky
import numpy as np
import pytest
import pyvo
from astropy import units
from astropy.coordinates import SkyCoord
from dal_sky import ALPHA, CENTRE, ODD, Service, alpha_meta, message_of, status_of

GOLDEN = Path(__file__).parent / "golden"
META = {item.identifier: item for item in alpha_meta()}
TOTAL = ALPHA + 1


def names(dal: Service, **parameters: str) -> list[str]:
    """The identifiers of what is found."""
    table = dal.votable("alpha/ssa", REQUEST="queryData", **parameters).get_first_table()
    item = dal.published.by_name("alpha")
    assert item is not None
    return [str(item.publication.identifier(str(did))) for did in table.array["pubdid"]]


def test_without_parameters_all_spectra_are_found(dal: Service) -> None:
    assert sorted(names(dal)) == sorted([*META, "from-file"])


@pytest.mark.parametrize("size", [0.0, 0.3, 1.0, 4.0])
def test_size_is_a_diameter(dal: Service, size: float) -> None:
    centre = SkyCoord(*CENTRE, unit="deg")
    near = {
        name
        for name, meta in META.items()
        if np.isfinite(meta.ra) and SkyCoord(meta.ra, meta.dec, unit="deg").separation(centre).deg <= size / 2
    }
    found = names(dal, POS=f"{CENTRE[0]},{CENTRE[1]}", SIZE=str(size))
    assert set(found) == near | {"from-file"}
    assert found[0] == "from-file"  # the nearest first


def test_without_size_there_is_a_default(dal: Service) -> None:
    assert names(dal, POS="40,20") == names(dal, POS="40,20;ICRS", SIZE="0.2")


@pytest.mark.parametrize(
    ("parameters", "keep"),
    [
        ({"TIME": "2015"}, lambda m: 57023 <= m.mjd <= 57388),
        ({"TIME": "2015-01-01/2015-01-10"}, lambda m: 57023 - 0.006 <= m.mjd <= 57033.006),
        ({"TIME": "/2014-12-31"}, lambda m: m.mjd <= 57023),
        ({"TIME": "2015-10-01T00:00:00/"}, lambda m: m.mjd >= 57296),
        ({"SNR": "95"}, lambda m: m.snr >= 95),
        ({"SNR": "20/22"}, lambda m: 20 <= m.snr <= 22),
        ({"REDSHIFT": "0.0049/0.0071"}, lambda m: 0.0049 < m.redshift < 0.0071),
        ({"TARGETNAME": "star 8,STAR 9"}, lambda m: m.name in ("Star 8", "Star 9")),
        ({"TARGETCLASS": "qso"}, lambda m: m.survey_class == "QSO"),
        ({"SPECRP": "1000"}, lambda m: True),
        ({"SPECRP": "2000"}, lambda m: False),
        ({"COLLECTION": "alpha"}, lambda m: True),
        ({"COLLECTION": "no such"}, lambda m: False),
        ({"CREATORDID": "ivo://x"}, lambda m: False),
        ({"MTIME": "2000/2001"}, lambda m: False),
        ({"MTIME": "2001/"}, lambda m: True),
        ({"BAND": "6.5e-7"}, lambda m: True),
        ({"BAND": "6.95e-7/7e-7"}, lambda m: False),
        ({"BAND": "1e-7/2e-7,6.9e-7/"}, lambda m: True),
        ({"BAND": "6.5e-7/6.6e-7;observer"}, lambda m: True),
        (
            {"WAVECALIB": "absolute", "FLUXCALIB": "any", "APERTURE": "0.001", "SPATRES": "1", "COMPRESS": "false"},
            lambda m: True,
        ),
        ({"APERTURE": "0.0001"}, lambda m: False),
        ({"APERTURE": "0.0005/0.001"}, lambda m: True),
        ({"RUNID": "x", "nonsense": "ignored", "VERSION": "1.1", "request": ""}, lambda m: True),
        ({"TIME": "2015", "TARGETCLASS": "STAR"}, lambda m: 57023 <= m.mjd <= 57388 and m.survey_class == "STAR"),
    ],
)
def test_conditions(dal: Service, parameters: dict[str, str], keep: object) -> None:
    parameters = {key: value for key, value in parameters.items() if key != "request"}
    expected = {name for name, meta in META.items() if keep(meta)}  # type: ignore[operator]
    assert set(names(dal, **parameters)) - {"from-file"} == expected


def test_one_spectrum_by_its_identifier(dal: Service) -> None:
    assert names(dal, PUBDID=dal.did(ODD)) == [ODD]
    assert names(dal, PUBDID=dal.did(ODD).replace("ivo://example.org/alpha", "IVO://Example.org/ALPHA")) == [ODD]


def test_the_nearest_by_top(dal: Service) -> None:
    every = names(dal, POS="40,20", SIZE="4")
    assert names(dal, POS="40,20", SIZE="4", TOP="5") == every[:5]


def test_overflow_is_told(dal: Service) -> None:
    found = dal.votable("alpha/ssa", REQUEST="queryData", MAXREC="7")
    assert len(found.get_first_table().array) == 7
    assert status_of(found) == ["OK", "OVERFLOW"]
    assert status_of(dal.votable("alpha/ssa", REQUEST="queryData", MAXREC=str(TOTAL))) == ["OK"]
    assert len(dal.votable("alpha/ssa", MAXREC="0").get_first_table().array) == 0


def test_formats_choose_the_address_and_what_is_listed(dal: Service) -> None:
    def rows(text: str) -> tuple[int, set[str]]:
        table = dal.votable("alpha/ssa", FORMAT=text).get_first_table().array
        return len(table), {str(item) for item in table["mime"]}

    for text in ("all", "COMPLIANT", "fits", "application/fits", "image/jpeg,fits"):
        assert rows(text) == (TOTAL, {"application/fits"})
    for text in ("votable", "application/x-votable+xml", "xml,votable"):
        assert rows(text) == (TOTAL, {"application/x-votable+xml"})
    assert rows("graphic") == (TOTAL, {"image/png"})
    assert rows("native")[0] == 1  # the one whose source file is kept
    assert rows("xml") == rows("image/jpeg") == (0, set())


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W03")  # the standard's own names have a colon
def test_metadata_tells_inputs_and_outputs(dal: Service) -> None:
    resource = dal.votable("alpha/ssa", REQUEST="queryData", FORMAT="METADATA").resources[0]
    inputs = {param.name: param for param in resource.params if param.name.startswith("INPUT:")}
    outputs = {param.name.removeprefix("OUTPUT:") for param in resource.params if param.name.startswith("OUTPUT:")}
    assert {f"INPUT:{name}" for name in ("POS", "SIZE", "BAND", "TIME", "FORMAT", "MAXREC", "TOP")} <= set(inputs)
    assert "METADATA" in [item[1] for item in inputs["INPUT:FORMAT"].values.options]
    assert outputs == {field.name for field in resource.tables[0].fields}
    assert len(resource.tables[0].array) == 0


def test_what_the_standard_demands_is_there(dal: Service) -> None:
    resource = dal.votable("alpha/ssa", POS="40,20", SIZE="1").resources[0]
    utypes = {item.utype for item in [*resource.tables[0].fields, *resource.tables[0].params]}
    needed = (
        "Access.Reference", "Access.Format", "Access.Size", "Dataset.DataModel", "Dataset.Length", "DataID.Title",
        "Curation.Publisher", "Curation.PublisherDID", "CoordSys.SpaceFrame.Name", "Char.FluxAxis.Ucd",
        "Char.SpectralAxis.Ucd", "Char.SpatialAxis.Coverage.Location.Value", "Char.TimeAxis.Coverage.Location.Value",
        "Char.SpectralAxis.Coverage.Location.Value", "Char.SpectralAxis.Coverage.Bounds.Extent",
    )  # fmt: skip
    assert {f"ssa:{name}" for name in needed} <= utypes
    infos = {info.name: info for info in resource.infos}
    assert (infos["SERVICE_PROTOCOL"].value, infos["SERVICE_PROTOCOL"].content) == ("1.1", "SSAP")
    row = resource.tables[0].array[0]
    assert row["spec_start"] == pytest.approx(6309.573e-10, rel=1e-6)
    assert row["spec_mid"] == pytest.approx((row["spec_start"] + row["spec_stop"]) / 2)
    assert row["t_mid"] == 58000
    assert str(row["date_obs"]) == "2017-09-04"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"POS": "1"}, "POS: '1'"),
        ({"POS": "1,2,3"}, "POS: '1,2,3'"),
        ({"POS": "10,95"}, "from -90 to 90"),
        ({"POS": "10,20;GALACTIC"}, "ICRS"),
        ({"SIZE": "-1"}, "SIZE: '-1'"),
        ({"BAND": "V"}, "names of bands are not known"),
        ({"BAND": "2e-7/1e-7"}, "BAND: '2e-7/1e-7'"),
        ({"BAND": "5e-7;source"}, "not offered"),
        ({"TIME": "yesterday"}, "TIME: 'yesterday'"),
        ({"FORMAT": "jpeg2000"}, "FORMAT: 'jpeg2000'"),
        ({"MAXREC": "many"}, "MAXREC: 'many'"),
        ({"TOP": "0"}, "TOP: '0'"),
        ({"SNR": "x"}, "SNR: 'x'"),
        ({"FLUXCALIB": "x"}, "absolute, relative"),
        ({"REQUEST": "getData"}, "queryData"),
        ({"VERSION": "2.0"}, "VERSION: '2.0'"),
        ({"POS": ["1,2", "3,4"]}, "POS: given 2 times"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(dal: Service, parameters: dict[str, str], words: str) -> None:
    found = dal.votable("alpha/ssa", **parameters)
    assert status_of(found) == ["ERROR"]
    assert words in message_of(found)


def test_an_archive_that_is_not_there(dal: Service) -> None:
    for name in ("nosuch", "gems"):  # a catalogue has no spectra of its own
        assert "no such archive" in message_of(dal.votable(f"{name}/ssa"))


def test_by_post_as_by_get(dal: Service) -> None:
    query = {"REQUEST": "queryData", "POS": "40,20", "SIZE": "0.5"}
    one, two = dal.http.get("alpha/ssa", params=query), dal.http.post("alpha/ssa", data=query)
    assert one.content == two.content


def test_the_document_is_as_it_was_agreed(dal: Service) -> None:
    text = dal.http.get("alpha/ssa", params={"POS": "40,20", "SIZE": "0.01"}).text
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://localhost", text)
    text = re.sub(r'(utype="ssa:Curation.Date" value=)"[^"]*"', r'\1"DATE"', re.sub(r"\((20\d\d)\)", "(YEAR)", text))
    assert text == (GOLDEN / "ssa.xml").read_text(encoding="utf-8")


def test_pyvo_reads_every_property(dal: Service) -> None:
    result = pyvo.dal.SSAService(f"{dal.base}/alpha/ssa").search(
        pos=SkyCoord(*CENTRE, unit="deg"), diameter=0.01 * units.deg
    )
    (record,) = result
    assert (record.ra, record.dec) == CENTRE
    assert record.title == "Alpha Survey DR1 Filed"
    assert record.dateobs.isot.startswith("2017-09-04")
    assert record.instr == "Spectrograph"
    assert record.format == "application/fits"
    assert record.filesize > 0
    assert (
        record.getdataurl()
        == record.acref
        == f"{dal.base}/alpha/spectrum?ID=ivo%3A%2F%2Fexample.org%2Falpha%3Ffrom-file"
    )
    with pytest.raises(pyvo.dal.DALQueryError, match="BAND: 'V'"):
        pyvo.dal.SSAService(f"{dal.base}/alpha/ssa").search(BAND="V")


def test_odd_identifiers_survive_as_addresses(dal: Service) -> None:
    (record,) = pyvo.dal.SSAService(f"{dal.base}/alpha/ssa").search(PUBDID=dal.did(ODD))
    answer = dal_sky.httpx.get(record.getdataurl())
    assert answer.status_code == 200
    assert dal.did(ODD).encode() in answer.content
