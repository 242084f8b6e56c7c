"""How UWS documents stand in golden files."""

from __future__ import annotations

from xml.etree import ElementTree

NAMESPACES = {
    "uws": "http://www.ivoa.net/xml/UWS/v1.0",
    "xlink": "http://www.w3.org/1999/xlink",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "emberline": "urn:x-emberline:job:1",
}


def pretty(document: bytes) -> str:
    """The document with one element on a line, whichever library has written it."""
    for prefix, address in NAMESPACES.items():
        ElementTree.register_namespace(prefix, address)
    root = ElementTree.fromstring(document)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
