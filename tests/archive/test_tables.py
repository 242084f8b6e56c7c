"""Which columns of a table are positions, motions and epochs, by UCD and by the names that catalogues use."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from emberline.archive.tables import (
    PositionColumns,
    TableColumn,
    arrow_table,
    columns_of,
    epochs_of,
    find_positions,
    positions_in,
    read_table,
)
from emberline.errors import ConfigError


def named(*names: str) -> list[TableColumn]:
    return [TableColumn(name) for name in names]


@pytest.mark.parametrize(
    "names",
    [
        ("ra", "dec"),
        ("RAJ2000", "DEJ2000"),
        ("_RA", "_DE"),
        ("RA_ICRS", "DE_ICRS"),
        ("obsra", "obsdec"),
        ("s_ra", "s_dec"),
        ("_RA2000", "_DEC2000"),
        ("RA (deg)", "Dec (deg)"),
    ],
)
def test_positions_are_found_by_their_usual_names(names: tuple[str, str]) -> None:
    found = find_positions(named("id", *names, "mag"))
    assert (found.ra, found.dec) == names


def test_a_ucd_counts_more_than_a_name_and_an_error_is_no_position() -> None:
    columns = [
        TableColumn("ra", ucd="stat.error;pos.eq.ra"),
        TableColumn("alpha_1", ucd="pos.eq.ra;meta.main"),
        TableColumn("delta_1", ucd="POS.EQ.DEC; META.MAIN"),
        TableColumn("e_pm", ucd="stat.error;pos.pm;pos.eq.ra"),
        TableColumn("mu_a", "arcsec/yr", "pos.pm;pos.eq.ra"),
        TableColumn("mu_d", "arcsec/yr", "pos.pm;pos.eq.dec"),
        TableColumn("t", "yr", "meta.ref;time.epoch"),
    ]
    assert find_positions(columns) == PositionColumns("alpha_1", "delta_1", "mu_a", "mu_d", "t", math.nan, 1000.0)


@pytest.mark.parametrize(
    ("column", "year"),
    [
        (TableColumn("RA_ICRS", description="Right ascension (ICRS) at Ep=2016.0"), 2016.0),
        (TableColumn("RA_ICRS", description="Right ascension in ICRS, Epoch=J1991.25"), 1991.25),
        (TableColumn("RAJ2000"), 2000.0),
        (TableColumn("ra"), math.nan),
    ],
)
def test_the_epoch_is_found_in_words(column: TableColumn, year: float) -> None:
    found = find_positions([column, *named("dec", "pmra", "pmdec")])
    assert found.year == year or (math.isnan(found.year) and math.isnan(year))
    assert found.moves == math.isfinite(year)
    assert find_positions([column, *named("dec", "epoch")], year=1950.0).epoch == ""


def test_motion_in_one_direction_alone_is_none() -> None:
    assert find_positions(named("ra", "dec", "pmra")).pmra == ""


def test_a_table_without_positions_is_refused_with_its_columns() -> None:
    with pytest.raises(ConfigError, match=r"no columns of positions.*Name, Vmag"):
        find_positions(named("Name", "Vmag"), where="list.csv")


def test_units_and_epochs_are_converted() -> None:
    table = pa.table({"a": [1.0, None], "d": [0.5, 0.5], "x": [0.001, 0.001], "y": [None, 1.0], "t": [2455197.5, 1.0]})
    where = PositionColumns("a", "d", "x", "y", "t", pm_scale=1000.0, ra_scale=math.degrees(1))
    found = positions_in(table, where)
    assert found.ra[0] == pytest.approx(57.29578)
    assert np.isnan(found.ra[1])
    assert found.pmra is not None
    assert found.pmra[0] == 1.0
    assert found.epoch is not None
    assert found.epoch[0] == pytest.approx(2010.0, abs=0.01)
    assert np.isnan(found.epoch[1]), "1 is no date"


@pytest.mark.parametrize(
    ("unit", "scale"),
    [("", 1.0), ("deg", 1.0), ("h", 15.0), ("hourangle", 15.0), ("rad", 57.29578), ("arcsec", 1 / 3600)],
)
def test_right_ascensions_may_have_another_unit_than_declinations(unit: str, scale: float) -> None:
    found = find_positions([TableColumn("RA", unit, "pos.eq.ra"), TableColumn("Dec", "deg", "pos.eq.dec")])
    assert found.ra_scale == pytest.approx(scale)
    assert found.dec_scale == 1.0


def test_a_unit_that_is_no_angle_is_refused() -> None:
    with pytest.raises(ConfigError, match="km"):
        find_positions([TableColumn("RA", "km"), TableColumn("Dec", "deg")])


@pytest.mark.parametrize(
    "columns",
    [
        [TableColumn("RAB1950", "deg", "pos.eq.ra;meta.main"), TableColumn("DEB1950", "deg", "pos.eq.dec;meta.main")],
        [
            TableColumn("ra", "deg", "", "(FK4, Equinox=B1950.0)"),
            TableColumn("dec", "deg", "", "(FK4)"),
        ],
        [TableColumn("RA1950", "deg", "pos.eq.ra"), TableColumn("DE1950", "deg", "pos.eq.dec")],
    ],
)
def test_positions_of_an_old_equinox_are_not_taken_for_those_of_today(columns: list[TableColumn]) -> None:
    with pytest.raises(ConfigError, match="equinox before J2000"):
        find_positions(columns)
    found = find_positions([*columns, TableColumn("_RAJ2000", "deg"), TableColumn("_DEJ2000", "deg")])
    assert (found.ra, found.dec) == ("_RAJ2000", "_DEJ2000")


def test_an_old_epoch_is_no_old_equinox() -> None:
    words = "Right ascension (J2000), Epoch=1950.0, proper motion applied"
    assert find_positions([TableColumn("RAJ2000", "deg", "", words), *named("DEJ2000")]).ra == "RAJ2000"


def test_a_votable_says_in_its_frame_that_its_positions_are_old(tmp_path: Path) -> None:
    (tmp_path / "old.vot").write_text(
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
        '<COOSYS ID="old" system="eq_FK4" equinox="B1950"/><TABLE>'
        '<FIELD name="ra" datatype="double" unit="deg" ref="old"/><FIELD name="dec" datatype="double" unit="deg" '
        'ref="old"/><DATA><TABLEDATA><TR><TD>10</TD><TD>20</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>'
    )
    with pytest.raises(ConfigError, match="equinox before J2000"):
        find_positions(columns_of(read_table(tmp_path / "old.vot").schema))


def test_dates_are_years_or_days() -> None:
    given = np.array([2016.0, 57388.5, 2457389.0, -9999.0, np.nan, 0.0])
    np.testing.assert_allclose(epochs_of(given), [2016.0, 2016.0, 2016.0, np.nan, np.nan, np.nan])


def test_sexagesimal_positions_are_refused_with_an_example(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("ra,dec\n12h30m,+10d\n")
    table = read_table(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="12h30m"):
        positions_in(table, find_positions(columns_of(table.schema)))


def test_what_the_file_says_of_its_columns_is_kept(tmp_path: Path) -> None:
    from astropy.io import fits

    columns = [fits.Column("RA", "D", unit="deg", array=[1.0]), fits.Column("flux", "3E", array=[[1, 2, 3]])]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TUCD1"] = "pos.eq.ra;meta.main"
    hdu.writeto(tmp_path / "t.fits")
    table = read_table(tmp_path / "t.fits")
    assert columns_of(table.schema) == (TableColumn("RA", "deg", "pos.eq.ra;meta.main"),), "arrays are left out"


def test_masked_values_are_null() -> None:
    from astropy.table import MaskedColumn, Table

    table = arrow_table(Table({"a": MaskedColumn([1, 2], mask=[True, False]), "b": [b"x", b"y"]}))
    assert table.to_pydict() == {"a": [None, 2], "b": ["x", "y"]}
