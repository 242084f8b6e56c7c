"""ObsCore: the columns that the standard demands, and values that agree with the archive."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import duckdb
import pytest
from publishing_sky import BASE, COUNT, SETTINGS

from emberline.archive import open_archive
from emberline.jobs import Workspace
from emberline.vo.server.obscore import BASE_VARIABLE, obscore_table
from emberline.vo.server.publication import publish
from emberline.vo.server.published import Published

MANDATORY = """
    dataproduct_type calib_level obs_collection obs_id obs_publisher_did access_url access_format access_estsize
    target_name s_ra s_dec s_fov s_region s_resolution s_xel1 s_xel2 t_min t_max t_exptime t_resolution t_xel
    em_min em_max em_res_power em_xel o_ucd pol_states pol_xel facility_name instrument_name
"""
UNITS = {
    "access_estsize": "kbyte", "s_ra": "deg", "s_dec": "deg", "s_fov": "deg", "s_resolution": "arcsec",
    "t_min": "d", "t_max": "d", "t_exptime": "s", "t_resolution": "s", "em_min": "m", "em_max": "m",
}  # fmt: skip


@pytest.fixture(scope="module")
def published(published_folder: Path) -> Published:
    return Published(Workspace(published_folder))


@pytest.fixture(scope="module")
def rows(published: Published) -> dict[str, dict[str, Any]]:
    table = obscore_table(published.archives, BASE)
    return {row["obs_id"]: row for row in duckdb.sql(table.select).to_arrow_table().to_pylist()}


def test_the_columns_are_those_of_the_standard(published: Published) -> None:
    table = obscore_table(published.archives, BASE)
    assert MANDATORY.split() == [column.name for column in table.columns][:30]
    for column in table.columns:
        assert column.utype.startswith("obscore:"), column.name
        assert column.ucd
        assert column.std
        assert column.unit == UNITS.get(column.name, ""), column.name
    assert table.by_name["s_region"].xtype == "adql:REGION"
    assert table.by_name["obs_publisher_did"].ucd == "meta.ref.ivoid"
    assert table.by_name["em_min"].utype == "obscore:Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit"
    assert table.utype == "ivo://ivoa.net/std/ObsCore#core-1.1"


def test_the_types_are_those_that_are_announced(published: Published) -> None:
    from emberline.vo.server.adql.tables import datatype_of

    table = obscore_table(published.archives, BASE)
    schema = duckdb.sql(table.select).limit(0).to_arrow_table().schema
    for column in table.columns:
        kind = column.datatype.replace("unicodeChar", "char")
        assert datatype_of(schema.field(column.name).type)[:2] == (kind, column.arraysize), column.name
    assert table.by_name["obs_id"].datatype == "unicodeChar"  # one of them has an é
    assert table.by_name["dataproduct_type"].datatype == "char"


def test_every_spectrum_has_a_row(rows: dict[str, dict[str, Any]]) -> None:
    assert len(rows) == COUNT


def test_the_values_agree_with_the_spectrum(published: Published, rows: dict[str, dict[str, Any]]) -> None:
    spectrum = open_archive(published.archives[0].folder).spectrum("spectrum-007")
    row, meta = rows["spectrum-007"], spectrum.meta
    assert (row["s_ra"], row["s_dec"]) == (meta.ra, meta.dec)
    assert row["em_min"] == pytest.approx(spectrum.wavelength[0] * 1e-10, rel=1e-12)
    assert row["em_max"] == pytest.approx(spectrum.wavelength[-1] * 1e-10, rel=1e-12)
    assert (row["t_min"] + row["t_max"]) / 2 == pytest.approx(meta.mjd)
    assert (row["t_max"] - row["t_min"]) * 86400 == pytest.approx(meta.exposure)
    assert row["em_xel"] == len(spectrum.wavelength)
    assert row["em_res_power"] == meta.resolving_power
    assert (row["facility_name"], row["instrument_name"]) == (SETTINGS["facility"], SETTINGS["instrument"])
    assert row["s_fov"] == pytest.approx(3 / 3600)
    shape, frame, ra, dec, radius = row["s_region"].split()
    assert (shape, frame) == ("Circle", "ICRS")
    assert (float(ra), float(dec)) == pytest.approx((meta.ra, meta.dec), abs=1e-6)
    assert float(radius) == pytest.approx(1.5 / 3600, rel=1e-3)


def test_what_is_not_known_is_null(rows: dict[str, dict[str, Any]]) -> None:
    lost = rows[f"spectrum-{COUNT - 1:03d}"]
    assert lost["s_ra"] is None
    assert lost["s_region"] is None
    still = rows["spectrum-040"]
    assert still["t_exptime"] is None
    assert still["t_min"] == still["t_max"] == 57040.0


def test_the_link_leads_to_the_dataset(published: Published, rows: dict[str, dict[str, Any]]) -> None:
    record = published.archives[0].publication
    for identifier, row in rows.items():
        assert row["obs_publisher_did"] == record.did(identifier)
        link = urllib.parse.urlsplit(row["access_url"])
        assert (link.scheme, link.netloc, link.path) == ("https", "example.org", "/vo/survey/datalink")
        assert urllib.parse.parse_qs(link.query) == {"ID": [record.did(identifier)]}
    assert rows["a/b c?d&é#"]["obs_publisher_did"] == "ivo://example.org/survey?a%2Fb%20c%3Fd%26%C3%A9%23"


def test_the_address_may_come_with_the_connection(published: Published) -> None:
    table = obscore_table(published.archives)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW o AS {table.select}")
        connection.execute("SET lock_configuration = true")
        connection.execute(f"SET VARIABLE {BASE_VARIABLE} = 'http://one.example/vo'")
        found = connection.sql("SELECT access_url FROM o LIMIT 1").fetchall()[0][0]
    assert found.startswith("http://one.example/vo/survey/datalink?ID=ivo%3A%2F%2F")


def test_several_archives_are_one_table(own: Path) -> None:
    from publishing_sky import make_archive

    make_archive(own / "extra", 10)
    publish(own / "survey", **SETTINGS)
    publish(own / "extra", **{**SETTINGS, "instrument": ""}, aperture_arcsec=10.0)
    published = Published(Workspace(own))
    table = obscore_table(published.archives, BASE)
    found = duckdb.sql(f"SELECT instrument_name, count(*) FROM ({table.select}) GROUP BY ALL ORDER BY 2").fetchall()
    assert found == [(None, 10), (SETTINGS["instrument"], COUNT)]
    assert table.rows == COUNT + 10
    assert table.regions[0].radius == pytest.approx(5 / 3600)


@pytest.mark.parametrize(
    "base", ["x'; DROP TABLE y --", "javascript:1", "http://a b/", "http://a'b/", "//x", "http://x/'"]
)
def test_an_address_that_is_none_is_refused(published: Published, base: str) -> None:
    with pytest.raises(ValueError, match="not an http address"):
        obscore_table(published.archives, base)
