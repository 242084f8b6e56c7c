"""The pages over HTTP, without a browser: what they say, what they refuse, and that nothing on them is run."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.datastructures import FormData, QueryParams

from emberline.jobs import Job, JobType, ParameterError, Phase, Preset, Workspace, parameter
from emberline.jobs._schema import ACTIONS
from emberline.web import overview, wording
from emberline.web.actions import PHASES, allowed_actions
from emberline.web.forms import Draft, as_toml, read_text, submit_command
from emberline.web.listing import Listing
from emberline.web.permissions import Role
from emberline.web.shown import shown_results
from tests.web.servers import Server, csrf_token

HOSTILE = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name in names]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def make(server: Server, type: str = "count", owner: str = "manager", **options: Any) -> Job:
    return server.site.store.create(type, options.pop("parameters", {}), owner=owner, **options)


def post(client: httpx.Client, path: str, **form: Any) -> httpx.Response:
    """Send a form as a page does."""
    return client.post(path, data={"csrf_token": csrf_token(client), **form})


# What every page keeps to ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/new", "/jobs/new/count", "/account", "/nowhere"])
def test_pages_run_only_our_own_files(server: Server, path: str) -> None:
    make(server, label=HOSTILE)
    with server.browser("admin") as browser:
        answer = browser.get(path)
    page = Page(answer)
    assert answer.status_code == (404 if path == "/nowhere" else 200)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert HOSTILE not in answer.text
    for attributes in page.all("script", "img", "iframe", "link"):
        assert str(attributes.get("src") or attributes.get("href")).startswith("/static/")
    for name, attributes in page.tags:
        assert "style" not in attributes, name
        assert not [key for key in attributes if key.startswith("on")], name
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for name in (name for _, attributes in page.tags for name in str(attributes.get("aria-describedby", "")).split()):
        assert name in identifiers
    assert len(page.all("h1")) == 1


def test_scripts_are_short_and_call_nobody() -> None:
    folder = resources.files("emberline.web") / "static"
    for kind in ("js", "css"):
        for path in Path(str(folder / kind)).glob("*.*"):
            text = path.read_text("utf-8")
            assert text.count("\n") < 400, path.name
            # The SAMP hub is on the reader's own machine, where the standard says.
            own = re.sub(r'"http://(?:localhost|127\.0\.0\.1):21012/"', "", text) if path.name == "samp.js" else text
            assert not re.search(r"https?://|\beval\(|innerHTML", own), path.name


def test_files_that_templates_name_exist(server: Server) -> None:
    folder = Path(str(resources.files("emberline.web")))
    named: set[str] = set()
    for path in (folder / "templates").glob("*.j2"):
        named |= set(re.findall(r'"(/static/[^"#{]+)"', path.read_text("utf-8")))
    assert len(named) > 5
    for name in named:
        assert (folder / name.removeprefix("/")).is_file(), name


# The list -------------------------------------------------------------------------------------------------------------


def test_the_list_shows_ones_own_jobs(server: Server) -> None:
    mine, other = make(server, owner="annotator", label="Mine alone"), make(server, owner="manager", label="Not mine")
    with server.browser("annotator") as browser:
        text = browser.get("/jobs?search=alone").text + browser.get("/jobs?search=not+mine").text
        assert f'id="job-{mine.id}"' in text
        assert f'id="job-{other.id}"' not in text
        assert browser.get(f"/jobs/{other.id}").status_code == 404
        assert "Owner" not in text
    with server.browser("manager") as browser:
        assert f'id="job-{mine.id}"' in browser.get("/jobs?owner=annotator&search=alone").text


def test_order_and_pages(server: Server) -> None:
    ids = {label: make(server, label=label).id for label in ("order b", "order a", "order c")}
    with server.browser("manager") as browser:

        def shown(query: str) -> list[str]:
            found = re.findall(r'<tr id="job-([^"]+)"', browser.get(f"/jobs?search=order&{query}").text)
            return [label[-1] for id in found for label, known in ids.items() if known == id]

        assert shown("") == ["c", "a", "b"]
        assert shown("sort=created&order=up") == ["b", "a", "c"]
        assert shown("sort=label&order=up") == ["a", "b", "c"]
        assert shown("sort=label&order=down") == ["c", "b", "a"]
        assert shown("size=2") == ["c", "a"]
        assert shown("size=2&page=2") == ["b"]
        assert shown("size=2&page=99") == ["b"]
        assert shown("size=2&page=2&sort=created&order=up") == ["c"]
        assert shown("size=2&sort=nonsense&page=-1&order=x") == ["c", "a"]
        refused = browser.get("/jobs?phase=NONSENSE")
        assert refused.status_code == 400
        assert "there is no such phase" in refused.text


def test_addresses_hold_only_what_is_unusual() -> None:
    assert Listing.of(QueryParams("phase=&type=&search=&page=1&size=50&sort=created")).address == "/jobs"
    view = Listing.of(QueryParams("phase=error&phase=HELD&phase=ERROR&search=a+b&page=3"))
    assert view.address == "/jobs?phase=ERROR&phase=HELD&search=a+b&page=3"
    assert view.sorted_by("label") == "/jobs?phase=ERROR&phase=HELD&search=a+b&sort=label&order=up"
    assert Listing(sort="label", order="up").sorted_by("label") == "/jobs?sort=label"
    assert (view.pages(0), view.pages(50), view.pages(51)) == (1, 1, 2)


# Actions --------------------------------------------------------------------------------------------------------------


def test_buttons_agree_with_the_engine() -> None:
    for name in ("run", "abort", "archive"):
        assert PHASES[name] == ACTIONS[name][0]


def test_nobody_is_offered_what_is_refused() -> None:
    job = SimpleNamespace(type="simulate", phase=Phase.PENDING)
    assert allowed_actions(Role.READER, job) == frozenset()  # type: ignore[arg-type]
    assert allowed_actions(Role.ANNOTATOR, job) == {"abort", "delete"}  # type: ignore[arg-type]
    assert allowed_actions(Role.MANAGER, job) == {"run", "edit", "abort", "delete"}  # type: ignore[arg-type]


def test_what_is_lost_is_asked_about_first(server: Server) -> None:
    job = make(server, label="Precious")
    with server.browser("manager") as browser:
        asked = post(browser, "/jobs/act", action="delete", id=job.id, back="search=Precious")
        assert "Delete 1 job “Precious”?" in Page(asked).text
        assert server.site.store.job(job.id).phase is Phase.PENDING
        done = post(browser, "/jobs/act", action="delete", id=job.id, back="search=Precious", confirmed="yes")
        assert done.headers["location"] == "/jobs?search=Precious&said=delete&n=1"
        assert "Deleted: 1 job." in Page(browser.get(done.headers["location"])).text
        again = post(browser, "/jobs/act", action="delete", id=job.id, confirmed="yes")
        assert again.headers["location"] == "/jobs?said=none&n=0"


def test_archiving_leaves_out_what_has_not_ended(server: Server) -> None:
    ended, waiting = make(server), make(server)
    server.site.store.abort(ended.id)
    with server.browser("manager") as browser:
        asked = Page(post(browser, "/jobs/act", action="archive", id=[ended.id, waiting.id]))
    assert "Archive 1 job" in asked.text
    assert "1 is left out" in asked.text
    ids = [attributes["value"] for attributes in asked.all("input") if attributes.get("name") == "id"]
    assert ids == [ended.id]


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example/", "\\\\evil.example", "a=1#b\r\nX: y"])
def test_nobody_is_led_away(server: Server, back: str) -> None:
    job = make(server)
    with server.browser("manager") as browser:
        done = post(browser, "/jobs/act", action="abort", id=job.id, back=back, confirmed="yes")
    assert done.status_code == 303
    assert re.fullmatch(r"/jobs\?[\w=&%+.-]*said=abort&n=1", done.headers["location"])


def test_readers_and_strangers_change_nothing(server: Server) -> None:
    job = make(server, owner="reader")
    with server.browser("reader") as browser:
        refused = post(browser, "/jobs/act", action="abort", id=job.id, then="job")
        assert refused.status_code == 403
        assert browser.get("/jobs/new/count").status_code == 403
    with server.browser("annotator") as browser:
        assert post(browser, "/jobs/act", action="abort", id=job.id, then="job").status_code == 404
        assert post(browser, "/jobs/act", action="explode", id=job.id).status_code == 400
        assert "nothing to do" in post(browser, "/jobs/act", action="abort", id=job.id).text
        forged = browser.post("/jobs/act", data={"action": "abort"}, headers={"x-csrf-token": "no"})
        assert forged.status_code == 403
    assert server.site.store.job(job.id).phase is Phase.PENDING


# The form -------------------------------------------------------------------------------------------------------------


def test_a_form_makes_a_job(server: Server) -> None:
    with server.browser("manager") as browser:
        fields = {"action": "keep", "label": " Made by a form ", "duration": "1.5", "destruction": "30"}
        done = post(browser, "/jobs/new/count", **fields)
        assert done.status_code == 303, Page(done).text
        job = server.site.store.job(done.headers["location"].split("/")[-1].split("?")[0])
        assert (job.label, job.owner, job.phase, job.duration) == ("Made by a form", "manager", Phase.PENDING, 5400)
        assert job.destruction is not None
        page = Page(browser.get(done.headers["location"]))
        assert "Saved." in page.text
        assert "Kept for later" in page.text


def test_every_wrong_entry_is_named_and_kept(server: Server) -> None:
    before = server.site.store.count()
    with server.browser("manager") as browser:
        answer = post(browser, "/jobs/new/count", action="run", label=HOSTILE, duration="soon", destruction="-1")
    page = Page(answer)
    assert answer.status_code == 422
    assert HOSTILE not in answer.text
    wrong = [a for a in page.all("input") if a.get("aria-invalid") == "true"]
    assert [a["id"] for a in wrong] == ["duration", "destruction"]
    assert [a["value"] for a in wrong] == ["soon", "-1"]
    assert "autofocus" in wrong[0]
    assert "autofocus" not in wrong[1]
    assert server.site.store.count() == before


def test_a_copy_of_somebody_elses_job_is_refused(server: Server) -> None:
    job = make(server, "report", owner="manager")
    with server.browser("annotator") as browser:
        assert browser.get(f"/jobs/new/report?from={job.id}").status_code == 404
        assert post(browser, "/jobs/new/report", action="run", source=job.id).status_code == 404
        assert browser.get("/jobs/new/nonsense").status_code == 404


def test_a_job_that_has_run_cannot_be_edited(server: Server) -> None:
    job = make(server)
    server.site.store.abort(job.id)
    with server.browser("manager") as browser:
        answer = post(browser, "/jobs/new/count", action="save", source=job.id, editing="yes", label="Too late")
    assert answer.status_code == 409
    assert "can no longer be changed" in Page(answer).text


@dataclasses.dataclass(frozen=True)
class Asked:
    """Parameters of each kind."""

    into: Path = parameter("A folder.")
    paths: tuple[str, ...] = parameter("Files.", default=())
    share: float | None = parameter("A share.", default=None)
    sure: bool = parameter("Whether.", default=True)


KIND = JobType("asked", "Asked", "", Asked, "nowhere:none", presets=(Preset("Half", "", {"share": 0.5}),))


def test_a_draft_reads_what_it_shows() -> None:
    draft = Draft.of_parameters(KIND, {"into": "a", "paths": ["x", "y z"], "share": 0.25})
    assert draft.values == {"into": "a", "paths": "x\ny z", "share": "0.25", "sure": "true"}
    assert draft.parameters(KIND) == {"into": "a", "paths": ["x", "y z"], "share": 0.25, "sure": True}
    form = FormData([("p.into", "a"), ("p.paths", "x\r\ny z\r\n"), ("p.share", ""), ("label", " l "), ("into", "b")])
    read = Draft.of_form(KIND, form)
    assert read.parameters(KIND) == {"into": "a", "paths": ["x", "y z"], "share": None, "sure": False}
    assert read.label == "l"
    query = QueryParams({"preset": "Half", "p.into": "here"})
    assert Draft.of_query(KIND, query).parameters(KIND)["share"] == 0.5
    assert Draft.of_query(KIND, query).values["into"] == "here"


def test_limits() -> None:
    assert Draft(hours="2").limits().duration == 7200
    assert Draft().limits().destruction is None
    for text in ("0", "nan", "inf", "1e9", "two"):
        with pytest.raises(ParameterError, match="expected a number of hours"):
            Draft(hours=text).limits()


def test_text_as_toml_or_json() -> None:
    assert read_text('spectra = 3\ninto = "a"') == {"spectra": 3, "into": "a"}
    assert read_text(' {"spectra": 3}') == {"spectra": 3}
    assert read_text(as_toml({"a": [1, 2], "b": None, "c": "ä"})) == {"a": [1, 2], "c": "ä"}
    for text in ("{", "= 3", "[1]", "{" * 100_000):
        with pytest.raises(ParameterError) as caught:
            read_text(text)
        assert set(caught.value.fields) == {"text"}


def test_the_command_can_be_pasted() -> None:
    job: Any = SimpleNamespace(
        type="ingest", label="two words", parameters={"paths": ["a b", "c"], "workers": None, "x": True}
    )
    assert submit_command(job) == "emberline jobs submit ingest 'paths=a b' paths=c x=true --label 'two words'"


# A job's page ---------------------------------------------------------------------------------------------------------


class Shelf:
    """A desk that has results and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def result_path(self, id: str, name: str) -> Path:
        return self.folder / name

    def show(self, name: str, content: str, media_type: str, size: int | None = None) -> Any:
        (self.folder / name).write_text(content, "utf-8")
        result = SimpleNamespace(name=name, media_type=media_type, size=len(content) if size is None else size)
        return shown_results(self, SimpleNamespace(id="j", results=(result,)))[0]  # type: ignore[arg-type]


def test_tables_show_their_first_rows(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    rows = "".join(f"{number},{'x' * 500}\n" for number in range(300))
    table = shelf.show("a.csv", f"id,text\n{rows}", "text/csv").table
    assert table.columns == ["id", "text"]
    assert (len(table.rows), table.more) == (100, True)
    assert len(table.rows[0][1]) == 200
    ecsv = '# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a}\na b\n1 "two words"\n'
    assert shelf.show("b.ecsv", ecsv, "text/csv").table.rows == [["1", "two words"]]
    assert not shelf.show("c.csv", "a,b\n1,2\n", "text/csv").table.more
    assert shelf.show("d.csv", "", "text/csv").show == "file"


def test_summaries_are_pruned_and_damage_is_a_download(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    deep = "[" * 50 + "]" * 50
    assert "…" in str(shelf.show("a.json", deep, "application/json").tree)
    assert shelf.show("b.json", "{", "application/json").show == "file"
    assert shelf.show("c.json", "[" * 100_000, "application/json").show == "file"
    many = shelf.show("d.json", str(list(range(1000))), "application/json").tree
    assert len(many) == 201
    assert shelf.show("e.fits", "x", "application/fits").show == "file"
    href = shelf.show("a b?c.html", "x", "text/html").href
    assert href == "/api/jobs/j/results/a%20b%3Fc.html"


def test_a_failure_shows_its_reason_before_its_detail(working: Server) -> None:
    job = make(working, "fail", run=True)
    job = working.site.store.wait(job.id, 30)
    while job.phase in (Phase.QUEUED, Phase.EXECUTING):
        job = working.site.store.wait(job.id, 30)
    assert job.failure is not None
    with working.browser("manager") as browser:
        page = browser.get(f"/jobs/{job.id}").text
        log = browser.get(f"/jobs/{job.id}/log.txt")
    assert page.index(job.failure.message.split("\n")[0][:20]) < page.index("<details")
    assert log.headers["content-type"].startswith("text/plain")
    assert "attachment" in log.headers["content-disposition"]
    assert log.text == working.site.store.log(job.id)[0]


# The workspace --------------------------------------------------------------------------------------------------------


def test_the_workspace_is_read_again_when_it_changes(tmp_path: Path) -> None:
    from emberline.archive import ingest_blocks
    from emberline.spectra import Grid, Metadata, SpectrumBlock

    workspace = Workspace.open(tmp_path / "sky", create=True)
    assert overview.archives(workspace) == []
    for number in (1, 2):
        grid = Grid.log10(3.8, 1e-4, 50)
        meta = [Metadata(identifier=f"s{number}", ra=1.0, dec=2.0)]
        one = np.ones((1, 50), "f4")
        block = SpectrumBlock(grid, one, one, np.zeros((1, 50), "u1"), meta)
        ingest_blocks([block], workspace.folder / "first", survey="test")
        assert [facts.spectra for facts in overview.archives(workspace)] == [number]
    (workspace.folder / "broken").mkdir()
    (workspace.folder / "broken" / "archive.toml").write_text("nonsense = ", "utf-8")
    (workspace.folder / "search").mkdir()
    (workspace.folder / "search" / "campaign.toml").write_text("nonsense = ", "utf-8")
    problem = overview.archives(workspace)[0].problem
    assert problem
    assert str(tmp_path) not in problem
    assert str(tmp_path) not in overview.campaigns(workspace)[0].problem


# Words ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (123_456, "123 kB"), (5 * 10**15, "5000 TB")],
)
def test_sizes(count: int, expected: str) -> None:
    assert wording.size(count).replace("\N{NARROW NO-BREAK SPACE}", " ") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.2, "1 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h 0 min"), (3 * 86400, "3 days")]
)
def test_times_to_come(seconds: float, expected: str) -> None:
    assert wording.span(seconds).replace("\N{NARROW NO-BREAK SPACE}", " ") == expected


def test_done_is_not_said_too_early() -> None:
    assert wording.percent(0.9999).startswith("99")
    assert wording.percent(None) == ""
    assert wording.value(True) == "yes"
    assert wording.value(None) == "–"
    assert wording.value(0.1 + 0.2) == "0.3"
