"""Registry records (VOResource 1.1, VODataService 1.2): what is published, its services, and who publishes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from emberline.vo.server._capabilities import (
    auxiliary_tap,
    item_capabilities,
    sia_capabilities,
    tap_capabilities,
)
from emberline.vo.server._markup import Element, element
from emberline.vo.server.vosi import table_elements

if TYPE_CHECKING:
    from emberline.vo.server.publication import Publication
    from emberline.vo.server.published import PublishedArchive, PublishedCatalogue, Snapshot

__all__ = ["Record", "item_record", "records_of", "registry_record", "spokesman"]

_JOULE_METRES = 6.62607015e-34 * 299_792_458.0
_HARVEST = "ivo://ivoa.net/std/Registry"


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of the registry.

    Attributes
    ----------
    ivoid : str
    datestamp : str
        When it changed, UTC.
    title, publisher, description, rights : str
    creators, subjects : tuple of str
    make : callable, or None
        Gives the element ``ri:Resource``; None for what was withdrawn.
    """

    ivoid: str
    datestamp: str
    title: str
    publisher: str
    description: str = ""
    rights: str = ""
    creators: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    make: Callable[[], Element] | None = None


def records_of(snapshot: Snapshot, base: str) -> list[Record]:
    """All records, by identifier: the registry's, the authorities', the shared services', and one for each resource."""
    found = [_of_item(snapshot, item, base) for item in snapshot]
    found += [_withdrawn(record) for record in snapshot.withdrawn]
    if found:
        found.append(_registry(snapshot, base))
        found += [_authority(record, base) for record in _by_authority(_publications(snapshot))]
    if [*snapshot]:
        found.append(_tap(snapshot, base))
    if snapshot.archives:
        found.append(_sia(snapshot, base))
    return sorted(found, key=lambda record: record.ivoid)


def item_record(snapshot: Snapshot, item: PublishedArchive | PublishedCatalogue, base: str) -> Element:
    """The record of one archive or catalogue with its services, as ``ri:Resource``."""
    record = item.publication
    tables = _tables_of(item)
    return _resource(
        "vs:CatalogService",
        record,
        record.ivoid,
        record.title,
        _content(
            record, base, "Archive" if record.kind == "archive" else "Catalog", relations=_relations(snapshot, item)
        ),
        [*_rights(record), *item_capabilities(item, base), auxiliary_tap(base)],
        [element("facility", record.facility)] if record.facility else [],
        [element("instrument", record.instrument)] if record.instrument else [],
        [_coverage(item, base), element("tableset", tables)],
    )


def registry_record(snapshot: Snapshot, base: str) -> Element:
    """The record of this publishing registry, which stands in the answer to Identify too."""
    first = spokesman(snapshot)
    harvest = element(
        "capability",
        element(
            "interface",
            element("accessURL", f"{base}/registry/oai", attributes={"use": "base"}),
            attributes={"xsi:type": "vg:OAIHTTP", "role": "std", "version": "1.0"},
        ),
        element("maxRecords", "0"),
        attributes={"xsi:type": "vg:Harvest", "standardID": _HARVEST},
    )
    return _resource(
        "vg:Registry",
        first,
        f"ivo://{first.authority}/registry",
        f"{first.publisher}: publishing registry",
        _plain_content(f"Registry of the resources that {first.publisher} publishes with Emberline.", f"{base}/"),
        [harvest],
        [element("full", "false")],
        [element("managedAuthority", record.authority) for record in _by_authority(_publications(snapshot))],
        changed=_latest(snapshot),
    )


def _of_item(snapshot: Snapshot, item: PublishedArchive | PublishedCatalogue, base: str) -> Record:
    record = item.publication
    return Record(
        record.ivoid,
        record.updated,
        record.title,
        record.publisher,
        record.description,
        record.rights,
        record.creators,
        record.subjects,
        lambda: item_record(snapshot, item, base),
    )


def _withdrawn(record: Publication) -> Record:
    return Record(record.ivoid, record.withdrawn, record.title, record.publisher)


def _registry(snapshot: Snapshot, base: str) -> Record:
    first = spokesman(snapshot)
    return Record(
        f"ivo://{first.authority}/registry",
        _latest(snapshot),
        f"{first.publisher}: publishing registry",
        first.publisher,
        make=lambda: registry_record(snapshot, base),
    )


def _authority(record: Publication, base: str) -> Record:
    title = f"{record.publisher}: naming authority {record.authority}"

    def make() -> Element:
        text = f"Under this authority {record.publisher} names its resources."
        return _resource(
            "vg:Authority",
            record,
            f"ivo://{record.authority}",
            title,
            _plain_content(text, f"{base}/"),
            [element("managingOrg", record.publisher)],
        )

    return Record(f"ivo://{record.authority}", record.updated, title, record.publisher, make=make)


def _tap(snapshot: Snapshot, base: str) -> Record:
    first = spokesman(snapshot)
    ivoid, title = f"ivo://{first.authority}/tap", f"{first.publisher}: TAP service"
    text = "ADQL queries of all published tables: " + "; ".join(item.publication.title for item in snapshot) + "."

    def make() -> Element:
        return _resource(
            "vs:CatalogService",
            first,
            ivoid,
            title,
            _plain_content(text, f"{base}/"),
            tap_capabilities(snapshot, base),
            [element("tableset", table_elements(snapshot.tables(base), columns=True))],
            changed=_latest(snapshot),
        )

    return Record(ivoid, _latest(snapshot), title, first.publisher, text, make=make)


def _sia(snapshot: Snapshot, base: str) -> Record:
    first = spokesman(snapshot)
    ivoid, title = f"ivo://{first.authority}/sia2", f"{first.publisher}: all spectra by SIA 2"
    text = "The spectra of all published archives, found by position, wavelength and time."

    def make() -> Element:
        content = _plain_content(text, f"{base}/")
        services = sia_capabilities(base)
        return _resource(
            "vs:CatalogService", first, ivoid, title, content, services, changed=_latest(snapshot), short="SIA2"
        )

    return Record(ivoid, _latest(snapshot), title, first.publisher, text, make=make)


def _by_authority(records: Iterable[Publication]) -> list[Publication]:
    """One publication for each authority: the first that was published."""
    found: dict[str, Publication] = {}
    for record in sorted(records, key=lambda record: (record.created, record.name)):
        found.setdefault(record.authority, record)
    return [found[name] for name in sorted(found)]


def _publications(snapshot: Snapshot) -> list[Publication]:
    """What is published, or, when nothing is any more, what was."""
    return [item.publication for item in snapshot] or [*snapshot.withdrawn]


def spokesman(snapshot: Snapshot) -> Publication:
    """Whose publisher and authority stand for what is shared: those of what was published first."""
    return min(_publications(snapshot), key=lambda record: (record.created, record.name))


def _latest(snapshot: Snapshot) -> str:
    return max([*(item.publication.updated for item in snapshot), *(item.withdrawn for item in snapshot.withdrawn)])


def _resource(
    kind: str,
    record: Publication,
    ivoid: str,
    title: str,
    content: Element,
    *inside: Iterable[Element],
    changed: str = "",
    short: str = "",
) -> Element:
    short = short or (record.name[:16] if ivoid == record.ivoid else "")
    identifiers = []
    if ivoid == record.ivoid and record.doi:
        identifiers.append(element("altIdentifier", f"doi:{record.doi}"))
    return element(
        "ri:Resource",
        element("title", title),
        element("shortName", short) if short else None,
        element("identifier", ivoid),
        identifiers,
        _curation(record, ivoid == record.ivoid),
        content,
        *inside,
        attributes={
            "xsi:type": kind,
            "created": record.created,
            "updated": changed or record.updated,
            "status": "active",
            "version": "1.1",
        },
    )


def _curation(record: Publication, own: bool) -> Element:
    people = [element("creator", element("name", name)) for name in record.creators] if own else []
    dates = []
    if own:
        dates = [
            element("date", record.created, attributes={"role": "Created"}),
            element("date", record.updated, attributes={"role": "Updated"}),
            element("version", str(record.version)),
        ]
    contact = element("contact", element("name", record.contact_name), element("email", record.contact_email))
    return element("curation", element("publisher", record.publisher), people, dates, contact)


def _content(record: Publication, base: str, kind: str, relations: Iterable[Element]) -> Element:
    source = element("source", record.bibcode, attributes={"format": "bibcode"}) if record.bibcode else None
    return element(
        "content",
        [element("subject", subject) for subject in record.subjects],
        element("description", record.description),
        source,
        element("referenceURL", record.reference_url or f"{base}/{record.name}/"),
        element("type", kind),
        element("contentLevel", "Research"),
        relations,
    )


def _plain_content(description: str, address: str) -> Element:
    return element(
        "content",
        element("subject", "virtual-observatories"),
        element("description", description),
        element("referenceURL", address),
        element("type", "Other"),
        element("contentLevel", "Research"),
    )


def _relations(snapshot: Snapshot, item: PublishedArchive | PublishedCatalogue) -> list[Element]:
    """What it was made from, as far as that is published here, and where its table can be queried."""
    sources = [snapshot.by_name[name].publication for name in item.summary.archives if name in snapshot.by_name]
    pairs = [("IsDerivedFrom", record.title, record.ivoid) for record in sources]
    first = spokesman(snapshot)
    pairs.append(("IsServedBy", f"{first.publisher}: TAP service", f"ivo://{first.authority}/tap"))
    return [
        element(
            "relationship",
            element("relationshipType", kind),
            element("relatedResource", title, attributes={"ivo-id": ivoid}),
        )
        for kind, title, ivoid in pairs
    ]


def _rights(record: Publication) -> list[Element]:
    if not record.rights and not record.rights_url:
        return []
    return [element("rights", record.rights or record.rights_url, attributes={"rightsURI": record.rights_url})]


def _coverage(item: PublishedArchive | PublishedCatalogue, base: str) -> Element:
    from emberline.vo.server.coverage import read_coverage, short_text

    summary, record = item.summary, item.publication
    inside = []
    if summary.placed:
        inside.append(element("spatial", short_text(read_coverage(item.moc_path))))
    if summary.mjd:
        inside.append(element("temporal", f"{summary.mjd[0]:.5f} {summary.mjd[1]:.5f}"))
    if summary.wavelength_angstrom:
        energies = sorted(_JOULE_METRES / (1e-10 * value) for value in summary.wavelength_angstrom)
        inside.append(element("spectral", f"{energies[0]:.6e} {energies[1]:.6e}"))
    if summary.placed:
        address = f"{base}/{record.name}/moc.fits"
        inside.append(element("footprint", address, attributes={"ivo-id": "ivo://ivoa.net/std/moc"}))
    inside += [element("waveband", name) for name in record.waveband]
    return element("coverage", inside)


def _tables_of(item: PublishedArchive | PublishedCatalogue) -> list[Element]:
    from emberline.vo.server.adql.tables import Schema, TableSet

    return table_elements(TableSet((item.table,), (Schema(item.name, item.publication.title),)))
