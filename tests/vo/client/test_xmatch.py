"""The cross-match service: rows come back to their own, blocks fail alone, and little leaves this machine."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from emberline.vo.client import ProtocolError, StatusError, xmatch
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import Fault, OtherArchives
from tests.vo.client.other_sky import OBJECTS

PLACES = SkyCoord([item.ra for item in OBJECTS], [item.dec for item in OBJECTS], unit="deg")


def test_each_row_comes_back_to_its_own(session: Session, others: OtherArchives) -> None:
    shuffled = PLACES[::-1]
    found = xmatch.cross_match(session, shuffled, "II/246/out", 1 * u.arcsec)
    assert found["place"].tolist() == list(range(len(OBJECTS)))
    assert found["RAJ2000"].tolist() == pytest.approx(shuffled.ra.deg.tolist())
    assert found.colnames == ["place", "separation", "2MASS", "RAJ2000", "DEJ2000", "Jmag"]
    assert found["separation"].unit == u.arcsec


def test_pairs_and_the_nearest(session: Session, others: OtherArchives) -> None:
    both = xmatch.cross_match(session, PLACES[9:11], "simbad", 2 * u.arcsec)
    assert both["place"].tolist() == [0, 0, 1, 1]
    assert both["separation"][0] < both["separation"][1]
    nearest = xmatch.cross_match(session, PLACES[9:11], "simbad", 2 * u.arcsec, nearest=True)
    assert nearest["main_id"].tolist() == ["HD 10010A", "HD 10010B"]


def test_blocks(session: Session, others: OtherArchives) -> None:
    done: list[int] = []
    found = xmatch.cross_match(session, PLACES, "simbad", 1 * u.arcsec, block=5, finished=done.append)
    assert done == [5, 10, 12]
    assert others.count("/xmatch") == 3
    assert found["place"].tolist() == list(range(len(OBJECTS)))


def test_a_failure_that_passes_is_survived_and_one_that_lasts_costs_one_block(
    session: Session, others: OtherArchives
) -> None:
    others.faults.append(Fault("/xmatch", times=1, status=503))
    others.faults.append(Fault("/xmatch", times=1, status=400, body=b"<html>Sorry</html>"))
    found = xmatch.cross_match(session, PLACES, "simbad", 1 * u.arcsec, block=6)
    assert others.count("/xmatch") == 3
    (failure,) = found.meta["failures"]
    assert (failure.start, failure.stop) == (0, 6)
    assert isinstance(failure.error, StatusError)
    assert found["place"].tolist() == list(range(6, 12))


def test_a_table_that_the_service_does_not_know(session: Session, others: OtherArchives) -> None:
    with pytest.raises(StatusError) as caught:
        xmatch.cross_match(session, PLACES, "vizier:IX/99", 1 * u.arcsec)
    assert "IX/99 is not known" in caught.value.service_said


@pytest.mark.parametrize(
    ("fields", "cells", "words"),
    [
        (("place", "int"), ("1",), "angdist"),
        (("place", "char"), ("one",), "do not come back"),
        (("place", "int"), ("77",), "not sent"),
    ],
)
def test_rows_that_were_not_sent(
    fields: tuple[str, str], cells: tuple[str], words: str, session: Session, others: OtherArchives
) -> None:
    more = "" if words == "angdist" else '<FIELD name="angDist" datatype="double"/>'
    cell = "" if words == "angdist" else "<TD>0.1</TD>"
    size = ' arraysize="*"' if fields[1] == "char" else ""
    body = (
        f'<VOTABLE><RESOURCE type="results"><TABLE><FIELD name="{fields[0]}" datatype="{fields[1]}"{size}/>{more}<DATA>'
        f"<TABLEDATA><TR><TD>{cells[0]}</TD>{cell}</TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    others.faults.append(Fault("/xmatch", status=200, body=body.encode()))
    with pytest.raises(ProtocolError, match=words):
        xmatch.cross_match(session, PLACES, "simbad", 1 * u.arcsec)


def test_what_cannot_be_asked(session: Session, others: OtherArchives) -> None:
    with pytest.raises(ValueError, match="180"):
        xmatch.cross_match(session, PLACES, "simbad", 0.1)
    places = SkyCoord([np.nan, 40.0], [np.nan, 20.0], unit="deg")
    assert xmatch.cross_match(session, places, "simbad", 1 * u.arcsec)["place"].tolist() == [1]
