"""What a service can do with a spectrum before it sends it: options by name, found by DataLink, asked by SODA."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emberline.errors import ConfigError, EmberlineError
from emberline.vo.client.harvest._threads import as_they_come
from emberline.vo.client.harvest.constraints import parse_band
from emberline.vo.client.harvest.history import HarvestError
from emberline.vo.client.harvest.records import Record

if TYPE_CHECKING:
    from emberline.vo.client.datalink import Link
    from emberline.vo.client.session import Session
    from emberline.vo.client.soda import Descriptor, Parameter

__all__ = ["ALIASES", "Offer", "Order", "offers", "order"]

ALIASES: Mapping[str, tuple[str, ...]] = {
    "CUTOUT": ("BAND",),
    "FORMAT": ("RESPONSEFORMAT", "FORMAT"),
    "RECTIFIED": ("FLUXCALIB", "RECIPE"),
}
"""Names that mean the same everywhere, and the parameters that may stand behind them, the first that is there."""
LINK = "LINK"
"""The option that names another link than the spectrum itself."""
_METRES = {"m": 1e-10, "nm": 0.1, "um": 1e-4, "angstrom": 1.0, "": 1e-10}  # of one ångström
_AT_ONCE = 8
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
_RECTIFIED = ("normalized", "normalised", "rectified")
_PICTURES = ("image/", "text/html", "application/pdf")


@dataclasses.dataclass(frozen=True)
class Order:
    """How one file is asked for: an address, or a service and what it is told."""

    url: str = ""
    descriptor: Descriptor | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Offer:
    """One option that some of the services have.

    Attributes
    ----------
    name : str
        What ``--option`` takes.
    description, unit : str
    values : tuple of str
        What may be chosen; empty when anything may be written.
    least, most : str
    services : tuple of str
        Titles of the services that have it.
    """

    name: str
    description: str = ""
    unit: str = ""
    values: tuple[str, ...] = ()
    least: str = ""
    most: str = ""
    services: tuple[str, ...] = ()


def order(session: Session, record: Record, options: Mapping[str, str]) -> Order:
    """How a record is fetched with these options.

    Raises
    ------
    HarvestError
        The service has no such option, or does not take the value; it names those that there are.
    ServiceError
        Its links cannot be read.
    """
    if not options and (not record.datalink or record.datalink != record.address):
        return Order(record.address)
    from emberline.vo.client import datalink

    rest = {name: value for name, value in options.items() if name != LINK}
    problems: list[EmberlineError] = []
    descriptor, parameters = _service(record.services, rest, problems) if rest else (None, {})
    if descriptor is None and record.datalink:
        found = datalink.links(session, record.datalink)
        if not rest:
            return Order(_link(found, options.get(LINK, "#this")).url)
        linked = [link.descriptor for link in found if link.descriptor is not None]
        descriptor, parameters = _service(linked, rest, problems)
    if descriptor is None:
        raise problems[0] if problems else _nothing_offered(options)
    return Order(descriptor.access_url, descriptor, parameters)


def _nothing_offered(options: Mapping[str, str]) -> HarvestError:
    return HarvestError(
        "the service offers no options for this spectrum",
        found=f"option {', '.join(options)}",
        expected="a SODA service in its answer or among its links",
        action="Fetch it without options.",
    )


def _link(found: Sequence[Link], wanted: str) -> Link:
    """The link with these semantics, or with this text in its description; files that cannot be spectra come last."""
    word = wanted.lower()
    usable = [link for link in found if link.url and not link.error]
    fits = [link for link in usable if link.semantics.lower().lstrip("#") == word.lstrip("#")]
    fits = fits or [link for link in usable if word in link.description.lower()]
    if not fits:
        said = "; ".join(link.error for link in found if link.error)
        known = ", ".join(sorted({link.semantics or "no semantics" for link in usable}))
        raise HarvestError(f"there is no link {wanted!r}", found=said or known or "no links", expected="one of those")
    return min(fits, key=lambda link: link.media_type.lower().startswith(_PICTURES))


def _service(
    descriptors: Sequence[Descriptor], options: Mapping[str, str], problems: list[EmberlineError]
) -> tuple[Descriptor | None, dict[str, Any]]:
    """The first service that takes all the options, and what it is told; why the others do not goes to `problems`."""
    for descriptor in descriptors:
        told: dict[str, Any] = {}
        try:
            for name, value in options.items():
                told |= _told(descriptor, name, value)
        except EmberlineError as error:
            problems.append(error)
        else:
            return descriptor, told
    return None, {}


def _told(descriptor: Descriptor, name: str, value: str) -> dict[str, Any]:
    """One option as the service's own parameter and value."""
    known = {parameter.name.upper(): parameter for parameter in descriptor.parameters}
    names = [name, *ALIASES.get(name, ())]
    parameter = next((known[key] for key in names if key in known), None)
    if name == "RECTIFIED" and value.lower() in _NO:
        return {}
    if parameter is None:
        offered = sorted(key for key, found in known.items() if not (found.ref or found.value))
        raise HarvestError(
            f"the service has no option {name}", found=name, expected=f"one of {', '.join(offered) or 'none'}"
        )
    if _is_band(parameter):
        return {parameter.name: _band(parameter, name, value)}
    if name == "RECTIFIED" and value.lower() in _YES:
        return {parameter.name: _rectified(parameter)}
    return {parameter.name: _choice(parameter, name, value)}


def _is_band(parameter: Parameter) -> bool:
    return parameter.name.upper() == "BAND" or (parameter.ucd.startswith("em.wl") and parameter.xtype == "interval")


def _band(parameter: Parameter, name: str, value: str) -> tuple[float, float]:
    """Wavelengths in the service's unit; vacuum Å where the option has none."""
    factor = _METRES.get(parameter.unit.strip().lower())
    if factor is None:
        raise HarvestError(f"the service wants {name} in a unit that is not known here", found=parameter.unit)
    try:
        low, high = parse_band(value)
    except ConfigError as error:
        raise HarvestError(f"the option {name} is no range", found=error.found, expected=error.expected) from error
    return float(f"{low * factor:.12g}"), float(f"{high * factor:.12g}") if math.isfinite(high) else high


def _rectified(parameter: Parameter) -> str:
    values = [value for value, _ in parameter.options]
    for value in values:
        if value.lower() in _RECTIFIED:
            return value
    if len(values) == 1:
        return values[0]
    raise HarvestError(
        f"the service rectifies in several ways by {parameter.name}",
        found="rectified=yes",
        expected=f"one of {', '.join(values) or 'its values'}",
    )


def _choice(parameter: Parameter, name: str, value: str) -> str:
    """A value that the service allows: as it is, in any case, or as the one that has it in its name."""
    values = [allowed for allowed, _ in parameter.options]
    if not values:
        return value
    bare = value.lower()
    same = [allowed for allowed in values if allowed.lower() == bare]
    part = [allowed for allowed in values if bare in allowed.lower()]
    if same or len(part) == 1:
        return (same or part)[0]
    raise HarvestError(
        f"the service does not take this value of {name}", found=value, expected=f"one of {', '.join(values)}"
    )


def offers(session: Session, records: Iterable[Record]) -> tuple[tuple[Offer, ...], dict[str, str]]:
    """The options of the services behind some records, each service asked about its first record with links.

    Returns
    -------
    tuple
        The offers, by name; and for each service that could not be asked, why.
    """
    found: dict[str, Offer] = {}
    wrong: dict[str, str] = {}
    firsts: dict[str, Record] = {}
    for record in records:
        if record.datalink or record.services:
            firsts.setdefault(record.service, record)
    answers = {
        record.service: (descriptors, error)
        for record, descriptors, error in as_they_come(
            lambda item: _described(session, item), firsts.values(), _AT_ONCE
        )
    }
    for service, record in firsts.items():
        title = record.service_title or service
        descriptors, error = answers[service]
        if error:
            wrong[title] = error
        for descriptor in descriptors:
            for parameter in descriptor.parameters:
                if not (parameter.value or parameter.ref or parameter.name.upper() == "ID"):
                    _merge(found, parameter, title)
    return tuple(sorted(found.values(), key=lambda offer: offer.name)), wrong


def _described(session: Session, record: Record) -> tuple[Record, list[Descriptor], str]:
    """The services on a spectrum: those that came with it, and those among its links."""
    from emberline.vo.client import datalink

    descriptors = list(record.services)
    if descriptors or not record.datalink:
        return record, descriptors, ""
    try:
        links = datalink.links(session, record.datalink)
    except EmberlineError as error:
        return record, descriptors, str(error)
    return record, [link.descriptor for link in links if link.descriptor is not None], ""


def _merge(found: dict[str, Offer], parameter: Parameter, title: str) -> None:
    name = parameter.name.upper()
    new = Offer(
        name,
        parameter.description,
        parameter.unit,
        tuple(value for value, _ in parameter.options if not value.startswith(_PICTURES)),
        parameter.least,
        parameter.most,
        (title,),
    )
    old = found.get(name)
    if old is not None:
        values = (*old.values, *(value for value in new.values if value not in old.values))
        services = old.services if title in old.services else (*old.services, title)
        new = dataclasses.replace(old, values=values, services=services)
    found[name] = new
