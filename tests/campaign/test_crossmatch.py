"""Candidates matched with other archives: what is asked, compared, kept, written and counted."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import sky
from emberline.archive import ingest_blocks
from emberline.archive.positions import Positions
from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.config import ControlConfig, PoolConfig, QueryConfig, StopConfig
from emberline.campaign.crossmatch import (
    Crossmatch,
    CrossmatchConfig,
    Options,
    crossmatch,
    crossmatch_campaign,
    crossmatch_table,
    kept_summary,
    parse_requests,
    summary_text,
)
from emberline.campaign.crossmatch import remote as remote_module
from emberline.campaign.crossmatch.catalogues import describe
from emberline.campaign.crossmatch.jobs import CROSSMATCH, CrossmatchParameters, run_crossmatch
from emberline.campaign.crossmatch.remote import adql, match_remote
from emberline.campaign.report import render
from emberline.campaign.results import report_data
from emberline.errors import ConfigError, EmberlineError
from emberline.jobs import describe as describe_parameters
from emberline.jobs import run_foreground
from emberline.learn import TrainConfig
from emberline.vo.client import ServiceError, Session
from tests.campaign.conftest import lines, write_truth
from tests.vo.client.other_archives import Fault, OtherArchives, other_archives
from tests.vo.client.other_sky import OBJECTS, object_at

SEEN = 2012.0
"""When the candidates were observed."""
BE = {"emission": ("Be*", "Em*")}


@pytest.fixture(scope="module")
def _others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("others") / "workspace", spectra=0) as others:
        yield others


@pytest.fixture
def others(_others: OtherArchives) -> Iterator[OtherArchives]:
    """The other archives, with nothing asked and no faults."""
    _others.asked.clear()
    _others.faults.clear()
    yield _others
    _others.faults.clear()


@pytest.fixture
def session(others: OtherArchives) -> Iterator[Session]:
    with Session(dataclasses.replace(others.config, tries=1)) as session:
        yield session


def candidates() -> tuple[pa.Table, Positions]:
    """The objects of the other archives where they stood in 2012, one where nothing is, and one without a position."""
    ra, dec = (np.array([*column, far, np.nan]) for column, far in zip(
        np.transpose([item.at(SEEN) for item in OBJECTS]), (200.0, 10.0), strict=True
    ))  # fmt: skip
    names = [*(f"s{item.number}" for item in OBJECTS), "far", "nowhere"]
    mjd = np.full(len(names), float(sky.mjd_of_year(SEEN)))
    table = pa.table({"identifier": names, "object": names, "ra": ra, "dec": dec, "mjd": mjd})
    return table, Positions.of(ra, dec, epoch=SEEN)


def matched(session: Session, *names: str, **keywords: Any) -> Crossmatch:
    options = keywords.pop("options", Options(radius_arcsec=2.0, types=BE, chance=False))
    return crossmatch(*candidates(), parse_requests(names), options, session=lambda: session, **keywords)


def by_name(done: Crossmatch, column: str) -> dict[str, Any]:
    return dict(zip(done.table["identifier"].to_pylist(), done.table[column].to_pylist(), strict=True))


# What is found --------------------------------------------------------------------------------------------------------


def test_simbad_says_what_is_known(session: Session) -> None:
    done = matched(session, "simbad")
    found = by_name(done, "simbad_main_id")
    assert found["s1"] == "* gam Emb"
    assert found["s12"] == "* pol Emb", "near the pole"
    assert found["far"] is found["nowhere"] is found["s8"] is None
    assert by_name(done, "simbad_otype")["s3"] == "CV*"
    assert by_name(done, "simbad_nbref")["s1"] == 1234
    assert by_name(done, "simbad_sep")["s2"] < 1e-3
    assert by_name(done, "crossmatch") == {
        **dict.fromkeys(found, "known"),
        **dict.fromkeys(["s1", "s2", "s12"], "known target"),
        **dict.fromkeys(["s8", "far"], "new"),
        "nowhere": "not known",
    }
    item = done.summary["catalogues"][0]
    assert item["types"]["Be*"] == 3
    assert item["as_target"] == {"emission": 3}
    assert (item["matched"], item["nothing"], item["ambiguous"]) == (11, 2, 2)
    counts = [done.summary[key] for key in ("known_target", "known", "new", "not_known", "new_objects", "ambiguous")]
    assert counts == [3, 8, 2, 1, 2, 2]


def test_stars_are_compared_where_they_stood_when_they_were_observed(session: Session) -> None:
    """The sixth moves 1.5 arcsec a year: 18 from 2000, 6 from 2016; within 2 it is found by its motion alone."""
    done = matched(session, "simbad,gaia")
    assert by_name(done, "simbad_main_id")["s6"] == "LP 999-9"
    assert by_name(done, "gaia_source_id")["s6"] == object_at(6).source_id
    assert max(by_name(done, "gaia_sep")[f"s{n}"] for n in (1, 2, 3, 6, 12)) < 1e-3
    assert all(item["proper_motions_used"] for item in done.summary["catalogues"])
    table, positions = candidates()
    still = crossmatch(
        table, dataclasses.replace(positions, epoch=None), parse_requests(["gaia"]), session=lambda: session
    )
    assert by_name(still, "gaia_source_id")["s6"] is None, "without a date it is 6 arcsec away"
    assert by_name(still, "gaia_source_id")["s1"] == object_at(1).source_id
    assert not still.summary["catalogues"][0]["proper_motions_used"]


def test_a_star_that_stood_at_the_place_at_another_time_is_no_match(session: Session) -> None:
    place = object_at(6).at(2016.0)
    table = pa.table({"identifier": ["x"], "ra": [place[0]], "dec": [place[1]]})
    then = crossmatch(
        table, Positions.of([place[0]], [place[1]], epoch=SEEN), parse_requests(["gaia"]), session=lambda: session
    )
    assert then.summary["catalogues"][0]["matched"] == 0


def test_of_two_within_the_radius_the_nearest_is_taken_and_marked(session: Session) -> None:
    done = matched(session, "gaia")
    assert by_name(done, "gaia_source_id")["s10"] == object_at(10).source_id
    assert by_name(done, "gaia_source_id")["s11"] == object_at(11).source_id
    assert by_name(done, "gaia_matches")["s10"] == 2
    assert by_name(done, "gaia_ambiguous")["s10"] is True
    assert by_name(done, "gaia_ambiguous")["s1"] is False
    assert by_name(done, "gaia_matches")["far"] == 0


def test_tables_of_vizier_and_of_any_tap_service(others: OtherArchives, session: Session) -> None:
    done = matched(session, "II/246/out", f"old={others.url}/vizier/tap#vizls.III/1/old")
    assert by_name(done, "II_246_out_2MASS")["s1"] == "02400001+2000000"
    assert by_name(done, "II_246_out_2MASS")["s4"] is None
    assert by_name(done, "old_Name")["s12"] == "Old 12"
    field = done.table.schema.field("II_246_out_Jmag")
    assert field.metadata == {b"unit": b"mag", b"ucd": b"phot.mag;em.IR.J"}
    assert done.table.schema.field("II_246_out_RAJ2000").metadata[b"ucd"] == b"pos.eq.ra", "not the table's main one"
    assert done.table.schema.field("II_246_out_sep").metadata[b"unit"] == b"arcsec"
    assert done.summary["catalogues"][0]["table"] == 'vizls."II/246/out"'


def test_a_catalogue_that_names_several_tables_or_none_says_which_there_are(session: Session) -> None:
    done = matched(session, "III/1/old", "II/999/none", "III/1/notes")
    states = {item["name"]: item.get("message", "") for item in done.summary["catalogues"]}
    assert states["III_1_old"] == ""
    assert "no table with positions" in states["II_999_none"]
    assert "no table with positions" in states["III_1_notes"]


def test_files_and_archives_are_catalogues_too(session: Session, tmp_path: Path) -> None:
    first = object_at(1)
    place = first.at(2016.0)
    pq.write_table(
        pa.table(
            {"star": ["one"], "RA_ICRS": [place[0]], "DE_ICRS": [place[1]], "pmRA": [first.pmra], "pmDE": [first.pmdec]}
        ),
        tmp_path / "mine.parquet",
    )
    block, _ = lines(3, targets=1, seed=1)
    here = [dataclasses.replace(m, ra=40.1, dec=20.05 + i) for i, m in enumerate(block.meta)]
    ingest_blocks([dataclasses.replace(block, meta=here)], tmp_path / "survey", survey="test")
    done = matched(session, f"{tmp_path}/mine.parquet@2016,{tmp_path}/survey")
    assert by_name(done, "mine_star")["s1"] == "one"
    assert by_name(done, "mine_sep")["s1"] < 1e-3, "its motion from 2016 to 2012 was taken into account"
    assert by_name(done, "survey_identifier")["s2"] == here[0].identifier
    assert done.summary["known_by"] == ["mine", "survey"]
    unmoved = matched(session, f"{tmp_path}/mine.parquet")
    assert by_name(unmoved, "mine_sep")["s1"] == pytest.approx(0.102, abs=0.01)


def test_matches_by_chance_are_counted_on_positions_moved_aside(session: Session, tmp_path: Path) -> None:
    """A catalogue with a source 60 arcsec north of every candidate: those moved to the north meet one."""
    table, positions = candidates()
    ra, dec = sky.offset(positions.ra[:12], positions.dec[:12], 0.0, 60 / 3600)
    pq.write_table(pa.table({"ra": ra, "dec": dec}), tmp_path / "north.parquet")
    options = Options(radius_arcsec=1.0)
    done = crossmatch(table, positions, parse_requests([f"{tmp_path}/north.parquet"]), options, session=lambda: session)
    assert done.summary["catalogues"][0]["matched"] == 0
    assert done.summary["catalogues"][0]["chance"] == {"matches": 3, "tried": 13, "rate": 3 / 13}
    assert "by chance 23 % (3 of 13 positions moved aside)" in summary_text(done.summary)


# What is asked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "name", "what"),
    [
        ("simbad", "simbad", "simbad", "simbad"),
        ("GAIA", "gaia", "gaia", "GAIA"),
        ("II/246/out", "vizier", "II_246_out", "II/246/out"),
        ("vizier:J/A+A/643/A122/table1", "vizier", "J_A_A_643_A122_table1", "J/A+A/643/A122/table1"),
        ("B/bess", "vizier", "B_bess", "B/bess"),
        ("be=V/125/obcat", "vizier", "be", "V/125/obcat"),
        ("https://dc.example.org/tap#my.table", "tap", "table", "https://dc.example.org/tap#my.table"),
        ("x=https://dc.example.org/tap?a=b#t", "tap", "x", "https://dc.example.org/tap?a=b#t"),
        ("ivo://org.example/tap#t", "tap", "t", "ivo://org.example/tap#t"),
    ],
)
def test_what_a_catalogue_may_be_called(text: str, kind: str, name: str, what: str) -> None:
    (request,) = parse_requests([text])
    assert (request.kind, request.name, request.what) == (kind, name, what)
    assert math.isnan(request.year)


def test_two_of_one_name_get_a_number_and_years_are_read(tmp_path: Path) -> None:
    requests = parse_requests(["simbad,simbad", "I/239/hip_main@1991.25"])
    assert [request.name for request in requests] == ["simbad", "simbad_2", "I_239_hip_main"]
    assert requests[2].year == 1991.25


@pytest.mark.parametrize("text", ["", " , ", "nothing", "missing.vot", "ftp://example.org/x"])
def test_what_is_no_catalogue_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_requests([text])


def test_the_service_looks_as_far_as_stars_move_and_sends_what_can_be_a_match(session: Session) -> None:
    table = describe(session, session.config.services, parse_requests(["gaia"])[0])
    still, moving = adql(table, 3.0, 0.0), adql(table, 3.0, 4.0)
    assert f"{3 / 3600:.9f}))" in still
    assert "WHERE" not in still
    assert f"{(3 + 42) / 3600:.9f})" in moving
    assert "SQRT(t.pmra * t.pmra + t.pmdec * t.pmdec)" in moving


def test_blocks_are_uploads_of_many_positions(others: OtherArchives, session: Session) -> None:
    matched(session, "simbad")
    assert others.count("/simbad/tap/sync") == 1, "all positions in one request"


def test_a_service_is_sent_no_more_positions_than_it_takes(
    session: Session, others: OtherArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.vo.client import tap

    asked: list[tuple[int, int | None]] = []
    query = tap.query

    def watched(*arguments: Any, uploads: Any = None, limit: int | None = None) -> Any:
        asked.append((len(uploads["places"]), limit))
        return query(*arguments, uploads=uploads, limit=limit)

    monkeypatch.setattr(tap, "query", watched)
    monkeypatch.setattr(tap, "limits", lambda *_: tap.TapLimits(upload_rows=4, output_rows=900))
    table = describe(session, session.config.services, parse_requests(["simbad"])[0])
    match_remote(session, table, candidates()[1], 2.0)
    assert {limit for _, limit in asked} == {900}
    assert max(rows for rows, _ in asked) == 4
    monkeypatch.setattr(tap, "limits", lambda *_: tap.TapLimits(uploads=False))
    with pytest.raises(ServiceError, match="no uploads"):
        match_remote(session, table, candidates()[1], 2.0)


def test_what_is_done_is_kept_and_not_asked_again(others: OtherArchives, session: Session, tmp_path: Path) -> None:
    _, positions = candidates()
    table = describe(session, session.config.services, parse_requests(["simbad"])[0])

    def run(**keywords: Any) -> Any:
        return match_remote(session, table, positions, 2.0, folder=tmp_path / "blocks", block_rows=5, **keywords)

    def killed(step: str, done: int, total: int | None) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=killed)
    assert others.count("/simbad/tap/sync") == 2
    first = run()
    assert others.count("/simbad/tap/sync") == 3, "the third block alone"
    again = run()
    assert others.count("/simbad/tap/sync") == 3
    assert first.columns.equals(again.columns)
    np.testing.assert_array_equal(first.place, again.place)
    run(max_age_days=0.0)
    assert others.count("/simbad/tap/sync") == 6, "kept blocks may be too old"
    (tmp_path / "blocks").joinpath(next((tmp_path / "blocks").iterdir()).name).write_bytes(b"half")
    run()
    assert others.count("/simbad/tap/sync") == 7, "a damaged block is asked again"
    match_remote(session, table, positions, 2.5, folder=tmp_path / "blocks", block_rows=5)
    assert others.count("/simbad/tap/sync") == 10, "another radius is another question"


def test_a_block_that_fails_once_is_tried_again(others: OtherArchives, session: Session) -> None:
    others.faults.append(Fault("/simbad/tap/sync", times=1, status=500))
    assert matched(session, "simbad").summary["failed"] == []


def test_an_answer_that_was_cut_off_is_asked_for_in_halves(
    session: Session, others: OtherArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.vo.client import tap

    whole = matched(session, "simbad")
    query = tap.query
    sizes = []

    def cut(*arguments: Any, uploads: Any, **keywords: Any) -> Any:
        answer = query(*arguments, uploads=uploads, **keywords)
        sizes.append(len(uploads["places"]))
        if len(uploads["places"]) > 4:
            answer = answer[:2]
            answer.meta["overflow"] = True
        return answer

    monkeypatch.setattr(tap, "query", cut)
    halved = matched(session, "simbad")
    names = [name for name in whole.table.column_names if name not in ("ra", "dec")]  # NaN is not equal to itself
    assert halved.table.select(names).equals(whole.table.select(names))
    assert sizes == [13, 6, 3, 3, 7, 3, 4]


def test_more_around_one_position_than_a_service_sends_is_said(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.vo.client import tap

    query = tap.query

    def cut(*arguments: Any, **keywords: Any) -> Any:
        answer = query(*arguments, **keywords)
        answer.meta["overflow"] = True
        return answer

    monkeypatch.setattr(tap, "query", cut)
    done = matched(session, "simbad")
    assert "smaller radius" in done.summary["catalogues"][0]["message"]


# What fails -----------------------------------------------------------------------------------------------------------


def test_a_service_that_fails_takes_nothing_from_the_others(others: OtherArchives, session: Session) -> None:
    others.faults.append(Fault("/simbad/tap/sync", times=-1, status=500, body=b"We are closed."))
    done = matched(session, "simbad,gaia")
    assert done.summary["failed"] == ["simbad"]
    item = done.summary["catalogues"][0]
    assert item["state"] == "failed"
    assert item["address"] == others.services.simbad
    assert "500" in item["message"]
    assert "QUERY=" not in item["message"]
    assert "simbad_main_id" not in done.table.column_names
    assert by_name(done, "gaia_source_id")["s1"] == object_at(1).source_id
    assert set(by_name(done, "crossmatch").values()) == {"not known"}, "SIMBAD judges, and SIMBAD did not answer"
    assert f"FAILED. {others.services.simbad}" in summary_text(done.summary)


def test_a_service_that_is_switched_off_is_named(others: OtherArchives) -> None:
    off = dataclasses.replace(others.config, services=dataclasses.replace(others.services, gaia=""))
    with Session(off) as session:
        done = matched(session, "gaia,simbad")
    assert done.summary["failed"] == ["gaia"]
    assert "switched off" in done.summary["catalogues"][0]["message"]


def test_who_judges_must_have_been_asked(session: Session) -> None:
    with pytest.raises(ConfigError, match="bess"):
        matched(session, "simbad", options=Options(known_by=("bess",)))
    done = matched(session, "simbad,gaia", options=Options(radius_arcsec=2, known_by=("gaia",), chance=False))
    assert by_name(done, "crossmatch")["s8"] == "known", "only Gaia knows it"
    assert by_name(done, "crossmatch")["s9"] == "new", "only SIMBAD knows it"


# What is written ------------------------------------------------------------------------------------------------------


def written_table(folder: Path) -> Path:
    pq.write_table(candidates()[0], folder / "list.parquet")
    return folder / "list.parquet"


def test_a_table_is_written_in_every_format(session: Session, tmp_path: Path) -> None:
    from astropy.io import fits
    from astropy.table import Table

    path = written_table(tmp_path)
    out = [tmp_path / f"found.{ending}" for ending in ("vot", "fits", "csv", "parquet", "ecsv")]
    requests = parse_requests(["simbad", "gaia"])
    crossmatch_table(path, requests, Options(2.0, BE), out=out, session=session)
    for file in out:
        if file.suffix == ".parquet":
            assert pq.read_table(file)["gaia_source_id"][0].as_py() == object_at(1).source_id
            continue
        table = Table.read(file, **({"format": "votable"} if file.suffix == ".vot" else {}))
        assert len(table) == 14
        assert table["gaia_source_id"][0] == object_at(1).source_id
        assert str(table["simbad_main_id"][1]).strip() == "HD 10002"
        assert str(table["crossmatch"][0]).strip() == "known target"
    votable = Table.read(out[0], format="votable")
    assert votable["gaia_parallax"].unit == "mas"
    assert votable["simbad_sep"].meta["ucd"] == "pos.angDistance"
    assert "simbad_sep" in fits.getdata(out[1], 1).columns.names
    assert not list(tmp_path.glob(".*blocks*")), "nothing is left once all is done"


def test_matching_a_result_again_replaces_its_columns(session: Session, tmp_path: Path) -> None:
    path, first, second = written_table(tmp_path), tmp_path / "one.parquet", tmp_path / "two.parquet"
    crossmatch_table(path, parse_requests(["simbad"]), Options(2.0, BE), out=[first], session=session)
    crossmatch_table(first, parse_requests(["simbad"]), Options(2.0, BE), out=[second], session=session)
    assert pq.read_table(first).equals(pq.read_table(second))


def test_when_no_catalogue_answers_nothing_is_written(others: OtherArchives, session: Session, tmp_path: Path) -> None:
    others.faults.append(Fault("/simbad/tap/sync", times=-1, status=500))
    with pytest.raises(EmberlineError, match="no catalogue answered"):
        crossmatch_table(written_table(tmp_path), parse_requests(["simbad"]), out=[tmp_path / "x.vot"], session=session)
    assert not (tmp_path / "x.vot").exists()


def test_a_table_without_positions_is_refused(session: Session, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="no columns of positions"):
        crossmatch_table(tmp_path / "a.parquet", parse_requests(["simbad"]), out=[tmp_path / "x.vot"], session=session)


# A campaign -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign after its rounds; its targets stand where the objects of the other archives stand."""
    folder = tmp_path_factory.mktemp("campaign")
    block, truth = lines(150, targets=15, seed=4)
    targets = iter(OBJECTS)
    meta = []
    for item in block.meta:
        known = next(targets, None) if truth[item.identifier] == "emission" else None
        place = known.at(SEEN) if known else (item.ra, item.dec)
        meta.append(dataclasses.replace(item, ra=place[0] % 360, dec=place[1], mjd=float(sky.mjd_of_year(SEEN))))
    ingest_blocks([dataclasses.replace(block, meta=meta)], folder / "survey", survey="test")
    config = CampaignConfig(
        name="Known or new",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(folder / "survey",)),
        train=TrainConfig(members=1, epochs=4, epoch_steps=8),
        query=QueryConfig(batch=40),
        control=ControlConfig(per_round=10, final=20),
        stop=StopConfig(rounds=1),
        crossmatch=CrossmatchConfig(catalogues=("simbad",), radius=2.0, types=BE),
    )
    campaign = new_campaign(folder / "search", config)
    campaign.run(write_truth(folder / "truth.csv", truth))
    campaign.close()
    return folder


@pytest.fixture
def campaign(finished: Path, tmp_path: Path) -> Iterator[Campaign]:
    shutil.copytree(finished, tmp_path / "workspace")
    campaign = Campaign(tmp_path / "workspace" / "search")
    yield campaign
    campaign.close()


def test_a_campaign_keeps_the_result_and_its_report_shows_it(
    campaign: Campaign, session: Session, tmp_path: Path
) -> None:
    assert kept_summary(campaign.path) is None
    assert "What is known already" not in render(report_data(campaign))
    requests = parse_requests(["simbad", "gaia"])
    done = crossmatch_campaign(campaign, requests, out=[tmp_path / "beside.fits"], session=session)
    folder = campaign.path / "crossmatch"
    assert kept_summary(campaign.path) == done.summary == json.loads((folder / "summary.json").read_text())
    assert done.summary["known_target"] >= 1
    assert done.summary["rows"] == len(campaign.candidates())
    table = pq.read_table(folder / "candidates.parquet")
    assert table["probability"].to_pylist() == sorted(table["probability"].to_pylist(), reverse=True)
    assert (folder / "candidates.vot").exists()
    assert (tmp_path / "beside.fits").exists()
    page = render(report_data(campaign))
    assert "What is known already" in page
    assert "Be* " in page


def test_the_job_does_the_same_and_goes_on_where_it_was(
    campaign: Campaign, others: OtherArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberline.config import to_toml

    (campaign.path.parent / "vo.toml").write_text(to_toml(others.config))
    outcome = run_foreground(CROSSMATCH, {"campaign": str(campaign.path)}, folder=tmp_path / "results")
    assert outcome["failed"] == []
    assert outcome["known_target"] == kept_summary(campaign.path)["known_target"]  # type: ignore[index]
    assert {file.name for file in (tmp_path / "results").iterdir()} == {"candidates-crossmatch.vot", "crossmatch.json"}
    before = others.count("/simbad/tap/sync")
    assert before == 2, "the candidates, and the sample moved aside"
    run_foreground(CROSSMATCH, {"campaign": str(campaign.path)})
    assert others.count("/simbad/tap/sync") == before
    run_foreground(CROSSMATCH, {"campaign": str(campaign.path), "fresh": True, "chance": False})
    assert others.count("/simbad/tap/sync") == before + 1


def test_the_jobs_parameters_are_described() -> None:
    assert [field.name for field in describe_parameters(CROSSMATCH.parameters)][:3] == [
        "campaign",
        "catalogues",
        "radius",
    ]
    with pytest.raises(ValueError, match="radius"):
        CROSSMATCH.parameters(campaign=Path(), radius=0.0)


def test_types_of_something_that_is_no_target_are_refused(finished: Path) -> None:
    campaign = Campaign(finished / "search")
    wrong = CrossmatchConfig(types={"quasar": ("QSO",)})
    with pytest.raises(ValueError, match="quasar"):
        dataclasses.replace(campaign.config, crossmatch=wrong)
    campaign.close()
    with pytest.raises(ValueError, match="radius"):
        CrossmatchConfig(radius=0.0)


def test_a_service_is_asked_twice_at_most(others: OtherArchives, session: Session) -> None:
    others.faults.append(Fault("/simbad/tap/sync", times=-1, status=500))
    table = describe(session, session.config.services, parse_requests(["simbad"])[0])
    with pytest.raises(ServiceError):
        match_remote(session, table, candidates()[1], 2.0)
    assert others.count("/simbad/tap/sync") == remote_module._TRIES


def test_in_a_workspace_files_are_found_in_it_and_nowhere_else(campaign: Campaign, tmp_path: Path) -> None:
    from emberline.confinement import Confinement, OutsideError
    from emberline.jobs import JobContext

    root = campaign.path.parent
    first = object_at(1).at(SEEN)
    pq.write_table(pa.table({"ra": [first[0]], "dec": [first[1]]}), root / "mine.parquet")
    pq.write_table(pa.table({"ra": [1.0], "dec": [1.0]}), root.parent / "theirs.parquet")
    context = JobContext(folder=tmp_path / "results", confinement=Confinement(root))
    context.folder.mkdir()

    def run(name: str) -> dict[str, Any]:
        return run_crossmatch(CrossmatchParameters(Path("search"), catalogues=(name,)), context)

    outcome = run("list=mine.parquet@2012")
    assert outcome["known"] == 1
    assert outcome["campaign"] == "search"
    for name in ("../theirs.parquet", str(root.parent / "theirs.parquet")):
        with pytest.raises(OutsideError):
            run(name)
