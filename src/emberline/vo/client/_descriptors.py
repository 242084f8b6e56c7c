"""Services described in a VOTable: what each can be asked, and how its parameters hang on the rows of a table."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Mapping

from emberline.vo.client._votable import Document, Field, Resource
from emberline.vo.client.soda import Descriptor, Parameter

__all__ = ["bound", "described", "links_address"]

_LINKS = "ivo://ivoa.net/std/datalink#links"


def described(document: Document, url: str) -> dict[str, Descriptor]:
    """The services of a document by their XML identifiers; those without one by their number.

    What has no address is left out: it cannot be asked.
    """
    found: dict[str, Descriptor] = {}
    for number, resource in enumerate(document.resources()):
        if resource.type.lower() == "meta" and resource.utype.lower().endswith("service"):
            descriptor = _descriptor(resource, url)
            if descriptor is not None:
                found[resource.ID or f"#{number}"] = descriptor
    return found


def _descriptor(resource: Resource, url: str) -> Descriptor | None:
    constants = {param.name.lower(): (param.value or "").strip() for param in resource.params}
    address = constants.get("accessurl", "")
    if not address:
        return None
    groups = {name.lower(): params for name, params in resource.groups.items()}
    return Descriptor(
        identifier=resource.ID,
        standard=constants.get("standardid", ""),
        access_url=urllib.parse.urljoin(url, address),
        parameters=tuple(_parameter(param) for param in groups.get("inputparams", ())),
        description=resource.description or resource.name,
    )


def _parameter(param: Field) -> Parameter:
    return Parameter(
        name=param.name,
        datatype=param.datatype,
        arraysize=param.arraysize,
        xtype=param.xtype,
        unit=param.unit,
        ucd=param.ucd,
        description=param.description,
        value=param.value or "",
        ref=param.ref,
        least=param.least or "",
        most=param.most or "",
        options=tuple(param.options),
    )


def bound(descriptor: Descriptor, row: Mapping[str, str]) -> Descriptor:
    """The service for one row: its parameters that refer to columns have the row's values.

    Parameters
    ----------
    descriptor : Descriptor
    row : mapping of str to str
        Values by the XML identifiers of their columns.
    """
    parameters = tuple(
        dataclasses.replace(item, value=row[item.ref], ref="") if item.ref in row else item
        for item in descriptor.parameters
    )
    return dataclasses.replace(descriptor, parameters=parameters)


def links_address(descriptor: Descriptor) -> str:
    """The address of a row's links, when this is a service of links that was bound to a row; empty otherwise."""
    if not descriptor.standard.lower().startswith(_LINKS):
        return ""
    values = {item.name: item.value for item in descriptor.parameters if item.value and not item.ref}
    if "ID" not in {name.upper() for name in values}:
        return ""
    join = "&" if "?" in descriptor.access_url else "?"
    separator = "" if descriptor.access_url.endswith(("?", "&")) else join
    return f"{descriptor.access_url}{separator}{urllib.parse.urlencode(values)}"
