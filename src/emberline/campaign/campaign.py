"""A campaign: one search in one folder, with its rounds, labels, estimates and candidates."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberline._version import __version__
from emberline.campaign.annotation.assignment import by_identifier
from emberline.campaign.annotation.guidelines import kept_annotation, read_guidelines
from emberline.campaign.annotation.state import State
from emberline.campaign.config import CampaignConfig
from emberline.campaign.database import Database, Label, Question
from emberline.campaign.oracle import Oracle, ask, table_oracle
from emberline.campaign.panels.registry import chosen
from emberline.campaign.pool import Pool, TrainingSet, open_pool, starting_set
from emberline.campaign.predictions import latest_model, load_probabilities
from emberline.campaign.rounds import predict_pool, run_steps
from emberline.campaign.summary import dry, summarise
from emberline.campaign.training import join_sets, load_training_set, save_training_set
from emberline.config import from_toml, to_toml
from emberline.engine import Engine
from emberline.errors import CampaignError, ConfigError
from emberline.features import Recipe
from emberline.files import exclusive_lock, new_folder, write_text
from emberline.learn.strategies import strategy
from emberline.progress import Progress, silent
from emberline.provenance import now

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.campaign.sets import AskedSet

__all__ = ["Campaign", "new_campaign", "open_campaign", "read_status"]


def new_campaign(path: Path | str, config: CampaignConfig, *, progress: Progress = silent) -> Campaign:
    """Make the folder of a new campaign and check that everything it needs is there.

    Parameters
    ----------
    path : path
        A folder that does not exist yet, or is empty.
    config : CampaignConfig
        Relative paths in it are taken from the present folder.

    Raises
    ------
    CampaignError
        The folder is in use, the pool is empty, or no starting label can be used.
    ConfigError, RecipeError
        There is no such strategy or recipe, or one of its settings is wrong.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CampaignError("the folder is in use", where=str(path), action="Choose another for the new campaign.")
    config = config.resolved(Path.cwd())
    recipe = Recipe.load(config.recipe)
    strategy(config.query.strategy, config.query.parameters)
    strategy(config.query.cold_start)
    if config.context.panels:
        chosen(config.context.panels)
    pool = open_pool(config.pool, recipe, progress=progress)
    starts = [starting_set(start, recipe, config.classes, progress=progress) for start in config.start]
    guidelines = read_guidelines(config)
    if path.is_dir():
        path.rmdir()  # an empty one, by what was checked above
    with new_folder(path) as made:
        write_text(made / "recipe.toml", recipe.to_toml())
        save_training_set(made / "start.npz", join_sets(starts, recipe))
        kept = config.relative_to(path.resolve())
        kept = dataclasses.replace(kept, recipe="recipe.toml", annotation=kept_annotation(config))
        if guidelines is not None:
            write_text(made / "guidelines.md", guidelines)
        write_text(made / "campaign.toml", to_toml(kept))
        meta = {"created": now(), "emberline": __version__, "origin": str(path.resolve()), "pool": str(len(pool))}
        Database.create(made / "campaign.db", meta).close()
    return Campaign(path)


def open_campaign(path: Path | str, *, progress: Progress = silent) -> Campaign:
    """Open a campaign's folder; features of a pool that has grown are brought up to date.

    Raises
    ------
    CampaignError, NewerVersionError
        There is no campaign, or a newer Emberline made it.
    """
    campaign = Campaign(path)
    campaign.prepare(progress=progress)
    return campaign


def read_status(path: Path | str) -> dict[str, Any]:
    """Where a campaign stands, read without opening its pool."""
    return Campaign(path).status()


class Campaign:
    """One search. Make it with `new_campaign`, open it with `open_campaign`.

    Attributes
    ----------
    path : Path
    config : CampaignConfig
    recipe : Recipe
    database : Database
        Labels, questions and rounds.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.database = Database(self.path / "campaign.db")
        self.config = self._load_config()
        self.recipe = Recipe.load(self.path / "recipe.toml")
        self._pool: Pool | None = None

    def _load_config(self) -> CampaignConfig:
        config = self.stored_config
        here = config.resolved(self.path.resolve())
        if all(archive.exists() for archive in here.pool.archives):
            return here
        return config.resolved(Path(self.database.meta("origin") or self.path))

    @functools.cached_property
    def stored_config(self) -> CampaignConfig:
        """The configuration as it is written in the folder: its paths are relative to it."""
        return from_toml(CampaignConfig, self.path / "campaign.toml")

    def prepare(self, *, engine: Engine | None = None, progress: Progress = silent) -> Pool:
        """Open the pool, once; features that are missing are built on `engine`."""
        if self._pool is None:
            self._pool = open_pool(self.config.pool, self.recipe, engine=engine, progress=progress)
        return self._pool

    @property
    def pool(self) -> Pool:
        """The spectra that may be asked about."""
        return self.prepare()

    @functools.cached_property
    def start(self) -> TrainingSet:
        """The labelled spectra that the campaign started from; none for a cold start."""
        return load_training_set(self.path / "start.npz")

    def close(self) -> None:
        """Let go of the data base; what was stored is on the disk already."""
        self.database.close()

    # Labels -----------------------------------------------------------------------------------------------------

    def labels(self) -> list[Label]:
        """The labels that hold now, one a spectrum; none for spectra that annotators disagree about."""
        return self.database.labels()

    def open_questions(self) -> list[Question]:
        """What has been asked in the present round and not been answered."""
        current = self.current_round()
        return [] if current is None else self._waiting({current["number"]})

    def unanswered(self) -> list[Question]:
        """What was asked in any round that is over and has no answer; `run` asks it again first."""
        return self._waiting({row["number"] for row in self.rounds() if row["finished"]})

    def _waiting(self, rounds: set[int]) -> list[Question]:
        """The questions of some rounds that have no answer, one a spectrum."""
        answered = self.database.look(State.answered)
        asked = by_identifier([q for q in self.database.questions() if q.round in rounds])
        return [question for name, question in asked.items() if name not in answered]

    def label(self, answers: Mapping[str, str], *, who: str, details: dict[str, Any] | None = None) -> list[int]:
        """Store decisions (identifier → class, ``not sure`` or ``bad``) on spectra that have been asked about.

        They are on the disk when this returns. Labelling again replaces one's own label, and `undo` brings it back;
        what another one said stands beside it, and where the two differ no label holds until that is settled.

        Returns
        -------
        list of int
            The events' numbers, for `undo`.

        Raises
        ------
        CampaignError
            An answer is not allowed, or the spectrum was never asked about.
        """
        asked = by_identifier(self.database.questions())
        for identifier, answer in answers.items():
            if answer not in self.config.answers:
                allowed = ", ".join(self.config.answers)
                raise CampaignError("is no allowed answer", where=identifier, found=repr(answer), expected=allowed)
            if identifier not in asked:
                raise CampaignError("was never asked about, so it cannot be labelled", where=identifier)
        pairs = [(asked[identifier], answer) for identifier, answer in answers.items()]
        model = latest_model(self.path)
        return self.database.add_labels(pairs, who=who, model=model.stem if model else "", details=details)

    def undo(self, event: int, *, who: str) -> int:
        """Take one label back; see `Database.undo`."""
        return self.database.undo(event, who=who)

    def ask_about(self, identifiers: Iterable[str], reason: str) -> AskedSet:
        """Add spectra to the open round's questions, as queries; see `emberline.campaign.sets.ask_about`."""
        from emberline.campaign.sets import ask_about

        return ask_about(self, identifiers, reason)

    # Rounds -----------------------------------------------------------------------------------------------------

    def rounds(self) -> list[dict[str, Any]]:
        """All rounds with their summaries."""
        return self.database.rounds()

    def current_round(self) -> dict[str, Any] | None:
        """The round that is open, or None."""
        rounds = self.rounds()
        return rounds[-1] if rounds and rounds[-1]["finished"] is None else None

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Hold the campaign's lock: one process at a time works on its rounds."""
        return exclusive_lock(self.path / "run.lock", "another run works on this campaign")

    def advance(self, *, batch: int | None = None, engine: Engine | None = None, progress: Progress = silent) -> int:
        """Train, predict and query: everything of a round that needs no oracle. An open round is resumed.

        `batch` is how many spectra a new round asks about; 0 makes a closing round, which asks only for the final
        control sample. The network reads the pool on `engine`, by default here. Returns the round's number.
        """
        current = self.current_round()
        if current is None:
            size = self.config.query.batch if batch is None else batch
            control = self.config.control.per_round if size else self.config.control.final
            number = len(self.rounds())
            self.database.start_round(number, batch=size, control=control)
            current = self.database.rounds()[-1]
        run_steps(self, current, engine=engine, progress=progress)
        return int(current["number"])

    def predict(self, *, engine: Engine | None = None, progress: Progress = silent) -> bool:
        """Let the newest network read the pool, unless it has read this one; returns whether it did so now.

        For a pool that has grown. The estimates stay those of the rounds: labels of a further round renew them.
        """
        return predict_pool(self, engine=engine, progress=progress)

    def finish_round(self, *, truth: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Close the open round: estimates from the control labels, counts, timings. Returns the summary."""
        current = self.current_round()
        if current is None:
            raise CampaignError("no round is open", where=str(self.path))
        summary = summarise(self, current, truth)
        self.database.finish_round(current["number"], summary)
        return summary

    def run(
        self,
        oracle: Oracle | Mapping[str, str] | Path | str,
        rounds: int | None = None,
        *,
        who: str = "",
        engine: Engine | None = None,
        progress: Progress = silent,
    ) -> list[dict[str, Any]]:
        """Run rounds until the campaign has `rounds` of them in all, then train once more on all labels.

        Parameters
        ----------
        oracle : path, mapping or function
            A CSV table of known answers (see `OracleConfig`), a mapping from identifiers to answers, or a function
            that takes identifiers and returns answers, None where it has none.
        rounds : int, optional
            The configuration's by default. Running again with the same number resumes, and otherwise does nothing.
        who : str
            Who answers, for the record; the table's name by default.
        engine : Engine, optional
            Where the networks read the pool; by default here.

        Returns
        -------
        list of dict
            The summaries of all rounds.
        """
        self.prepare(engine=engine, progress=progress)
        answer, truth = self._oracle(oracle)
        who = who or (Path(oracle).name if isinstance(oracle, str | Path) else "function")
        wanted = self.config.stop.rounds if rounds is None else rounds
        one_round = functools.partial(self._one_round, answer, truth, who, engine, progress)
        with self.alone():
            late = self._answer(answer, self.unanswered(), who)
            while self._rounds_done() < wanted and not self._enough_labels():
                one_round()
            if self.current_round() is not None:
                one_round()
            if late or self._labels_since_training():
                one_round(batch=0)
        return [row["summary"] for row in self.rounds()]

    def _oracle(self, oracle: Oracle | Mapping[str, str] | Path | str) -> tuple[Oracle, Mapping[str, str] | None]:
        if isinstance(oracle, str | Path):
            catalogue = self.pool.catalogue(["identifier", "source_file"])
            table = table_oracle(oracle, self.config.oracle, self.config.answers, catalogue)
            if not table:
                raise ConfigError(
                    "the table of answers names no spectrum of the pool",
                    where=str(oracle),
                    action="Check the column that names the spectra (oracle.key).",
                )
            return lambda identifiers: [table.get(name) for name in identifiers], table
        if isinstance(oracle, Mapping):
            return lambda identifiers: [oracle.get(name) for name in identifiers], oracle
        return oracle, None

    def _one_round(
        self,
        oracle: Oracle,
        truth: Mapping[str, str] | None,
        who: str,
        engine: Engine | None,
        progress: Progress,
        batch: int | None = None,
    ) -> None:
        number = self.advance(batch=batch, engine=engine, progress=progress)
        questions = self.open_questions()
        given = self._answer(oracle, questions, who)
        if questions and not given and len(questions) == len(self.database.questions(number)):
            raise CampaignError(
                "the oracle answered none of the questions",
                where=f"round {number}",
                found=f"no answer for {questions[0].identifier} and {len(questions) - 1} more",
                action="Give a table that covers the pool.",
            )
        self.finish_round(truth=truth)

    def _answer(self, oracle: Oracle, questions: list[Question], who: str) -> int:
        """Put questions to the oracle and store what it answers; returns how many it did."""
        if not questions:
            return 0
        replies = ask(oracle, [q.identifier for q in questions], self.config.answers)
        given = {q.identifier: a for q, a in zip(questions, replies, strict=True) if a is not None}
        self.label(given, who=who)
        return len(given)

    def _rounds_done(self) -> int:
        return sum(1 for row in self.rounds() if row["batch"] and row["finished"])

    def _enough_labels(self) -> bool:
        stop = self.config.stop
        return (stop.labels is not None and len(self.labels()) >= stop.labels) or (stop.dry and dry(self))

    def _labels_since_training(self) -> bool:
        rounds = self.rounds()
        return bool(rounds) and rounds[-1]["batch"] > 0

    # Results ----------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Where the campaign stands, as plain values that JSON can hold."""
        from emberline.campaign.results import status

        return status(self)

    def candidates(self) -> Table:
        """The catalogue of candidates: one row a spectrum that is labelled or predicted as a target."""
        from emberline.campaign.results import candidate_table

        return candidate_table(self)

    def write_candidates(self, path: Path | str, *, progress: Progress = silent) -> int:
        """Write the candidates as VOTable, FITS, CSV or Parquet, by the file's ending; returns how many."""
        from emberline.campaign.candidates_io import check_format, write_candidates
        from emberline.campaign.results import campaign_provenance

        check_format(path)
        self.prepare(progress=progress)
        table = self.candidates()
        write_candidates(table, path, campaign_provenance(self))
        return len(table)

    def write_report(self, folder: Path | str, *, progress: Progress = silent) -> Path:
        """Write the campaign's report, one HTML page, into `folder`; returns the page's path."""
        from emberline.campaign.report import write_report
        from emberline.campaign.results import report_data

        self.prepare(progress=progress)
        return write_report(report_data(self), Path(folder))

    def probabilities(self, number: int | None = None) -> NDArray[np.float32]:
        """Calibrated class probabilities of the pool, shape (spectra, classes), of the latest round or of `number`."""
        return load_probabilities(self, number)

    def identifiers(self, rows: ArrayLike) -> list[str]:
        """The identifiers of some rows of the pool."""
        return [str(name) for name in self.pool.identifiers[np.asarray(rows, dtype=np.int64)]]
