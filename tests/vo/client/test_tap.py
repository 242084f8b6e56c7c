"""Queries on other archives: at once with uploads, what they refuse, their tables and their limits."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.table import Table

from emberline.vo.client import OfflineError, ProtocolError, ServiceError, StatusError, tap
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import Fault, OtherArchives
from tests.vo.client.other_sky import OBJECTS

BRIGHT = "SELECT main_id, ra, dec, plx_value FROM basic WHERE nbref > 1000"
COUNT = sum(bool(item.main_id) for item in OBJECTS)


def test_a_query_keeps_units_ucds_and_nulls(session: Session, others: OtherArchives) -> None:
    table = tap.query(session, others.services.simbad, "SELECT * FROM basic")
    assert len(table) == COUNT
    assert table["plx_value"].unit == units.mas
    assert table["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    assert table["plx_value"].mask[list(table["main_id"]).index("[TEST 2020] QSO 7")]
    assert table.meta["overflow"] is False


def test_short_queries_can_be_kept_and_long_ones_are_posted(session: Session, others: OtherArchives) -> None:
    tap.query(session, others.services.simbad, BRIGHT)
    tap.query(session, others.services.simbad + "/", BRIGHT + " OR nbref > 1000" * 200)
    assert [(item.method, item.path) for item in others.asked] == [
        ("GET", "/simbad/tap/sync"),
        ("POST", "/simbad/tap/sync"),
    ]


def test_a_limit_is_noticed_and_told(session: Session, others: OtherArchives) -> None:
    table = tap.query(session, others.services.simbad, "SELECT main_id FROM basic", limit=3)
    assert len(table) == 3
    assert table.meta["overflow"] is True


def test_an_upload_goes_along(session: Session, others: OtherArchives) -> None:
    mine = Table({"oid": np.array([2, 3]), "word": ["é<", ""]})
    also = Table({"oid2": [3.0]})
    adql = (
        "SELECT p.word, b.main_id FROM TAP_UPLOAD.mine AS p JOIN basic AS b ON b.oid = p.oid "
        "LEFT OUTER JOIN TAP_UPLOAD.also AS q ON q.oid2 = p.oid ORDER BY main_id"
    )
    table = tap.query(session, others.services.simbad, adql, uploads={"mine": mine, "also": also})
    assert table["main_id"].tolist() == ["HD 10002", "V* V1 Emb"]
    assert table["word"].tolist() == ["é<", ""]


def test_a_refusal_carries_the_services_words(session: Session, others: OtherArchives) -> None:
    with pytest.raises(StatusError) as caught:
        tap.query(session, others.services.simbad, "SELECT nothing FROM basic")
    assert "nothing" in caught.value.service_said
    assert caught.value.url.startswith(others.services.simbad)
    assert others.count("/simbad") == 1, "a query that is refused is not sent again"


def test_a_failure_that_passes_is_survived_with_an_upload_too(session: Session, others: OtherArchives) -> None:
    others.faults.append(Fault("/simbad", times=1, status=503))
    uploads = {"mine": Table({"oid": [2]})}
    table = tap.query(session, others.services.simbad, "SELECT oid FROM TAP_UPLOAD.mine", uploads=uploads)
    assert table["oid"].tolist() == [2]
    assert others.count("/simbad") == 2


def test_a_page_where_a_table_should_be(session: Session, others: OtherArchives) -> None:
    others.faults.append(Fault("/simbad", status=200, body=b"<html><body>Moved to the cloud</body></html>"))
    with pytest.raises(ProtocolError, match="Moved to the cloud"):
        tap.query(session, others.services.simbad, BRIGHT)


def test_offline_nothing_is_asked(others: OtherArchives) -> None:
    import dataclasses

    with Session(dataclasses.replace(others.config, offline=True)) as session:
        with pytest.raises(OfflineError):
            tap.query(session, others.services.simbad, BRIGHT)
        with pytest.raises(OfflineError):
            tap.limits(session, others.services.simbad)
    assert not others.asked


# --- what a service says of itself -----------------------------------------------------------------------------------


def test_tables_with_and_without_columns(session: Session, others: OtherArchives) -> None:
    found = tap.tables(session, others.services.gaia)
    assert found[0].name == "gaiadr3.gaia_source"
    assert found[0].description == "Sources of Gaia DR3"
    assert found[0].columns == ()
    (first, *_) = tap.tables(session, others.services.gaia, with_columns=True, limit=1)
    column = next(column for column in first.columns if column.name == "pmra")
    assert (column.unit, column.ucd, column.datatype) == ("mas.yr**-1", "pos.pm;pos.eq.ra", "double")
    assert len(tap.tables(session, others.services.gaia, limit=2)) == 2


@pytest.mark.parametrize(
    "fault", [{"status": 404, "body": b"No."}, {"status": 200, "body": b"<tableset>" + b" " * 2_000_000}]
)
def test_tables_of_a_service_without_a_list_or_with_an_endless_one(
    fault: dict[str, object], others: OtherArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap, "_TABLES_BYTES", 1_000_000)
    others.faults.append(Fault("/gaia/tap/tables", times=-1, **fault))  # type: ignore[arg-type]
    with Session(others.config) as session:
        found = tap.tables(session, others.services.gaia)
    assert "gaiadr3.gaia_source" in [table.name for table in found]


def test_tables_that_are_another_document(session: Session, others: OtherArchives) -> None:
    others.faults.append(Fault("/gaia/tap/tables", status=200, body=b"<capabilities/>"))
    with pytest.raises(ProtocolError, match="capabilities"):
        tap.tables(session, others.services.gaia)
    others.faults.append(Fault("/gaia/tap/tables", status=200, body=b"<tableset><table><name>a</name></table>"))
    with pytest.raises(ProtocolError, match="no XML"):
        tap.tables(session, others.services.gaia)


def test_columns_of_one_table(session: Session, others: OtherArchives) -> None:
    found = {column.name: column for column in tap.columns(session, others.services.vizier, '"II/246/out"')}
    assert found["RAJ2000"].ucd == "pos.eq.ra;meta.main"
    assert found["Jmag"].unit == "mag"


def test_limits(session: Session, others: OtherArchives) -> None:
    found = tap.limits(session, others.services.gaia)
    assert found == tap.TapLimits(1000, None, 100_000, True, ("ADQL-2.0",))
    own = tap.limits(session, f"{others.vo}/tap")
    assert own.upload_bytes == 64 << 20
    assert own.uploads is True
    assert "ADQL-2.1" in own.languages
    for status, body in ((404, b""), (200, b"<html><body>Welcome</body></html>")):
        others.faults.append(Fault("/gaia/tap/capabilities", status=status, body=body))
        assert tap.limits(session, others.services.gaia) == tap.TapLimits()


def test_limits_without_uploads(session: Session, others: OtherArchives) -> None:
    text = (
        "<c:capabilities xmlns:c='x'><capability><language><name>ADQL</name></language></capability></c:capabilities>"
    )
    others.faults.append(Fault("/gaia/tap/capabilities", status=200, body=text.encode()))
    assert tap.limits(session, others.services.gaia).uploads is False


def test_entities_in_what_a_service_says_of_itself(session: Session, others: OtherArchives) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><capabilities>&b;</capabilities>'
    others.faults.append(Fault("/gaia/tap/capabilities", times=-1, status=200, body=bomb))
    with pytest.raises(ServiceError, match="entities"):
        tap.limits(session, others.services.gaia)


def test_our_own_service_answers_our_own_client(session: Session, others: OtherArchives) -> None:
    url = f"{others.vo}/tap"
    mine = Table({"wanted": [57000.5, 57001.5]})
    adql = "SELECT a.identifier, a.mjd FROM alpha.spectra AS a JOIN TAP_UPLOAD.mine AS m ON a.mjd = m.wanted"
    assert sorted(tap.query(session, url, adql, uploads={"mine": mine})["mjd"]) == [57000.5, 57001.5]


def test_pyvo_works_with_our_session(session: Session, others: OtherArchives) -> None:
    import pyvo

    service = pyvo.dal.TAPService(others.services.simbad, session=session)
    assert list(service.search(BRIGHT)["main_id"]) == ["* gam Emb"]


def test_names_between_quotes() -> None:
    assert tap.quoted('a"b') == '"a""b"'
