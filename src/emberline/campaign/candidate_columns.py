"""The columns of a candidate table: names, types, units, UCDs and descriptions, the same in every format."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

__all__ = ["CANDIDATE_COLUMNS", "Column", "candidate_columns", "column_for", "probability_columns"]


@dataclasses.dataclass(frozen=True)
class Column:
    """What is known of one column before any row is seen.

    Attributes
    ----------
    name : str
    dtype : str
        An Arrow type by name: ``string``, ``float64``, ``float32``, ``int32``, ``int64`` or ``bool``.
    unit : str
        In VOUnit syntax; empty for none.
    ucd : str
        UCD1+ (IVOA REC-UCD1+); empty for none.
    description : str
        One sentence.
    """

    name: str
    dtype: str
    unit: str = ""
    ucd: str = ""
    description: str = ""


CANDIDATE_COLUMNS: tuple[Column, ...] = (
    Column("identifier", "string", "", "meta.id;meta.main", "Identifier of the spectrum, unique in its archive"),
    Column("object", "string", "", "meta.id;src", "The source on the sky; several spectra may show it"),
    Column("name", "string", "", "meta.id", "Name of the target as the survey wrote it"),
    Column("survey", "string", "", "meta.dataset", "Survey, and release where known"),
    Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "Right ascension, ICRS"),
    Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "Declination, ICRS"),
    Column("mjd", "float64", "d", "time.epoch;obs", "Modified Julian Date of the observation"),
    Column("snr", "float32", "", "stat.snr", "Signal-to-noise ratio per pixel as the survey states it"),
    Column("survey_class", "string", "", "src.class;meta.curation", "Class that the survey gave"),
    Column("redshift", "float32", "", "src.redshift", "Redshift that the survey gave"),
    Column("predicted", "string", "", "src.class;meta.modelled", "Most probable class by the network"),
    Column("probability", "float32", "", "stat.probability;meta.main", "Probability of being a target, by the network"),
    Column(
        "calibrated_probability",
        "float32",
        "",
        "stat.probability",
        "Probability of being a target, true of the pool by answers not learnt from; 1 when labelled",
    ),
    Column("calibrated_low", "float32", "", "stat.probability;stat.min", "Lower end of its 95 % interval"),
    Column("calibrated_high", "float32", "", "stat.probability;stat.max", "Upper end of its 95 % interval"),
    Column("label", "string", "", "src.class;meta.main", "Class by the oracle; empty when it was not asked"),
    Column("labelled_by", "string", "", "meta.curation", "Who gave the label"),
    Column("label_round", "int32", "", "meta.number", "Round in which the label was given"),
    Column("label_purpose", "string", "", "meta.code", "Why it was asked: query, control or start"),
    Column("purity_stratum", "float32", "", "stat.probability", "Estimated purity of the stratum it lies in"),
    Column("disagreement", "float32", "", "stat.stdev;stat.probability", "Scatter of the probability over 20 passes"),
    Column("training_distance", "float32", "", "stat.value", "Distance to what was trained on; usual within it is 1"),
    Column("unlike_training", "bool", "", "meta.code.qual", "Whether it is unlike anything trained on"),
    Column("flagged", "bool", "", "meta.code.qual", "Whether too many pixels were bad to trust the prediction"),
    Column("bad_fraction", "float32", "", "meta.code.qual;arith.ratio", "Share of bad pixels in the window"),
    Column("source_file", "string", "", "meta.id;meta.file", "File that the spectrum was read from"),
)
"""All columns but the probabilities per class, in the order of writing."""

_KNOWN = {column.name: column for column in CANDIDATE_COLUMNS}


def probability_columns(classes: Sequence[str]) -> list[str]:
    """One column name per class, ``p_`` and the class in letters, digits and underscores, so that SQL needs no quotes.

    Two classes that would share a name get a number: ``p_a_b``, ``p_a_b_2``.
    """
    names: list[str] = []
    for item in classes:
        base = name = "p_" + (re.sub(r"[^A-Za-z0-9]+", "_", item).strip("_") or "class")
        count = 1
        while name.lower() in (known.lower() for known in names):
            count += 1
            name = f"{base}_{count}"
        names.append(name)
    return names


def candidate_columns(classes: Sequence[str]) -> tuple[Column, ...]:
    """All columns of a candidate table for these classes, in order: the probabilities follow ``probability``."""
    at = 1 + [column.name for column in CANDIDATE_COLUMNS].index("probability")
    extra = tuple(
        Column(name, "float32", "", "stat.probability", f"Probability of the class {item}, by the network")
        for name, item in zip(probability_columns(classes), classes, strict=True)
    )
    return CANDIDATE_COLUMNS[:at] + extra + CANDIDATE_COLUMNS[at:]


def column_for(name: str) -> Column | None:
    """What is known of a column by its name alone; None for a stranger."""
    if name in _KNOWN:
        return _KNOWN[name]
    if name.startswith("p_"):
        text = f"Probability of the class {name[2:]}, by the network"
        return Column(name, "float32", "", "stat.probability", text)
    return None
