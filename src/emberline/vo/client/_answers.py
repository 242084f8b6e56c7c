"""What is read of an answer before anybody trusts it: its bytes within limits, its XML, what it says for itself."""

from __future__ import annotations

import datetime
import html
import io
import re
import xml.parsers.expat
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from emberline.errors import MissingExtraError
from emberline.vo.client.errors import ProtocolError, StatusError, TooLargeError, UnsafeXMLError

try:
    import requests
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "requests", "vo") from error

__all__ = ["Answer", "Body", "decoded", "media_type", "refuse_unsafe_xml", "said"]

_CHUNK = 1 << 16
_SAID = 400


class Body(io.BytesIO):
    """A whole body in memory that may be read like urllib3's responses."""

    def read(self, amt: int | None = -1, decode_content: bool | None = None, cache_content: bool = False) -> bytes:
        """Read up to `amt` bytes; the body is decoded already."""
        return super().read(-1 if amt is None else amt)

    def stream(self, amt: int = _CHUNK, decode_content: bool | None = None) -> Iterator[bytes]:
        """The body in pieces."""
        while piece := super().read(amt):
            yield piece

    def release_conn(self) -> None:
        """Nothing is held."""


class HTTPStatusError(StatusError, requests.HTTPError):
    """What `Answer.raise_for_status` raises: an error of ours that requests and pyvo know as theirs."""

    response: Any = None
    request: Any = None


class Answer(requests.Response):
    """A response that has been read to its end.

    Attributes
    ----------
    from_cache : bool
        Whether it was kept from an earlier request.
    fetched : str
        When the service gave it (ISO 8601, UTC).
    """

    def __init__(self) -> None:
        super().__init__()
        self.from_cache = False
        self.fetched = ""

    def fill(self, body: bytes, fetched: float) -> None:
        """Take the body that was read, and when (seconds since 1970), in each of the ways in which it is asked for."""
        self.__dict__.update(_content=body, _content_consumed=True)
        self.raw = Body(body)
        self.fetched = datetime.datetime.fromtimestamp(fetched, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def raise_for_status(self) -> None:
        """Raise a `StatusError` (also a `requests.HTTPError`) when the status is one of failure.

        Raises
        ------
        StatusError
            The status is 400 or more; the error carries what the service said.
        """
        if self.status_code < 400:
            return
        error = HTTPStatusError.__new__(HTTPStatusError)
        StatusError.__init__(
            error,
            f"the service answered with the status {self.status_code} {self.reason or ''}".rstrip(),
            url=self.url,
            service_said=said(self.content or b"", media_type(self.headers)),
        )
        error.status, error.response, error.request = self.status_code, self, self.request
        raise error


def media_type(headers: Any) -> str:
    """The type of what is answered, in lower case without parameters; empty when it is not said."""
    return str(headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def decoded(pieces: Iterable[bytes], encoding: str, limit: int, url: str) -> Iterator[bytes]:
    """Undo the encoding of a body piece by piece, never holding more than a piece of what it grows to.

    Raises
    ------
    TooLargeError
        There are more than `limit` bytes, before or after decoding.
    ProtocolError
        The encoding is unknown or damaged, or ends early.
    """
    size = 0
    for piece in _inflated(_counted(pieces, limit, url), encoding.strip().lower(), url):
        size += len(piece)
        if size > limit:
            raise _too_large(url, limit)
        yield piece


def _counted(pieces: Iterable[bytes], limit: int, url: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _too_large(url, limit)
        yield piece


def _too_large(url: str, limit: int) -> TooLargeError:
    return TooLargeError(
        "the answer is larger than allowed",
        url=url,
        expected=f"at most {limit:,} bytes",
        action="Ask for less, or raise max_bytes in vo.toml.",
    )


def _inflated(pieces: Iterable[bytes], encoding: str, url: str) -> Iterator[bytes]:
    if encoding in ("", "identity"):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ProtocolError("the answer is compressed in a way that was not asked for", url=url, found=encoding)
    inflater = None
    for piece in pieces:
        rest = piece
        while rest:
            if inflater is not None and inflater.eof:
                rest = rest.lstrip(b"\0") if "gzip" in encoding else b""
                if not rest:  # filling after the end
                    break
            if inflater is None or inflater.eof:
                inflater = zlib.decompressobj(_window(encoding, rest))
            try:
                grown = inflater.decompress(rest, _CHUNK)
                rest = inflater.unconsumed_tail or inflater.unused_data
                while not rest and len(grown) == _CHUNK:  # more may wait inside than one piece of it
                    yield grown
                    grown = inflater.decompress(b"", _CHUNK)
            except zlib.error as error:
                raise ProtocolError(f"the compressed answer is damaged: {error}", url=url) from None
            if grown:
                yield grown
    if inflater is not None and not inflater.eof:
        raise ProtocolError("the answer was cut short", url=url, found="a compressed body without its end")


def _window(encoding: str, start: bytes) -> int:
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if start[0] & 0x0F == 8 else -zlib.MAX_WBITS  # some send deflate without zlib's frame


class _DeclarationError(Exception):
    """An entity is declared, or an attribute that every element would get."""


class _RootError(Exception):
    """The root element begins: nothing can be declared any more."""


_MARKUP = re.compile(rb"[\xef\xbb\xbf\xff\xfe \t\r\n\0]*<")


def refuse_unsafe_xml(body: bytes, url: str) -> None:
    """Refuse a document that declares entities or attributes; what is no XML, or declares none, passes.

    Both let a short document grow without limit. Only the part before the root element is read, where alone they can
    be declared.

    Raises
    ------
    UnsafeXMLError
        The document type declares an entity or an attribute.
    """
    if not _MARKUP.match(body):  # whatever number of blanks somebody has put before it
        return
    try:
        _read_prolog(body)
    except _RootError:
        return
    except _DeclarationError:
        unsafe = True
    except (xml.parsers.expat.ExpatError, ValueError, LookupError):
        unsafe = re.search(rb"<!(ENTITY|ATTLIST)", body[: 1 << 20].replace(b"\0", b"")) is not None
    else:
        return
    if unsafe:
        raise UnsafeXMLError("the answer is XML that declares entities, which is not read", url=url)


def _read_prolog(body: bytes) -> None:
    def declaration(*_: Any) -> None:
        raise _DeclarationError

    def root(*_: Any) -> None:
        raise _RootError

    parser = xml.parsers.expat.ParserCreate()
    parser.EntityDeclHandler = declaration
    parser.AttlistDeclHandler = declaration
    parser.StartElementHandler = root
    for start in range(0, len(body), _CHUNK):
        parser.Parse(body[start : start + _CHUNK], False)


_TAG = re.compile(r"<[^<>]*>")
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_READ = 1 << 15
_SILENT = (("<!--", "-->"), ("<script", "</script"), ("<style", "</style"), ("<head", "</head"))


def said(body: bytes, kind: str = "") -> str:
    """What a service says in words, of a VOTable, a page or plain text: one line of at most 400 characters.

    Every step takes time in proportion to the text, whatever somebody has written into it.
    """
    text = body[:_READ].decode("utf-8", "replace")
    if ("\ufffd" in text[:200] and "\0" in text[:200]) or kind.startswith(("image/", "application/fits")):
        return ""
    words = _refusal(text)
    if words is None:
        words = text
        for begin, end in _SILENT:
            words = _without(words, begin, end)
    words = html.unescape(_TAG.sub(" ", words))
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    return words if len(words) <= _SAID else words[: _SAID - 1].rstrip() + "…"


def is_refusal_in_words(body: bytes) -> bool:
    """Whether a VOTable says that the query, not the service, is at fault."""
    return _refusal(body[:_READ].decode("utf-8", "replace")) is not None


def _refusal(text: str) -> str | None:
    """What a VOTable gives as its error: by DALI in an INFO named QUERY_STATUS, before that in one named Error."""
    for match in _TAG.finditer(text):
        tag = match[0][:2000]
        name = tag[1:].partition(" ")[0].strip("/>\r\n\t").rpartition(":")[2].upper()
        if name not in ("INFO", "PARAM"):
            continue
        given = {key.lower(): plain or quoted for key, plain, quoted in _ATTRIBUTE.findall(tag)}
        if given.get("name", "").upper() == "QUERY_STATUS" and given.get("value", "").upper() == "ERROR":
            rest = text[match.end() :]
            if rest.lstrip().startswith("<![CDATA["):
                return rest.partition("<![CDATA[")[2].partition("]]>")[0]
            return "" if tag.endswith("/>") else rest.partition("<")[0]
        if given.get("name", "").lower() == "error":
            return str(given.get("value", ""))
    return None


def _without(text: str, begin: str, end: str) -> str:
    """The text without what stands between two marks; without its rest where the second one is missing."""
    lower, kept, place = text.lower(), [], 0
    while (start := lower.find(begin, place)) >= 0:
        kept.append(text[place:start])
        stop = lower.find(end, start + len(begin))
        if stop < 0:
            return "".join(kept)
        place = lower.find(">", stop) + 1
        if not place:
            return "".join(kept)
    return "".join([*kept, text[place:]])
