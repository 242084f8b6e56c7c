"""SODA 1.0 and other services on one dataset: what they can be asked, and asking them.

https://www.ivoa.net/documents/SODA/
"""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from emberline.vo.client.errors import ServiceError, StatusError

if TYPE_CHECKING:
    from emberline.vo.client.session import Download, Session

__all__ = ["Descriptor", "Parameter", "descriptors", "sync"]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What a service can be asked for one parameter.

    Attributes
    ----------
    name, datatype, arraysize, xtype, unit, ucd, description : str
        As VOTable has them.
    value : str
        What is sent where nothing is asked; empty where nothing is.
    ref : str
        The column with the value, in a description that is for no row yet.
    least, most : str
        The limits; for an interval, a circle or a polygon what the dataset covers.
    options : tuple of (str, str)
        Allowed values, and what they mean.
    """

    name: str
    datatype: str = "char"
    arraysize: str = ""
    xtype: str = ""
    unit: str = ""
    ucd: str = ""
    description: str = ""
    value: str = ""
    ref: str = ""
    least: str = ""
    most: str = ""
    options: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A service on a dataset.

    Attributes
    ----------
    identifier : str
        Its XML identifier in the answer that described it.
    standard : str
        ``ivo://ivoa.net/std/SODA#sync-1.0`` and the like; empty for a service of no standard.
    access_url : str
    parameters : tuple of Parameter
    description : str
    """

    identifier: str
    standard: str
    access_url: str
    parameters: tuple[Parameter, ...] = ()
    description: str = ""

    @property
    def is_soda(self) -> bool:
        """Whether it answers at once, by SODA."""
        return self.standard.lower().startswith("ivo://ivoa.net/std/soda#sync")

    def parameter(self, name: str) -> Parameter:
        """A parameter, whatever the case of its name.

        Raises
        ------
        ServiceError
            The service does not know it.
        """
        for item in self.parameters:
            if item.name.lower() == name.lower():
                return item
        known = [item.name for item in self.parameters]
        close = difflib.get_close_matches(name.upper(), known, n=1)
        raise ServiceError(
            f"the service knows no parameter {name!r}",
            url=self.access_url,
            expected=f"perhaps {close[0]}" if close else ", ".join(known),
        )


def descriptors(session: Session, url: str) -> tuple[Descriptor, ...]:
    """The services described in a document: a list of links, or an answer with spectra."""
    from emberline.vo.client._descriptors import described
    from emberline.vo.client._tables import document_of

    answer = session.get(url)
    return tuple(described(document_of(answer), str(answer.url)).values())


@overload
def sync(session: Session, descriptor: Descriptor, *, path: None = None, **parameters: Any) -> bytes: ...
@overload
def sync(session: Session, descriptor: Descriptor, *, path: Path, **parameters: Any) -> Download: ...
def sync(session: Session, descriptor: Descriptor, *, path: Path | None = None, **parameters: Any) -> bytes | Download:
    """Ask a service that answers at once.

    Parameters
    ----------
    session : Session
    descriptor : Descriptor
    path : Path, optional
        Where the answer shall be kept; without it, the answer's bytes are given.
    **parameters
        By the names that the service has for them, in whatever case: ``BAND=(6500 * u.AA, 6600 * u.AA)``,
        ``CIRCLE=(ra, dec, radius)``, ``FORMAT="application/fits"``. Numbers are in the unit that the service declares
        (SODA's own are metres and degrees); quantities are converted.

    Raises
    ------
    ServiceError
        A parameter is not known or its value not allowed, and nothing was asked; or the service refused, or has
        nothing there.
    """
    import urllib.parse

    from emberline.vo.client._asking import ask
    from emberline.vo.client._soda_values import written

    sent = {item.name: item.value for item in descriptor.parameters if _is_fixed(item)}
    for name, value in parameters.items():
        item = descriptor.parameter(name)
        if value is not None:
            sent[item.name] = written(item, value, descriptor.access_url)
    if path is not None:
        join = "&" if "?" in descriptor.access_url else "?"
        url = f"{descriptor.access_url}{join}{urllib.parse.urlencode(sent)}"
        download = session.download(url, path)
        with open(path, "rb") as file:
            start = file.read(1 << 16)
        try:
            _check_body(start, url)
        except ServiceError:
            path.unlink()
            raise
        return download
    answer = ask(session, descriptor.access_url, sent)
    answer.raise_for_status()
    _check_body(answer.content or b"", str(answer.url))
    return answer.content


def _check_body(body: bytes, url: str) -> None:
    """Refuse what is no data: nothing at all, or a refusal that came with a status of success."""
    from emberline.vo.client._answers import is_refusal_in_words, said

    if not body:
        raise ServiceError("the service has nothing of this dataset within what was asked", url=url)
    if body[:256].lstrip().startswith(b"<") and is_refusal_in_words(body):
        error = StatusError("the service refused", url=url, service_said=said(body))
        error.status = 200
        raise error


def _is_fixed(item: Parameter) -> bool:
    """Whether a parameter has a value that goes with every request: an identifier, not an empty interval."""
    return bool(item.value.strip()) and not item.ref and item.xtype != "interval"
