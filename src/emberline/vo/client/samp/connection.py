"""A registered SAMP client: who else is there, messages to them, and what they send, through callbacks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import tempfile
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emberline.errors import MissingExtraError
from emberline.vo.client.samp.errors import NoHubError
from emberline.vo.client.samp.hub import Confirm, Hub, quiet_samp, require_hub, start_hub, without_waiting
from emberline.vo.client.samp.lockfile import TimedProxy, find_hub
from emberline.vo.client.samp.outgoing import Outgoing
from emberline.vo.client.samp.peers import Delivery, Peer, choose
from emberline.vo.client.samp.received import Incoming, Position, Selection, SpectrumOffer, TableReceived

try:
    from pyvo.samp import SAMPClient, SAMPHubProxy
    from pyvo.samp.errors import SAMPHubError, SAMPProxyError
    from pyvo.samp.utils import ServerProxyPool
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "pyvo", "vo") from error

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from emberline.spectra import Spectrum

__all__ = ["Samp", "connect"]

_LOG = logging.getLogger("emberline.vo.client.samp")
_TROUBLE = (OSError, xmlrpc.client.Error, SAMPHubError, SAMPProxyError)
_CONNECTIONS = 8


def connect(
    name: str = "Emberline",
    *,
    description: str = "Finds rare spectra by active learning",
    start: bool = False,
    web: bool = False,
    confirm: Confirm | None = None,
    timeout: float = 10.0,
) -> Samp:
    """Register at the running hub.

    Parameters
    ----------
    name, description : str
        How other programs show this one.
    start : bool
        Start a hub in this process when none is running; it ends with the connection.
    web, confirm :
        Of that hub, see `start_hub`.
    timeout : float
        Seconds that the hub may take to answer.

    Raises
    ------
    NoHubError
        None is running (and none is to be started), or it does not answer.
    """
    hub = None
    if start and find_hub(timeout) is None:
        hub = start_hub(web=web, confirm=confirm)
    try:
        return Samp(dict(hub.params) if hub else require_hub(), name, description, timeout, hub)
    except BaseException:
        if hub is not None:
            hub.stop()
        raise


class Samp:
    """A connection to a hub; make it with `connect`, end it with `close` or a ``with`` block.

    Attributes
    ----------
    hub : Hub or None
        The hub, if it was started with the connection.
    gone : threading.Event
        Set once the hub has ended, or has thrown this client out.
    """

    def __init__(
        self, address: Mapping[str, str], name: str, description: str, timeout: float, hub: Hub | None = None
    ) -> None:
        self.hub = hub
        self.name = name
        self.gone = threading.Event()
        self._timeout = timeout
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="emberline-samp-")))
        self._incoming = Incoming()
        self._outgoing = Outgoing(self._folder, self._incoming.remember)
        self._url = address["samp.hub.xmlrpc.url"].replace("\\", "")
        self._proxy = SAMPHubProxy()
        metadata = {"samp.name": name, "samp.description.text": description, "author.name": "Emberline"}
        try:
            with quiet_samp():
                self._proxy.connect(hub_params=dict(address), pool_size=1)
                self._proxy.proxy.shutdown()
                self._proxy.proxy = ServerProxyPool(_CONNECTIONS, TimedProxy, self._url, timeout)
                self._client = SAMPClient(self._proxy, metadata=metadata, addr="127.0.0.1")
            # What pyvo tells everybody who asks for it may hold passwords and tokens.
            self._client._call_bindings.pop("client.env.get", None)
            without_waiting(self._client.client)
            self._client.start()
            self._client.register()
            self._client.bind_receive_notification("samp.hub.event.shutdown", self._ended)
            self._client.bind_receive_notification("samp.hub.disconnect", self._ended)
        except _TROUBLE as error:
            self._stack.close()
            raise NoHubError(f"the SAMP hub does not answer: {_text(error)}", where=self._url) from error

    def __enter__(self) -> Samp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unregister, and end the hub if it was started with this connection."""
        with contextlib.suppress(*_TROUBLE, Exception):
            if not self.gone.is_set():
                self._client.unregister()
        self.gone.set()
        with contextlib.suppress(Exception):
            self._client.stop()
        self._proxy.disconnect()
        if self.hub is not None:
            self.hub.stop()
        self._stack.close()

    def _ended(self, key: str, sender: str, mtype: str, parameters: Any, extra: Any) -> None:
        self.gone.set()

    def alive(self) -> bool:
        """Whether the hub still answers; one that was killed cannot say that it ends."""
        if not self.gone.is_set():
            try:
                with TimedProxy(self._url, self._timeout) as proxy:
                    proxy.samp.hub.ping()
            except _TROUBLE:
                self.gone.set()
        return not self.gone.is_set()

    # Who is there -----------------------------------------------------------------------------------------------

    def peers(self) -> tuple[Peer, ...]:
        """The other programs at the hub, the hub itself apart, by name."""
        key = self._client.get_private_key()
        found = []
        with self._asking():
            for id in self._proxy.get_registered_clients(key):
                with contextlib.suppress(SAMPProxyError):  # it has gone meanwhile
                    about = self._proxy.get_metadata(key, id)
                    taken = self._proxy.get_subscriptions(key, id)
                    name = str(about.get("samp.name", "")) or id
                    text = str(about.get("samp.description.text", ""))
                    found.append(Peer(id, name, text, tuple(sorted(taken))))
        hub = self._client._hub_id
        return tuple(sorted((peer for peer in found if peer.id != hub), key=lambda peer: (peer.name.lower(), peer.id)))

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except SAMPProxyError:
            raise
        except _TROUBLE as error:
            self.gone.set()
            raise NoHubError(f"the SAMP hub does not answer: {_text(error)}", where=self._url) from error

    def takers(self, mtypes: Sequence[str], to: str = "") -> tuple[tuple[Peer, str], ...]:
        """Who takes one of some message types, with the first of them that each takes.

        Parameters
        ----------
        mtypes : sequence of str
        to : str
            The name or identifier of one program; everybody by default. Case does not matter, and the beginning of
            the name is enough.

        Raises
        ------
        NoPeerError
            Nobody does, or nobody is called so.
        """
        return choose(self.peers(), mtypes, to)

    # Messages ---------------------------------------------------------------------------------------------------

    def send(
        self, mtypes: str | Sequence[str], parameters: Mapping[str, Any], *, to: str = "", timeout: float = 60.0
    ) -> tuple[Delivery, ...]:
        """Send one message and wait for the answers.

        Parameters
        ----------
        mtypes : str or sequence of str
            The message type; of several each peer gets the first that it takes.
        parameters : mapping
            As SAMP knows them: strings, and lists and maps of strings.
        to : str
            One program by its name or identifier; everybody who takes it by default.
        timeout : float
            Seconds that a peer may take; one that has not answered by then has an `error`.

        Raises
        ------
        NoPeerError
            Nobody takes such messages.
        """
        names = (mtypes,) if isinstance(mtypes, str) else tuple(mtypes)
        pairs = self.takers(names, to)
        with concurrent.futures.ThreadPoolExecutor(min(len(pairs), _CONNECTIONS)) as pool:
            jobs = [pool.submit(self._call, peer, name, parameters, timeout) for peer, name in pairs]
            return tuple(job.result() for job in jobs)

    def _call(self, peer: Peer, mtype: str, parameters: Mapping[str, Any], timeout: float) -> Delivery:
        message = {"samp.mtype": mtype, "samp.params": dict(parameters)}
        key = self._client.get_private_key()
        seconds = max(1, round(timeout))
        try:
            with TimedProxy(self._url, timeout + self._timeout) as proxy:
                answer = proxy.samp.hub.callAndWait(key, peer.id, message, str(seconds))
        except TimeoutError:
            return Delivery(peer, mtype, f"no answer within {seconds} seconds")
        except _TROUBLE as error:
            late = "imeout" in str(error) or "timed out" in str(error)
            return Delivery(peer, mtype, f"no answer within {seconds} seconds" if late else _text(error))
        answer = dict(answer) if isinstance(answer, dict) else {}
        result = answer.get("samp.result")
        result = dict(result) if isinstance(result, dict) else {}
        if answer.get("samp.status") == "samp.error":
            why = answer.get("samp.error")
            text = why.get("samp.errortxt", "") if isinstance(why, dict) else ""
            return Delivery(peer, mtype, str(text)[:500] or "it answered with an error", result)
        return Delivery(peer, mtype, "", result)

    def notify(self, mtype: str, parameters: Mapping[str, Any], *, to: str = "") -> tuple[Peer, ...]:
        """Send one message without waiting for answers; returns to whom. Raises `NoPeerError` as `send` does."""
        pairs = self.takers([mtype], to)
        key = self._client.get_private_key()
        with self._asking():
            for peer, name in pairs:
                message = {"samp.mtype": name, "samp.params": dict(parameters)}
                with contextlib.suppress(SAMPProxyError):
                    self._proxy.notify(key, peer.id, message)
        return tuple(peer for peer, _ in pairs)

    def send_table(
        self, table: Path | str | Table, *, name: str = "", table_id: str = "", to: str = "", timeout: float = 60.0
    ) -> tuple[Delivery, ...]:
        """Send a table: a file (VOTable, FITS, CSV, ECSV, Parquet), an address, or an astropy Table.

        Row selections that come back refer to it, see `on_selection`.

        Parameters
        ----------
        name : str
            What the peer shows; that of the file by default.
        table_id : str
            By which peers refer to it later; one is made up by default.
        """
        mtypes, parameters = self._outgoing.table(table, name, table_id)
        return self.send(mtypes, parameters, to=to, timeout=timeout)

    def send_spectrum(
        self,
        spectrum: Path | str | Spectrum,
        *,
        name: str = "",
        meta: Mapping[str, str] | None = None,
        to: str = "",
        timeout: float = 60.0,
    ) -> tuple[Delivery, ...]:
        """Send a spectrum: a file, an address, or a `Spectrum`; as a table to those who know tables only."""
        mtypes, parameters = self._outgoing.spectrum(spectrum, name, meta or {})
        return self.send(mtypes, parameters, to=to, timeout=timeout)

    def point_at(self, coord: SkyCoord, *, to: str = "", timeout: float = 60.0) -> tuple[Delivery, ...]:
        """Let peers show a position on the sky."""
        place = coord.icrs
        parameters = {"ra": repr(float(place.ra.deg)), "dec": repr(float(place.dec.deg))}
        return self.send("coord.pointAt.sky", parameters, to=to, timeout=timeout)

    def send_moc(
        self, moc: Path | str | Any, *, name: str = "", to: str = "", timeout: float = 60.0
    ) -> tuple[Delivery, ...]:
        """Send a coverage: a FITS file, its address, or a `mocpy.MOC`."""
        return self.send("coverage.load.moc.fits", self._outgoing.moc(moc, name), to=to, timeout=timeout)

    def send_image(
        self, image: Path | str, *, name: str = "", to: str = "", timeout: float = 60.0
    ) -> tuple[Delivery, ...]:
        """Send an image in FITS: a file or its address."""
        return self.send("image.load.fits", self._outgoing.image(image, name), to=to, timeout=timeout)

    def select_rows(
        self, table_id: str, rows: Sequence[int], *, url: str = "", to: str = "", timeout: float = 60.0
    ) -> tuple[Delivery, ...]:
        """Let peers select rows, counted from 0, of a table that was sent before."""
        parameters: dict[str, Any] = {"table-id": table_id, "row-list": [str(int(row)) for row in rows]}
        if url := url or self._incoming.address(table_id):
            parameters["url"] = url
        return self.send("table.select.rowList", parameters, to=to, timeout=timeout)

    def sent_table(self, table_id: str) -> Table | None:
        """A table that was sent or received, by its identifier; None when it is not known (any more)."""
        return self._incoming.table(table_id)

    # What comes -------------------------------------------------------------------------------------------------

    def on_table(self, callback: Callable[[TableReceived], None]) -> None:
        """Call `callback` with each table that is sent here, before the sender is answered.

        An error that it raises is the answer. One callback runs at a time, in a thread of its own.
        """
        self._bind(("table.load.votable", "table.load.fits"), self._incoming.take_table, callback)

    def on_selection(self, callback: Callable[[Selection], None]) -> None:
        """Call `callback` with rows that somebody has selected (or highlighted, one) of a table that is known here."""
        # Without the tables themselves a selection of a table of theirs would mean nothing.
        if "table.load.votable" not in self._client._call_bindings:
            self._bind(("table.load.votable", "table.load.fits"), self._incoming.take_table, lambda _: None)
        self._bind(("table.select.rowList", "table.highlight.row"), self._incoming.take_rows, callback)

    def on_position(self, callback: Callable[[Position], None]) -> None:
        """Call `callback` with each position that somebody points at."""
        self._bind(("coord.pointAt.sky",), self._incoming.take_position, callback)

    def on_spectrum(self, callback: Callable[[SpectrumOffer], None]) -> None:
        """Call `callback` with each spectrum that is sent here, its file with it."""
        self._bind(("spectrum.load.ssa-generic",), self._incoming.take_spectrum, callback)

    def _bind(self, mtypes: Sequence[str], take: Callable[..., Any], callback: Callable[[Any], None]) -> None:
        def handle(key: str, sender: str, message: str | None, mtype: str, parameters: Any, extra: Any) -> None:
            error = ""
            try:
                with self._incoming.turn:
                    callback(take(self._name_of(sender), mtype, parameters))
            except Exception as problem:
                error = str(problem) or type(problem).__name__
                _LOG.warning("%s from %s: %s", mtype, sender, error)
            if message is not None:
                self._reply(key, message, error)

        for mtype in mtypes:
            with self._asking():
                self._client.bind_receive_call(mtype, handle, declare=False)
                self._client.bind_receive_notification(mtype, handle)

    def _reply(self, key: str, message: str, error: str) -> None:
        answer: dict[str, Any] = {"samp.status": "samp.error" if error else "samp.ok", "samp.result": {}}
        if error:
            answer["samp.error"] = {"samp.errortxt": error[:1000]}
        with contextlib.suppress(*_TROUBLE):  # who has gone meanwhile needs no answer
            self._proxy.reply(key, message, answer)

    def _name_of(self, sender: str) -> str:
        with contextlib.suppress(*_TROUBLE):
            about = self._proxy.get_metadata(self._client.get_private_key(), sender)
            return str(about.get("samp.name", "")) or sender
        return sender


def _text(error: BaseException) -> str:
    text = error.faultString if isinstance(error, xmlrpc.client.Fault) else str(error)
    return (text or type(error).__name__)[:300]
