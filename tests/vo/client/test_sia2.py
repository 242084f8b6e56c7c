"""Images and other data by their coverage."""

from __future__ import annotations

import math

import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.time import Time

from emberline.vo.client import ProtocolError, sia2
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import SPECTRA, OtherArchives

GAMMA = SkyCoord(40.0, 20.0, unit="deg")


def test_everything_that_can_be_asked(session: Session, others: OtherArchives) -> None:
    url = f"{others.vo}/sia2"
    near = sia2.search(session, url, GAMMA, 2 * units.arcsec)
    assert len(near) == 3
    assert near["em_min"].unit == units.m
    assert len(sia2.search(session, url)) == SPECTRA
    assert sia2.search(session, url, limit=4).meta["overflow"]
    assert len(sia2.search(session, url, band=(6500, 6600))) == SPECTRA
    assert len(sia2.search(session, url, band=(20_000, math.inf))) == 0
    assert len(sia2.search(session, url, time=(Time(57000, format="mjd"), Time(57001, format="mjd")))) == 1
    assert len(sia2.search(session, url, kind="spectrum")) == SPECTRA
    assert len(sia2.search(session, url, kind="image")) == 0
    identifiers = list(near["obs_publisher_did"][:2])
    assert sorted(sia2.search(session, url, identifiers=identifiers)["obs_publisher_did"]) == sorted(identifiers)
    collection = str(near["obs_collection"][0])
    assert len(sia2.search(session, url, collection=collection)) == SPECTRA


def test_columns_that_must_be_there(session: Session, others: OtherArchives) -> None:
    field = '<FIELD name="access_url" datatype="char" arraysize="*"/>'
    text = f'<VOTABLE><RESOURCE type="results"><TABLE>{field}</TABLE></RESOURCE></VOTABLE>'
    with pytest.raises(ProtocolError, match="access_format"):
        sia2.search(session, others.document("bare", text), GAMMA, 1.0)
