"""What a campaign is asked to do: classes, recipe, pool, starting labels, network, queries, control, stop."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from emberline.campaign.crossmatch.config import CrossmatchConfig
from emberline.campaign.panels.config import ContextConfig
from emberline.config import from_toml
from emberline.learn import TrainConfig
from emberline.learn.config import PredictConfig

__all__ = [
    "ANSWERS",
    "AnnotationConfig",
    "CampaignConfig",
    "CandidateConfig",
    "ControlConfig",
    "OracleConfig",
    "PoolConfig",
    "QueryConfig",
    "StartConfig",
    "StopConfig",
]

ANSWERS = ("not sure", "bad")
"""What an oracle may answer beside the classes; neither is trained on."""


@dataclasses.dataclass(frozen=True)
class PoolConfig:
    """The spectra that may be asked about.

    Attributes
    ----------
    archives : tuple of path
        Folders, relative to the configuration file.
    where : str
        A condition on the catalogue in SQL, such as ``snr > 10``; empty for all.
    flagged : "exclude" or "include"
        Whether spectra with too many bad pixels in the recipe's window take part.
    """

    archives: tuple[Path, ...]
    where: str = ""
    flagged: Literal["exclude", "include"] = "exclude"

    def __post_init__(self) -> None:
        if not self.archives:
            raise ValueError("pool.archives is empty: name one archive or more")


@dataclasses.dataclass(frozen=True)
class OracleConfig:
    """How a table of known answers is read.

    Attributes
    ----------
    key : str
        The column that names the spectrum: an identifier, or the path of its file (whole, or its end);
        empty to take ``identifier`` or ``path``, whichever is there.
    label : str
        The answer, as a template over the table's columns: ``{label}``, ``{label}/{kind}``.
    classes : dict
        What each answer means here, by shell-style patterns: ``{"emission/*" = "target"}``; an answer that is a
        class, ``not sure`` or ``bad`` needs no entry.
    """

    key: str = ""
    label: str = "{label}"
    classes: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StartConfig(OracleConfig):
    """Labels to start from: another archive's labelled set (a warm start), or some of the pool's own.

    Attributes
    ----------
    archive : path
        The archive that holds the spectra.
    table : path, optional
        A table of labels (``.csv``), read as `OracleConfig` says; without it the catalogue's own columns are
        the table, so that ``label = "{survey_class}"`` takes the survey's classification.
    """

    archive: Path = Path()
    table: Path | None = None


@dataclasses.dataclass(frozen=True)
class QueryConfig:
    """What is asked in each round.

    Attributes
    ----------
    strategy : str
        The name of the strategy that chooses.
    batch : int
        How many spectra a round asks about, control questions apart.
    parameters : dict
        The strategy's own parameters.
    cold_start : str
        The strategy of the first round when there are no labels to train on.
    """

    strategy: str = "seek"
    batch: int = 100
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    cold_start: str = "cold_start"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"query.batch is {self.batch}: ask about one spectrum or more")


@dataclasses.dataclass(frozen=True)
class ControlConfig:
    """How many control labels are drawn, from the whole pool, for the estimates alone.

    Attributes
    ----------
    per_round : int
        So many in each round.
    final : int
        So many more once the last round has been trained, where they say most about the catalogue.
    assume : "nothing" or "scores"
        What the interval of completeness rests on: the random draw alone, or also on a belief that the odds of being
        a target rise smoothly with the network's. The second is narrower, and wrong where the belief is; it is told
        beside the first. The control labels are drawn where they say most under it.
    unseen : float
        With ``scores``: the share of targets that are expected to look like anything else to the network.
    """

    per_round: int = 0
    final: int = 0
    assume: Literal["nothing", "scores"] = "nothing"
    unseen: float = 0.05

    def __post_init__(self) -> None:
        if min(self.per_round, self.final) < 0:
            raise ValueError("control labels cannot be fewer than none")
        if not 0.0 < self.unseen < 1.0:
            raise ValueError(f"control.unseen is {self.unseen}: choose a share between 0 and 1")


@dataclasses.dataclass(frozen=True)
class StopConfig:
    """When `run` ends by itself.

    Attributes
    ----------
    rounds : int
        After so many rounds.
    labels : int, optional
        Once so many labels have been given in all, control labels included.
    worth : float
        How many new targets 100 labels must bring to be worth the work. When, with 90 % confidence, fewer are expected
        of the next 100, status and round card say so.
    dry : bool
        Whether `run` ends then, too.
    """

    rounds: int = 10
    labels: int | None = None
    worth: float = 5.0
    dry: bool = False

    def __post_init__(self) -> None:
        for name, value in (("rounds", self.rounds), ("labels", self.labels)):
            if value is not None and value < 1:
                raise ValueError(f"stop.{name} is {value}: choose 1 or more")
        if not 0.0 < self.worth < 100.0:
            raise ValueError(f"stop.worth is {self.worth}: choose new targets per 100 labels, between 0 and 100")


@dataclasses.dataclass(frozen=True)
class CandidateConfig:
    """Which spectra are candidates.

    Attributes
    ----------
    threshold : float
        Those whose probability of being a target, of whatever class, reaches this.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"candidates.threshold is {self.threshold}: choose between 0 and 1")


@dataclasses.dataclass(frozen=True)
class AnnotationConfig:
    """How people label: together, blindly, and by which rules.

    Attributes
    ----------
    overlap : float
        The share of the questions that goes to several annotators, to measure how well they agree.
    annotators : int
        To how many of them.
    repeats : float
        How many questions of one's own come again, unmarked, for each that one answers; they measure how well an
        annotator agrees with himself or herself, and never replace the first answer.
    lease_minutes : float
        How long a question is kept for the one to whom it was shown.
    blind : bool
        Whether the model's opinion stays hidden until the first answer or until it is asked for.
    guidelines : path, optional
        A Markdown file that says how to decide; it is copied into the campaign's folder.
    hints : dict
        Class → one or two sentences on what to look for.
    examples : dict
        Class → identifiers of spectra that show it well; without them typical labelled spectra are shown.
    """

    overlap: float = 0.0
    annotators: int = 2
    repeats: float = 0.05
    lease_minutes: float = 15.0
    blind: bool = True
    guidelines: Path | None = None
    hints: dict[str, str] = dataclasses.field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("overlap", self.overlap), ("repeats", self.repeats)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"annotation.{name} is {value}: choose a share from 0 to 1")
        if self.annotators < 2:
            raise ValueError(f"annotation.annotators is {self.annotators}: an overlap needs 2 or more")
        if not self.lease_minutes > 0:
            raise ValueError(f"annotation.lease_minutes is {self.lease_minutes}: choose more than 0")


@dataclasses.dataclass(frozen=True)
class CampaignConfig:
    """One search, as its TOML file says it.

    Attributes
    ----------
    name, description : str
        For people: they head the report.
    classes : tuple of str
        All classes, in the order of the network's outputs.
    targets : tuple of str
        Those that are searched for.
    recipe : str
        A shipped recipe's name, or the path of a TOML file, relative to the configuration.
    seed : int
        Fixes every random choice of the campaign.
    """

    name: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    recipe: str
    pool: PoolConfig
    description: str = ""
    seed: int = 1
    start: tuple[StartConfig, ...] = ()
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    predict: PredictConfig = dataclasses.field(default_factory=PredictConfig)
    query: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    control: ControlConfig = dataclasses.field(default_factory=ControlConfig)
    stop: StopConfig = dataclasses.field(default_factory=StopConfig)
    candidates: CandidateConfig = dataclasses.field(default_factory=CandidateConfig)
    oracle: OracleConfig = dataclasses.field(default_factory=OracleConfig)
    annotation: AnnotationConfig = dataclasses.field(default_factory=AnnotationConfig)
    context: ContextConfig = dataclasses.field(default_factory=ContextConfig)
    crossmatch: CrossmatchConfig = dataclasses.field(default_factory=CrossmatchConfig)

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(f"classes are {list(self.classes)}: name two different ones or more")
        unknown = [name for name in self.targets if name not in self.classes]
        if unknown or not self.targets:
            raise ValueError(f"targets are {list(self.targets)}: choose from the classes {list(self.classes)}")
        if len(self.targets) == len(self.classes):
            raise ValueError("every class is a target: name at least one class that is not searched for")
        for key, named in (("hints", self.annotation.hints), ("examples", self.annotation.examples)):
            strange = [name for name in named if name not in self.answers]
            if strange:
                raise ValueError(f"annotation.{key} names {strange[0]!r}: choose from {list(self.answers)}")
        strange = [name for name in self.crossmatch.types if name not in self.targets]
        if strange:
            raise ValueError(f"crossmatch.types names {strange[0]!r}: choose from the targets {list(self.targets)}")
        reserved = [name for name in self.classes if name == "not sure" or not name.strip()]
        for table in (self.oracle, *self.start):
            strange = [answer for answer in table.classes.values() if answer not in self.answers]
            if strange:
                raise ValueError(f"an answer is taken to mean {strange[0]!r}: choose from {list(self.answers)}")
        if reserved:
            raise ValueError(f"{reserved[0]!r} is an answer, not a class: leave it out of classes")

    @property
    def answers(self) -> tuple[str, ...]:
        """Everything that the oracle may answer."""
        return (*self.classes, *(answer for answer in ANSWERS if answer not in self.classes))

    @property
    def target_indices(self) -> tuple[int, ...]:
        """The targets' places among the classes."""
        return tuple(self.classes.index(name) for name in self.targets)

    @classmethod
    def load(cls, path: Path | str) -> CampaignConfig:
        """Read a TOML file; paths in it are taken relative to its folder and made absolute."""
        path = Path(path)
        return from_toml(cls, path).resolved(path.resolve().parent)

    def resolved(self, folder: Path) -> CampaignConfig:
        """With all paths absolute, those that were relative taken from `folder`."""
        guide = self.annotation.guidelines
        recipe = folder / self.recipe if self.recipe.endswith(".toml") else self.recipe
        return dataclasses.replace(
            self,
            recipe=str(recipe),
            annotation=dataclasses.replace(self.annotation, guidelines=None if guide is None else folder / guide),
            pool=dataclasses.replace(self.pool, archives=tuple(folder / path for path in self.pool.archives)),
            start=tuple(
                dataclasses.replace(
                    start, archive=folder / start.archive, table=None if start.table is None else folder / start.table
                )
                for start in self.start
            ),
        )

    def relative_to(self, folder: Path) -> CampaignConfig:
        """With all paths of archives and tables relative to `folder`, an absolute one."""

        def seen(path: Path) -> Path:
            return Path(os.path.relpath(path.resolve(), folder))

        guide = self.annotation.guidelines
        return dataclasses.replace(
            self,
            annotation=dataclasses.replace(self.annotation, guidelines=None if guide is None else seen(guide)),
            pool=dataclasses.replace(self.pool, archives=tuple(map(seen, self.pool.archives))),
            start=tuple(
                dataclasses.replace(s, archive=seen(s.archive), table=None if s.table is None else seen(s.table))
                for s in self.start
            ),
        )
