"""What a service says of itself: the tables and limits in its VOSI documents (https://www.ivoa.net/documents/VOSI/)."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from emberline.vo.client._answers import said
from emberline.vo.client.errors import ProtocolError, UnsafeXMLError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["TapLimits", "local", "read_limits", "read_tables", "root_of"]


@dataclasses.dataclass(frozen=True)
class TapLimits:
    """What a TAP service accepts; None where it does not say.

    Attributes
    ----------
    upload_rows, upload_bytes : int or None
        Of an uploaded table.
    output_rows : int or None
        Of an answer, however many are asked for.
    uploads : bool or None
        Whether tables may come in the request itself.
    languages : tuple of str
        ``ADQL-2.0`` …
    """

    upload_rows: int | None = None
    upload_bytes: int | None = None
    output_rows: int | None = None
    uploads: bool | None = None
    languages: tuple[str, ...] = ()


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def root_of(body: bytes, url: str, expected: str) -> Element:
    """The root element of a document, which must be of the local name `expected`.

    Raises
    ------
    ProtocolError
        It is no XML, or another document.
    UnsafeXMLError
        It declares entities.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(body)
    except DefusedXmlException:
        raise UnsafeXMLError("the answer is XML that declares entities, which is not read", url=url) from None
    except (ParseError, ValueError, LookupError) as error:
        raise ProtocolError(
            f"the answer is no XML ({str(error)[:80]})",
            url=url,
            expected=f"a {expected} document",
            service_said=said(body),
        ) from None
    if local(root) != expected:
        raise ProtocolError(
            "the answer is another document", url=url, found=local(root), expected=expected, service_said=said(body)
        )
    return root


def read_limits(body: bytes, url: str) -> TapLimits:
    """The limits in a document ``capabilities``."""
    root = root_of(body, url, "capabilities")
    found: dict[str, Any] = {}
    languages: list[str] = []
    methods: list[str] = []
    for element in root.iter():
        name = local(element)
        if name == "uploadLimit":
            number, unit = _limit(element)
            if number:
                found["upload_bytes" if unit.startswith("byte") else "upload_rows"] = number
        elif name == "outputLimit":
            number, unit = _limit(element)
            if number and not unit.startswith("byte"):
                found["output_rows"] = number
        elif name == "uploadMethod":
            methods.append(str(element.get("ivo-id", "")).lower())
        elif name == "language":
            languages += _language(element)
    if _is_tap(root):
        found["uploads"] = any(method.endswith("inline") for method in methods) if methods else False
    return TapLimits(**found, languages=tuple(languages))


def _is_tap(root: Element) -> bool:
    """Whether the capability of TAP is written out (TAPRegExt), so that what is not said is not offered."""
    return any(local(element) == "language" for element in root.iter())


def _limit(element: Element) -> tuple[int, str]:
    """The hard limit, or the default where there is none, and its unit."""
    by_name = {local(child): child for child in element}
    child = by_name.get("hard", by_name.get("default"))
    if child is None:
        return 0, ""
    text = (child.text or "").strip()
    return (int(text) if text.isdigit() else 0), str(child.get("unit", "row")).lower()


def _language(element: Element) -> Iterator[str]:
    names = [(child.text or "").strip() for child in element if local(child) == "name"]
    for child in element:
        if local(child) == "version" and names:
            yield f"{names[0]}-{(child.text or '').strip()}"


def read_tables(
    body: bytes, url: str, *, with_columns: bool, limit: int
) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Name, description and columns of the first `limit` tables in a document ``tableset``."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    found: list[tuple[str, str, list[dict[str, str]]]] = []
    began = False
    try:
        for event, element in iterparse(io.BytesIO(body), events=("start", "end")):
            if not began:
                began = True
                if local(element) not in ("tableset", "tables"):
                    raise ProtocolError(
                        "the answer is another document", url=url, found=local(element), expected="tableset"
                    )
            if event == "end" and local(element) == "table":
                found.append(_table(element, with_columns=with_columns))
                element.clear()
                if len(found) >= limit:
                    break
    except DefusedXmlException:
        raise UnsafeXMLError("the answer is XML that declares entities, which is not read", url=url) from None
    except (ParseError, ValueError, LookupError) as error:
        raise ProtocolError(f"the list of tables is no XML ({str(error)[:80]})", url=url) from None
    return found


def _table(element: Element, *, with_columns: bool) -> tuple[str, str, list[dict[str, str]]]:
    columns = [_column(child) for child in element if with_columns and local(child) == "column"]
    return _text(element, "name"), _text(element, "description"), columns


def _column(element: Element) -> dict[str, str]:
    words = {name: _text(element, name) for name in ("name", "unit", "ucd", "description")}
    return {**words, "datatype": _text(element, "dataType")}


def _text(element: Element, name: str) -> str:
    return next((" ".join((child.text or "").split()) for child in element if local(child) == name), "")
