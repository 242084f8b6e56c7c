"""Ask all panels about all spectra of a round, each in a thread of its own with its own time limit, and keep it."""

from __future__ import annotations

import contextlib
import dataclasses
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
from emberline.campaign.panels.trouble import failure
from emberline.errors import EmberlineError, MissingExtraError
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.vo.client.session import Session

__all__ = ["prefetch"]

_LOG = logging.getLogger("emberline.campaign.panels")
_DONE = ("found", "nothing")


def prefetch(
    campaign: Campaign,
    identifiers: Iterable[str] | None = None,
    *,
    panels: Sequence[str] = (),
    retry: bool = True,
    again: bool = False,
    workspace: Path | None = None,
    session: Session | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Ask the panels of a campaign's configuration about spectra that were asked about.

    What has been found before is not asked again; what failed is, unless `retry` is false. A panel that fails, or takes
    longer than its time limit, is named with the reason in its findings; the others go on.

    Parameters
    ----------
    campaign : Campaign
    identifiers : iterable of str, optional
        Those of the newest round by default.
    panels : sequence of str
        Only these.
    retry, again : bool
        Ask again what failed; and also what is known already.
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
    active = {name: panel for name, panel in chosen(panels).items() if name in active} if panels else active
    with ContextStore.of(campaign.path) as store:
        known = {} if again else store.states()
        done = _DONE if retry else (*_DONE, "failed", "offline")
        wanted = {name: [spectrum for spectrum in names if known.get((spectrum, name)) not in done] for name in active}
        needed = list(dict.fromkeys(spectrum for some in wanted.values() for spectrum in some))
        places = {place.identifier: place for place in places_of(campaign, needed)}
        opened = None
        if session is None and config.enabled and any(place.placed for place in places.values()):
            session = opened = _session(workspace)
        tools = Tools(session, config, archives_of(campaign))
        runs = [
            _Run(panel, [places[s] for s in wanted[name] if s in places], store, tools, again)
            for name, panel in active.items()
            if wanted[name]
        ]
        try:
            _work(runs, progress)
        finally:
            if opened is not None:
                opened.close()
        return {"spectra": len(names), "asked": sum(map(len, wanted.values())), "panels": _counts(store, names, active)}


def _session(workspace: Path | None) -> Session | None:
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

    def __init__(self, panel: Panel, places: list[Place], store: ContextStore, tools: Tools, fresh: bool) -> None:
        super().__init__(name=f"panel-{panel.name}", daemon=True)
        self.panel, self.places, self._store, self._fresh = panel, places, store, fresh
        self._lock = threading.Lock()
        self._left: dict[str, Finding | None] = dict.fromkeys(place.identifier for place in places)
        self._closed = False
        self.tools = dataclasses.replace(tools, keep=self._keep, cancelled=threading.Event())

    def run(self) -> None:
        """Ask; whatever goes wrong becomes the finding of what is left."""
        able = [place for place in self.places if place.placed or self.panel.local]
        unplaced = [place.identifier for place in self.places if not (place.placed or self.panel.local)]
        nowhere = Finding("nothing", message="the spectrum has no position")
        self._store_all(dict.fromkeys(unplaced, nowhere))
        try:
            found = self._ask(able) if able else {}
            self._store_all(found)
            self._end(Finding("nothing"))
        except Exception as error:
            if not isinstance(error, (EmberlineError, TimeoutError)):
                _LOG.exception("the panel %s failed", self.panel.name)
            self._end(failure(error, self.panel.service or self.panel.title))

    def _ask(self, places: list[Place]) -> dict[str, Finding]:
        session = self.tools.session
        with session.fresh() if session is not None and self._fresh else contextlib.nullcontext():
            return dict(self.panel.ask(places, self.tools))

    def give_up(self, seconds: float) -> None:
        """The time is over: note so for all that is left, and take nothing more."""
        self.tools.cancelled.set()
        late = Finding(
            "failed", message=f"no answer within {seconds:g} s", service=self.panel.service or self.panel.title
        )
        self._end(late)

    def _end(self, finding: Finding) -> None:
        """So it is with all that is left; what was found of it by then is kept."""
        self._store_all({name: _ended(part, finding) for name, part in self._left.items()})
        with self._lock:
            self._closed = True

    def _keep(self, identifier: str, finding: Finding) -> None:
        self._store_all({identifier: finding})

    def _store_all(self, findings: Mapping[str, Finding]) -> None:
        """Store findings; those that still wait for more remain among what is left."""
        with self._lock:
            if self._closed or not findings:
                return
            for name, finding in findings.items():
                if finding.state == "waiting":
                    self._left[name] = finding
                else:
                    self._left.pop(name, None)
            try:
                self._store.keep(self.panel.name, dict(findings))
            except EmberlineError as error:
                _LOG.warning("what the panel %s found could not be kept: %s", self.panel.name, error)


def _ended(part: Finding | None, end: Finding) -> Finding:
    """What was found before the end, with how it ended."""
    if part is None:
        return end
    if end.state == "nothing":
        return dataclasses.replace(part, state="found")
    return dataclasses.replace(part, state=end.state, message=end.message, service=end.service)


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
