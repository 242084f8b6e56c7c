"""What annotators are told: the guidelines, and for each class a hint and example spectra."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.neighbours import labelled_windows
from emberline.errors import ConfigError

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.campaign.config import AnnotationConfig, CampaignConfig

__all__ = ["ClassGuide", "Example", "Guidelines", "guidelines_of", "kept_annotation", "read_guidelines"]

_EXAMPLES = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A spectrum that shows a class: its feature vector, of the campaign's recipe."""

    identifier: str
    values: NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class ClassGuide:
    """One answer: what to look for, and spectra that show it."""

    name: str
    target: bool
    hint: str
    examples: tuple[Example, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Guidelines:
    """How to decide: the campaign's text (Markdown, perhaps empty), and each answer in the order of its keys.

    `wavelength` (vacuum Å) belongs to the examples' feature vectors.
    """

    text: str
    classes: tuple[ClassGuide, ...]
    wavelength: NDArray[np.float64]


def guidelines_of(campaign: Campaign) -> Guidelines:
    """What the annotators of a campaign are told.

    A class for which the configuration names no examples is shown by its most typical labelled spectra: those nearest
    to the middle of it.
    """
    own = campaign.path / "guidelines.md"
    text = own.read_text(encoding="utf-8") if own.is_file() else read_guidelines(campaign.config) or ""
    labelled = labelled_windows(campaign)
    rules = campaign.config.annotation
    classes = []
    for name in campaign.config.answers:
        named = [Example(i, labelled[i][2]) for i in rules.examples.get(name, ()) if i in labelled]
        mine = {identifier: values for identifier, (label, _, values) in labelled.items() if label == name}
        examples = tuple(named or _typical(mine))
        classes.append(ClassGuide(name, name in campaign.config.targets, rules.hints.get(name, ""), examples))
    return Guidelines(text, tuple(classes), campaign.recipe.grid.wavelength)


def _typical(windows: dict[str, NDArray[np.float32]]) -> list[Example]:
    """The spectra nearest to the median of all."""
    if not windows:
        return []
    names, values = list(windows), np.stack(list(windows.values()))
    distance = np.linalg.norm(values - np.median(values, axis=0), axis=1)
    return [Example(names[i], values[i]) for i in np.argsort(distance, kind="stable")[:_EXAMPLES]]


def read_guidelines(config: CampaignConfig) -> str | None:
    """The text of the guidelines, in Markdown; None when there are none.

    Raises
    ------
    ConfigError
        The file is missing or no text.
    """
    path = config.annotation.guidelines
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the guidelines cannot be read: {error}", where=str(path), expected="a Markdown file in UTF-8"
        ) from error


def kept_annotation(config: CampaignConfig) -> AnnotationConfig:
    """The part of the configuration as it is kept in the campaign's folder, with the copy of the guidelines."""
    given = config.annotation
    return given if given.guidelines is None else dataclasses.replace(given, guidelines=Path("guidelines.md"))
