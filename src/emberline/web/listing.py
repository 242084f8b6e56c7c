"""The list of jobs as an address describes it: filters, order and page."""

from __future__ import annotations

import dataclasses
import urllib.parse
from typing import Any

from starlette.datastructures import QueryParams

from emberline.jobs import Job, JobDesk

__all__ = ["SIZE", "Listing"]

SIZE = 50
"""Jobs on one page, unless the address says otherwise."""
_MOST = 200
_SORTS = ("label", "type", "phase", "owner", "created", "started", "ended")
_SORTABLE = 20_000
"""The list is sorted by the data base for its usual order, newest first, and here for any other: the newest so many."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a list shows; `order` is ``down`` (largest first) or ``up``."""

    phases: tuple[str, ...] = ()
    type: str = ""
    owner: str = ""
    search: str = ""
    sort: str = "created"
    order: str = "down"
    page: int = 1
    size: int = SIZE

    @classmethod
    def of(cls, query: QueryParams) -> Listing:
        """Read an address; what it does not say, or says wrongly, is as usual."""
        sort = query.get("sort", "")
        return cls(
            phases=tuple(dict.fromkeys(phase.upper() for phase in query.getlist("phase") if phase)),
            type=query.get("type", ""),
            owner=query.get("owner", "").strip(),
            search=query.get("search", "").strip(),
            sort=sort if sort in _SORTS else "created",
            order="up" if query.get("order") == "up" else "down",
            page=_whole(query.get("page", ""), 1, 1_000_000),
            size=_whole(query.get("size", ""), SIZE, _MOST),
        )

    @property
    def filters(self) -> dict[str, Any]:
        """The filters as `JobStore.jobs` takes them."""
        return {
            "phases": self.phases or None,
            "type": self.type or None,
            "owner": self.owner or None,
            "search": self.search or None,
        }

    @property
    def filtered(self) -> bool:
        """Whether anything is filtered out."""
        return any(self.filters.values())

    @property
    def offset(self) -> int:
        """How many jobs come before this page."""
        return (self.page - 1) * self.size

    @property
    def query(self) -> str:
        """The address's query, with only what is not as usual."""
        usual = Listing()
        pairs = [("phase", phase) for phase in self.phases]
        for name in ("type", "owner", "search", "sort", "order", "page", "size"):
            if getattr(self, name) != getattr(usual, name):
                pairs.append((name, str(getattr(self, name))))
        return urllib.parse.urlencode(pairs)

    @property
    def address(self) -> str:
        """The whole address."""
        return f"/jobs?{self.query}" if self.query else "/jobs"

    def at(self, page: int) -> str:
        """The address of another page."""
        return dataclasses.replace(self, page=page).address

    def sorted_by(self, key: str) -> str:
        """The address of the first page in another order; once more the same key turns it round."""
        usual = "down" if key in ("created", "started", "ended") else "up"
        turned = {"up": "down", "down": "up"}[self.order] if key == self.sort else usual
        return dataclasses.replace(self, sort=key, order=turned, page=1).address

    def pages(self, total: int) -> int:
        """How many pages so many jobs make."""
        return max(1, -(-total // self.size))

    def rows(self, desk: JobDesk, total: int) -> list[Job]:
        """The jobs of this page."""
        if self.sort == "created" and self.order == "down":
            return desk.jobs(**self.filters, limit=self.size, offset=self.offset)
        if self.sort == "created":  # the last page of the usual order, turned round
            start = max(0, total - self.offset - self.size)
            stop = max(0, total - self.offset)
            return desk.jobs(**self.filters, limit=stop - start, offset=start)[::-1] if stop > start else []
        found = desk.jobs(**self.filters, limit=_SORTABLE)
        known = [job for job in found if getattr(job, self.sort)]
        unknown = [job for job in found if not getattr(job, self.sort)]
        known.sort(key=self._key, reverse=self.order == "down")
        return (known + unknown)[self.offset : self.offset + self.size]

    def _key(self, job: Job) -> str:
        return str(getattr(job, self.sort)).casefold()


def _whole(text: str, usual: int, most: int) -> int:
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) else usual
