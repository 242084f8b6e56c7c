"""What a cross-match found, in numbers: what is known, under which types, as a target, and what is new."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.tables import columns_of
from emberline.campaign.crossmatch.found import Found

__all__ = ["STATUS", "Asked", "statuses", "summarise", "summary_text"]

STATUS = ("known target", "known", "new", "not known")
"""What the column ``crossmatch`` may say; the last stands where a service failed or no position is known."""
_TYPE_NAMES = ("otype", "main_type", "class", "type", "objtype", "vartype")
_MOST_TYPES = 30


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """One catalogue and how it answered.

    Attributes
    ----------
    name, kind : str
    address : str
        Of the service, or the file's path.
    table : str
    found : Found or None
        None when it failed.
    message : str
        Why it failed.
    chance : tuple of int
        Of the positions moved aside, how many met something, and how many were tried; (0, 0) when none was.
    """

    name: str
    kind: str
    address: str
    table: str = ""
    found: Found | None = None
    message: str = ""
    chance: tuple[int, int] = (0, 0)

    @property
    def types(self) -> list[str | None] | None:
        """The type of each match, where the catalogue has a column of types."""
        if self.found is None:
            return None
        column = _type_column(self.found)
        return None if column is None else self.found.texts(column)


def _type_column(found: Found) -> str | None:
    columns = columns_of(found.columns.schema)
    by_name = {column.name.lower(): column.name for column in columns}
    named = next((by_name[name] for name in _TYPE_NAMES if name in by_name), None)
    return named or next((column.name for column in columns if column.ucd.lower().startswith("src.class")), None)


def statuses(
    placed: NDArray[np.bool_], asked: Sequence[Asked], types: Mapping[str, Sequence[str]], known_by: Sequence[str] = ()
) -> list[str]:
    """For each candidate one of `STATUS`.

    Parameters
    ----------
    placed : ndarray of bool, shape (n,)
        Which have a position.
    asked : sequence of Asked
    types : mapping
        Target class → the types that mean it.
    known_by : sequence of str
        Which catalogues make an object known; SIMBAD where it was asked, otherwise all. In Gaia or 2MASS there is every
        star, and none of them is known for it.
    """
    judges = _judges(asked, known_by)
    wanted = {name for names in types.values() for name in names}
    known = np.zeros(len(placed), bool)
    target = np.zeros(len(placed), bool)
    for item in judges:
        if item.found is not None:
            known |= item.found.is_there
            target |= np.array([text in wanted for text in item.types or [None] * len(placed)], bool)
    certain = placed & all(item.found is not None for item in judges)
    return [
        STATUS[0] if t else STATUS[1] if k else STATUS[2] if c else STATUS[3]
        for t, k, c in zip(target.tolist(), known.tolist(), certain.tolist(), strict=True)
    ]


def _judges(asked: Sequence[Asked], known_by: Sequence[str]) -> list[Asked]:
    if known_by:
        return [item for item in asked if item.name in known_by]
    simbad = [item for item in asked if item.kind == "simbad"]
    return simbad or list(asked)


def summarise(
    placed: NDArray[np.bool_],
    asked: Sequence[Asked],
    radius_arcsec: float,
    types: Mapping[str, Sequence[str]],
    known_by: Sequence[str] = (),
    objects: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The numbers, as JSON can hold them.

    Parameters
    ----------
    objects : sequence of str, optional
        The object that each candidate shows, so that objects can be counted beside spectra.
    """
    status = np.array(statuses(placed, asked, types, known_by))
    counts: dict[str, Any] = {name.replace(" ", "_"): int((status == name).sum()) for name in STATUS}
    if objects is not None:
        names = np.array(objects)
        counts["new_objects"] = len(set(names[status == "new"].tolist()))
        counts["objects"] = len(set(names.tolist()))
    return {
        "rows": len(placed),
        "without_position": int((~placed).sum()),
        "radius_arcsec": radius_arcsec,
        "known_by": [item.name for item in _judges(asked, known_by)],
        "target_types": {name: list(values) for name, values in types.items()},
        **counts,
        "ambiguous": int(_any(len(placed), [i.found.ambiguous for i in asked if i.found is not None]).sum()),
        "catalogues": [_one(item, types, int(placed.sum())) for item in asked],
        "failed": [item.name for item in asked if item.found is None],
    }


def _any(size: int, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.any(masks, axis=0) if masks else np.zeros(size, bool)


def _one(item: Asked, types: Mapping[str, Sequence[str]], placed: int) -> dict[str, Any]:
    record: dict[str, Any] = {"name": item.name, "kind": item.kind, "address": item.address, "table": item.table}
    if item.found is None:
        return {**record, "state": "failed", "message": item.message}
    matched = int(item.found.is_there.sum())
    record |= {
        "state": "done",
        "matched": matched,
        "nothing": placed - matched,
        "ambiguous": int(item.found.ambiguous.sum()),
        "proper_motions_used": item.found.moved,
        "median_separation_arcsec": float(np.nanmedian(item.found.separation)) if matched else None,
    }
    hits, tried = item.chance
    if tried:
        record["chance"] = {"matches": hits, "tried": tried, "rate": hits / tried}
    listed = item.types
    if listed is not None:
        counted = Counter(text for text in listed if text)
        record["types"] = dict(counted.most_common(_MOST_TYPES))
        record["other_types"] = sum(counted.values()) - sum(record["types"].values())
        record["as_target"] = {name: sum(counted[value] for value in values) for name, values in types.items()}
    return record


def summary_text(summary: Mapping[str, Any]) -> str:
    """The same for people."""
    rows, radius = summary["rows"], summary["radius_arcsec"]
    lines = [f"{rows:,} candidates, within {radius:g} arcsec:"]
    if summary["without_position"]:
        lines.append(f"  {summary['without_position']:,} have no position and were left out.")
    for item in summary["catalogues"]:
        lines += _catalogue_lines(item)
    judges = " and ".join(summary["known_by"])
    objects = f" ({summary['new_objects']:,} objects)" if "new_objects" in summary else ""
    lines.append(f"By {judges}: {summary['known'] + summary['known_target']:,} known, {summary['new']:,} new{objects}.")
    if summary["target_types"]:
        lines.append(f"Known as a target: {summary['known_target']:,}.")
    else:
        lines.append("Which types are targets is not said: give --types, or [crossmatch.types] in campaign.toml.")
    if summary["not_known"]:
        lines.append(f"Not known either way: {summary['not_known']:,}.")
    lines.append(f"Ambiguous in one catalogue or more: {summary['ambiguous']:,}.")
    return "\n".join(lines)


def _catalogue_lines(item: Mapping[str, Any]) -> list[str]:
    if item["state"] == "failed":
        return [f"  {item['name']}: FAILED. {item['message']}"]
    text = f"  {item['name']}: {item['matched']:,} found, {item['nothing']:,} not"
    if item["ambiguous"]:
        text += f", {item['ambiguous']:,} ambiguous"
    if "chance" in item:
        hits, tried = item["chance"]["matches"], item["chance"]["tried"]
        rate = f"{100 * hits / tried:.2g} %" if hits else "none"
        text += f"; by chance {rate} ({hits:,} of {tried:,} positions moved aside)"
    lines = [text + ("; proper motions used" if item["proper_motions_used"] else "") + "."]
    if item.get("types"):
        shown = ", ".join(f"{name} {count:,}" for name, count in list(item["types"].items())[:12])
        more = sum(list(item["types"].values())[12:]) + item["other_types"]
        lines.append(f"    types: {shown}" + (f", others {more:,}" if more else ""))
    return lines
