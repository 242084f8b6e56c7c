"""Publishing: what is refused, what is frozen, versions, withdrawal."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from publishing_sky import COUNT, SETTINGS

from emberline.campaign import read_status
from emberline.config import to_toml
from emberline.errors import ArchiveError, ConfigError
from emberline.vo.server._freeze import Summary, without_paths
from emberline.vo.server.publication import (
    Publication,
    frozen_folder,
    publish,
    read_publication,
    versions_of,
    withdraw,
)


def test_all_that_is_missing_is_listed_with_its_option(own: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        publish(own / "survey", title="T", authority="No Authority", rights_url="ftp://x")
    message = str(caught.value)
    options = ("--creator", "--description", "--subject", "--publisher", "--contact-name", "--contact-email")
    for option in (*options, "--authority", "--rights-url"):
        assert option in message
    assert "--title" not in message
    assert not (own / "survey" / "publication.toml").exists()
    assert versions_of(own / "survey") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a; DROP TABLE x"),
        ("name", 'a"b'),
        ("name", "a'b"),
        ("name", "../other"),
        ("name", "a/b"),
        ("name", "Upper"),
        ("name", "1st"),
        ("name", "a%2fb"),
        ("name", "a" * 41),
        ("name", "select"),
        ("name", "table"),
        ("name", "tap"),
        ("name", "ivoa"),
        ("name", "tap_schema"),
        ("name", "registry"),
        ("authority", "example.org/else"),
        ("authority", "exa mple"),
        ("authority", "-a"),
        ("authority", "a..b"),
        ("contact_email", "nobody"),
        ("contact_email", 'a"@b.c'),
        ("reference_url", "javascript:alert(1)"),
        ("reference_url", 'https://x/"onclick="'),
        ("title", "two\nlines"),
        ("title", "bell\x07"),
        ("title", "half \ud800 a pair"),
        ("description", "nul\0"),
        ("description", "x" * 20_001),
        ("creators", ("good", "b\x1bad")),
        ("waveband", ("Purple",)),
        ("bibcode", "2020"),
        ("doi", "https://doi.org/10.1/x"),
        ("aperture_arcsec", 0.0),
        ("aperture_arcsec", float("nan")),
        ("aperture_arcsec", -3.0),
    ],
)
def test_what_would_break_an_address_a_query_or_a_document_is_refused(own: Path, field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be published yet"):
        publish(own / "survey", **{**SETTINGS, field: value})
    assert read_publication(own / "survey") is None


def test_a_folder_that_is_neither(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither an archive nor a campaign"):
        publish(tmp_path, **SETTINGS)
    with pytest.raises(ConfigError, match="neither"):
        publish(tmp_path / "nowhere", **SETTINGS)
    (tmp_path / "archive.toml").write_text("")
    with pytest.raises(ArchiveError, match="missing"):
        publish(tmp_path, name="x", **SETTINGS)
    assert read_publication(tmp_path) is None
    assert versions_of(tmp_path) == []


def test_an_archive_is_frozen_without_paths(own: Path) -> None:
    record = publish(own / "survey", **SETTINGS)
    assert (record.name, record.kind, record.version) == ("survey", "archive", 1)
    assert record == read_publication(own / "survey")
    frozen = frozen_folder(own / "survey", 1)
    table = pq.read_table(frozen / "catalogue.parquet")
    live = pq.read_table(own / "survey" / "catalogue.parquet")
    assert table["identifier"].equals(live["identifier"])
    assert set(live["source_file"].to_pylist()) == {"/secret/folder/file.fits"}
    assert set(table["source_file"].to_pylist()) == {"file.fits"}
    assert np.all(np.diff(table["healpix"].to_numpy()) >= 0)
    for file in frozen.rglob("*"):
        assert not file.is_file() or b"/secret" not in file.read_bytes()
        assert not file.is_file() or bytes(own) not in file.read_bytes()


def test_the_summary_counts(own: Path) -> None:
    publish(own / "survey", **SETTINGS)
    summary = Summary.load(frozen_folder(own / "survey", 1))
    assert (summary.rows, summary.placed) == (COUNT, COUNT - 1)
    assert summary.mjd == (57000.0, 57000.0 + COUNT - 1)
    assert summary.surveys == ("Test DR1",)
    assert summary.probe is not None
    catalogue = pq.read_table(own / "survey" / "catalogue.parquet")
    first = catalogue["healpix"].to_pylist().index(next(h for h in catalogue["healpix"].to_pylist() if h >= 0))
    assert summary.probe[0] == pytest.approx(catalogue["ra"][first].as_py(), abs=1e-4)


def test_publishing_again_keeps_what_was_said_and_the_version_before(own: Path) -> None:
    first = publish(own / "survey", aperture_arcsec=2.5, **SETTINGS)
    again = publish(own / "survey", title="Another title")
    assert (again.version, again.title, again.creators) == (2, "Another title", first.creators)
    assert again.aperture_arcsec == 2.5
    assert again.created == first.created
    assert versions_of(own / "survey") == [1, 2]
    withdraw(own / "survey", version=1)
    assert versions_of(own / "survey") == [2]
    with pytest.raises(ConfigError, match="cannot be withdrawn alone"):
        withdraw(own / "survey", version=2)


def test_a_file_of_settings_goes_before_the_past_and_behind_the_options(own: Path) -> None:
    publish(own / "survey", **{**SETTINGS, "waveband": ("UV",)})
    draft = own / "draft.toml"
    draft.write_text('title = "From the file"\npublisher = "From the file"\ncontact-name = "F. Ile"\n')
    record = publish(own / "survey", config=draft, publisher="From the option")
    assert (record.title, record.publisher, record.contact_name) == ("From the file", "From the option", "F. Ile")
    assert record.waveband == ("UV",)  # the file does not say: its default is no word of it
    draft.write_text('titel = "x"\n')
    with pytest.raises(ConfigError, match="Did you mean 'title'"):
        publish(own / "survey", config=draft)


def test_withdrawing_keeps_the_record_and_the_archive(own: Path) -> None:
    publish(own / "survey", **SETTINGS)
    before = (own / "survey" / "catalogue.parquet").read_bytes()
    record = withdraw(own / "survey")
    assert record.withdrawn
    assert read_publication(own / "survey") == record
    assert versions_of(own / "survey") == []
    assert (own / "survey" / "catalogue.parquet").read_bytes() == before
    with pytest.raises(ConfigError, match="nothing is published"):
        withdraw(own / "survey")
    again = publish(own / "survey")
    assert (again.version, again.withdrawn) == (2, "")


def test_a_failure_leaves_what_was_published(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(own / "survey", **SETTINGS)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emberline.vo.server.hips.write_hips", fail)
    with pytest.raises(Exception, match="No space left"):
        publish(own / "survey", title="New")
    record = read_publication(own / "survey")
    assert record is not None
    assert (record.version, record.title) == (1, SETTINGS["title"])
    assert sorted(path.name for path in (own / "survey" / "published").iterdir()) == ["publish.lock", "v1"]


def test_candidates_carry_their_class_purity_labels_and_origin(own: Path) -> None:
    archive = publish(own / "survey", **SETTINGS)
    publish(own / "search", **SETTINGS)
    table = pq.read_table(frozen_folder(own / "search", 1) / "catalogue.parquet")
    rows = table.to_pylist()
    assert rows
    for row in rows:
        assert row["class"] == "emission" == (row["label"] or row["predicted"])
        assert row["archive"] == "survey"
        assert row["obs_publisher_did"] == archive.did(row["identifier"])
        assert 0 <= row["probability"] <= 1
        if row["label"]:
            assert row["labelled_by"] == "function"
            assert (row["purity_low"], row["purity_stratum"], row["purity_high"]) == (1, 1, 1)
        elif row["purity_stratum"] is not None:
            assert row["purity_low"] <= row["purity_stratum"] <= row["purity_high"]
    assert any(row["label"] for row in rows)
    assert [row["healpix"] for row in rows] == sorted(row["healpix"] for row in rows)
    for field in table.schema:
        assert field.metadata[b"description"], field.name
    summary = Summary.load(frozen_folder(own / "search", 1))
    assert summary.archives == ("survey",)
    estimate = read_status(own / "search")["rounds"][-1]["purity"]
    if estimate["value"] is not None:
        assert summary.purity == (estimate["value"], estimate["low"], estimate["high"])
        asked = [row for row in rows if not row["label"]]
        assert all(row["purity_low"] == pytest.approx(estimate["low"], rel=1e-6) for row in asked)


def test_candidates_are_voparquet_with_provenance_and_no_paths(own: Path) -> None:
    import io

    from astropy.io.votable import parse

    publish(own / "search", **SETTINGS)
    path = frozen_folder(own / "search", 1) / "catalogue.parquet"
    schema = pq.read_schema(path)
    provenance = json.loads(schema.metadata[b"emberline.provenance"])
    assert provenance["configuration"]["pool"]["archives"] == ["survey"]
    assert provenance["labels_hash"]
    described = parse(io.BytesIO(schema.metadata[b"IVOA.VOTable-Parquet.content"])).get_first_table()
    assert [field.name for field in described.fields] == schema.names
    assert bytes(own) not in path.read_bytes()
    assert set(pq.read_table(path)["archive"].to_pylist()) == {""}  # the archive is not published


def test_labels_given_later_are_not_shown(own: Path) -> None:
    from emberline.campaign import open_campaign

    publish(own / "search", **SETTINGS)
    path = frozen_folder(own / "search", 1) / "catalogue.parquet"
    before = path.read_bytes()
    campaign = open_campaign(own / "search")
    labelled = next(label.identifier for label in campaign.labels() if label.answer == "emission")
    campaign.label({labelled: "none"}, who="later")
    campaign.close()
    assert path.read_bytes() == before
    assert publish(own / "search").version == 2
    assert path.read_bytes() == before
    newer = pq.read_table(frozen_folder(own / "search", 2) / "catalogue.parquet")
    assert labelled not in newer["identifier"].to_pylist()


def test_dataset_identifiers_go_there_and_back() -> None:
    record = Publication(name="survey", authority="example.org")
    for identifier in ("plain", "a/b c?d&é#", "100%", "+", "名"):
        did = record.did(identifier)
        assert re.fullmatch(r"ivo://example\.org/survey\?[A-Za-z0-9%._~-]+", did)
        assert record.identifier(did) == identifier
        assert record.identifier(did.replace("example.org/survey", "EXAMPLE.org/Survey")) == identifier
    assert record.identifier("ivo://example.org/other?plain") is None
    assert record.identifier("ivo://example.org/survey") is None
    assert record.identifier("plain") is None


def test_a_damaged_record_says_so(own: Path) -> None:
    (own / "survey" / "publication.toml").write_text('name = "survey"\n')
    with pytest.raises(ConfigError, match="no complete record"):
        read_publication(own / "survey")


def test_the_record_is_plain_toml() -> None:
    record = Publication(**SETTINGS, name="survey", version=3, created="2026-01-01T00:00:00Z")
    assert Publication(**{**dataclasses.asdict(record), **_tuples(tomllib.loads(to_toml(record)))}) == record


def _tuples(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in mapping.items()}


def test_paths_are_cut_down_to_names() -> None:
    record = {"a": "/home/me/x.csv", "b": ["../up", "C:\\data\\y.fits"], "c": "https://x/y", "d": "1 / 2", "e": 3}
    assert without_paths(record) == {"a": "x.csv", "b": ["up", "y.fits"], "c": "https://x/y", "d": "1 / 2", "e": 3}
