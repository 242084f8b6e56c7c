"""Ask all panels about all spectra of a round, each in a thread of its own with its own time limit, and keep it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emberline.campaign.panels.base import Finding, Panel, Place, Tools
from emberline.campaign.panels.places import archives_of, identifiers_of, places_of
from emberline.campaign.panels.registry import chosen
from emberline.campaign.panels.store import ContextStore
from emberline.errors import EmberlineError, MissingExtraError
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.vo.client.session import Session

__all__ = ["failure", "missing_panels", "prefetch"]

_LOG = logging.getLogger("emberline.campaign.panels")
_DONE = ("found", "nothing")


def prefetch(
    campaign: Campaign,
    identifiers: Iterable[str] | None = None,
    *,
    panels: Sequence[str] = (),
    again: bool = False,
    workspace: Path | None = None,
    session: Session | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Ask the panels of a campaign's configuration about spectra that were asked about.

    What has been found before is not asked again; what failed is. A panel that fails, or takes longer than its time
    limit, is named with the reason in its findings; the others go on.

    Parameters
    ----------
    campaign : Campaign
    identifiers : iterable of str, optional
        Those of the newest round by default.
    panels : sequence of str
        Only these.
    again : bool
        Ask again what is known already, and services that were down as well.
    workspace : Path, optional
        Where ``vo.toml`` may lie.
    session : Session, optional
        One that is open already.

    Returns
    -------
    dict
        ``spectra``, ``asked`` (pairs of spectrum and panel), and ``panels``: name → state → how many now.

    Raises
    ------
    ConfigError
        There is no such panel.
    """
    config = campaign.config.context
    names = list(dict.fromkeys(identifiers_of(campaign) if identifiers is None else identifiers))
    active = chosen(config.panels)
    active = {name: active[name] for name in (panels or active) if name in active} if panels else active
    with ContextStore.of(campaign.path) as store:
        known = {} if again else store.states()
        wanted = {name: [spectrum for spectrum in names if known.get((spectrum, name)) not in _DONE] for name in active}
        needed = list(dict.fromkeys(spectrum for some in wanted.values() for spectrum in some))
        places = {place.identifier: place for place in places_of(campaign, needed)}
        asks = not config.enabled or session is not None
        session = session if asks else _session(workspace, any(p.placed for p in places.values()))
        if session is not None and again:
            session.reset()
        runs = [
            _Run(panel, [places[s] for s in wanted[name] if s in places], store, session, campaign)
            for name, panel in active.items()
            if wanted[name]
        ]
        _work(runs, progress)
        return {"spectra": len(names), "asked": sum(map(len, wanted.values())), "panels": _counts(store, names, active)}


def missing_panels(campaign: Campaign, identifiers: Iterable[str]) -> bool:
    """Whether any panel has not been asked about any of these spectra."""
    with ContextStore.of(campaign.path) as store:
        known = store.states()
    return any(
        (spectrum, name) not in known for spectrum in identifiers for name in chosen(campaign.config.context.panels)
    )


def _session(workspace: Path | None, needed: bool) -> Session | None:
    if not needed:
        return None
    try:
        from emberline.vo.client.session import open_session

        return open_session(workspace)
    except (ModuleNotFoundError, MissingExtraError) as error:
        _LOG.warning("services are not asked: %s", error)
        return None


def _counts(store: ContextStore, names: Sequence[str], active: Iterable[str]) -> dict[str, dict[str, int]]:
    states = store.states()
    found: dict[str, dict[str, int]] = {}
    for panel in active:
        counts = found[panel] = {}
        for name in names:
            state = states.get((name, panel), "waiting")
            counts[state] = counts.get(state, 0) + 1
    return found


class _Run(threading.Thread):
    """One panel at work; what it has not found when its time is over counts as failed."""

    def __init__(
        self, panel: Panel, places: list[Place], store: ContextStore, session: Session | None, campaign: Campaign
    ) -> None:
        super().__init__(name=f"panel-{panel.name}", daemon=True)
        self.panel, self.places, self._store = panel, places, store
        config = campaign.config.context
        self._lock = threading.Lock()
        self._left = {place.identifier for place in places}
        self._closed = False
        self.tools = Tools(session, config, archives_of(campaign), keep=self._keep)

    def run(self) -> None:
        """Ask; whatever goes wrong becomes the finding of what is left."""
        able = [place for place in self.places if place.placed or self.panel.local]
        unplaced = [place.identifier for place in self.places if not (place.placed or self.panel.local)]
        nowhere = Finding("nothing", message="the spectrum has no position")
        self._store_all(dict.fromkeys(unplaced, nowhere))
        try:
            found = dict(self.panel.ask(able, self.tools)) if able else {}
            left = {name: found.get(name, Finding("nothing")) for name in self._left}
        except Exception as error:
            if not isinstance(error, EmberlineError):
                _LOG.exception("the panel %s failed", self.panel.name)
            left = dict.fromkeys(self._left, failure(error))
        self._store_all(left)

    def give_up(self, seconds: float) -> None:
        """The time is over: note so for all that is left, and take nothing more."""
        self.tools.cancelled.set()
        late = Finding("failed", message=f"no answer within {seconds:g} s", service=self.panel.title)
        self._store_all(dict.fromkeys(self._left, late), last=True)

    def _keep(self, identifier: str, finding: Finding) -> None:
        self._store_all({identifier: finding})

    def _store_all(self, findings: Mapping[str, Finding], *, last: bool = False) -> None:
        with self._lock:
            mine = {} if self._closed else {n: f for n, f in findings.items() if n in self._left}
            self._closed |= last
            self._left -= mine.keys()
            if mine:
                try:
                    self._store.keep(self.panel.name, mine)
                except EmberlineError as error:
                    _LOG.warning("what the panel %s found could not be kept: %s", self.panel.name, error)


def _work(runs: list[_Run], progress: Progress) -> None:
    """Let all panels work at a time; each has its time limit from now."""
    begun = time.monotonic()
    for run in runs:
        run.tools.deadline = begun + run.tools.config.deadline
        run.start()
    done, waiting = 0, list(runs)
    progress("context", 0, len(runs))
    while waiting:
        waiting[0].join(0.1)
        for run in list(waiting):
            late = run.tools.left == 0.0
            if run.is_alive() and not late:
                continue
            if run.is_alive():
                run.give_up(run.tools.config.deadline)
            waiting.remove(run)
            done += 1
            progress("context", done, len(runs))


def failure(error: BaseException) -> Finding:
    """What the page shows of an error: offline, or failed with the service's address and what it said."""
    try:
        from emberline.vo.client.errors import OfflineError, ServiceError
    except ModuleNotFoundError:
        return Finding("failed", message=str(error))
    if isinstance(error, OfflineError):
        return Finding("offline", message="the client is offline, and nobody has asked this before", service=error.url)
    if isinstance(error, ServiceError):
        said = f" It says: {error.service_said}" if error.service_said else ""
        return Finding("failed", message=f"{error.message}.{said}", service=error.url)
    known = isinstance(error, EmberlineError)
    return Finding("failed", message=str(error) if known else f"the panel itself failed: {error!r}")
