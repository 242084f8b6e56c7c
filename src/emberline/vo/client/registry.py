"""The registry of the Virtual Observatory: which services there are, by protocol, waveband, words and place.

RegTAP 1.1 and 1.2 (https://www.ivoa.net/documents/RegTAP/): the registry is a TAP service with the tables ``rr``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from emberline.vo.client import tap
from emberline.vo.client._asking import address_of, decimal, degrees, icrs
from emberline.vo.client.errors import ServiceError, StatusError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = ["PROTOCOLS", "Service", "resolve", "search"]

PROTOCOLS = {
    "ssa": "ivo://ivoa.net/std/ssa",
    "scs": "ivo://ivoa.net/std/conesearch",
    "sia": "ivo://ivoa.net/std/sia",
    "sia2": "ivo://ivoa.net/std/sia#query-2.%",
    "tap": "ivo://ivoa.net/std/tap",
    "slap": "ivo://ivoa.net/std/slap",
    "datalink": "ivo://ivoa.net/std/datalink#links-1.%",
    "soda": "ivo://ivoa.net/std/soda#sync-1.%",
}
"""Short names of protocols, and the identifiers of their standards in the registry (``%`` stands for anything)."""
_OTHER_NAMES = {"ssap": "ssa", "siap": "sia", "siap2": "sia2", "cone": "scs", "conesearch": "scs"}
WAVEBANDS = ("radio", "millimeter", "infrared", "optical", "uv", "euv", "x-ray", "gamma-ray", "neutrino")
_ORDER = 6
"""Of the MOCs that positions become: about a degree, as fine as coverages are in the registry."""


@dataclasses.dataclass(frozen=True)
class Service:
    """One service of a protocol, as the registry describes it.

    Attributes
    ----------
    ivoid : str
    title, description : str
    protocol : str
        ``ssa``, ``sia``, ``sia2``, ``scs``, ``tap``, ``datalink``, ``soda``, or the standard's identifier.
    access_url : str
    publisher : str
    waveband : tuple of str
    coverage : str
        What the registry says of its sky coverage, as an ASCII MOC; empty where it says nothing or was not asked.
    """

    ivoid: str
    title: str
    description: str = ""
    protocol: str = ""
    access_url: str = ""
    publisher: str = ""
    waveband: tuple[str, ...] = ()
    coverage: str = ""


def search(
    session: Session,
    *,
    protocol: str = "",
    keywords: Sequence[str] = (),
    waveband: str = "",
    position: SkyCoord | None = None,
    radius: Any = None,
    limit: int = 200,
    declared: bool = False,
    with_coverage: bool = False,
    url: str = "",
) -> tuple[Service, ...]:
    """The services that fit all that is asked.

    Parameters
    ----------
    session : Session
    protocol : str
        A key of `PROTOCOLS`, or the identifier of a standard.
    keywords : sequence of str
        Each must be in the title, the description or the subjects.
    waveband : str
        ``radio``, ``millimeter``, ``infrared``, ``optical``, ``uv``, ``euv``, ``x-ray``, ``gamma-ray``.
    position : SkyCoord, optional
        Leaves out what the registry knows to cover other parts of the sky. Many services say nothing of their
        coverage; they are kept.
    radius : Angle or float, optional
        About the position; degrees where it has no unit.
    limit : int
        At most so many services.
    declared : bool
        Leave out also what says nothing of its coverage.
    with_coverage : bool
        Bring the coverages too; some are long.
    url : str
        Of the registry's TAP; the configuration's by default.

    Raises
    ------
    ServiceError
        The registry refused, or could not be asked.
    ValueError
        There is no such protocol or waveband.
    """
    address = address_of(session, "registry", url)
    plain = [*_of_protocol(protocol), *_of_waveband(waveband), *(_of_word(word) for word in keywords if word.strip())]
    places = _of_place(position, radius, declared=declared)
    found = _asked(session, address, plain, places, declared=declared, limit=4 * limit)
    services = tuple(itertools.islice(_services(found), limit))
    return _with_coverage(session, address, services) if with_coverage and services else services


def _asked(
    session: Session, url: str, plain: Sequence[str], places: Sequence[str], *, declared: bool, limit: int
) -> Table:
    """The rows that fit; of the ways to ask for a place, the first that the registry understands.

    A service may have more than one interface, hence more rows than services.
    """
    for number, place in enumerate(places, 1):
        try:
            return tap.query(session, url, _query([*plain, place]), limit=limit)
        except StatusError:
            if number == len(places) and (declared or _knows_places(session, url)):
                raise
    return tap.query(session, url, _query(plain), limit=limit)


def _with_coverage(session: Session, url: str, services: Sequence[Service]) -> tuple[Service, ...]:
    wanted = ", ".join(_text(ivoid) for ivoid in dict.fromkeys(service.ivoid for service in services))
    try:
        found = tap.query(session, url, f"SELECT ivoid, coverage FROM rr.stc_spatial WHERE ivoid IN ({wanted})")
    except StatusError:
        return tuple(services)
    known = {str(row["ivoid"]): " ".join(str(row["coverage"]).split()) for row in found}
    return tuple(dataclasses.replace(service, coverage=known.get(service.ivoid, "")) for service in services)


def _knows_places(session: Session, url: str) -> bool:
    """Whether the registry has a table of coverages."""
    query = "SELECT table_name FROM TAP_SCHEMA.tables WHERE table_name = 'rr.stc_spatial'"
    return bool(len(tap.query(session, url, query)))


def resolve(session: Session, ivoid: str, protocol: str, *, url: str = "") -> str:
    """The address of a service that is known by its identifier.

    Raises
    ------
    ServiceError
        The registry does not know it, or it does not offer the protocol.
    """
    address = address_of(session, "registry", url)
    words = [f"ivoid = {_text(ivoid.lower())}", *_of_protocol(protocol)]
    for service in _services(tap.query(session, address, _query(words))):
        if service.access_url:
            return service.access_url
    raise ServiceError(
        f"the registry knows no service of {protocol or 'any protocol'} under this identifier",
        url=address,
        found=ivoid,
        action="Look for its name with a search in the registry.",
    )


def _query(conditions: Iterable[str]) -> str:
    """One row for each standard interface; the user functions are those that RegTAP requires."""
    return (
        "SELECT ivoid, res_title, res_description, waveband, standard_id, access_url, role_name "
        "FROM rr.resource NATURAL JOIN rr.capability NATURAL JOIN rr.interface "
        "LEFT OUTER JOIN (SELECT ivoid AS publisher_of, role_name FROM rr.res_role WHERE base_role = 'publisher') "
        "AS roles ON publisher_of = ivoid WHERE "
        + " AND ".join(["intf_role = 'std'", "standard_id IS NOT NULL", *conditions])
    )


def _of_protocol(protocol: str) -> list[str]:
    if not protocol:
        return []
    name = protocol.lower()
    if name.startswith("ivo://"):
        return [f"standard_id LIKE {_text(name)}"]
    name = _OTHER_NAMES.get(name, name)
    if name not in PROTOCOLS:
        raise ValueError(
            f"there is no protocol {protocol!r}; known are {', '.join(PROTOCOLS)}, or an ivo:// identifier"
        )
    standard = PROTOCOLS[name]
    if "%" in standard:
        return [f"standard_id LIKE {_text(standard)}"]
    versions = "" if name in ("sia", "tap") else f" OR standard_id LIKE {_text(standard + '#query-%')}"
    return [f"(standard_id = {_text(standard)}{versions})"] if versions else [f"standard_id = {_text(standard)}"]


def _of_waveband(waveband: str) -> list[str]:
    if not waveband:
        return []
    if waveband.lower() not in WAVEBANDS:
        raise ValueError(f"there is no waveband {waveband!r}; known are {', '.join(WAVEBANDS)}")
    return [f"1 = ivo_hashlist_has(waveband, {_text(waveband.lower())})"]


def _of_word(word: str) -> str:
    text = _text(word.strip())
    like = _text(f"%{word.strip().lower()}%")
    return (
        f"(1 = ivo_hasword(res_title, {text}) OR 1 = ivo_hasword(res_description, {text}) "
        f"OR ivoid IN (SELECT ivoid FROM rr.res_subject WHERE LOWER(res_subject) LIKE {like}))"
    )


def _of_place(position: SkyCoord | None, radius: Any, *, declared: bool) -> list[str]:
    """The condition in the ways that registries understand: with MOCs, as their coverages are, and without."""
    if position is None:
        return []
    ra, dec = (decimal(value) for value in icrs(position))
    shape, relation = f"POINT({ra}, {dec})", "CONTAINS"
    if radius is not None and degrees(radius) > 0:
        shape, relation = f"CIRCLE({ra}, {dec}, {decimal(degrees(radius))})", "INTERSECTS"
    found = []
    for geometry in (f"MOC({_ORDER}, {shape})", shape):
        inside = f"ivoid IN (SELECT ivoid FROM rr.stc_spatial WHERE 1 = {relation}({geometry}, coverage))"
        unknown = "ivoid NOT IN (SELECT ivoid FROM rr.stc_spatial WHERE coverage IS NOT NULL)"
        found.append(inside if declared else f"({inside} OR {unknown})")
    return found


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _services(table: Table) -> Iterable[Service]:
    """Each address of each service once."""
    seen = set()
    for row in table:
        key = (str(row["ivoid"]), str(row["access_url"]).strip())
        if key in seen:
            continue
        seen.add(key)
        yield Service(
            ivoid=key[0],
            title=" ".join(str(row["res_title"]).split()),
            description=" ".join(str(row["res_description"]).split()),
            protocol=_short(str(row["standard_id"])),
            access_url=key[1],
            publisher=" ".join(str(row["role_name"]).split()),
            waveband=tuple(word for word in str(row["waveband"]).split("#") if word),
        )


def _short(standard: str) -> str:
    name = standard.lower()
    for short, known in PROTOCOLS.items():
        if name == known or ("%" in known and name.startswith(known.rstrip("%"))):
            return short
    base = name.partition("#")[0]
    return next((short for short, known in PROTOCOLS.items() if known == base), name)
