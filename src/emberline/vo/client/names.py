"""From an object's name to its place, its kind and its other names, by the CDS name resolver Sesame."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emberline.vo.client.errors import ProtocolError, ServiceError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.session import Session

__all__ = ["Resolved", "resolve"]

_LONGEST = 200


@dataclass(frozen=True)
class Resolved:
    """What is known under a name.

    Attributes
    ----------
    name : str
        The name by which the resolver itself calls the object.
    ra, dec : float
        ICRS position at epoch 2000, degrees.
    names : tuple of str
        All its names that the resolver gave, the one above first.
    object_type : str
        SIMBAD's short code of what it is, as ``Be*``; empty when the resolver does not say.
    resolver : str
        Who knew it: ``Simbad``, ``NED``, ``VizieR``.
    """

    name: str
    ra: float
    dec: float
    names: tuple[str, ...] = ()
    object_type: str = ""
    resolver: str = ""

    @property
    def coordinate(self) -> SkyCoord:
        """The position as astropy has it."""
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.ra, self.dec, unit="deg", frame="icrs")


def resolve(session: Session, name: str) -> Resolved | None:
    """Ask Sesame for an object; None when nobody there knows it.

    Parameters
    ----------
    session : Session
        Its configuration's `services.sesame` is asked.
    name : str
        As astronomers write it: ``omi And``, ``HD 6226``.

    Raises
    ------
    ServiceError
        The resolver cannot be asked, or answers something that is none of its documents.
    """
    address = session.config.services.sesame
    if not address:
        raise ServiceError("no name resolver is configured", action="Give its address as services.sesame in vo.toml.")
    plain = " ".join(name.split())
    if not plain or len(plain) > _LONGEST or not plain.isprintable():
        raise ServiceError("is no name of an object", url=address, found=repr(name[:50]))
    answer = session.get(f"{address}?{urllib.parse.quote(plain, safe='')}")
    answer.raise_for_status()
    return _parsed(answer.content, answer.url)


def _parsed(body: bytes, url: str) -> Resolved | None:
    import defusedxml
    from defusedxml import ElementTree

    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, defusedxml.DefusedXmlException, ValueError):
        root = None
    if root is None or _local(root) != "Sesame":
        from emberline.vo.client._answers import said

        raise ProtocolError("the answer is no document of Sesame", url=url, service_said=said(body))
    for resolver in root.iter():
        if _local(resolver) == "Resolver" and (found := _found(resolver, url)) is not None:
            return found
    return None


def _found(resolver: Any, url: str) -> Resolved | None:
    ra, dec = _text(resolver, "jradeg"), _text(resolver, "jdedeg")
    if not ra or not dec:
        return None
    try:
        place = float(ra), float(dec)
    except ValueError:
        place = (-1.0, 0.0)
    if not (0 <= place[0] <= 360 and -90 <= place[1] <= 90):
        raise ProtocolError("the position is none", url=url, found=f"{ra} {dec}", expected="degrees on the sky")
    own = _text(resolver, "oname")
    names = [own, *(" ".join((item.text or "").split()) for item in resolver.iter() if _local(item) == "alias")]
    who = (resolver.get("name") or "").partition("=")[2].partition(" ")[0]
    unique = tuple(dict.fromkeys(name for name in names if name))
    return Resolved(own or (unique[0] if unique else ""), *place, unique, _text(resolver, "otype"), who.rstrip(","))


def _text(parent: Any, name: str) -> str:
    for item in parent.iter():
        if _local(item) == name:
            return " ".join((item.text or "").split())
    return ""


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""
