"""Which of the configured services answer: each is asked the least that shows it does what it is asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emberline.addresses import AddressError, web_address
from emberline.vo.client._answers import media_type
from emberline.vo.client._tables import document_of, read_table
from emberline.vo.client.errors import ProtocolError, RefusedAddressError, ServiceError

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["Check", "check"]

_EXAMPLE = {"bibcode": "2020A%26A...643A.122S", "name": "omi%20And", "ra": "345.48", "dec": "42.326"}
"""The Be star omicron Andromedae, and the article on the method, by which links are tried."""
_TOTAL = 30.0


@dataclass(frozen=True)
class Check:
    """How one service did.

    Attributes
    ----------
    service : str
        Its key in the table `services` of ``vo.toml``.
    address : str
        What was asked.
    state : str
        ``answers``, ``fails``, ``refused`` (by our own rules), ``offline``, or ``off`` (no address).
    seconds : float
        How long it took.
    message : str
        What it answered, or what is wrong.
    """

    service: str
    address: str
    state: str
    seconds: float
    message: str


def check(session: Session, *, done: Callable[[Check], None] = lambda check: None) -> tuple[Check, ...]:
    """Ask every configured service, several at a time; none of them can make this fail.

    Parameters
    ----------
    session : Session
        Whose configuration is tried. The cache is not read, and services that are left alone are asked.
    done : callable, optional
        Called with each result as it comes, from several threads.

    Returns
    -------
    tuple of Check
        In the order of the configuration.
    """
    asked = list(_questions(session))

    def one(question: tuple[str, str, _Ask]) -> Check:
        result = _checked(session, *question)
        done(result)
        return result

    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(one, asked))


_Ask = Callable[["Session", str], str]


def _questions(session: Session) -> Any:
    services = session.config.services
    single: dict[str, _Ask] = {
        "registry": _tap,
        "simbad": _tap,
        "gaia": _tap,
        "vizier": _tap,
        "xmatch": _xmatch,
        "sesame": _sesame,
        "hips2fits": _picture,
        "aladin": _script,
        "literature": _page,
    }
    for name, ask in single.items():
        yield name, getattr(services, name), ask
    yield from (("variability", address, _page) for address in services.variability)
    yield from (("ssap", address, _ssap) for address in services.ssap)


def _checked(session: Session, service: str, address: str, ask: _Ask) -> Check:
    if not address:
        return Check(service, "", "off", 0.0, "switched off: it has no address")
    if session.config.offline:
        return Check(service, address, "offline", 0.0, "not asked: the client is offline (offline = true in vo.toml)")
    begun = time.monotonic()
    with contextlib.suppress(AddressError):  # an identifier is none: the registry turns it into an address
        session.reset(str(web_address(address)))
    try:
        with session.fresh(), session.repeatable(), session.limits(total=min(session.config.total, _TOTAL)):
            state, message = "answers", ask(session, address)
    except RefusedAddressError as error:
        state, message = "refused", str(error)
    except ServiceError as error:
        state, message = "fails", str(error)
    except Exception as error:  # a service must not be able to end the check of the others
        state, message = "fails", f"{address}: {type(error).__name__}: {error}"
    return Check(service, address, state, round(time.monotonic() - begun, 3), message)


def _tap(session: Session, address: str) -> str:
    asked = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": "SELECT TOP 1 table_name FROM TAP_SCHEMA.tables"}
    answer = session.post(f"{address.rstrip('/')}/sync", data=asked)
    read_table(answer)
    return "answers a query (TAP)"


def _ssap(session: Session, address: str) -> str:
    if address.lower().startswith("ivo://"):
        from emberline.vo.client.registry import resolve

        if not session.config.services.registry:
            raise ServiceError("the registry, which alone knows where this is, is switched off", url=address)
        address = resolve(session, address, "ssa")
    asked = {"REQUEST": "queryData", "POS": "345.48,42.326", "SIZE": "0.002", "MAXREC": "1"}
    document_of(session.get(address, params=asked))
    return "answers a query (SSAP)"


def _xmatch(session: Session, address: str) -> str:
    asked = {"request": "xmatch", "distMaxArcsec": "1", "RESPONSEFORMAT": "votable", "cat2": "simbad"}
    asked |= {"colRA1": "ra", "colDec1": "dec"}
    read_table(session.post(address, data=asked, files={"cat1": ("one.csv", b"ra,dec\n345.48,42.326\n", "text/csv")}))
    return "matches a table of one row"


def _sesame(session: Session, address: str) -> str:
    from emberline.vo.client.names import resolve

    found = resolve(session, "Vega")
    if found is None or abs(found.ra - 279.2347) > 0.01 or abs(found.dec - 38.7837) > 0.01:
        raise ProtocolError("Vega is not where it should be", url=address, found=repr(found))
    return "knows Vega"


def _picture(session: Session, address: str) -> str:
    from astropy.coordinates import SkyCoord

    from emberline.vo.client.hips import cutout

    hips = session.config.services.hips
    size = len(cutout(session, SkyCoord(345.48, 42.326, unit="deg"), 0.05, pixels=32))
    return f"cuts a picture out of {hips} ({size:,} bytes)"


def _script(session: Session, address: str) -> str:
    answer = session.get(address)
    answer.raise_for_status()
    if "javascript" not in media_type(answer.headers) and "ecmascript" not in media_type(answer.headers):
        raise ProtocolError(
            "is no script", url=address, found=media_type(answer.headers) or "no type", expected="text/javascript"
        )
    return f"a script of {len(answer.content):,} bytes"


def _page(session: Session, address: str) -> str:
    """A page for people: it is opened by their browser, so that refusing a program is no fault."""
    for name, value in _EXAMPLE.items():
        address = address.replace("{" + name + "}", value)
    answer = session.get(address)
    if answer.status_code in (401, 403, 405, 429):
        return f"there, though not for programs (status {answer.status_code})"
    answer.raise_for_status()
    return f"a page ({media_type(answer.headers) or 'no type'})"
