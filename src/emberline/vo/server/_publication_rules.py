"""What a record of a publication must hold, and what would break an address, a query or a document."""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from emberline.errors import MissingExtraError

__all__ = ["NAME", "OPTIONAL", "REQUIRED", "WAVEBANDS", "faults"]

WAVEBANDS = ("Radio", "Millimeter", "Infrared", "Optical", "UV", "EUV", "X-ray", "Gamma-ray")
"""The vocabulary of VODataService."""

_RESERVED = re.compile(
    "admin|api|async|availability|capabilities|examples|hips|information_schema|ivoa|main|moc|pg_catalog|public|"
    "registry|sia|sia2|static|sync|system|tables|tap|tap_schema|tap_upload|temp|uws|vo|vosi"
)
"""Names that the services or the data base use themselves."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_AUTHORITY = re.compile(r"[a-z0-9][a-z0-9.-]{1,78}[a-z0-9]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LONGEST = 20_000
REQUIRED = {
    "name": "--name",
    "title": "--title",
    "creators": "--creator",
    "description": "--description",
    "subjects": "--subject",
    "publisher": "--publisher",
    "contact_name": "--contact-name",
    "contact_email": "--contact-email",
    "authority": "--authority",
}
"""What a registry record cannot be without, and the option that gives it."""
OPTIONAL = {
    "reference_url": "--reference-url",
    "rights": "--rights",
    "rights_url": "--rights-url",
    "facility": "--facility",
    "instrument": "--instrument",
    "waveband": "--waveband",
    "bibcode": "--bibcode",
    "doi": "--doi",
    "aperture_arcsec": "--aperture",
}


def faults(values: Mapping[str, Any]) -> list[str]:
    """A sentence for each value that would break an address, a query, a document or a rule of the registry."""
    options = REQUIRED | OPTIONAL
    wrong = []
    for name, value in values.items():
        texts = value if isinstance(value, tuple) else (value,)
        for text in texts:
            if isinstance(text, str) and (_CONTROL.search(text) or len(text) > _LONGEST):
                wrong.append(f"{options.get(name, name)}: holds control characters or is longer than {_LONGEST:,}")
        check = _CHECKS.get(name)
        fault = check(value) if check and value not in ("", (), None) else ""
        if fault:
            wrong.append(f"{options.get(name, name)} {value!r}: {fault}")
    return wrong


def _name_fault(name: str) -> str:
    try:
        from emberline.vo.server.adql.tap_schema import is_regular_name
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "vo") from error
    if not NAME.fullmatch(name):
        return "a name is a lower-case letter and then at most 39 lower-case letters, digits and underscores"
    return "the name is reserved" if _RESERVED.fullmatch(name) or not is_regular_name(name) else ""


def _authority_fault(authority: str) -> str:
    good = _AUTHORITY.fullmatch(authority) and ".." not in authority
    return "" if good else "expected lower-case letters, digits, points and hyphens, such as example.org"


def _address_fault(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    good = parts.scheme in ("http", "https") and parts.netloc and not re.search(r"[\s<>\"'\\`{}|^]", address)
    return "" if good else "expected an address that begins with http:// or https://"


def _fits(pattern: str, expected: str, value: str) -> str:
    return "" if re.fullmatch(pattern, value) else f"expected {expected}"


def _waveband_fault(wavebands: tuple[str, ...]) -> str:
    return "" if set(wavebands) <= set(WAVEBANDS) else f"expected some of {', '.join(WAVEBANDS)}"


def _aperture_fault(arcsec: float) -> str:
    return "" if 0 < arcsec <= 3600 else "expected arcseconds, above 0 and at most 3600"


def _one_line(texts: str | tuple[str, ...]) -> str:
    broken = any(re.search(r"[\r\n\t]", text) for text in ((texts,) if isinstance(texts, str) else texts))
    return "expected one line" if broken else ""


_CHECKS: dict[str, Callable[[Any], str]] = {
    "name": _name_fault,
    "authority": _authority_fault,
    "reference_url": _address_fault,
    "rights_url": _address_fault,
    "contact_email": functools.partial(_fits, r"[^\s@<>\"'&]+@[^\s@<>\"'&]+", "an address such as name@example.org"),
    "bibcode": functools.partial(_fits, r"\d{4}[A-Za-z0-9.&]{15}", "19 characters, such as 2020A&A...643A.122S"),
    "doi": functools.partial(_fits, r"10\.\d{4,9}/[^\s<>\"'\\]+", "a DOI such as 10.5281/zenodo.1234"),
    "waveband": _waveband_fault,
    "aperture_arcsec": _aperture_fault,
    **dict.fromkeys(
        ("title", "creators", "subjects", "publisher", "contact_name", "facility", "instrument", "rights"), _one_line
    ),
    "kind": functools.partial(_fits, "archive|catalogue", "archive or catalogue"),
}
