"""A round is asked about as a whole: every panel in its own time, one that fails is named, nothing is asked twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from emberline.campaign import Campaign
from emberline.campaign.panels import (
    ContextStore,
    Fact,
    Finding,
    Panel,
    Place,
    Tools,
    context_document,
    context_status,
    prefetch,
)
from emberline.campaign.panels import registry as registry_module
from emberline.campaign.panels.places import identifiers_of
from emberline.errors import ConfigError
from emberline.vo.client.errors import OfflineError, ServiceDownError
from tests.campaign.panels.conftest import make_campaign

Ask = Callable[[Sequence[Place], Tools], Mapping[str, Finding]]


def panel_of(name: str, ask: Ask, *, local: bool = False) -> Panel:
    """A panel that does what a test says."""
    made = type(
        name, (Panel,), {"name": name, "title": name.title(), "local": local, "ask": lambda self, p, t: ask(p, t)}
    )
    panel: Panel = made()
    return panel


def found(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
    """Finds something of everything."""
    return {place.identifier: Finding("found", (Fact("a", "b"),)) for place in places}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these be all the panels."""

    def use(*panels: Panel) -> None:
        monkeypatch.setattr(registry_module, "panels", lambda: {panel.name: panel for panel in panels})

    return use


def documents(campaign: Campaign, panel: str) -> list[dict[str, Any]]:
    with ContextStore.of(campaign.path) as store:
        return [store.documents(name)[panel] for name in identifiers_of(campaign)]


def test_one_question_for_the_whole_round_and_none_twice(campaign: Campaign, use: Callable[..., None]) -> None:
    asked: list[int] = []

    def ask(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
        asked.append(len(places))
        return found(places, tools)

    use(panel_of("one", ask))
    count = len(identifiers_of(campaign))
    assert prefetch(campaign) == {"spectra": count, "asked": count, "panels": {"one": {"found": count}}}
    assert prefetch(campaign)["asked"] == 0
    assert prefetch(campaign, again=True)["asked"] == count
    assert prefetch(campaign, [identifiers_of(campaign)[0]], again=True)["asked"] == 1
    assert asked == [count, count, 1]


def test_whoever_fails_is_named_and_the_others_go_on(campaign: Campaign, use: Callable[..., None]) -> None:
    def broken(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
        raise ZeroDivisionError("by zero")

    def down(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
        tools.keep(places[0].identifier, Finding("found", (Fact("kept", "1"),)))
        raise ServiceDownError(
            "has failed five times", url="https://tap.example.org/tap/sync?QUERY=x", service_said="Busy"
        )

    def off(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
        raise OfflineError("the client is offline", url="https://example.org/tap")

    use(panel_of("broken", broken), panel_of("down", down), panel_of("off", off), panel_of("well", found))
    count = len(identifiers_of(campaign))
    assert prefetch(campaign)["panels"] == {
        "broken": {"failed": count},
        "down": {"found": 1, "failed": count - 1},
        "off": {"offline": count},
        "well": {"found": count},
    }
    assert documents(campaign, "broken")[0]["message"] == "the panel itself failed: ZeroDivisionError('by zero')"
    told = documents(campaign, "down")[-1]
    assert told["service"] == "Down (tap.example.org/tap/sync)"
    assert told["message"] == "has failed five times. It says: Busy"
    status = {panel["name"]: panel for panel in context_status(campaign)["panels"]}
    assert status["down"]["message"] == told["message"]
    assert status["well"]["message"] == ""


def test_failures_are_asked_again_unless_told_not_to(campaign: Campaign, use: Callable[..., None]) -> None:
    def down(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
        raise ServiceDownError("is down", url="https://example.org")

    use(panel_of("one", down))
    prefetch(campaign)
    use(panel_of("one", found))
    assert prefetch(campaign, retry=False)["asked"] == 0
    assert prefetch(campaign)["panels"]["one"] == {"found": len(identifiers_of(campaign))}


def test_a_panel_that_hangs_is_given_up_at_its_time(tmp_path: Path, use: Callable[..., None]) -> None:
    released = threading.Event()

    def hang(places: Sequence[Place], tools: Tools) -> dict[str, Finding]:
        first, second = places[0].identifier, places[1].identifier
        tools.keep(first, Finding("found", (Fact("early", "1"),)))
        tools.keep(second, Finding("waiting", (Fact("part", "1"),)))
        released.wait(60)
        return found(places, tools)

    use(panel_of("slow", hang), panel_of("well", found))
    campaign = make_campaign(tmp_path, context={"deadline": 1.0})
    outcome = prefetch(campaign)["panels"]
    count = len(identifiers_of(campaign))
    assert outcome == {"slow": {"found": 1, "failed": count - 1}, "well": {"found": count}}
    first, second, third, *_ = documents(campaign, "slow")
    assert first["facts"][0]["label"] == "early"
    assert (second["state"], second["facts"][0]["label"]) == ("failed", "part")
    assert third["message"] == "no answer within 1 s"
    released.set()
    campaign.close()


def test_without_a_position_only_local_panels_are_asked(tmp_path: Path, use: Callable[..., None]) -> None:
    use(panel_of("far", found), panel_of("near", found, local=True))
    campaign = make_campaign(tmp_path, objects=False)
    count = len(identifiers_of(campaign))
    assert prefetch(campaign)["panels"] == {"far": {"nothing": count}, "near": {"found": count}}
    assert documents(campaign, "far")[0]["message"] == "the spectrum has no position"
    campaign.close()


def test_the_configuration_chooses_panels(tmp_path: Path, use: Callable[..., None]) -> None:
    use(panel_of("one", found), panel_of("two", found))
    campaign = make_campaign(tmp_path, context={"panels": ["two"]})
    assert list(prefetch(campaign)["panels"]) == ["two"]
    with ContextStore.of(campaign.path) as store:
        shown = context_document(store, ("two",), identifiers_of(campaign)[0], "/x")["panels"]
    assert [panel["name"] for panel in shown] == ["two"]
    with pytest.raises(ConfigError, match="no panel 'three'"):
        prefetch(campaign, panels=["three"])
    campaign.close()


def test_nobody_is_asked_where_the_campaign_says_so(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path, context={"enabled": False})
    outcome = prefetch(campaign)["panels"]
    count = len(identifiers_of(campaign))
    assert outcome["identity"] == outcome["photometry"] == outcome["sky"] == {"offline": count}
    assert outcome["spectra"] == {"found": count}
    assert documents(campaign, "identity")[0]["message"].startswith("not asked: context.enabled")
    campaign.close()


def test_offline_everything_says_so_and_it_is_quick(campaign: Campaign) -> None:
    """The tests' own configuration is offline."""
    outcome = prefetch(campaign)["panels"]
    count = len(identifiers_of(campaign))
    for name in ("identity", "photometry", "catalogues", "sky", "confusion"):
        assert outcome[name] == {"offline": count}, name
    assert outcome["literature"] == outcome["variability"] == {"found": count}
    assert any(fact["label"] == "Fibre" for fact in documents(campaign, "confusion")[0]["facts"])


def test_what_was_never_asked_waits(campaign: Campaign) -> None:
    with ContextStore.of(campaign.path) as store:
        shown = context_document(store, (), identifiers_of(campaign)[0], "/api/x")
    assert {panel["state"] for panel in shown["panels"]} == {"waiting"}
    assert all(panel["facts"] == [] and panel["image"] is None for panel in shown["panels"])
