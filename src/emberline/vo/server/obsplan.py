"""``ivoa.obsplan``: the same observations as ObsLocTAP 1.0 (https://www.ivoa.net/documents/ObsLocTAP/) tells of them.

That standard is for schedules, and for what has become of what was scheduled. Here everything has been performed: the
table answers "who has looked there, and when" in the words of the services that tell who will.
"""

from __future__ import annotations

import dataclasses

from emberline.vo.server.adql.tables import Column, Table

__all__ = ["obsplan_table"]

_SHARED = (
    "target_name", "obs_id", "obs_collection", "s_ra", "s_dec", "s_fov", "s_region", "s_resolution", "t_min", "t_max",
    "t_exptime", "t_resolution", "em_min", "em_max", "em_res_power", "o_ucd", "pol_states", "pol_xel",
    "facility_name", "instrument_name",
)  # fmt: skip
"""The columns that are those of ObsCore."""
_PLANNED = "date_diff('second', TIMESTAMP '1858-11-17', CAST(obs_release_date AS TIMESTAMP)) / 86400.0"
_OWN: tuple[tuple[Column, str], ...] = (
    (
        Column("t_planning", "double", unit="d",
               description="When this entry was made, MJD", principal=True, std=True),
        f"CAST({_PLANNED} AS DOUBLE)",
    ),
    (
        Column("t_plan_exptime", "double", unit="s", ucd="time.duration;obs.exposure",
               utype="Char.TimeAxis.Coverage.Support.Extent", description="Planned exposure time: that of the exposure",
               std=True),
        "t_exptime",
    ),
    (
        Column("category", "char", "*",
               description="How firm the plan is: Other, for it has been carried out", std=True),
        "'Other'",
    ),
    (
        Column("priority", "int", description="Priority: none",
               std=True),
        "CAST(0 AS INTEGER)",
    ),
    (
        Column("execution_status", "char", "*",
               description="What has become of it: Performed", principal=True, std=True),
        "'Performed'",
    ),
    (
        Column("tracking_type", "char", "*",
               description="How the telescope followed the target: Sidereal", std=True),
        "'Sidereal'",
    ),
)  # fmt: skip


_FILLED = {"facility_name": "coalesce(facility_name, obs_collection)"}
"""The standard has no place for what is not known."""
_UTYPES = {"Target.Name": "Target.name", "DataID.Collection": "DataID.collection"}


def _utype(column: Column) -> str:
    utype = column.utype.removeprefix("obscore:")
    return _UTYPES.get(utype, utype)


def obsplan_table(obscore: Table) -> Table:
    """The table, over that of ObsCore; nothing is copied. Observations whose times are not known are left out."""
    shared = [
        dataclasses.replace(column, utype=_utype(column)) for column in map(obscore.by_name.get, _SHARED) if column
    ]
    parts = [f"{_FILLED.get(name, name)} AS {name}" for name in _SHARED]
    parts += [f"{sql} AS {column.name}" for column, sql in _OWN]
    known = " AND ".join(f"{name} IS NOT NULL" for name in ("t_min", "t_max", "t_exptime"))
    select = f"SELECT {', '.join(parts)}, healpix FROM ({obscore.select}) WHERE {known}"
    return dataclasses.replace(
        obscore,
        name="ivoa.obsplan",
        columns=(*shared, *(column for column, _ in _OWN)),
        description="All published spectra, as observations that have been performed (ObsLocTAP 1.0)",
        utype="ivo://ivoa.net/std/obsloctap#table-1.0",
        select=select,
    )
