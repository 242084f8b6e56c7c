"""The command line as a user meets it: exit codes, messages, JSON, and no logic of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from emberline.cli import cli, main
from emberline.cli.output import show
from tests.campaign.conftest import lines, write_truth

COMMANDS = [
    ("ingest",),
    ("harvest",),
    *(("harvest", name) for name in ["search", "options", "history"]),
    ("vo",),
    *(("vo", name) for name in ["check", "config", "cache", "resolve", "search"]),
    ("info",),
    ("simulate",),
    ("features",),
    ("predict",),
    ("query",),
    ("campaign",),
    ("campaign", "new"),
    ("campaign", "run"),
    ("campaign", "labels"),
    ("campaign", "ask"),
    ("campaign", "round"),
    ("campaign", "predict"),
    ("campaign", "status"),
    ("campaign", "context"),
    ("label",),
    ("samp",),
    *(("samp", name) for name in ["send", "peers", "hub", "receive"]),
    ("candidates",),
    ("crossmatch",),
    ("report",),
    ("publish",),
    ("demo",),
    ("jobs",),
    *(
        ("jobs", name)
        for name in ["list", "show", "submit", "wait", "log", "run", "abort", "rerun", "archive", "delete"]
    ),
    ("serve",),
    ("accounts",),
    *(("accounts", name) for name in ["add", "list", "password", "role", "remove"]),
]
GROUPS = {("campaign",), ("harvest",), ("jobs",), ("accounts",), ("samp",), ("vo",)}


def emberline(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    program = "from emberline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive, its truth and a campaign's configuration."""
    from emberline.archive import ingest_blocks

    folder = tmp_path_factory.mktemp("workspace")
    block, truth = lines(300, targets=25, seed=3)
    ingest_blocks([block], folder / "survey", survey="test")
    write_truth(folder / "truth.csv", truth)
    (folder / "search.toml").write_text(
        'name = "Search"\nclasses = ["none", "emission"]\ntargets = ["emission"]\nrecipe = "halpha-140"\n'
        '[pool]\narchives = ["survey"]\n[query]\nbatch = 20\n[control]\nper_round = 5\nfinal = 20\n'
        "[train]\nepochs = 3\n[stop]\nrounds = 1\n",
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*command, "--help"])
    assert result.exit_code == 0
    if command not in GROUPS:
        assert f"Example: emberline {' '.join(command)}" in result.output


def test_the_help_of_jobs_submit_names_every_type_of_job() -> None:
    from emberline.campaign.jobs import JOB_TYPES

    said = CliRunner().invoke(cli, ["jobs", "submit", "--help"]).output
    listed = " ".join(said.split()).partition("TYPE is ")[2].partition(";")[0]
    assert set(listed.replace(" or ", ", ").split(", ")) == {known.name for known in JOB_TYPES}


def test_the_commands_listed_here_are_all_there_are() -> None:
    found = {(name,) for name in cli.commands}
    for name, command in cli.commands.items():
        found |= {(name, sub) for sub in getattr(command, "commands", {})}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("as_json", [True, False])
def test_what_services_and_files_have_written_does_nothing_to_the_terminal(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    title = "A\x1b]0;owned\x07 \x9b2J \u202egnorts\ttab"
    show({"title": title}, as_json=as_json, text=lambda found: f"{found['title']}\n")
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\x9b\u202e")
    assert "owned" in said
    if as_json:
        assert json.loads(said)["title"] == title


def test_a_search_from_archive_to_report(workspace: Path) -> None:
    info = emberline("info", workspace / "survey", "--json")
    assert info.returncode == 0, info.stderr
    assert json.loads(info.stdout)["spectra"] == 300
    made = emberline("campaign", "new", workspace / "search", "--config", workspace / "search.toml")
    assert made.returncode == 0, made.stderr
    run = emberline("campaign", "run", workspace / "search", "--oracle", workspace / "truth.csv", "--json")
    assert run.returncode == 0, run.stderr
    status = json.loads(run.stdout)
    assert (status["labels"]["start"], status["labels"]["query"]) == (0, 20)
    assert 20 <= status["labels"]["control"] <= 25, "a spectrum drawn twice is asked about once"
    assert json.loads(emberline("campaign", "status", workspace / "search", "--json").stdout) == status
    out = emberline("candidates", workspace / "search", "--out", workspace / "found.vot", "--json")
    assert json.loads(out.stdout)["candidates"] == status["rounds"][-1]["candidates"]
    report = emberline("report", workspace / "search", "--out", workspace / "report")
    assert report.returncode == 0, report.stderr
    assert "</html>" in (workspace / "report" / "index.html").read_text(encoding="utf-8")


def test_rounds_one_by_one(workspace: Path) -> None:
    folder = workspace / "step-by-step"
    assert emberline("campaign", "new", folder, "--config", workspace / "search.toml").returncode == 0
    early = emberline("campaign", "predict", folder)
    assert (early.returncode, "no network has been trained yet" in early.stderr) == (1, True)
    first = emberline("campaign", "round", folder, "--batch", "8", "--json")
    assert first.returncode == 0, first.stderr
    outcome = json.loads(first.stdout)
    assert (outcome["round"], outcome["closed_round"]) == (0, None)
    assert 8 <= outcome["query_questions"] <= 8 + outcome["control_questions"], "and the control spectra that were met"
    waiting = emberline("campaign", "round", folder)
    assert waiting.returncode == 1
    assert f"waits for an answer to {outcome['open_questions']} questions" in waiting.stderr
    closed = emberline("campaign", "round", folder, "--finish")
    assert closed.returncode == 0, closed.stderr
    assert "Round 0 is closed." in closed.stdout


def test_features_says_what_it_made(workspace: Path) -> None:
    result = emberline("features", workspace / "survey", "--recipe", "halpha-140", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["pixels"] == 140


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("info", "nowhere"), 1, "nowhere"),
        (("campaign", "status", "nowhere"), 1, "no campaign here"),
        (("campaign", "new", "x", "--config", "nowhere.toml"), 2, "nowhere.toml: cannot be read"),
        (("features", "survey", "--recipe", "halpha-141"), 2, "Did you mean 'halpha-140'"),
        (("ingest", "nowhere.fits", "--into", "a"), 1, "nowhere.fits"),
        (("ingest", "hdfs://host/x", "--into", "a"), 1, "Add --engine spark --master URL"),
        (("ingest", "survey", "--into", "a", "--engine", "spark"), 1, "no Spark master was named"),
        (("features", "survey", "--recipe", "halpha-140", "--master", "local[2]"), 1, "Add --engine spark"),
        (("features", "survey", "--recipe", "halpha-140", "--parts", "hdfs://x/y"), 2, "--parts is for --engine spark"),
        (("predict", "nowhere", "--model", "nowhere.model", "--out", "x"), 1, "nowhere.model: cannot be read"),
        (("query", "nowhere", "--model", "nowhere.model", "--spark-conf", "memory=1"), 2, "spark.NAME=VALUE"),
        (("inform", "x"), 2, "No such command"),
        (("simulate", "--into", "x", "--spectra", "0", "--seed", "1"), 2, "--spectra"),
        (("jobs", "list"), 1, "has no jobs yet"),
        (("jobs", "list", "--workspace", "nowhere"), 1, "there is no such folder"),
        (("jobs", "submit", "simulat", "into=x"), 2, "did you mean 'simulate'?"),
        (("jobs", "submit", "simulate", "into=x", "sed=1"), 2, "did you mean 'seed'?"),
        (("jobs", "submit", "simulate", "into"), 2, "write KEY=VALUE"),
        (("jobs", "submit", "simulate", "into=../x", "spectra=5", "seed=1"), 2, "leads out of the workspace"),
        (("jobs", "submit", "simulate", "--config", "nowhere.toml"), 2, "nowhere.toml: cannot be read"),
        (("jobs", "submit", "simulate", "--config", "search.toml", "--wait", "--hold"), 2, "--wait"),
        (("jobs", "list", "--url", "http://127.0.0.1:1"), 1, "cannot be reached"),
        (("jobs", "list", "--url", "nowhere"), 1, "is no address of a server"),
        (("serve", "nowhere"), 1, "there is no such folder"),
    ],
)
def test_what_goes_wrong_is_one_message_and_an_exit_code(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(sys, "argv", ["emberline", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert message in capsys.readouterr().err
    assert ended.value.code == code
    assert not (workspace / "x").exists()


def test_candidates_of_an_unknown_format_are_refused(workspace: Path) -> None:
    emberline("campaign", "new", workspace / "other", "--config", workspace / "search.toml")
    result = emberline("candidates", workspace / "other", "--out", workspace / "found.docx")
    assert result.returncode == 2
    assert "unknown format for candidates (found '.docx', expected .vot" in result.stderr


def test_a_folder_that_is_a_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = emberline("demo", "--out", tmp_path / "file")
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert f"Error: {tmp_path / 'file'}: File exists" in result.stderr


def test_a_configuration_that_is_no_text_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_bytes(b"\xff\xfe\x00")
    result = emberline("campaign", "new", tmp_path / "c", "--config", tmp_path / "search.toml")
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert "is not valid TOML" in result.stderr


def test_ctrl_c_gives_exit_code_130_and_the_same_command_resumes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from emberline.cli import main; main()"]
    arguments = ["simulate", "--into", str(tmp_path / "a"), "--spectra", "3000", "--seed", "1", "--workers", "1"]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("simulate"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert (process.returncode, "Traceback" in rest) == (130, False)
    assert "to resume" in rest
    assert emberline(*arguments).returncode == 0
    assert json.loads(emberline("info", tmp_path / "a", "--json").stdout)["spectra"] == 3000


def test_rejected_files_give_exit_code_three(tmp_path: Path) -> None:
    (tmp_path / "empty.fits").write_bytes(b"")
    result = emberline("ingest", tmp_path / "empty.fits", "--into", tmp_path / "archive")
    assert result.returncode == 3, result.stderr
    assert "1 rejected" in result.stdout
