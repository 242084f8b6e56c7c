"""A small sky that all the other archives of the tests agree on: what SIMBAD, Gaia, VizieR and a registry say of it."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from emberline.vo.server.adql import Position, Region, Schema, Table, TableSet

__all__ = ["OBJECTS", "SkyObject", "gaia_tables", "object_at", "registry_tables", "simbad_tables", "vizier_tables"]

NULL = None


@dataclasses.dataclass(frozen=True)
class SkyObject:
    """One star.

    Attributes
    ----------
    number : int
    main_id : str
        SIMBAD's name; empty where SIMBAD does not know it.
    names : tuple of str
    otype, sp_type : str
    ra, dec : float
        Degrees at the epoch 2000.
    pmra, pmdec : float
        mas/yr, the first with cos(dec).
    parallax : float
        mas.
    vmag : float
    nbref : int
    source_id : int
        Gaia's; 0 where Gaia does not know it.
    """

    number: int
    main_id: str
    names: tuple[str, ...]
    otype: str
    sp_type: str
    ra: float
    dec: float
    pmra: float = 1.5
    pmdec: float = -2.5
    parallax: float = 1.25
    vmag: float = 12.0
    nbref: int = 3
    source_id: int = 0

    def at(self, epoch: float) -> tuple[float, float]:
        """Right ascension and declination at an epoch in years, degrees."""
        years = (epoch - 2000.0) / 3.6e6
        return self.ra + self.pmra * years / np.cos(np.radians(self.dec)), self.dec + self.pmdec * years


_ID = 3_400_000_000_000_000_000
OBJECTS = (
    SkyObject(
        1,
        "* gam Emb",
        ("* gam Emb", "HD 10001", "BD+20 501", "HIP 9001"),
        "Be*",
        "B2IVe",
        40.0,
        20.0,
        25.2,
        -3.9,
        6.5,
        2.47,
        1234,
        _ID + 1,
    ),
    SkyObject(
        2, "HD 10002", ("HD 10002", "TYC 1-2-1"), "Be*", "B5Ve", 40.1, 20.05, vmag=8.5, nbref=41, source_id=_ID + 2
    ),
    SkyObject(
        3,
        "V* V1 Emb",
        ("V* V1 Emb", "LAMOST J024048.00+200600.0"),
        "CV*",
        "",
        40.2,
        20.1,
        12.0,
        -30.0,
        3.2,
        15.1,
        7,
        _ID + 3,
    ),
    SkyObject(4, "PN G150.0-30.0", ("PN G150.0-30.0",), "PN", "", 40.3, 20.15, 0.0, 0.0, 0.3, 14.0, 12, _ID + 4),
    SkyObject(
        5, "LAMOST J024136.00+201200.0", ("LAMOST J024136.00+201200.0",), "*", "F5", 40.4, 20.2, source_id=_ID + 5
    ),
    SkyObject(
        6, "LP 999-9", ("LP 999-9", "NLTT 9999"), "PM*", "M4.5V", 40.5, 20.25, 1200.0, -900.0, 250.0, 13.2, 60, _ID + 6
    ),
    SkyObject(7, "[TEST 2020] QSO 7", ("[TEST 2020] QSO 7",), "QSO", "", 40.6, 20.3, 0.0, 0.0, 0.0, 18.0, 2, _ID + 7),
    SkyObject(8, "", (), "", "", 40.7, 20.35, vmag=16.0, source_id=_ID + 8),
    SkyObject(9, "HD 10009", ("HD 10009",), "**", "A0V", 40.8, 20.4, vmag=9.0, nbref=5),
    SkyObject(10, "HD 10010A", ("HD 10010A",), "*", "B9V", 359.9995, -5.0, source_id=_ID + 10),
    SkyObject(11, "HD 10010B", ("HD 10010B",), "*", "K0V", 359.9999, -5.0, vmag=13.0, source_id=_ID + 11),
    SkyObject(12, "* pol Emb", ("* pol Emb",), "Be*", "B8Vne", 120.0, 89.9, vmag=6.0, source_id=_ID + 12),
)
"""The objects; the sixth moves by 1.5 arcseconds a year, the eighth is Gaia's alone, the ninth is not Gaia's."""


def object_at(number: int) -> SkyObject:
    """The object of a number."""
    return OBJECTS[number - 1]


def table(name: str, description: str, columns: dict[str, tuple[Any, list[Any], str, str]], **keywords: Any) -> Table:
    """A table of columns given as type, values, unit and UCD."""
    fields = [
        pa.field(column, kind, metadata={"unit": unit, "ucd": ucd}) for column, (kind, _, unit, ucd) in columns.items()
    ]
    arrays = [pa.array(values, kind) for kind, values, _, _ in columns.values()]
    return Table.of_arrow(
        name, pa.Table.from_arrays(arrays, schema=pa.schema(fields)), description=description, **keywords
    )


_TEXT, _REAL, _FLOAT, _LONG, _INT = pa.string(), pa.float64(), pa.float32(), pa.int64(), pa.int32()


def simbad_tables() -> TableSet:
    """``basic``, ``ident``, ``ids``, ``flux``, ``allfluxes``, ``otypedef``, ``ref`` and ``has_ref``."""
    known = [item for item in OBJECTS if item.main_id]
    basic = table("public.basic", "Objects", {
        "oid": (_LONG, [item.number for item in known], "", "meta.record"),
        "main_id": (_TEXT, [item.main_id for item in known], "", "meta.id;meta.main"),
        "otype": (_TEXT, [item.otype for item in known], "", "src.class"),
        "ra": (_REAL, [item.ra for item in known], "deg", "pos.eq.ra;meta.main"),
        "dec": (_REAL, [item.dec for item in known], "deg", "pos.eq.dec;meta.main"),
        "coo_bibcode": (_TEXT, ["2020yCat.1350....0G"] * len(known), "", "meta.bib.bibcode"),
        "pmra": (_REAL, [item.pmra or NULL for item in known], "mas.yr-1", "pos.pm;pos.eq.ra"),
        "pmdec": (_REAL, [item.pmdec or NULL for item in known], "mas.yr-1", "pos.pm;pos.eq.dec"),
        "plx_value": (_REAL, [item.parallax or NULL for item in known], "mas", "pos.parallax"),
        "plx_err": (_FLOAT, [0.02 if item.parallax else NULL for item in known], "mas", "stat.error;pos.parallax"),
        "rvz_radvel": (_REAL, [12.5 if item.number == 1 else NULL for item in known], "km.s-1", "spect.dopplerVeloc"),
        "sp_type": (_TEXT, [item.sp_type or NULL for item in known], "", "src.spType"),
        "nbref": (_INT, [item.nbref for item in known], "", "meta.bib;meta.number"),
    }, position=Position("ra", "dec"))  # fmt: skip
    names = [(item.number, name) for item in known for name in item.names]
    ident = table("public.ident", "Names", {
        "oidref": (_LONG, [number for number, _ in names], "", "meta.record"),
        "id": (_TEXT, [name for _, name in names], "", "meta.id"),
    })  # fmt: skip
    ids = table("public.ids", "All names of an object, with bars between", {
        "oidref": (_LONG, [item.number for item in known], "", "meta.record"),
        "ids": (_TEXT, ["|".join(item.names) for item in known], "", "meta.id"),
    })  # fmt: skip
    bright = [item for item in known if item.number != 7]
    flux = table("public.flux", "Magnitudes", {
        "oidref": (_LONG, [item.number for item in bright], "", "meta.record"),
        "filter": (_TEXT, ["V"] * len(bright), "", "instr.filter"),
        "flux": (_FLOAT, [item.vmag for item in bright], "", "phot.mag"),
    })  # fmt: skip
    allfluxes = table("public.allfluxes", "Magnitudes of an object in one row", {
        "oidref": (_LONG, [item.number for item in bright], "", "meta.record"),
        "B": (_FLOAT, [item.vmag + 0.1 for item in bright], "mag", "phot.mag;em.opt.B"),
        "V": (_FLOAT, [item.vmag for item in bright], "mag", "phot.mag;em.opt.V"),
    })  # fmt: skip
    types = {"Be*": "Be Star", "CV*": "Cataclysmic Binary", "PN": "Planetary Nebula", "QSO": "Quasar", "*": "Star",
             "PM*": "High Proper Motion Star", "**": "Double or Multiple Star"}  # fmt: skip
    otypedef = table("public.otypedef", "What the types mean", {
        "otype": (_TEXT, list(types), "", "src.class"),
        "label": (_TEXT, ["".join(word.title() for word in text.split()) for text in types.values()], "", "meta.code"),
        "description": (_TEXT, list(types.values()), "", "meta.note"),
    })  # fmt: skip
    ref = table("public.ref", "Papers", {
        "oidbib": (_LONG, [1, 2], "", "meta.record"),
        "bibcode": (_TEXT, ["2020A&A...643A.122S", "2016RAA....16..138H"], "", "meta.bib.bibcode"),
        "title": (_TEXT, ["Active learning of spectra", "Emission-line stars"], "", "meta.title"),
        "year": (pa.int16(), [2020, 2016], "yr", "time.publiYear"),
    })  # fmt: skip
    has_ref = table("public.has_ref", "Which paper names which object", {
        "oidref": (_LONG, [1, 1, 2], "", "meta.record"),
        "oidbibref": (_LONG, [1, 2, 2], "", "meta.record"),
    })  # fmt: skip
    return TableSet((basic, ident, ids, flux, allfluxes, otypedef, ref, has_ref)).with_tap_schema()


def gaia_tables() -> TableSet:
    """``gaiadr3.gaia_source`` with positions at 2016.0."""
    known = [item for item in OBJECTS if item.source_id]
    places = [item.at(2016.0) for item in known]

    def of(value: Any) -> list[Any]:
        return [value(item) for item in known]

    source = table("gaiadr3.gaia_source", "Sources of Gaia DR3", {
        "source_id": (_LONG, of(lambda item: item.source_id), "", "meta.id"),
        "ref_epoch": (_REAL, [2016.0] * len(known), "yr", "meta.ref;time.epoch"),
        "ra": (_REAL, [place[0] % 360 for place in places], "deg", "pos.eq.ra;meta.main"),
        "dec": (_REAL, [place[1] for place in places], "deg", "pos.eq.dec;meta.main"),
        "parallax": (_REAL, of(lambda item: item.parallax), "mas", "pos.parallax.trig"),
        "parallax_error": (_FLOAT, [0.03] * len(known), "mas", "stat.error;pos.parallax.trig"),
        "pmra": (_REAL, of(lambda item: item.pmra), "mas.yr**-1", "pos.pm;pos.eq.ra"),
        "pmdec": (_REAL, of(lambda item: item.pmdec), "mas.yr**-1", "pos.pm;pos.eq.dec"),
        "ruwe": (_FLOAT, of(lambda item: 4.2 if item.number == 3 else 1.01), "", "stat.error"),
        "phot_g_mean_mag": (_FLOAT, of(lambda item: item.vmag - 0.1), "mag", "phot.mag;em.opt"),
        "phot_bp_mean_mag": (_FLOAT, of(lambda item: item.vmag), "mag", "phot.mag;em.opt.B"),
        "phot_rp_mean_mag": (_FLOAT, of(lambda item: NULL if item.number == 8 else item.vmag - 0.4), "mag",
                             "phot.mag;em.opt.R"),
        "radial_velocity": (_FLOAT, of(lambda item: -20.5 if item.number == 2 else NULL), "km.s**-1",
                            "spect.dopplerVeloc.opt"),
        "radial_velocity_error": (_FLOAT, of(lambda item: 1.5 if item.number == 2 else NULL), "km.s**-1",
                                  "stat.error;spect.dopplerVeloc.opt"),
        "teff_gspphot": (_FLOAT, of(lambda item: 18000.0 if item.number <= 2 else NULL), "K",
                         "phys.temperature.effective"),
        "logg_gspphot": (_FLOAT, of(lambda item: 3.9 if item.number <= 2 else NULL), "log(cm.s**-2)", "phys.gravity"),
        "phot_variable_flag": (_TEXT, of(lambda item: "VARIABLE" if item.number == 3 else "NOT_AVAILABLE"), "",
                               "meta.code;src.var"),
    }, position=Position("ra", "dec"))  # fmt: skip
    return TableSet((source,)).with_tap_schema()


def vizier_tables() -> TableSet:
    """Tables under names that must be quoted, with positions in columns of other names, and one without positions."""
    infrared = [item for item in OBJECTS if item.number != 4]
    places = {
        "RAJ2000": (_REAL, [item.ra for item in infrared], "deg", "pos.eq.ra;meta.main"),
        "DEJ2000": (_REAL, [item.dec for item in infrared], "deg", "pos.eq.dec;meta.main"),
    }
    twomass = table("vizls.II/246/out", "2MASS All-Sky Catalog of Point Sources", {
        **places,
        "2MASS": (_TEXT, [f"0240{item.number:04d}+2000000" for item in infrared], "", "meta.id;meta.main"),
        "Jmag": (_FLOAT, [item.vmag - 1.0 for item in infrared], "mag", "phot.mag;em.IR.J"),
        "Hmag": (_FLOAT, [item.vmag - 1.3 for item in infrared], "mag", "phot.mag;em.IR.H"),
        "Kmag": (_FLOAT, [NULL if item.number == 8 else item.vmag - 1.4 for item in infrared], "mag",
                 "phot.mag;em.IR.K"),
    }, position=Position("RAJ2000", "DEJ2000"))  # fmt: skip
    allwise = table("vizls.II/328/allwise", "AllWISE Data Release", {
        "AllWISE": (_TEXT, [f"J0240{item.number:04d}" for item in OBJECTS], "", "meta.id;meta.main"),
        "RAJ2000": (_REAL, [item.ra for item in OBJECTS], "deg", "pos.eq.ra;meta.main"),
        "DEJ2000": (_REAL, [item.dec for item in OBJECTS], "deg", "pos.eq.dec;meta.main"),
        "W1mag": (_FLOAT, [item.vmag - 1.5 for item in OBJECTS], "mag", "phot.mag;em.IR.3-4um"),
        "W2mag": (_FLOAT, [item.vmag - 1.6 for item in OBJECTS], "mag", "phot.mag;em.IR.4-8um"),
    }, position=Position("RAJ2000", "DEJ2000"))  # fmt: skip
    old = table("vizls.III/1/old", "Positions of an older kind", {
        "_RA": (_REAL, [item.ra for item in OBJECTS], "deg", "POS_EQ_RA_MAIN"),
        "_DE": (_REAL, [item.dec for item in OBJECTS], "deg", "POS_EQ_DEC_MAIN"),
        "Name": (_TEXT, [f"Old {item.number}" for item in OBJECTS], "", "ID_MAIN"),
    }, position=Position("_RA", "_DE"))  # fmt: skip
    notes = table("vizls.III/1/notes", "No positions", {"Note": (_TEXT, ["one", "two"], "", "meta.note")})
    return TableSet((twomass, allwise, old, notes)).with_tap_schema()


_Service: TypeAlias = tuple[
    str, str, str, str, str, tuple[str, ...], tuple[float, float] | None, tuple[tuple[str, str], ...]
]
_SERVICES: tuple[_Service, ...] = (
    (
        "ivo://emb.test/alpha",
        "Emission spectra of Alpha",
        "Be stars near gam Emb, R about 1800",
        "The Alpha Observatory",
        "optical",
        ("be-stars", "emission-line-stars"),
        (40.0, 20.0),
        (("ivo://ivoa.net/std/ssa", "{ssap}"), ("ivo://ivoa.net/std/tap#aux", "{tap}"), ("", "{page}")),
    ),
    (
        "ivo://emb.test/simbad",
        "SIMBAD of the tests",
        "Objects and their names",
        "The Test Data Centre",
        "",
        ("catalogs",),
        None,
        (("ivo://ivoa.net/std/tap", "{simbad}"),),
    ),
    (
        "ivo://emb.test/gaia",
        "Gaia of the tests",
        "Sources at 2016.0",
        "The Test Agency",
        "optical",
        ("astrometry", "parallax"),
        None,
        (("ivo://ivoa.net/std/tap", "{gaia}"),),
    ),
    (
        "ivo://emb.test/alpha-cone",
        "Cone search of Alpha",
        "Positions of spectra",
        "The Alpha Observatory",
        "optical#infrared",
        ("be-stars",),
        (40.0, 20.0),
        (("ivo://ivoa.net/std/conesearch", "{scs}"),),
    ),
    (
        "ivo://emb.test/images",
        "Images of elsewhere",
        "Radio images",
        "The Radio Dish",
        "radio",
        ("imaging",),
        (200.0, -45.0),
        (("ivo://ivoa.net/std/sia#query-2.0", "{sia2}"),),
    ),
    (
        "ivo://emb.test/far",
        "Spectra of the south",
        "Ultraviolet spectra",
        "The Far Satellite",
        "uv",
        ("spectroscopy",),
        (200.0, -45.0),
        (("ivo://ivoa.net/std/ssa", "{far}"),),
    ),
)


def registry_tables(addresses: dict[str, str]) -> TableSet:
    """RegTAP's ``rr.resource``, ``capability``, ``interface``, ``res_subject``, ``res_role`` and ``stc_spatial``.

    Parameters
    ----------
    addresses : dict of str to str
        Of the services: ``ssap``, ``scs``, ``sia2``, ``tap``, ``page``, ``simbad``, ``gaia``, ``far``.
    """
    count = range(len(_SERVICES))
    ids = [row[0] for row in _SERVICES]
    interfaces = [
        (ivoid, number, standard, address)
        for ivoid, *_, offered in _SERVICES
        for number, (standard, address) in enumerate(offered)
    ]
    resource = table("rr.resource", "Resources", {
        "ivoid": (_TEXT, ids, "", ""),
        "res_type": (_TEXT, ["vs:catalogservice"] * len(ids), "", ""),
        "short_name": (_TEXT, [ivoid.rpartition("/")[2] for ivoid in ids], "", ""),
        "res_title": (_TEXT, [_SERVICES[i][1] for i in count], "", ""),
        "res_description": (_TEXT, [_SERVICES[i][2] for i in count], "", ""),
        "waveband": (_TEXT, [_SERVICES[i][4] or NULL for i in count], "", ""),
        "content_level": (_TEXT, ["research"] * len(ids), "", ""),
        "created": (_TEXT, ["2026-01-01T00:00:00"] * len(ids), "", ""),
        "updated": (_TEXT, ["2026-01-02T00:00:00"] * len(ids), "", ""),
    })  # fmt: skip
    capability = table("rr.capability", "What resources offer", {
        "ivoid": (_TEXT, [row[0] for row in interfaces], "", ""),
        "cap_index": (pa.int16(), [row[1] for row in interfaces], "", ""),
        "standard_id": (_TEXT, [row[2] or NULL for row in interfaces], "", ""),
    })  # fmt: skip
    interface = table("rr.interface", "Where it is", {
        "ivoid": (_TEXT, [row[0] for row in interfaces], "", ""),
        "cap_index": (pa.int16(), [row[1] for row in interfaces], "", ""),
        "intf_index": (pa.int16(), [0] * len(interfaces), "", ""),
        "intf_type": (_TEXT, ["vs:paramhttp" if row[2] else "vr:webbrowser" for row in interfaces], "", ""),
        "intf_role": (_TEXT, ["std" if row[2] else NULL for row in interfaces], "", ""),
        "url_use": (_TEXT, ["base"] * len(interfaces), "", ""),
        "access_url": (_TEXT, [row[3].format(**addresses) for row in interfaces], "", ""),
    })  # fmt: skip
    subjects = [(row[0], word) for row in _SERVICES for word in row[5]]
    res_subject = table("rr.res_subject", "What they are about", {
        "ivoid": (_TEXT, [ivoid for ivoid, _ in subjects], "", ""),
        "res_subject": (_TEXT, [word for _, word in subjects], "", ""),
    })  # fmt: skip
    res_role = table("rr.res_role", "Who stands behind them", {
        "ivoid": (_TEXT, ids, "", ""),
        "role_name": (_TEXT, [_SERVICES[i][3] for i in count], "", ""),
        "base_role": (_TEXT, ["publisher"] * len(ids), "", ""),
    })  # fmt: skip
    placed = [(row[0], *row[6]) for row in _SERVICES if row[6]]
    spatial = table("rr.stc_spatial", "Where on the sky", {
        "ivoid": (_TEXT, [row[0] for row in placed], "", ""),
        "coverage": (_TEXT, ["6/100-110"] * len(placed), "", ""),
        "ref_system_name": (_TEXT, [NULL] * len(placed), "", ""),
        "ra": (_REAL, [row[1] for row in placed], "deg", ""),
        "dec": (_REAL, [row[2] for row in placed], "deg", ""),
    }, position=Position("ra", "dec"), regions=(Region("coverage", "ra", "dec", 3.0),))  # fmt: skip
    described = Schema("rr", "Relational registry", "ivo://ivoa.net/std/RegTAP#1.1")
    return TableSet((resource, capability, interface, res_subject, res_role, spatial), (described,)).with_tap_schema()
