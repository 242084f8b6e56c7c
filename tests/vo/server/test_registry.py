"""The registry: records that hold all that is required, and OAI-PMH in every verb and every error."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path
from xml.etree import ElementTree

import pytest
from publishing_sky import SETTINGS, Client, dated

from emberline.jobs import Workspace
from emberline.vo.server import registry
from emberline.vo.server.publication import publish, withdraw
from emberline.vo.server.published import Published

GOLDEN = Path(__file__).parent / "golden"
LIST = {"verb": "ListRecords", "metadataPrefix": "oai_dc"}
OAI = "{http://www.openarchives.org/OAI/2.0/}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
RI = "{http://www.ivoa.net/xml/RegistryInterface/v1.0}"
VERBS = {
    "oai-identify.xml": {"verb": "Identify"},
    "oai-formats.xml": {"verb": "ListMetadataFormats"},
    "oai-sets.xml": {"verb": "ListSets"},
    "oai-identifiers.xml": {"verb": "ListIdentifiers", "metadataPrefix": "ivo_vor", "set": "ivo_managed"},
    "oai-dublin-core.xml": {"verb": "ListRecords", "metadataPrefix": "oai_dc"},
    "oai-record.xml": {"verb": "GetRecord", "metadataPrefix": "ivo_vor", "identifier": "ivo://example.org/survey"},
}
"""The golden files were checked against the schemata of OAI-PMH, VOResource, VODataService, VORegistry and others."""


@pytest.fixture(scope="module")
def client(published_folder: Path) -> Client:
    return Client(registry.routes(Published(Workspace(published_folder))))


def ask(client: Client, method: str = "GET", **arguments: str) -> ElementTree.Element:
    if method == "GET":
        answer = client.get("/registry/oai?" + urllib.parse.urlencode(arguments))
    else:
        answer = client.request("POST", "/registry/oai", data=arguments)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    return ElementTree.fromstring(answer.content)


def error_of(root: ElementTree.Element) -> str:
    found = root.find(f"{OAI}error")
    assert found is not None
    assert found.text
    return found.attrib["code"]


@pytest.mark.parametrize(("file", "arguments"), VERBS.items(), ids=list(VERBS))
def test_documents_are_as_they_were_checked(client: Client, file: str, arguments: dict[str, str]) -> None:
    text = client.get("/registry/oai?" + urllib.parse.urlencode(arguments)).text
    text = re.sub(r"(?<=<oai:responseDate>)[^<]+", "2026-03-01T00:00:00Z", text)
    assert text == (GOLDEN / file).read_text(encoding="utf-8")


def test_every_resource_has_a_record(client: Client) -> None:
    root = ask(client, verb="ListRecords", metadataPrefix="ivo_vor")
    found = {resource.findtext("identifier"): resource.attrib[f"{XSI}type"] for resource in root.iter(f"{RI}Resource")}
    assert found == {
        "ivo://example.org": "vg:Authority",
        "ivo://example.org/registry": "vg:Registry",
        "ivo://example.org/search": "vs:CatalogService",
        "ivo://example.org/sia2": "vs:CatalogService",
        "ivo://example.org/survey": "vs:CatalogService",
        "ivo://example.org/tap": "vs:CatalogService",
    }
    for resource in root.iter(f"{RI}Resource"):
        for path in ("title", "curation/publisher", "curation/contact/name", "curation/contact/email",
                     "content/subject", "content/description", "content/referenceURL"):  # fmt: skip
            assert (resource.findtext(path) or "").strip(), (resource.findtext("identifier"), path)


def test_the_record_of_an_archive(client: Client) -> None:
    resource = ElementTree.fromstring(client.get("/survey/record.xml").content)
    assert [name.text for name in resource.iterfind("curation/creator/name")] == list(SETTINGS["creators"])
    assert resource.findtext("altIdentifier") == f"doi:{SETTINGS['doi']}"
    assert resource.findtext("content/source") == SETTINGS["bibcode"]
    assert resource.findtext("rights") == SETTINGS["rights"]
    assert resource.findtext("facility") == SETTINGS["facility"]
    low, high = map(float, (resource.findtext("coverage/spectral") or "").split())
    wavelengths = [6.62607015e-34 * 299792458 / energy * 1e10 for energy in (high, low)]
    assert wavelengths == pytest.approx([10**3.8075, 10 ** (3.8075 + 0.0279)], rel=1e-5)
    assert resource.findtext("coverage/temporal") == "57000.00000 57299.00000"
    assert resource.findtext("coverage/waveband") == "Optical"
    names = [column.findtext("name") for column in resource.iterfind("tableset/schema/table/column")]
    assert "snr" in names
    assert "part" not in names


def test_the_spatial_coverage_of_a_record_is_a_moc(client: Client) -> None:
    from astropy import units
    from mocpy import MOC

    resource = ElementTree.fromstring(client.get("/survey/record.xml").content)
    moc = MOC.from_string(resource.findtext("coverage/spatial") or "")
    assert moc.contains_lonlat([40] * units.deg, [20] * units.deg)[0] or moc.sky_fraction > 0
    assert not moc.contains_lonlat([220] * units.deg, [-20] * units.deg)[0]


def test_a_catalogue_is_derived_from_its_archive(client: Client) -> None:
    resource = ElementTree.fromstring(client.get("/search/record.xml").content)
    pairs = {
        item.findtext("relationshipType"): item.find("relatedResource").attrib["ivo-id"]  # type: ignore[union-attr]
        for item in resource.iterfind("content/relationship")
    }
    assert pairs == {"IsDerivedFrom": "ivo://example.org/survey", "IsServedBy": "ivo://example.org/tap"}


def test_post_and_get_are_the_same(client: Client) -> None:
    arguments = {"verb": "ListIdentifiers", "metadataPrefix": "ivo_vor"}
    one, two = ask(client, **arguments), ask(client, "POST", **arguments)
    assert [item.text for item in one.iter(f"{OAI}identifier")] == [item.text for item in two.iter(f"{OAI}identifier")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "badVerb"),
        ({"verb": "Nonsense"}, "badVerb"),
        ({"verb": "identify"}, "badVerb"),
        ({"verb": "Identify", "more": "1"}, "badArgument"),
        ({"verb": "Identify", "<b>": "&"}, "badArgument"),
        ({"verb": "ListRecords"}, "badArgument"),
        ({"verb": "GetRecord", "metadataPrefix": "ivo_vor"}, "badArgument"),
        ({"verb": "GetRecord", "identifier": "ivo://example.org/survey"}, "badArgument"),
        ({"verb": "ListRecords", "metadataPrefix": "marc"}, "cannotDisseminateFormat"),
        ({"verb": "GetRecord", "metadataPrefix": "x", "identifier": "ivo://example.org"}, "cannotDisseminateFormat"),
        ({"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "ivo://example.org/none"}, "idDoesNotExist"),
        ({"verb": "ListMetadataFormats", "identifier": "ivo://x/'\"<>"}, "idDoesNotExist"),
        ({"verb": "ListRecords", "resumptionToken": "abc"}, "badResumptionToken"),
        ({"verb": "ListSets", "resumptionToken": "abc"}, "badResumptionToken"),
        ({**LIST, "set": "other"}, "noRecordsMatch"),
        ({**LIST, "until": "2001-01-01"}, "noRecordsMatch"),
        ({**LIST, "from": "2027-01-01"}, "noRecordsMatch"),
        ({**LIST, "from": "2026"}, "badArgument"),
        ({**LIST, "from": "2026-13-01"}, "badArgument"),
        ({**LIST, "from": "2026-01-01T00:00:00"}, "badArgument"),
        ({**LIST, "from": "٢٠٢٦-01-01"}, "badArgument"),
        ({**LIST, "from": "2026-02-01", "until": "2026-01-01"}, "badArgument"),
        (
            {**LIST, "from": "2026-01-01", "until": "2026-02-01T00:00:00Z"},
            "badArgument",
        ),
    ],
)  # fmt: skip
def test_errors_have_their_codes(client: Client, arguments: dict[str, str], code: str) -> None:
    root = ask(client, **arguments)
    assert error_of(root) == code
    request = root.find(f"{OAI}request")
    assert request is not None
    assert bool(request.attrib) == (code not in ("badVerb", "badArgument"))


def test_a_repeated_argument_is_an_error(client: Client) -> None:
    for query, code in (
        ("verb=Identify&verb=Identify", "badVerb"),
        ("verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=ivo_vor", "badArgument"),
    ):
        assert error_of(ElementTree.fromstring(client.get(f"/registry/oai?{query}").content)) == code


def test_a_range_of_time_has_both_its_ends(client: Client) -> None:
    def found(**arguments: str) -> int:
        root = ask(client, verb="ListIdentifiers", metadataPrefix="ivo_vor", **arguments)
        return len(list(root.iter(f"{OAI}header")))

    every = found()
    assert found(**{"from": "2026-02-03"}) == found(until="2026-02-03") == every
    assert found(**{"from": "2026-02-03T04:05:06Z", "until": "2026-02-03T04:05:06Z"}) == every


def test_what_was_withdrawn_is_a_deleted_record(own: Path) -> None:
    publish(own / "survey", **SETTINGS)
    publish(own / "search", **SETTINGS)
    dated(own / "survey")
    withdraw(own / "survey")
    client = Client(registry.routes(Published(Workspace(own))))
    root = ask(client, verb="GetRecord", metadataPrefix="ivo_vor", identifier="ivo://example.org/survey")
    header = next(root.iter(f"{OAI}header"))
    assert header.attrib["status"] == "deleted"
    assert header.findtext(f"{OAI}datestamp") > "2026-02-03T04:05:06Z"  # type: ignore[operator]
    assert next(root.iter(f"{OAI}metadata"), None) is None


def test_harvesters_hear_of_the_end_too(own: Path) -> None:
    publish(own / "survey", **SETTINGS)
    withdraw(own / "survey")
    client = Client(registry.routes(Published(Workspace(own))))
    assert ask(client, verb="Identify").find(f"{OAI}Identify") is not None
    root = ask(client, verb="ListIdentifiers", metadataPrefix="ivo_vor")
    found = {header.findtext(f"{OAI}identifier"): header.attrib.get("status") for header in root.iter(f"{OAI}header")}
    assert found == {
        "ivo://example.org": None,
        "ivo://example.org/registry": None,
        "ivo://example.org/survey": "deleted",
    }


def test_an_empty_registry_says_so(own: Path) -> None:
    client = Client(registry.routes(Published(Workspace(own))))
    answer = client.get("/registry/oai?verb=Identify")
    assert answer.status_code == 404
    assert "Nothing is published" in answer.text
