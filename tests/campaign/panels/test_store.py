"""What is found is kept whole: findings, images, overlays, versions; a damaged file says what to do."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from emberline.campaign.panels import Caution, ContextStore, Fact, Finding, Link, Overlay, Picture
from emberline.errors import CampaignError


def full() -> Finding:
    wavelength = np.linspace(6500.0, 6600.0, 50)
    return Finding(
        "found",
        (Fact("G", "12.3", "mag", "https://example.org", "Gaia"),),
        (Link("there", "https://example.org/a?b=c"), Link("bad", "javascript:alert(1)")),
        (Caution("danger", "a nebula"),),
        (Overlay("o1", "HARPS", wavelength, np.arange(50, dtype=np.float32), "barycentric"),),
        Picture(b"\x89PNG\r\n\x1a\n...", "image/png", "the sky", 10, 20, 120.0),
        "a message",
        "a service",
    )


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    with ContextStore.of(tmp_path) as store:
        store.keep("sky", {"s1": full(), "s2": Finding("nothing")})
    with ContextStore.of(tmp_path) as store:
        document = store.documents("s1")["sky"]
        assert document == {**json.loads(json.dumps(full().to_document())), "asked": document["asked"]}
        assert document["asked"].endswith("Z")
        assert [link["text"] for link in document["links"]] == ["there"]
        assert store.image("s1", "sky") == (b"\x89PNG\r\n\x1a\n...", "image/png")
        overlay = store.overlay("s1", "o1")
        assert overlay is not None
        np.testing.assert_allclose(overlay["wavelength"], np.linspace(6500.0, 6600.0, 50))
        np.testing.assert_array_equal(overlay["flux"], np.arange(50))
        assert (overlay["title"], overlay["frame"]) == ("HARPS", "barycentric")
        assert store.states() == {("s1", "sky"): "found", ("s2", "sky"): "nothing"}
        assert store.overlay("s2", "o1") is None


def test_the_new_takes_the_place_of_the_old(tmp_path: Path) -> None:
    with ContextStore.of(tmp_path) as store:
        store.keep("sky", {"s1": full()})
        before = store.version()
        store.keep("sky", {"s1": Finding("failed", message="down", service="who")})
        assert store.image("s1", "sky") is None
        assert store.overlay("s1", "o1") is None
        assert store.changed(before) == [("s1", "sky")]
        assert store.changed(store.version()) == []
        assert store.messages() == {"sky": ("who", "down")}
        store.forget(["s1"])
        assert store.states() == {}


def test_threads_and_connections_write_at_a_time(tmp_path: Path) -> None:
    def write(panel: str) -> None:
        with ContextStore.of(tmp_path) as mine:
            for number in range(20):
                mine.keep(panel, {f"s{number}": full()})

    threads = [threading.Thread(target=write, args=[f"p{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ContextStore.of(tmp_path) as store:
        assert len(store.states()) == 80
        assert store.version() == 80


def test_a_damaged_file_says_that_it_may_be_removed(tmp_path: Path) -> None:
    (tmp_path / "context.db").write_bytes(b"no data base at all, " * 100)
    with pytest.raises(CampaignError, match="remove the file"):
        ContextStore.of(tmp_path)


def test_one_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with ContextStore.of(tmp_path) as store:
        store._connection.execute("PRAGMA user_version=99")
    with pytest.raises(CampaignError, match="newer version"):
        ContextStore.of(tmp_path)
