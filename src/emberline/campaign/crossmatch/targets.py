"""Cross-match a campaign's candidates, an archive or a table in a file, and write what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from emberline.archive.crossmatch import Keep
from emberline.archive.pairs import match_sources, open_source, pairs_table, write_pairs
from emberline.archive.tables import arrow_table, columns_of, find_positions, positions_in, read_table
from emberline.campaign.candidates_io import check_format, write_candidates
from emberline.campaign.crossmatch.catalogues import Request
from emberline.campaign.crossmatch.matching import Crossmatch, Options, crossmatch, epochs_or, write_summary
from emberline.errors import ConfigError, EmberlineError
from emberline.files import atomic_path, exclusive_lock
from emberline.progress import Progress, silent
from emberline.provenance import provenance

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.vo.client.session import Session

__all__ = ["crossmatch_campaign", "crossmatch_pairs", "crossmatch_table", "kept_summary", "options_of"]

FOLDER = "crossmatch"
"""In a campaign: the last result, and the blocks that were done."""


def crossmatch_campaign(
    campaign: Campaign,
    requests: Sequence[Request],
    options: Options | None = None,
    *,
    out: Sequence[Path] = (),
    epoch: float = math.nan,
    workspace: Path | None = None,
    session: Session | None = None,
    progress: Progress = silent,
) -> Crossmatch:
    """Match a campaign's candidates, and keep the result in its folder ``crossmatch``.

    ``candidates.parquet``, ``candidates.vot`` and ``summary.json`` there are replaced; the report shows the last one.
    A run that was killed goes on with what its services had answered.

    Parameters
    ----------
    campaign : Campaign
    requests : sequence of Request
    options : Options, optional
        Those of the campaign's configuration by default.
    out : sequence of Path
        Where else the table goes; the ending chooses the format.
    epoch : float
        Julian year of candidates without a date.
    workspace : Path, optional
        Where ``vo.toml`` may lie; the campaign's own place by default.
    session : Session, optional

    Raises
    ------
    CampaignError
        No round has trained a network yet.
    ConfigError
        A catalogue is none, a format is unknown.
    """
    from emberline.campaign.results import campaign_provenance

    for path in out:
        check_format(path)
    folder = campaign.path / FOLDER
    folder.mkdir(exist_ok=True)
    with exclusive_lock(folder / "run.lock", "another run matches the candidates of this campaign"):
        table = arrow_table(campaign.candidates())
        work = _Work(
            options or options_of(campaign), epoch, folder / "blocks", session, workspace or campaign.path.parent
        )
        done = work.match(table, requests, progress)
        record = {**campaign_provenance(campaign), "crossmatch": done.summary}
        for path in (folder / "candidates.parquet", folder / "candidates.vot", *out):
            write_candidates(done.table, path, record)
        write_summary(done.summary, folder / "summary.json")
    return done


def options_of(campaign: Campaign) -> Options:
    """What the campaign's configuration says of cross-matching."""
    wanted = campaign.config.crossmatch
    return Options(radius_arcsec=wanted.radius, types=wanted.types, known_by=wanted.known_by)


def crossmatch_table(
    path: Path | str,
    requests: Sequence[Request],
    options: Options | None = None,
    *,
    out: Sequence[Path],
    epoch: float = math.nan,
    session: Session | None = None,
    progress: Progress = silent,
) -> Crossmatch:
    """The same for a table in a file, or for an archive's catalogue; the result goes to `out`.

    What services had answered is kept beside the first of `out` until the whole is done.
    """
    if not out:
        raise ConfigError("it is not said where the result goes", expected="a file: --out matched.vot")
    for file in out:
        check_format(file)
    table = read_table(path)
    blocks = out[0].with_name(f".{out[0].name}.blocks")
    done = _Work(options or Options(), epoch, blocks, session, Path.cwd(), str(path)).match(table, requests, progress)
    record = provenance(table=str(path), crossmatch=done.summary)
    for file in out:
        write_candidates(done.table, file, record)
    if not done.summary["failed"]:
        with contextlib.suppress(OSError):
            shutil.rmtree(blocks, ignore_errors=True)
    return done


@dataclasses.dataclass(frozen=True)
class _Work:
    """What is the same for a campaign and for a table."""

    options: Options
    epoch: float
    blocks: Path
    session: Session | None
    workspace: Path
    where: str = ""

    def match(self, table: pa.Table, requests: Sequence[Request], progress: Progress) -> Crossmatch:
        """Find the table's positions and match them.

        Raises
        ------
        EmberlineError
            No catalogue answered at all.
        """
        found = positions_in(table, find_positions(columns_of(table.schema), where=self.where))
        positions = dataclasses.replace(found, epoch=epochs_or(found.epoch, self.epoch, len(table)))
        done = crossmatch(
            table, positions, requests, self.options, session=self._open, folder=self.blocks, progress=progress
        )
        if len(done.summary["failed"]) == len(requests):
            said = "; ".join(f"{item['name']}: {item['message']}" for item in done.summary["catalogues"])
            raise EmberlineError("no catalogue answered", found=said, action="Nothing was written. Run it again later.")
        return done

    def _open(self) -> Session:
        from emberline.vo.client import open_session

        return self.session if self.session is not None else open_session(self.workspace)


def crossmatch_pairs(
    left: Path | str,
    right: Path | str,
    out: Sequence[Path],
    radius_arcsec: float,
    *,
    keep: Keep = "nearest",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Match two archives or tables of any size and write the pairs; a Parquet file alone is written piece by piece.

    Returns
    -------
    dict
        The numbers: rows of both, pairs, rows with a partner, ambiguous ones.

    Raises
    ------
    ConfigError
        A table cannot be used, or no file is named.
    """
    if not out:
        raise ConfigError("it is not said where the pairs go", expected="a file: --out pairs.parquet")
    for file in out:
        check_format(file)
    if all(file.suffix.lower() == ".parquet" for file in out):
        summary = write_pairs(left, right, out[0], radius_arcsec, keep=keep, progress=progress)
        for file in out[1:]:
            with atomic_path(file) as temporary:
                shutil.copyfile(out[0], temporary)
    else:
        with tempfile.TemporaryDirectory(prefix="emberline-") as scratch:
            sources = [open_source(path, Path(scratch)) for path in (left, right)]
            found, summary = match_sources(sources[0], sources[1], radius_arcsec, keep=keep, progress=progress)
            table = pairs_table(sources[0], sources[1], found)
        for file in out:
            write_candidates(table, file, provenance(left=str(left), right=str(right), radius_arcsec=radius_arcsec))
    return {**dataclasses.asdict(summary), "radius_arcsec": radius_arcsec, "keep": keep}


def kept_summary(folder: Path) -> Mapping[str, Any] | None:
    """The numbers of a campaign's last cross-match, None when there was none or they cannot be read."""
    import json

    try:
        summary: dict[str, Any] = json.loads((folder / FOLDER / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and "catalogues" in summary else None
