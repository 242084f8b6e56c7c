"""The one object through which services are asked: within limits, from checked addresses, with a memory on disk."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emberline._version import __version__
from emberline.addresses import AddressError, Allowed, web_address
from emberline.errors import MissingExtraError
from emberline.vo.client._answers import Answer
from emberline.vo.client._cache import Cache, Entry, cache_key
from emberline.vo.client._downloads import Download, download
from emberline.vo.client._exchange import Call, Exchange, Sink
from emberline.vo.client._limits import Breaker, RateLimiter
from emberline.vo.client._transport import Transport
from emberline.vo.client.config import ClientConfig, cache_folder, load_config
from emberline.vo.client.errors import OfflineError, ProtocolError, RefusedAddressError

try:
    import requests
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "requests", "vo") from error

__all__ = ["Answer", "Download", "Session", "open_session"]

_REDIRECTS = 5
_NEVER_KEPT = (b"http://www.ivoa.net/xml/UWS/", b"http://www.ivoa.net/xml/VOSIAvailability/")
"""Documents that tell the state of something: the next one will differ."""


def open_session(workspace: Path | None = None) -> Session:
    """A session with the configuration that holds in a workspace, and the user's cache."""
    return Session(load_config(workspace), cache_folder())


class Session(requests.Session):
    """Asks services as the configuration allows; to be used like `requests.Session`, and from any number of threads.

    Every request, each hop of a redirection included, is refused when offline or when the address is private and not
    allowed; waits for its turn at the host; is limited in time and size; is tried again where that is safe; and is
    not sent at all to a host that has just failed several times. What comes back has been read to its end
    (`content`), and `raw` is a file in memory. Cookies are not kept, and credentials are sent only where the caller
    gives them.

    Parameters
    ----------
    config : ClientConfig
        Limits and addresses.
    cache : Path, optional
        The folder in which answers are kept; without it none are.
    """

    def __init__(self, config: ClientConfig | None = None, cache: Path | None = None) -> None:
        super().__init__()
        self.config = config or ClientConfig()
        self.cache = Cache(cache, self.config.cache_bytes, self.config.cache_days) if cache is not None else None
        self.trust_env = False
        self.max_redirects = _REDIRECTS
        self.verify = self.config.ca_bundle or True
        if self.config.proxy:
            self.proxies = {"http": self.config.proxy, "https": self.config.proxy}
        self.headers["User-Agent"] = f"Emberline/{__version__} (Virtual Observatory client) {requests.__name__}"
        self.headers["Accept-Encoding"] = "gzip, deflate"
        self.breaker = Breaker()
        self.limiter = RateLimiter(self.config.rate)
        self.backoff = 0.5
        self.random = random.Random()
        self._allowed = Allowed(self.config.allow)
        self._state = threading.local()
        self._transport = Transport()
        self.adapters.clear()
        for scheme in ("https://", "http://"):
            self.mount(scheme, Exchange(self, self._transport))

    # -- what callers say ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """In the block, this thread's requests do not read the cache; what they bring is kept all the same."""
        with self._said(fresh=True):
            yield

    @contextlib.contextmanager
    def repeatable(self) -> Iterator[None]:
        """In the block, this thread's POSTs may be sent again, as a synchronous query with an upload may."""
        with self._said(repeatable=True):
            yield

    @contextlib.contextmanager
    def limits(self, *, total: float | None = None, max_bytes: int | None = None) -> Iterator[None]:
        """In the block, other limits hold for this thread's answers: seconds in all, and bytes."""
        with self._said(total=total, max_bytes=max_bytes):
            yield

    @contextlib.contextmanager
    def into(self, sink: Sink, *, total: float, max_bytes: int) -> Iterator[None]:
        """In the block, the bodies of this thread's answers go where `sink` takes them, and are not kept otherwise."""
        with self._said(sink=sink, total=total, max_bytes=max_bytes):
            yield

    @contextlib.contextmanager
    def _said(self, **what: Any) -> Iterator[None]:
        before = getattr(self._state, "said", {})
        self._state.said = {**before, **{name: value for name, value in what.items() if value is not None}}
        try:
            yield
        finally:
            self._state.said = before

    def reset(self, host: str = "") -> None:
        """Forget that a host has failed or asked for patience; `host` may be an address of the service."""
        name = host.lower()
        if "://" in host:
            try:
                name = str(web_address(host))
            except AddressError:  # nobody was ever asked there, so nothing is known of it
                return
        self.breaker.reset(name)
        self.limiter.release(name)

    def close(self) -> None:
        """Close connections, and send away the requests that wait for their turn."""
        self.limiter.cancel()
        super().close()

    # -- requests -----------------------------------------------------------------------------------------------

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As in requests; an address that is none is refused with our error."""
        try:
            return super().prepare_request(request)
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise RefusedAddressError(f"is no address ({error})", url=str(request.url)) from None

    def send(self, request: requests.PreparedRequest, **keywords: Any) -> requests.Response:
        """Send a request, or answer it from the cache.

        Raises
        ------
        ServiceError
            It was refused, failed, or its answer is not acceptable; the kind of error says which.
        """
        self._check(request)
        if getattr(self._state, "call", None) is not None:  # a hop of a redirection
            return super().send(request, **keywords)
        if keywords.get("proxies") is None:
            keywords["proxies"] = dict(self.proxies)
        call = self._call()
        key = self._key(request)
        if key and (kept := self._kept(key, fresh=call.fresh)) is not None:
            return _from_entry(kept, request)
        if self.config.offline:
            raise OfflineError(
                "is not asked, for the client is offline, and the answer has not been kept",
                url=str(request.url),
                action="Set offline = false in vo.toml to ask.",
            )
        self._state.call = call
        try:
            answer = super().send(request, **keywords)
        except requests.TooManyRedirects:
            raise ProtocolError("leads on to other addresses too often", url=str(request.url)) from None
        except (requests.RequestException, ValueError) as error:  # of the library, which reads where it leads on to
            raise ProtocolError(
                f"cannot be asked, or leads on to no address ({error})", url=str(request.url)
            ) from error
        finally:
            self._state.call = None
        if key:
            self._keep(key, answer, request)
        return answer

    def download(
        self,
        url: str,
        path: Path | str,
        *,
        max_bytes: int | None = None,
        accept: tuple[str, ...] = (),
        total: float | None = None,
    ) -> Download:
        """Fetch a file to disk; see `Download` for what comes back.

        It grows in a part file beside, which is resumed where the server can, and appears at `path` when it is whole.

        Parameters
        ----------
        url : str
            Where it is.
        path : Path
            Where it shall be.
        max_bytes : int, optional
            Its size at most; `max_bytes` of the configuration by default.
        accept : tuple of str, optional
            The media types that are acceptable, as ``image/jpeg`` or ``image/*``; any by default.
        total : float, optional
            Seconds that it may take; ten times `total` of the configuration by default.
        """
        return download(self, url, Path(path), max_bytes=max_bytes, accept=accept, total=total)

    # -- inside -------------------------------------------------------------------------------------------------

    def _check(self, request: requests.PreparedRequest) -> None:
        try:
            web_address(str(request.url))
        except AddressError as error:
            raise RefusedAddressError(str(error), url=_without_user(str(request.url))) from None

    def _call(self) -> Call:
        said = getattr(self._state, "said", {})
        return Call(
            end=time.monotonic() + said.get("total", self.config.total),
            total=said.get("total", self.config.total),
            max_bytes=said.get("max_bytes", self.config.max_bytes),
            repeatable=said.get("repeatable", False),
            fresh=said.get("fresh", False),
            sink=said.get("sink"),
        )

    @property
    def call(self) -> Call:
        """The request that this thread is at."""
        call: Call | None = getattr(self._state, "call", None)
        return call if call is not None else self._call()

    @property
    def allowed(self) -> Allowed:
        """What may be asked beside the public internet."""
        return self._allowed

    def _key(self, request: requests.PreparedRequest) -> str:
        """The name under which the answer is kept; empty when it is not."""
        private = {"authorization", "cookie", "range"} & {name.lower() for name in request.headers}
        if self.cache is None or request.method != "GET" or private or "sink" in getattr(self._state, "said", {}):
            return ""
        if "/async/" in urllib.parse.urlsplit(str(request.url)).path:  # a job, whose state changes
            return ""
        return cache_key("GET", str(request.url), str(request.headers.get("Accept", "")))

    def _kept(self, key: str, *, fresh: bool) -> Entry | None:
        if self.cache is None or (fresh and not self.config.offline):
            return None
        return self.cache.get(key, expired=self.config.offline)

    def _keep(self, key: str, answer: requests.Response, request: requests.PreparedRequest) -> None:
        if self.cache is None or answer.status_code != 200 or answer.request.method != "GET":
            return
        said = _cache_control(answer.headers)
        body = answer.content
        if "no-store" in said or any(mark in body[:4096] for mark in _NEVER_KEPT):
            return
        max_age = None
        if "no-cache" in said:
            max_age = 0.0
        elif said.get("max-age", "").isdigit():
            max_age = float(said["max-age"])
        self.cache.put(key, str(answer.url), answer.headers, body, max_age=max_age)


def _cache_control(headers: Any) -> dict[str, str]:
    parts = str(headers.get("Cache-Control") or "").lower().split(",")
    pairs = (part.strip().partition("=") for part in parts)
    return {name: value.strip('" ') for name, _, value in pairs if name}


def _from_entry(entry: Entry, request: requests.PreparedRequest) -> Answer:
    answer = Answer()
    answer.status_code, answer.reason, answer.url = 200, "OK", entry.url
    answer.headers = requests.structures.CaseInsensitiveDict(entry.headers)
    answer.encoding = requests.utils.get_encoding_from_headers(answer.headers)
    answer.request = request
    answer.fill(entry.body, entry.fetched)
    answer.from_cache = True
    return answer


def _without_user(url: str) -> str:
    """The address without a name and password that stand in it, for a message."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else url
