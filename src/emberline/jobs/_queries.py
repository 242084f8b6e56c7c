"""Which jobs a list shows: the filters of UWS and ours, as SQL."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypedDict

from emberline.jobs._schema import parse_time
from emberline.jobs.model import JobError, Phase

__all__ = ["Filters", "page", "phase_named", "selection"]


def phase_named(text: str) -> Phase:
    """The phase of that name, in any case.

    Raises
    ------
    JobError
        There is none; the error names the nearest.
    """
    try:
        return Phase(text.upper())
    except ValueError:
        near = difflib.get_close_matches(text.upper(), list(Phase), n=1, cutoff=0.5)
        action = f"Did you mean {near[0]}?" if near else ""
        expected = f"one of {', '.join(Phase)}"
        raise JobError("there is no such phase", found=repr(text[:40]), expected=expected, action=action) from None


class Filters(TypedDict, total=False):
    """What `JobStore.jobs` and `JobStore.count` select by; None is as good as absent."""

    phases: Iterable[Phase | str] | None
    type: str | None
    owner: str | None
    after: str | None
    last: int | None
    search: str | None


def selection(filters: Filters) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of all filters but `last`, which are ANDed, and its values."""
    wanted = sorted({phase_named(phase) for phase in filters.get("phases") or ()})
    values: dict[str, Any] = {f"phase{number}": str(phase) for number, phase in enumerate(wanted)}
    names = ", ".join(f":{name}" for name in values)
    terms = [f"phase IN ({names})" if names else f"phase != '{Phase.ARCHIVED}'"]
    for name, value in (("type", filters.get("type")), ("owner", filters.get("owner"))):
        if value is not None:
            terms.append(f"{name} = :{name}")
            values[name] = value
    after, search = filters.get("after"), (filters.get("search") or "").strip()
    if after is not None:
        terms.append("created > :after")
        values["after"] = parse_time(after)
    if search:
        columns = ("label", "type", "id", "owner")
        terms.append(f"({' OR '.join(f'instr(folded({column}), :search)' for column in columns)})")
        values["search"] = search.casefold()
    return f"WHERE {' AND '.join(terms)}", values


def page(last: int | None, limit: int | None, offset: int) -> dict[str, int]:
    """LIMIT and OFFSET of one page of the `last` jobs; SQLite takes -1 for no limit."""
    for name, number in (("last", last), ("limit", limit), ("offset", offset)):
        if number is not None and not 0 <= number < 1 << 63:
            raise JobError("is no number of jobs", where=name, found=str(number)[:40], expected="0 or more")
    bounds = [bound for bound in (limit, None if last is None else max(last - offset, 0)) if bound is not None]
    return {"limit": min(bounds, default=-1), "offset": offset}
