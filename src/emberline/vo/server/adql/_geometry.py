"""ADQL's geometry functions: what they mean, and the SQL of their tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sqlglot import exp

from emberline.vo.server.adql import _sphere
from emberline.vo.server.adql._scope import Source, quoted
from emberline.vo.server.adql._values import Circle, Context, Point, Polygon, SpatialJoin, Value
from emberline.vo.server.adql.tables import Column

__all__ = ["GEOMETRY", "near", "number", "two_points"]

Arguments = Sequence[Value]


def number(value: float) -> str:
    """A constant as SQL, with all its digits."""
    return f"({value!r}::DOUBLE)"


def _numbers(context: Context, node: exp.Expr, values: Arguments) -> None:
    for value in values:
        if value.kind not in ("number", "any"):
            raise context.refuse(node, f"{node.name.upper()} takes numbers here", found=value.kind)


def _without_frame(context: Context, node: exp.Expr, values: Arguments) -> Arguments:
    """Leave out the coordinate system of ADQL 2.0, which is checked to be ours."""
    if not values or values[0].kind != "text":
        return values
    literal = node.expressions[0]
    frame = literal.this.strip().upper() if isinstance(literal, exp.Literal) else "?"
    if frame.split(" ")[0] not in ("", "ICRS", "UNKNOWNFRAME"):
        raise context.refuse(
            node, "positions are in ICRS only", found=frame, expected="ICRS", action="Transform them before the query."
        )
    return values[1:]


def point(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """POINT([frame,] longitude, latitude)."""
    values = _without_frame(context, node, values)
    if len(values) != 2:
        raise context.refuse(node, "POINT takes a longitude and a latitude", found=f"{len(values)} values")
    _numbers(context, node, values)
    return _point_value(_point(context, node, values[0], values[1]))


def _point(context: Context, node: exp.Expr, ra: Value, dec: Value) -> Point:
    if dec.constant is not None and not abs(dec.constant) <= 90.0:
        raise context.refuse(node, "this latitude is not on the sphere", found=f"{dec.constant:g}", expected="-90 … 90")
    if ra.constant is not None and not abs(ra.constant) <= 1e6:
        raise context.refuse(node, "this is no longitude", found=f"{ra.constant:g}", expected="0 … 360")
    source = ra.source if isinstance(ra.source, Source) and ra.source is dec.source else None
    position = source.position if source is not None else None
    if source is None or position is None or (position.ra, position.dec) != (ra.column, dec.column):
        return Point(ra, dec)
    healpix = f"{source.alias}.{quoted(position.healpix)}" if position.healpix else ""
    return Point(ra, dec, source, healpix)


def _point_value(geometry: Point) -> Value:
    ra, dec = geometry.ra, geometry.dec
    meta = Column("point", "double", "2", "point", unit="deg", ucd="pos.eq")
    return Value(_array(ra, dec), "point", meta, geometry=geometry, aggregate=ra.aggregate or dec.aggregate)


def _array(*values: Value) -> str:
    """Numbers as one value, which is null when one of them is."""
    array = f"CAST([{', '.join(value.sql for value in values)}] AS DOUBLE[])"
    known = " AND ".join(f"{value.sql} IS NOT NULL" for value in values if value.constant is None)
    return f"CASE WHEN {known} THEN {array} END" if known else array


def _centre(context: Context, node: exp.Expr, values: Arguments, after: int) -> tuple[Point, Arguments]:
    """A point given as such or by two numbers, and the `after` values that follow."""
    values = _without_frame(context, node, values)
    if len(values) == after + 1 and isinstance(values[0].geometry, Point):
        return values[0].geometry, values[1:]
    if len(values) != after + 2:
        raise context.refuse(
            node, f"{node.name.upper()} takes a position and {after} more", found=f"{len(values)} values"
        )
    _numbers(context, node, values)
    return _point(context, node, values[0], values[1]), values[2:]


def circle(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """CIRCLE([frame,] longitude, latitude, radius) or CIRCLE(point, radius)."""
    centre, rest = _centre(context, node, values, 1)
    _numbers(context, node, rest)
    radius = rest[0]
    if radius.constant is not None and not 0.0 <= radius.constant <= 180.0:
        raise context.refuse(node, "this is no radius", found=f"{radius.constant:g}", expected="0 … 180 degrees")
    meta = Column("circle", "double", "3", "circle", unit="deg", ucd="pos.outline")
    sql = _array(centre.ra, centre.dec, radius)
    return Value(sql, "circle", meta, geometry=Circle(centre, radius))


def box(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """BOX([frame,] longitude, latitude, width, height), a polygon."""
    centre, rest = _centre(context, node, values, 2)
    position, width, height = centre.constant, rest[0].constant, rest[1].constant
    if position is None or width is None or height is None:
        raise context.refuse(node, "the centre and sides of a BOX must be numbers", action="CIRCLE takes columns.")
    if not (0.0 < width < 180.0 and 0.0 < height < 180.0):
        raise context.refuse(
            node,
            "the sides of a BOX are too long",
            found=f"{width:g} × {height:g}",
            expected="more than 0 and less than 180 degrees",
            action="Ask for a zone by: dec BETWEEN a AND b.",
        )
    return _polygon_value(context, node, _sphere.box_vertices(*position, width, height))


def polygon(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """POLYGON([frame,] longitude, latitude, …) or POLYGON(point, point, point, …)."""
    values = _without_frame(context, node, values)
    points = [value.geometry for value in values]
    if not (points and isinstance(points[0], Point)):
        if len(values) % 2:
            raise context.refuse(node, "a POLYGON takes pairs of longitude and latitude", found=f"{len(values)} values")
        _numbers(context, node, values)
        pairs = zip(values[::2], values[1::2], strict=True)
        points = [_point(context, node, ra, dec) for ra, dec in pairs]
    vertices = [item.constant if isinstance(item, Point) else None for item in points]
    constant = [vertex for vertex in vertices if vertex is not None]
    if len(constant) < len(vertices):
        raise context.refuse(node, "the vertices of a POLYGON must be numbers", action="CIRCLE takes columns.")
    return _polygon_value(context, node, tuple(constant))


def _polygon_value(context: Context, node: exp.Expr, vertices: tuple[tuple[float, float], ...]) -> Value:
    distinct = [
        vertex for vertex, last in zip(vertices, (*vertices[-1:], *vertices[:-1]), strict=True) if vertex != last
    ]
    if not 3 <= len(distinct) <= 1000:
        raise context.refuse(node, "a POLYGON has 3 to 1000 vertices", found=f"{len(distinct)}")
    if _sphere.outline(distinct) is None:
        raise context.refuse(
            node, "this POLYGON has no inside", action="No two neighbouring vertices may be antipodes."
        )
    meta = Column("polygon", "double", "*", "polygon", unit="deg", ucd="pos.outline")
    numbers = ", ".join(number(part) for vertex in distinct for part in vertex)
    return Value(f"[{numbers}]", "polygon", meta, geometry=Polygon(tuple(distinct)))


def region_value(context: Context, value: Value) -> Value:
    """A column such as s_region as the circle that it stands for."""
    source = value.source
    if value.geometry is None and isinstance(source, Source):
        for region in source.regions:
            if region.column == value.column:
                by_name = {column.name: column for column in source.columns}
                centre = _point_of(source, by_name[region.ra], by_name[region.dec])
                radius = Value(number(region.radius), "number", constant=region.radius)
                return Value(value.sql, "circle", value.meta, geometry=Circle(centre, radius))
    return value


def _point_of(source: Source, ra: Column, dec: Column) -> Point:
    position = source.position
    own = position is not None and (position.ra, position.dec) == (ra.name, dec.name)
    healpix = f"{source.alias}.{quoted(position.healpix)}" if own and position and position.healpix else ""
    return Point(source.value(ra), source.value(dec), source if own else None, healpix)


def distance(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """DISTANCE(point, point) or DISTANCE(longitude, latitude, longitude, latitude), in degrees."""
    left, right = two_points(context, node, values)
    ends = (left.ra, left.dec, right.ra, right.dec)
    sql = f"adql_separation({', '.join(value.sql for value in ends)})"
    meta = Column("distance", "double", unit="deg", ucd="pos.angDistance")
    return Value(sql, "number", meta, aggregate=any(value.aggregate for value in ends))


def two_points(context: Context, node: exp.Expr, values: Arguments) -> tuple[Point, Point]:
    """The two positions that DISTANCE compares."""
    if len(values) == 4:
        _numbers(context, node, values)
        return _point(context, node, values[0], values[1]), _point(context, node, values[2], values[3])
    points = [value.geometry for value in values if isinstance(value.geometry, Point)]
    if len(values) != 2 or len(points) != 2:
        raise context.refuse(node, "DISTANCE takes two points or four numbers", found=f"{len(values)} values")
    return points[0], points[1]


def near(left: Point, right: Point, radius: Value, sign: str = "<=") -> Value:
    """The condition that two points are at most `radius` apart, with ranges of HEALPix pixels where they help."""
    for one, other in ((left, right), (right, left)):
        if other.constant is not None and one.constant is None:
            return _in_cone(one, other, radius, sign)
    sql = _exact(left, right, radius, sign)
    join = None
    if left.source and right.source and left.source is not right.source and radius.constant is not None:
        join = SpatialJoin(left, right, radius.constant)
    return Value(sql, "boolean", join=join)


def _in_cone(moving: Point, fixed: Point, radius: Value, sign: str) -> Value:
    sql, position = _exact(moving, fixed, radius, sign), fixed.constant
    if moving.healpix and position and radius.constant is not None:
        if radius.constant < 0:
            return Value("FALSE", "boolean")
        if radius.constant <= _sphere.LARGEST_COVERED_RADIUS:
            ranges = _sphere.cone_ranges(*position, radius.constant)
            sql = f"({_in_ranges(moving.healpix, ranges)} AND {sql})"
    return Value(sql, "boolean")


def _exact(left: Point, right: Point, radius: Value, sign: str) -> str:
    ends = ", ".join(value.sql for value in (left.ra, left.dec, right.ra, right.dec))
    if radius.constant is not None and 0.0 <= radius.constant <= 90.0:
        return f"adql_haversine({ends}) {sign} {number(math.sin(math.radians(radius.constant) / 2) ** 2)}"
    return f"adql_separation({ends}) {sign} {radius.sql}"


def _in_ranges(healpix: str, ranges: Sequence[tuple[int, int]]) -> str:
    tests = [f"{healpix} BETWEEN {first} AND {last}" for first, last in ranges]
    return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"


def contains(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """CONTAINS(inner, outer) as a condition; 1 and 0 are made of it where it is used as a number."""
    inner, outer = _two_regions(context, node, values)
    if isinstance(inner, Point):
        return _point_in(context, node, inner, outer)
    if isinstance(inner, Circle) and isinstance(outer, Circle):
        return Value(f"{_separation(inner.centre, outer.centre)} + {inner.radius.sql} <= {outer.radius.sql}", "boolean")
    if isinstance(inner, Circle) and isinstance(outer, Polygon):
        inside = _in_polygon(inner.centre, outer)
        sql = f"({inside} AND {_rim_distance(inner.centre, outer)} >= {inner.radius.sql})"
        return Value(_near_polygon(inner, outer, sql), "boolean")
    if isinstance(inner, Polygon) and isinstance(outer, Circle):
        furthest = ", ".join(_separation(_constant_point(vertex), outer.centre) for vertex in inner.vertices)
        return Value(f"(greatest({furthest}) <= {outer.radius.sql} AND {outer.radius.sql} <= 90)", "boolean")
    raise context.refuse(node, "CONTAINS is not offered for two polygons", expected="a POINT or a CIRCLE in it")


def _point_in(context: Context, node: exp.Expr, inner: Point, outer: Point | Circle | Polygon) -> Value:
    if isinstance(outer, Point):
        return near(inner, outer, Value("0", "number", constant=0.0))
    if isinstance(outer, Circle):
        return near(inner, outer.centre, outer.radius)
    sql = _in_polygon(inner, outer)
    shape = _sphere.outline(outer.vertices)
    if inner.healpix and shape is not None and shape.radius <= _sphere.LARGEST_COVERED_RADIUS:
        ranges = _sphere.polygon_ranges(outer.vertices, shape.radius)
        sql = f"({_in_ranges(inner.healpix, ranges)} AND {sql})"
    return Value(sql, "boolean")


def intersects(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """INTERSECTS(region, region) as a condition."""
    left, right = _two_regions(context, node, values)
    if isinstance(right, Point):
        left, right = right, left
    if isinstance(left, Point):
        return _point_in(context, node, left, right)
    if isinstance(left, Circle) and isinstance(right, Circle):
        return near(left.centre, right.centre, _sum(left.radius, right.radius))
    if isinstance(left, Polygon) and isinstance(right, Circle):
        left, right = right, left
    if isinstance(left, Circle) and isinstance(right, Polygon):
        inside = _in_polygon(left.centre, right)
        sql = f"({inside} OR {_rim_distance(left.centre, right)} <= {left.radius.sql})"
        return Value(_near_polygon(left, right, sql), "boolean")
    raise context.refuse(node, "INTERSECTS is not offered for two polygons", expected="a POINT or a CIRCLE with it")


def _near_polygon(moving: Circle, fixed: Polygon, sql: str) -> str:
    """Only rows near a polygon need the exact test."""
    shape, extra = _sphere.outline(fixed.vertices), moving.radius.constant
    if not moving.centre.healpix or shape is None or extra is None or extra < 0:
        return sql
    radius = shape.radius + extra
    if radius > _sphere.LARGEST_COVERED_RADIUS:
        return sql
    return f"({_in_ranges(moving.centre.healpix, _sphere.cone_ranges(*shape.centre, radius))} AND {sql})"


def _two_regions(
    context: Context, node: exp.Expr, values: Arguments
) -> tuple[Point | Circle | Polygon, Point | Circle | Polygon]:
    geometries = [region_value(context, value).geometry for value in values]
    if len(geometries) != 2 or geometries[0] is None or geometries[1] is None:
        raise context.refuse(
            node,
            f"{node.name.upper()} takes two regions",
            found=", ".join(value.kind for value in values),
            expected="POINT, CIRCLE, BOX, POLYGON or a column that stands for a circle",
        )
    return geometries[0], geometries[1]


def _sum(left: Value, right: Value) -> Value:
    if left.constant is not None and right.constant is not None:
        total = left.constant + right.constant
        return Value(number(total), "number", constant=total)
    return Value(f"({left.sql} + {right.sql})", "number")


def _separation(left: Point, right: Point) -> str:
    return f"adql_separation({left.ra.sql}, {left.dec.sql}, {right.ra.sql}, {right.dec.sql})"


def _constant_point(vertex: tuple[float, float]) -> Point:
    ra, dec = (Value(number(part), "number", constant=part) for part in vertex)
    return Point(ra, dec)


def _in_polygon(inner: Point, outer: Polygon) -> str:
    """An odd (or even) number of edges cross the meridian from the point to the North Pole."""
    shape = _sphere.outline(outer.vertices)
    assert shape is not None
    ends = f"{inner.ra.sql}, {inner.dec.sql}"
    crossings = " + ".join(f"adql_crosses({ends}, {', '.join(number(part) for part in edge)})" for edge in shape.edges)
    return f"({crossings}) % 2 = {int(shape.odd_is_inside)}"


def _rim_distance(inner: Point, outer: Polygon) -> str:
    """Degrees to the nearest edge."""
    ends = f"{inner.ra.sql}, {inner.dec.sql}"
    following = (*outer.vertices[1:], outer.vertices[0])
    distances = ", ".join(
        f"adql_arc_distance({ends}, {', '.join(map(number, (*first, *second, *_sphere.arc_vectors(first, second))))})"
        for first, second in zip(outer.vertices, following, strict=True)
    )
    return f"least({distances})"


def area(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """AREA(region) in square degrees."""
    geometry = region_value(context, values[0]).geometry if len(values) == 1 else None
    if isinstance(geometry, Circle):
        sql = f"(pow(180 / pi(), 2) * 4 * pi() * pow(sin(radians({geometry.radius.sql}) / 2), 2))"
    elif isinstance(geometry, Polygon):
        shape = _sphere.outline(geometry.vertices)
        assert shape is not None
        sql = number(math.degrees(math.degrees(shape.area)))
    elif isinstance(geometry, Point):
        sql = number(0.0)
    else:
        raise context.refuse(node, "AREA takes one region", expected="CIRCLE, BOX or POLYGON")
    return Value(sql, "number", Column("area", "double", unit="deg**2", ucd="phys.angArea"))


def centroid(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """CENTROID(region), a point."""
    geometry = region_value(context, values[0]).geometry if len(values) == 1 else None
    if isinstance(geometry, Circle):
        return _point_value(geometry.centre)
    if isinstance(geometry, Point):
        return values[0]
    if isinstance(geometry, Polygon):
        shape = _sphere.outline(geometry.vertices)
        assert shape is not None
        return _point_value(_constant_point(shape.centroid))
    raise context.refuse(node, "CENTROID takes one region", expected="CIRCLE, BOX or POLYGON")


def _coordinate(index: int) -> Callable[[Context, exp.Expr, Arguments], Value]:
    def coordinate(context: Context, node: exp.Expr, values: Arguments) -> Value:
        geometry = values[0].geometry if len(values) == 1 else None
        if isinstance(geometry, Point):
            return (geometry.ra, geometry.dec)[index]
        if len(values) == 1 and values[0].kind == "point":
            return Value(f"{values[0].sql}[{index + 1}]", "number", Column(f"coord{index + 1}", "double", unit="deg"))
        raise context.refuse(node, f"{node.name.upper()} takes one point")

    return coordinate


def coordsys(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """COORDSYS(region): always ICRS."""
    if len(values) != 1 or region_value(context, values[0]).geometry is None:
        raise context.refuse(node, "COORDSYS takes one region")
    return Value(context.text("ICRS"), "text", Column("coordsys", "char", "*"))


def unsupported(context: Context, node: exp.Expr, values: Arguments) -> Value:
    """REGION of ADQL 2.0."""
    raise context.refuse(node, "REGION is not offered", expected="POINT, CIRCLE, BOX or POLYGON")


Function = Callable[[Context, exp.Expr, Arguments], Value]
GEOMETRY: dict[str, Function] = {
    "POINT": point,
    "CIRCLE": circle,
    "BOX": box,
    "POLYGON": polygon,
    "DISTANCE": distance,
    "CONTAINS": contains,
    "INTERSECTS": intersects,
    "AREA": area,
    "CENTROID": centroid,
    "COORD1": _coordinate(0),
    "COORD2": _coordinate(1),
    "COORDSYS": coordsys,
    "REGION": unsupported,
}
