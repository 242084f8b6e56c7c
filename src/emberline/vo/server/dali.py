"""What all DAL services share (https://www.ivoa.net/documents/DALI/): parameters, their syntax, and refusals."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import math
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from emberline.dates import modified_julian_date
from emberline.errors import EmberlineError
from emberline.vo.server._requests import Parameters, RequestError, read_parameters
from emberline.vo.server.votable import MEDIA_TYPE, Info, error_document

__all__ = [
    "Call",
    "DaliError",
    "Endpoint",
    "Parameters",
    "Refuse",
    "address",
    "at_most",
    "interval",
    "maximum_rows",
    "number",
    "number_or_infinity",
    "one_of",
    "plain_refusal",
    "real",
    "response_format",
    "single",
    "times",
    "usage",
    "votable_refusal",
]

_LOG = logging.getLogger(__name__)
_SHOWN = 60
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?[Ii]nf(inity)?|NaN", re.ASCII)
_TIME = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,9})?))?)?)?)?Z?", re.ASCII)


class DaliError(Exception):
    """A request that is refused.

    Parameters
    ----------
    message : str
        The parameter, the value and the allowed ones, in a sentence. It is shown to whoever asked.
    status : int
        Of HTTP.
    kind : str
        The fault's name in DataLink and SODA: ``UsageError``, ``NotFoundFault`` …
    """

    def __init__(self, message: str, status: int = 400, kind: str = "UsageError") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind


def usage(name: str, value: str, expected: str) -> DaliError:
    """The refusal of one parameter's value."""
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return DaliError(f"{name}: {shown!r} is not allowed (expected {expected})")


# --- requests --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Call:
    """A request, read.

    Attributes
    ----------
    request : Request
    parameters : Parameters
    base : str
        The address beneath which all services lie, without a slash at its end.
    """

    request: Request
    parameters: Parameters
    base: str

    @property
    def name(self) -> str:
        """Which published archive or catalogue the address names; empty where it names none."""
        return str(self.request.path_params.get("name", ""))


Refuse = Callable[[DaliError], Response]
Handler = Callable[[Call], Response]


class Endpoint:
    """One resource: reads the request, calls the handler in a thread, and refuses in the protocol's own words.

    Parameters
    ----------
    handler : callable
    refuse : callable
        Makes the answer to a request that is refused.
    quick : callable, optional
        Whether the handler will be done within a few milliseconds: then no thread is asked, which would take as long.
    read : callable, optional
        Reads the parameters.
    """

    def __init__(
        self,
        handler: Handler,
        refuse: Refuse,
        quick: Callable[[Call], bool] = lambda call: False,
        read: Callable[[Request], Awaitable[Parameters]] = read_parameters,
    ) -> None:
        self._handler = handler
        self._refuse = refuse
        self._quick = quick
        self._read = read

    async def answer(self, request: Request) -> Response:
        """The answer, or why there is none; never a traceback, never a path of this machine."""
        try:
            parameters = await self._read(request)
            call = Call(request, parameters, _base(request))
            if self._quick(call):
                return self._handler(call)
            return await run_in_threadpool(self._handler, call)
        except DaliError as error:
            return self._refuse(error)
        except RequestError as error:
            return self._refuse(DaliError(error.message, error.status))
        except HTTPException as error:
            return self._refuse(DaliError(str(error.detail), error.status_code))
        except EmberlineError as error:
            # Its words name files of this machine; they are for the log.
            _LOG.error("%s: %s", request.url.path, error)
            return self._refuse(DaliError("The data cannot be read at present.", 500, "TransientFault"))
        except Exception:
            _LOG.exception("%s", request.url.path)
            return self._refuse(DaliError("The service failed.", 500, "FatalFault"))


def _base(request: Request) -> str:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return f"{request.url.scheme}://{request.url.netloc}{root}"


def votable_refusal(*infos: Info, status: int | None = None) -> Refuse:
    """Refuse with a VOTable; `status` stands for that of the error where a protocol answers all with 200."""

    def refuse(error: DaliError) -> Response:
        code = error.status if status is None or error.status >= 500 else status
        return Response(error_document(error.message, infos), code, media_type=MEDIA_TYPE)

    return refuse


def plain_refusal(error: DaliError) -> Response:
    """Refuse in plain text that begins with the fault's name, as DataLink and SODA do."""
    return PlainTextResponse(f"{error.kind}: {error.message}\n", error.status)


# --- parameters ------------------------------------------------------------------------------------------------------


def single(parameters: Parameters, name: str) -> str | None:
    """The value of a parameter that may be given once; None when it is absent or empty."""
    values = [value.strip() for value in parameters.all(name)]
    if len(values) > 1:
        raise DaliError(f"{name}: given {len(values)} times (expected once)")
    return values[0] if values and values[0] else None


def real(name: str, text: str, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number within bounds."""
    value = number_or_infinity(text)
    if value is None or not math.isfinite(value) or not least <= value <= most:
        raise usage(name, text, _between("a number", least, most))
    return value


def number_or_infinity(text: str) -> float | None:
    """A number as DALI writes them, ``-Inf``, ``+Inf`` and ``NaN`` among them; None for other text."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _between(what: str, least: float, most: float) -> str:
    if math.isfinite(least) and math.isfinite(most):
        return f"{what} from {least:g} to {most:g}"
    return f"{what} of at least {least:g}" if math.isfinite(least) else what


def number(parameters: Parameters, name: str, least: float = -math.inf, most: float = math.inf) -> float | None:
    """A parameter that is a finite number within bounds; None when it is absent."""
    text = single(parameters, name)
    return None if text is None else real(name, text, least, most)


def maximum_rows(parameters: Parameters, default: int, most: int) -> int:
    """MAXREC: how many rows the answer may have, never more than `most`."""
    text = single(parameters, "MAXREC")
    if text is None:
        return default
    if not re.fullmatch(r"\+?[0-9]{1,18}", text):
        raise usage("MAXREC", text, "a whole number of at least 0")
    return min(int(text), most)


def one_of(name: str, text: str, allowed: Sequence[str]) -> str:
    """The one of `allowed` that `text` is, in any case."""
    for item in allowed:
        if text.lower() == item.lower():
            return item
    raise usage(name, text, ", ".join(allowed))


def response_format(parameters: Parameters, formats: Mapping[str, str], default: str) -> tuple[str, str]:
    """RESPONSEFORMAT (or FORMAT, its name before DALI): the kind of answer, and the media type to give it.

    Parameters
    ----------
    parameters : Parameters
    formats : mapping of str to str
        Kind by media type and by short name, all in lower case and without blanks.
    default : str
        What it is when it is not given.
    """
    text = single(parameters, "RESPONSEFORMAT") or single(parameters, "FORMAT") or default
    key = re.sub(r"\s+", "", text).lower().replace('"', "")
    if key not in formats:
        raise usage("RESPONSEFORMAT", text, ", ".join(formats))
    return formats[key], text if "/" in text and not key.startswith("votable/") and _is_media_type(text) else ""


def _is_media_type(text: str) -> bool:
    return re.fullmatch(r"[\w.+-]+/[\w.+-]+(\s*;\s*[\w.+-]+=(\"[\w.+/-]*\"|[\w.+/-]*))*", text, re.ASCII) is not None


def interval(name: str, text: str) -> tuple[float, float]:
    """A DALI interval, ``lower upper``; ``-Inf`` and ``+Inf`` leave an end open, one number is both ends."""
    words = text.split()
    bounds = [number_or_infinity(word) for word in words]
    if len(bounds) == 1:
        bounds *= 2
    low, high = (bounds[0], bounds[1]) if len(bounds) == 2 else (None, None)
    if low is None or high is None or math.isnan(low) or math.isnan(high) or low > high:
        raise usage(name, text, "two increasing numbers with a blank between, where -Inf and +Inf are open ends")
    return low, high


def times(name: str, text: str) -> tuple[float, float]:
    """First and last moment, as MJD, of a date or time in ISO 8601; a date that is cut short is the whole period."""
    found = _TIME.fullmatch(text.strip())
    expected = "a UTC time as YYYY[-MM[-DD[Thh:mm[:ss]]]]"
    if found is None:
        raise usage(name, text, expected)
    year, month, day, hour, minute, second = found.groups()
    try:
        start = datetime.datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0))
    except ValueError:
        raise usage(name, text, expected) from None
    if second is not None and float(second) >= 61:  # leap seconds end a minute
        raise usage(name, text, expected)
    first = modified_julian_date(start) + float(second or 0) / 86400
    if second is not None:
        return first, first
    if month is None:
        return first, first + (366 if start.year % 4 == 0 and (start.year % 100 or start.year % 400 == 0) else 365)
    if day is None:
        return first, first + ((start.replace(day=28) + datetime.timedelta(4)).replace(day=1) - start).days
    return first, first + (1 / 1440 if hour is not None else 1)


def at_most(parameters: Parameters, name: str, most: float) -> bool:
    """Whether a parameter is given once, and is a number of at most so much."""
    values = parameters.all(name)
    value = number_or_infinity(values[0]) if len(values) == 1 else None
    return value is not None and value <= most


def address(base: str, *parts: str, **query: str) -> str:
    """An address beneath `base`, with its parameters encoded."""
    path = "/".join([base, *(urllib.parse.quote(part, safe="/") for part in parts)])
    return f"{path}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}" if query else path
