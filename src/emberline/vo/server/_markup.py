"""XML that cannot be broken by what is put into it: elements as plain values, written with everything escaped."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

__all__ = ["NAMESPACES", "Element", "element", "write", "xml_text"]

NAMESPACES = {
    "cs": "http://www.ivoa.net/xml/ConeSearch/v1.0",
    "dc": "http://purl.org/dc/elements/1.1/",
    "oai": "http://www.openarchives.org/OAI/2.0/",
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "ri": "http://www.ivoa.net/xml/RegistryInterface/v1.0",
    "ssap": "http://www.ivoa.net/xml/SSA/v1.1",
    "tr": "http://www.ivoa.net/xml/TAPRegExt/v1.0",
    "vg": "http://www.ivoa.net/xml/VORegistry/v1.0",
    "vosi": "http://www.ivoa.net/xml/VOSICapabilities/v1.0",
    "vosia": "http://www.ivoa.net/xml/VOSIAvailability/v1.0",
    "vosit": "http://www.ivoa.net/xml/VOSITables/v1.0",
    "vr": "http://www.ivoa.net/xml/VOResource/v1.0",
    "vs": "http://www.ivoa.net/xml/VODataService/v1.1",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
"""The prefixes by which all documents name their elements and types."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_QNAME = re.compile(r"[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Element:
    """An element: its name with its prefix, its attributes, and what is inside."""

    name: str
    attributes: Mapping[str, str]
    children: tuple[Element | str, ...]


def element(
    name: str,
    *children: Element | str | Iterable[Element | str] | None,
    attributes: Mapping[str, str] | None = None,
) -> Element:
    """An element. Iterables among the children are their items; None, and attributes without a value, are left out."""
    inside: list[Element | str] = []
    for child in children:
        if isinstance(child, Element | str):
            inside.append(child)
        elif child is not None:
            inside.extend(child)
    known = {key: value for key, value in (attributes or {}).items() if value}
    for key in (name, *known):
        if not _QNAME.fullmatch(key):
            raise ValueError(f"{key!r} is no name in XML")
    return Element(name, known, tuple(inside))


def xml_text(text: str) -> str:
    """`text` with a replacement character for each one that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def write(root: Element, *, stylesheet: str = "") -> bytes:
    """The document with this root, in UTF-8; the namespaces of all prefixes in it are declared there."""
    prefixes = sorted(_prefixes(root) & NAMESPACES.keys())
    declared = {f"xmlns:{prefix}": NAMESPACES[prefix] for prefix in prefixes}
    root = dataclasses.replace(root, attributes={**declared, **root.attributes})
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    if stylesheet:
        head += f'<?xml-stylesheet type="text/xsl" href="{_escaped(stylesheet)}"?>\n'
    return (head + "".join(_pieces(root, 0)) + "\n").encode()


def _prefixes(node: Element) -> set[str]:
    """All prefixes of names and, because of xsi:type, of values."""
    found = {text.partition(":")[0] for text in (node.name, *node.attributes, *node.attributes.values()) if ":" in text}
    return found.union(*(_prefixes(child) for child in node.children if isinstance(child, Element)))


def _pieces(node: Element, depth: int) -> Iterable[str]:
    pad = " " * depth
    start = pad + "<" + node.name + "".join(f' {key}="{_escaped(value)}"' for key, value in node.attributes.items())
    if not node.children:
        yield f"{start}/>"
    elif any(isinstance(child, str) for child in node.children):
        inside = "".join(child if isinstance(child, str) else "" for child in node.children)
        yield f"{start}>{_text(inside)}</{node.name}>"
    else:
        yield f"{start}>\n"
        for child in node.children:
            if isinstance(child, Element):
                yield from _pieces(child, depth + 1)
                yield "\n"
        yield f"{pad}</{node.name}>"


def _text(text: str) -> str:
    return "".join(_ESCAPES[letter] if letter in "&<>" else letter for letter in xml_text(text))


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in xml_text(text))
