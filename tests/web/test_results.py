"""Files that jobs have made: served whole or in part, from the job's results only, and powerless in a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emberline.jobs import Job
from emberline.web.permissions import Role
from tests.web.servers import Server

FILES = {
    "report.html": b"<script>parent.document</script>",
    "plot.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    "t/table one.csv": b"a,b\n1,2\n",
    "t/\xe4\xf6 \xe2\x82\xac.txt".encode("latin-1").decode("utf-8", "replace"): b"x",
    "table.fits": bytes(range(256)) * 40,
    "model.bin": b"\0",
    "paper.pdf": b"%PDF-1.4",
    '-weird;name="x".txt': b"quoted",
}


@pytest.fixture(scope="module")
def job(working: Server) -> Job:
    """A job that has made files; two of them are replaced by links afterwards."""
    store = working.site.store
    made = store.create("write", {}, owner="annotator", run=True)
    for _ in range(60):
        done = store.wait(made.id, 5)
        if done.phase in ("COMPLETED", "ERROR"):
            break
    assert done.phase == "COMPLETED", done
    results = store.job_folder(made.id) / "results"
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM results WHERE job = ?", [made.id])
        for name, content in {**FILES, "link.txt": b"", "folder-link/x.txt": b"", "gone.txt": b""}.items():
            path = results / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            kind = TYPES.get(path.suffix, "application/octet-stream")
            connection.execute("INSERT INTO results VALUES (?, ?, ?, ?)", [made.id, name, kind, len(content)])
    (results / "link.txt").unlink()
    (results / "link.txt").symlink_to("/etc/passwd")
    (results / "folder-link" / "x.txt").unlink()
    (results / "folder-link").rmdir()
    (results / "folder-link").symlink_to(Path("/etc"))
    (results / "gone.txt").unlink()
    (results / "unlisted.txt").write_text("not a result")
    return store.job(made.id)


TYPES = {
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".fits": "application/fits",
    ".pdf": "application/pdf",
}


@pytest.fixture(scope="module")
def owner(working: Server) -> Iterator[httpx.Client]:
    with working.client("annotator") as client:
        yield client


def address(job: Job, name: str, **query: str) -> httpx.URL:
    return httpx.URL(path=f"/api/jobs/{job.id}/results/{name}", params=query or None)


@pytest.mark.parametrize("name", FILES)
def test_every_result_can_be_fetched(owner: httpx.Client, job: Job, name: str) -> None:
    answer = owner.get(f"/api/jobs/{job.id}/results/" + "/".join(map(quoted, name.split("/"))))
    assert answer.status_code == 200
    assert answer.content == FILES[name]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" not in answer.headers["cache-control"]
    assert "public" not in answer.headers["cache-control"]


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("name", ["report.html", "plot.svg", "t/table one.csv", "model.bin"])
def test_what_a_job_made_has_no_power_over_the_reader(owner: httpx.Client, job: Job, name: str) -> None:
    policy = owner.get(address(job, name)).headers["content-security-policy"]
    parts = [part.strip() for part in policy.split(";")]
    assert "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox" in parts
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in parts
    assert "frame-ancestors 'self'" in parts


def test_shown_or_saved(owner: httpx.Client, job: Job) -> None:
    def disposition(name: str, **query: str) -> str:
        return owner.get(address(job, name, **query)).headers["content-disposition"].split(";")[0]

    assert disposition("report.html") == "inline"
    assert disposition("report.html", download="1") == "attachment"
    assert disposition("table.fits") == disposition("model.bin") == "attachment"
    header = owner.get(f"/api/jobs/{job.id}/results/{quoted(list(FILES)[-1])}").headers["content-disposition"]
    assert '"x"' not in header


def test_a_part_of_a_file(owner: httpx.Client, job: Job) -> None:
    where = address(job, "table.fits")
    part = owner.get(where, headers={"range": "bytes=256-511"})
    assert (part.status_code, part.content) == (206, bytes(range(256)))
    assert part.headers["content-range"] == "bytes 256-511/10240"
    assert owner.get(where, headers={"range": "bytes=99999-"}).status_code == 416
    head = owner.head(where)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10240", b"")


@pytest.mark.parametrize(
    "name",
    [
        "../log.txt",
        "..%2flog.txt",
        "%2e%2e/log.txt",
        "%2e%2e%2f%2e%2e%2fjobs.db",
        "..\\log.txt",
        "t/../../log.txt",
        "t/%2e%2e/report.html",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "report.html%00.png",
        "%00",
        "",
        ".",
        "t",
        "t/",
        "link.txt",
        "folder-link/x.txt",
        "folder-link/passwd",
        "gone.txt",
        "unlisted.txt",
        "a" * 5000,
        "%ff%fe",
        "report.html/",
    ],
)
def test_no_way_leads_out_of_the_results(working: Server, owner: httpx.Client, job: Job, name: str) -> None:
    """Sent as it stands: a client that is polite would tidy such a path up."""
    import http.client

    host = working.base.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        headers = {"Authorization": owner.headers["authorization"]}
        connection.request("GET", f"/api/jobs/{job.id}/results/{name}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status == 404, content[:200]
    assert b"root:" not in content
    assert str(os.getpid()).encode() not in content


def test_others_results_are_not_there(working: Server, job: Job) -> None:
    tokens = working.site.accounts.tokens
    working.site.accounts.add("annotator5", "annotator", "correct horse battery")
    for user, status in (("annotator5", 404), ("reader", 404), ("manager", 200)):
        secret = tokens.create(user, "t", Role.ADMIN)[1]
        where = f"{working.base}/api/jobs/{job.id}/results/report.html"
        answer = httpx.get(where, headers={"authorization": f"Bearer {secret}"}, trust_env=False)
        assert answer.status_code == status
