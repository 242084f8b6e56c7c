"""Cone searches: positions by their UCDs, and what old services answer."""

from __future__ import annotations

import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from emberline.vo.client import ProtocolError, StatusError, scs
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import OtherArchives

GAMMA = SkyCoord(40.0, 20.0, unit="deg")


def test_our_own_catalogue(session: Session, others: OtherArchives) -> None:
    table = scs.search(session, f"{others.vo}/alpha/scs", GAMMA, 1 * units.arcsec)
    assert (table.meta["ra"], table.meta["dec"]) == ("ra", "dec")
    assert set(table["ra"]) == {40.0}
    assert len(scs.search(session, f"{others.vo}/alpha/scs?", GAMMA, 1.0, limit=2, verbosity=1)) == 2
    assert "VERB=1" in others.asked[-1].query
    assert len(scs.search(session, f"{others.vo}/alpha/scs", SkyCoord(200, 0, unit="deg"), 0.1)) == 0


def test_old_ucds(session: Session, others: OtherArchives) -> None:
    text = (
        '<VOTABLE version="1.0"><RESOURCE><TABLE><FIELD name="id" datatype="char" arraysize="*" ucd="ID_MAIN"/>'
        '<FIELD name="a" datatype="double" ucd="POS_EQ_RA_MAIN"/>'
        '<FIELD name="d" datatype="double" ucd="POS_EQ_DEC_MAIN"/>'
        "<DATA><TABLEDATA><TR><TD>x</TD><TD>1.5</TD><TD>2.5</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    table = scs.search(session, others.document("old", text), GAMMA, 1.0)
    assert (table.meta["ra"], table.meta["dec"]) == ("a", "d")
    with pytest.raises(ProtocolError, match=r"pos\.eq\.dec;meta\.main"):
        scs.search(session, others.document("none", text.replace("POS_EQ_DEC_MAIN", "")), GAMMA, 1.0)


def test_a_refusal(session: Session, others: OtherArchives) -> None:
    with pytest.raises(StatusError) as caught:
        scs.search(session, f"{others.vo}/alpha/scs", GAMMA, 500.0)
    assert caught.value.service_said
