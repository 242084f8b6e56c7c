"""The page around Aladin Lite: there only when it is configured, and allowed no more than it needs."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from emberline.jobs import Workspace
from emberline.web.security import PAGE_POLICY, sky_policy
from tests.web.servers import PASSWORD, Server

SCRIPT = "https://aladin.example:8443/v3/aladin.js"


@pytest.fixture
def asked(server: Server, workspace: Workspace) -> Iterator[httpx.Client]:
    """An annotator, with a workspace whose ``vo.toml`` the test may write."""
    with httpx.Client(base_url=server.base, auth=("annotator", PASSWORD), trust_env=False) as client:
        yield client
    (workspace.folder / "vo.toml").unlink(missing_ok=True)


def configure(workspace: Workspace, text: str) -> None:
    (workspace.folder / "vo.toml").write_text(text)


def directives(policy: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for part in policy.split(";") if (words := part.split())}


def test_the_page_may_load_that_script_and_tiles_and_nothing_else(asked: httpx.Client, workspace: Workspace) -> None:
    configure(workspace, f'[services]\naladin = "{SCRIPT}"\nhips = "CDS/P/DSS2/color"\n')
    answer = asked.get("/sky")
    assert answer.status_code == 200
    allowed = directives(answer.headers["content-security-policy"])
    assert allowed["sandbox"] == ["allow-scripts"]
    assert allowed["default-src"] == ["'none'"]
    nonce = next(word for word in allowed["script-src"] if word.startswith("'nonce-"))
    assert set(allowed["script-src"]) == {nonce, "'wasm-unsafe-eval'", "https://aladin.example:8443"}
    assert f'<script nonce="{nonce[7:-1]}">' in answer.text
    assert "https://*.cds.unistra.fr" in allowed["connect-src"]
    assert "log: false" in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert asked.get("/sky").headers["content-security-policy"] != answer.headers["content-security-policy"]
    assert asked.get("/jobs").headers["content-security-policy"] == PAGE_POLICY, "no other page is allowed more"


def test_a_survey_with_an_address_opens_its_own_host_alone() -> None:
    allowed = directives(sky_policy(SCRIPT, "https://hips.example/dss", "n"))
    assert allowed["connect-src"] == ["data:", "blob:", "https://aladin.example:8443", "https://hips.example"]
    assert allowed["img-src"] == allowed["connect-src"]


def test_an_address_cannot_end_the_script(asked: httpx.Client, workspace: Workspace) -> None:
    configure(workspace, '[services]\naladin = "https://x.example/</script><script>alert(1)</script>"\n')
    text = asked.get("/sky").text
    assert text.count("</script>") == 1


@pytest.mark.parametrize("text", ["offline = true\n", '[services]\naladin = ""\n', "no TOML at all"])
def test_where_it_is_not_configured_there_is_no_page(asked: httpx.Client, workspace: Workspace, text: str) -> None:
    configure(workspace, text)
    assert asked.get("/sky").status_code == 404


def test_who_may_not_label_does_not_see_it(asked: httpx.Client, server: Server, workspace: Workspace) -> None:
    configure(workspace, f'[services]\naladin = "{SCRIPT}"\n')
    with httpx.Client(base_url=server.base, auth=("reader", PASSWORD), trust_env=False) as reader:
        assert reader.get("/sky").status_code == 403
    with httpx.Client(base_url=server.base, trust_env=False) as nobody:
        assert nobody.get("/sky").status_code in (302, 303, 401)
