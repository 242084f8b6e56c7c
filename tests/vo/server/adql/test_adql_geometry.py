"""Geometry of queries against astropy: every region finds what separations say, at poles and across zero too."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import adql_sky
import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emberline.vo.server.adql import AdqlError, Position, Runner, Table, _sphere, translate
from emberline.vo.server.adql.tables import TableSet

STARS = adql_sky.catalogue()
RA, DEC = STARS["ra"].to_numpy(), STARS["dec"].to_numpy()
SKY = SkyCoord(RA, DEC, unit="deg")
RIM = 1e-9
"""Degrees; nearer to the rim of a region, rounding may decide."""


def ids(runner: Runner, condition: str, uploads: Sequence[Table] = ()) -> NDArray[np.int64]:
    with runner.run(f"SELECT id FROM sky.stars WHERE {condition}", uploads=uploads) as result:
        return np.sort(result.read_all()["id"].to_numpy())


def agree(found: NDArray[np.int64], excess: NDArray[np.float64]) -> None:
    """`excess` is negative inside: all that is clearly inside is found, nothing that is clearly outside."""
    inside = set(found.tolist())
    assert set(np.flatnonzero(excess < -RIM).tolist()) <= inside
    assert inside <= set(np.flatnonzero(excess <= RIM).tolist())


def separations(ra: float, dec: float) -> NDArray[np.float64]:
    return np.asarray(SKY.separation(SkyCoord(ra, dec, unit="deg")).deg)


centres = st.one_of(
    st.tuples(st.floats(0, 360), st.floats(-90, 90)),
    st.tuples(
        st.sampled_from([0.0, 359.9999999, 360.0, 45.0, 90.0, 135.0]),
        st.sampled_from([90.0, -90.0, 0.0, 41.81, -41.81]),
    ),
    st.integers(0, adql_sky.ROWS - 1).map(lambda row: (float(RA[row]), float(DEC[row]))),
)
radii = st.one_of(st.floats(1e-6, 5), st.floats(5, 180), st.sampled_from([0.0, 1e-8, 59.99, 60.01, 90.0, 180.0]))


@settings(max_examples=60, deadline=None)
@given(centres, radii)
def test_a_cone_finds_what_is_within_its_radius(runner: Runner, centre: tuple[float, float], radius: float) -> None:
    circle = f"CIRCLE({centre[0]!r}, {centre[1]!r}, {radius!r})"
    excess = separations(*centre) - radius
    agree(ids(runner, f"1 = CONTAINS(POINT('ICRS', ra, dec), {circle})"), excess)
    agree(ids(runner, f"DISTANCE(POINT(ra, dec), POINT({centre[0]!r}, {centre[1]!r})) <= {radius!r}"), excess)


@settings(max_examples=15, deadline=None)
@given(centres)
def test_the_distance_is_the_separation(runner: Runner, centre: tuple[float, float]) -> None:
    query = f"SELECT id, DISTANCE(ra, dec, {centre[0]!r}, {centre[1]!r}) AS d FROM sky.stars ORDER BY id"
    found = runner.run(query).read_all()["d"].to_numpy()
    expected = separations(*centre)
    assert np.abs(found - expected).max() < 1e-12 * 180
    assert np.allclose(found[expected > 1e-6], expected[expected > 1e-6], rtol=1e-8)


@pytest.mark.parametrize("distance", [1e-9, 1e-7, 1e-5, 1e-3, 1.0, 90.0, 179.0, 179.9999999])
@pytest.mark.parametrize("dec", [0.0, 60.0, 89.9999, -89.9999])
def test_tiny_and_large_separations_keep_their_digits(runner: Runner, distance: float, dec: float) -> None:
    end = SkyCoord(10.0, dec, unit="deg").directional_offset_by(33.0 * units.deg, distance * units.deg)
    query = f"SELECT DISTANCE(10, {dec!r}, {float(end.ra.deg)!r}, {float(end.dec.deg)!r}) AS d"
    found = runner.run(query).read_all()["d"][0].as_py()
    expected = SkyCoord(10.0, dec, unit="deg").separation(end).deg
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-13)


@settings(max_examples=40, deadline=None)
@given(centres, st.floats(0.01, 100), st.integers(3, 12), st.integers(0, 1000), st.booleans())
def test_a_convex_polygon_is_the_common_part_of_half_spheres(
    runner: Runner, centre: tuple[float, float], radius: float, corners: int, seed: int, turned: bool
) -> None:
    radius = min(radius, 80.0)
    angles = np.sort(np.random.default_rng(seed).uniform(0, 360, corners))
    if np.max(np.diff(np.r_[angles, angles[0] + 360])) > 170:
        angles = np.linspace(0, 360, corners, endpoint=False) + seed
    middle = SkyCoord(*centre, unit="deg")
    rim = middle.directional_offset_by(angles * units.deg, radius * units.deg)
    vertices = np.stack([rim.ra.deg, rim.dec.deg], axis=1)[:: -1 if turned else 1]
    written = ", ".join(repr(float(number)) for number in vertices.ravel())
    found = ids(runner, f"1 = CONTAINS(POINT(ra, dec), POLYGON({written}))")
    xyz = SKY.cartesian.xyz.value.T
    ends = rim.cartesian.xyz.value.T
    normals = np.cross(np.roll(ends, -1, axis=0), ends)
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    excess = np.degrees(np.arcsin(np.clip(-(xyz @ normals.T), -1, 1))).max(axis=1)
    agree(found, excess)


def test_a_polygon_may_be_hollow_and_hold_a_pole(runner: Runner) -> None:
    """A star with five points about the North Pole, seen from above: polar angles tell what is inside."""
    longitude = np.arange(10) * 36.0
    latitude = np.where(np.arange(10) % 2, 88.0, 84.0)
    written = ", ".join(f"{a}, {b}" for a, b in zip(longitude, latitude, strict=True))
    found = ids(runner, f"1 = CONTAINS(POINT(ra, dec), POLYGON({written}))")
    assert set(np.flatnonzero(DEC > 88.0)) <= set(found.tolist())
    assert DEC[found].min() > 84.0 - 1e-9
    ridge = np.flatnonzero((np.abs((RA + 36) % 72 - 36) < 1e-3 * 36) & (DEC > 84.1))
    assert set(ridge.tolist()) <= set(found.tolist())
    valley = np.flatnonzero((np.abs(RA % 72 - 36) < 1.0) & (DEC < 87.5))
    assert valley.size
    assert not set(valley.tolist()) & set(found.tolist())


@pytest.mark.parametrize("box", [(10, 0, 3, 2), (0, 0, 3, 2), (120, 88, 4, 4), (0, 90, 5, 3), (200, -60, 30, 20)])
def test_a_box_ends_at_right_angles_to_its_cross(runner: Runner, box: tuple[float, ...]) -> None:
    ra, dec, width, height = box
    found = ids(runner, f"1 = CONTAINS(POINT(ra, dec), BOX({ra}, {dec}, {width}, {height}))")
    frame = SKY.transform_to(SkyCoord(ra, dec, unit="deg").skyoffset_frame())
    x, y, z = frame.cartesian.xyz.value
    excess = np.maximum(
        np.abs(np.degrees(np.arctan2(y, x))) - width / 2, np.abs(np.degrees(np.arctan2(z, x))) - height / 2
    )
    agree(found, excess)
    assert found.size


def test_regions_of_rows_intersect_regions(runner: Runner) -> None:
    found = ids(runner, "1 = INTERSECTS(s_region, CIRCLE(1, 1, 0.5))")
    agree(found, separations(1, 1) - 0.55)
    found = ids(runner, "1 = CONTAINS(s_region, CIRCLE(1, 1, 0.5))")
    agree(found, separations(1, 1) - 0.45)
    found = ids(runner, "1 = CONTAINS(POINT(1, 1), s_region)")
    agree(found, separations(1, 1) - 0.05)
    inside = ids(runner, "1 = CONTAINS(POINT(ra, dec), BOX(0, 0, 2, 2))")
    wider = ids(runner, "1 = INTERSECTS(s_region, BOX(0, 0, 2, 2))")
    narrower = ids(runner, "1 = CONTAINS(s_region, BOX(0, 0, 2, 2))")
    assert set(narrower.tolist()) < set(inside.tolist()) < set(wider.tolist())
    edge = np.maximum(np.abs((RA + 180) % 360 - 180), np.abs(DEC))
    rim = set(np.flatnonzero(np.abs(edge - 1) < 0.0499).tolist())
    assert rim <= set(wider.tolist())
    assert not rim & set(narrower.tolist())


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("AREA(CIRCLE(10, 20, 0.001))", math.pi * 1e-6),
        ("AREA(CIRCLE(10, 20, 180))", 41252.96124941928),
        ("AREA(POLYGON(0, 0, 90, 0, 0, 90))", 41252.96124941928 / 8),
        ("AREA(POLYGON(0, 60, 120, 60, 240, 60))", None),
        ("AREA(BOX(10, 20, 0.01, 0.02))", 2e-4),
        ("COORD1(POINT(10, 20))", 10),
        ("COORD2(CENTROID(CIRCLE(10, 20, 1)))", 20),
        ("COORD2(CENTROID(BOX(10, 20, 1, 1)))", 20),
        ("CONTAINS(POINT(1, 1), CIRCLE(1, 1, 0))", 1),
        ("CONTAINS(CIRCLE(1, 1, 1), CIRCLE(1, 1, 0.5))", 0),
        ("CONTAINS(BOX(1, 1, 1, 1), CIRCLE(1, 1, 0.8))", 1),
        ("INTERSECTS(CIRCLE(1, 1, 1), CIRCLE(3, 1, 1.001))", 1),
        ("INTERSECTS(BOX(1, 1, 1, 1), CIRCLE(2, 1, 0.501))", 1),
        ("INTERSECTS(BOX(1, 1, 1, 1), CIRCLE(2, 1, 0.499))", 0),
        ("COORDSYS(POINT(1, 2))", "ICRS"),
    ],
)
def test_functions_of_regions(runner: Runner, expression: str, value: float | str | None) -> None:
    found = runner.run(f"SELECT {expression} AS x").read_all()["x"][0].as_py()
    if value is None:
        value = math.degrees(math.degrees(_sphere.outline([(0, 60), (120, 60), (240, 60)]).area))  # type: ignore[union-attr]
        assert 0 < value < 2 * math.pi * (1 - math.sin(math.radians(60))) * 3283
    assert found == (pytest.approx(value, rel=1e-6) if isinstance(value, (int, float)) else value)


@settings(max_examples=80, deadline=None)
@given(centres, st.floats(1e-7, 10), st.floats(0, 360), st.floats(0, 1))
def test_cells_and_their_neighbours_hold_all_that_is_near(
    centre: tuple[float, float], radius: float, angle: float, part: float
) -> None:
    there = SkyCoord(*centre, unit="deg").directional_offset_by(angle * units.deg, radius * part * units.deg)
    depth = _sphere.join_depth(radius)
    around = _sphere.cells_around(np.array([centre[0] % 360]), np.array([centre[1]]), depth)
    cell = _sphere.cell_of(np.array([float(there.ra.deg)]), np.array([float(there.dec.deg)]), depth)
    assert cell[0] in around[0]


def test_cells_reach_as_far_as_joins_need_all_over_the_sky() -> None:
    """At every depth that joins use, also where cells are most distorted."""
    rng = np.random.default_rng(5)
    ra, dec = adql_sky.positions(30_000, 7)
    dec[::3] = np.clip(rng.choice([41.8103, -41.8103], dec[::3].size) + rng.normal(0, 0.5, dec[::3].size), -90, 90)
    for radius in (9.9, 5.0, 1.0, 0.01):
        depth = _sphere.join_depth(radius)
        there = SkyCoord(ra, dec, unit="deg").directional_offset_by(
            rng.uniform(0, 360, ra.size) * units.deg, radius * units.deg
        )
        around = _sphere.cells_around(ra, dec, depth)
        cells = _sphere.cell_of(there.ra.deg, there.dec.deg, depth)
        assert (around == cells[:, None]).any(axis=1).all()


PAIRS = "SELECT m.n, s.id FROM {} ORDER BY 1, 2"
NEAR = "DISTANCE(m.ra, m.dec, s.ra, s.dec) < {0}"
IN = "1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(m.ra, m.dec, {0}))"


@functools.cache
def separations_of_uploaded() -> NDArray[np.float64]:
    """Of each uploaded position from each star."""
    data = adql_sky.upload().data
    assert data is not None
    theirs = SkyCoord(data["ra"].to_numpy(), data["dec"].to_numpy(), unit="deg")
    return np.asarray(theirs[:, None].separation(SKY[None, :]).deg)


@pytest.mark.parametrize("condition", [NEAR, IN])
@pytest.mark.parametrize("radius", [2 / 3600, 0.1, 3.0])
@pytest.mark.parametrize(
    "tables",
    [
        "tap_upload.mine AS m JOIN sky.stars AS s ON {}",
        "sky.stars AS s JOIN tap_upload.mine AS m ON {}",
        "sky.stars AS s, tap_upload.mine AS m WHERE {}",
        "tap_upload.mine AS m LEFT JOIN sky.stars AS s ON {}",
        "sky.stars AS s RIGHT OUTER JOIN tap_upload.mine AS m ON {}",
    ],
)
def test_a_join_by_position_finds_all_pairs(runner: Runner, condition: str, radius: float, tables: str) -> None:
    mine = adql_sky.upload()
    query = PAIRS.format(tables.format(condition.format(repr(radius))))
    schema = TableSet((*runner.schema.tables, mine))
    assert "adql_cells" in translate(query, schema).sql
    found = runner.run(query, uploads=[mine]).read_all()
    pairs = set(zip(found["n"].to_pylist(), found["id"].to_pylist(), strict=True))
    assert len(pairs) == found.num_rows
    distance = separations_of_uploaded()
    expected = {(int(n), int(row)) for n, row in zip(*np.nonzero(distance < radius), strict=True)}
    if "LEFT" in tables or "RIGHT" in tables:
        expected |= {(int(n), None) for n in np.flatnonzero((distance >= radius).all(axis=1))}
    assert pairs == expected


def test_a_large_table_keeps_its_rows_when_a_small_one_is_joined_to_it(runner: Runner) -> None:
    query = (
        "SELECT s.id, m.n FROM sky.stars AS s LEFT JOIN tap_upload.mine AS m ON DISTANCE(m.ra, m.dec, s.ra, s.dec) < 1"
    )
    mine = adql_sky.upload()
    sql = translate(query, TableSet((*runner.schema.tables, mine))).sql
    assert "adql_cells" in sql
    assert "DISTINCT" not in sql
    found = runner.run(query, uploads=[mine]).read_all()
    pairs = set(zip(found["n"].to_pylist(), found["id"].to_pylist(), strict=True))
    distance = separations_of_uploaded()
    expected = {(int(n), int(row)) for n, row in zip(*np.nonzero(distance < 1), strict=True)}
    alone = {(None, int(row)) for row in np.flatnonzero((distance >= 1).all(axis=0))}
    assert pairs == expected | alone
    assert len(pairs) == found.num_rows


def test_a_join_without_healpix_and_one_with_itself(runner: Runner) -> None:
    mine = adql_sky.upload()
    plain = Table("tap_upload.plain", mine.columns, data=mine.data, position=Position("ra", "dec"))
    query = (
        "SELECT count(*) AS c FROM tap_upload.mine AS a JOIN tap_upload.{} AS b ON DISTANCE(a.ra,a.dec,b.ra,b.dec) < 1"
    )
    one = runner.run(query.format("plain"), uploads=[mine, plain]).read_all()["c"][0].as_py()
    other = runner.run(query.format("mine"), uploads=[mine]).read_all()["c"][0].as_py()
    assert mine.data is not None
    theirs = SkyCoord(mine.data["ra"].to_numpy(), mine.data["dec"].to_numpy(), unit="deg")
    assert one == other == int((theirs[:, None].separation(theirs[None, :]).deg < 1).sum())


def test_positions_without_a_place_are_in_no_region(runner: Runner) -> None:
    import pyarrow as pa

    odd = pa.table({"n": [1, 2, 3, 4], "ra": [math.inf, math.nan, None, 1.0], "dec": [1.0, 2.0, 3.0, 1.0]})
    uploads = [Table.of_arrow("tap_upload.mine", odd, position=Position("ra", "dec"))]
    for condition in (
        "1 = CONTAINS(POINT(ra, dec), CIRCLE(1, 1, 90))",
        "1 = CONTAINS(POINT(ra, dec), BOX(1, 1, 90, 90))",
        "DISTANCE(ra, dec, 1, 1) < 90",
    ):
        found = runner.run(f"SELECT n FROM tap_upload.mine WHERE {condition}", uploads=uploads).read_all()
        assert found["n"].to_pylist() == [4]
    joined = runner.run(
        "SELECT m.n FROM tap_upload.mine AS m JOIN sky.stars AS s ON DISTANCE(m.ra, m.dec, s.ra, s.dec) < 5",
        uploads=uploads,
    ).read_all()
    assert set(joined["n"].to_pylist()) == {4}


def test_only_row_groups_near_the_cone_are_compared(sky: TableSet) -> None:
    sql = translate("SELECT id FROM sky.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(200, 10, 0.1))", sky).sql
    assert 't1."healpix" BETWEEN' in sql


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("CIRCLE(1, 91, 1)", "not on the sphere"),
        ("CIRCLE(1, 1, -1)", "no radius"),
        ("CIRCLE(1, 1)", "takes a position"),
        ("CIRCLE('GALACTIC', 1, 1, 1)", "ICRS only"),
        ("BOX(1, 1, 200, 1)", "too long"),
        ("BOX(ra, dec, 1, 1)", "must be numbers"),
        ("POLYGON(1, 1, 2, 2)", "3 to 1000"),
        ("POLYGON(1, 1, 2, 2, 3)", "pairs"),
        ("POLYGON(0, 0, 180, 0, 90, 0)", "no inside"),
        ("POLYGON(ra, dec, 1, 2, 3, 4)", "must be numbers"),
        ("REGION('CIRCLE 1 1 1')", "REGION is not offered"),
        ("name", "takes two regions"),
    ],
)
def test_wrong_regions_are_named(sky: TableSet, region: str, message: str) -> None:
    with pytest.raises(AdqlError, match=message):
        translate(f"SELECT id FROM sky.stars WHERE 1 = CONTAINS(POINT(ra, dec), {region})", sky)
