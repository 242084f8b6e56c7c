"""One hop of a request: its turn, its tries, its time, and the reading of what comes back."""

from __future__ import annotations

import email.utils
import http.client
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import requests
import urllib3.exceptions
from requests.adapters import BaseAdapter

from emberline.addresses import AddressError, lookup, web_address
from emberline.vo.client._answers import Answer, decoded, is_refusal_in_words, refuse_unsafe_xml, said
from emberline.vo.client._limits import CancelledError, WaitTooLongError
from emberline.vo.client._transport import Transport, Watch
from emberline.vo.client.errors import (
    ProtocolError,
    RefusedAddressError,
    ServiceDownError,
    ServiceError,
    TimeLimitError,
    TooLargeError,
)

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["Call", "Exchange", "Sink"]

_AGAIN = (429, 502, 503, 504)
_SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST_WAIT = 60.0
_CHUNK = 1 << 16


class Sink(Protocol):
    """Where the body of a download goes."""

    def accepts(self, answer: requests.Response) -> bool:
        """Whether this answer is the file (or the rest of it), and not an error to be read."""

    def write(self, piece: bytes) -> None:
        """Take a piece of it."""


@dataclass
class Call:
    """What holds for one request with its redirections and tries.

    Attributes
    ----------
    end : float
        The moment of `time.monotonic` at which it ends.
    total : float
        The seconds it was given.
    max_bytes : int
        Bytes of its answer at most.
    repeatable : bool
        Whether a POST may be sent again.
    fresh : bool
        Whether the cache is not read.
    sink : Sink or None
        Where the body goes; None for the memory.
    """

    end: float
    total: float
    max_bytes: int
    repeatable: bool = False
    fresh: bool = False
    sink: Sink | None = None


class _PassingError(Exception):
    """A failure that another try may mend."""

    def __init__(self, error: ServiceError) -> None:
        self.error = error
        super().__init__(str(error))


class Exchange(BaseAdapter):
    """Sends one request as often as needed and as the limits allow; the adapter behind `Session`."""

    def __init__(self, session: Session, transport: Transport) -> None:
        super().__init__()
        self._session, self._transport = session, transport

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def send(self, request: requests.PreparedRequest, *arguments: Any, **keywords: Any) -> Answer:
        """Send it, and read the answer to its end."""
        call, host = self._session.call, str(web_address(str(request.url)))
        tries = self._session.config.tries if _may_be_repeated(request, call) else 1
        for attempt in range(1, tries + 1):
            self._admitted(host, str(request.url))
            self._turn(host, str(request.url), call)
            try:
                answer = self._once(request, host, call, keywords)
            except _PassingError as passing:
                left_alone = self._session.breaker.failed(host, passing.error.message)
                if attempt == tries or left_alone or call.sink is not None or not self._waited(attempt, call):
                    raise passing.error from passing.__cause__
                continue
            left_alone = self._judged(host, answer)
            if answer.status_code not in _AGAIN:
                return answer
            after = self._patience(host, answer)
            if attempt == tries or left_alone or not self._waited(attempt, call, after):
                return answer
        raise AssertionError("a last try either returns or raises")

    # -- before -------------------------------------------------------------------------------------------------

    def _admitted(self, host: str, url: str) -> None:
        seconds, why = self._session.breaker.admit(host)
        if seconds > 0:
            until = time.time() + seconds
            error = ServiceDownError(
                f"is left alone until {time.strftime('%H:%M:%S', time.localtime(until))}, for it failed too often"
                + (f" ({why})" if why else ""),
                url=url,
                action="Try again then, or reset the service to ask it now.",
            )
            error.until = until
            raise error

    def _turn(self, host: str, url: str, call: Call) -> None:
        try:
            self._session.limiter.wait(host, until=call.end)
        except BaseException as error:
            self._session.breaker.undecided(host)
            if isinstance(error, WaitTooLongError):
                raise TimeLimitError(
                    "its turn did not come in time: the host is asked too often, or has asked for patience",
                    url=url,
                    expected=f"within {call.total:g} s",
                ) from None
            if isinstance(error, CancelledError):
                raise ServiceError("was not asked, for the session was closed", url=url) from None
            raise

    # -- once ---------------------------------------------------------------------------------------------------

    def _once(self, request: requests.PreparedRequest, host: str, call: Call, keywords: dict[str, Any]) -> Answer:
        watch = Watch(self._session.allowed, call.end)
        url, begun = str(request.url), time.monotonic()
        try:
            if keywords.get("proxies"):
                self._check_behind_proxy(url)
            with watch.on():
                return self._exchanged(request, call, watch, keywords)
        except AddressError as error:
            self._session.breaker.undecided(host)
            raise _refused(error, url) from None
        except _PassingError:
            raise
        except (ServiceError, KeyboardInterrupt, MemoryError):
            self._session.breaker.undecided(host)
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            if watch.expired or time.monotonic() >= call.end:
                raise self._too_late(host, url, call, time.monotonic() - begun) from error
            raise _PassingError(_translated(error, url, self._session.config.timeout)) from error
        except BaseException:
            self._session.breaker.undecided(host)
            raise

    def _too_late(self, host: str, url: str, call: Call, lasted: float) -> TimeLimitError:
        """The time in all is over: the service's fault if it had long enough, but not if the caller was late."""
        error = TimeLimitError("did not answer to the end in time", url=url, expected=f"within {call.total:g} s")
        if lasted >= min(self._session.config.timeout, self._session.config.total) * 0.99:
            self._session.breaker.failed(host, error.message)
        else:
            self._session.breaker.undecided(host)
        return error

    def _check_behind_proxy(self, url: str) -> None:
        """A proxy looks names up by itself; what is known here to be private is not handed to it."""
        address = web_address(url)
        if self._session.allowed.host(address.host, address.port):
            return
        try:
            lookup(address.host, address.port, self._session.allowed.address)
        except OSError:
            return

    def _exchanged(
        self, request: requests.PreparedRequest, call: Call, watch: Watch, keywords: dict[str, Any]
    ) -> Answer:
        wait = self._session.config.timeout
        keywords = {**keywords, "stream": True, "timeout": _shorter(keywords.get("timeout"), wait)}
        response = self._transport.send(request, **keywords)
        answer = Answer()
        answer.__dict__.update(response.__dict__)
        raw = response.raw
        try:
            body = self._read(raw, answer, call)
            if watch.expired:  # a connection that was cut looks like the end of a body
                raise TimeoutError("cut")
        except BaseException:
            raw.close()
            raise
        raw.release_conn()
        answer.fill(body, time.time())
        answer.headers.pop("Content-Encoding", None)
        refuse_unsafe_xml(body, answer.url)
        return answer

    def _read(self, raw: Any, answer: Answer, call: Call) -> bytes:
        announced = str(answer.headers.get("Content-Length") or "")
        limit = call.max_bytes
        if announced.isdigit() and int(announced) > limit and answer.request.method != "HEAD":
            raise TooLargeError(
                "the answer is larger than allowed",
                url=answer.url,
                found=f"{int(announced):,} bytes announced",
                expected=f"at most {limit:,} bytes",
                action="Ask for less, or raise max_bytes in vo.toml.",
            )
        to_file = call.sink is not None and call.sink.accepts(answer)
        encoding = "" if answer.request.method == "HEAD" else str(answer.headers.get("Content-Encoding") or "")
        pieces = decoded(raw.stream(_CHUNK, decode_content=False), encoding, limit, answer.url)
        if to_file and call.sink is not None:
            for piece in pieces:
                call.sink.write(piece)
            return b""
        return b"".join(pieces)

    # -- after --------------------------------------------------------------------------------------------------

    def _judged(self, host: str, answer: Answer) -> bool:
        """Tell the breaker; returns whether the host is now left alone."""
        status = answer.status_code
        if status < 500 or status == 501 or (status == 500 and is_refusal_in_words(answer.content)):
            self._session.breaker.succeeded(host)
            return False
        words = said(answer.content)
        return self._session.breaker.failed(host, f"status {status}" + (f": {words[:100]}" if words else ""))

    def _patience(self, host: str, answer: Answer) -> float | None:
        """The seconds for which the service asks not to be asked; everybody in this session then waits."""
        after = _retry_after(str(answer.headers.get("Retry-After") or ""))
        if after is not None:
            self._session.limiter.hold(host, min(after, _LONGEST_WAIT))
        return after

    def _waited(self, attempt: int, call: Call, after: float | None = None) -> bool:
        """Wait before another try; False when the time does not suffice."""
        delay = min(self._session.backoff * 2 ** (attempt - 1), 10.0) * self._session.random.uniform(0.5, 1.5)
        delay = max(delay, after or 0.0)
        if delay > _LONGEST_WAIT or time.monotonic() + delay >= call.end:
            return False
        try:
            self._session.limiter.pause(delay)
        except CancelledError:
            return False
        return True


def _may_be_repeated(request: requests.PreparedRequest, call: Call) -> bool:
    """Whether sending it twice does no harm, and its body can be sent twice."""
    plain = request.body is None or isinstance(request.body, bytes | str)
    return plain and (request.method in _SAFE or (call.repeatable and request.method == "POST"))


def _shorter(asked: Any, limit: float) -> Any:
    """The caller's time limit where it is stricter than the configuration's."""
    if isinstance(asked, int | float):
        return min(float(asked), limit)
    if isinstance(asked, tuple):
        return tuple(limit if part is None else min(float(part), limit) for part in asked)
    return limit


def _retry_after(text: str) -> float | None:
    """Seconds, from a number of them or a date; None when it is neither."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(moment.timestamp() - time.time(), 0.0)


def _refused(error: AddressError, url: str) -> RefusedAddressError:
    return RefusedAddressError(
        f"is not asked: it {error}", url=url, action="Name the host in `allow` of vo.toml if it shall be asked."
    )


def _translated(error: Exception, url: str, timeout: float) -> ServiceError:
    """The failure of a connection as an error of ours."""
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    if isinstance(error, timeouts):
        expected = f"a connection, or more of the answer, within {timeout:g} s"
        return TimeLimitError("does not answer", url=url, expected=expected)
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        reason = getattr(error.args[0], "reason", error) if error.args else error
        return ServiceError(f"no trustworthy connection ({_words(reason)})", url=url)
    if isinstance(error, requests.ConnectionError):
        inner = error.args[0] if error.args else error
        return ServiceError(f"cannot be reached: {_words(getattr(inner, 'reason', inner))}", url=url)
    return ProtocolError("the answer was cut short, or is no HTTP", url=url, found=_words(error))


_ABORTED: tuple[tuple[type[BaseException], str], ...] = (
    (http.client.RemoteDisconnected, "the server hung up without an answer"),
    (ConnectionResetError, "the server broke the connection"),
    (http.client.BadStatusLine, "what came is no HTTP"),
)


def _words(error: object) -> str:
    """What a library's error says, without its own names for things."""
    inner = next((part for part in getattr(error, "args", ())[1:] if isinstance(part, BaseException)), error)
    if isinstance(inner, urllib3.exceptions.IncompleteRead):
        missing = "" if inner.expected is None else f", {inner.expected:,} more were announced"
        return f"{inner.partial:,} bytes{missing}"
    for kind, words in _ABORTED:
        if isinstance(inner, kind):
            return words
    text = re.sub(r"^_?[A-Za-z]+\(.*?\): ", "", str(inner))  # urllib3 begins with the connection's name
    return text or type(inner).__name__
