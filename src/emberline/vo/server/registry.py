"""A publishing registry: VOResource records of all that is published, harvested by OAI-PMH 2.0."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.provenance import now
from emberline.vo.server._markup import Element, element, write
from emberline.vo.server._records import Record, item_record, records_of, registry_record, spokesman
from emberline.vo.server.dali import Call, DaliError, Endpoint, plain_refusal
from emberline.vo.server.vosi import item_of

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, Snapshot

__all__ = ["OaiError", "oai_document", "routes"]

_XML = "text/xml;charset=UTF-8"
_SET = "ivo_managed"
_PREFIXES = ("ivo_vor", "oai_dc")
_FORMATS = {
    "ivo_vor": ("http://www.ivoa.net/xml/RegistryInterface/v1.0", "http://www.ivoa.net/xml/RegistryInterface/v1.0"),
    "oai_dc": ("http://www.openarchives.org/OAI/2.0/oai_dc.xsd", "http://www.openarchives.org/OAI/2.0/oai_dc/"),
}
"""Schema and namespace of each format."""
_LISTS = {"from", "until", "set", "metadataPrefix", "resumptionToken"}
_ARGUMENTS: Mapping[str, tuple[set[str], set[str]]] = {
    "Identify": (set(), set()),
    "ListMetadataFormats": (set(), {"identifier"}),
    "ListSets": (set(), {"resumptionToken"}),
    "GetRecord": ({"identifier", "metadataPrefix"}, set()),
    "ListIdentifiers": ({"metadataPrefix"}, _LISTS),
    "ListRecords": ({"metadataPrefix"}, _LISTS),
}
"""Required and further arguments of each verb."""


def routes(published: Published) -> list[BaseRoute]:
    """The routes of the registry: OAI-PMH, and the record of each resource by itself."""

    def oai(call: Call) -> Response:
        arguments = call.parameters.rest()
        return Response(oai_document(published.snapshot(), arguments, call.base), media_type=_XML)

    def record(call: Call) -> Response:
        document = item_record(published.snapshot(), item_of(published, call.name), call.base)
        return Response(write(document), media_type=_XML)

    return [
        Route("/registry/oai", Endpoint(oai, plain_refusal).answer, methods=["GET", "POST"]),
        Route("/{name}/record.xml", Endpoint(record, plain_refusal).answer, methods=["GET"]),
    ]


class OaiError(Exception):
    """A request that OAI-PMH answers with an error: its code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def oai_document(snapshot: Snapshot, arguments: Mapping[str, list[str]], base: str) -> bytes:
    """The answer to one OAI-PMH request.

    Parameters
    ----------
    snapshot : Snapshot
    arguments : mapping
        Each argument's values as they were sent.
    base : str
        The address of the services.
    """
    if not [*snapshot] and not snapshot.withdrawn:
        raise DaliError("Nothing is published here yet.", 404, "NotFoundFault")
    try:
        asked = _checked(arguments)
        body = _VERBS[asked["verb"]](snapshot, asked, base)
        attributes = asked
    except OaiError as error:
        body = element("oai:error", str(error), attributes={"code": error.code})
        wrong = error.code in ("badVerb", "badArgument")
        attributes = {} if wrong else {name: values[0] for name, values in arguments.items()}
    root = element(
        "oai:OAI-PMH",
        element("oai:responseDate", now()),
        element("oai:request", f"{base}/registry/oai", attributes=attributes),
        body,
    )
    return write(root)


def _checked(arguments: Mapping[str, list[str]]) -> dict[str, str]:
    """The arguments, each once, when the verb takes them."""
    verb = arguments.get("verb", [])
    if len(verb) != 1 or verb[0] not in _ARGUMENTS:
        raise OaiError("badVerb", f"the verb is missing, repeated or unknown; expected {', '.join(_ARGUMENTS)}")
    required, further = _ARGUMENTS[verb[0]]
    for name, values in arguments.items():
        if name != "verb" and name not in required | further:
            raise OaiError("badArgument", f"{verb[0]} takes no {name[:60]}")
        if len(values) > 1:
            raise OaiError("badArgument", f"{name[:60]} is repeated")
    if "resumptionToken" in arguments:
        raise OaiError("badResumptionToken", "this registry gives whole lists and no tokens")
    missing = sorted(required - arguments.keys())
    if missing:
        raise OaiError("badArgument", f"{verb[0]} needs {', '.join(missing)}")
    prefix = arguments.get("metadataPrefix", ["ivo_vor"])[0]
    if prefix not in _PREFIXES:
        raise OaiError("cannotDisseminateFormat", f"the formats are {', '.join(_PREFIXES)}")
    return {name: values[0] for name, values in arguments.items()}


# --- verbs -----------------------------------------------------------------------------------------------------------


def _identify(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> Element:
    records = records_of(snapshot, base)
    first = spokesman(snapshot)
    return element(
        "oai:Identify",
        element("oai:repositoryName", f"{first.publisher}: publishing registry"),
        element("oai:baseURL", f"{base}/registry/oai"),
        element("oai:protocolVersion", "2.0"),
        element("oai:adminEmail", first.contact_email),
        element("oai:earliestDatestamp", min(record.datestamp for record in records)),
        element("oai:deletedRecord", "transient"),
        element("oai:granularity", "YYYY-MM-DDThh:mm:ssZ"),
        element("oai:description", registry_record(snapshot, base)),
    )


def _formats(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> Element:
    if "identifier" in asked:
        _find(snapshot, asked["identifier"], base)
    return element(
        "oai:ListMetadataFormats",
        [
            element(
                "oai:metadataFormat",
                element("oai:metadataPrefix", prefix),
                element("oai:schema", schema),
                element("oai:metadataNamespace", namespace),
            )
            for prefix, (schema, namespace) in _FORMATS.items()
        ],
    )


def _sets(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> Element:
    text = "All records that this registry has made itself: what full registries harvest."
    about = element("oai:setDescription", _dublin_core({"title": [_SET], "description": [text]}))
    return element(
        "oai:ListSets",
        element("oai:set", element("oai:setSpec", _SET), element("oai:setName", "Managed by this registry"), about),
    )


def _get(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> Element:
    return element("oai:GetRecord", _record(_find(snapshot, asked["identifier"], base), asked["metadataPrefix"]))


def _list_identifiers(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> Element:
    return element("oai:ListIdentifiers", [_header(record) for record in _selected(snapshot, asked, base)])


def _list_records(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> Element:
    found = _selected(snapshot, asked, base)
    return element("oai:ListRecords", [_record(record, asked["metadataPrefix"]) for record in found])


_VERBS: Mapping[str, Callable[[Snapshot, Mapping[str, str], str], Element]] = {
    "Identify": _identify,
    "ListMetadataFormats": _formats,
    "ListSets": _sets,
    "GetRecord": _get,
    "ListIdentifiers": _list_identifiers,
    "ListRecords": _list_records,
}


def _find(snapshot: Snapshot, identifier: str, base: str) -> Record:
    for record in records_of(snapshot, base):
        if record.ivoid.lower() == identifier.lower():
            return record
    raise OaiError("idDoesNotExist", "there is no record of this identifier")


def _selected(snapshot: Snapshot, asked: Mapping[str, str], base: str) -> list[Record]:
    """The records of a set within a range of time, both ends included."""
    start, end = (asked.get(name) for name in ("from", "until"))
    if start and end and len(start) != len(end):
        raise OaiError("badArgument", "from and until differ in granularity")
    low = _moment("from", start, "T00:00:00Z") if start else ""
    high = _moment("until", end, "T23:59:59Z") if end else "9"
    if low > high:
        raise OaiError("badArgument", "from lies after until")
    records = records_of(snapshot, base) if asked.get("set", _SET) == _SET else []
    found = [record for record in records if low <= record.datestamp <= high]
    if not found:
        raise OaiError("noRecordsMatch", "no record changed within this time, or there is no such set")
    return found


def _moment(name: str, text: str, rest: str) -> str:
    """A date, or a time to the second, as the records write theirs."""
    whole = text + rest if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else text
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", whole, re.ASCII):
            raise ValueError
        datetime.datetime.fromisoformat(whole)
    except ValueError:
        raise OaiError("badArgument", f"{name}: expected YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ") from None
    return whole


# --- records ---------------------------------------------------------------------------------------------------------


def _header(record: Record) -> Element:
    return element(
        "oai:header",
        element("oai:identifier", record.ivoid),
        element("oai:datestamp", record.datestamp),
        element("oai:setSpec", _SET),
        attributes={"status": "" if record.make else "deleted"},
    )


def _record(record: Record, prefix: str) -> Element:
    if record.make is None:
        return element("oai:record", _header(record))
    metadata = record.make() if prefix == "ivo_vor" else _described(record)
    return element("oai:record", _header(record), element("oai:metadata", metadata))


def _described(record: Record) -> Element:
    return _dublin_core(
        {
            "title": [record.title],
            "creator": record.creators,
            "subject": record.subjects,
            "description": [record.description],
            "publisher": [record.publisher],
            "date": [record.datestamp[:10]],
            "identifier": [record.ivoid],
            "rights": [record.rights],
        }
    )


def _dublin_core(words: Mapping[str, Iterable[str]]) -> Element:
    items = [element(f"dc:{name}", text) for name, texts in words.items() for text in texts if text]
    return element("oai_dc:dc", items)
