"""What was fetched goes through the archive's readers; each verdict, and where each spectrum came from, is kept."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import math
import re
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline.archive import readers
from emberline.archive.catalogue import read_catalogue
from emberline.archive.ingestion import IngestSummary, PartWriter, grow
from emberline.archive.ledger import Ledger, Reject, Written
from emberline.archive.readers.base import assumed_medium
from emberline.archive.readers.source import Source
from emberline.archive.schema import Column, described
from emberline.archive.store import Archive, open_archive
from emberline.errors import EmberlineError, ReadError
from emberline.files import atomic_path
from emberline.progress import Progress, silent
from emberline.provenance import now, provenance
from emberline.spectra import Medium, Spectrum
from emberline.vo.client._answers import is_refusal_in_words, said
from emberline.vo.client.harvest.fetching import place_of
from emberline.vo.client.harvest.history import File, History

__all__ = ["PROVENANCE", "ingest_fetched", "source_of"]

PROVENANCE = "harvest.parquet"
"""In the archive's folder: where each harvested spectrum came from, one row a spectrum."""
_COLUMNS = (
    Column("identifier", "string", "", "meta.id;meta.main", "Identifier of the spectrum in this archive"),
    Column("source_file", "string", "", "meta.ref.url", "As in the catalogue: address, and the options after #"),
    Column("sha256", "string", "", "meta.checksum", "SHA-256 of the file's bytes"),
    Column("service", "string", "", "meta.ref.url", "Service, table or query that told of the file"),
    Column("service_title", "string", "", "meta.title", "What the service calls itself"),
    Column("publisher_did", "string", "", "meta.ref.ivoid", "IVOA dataset identifier that the publisher gave"),
    Column("title", "string", "", "meta.title;meta.dataset", "Title of the dataset"),
    Column("creator", "string", "", "meta.bib.author", "Who made the dataset"),
    Column("collection", "string", "", "meta.dataset", "Collection of the dataset"),
    Column("url", "string", "", "meta.ref.url", "What was asked in the end"),
    Column("media_type", "string", "", "meta.code.mime", "Media type that the server stated"),
    Column("bytes", "int64", "byte", "phys.size;meta.file", "Length of the file"),
    Column("fetched", "string", "", "time.processing", "When it was fetched, UTC, ISO 8601"),
    Column("asked_by", "string", "", "meta.id", "Who selected it, where that is known"),
)
_BATCH = 512  # files that are committed together: a killed run repeats no more than this
_SAFE = re.compile(r"[^\w.+\-]+")
_BLANKS = re.compile(rb"\s*")
_WEB_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def source_of(file: File) -> str:
    """What the catalogue gives as source file: the address, and after ``#`` what was asked of it."""
    asked = "&".join(f"{name}={value}" for name, value in sorted(file.options.items()))
    return f"{file.record.address}#{asked}" if asked else file.record.address


def ingest_fetched(
    history: History,
    archive: Path,
    folder: Path,
    *,
    reader: str | None = None,
    medium: Medium | None = None,
    keep: bool = False,
    progress: Progress = silent,
) -> IngestSummary | None:
    """Bring what is ``fetched`` into the archive and write each file's verdict into the history.

    Parameters
    ----------
    history : History
    archive, folder : Path
        The archive's folder, made when it is new, and the harvest's folder in it.
    reader : str, optional
        By default each file's format is detected.
    medium : "air" or "vacuum", optional
        What holds for files that say neither; they are refused otherwise.
    keep : bool
        Leave the files that were fetched where they are; by default they are removed once they are ingested.
    progress : Progress

    Returns
    -------
    IngestSummary or None
        None when there was nothing to ingest.
    """
    files = history.files(["fetched"])
    if not files:
        return None
    names = _Names(archive)
    verdicts: dict[int, ReadError] = {}

    def jobs(ledger: Ledger) -> Iterator[_Job]:
        for start in range(0, len(files), _BATCH):
            yield _Job(ledger, files[start : start + _BATCH], folder, reader, names, verdicts)

    with assumed_medium(medium):
        summary = grow(archive, jobs, _read_batch, total=len(files), step="ingest", workers=1, progress=progress)
    _settle(history, archive, files, verdicts, names, summary)
    _write_provenance(history, archive)
    for file in history.files(["ingested", "failed"], numbers=[file.number for file in files]):
        if not keep:
            place_of(folder, file).unlink(missing_ok=True)
    return summary


@dataclasses.dataclass(frozen=True)
class _Job:
    """Some files, read in this process: what decides names and verdicts is shared."""

    ledger: Ledger
    files: Sequence[File]
    folder: Path
    reader: str | None
    names: _Names
    verdicts: dict[int, ReadError]


def _read_batch(job: _Job) -> Written:
    """The parts of one job."""
    writer = PartWriter(job.ledger.spectra_folder, job.ledger.next_number, job.ledger.run)
    for file in job.files:
        writer.written.inputs += 1
        _read(file, job, writer)
    return writer.finish()


def _read(file: File, job: _Job, writer: PartWriter) -> None:
    """Hand the spectra of one file to `writer`, or note why there are none."""
    name = source_of(file)
    try:
        data = place_of(job.folder, file).read_bytes()
    except OSError as error:
        job.verdicts[file.number] = ReadError(
            f"the file that was fetched is gone: {error.strerror}", reason="unreadable", action="Let it be tried again."
        )
        return
    source = Source(_local_name(file), data)
    if source.sha256 in job.ledger.hashes:
        writer.written.already += 1
        return
    wrong = _no_spectrum(data)
    for item in [wrong] if wrong else readers.read_each(source, job.reader):
        if isinstance(item, ReadError):
            job.verdicts.setdefault(file.number, item)
            writer.written.rejects.append(Reject.of(item, name, source.sha256))
        else:
            writer.add(_with_record(item, file, source, job.names), name, source.sha256)


def _no_spectrum(data: bytes) -> ReadError | None:
    """Why an answer is none, where that shows at once: a web page, a VOTable that reports an error, text."""
    head = data[:65536]
    found = ""
    if not head.strip():
        found = "nothing but blanks"
    elif _WEB_PAGE.match(head, _past_comments(head)):
        found = f"a web page {_title(head)}".strip()
    elif is_refusal_in_words(head):
        found = f"an error of the service: {said(head)[:200]!r}"
    elif re.match(rb"\s*(UsageError|Error|MultiValuedParamNotSupported|ServiceUnavailable)\b", head):
        found = f"an error of the service: {_words(head[:300])}"
    if not found:
        return None
    return ReadError("the answer is no spectrum", reason="no-spectrum", found=found, expected="FITS or VOTable")


def _past_comments(head: bytes) -> int:
    """Where a page begins after blanks and comments; in time that grows with the length, whoever wrote it."""
    place = 0
    while True:
        place = _BLANKS.match(head, place).end()  # type: ignore[union-attr]  # it matches nothing too
        if not head.startswith(b"<!--", place):
            return place
        end = head.find(b"-->", place)
        if end < 0:
            return place
        place = end + 3


def _title(head: bytes) -> str:
    """The title of a web page, quoted; empty when it has none."""
    lower = head.lower()
    begin = lower.find(b">", lower.find(b"<title") + 1) if b"<title" in lower else -1
    end = lower.find(b"</title", begin)
    return _words(head[begin + 1 : end][:1000]) if 0 <= begin < end else ""


def _words(text: bytes) -> str:
    """Some markup as one line of plain text."""
    plain = re.sub(r"<!\[CDATA\[|\]\]>|<[^<>]*>", " ", text.decode("utf-8", "replace"))
    return repr(re.sub(r"\s+", " ", html.unescape(plain)).strip()[:200])


def _local_name(file: File) -> str:
    """What readers take for the file's name: harmless, and as telling as the server made it."""
    path = urllib.parse.urlsplit(file.record.address).path
    given = file.filename or urllib.parse.unquote(path.rpartition("/")[2])
    name = _SAFE.sub("_", re.split(r"[/\\]", given)[-1])[-150:].lstrip(".")
    return name or file.key


# Names ----------------------------------------------------------------------------------------------------------------


class _Names:
    """The identifiers that are taken, and by which file: two servers call different spectra the same."""

    def __init__(self, archive: Path) -> None:
        self._taken: dict[str, str] = {}
        self._archive: Archive | None = None
        self.same: dict[str, list[str]] = defaultdict(list)
        if (archive / "catalogue.parquet").exists():
            self._archive = open_archive(archive)
            table = read_catalogue(archive / "catalogue.parquet", ["identifier", "sha256"])
            self._taken = dict(zip(table["identifier"].to_pylist(), table["sha256"].to_pylist(), strict=True))

    def choose(self, wanted: str, spectrum: Spectrum, sha256: str) -> str:
        """`wanted`, unless another file has it for another spectrum: then with the beginning of the checksum."""
        owner = self._taken.setdefault(wanted, sha256)
        if owner == sha256:
            return wanted
        if self._is_same(wanted, spectrum):
            self.same[sha256].append(wanted)
            return wanted
        name = f"{wanted}-{sha256[:8]}"
        self._taken.setdefault(name, sha256)
        return name

    def _is_same(self, identifier: str, spectrum: Spectrum) -> bool:
        if self._archive is None:
            return False
        with contextlib.suppress(EmberlineError, KeyError):
            other = self._archive.spectrum(identifier)
            return other.grid == spectrum.grid and all(
                np.array_equal(kept := getattr(other, name), np.asarray(getattr(spectrum, name), kept.dtype))
                for name in ("flux", "ivar", "mask")
            )
        return False


def _with_record(spectrum: Spectrum, file: File, source: Source, names: _Names) -> Spectrum:
    """The spectrum with what the file left unsaid and the service said."""
    meta, record = spectrum.meta, file.record
    wanted = meta.identifier
    if wanted == source.stem == source.name and record.publisher_did:  # neither file nor server has a name for it
        wanted = urllib.parse.unquote(re.split(r"[/?#]", record.publisher_did.rstrip("/"))[-1]) or wanted
    changes: dict[str, object] = {"identifier": names.choose(wanted, spectrum, source.sha256)}
    if not (math.isfinite(meta.ra) and math.isfinite(meta.dec)):
        changes |= {"ra": record.ra, "dec": record.dec}
    if not math.isfinite(meta.mjd):
        changes["mjd"] = record.mjd
    if not meta.name:
        changes["name"] = record.target
    if not meta.survey:
        known = record.service_title if "://" in record.service else record.host
        changes["survey"] = record.collection or known
    return dataclasses.replace(spectrum, meta=dataclasses.replace(meta, **changes))  # type: ignore[arg-type]


# Verdicts -------------------------------------------------------------------------------------------------------------


def _settle(
    history: History,
    archive: Path,
    files: Sequence[File],
    verdicts: Mapping[int, ReadError],
    names: _Names,
    summary: IngestSummary,
) -> None:
    """Each file's state by what the archive holds now."""
    inside = _spectra_of(archive, {file.sha256 for file in files})
    changes: dict[int, dict[str, object]] = {}
    refused = {reject.sha256: reject for reject in summary.rejects if reject.sha256}
    for file in files:
        identifiers = inside.get(file.sha256) or names.same.get(file.sha256, [])
        error = str(verdicts[file.number]) if file.number in verdicts else ""
        if not error and file.sha256 in refused:
            reject = refused[file.sha256]
            error = str(ReadError(reject.message, reason=reject.reason, found=reject.found, expected=reject.expected))
        state = "ingested" if identifiers else "failed"
        if state == "failed" and not error:
            error = "nothing of it is in the archive"
        changes[file.number] = {"state": state, "error": error, "identifiers": identifiers, "ended": now()}
    history.change_each(changes)


def _spectra_of(archive: Path, hashes: set[str]) -> dict[str, list[str]]:
    """The identifiers in the archive by the checksum of their file."""
    found: dict[str, list[str]] = defaultdict(list)
    table = read_catalogue(archive / "catalogue.parquet", ["identifier", "sha256"])
    for identifier, sha256 in zip(table["identifier"].to_pylist(), table["sha256"].to_pylist(), strict=True):
        if sha256 in hashes:
            found[sha256].append(identifier)
    return found


def _write_provenance(history: History, archive: Path) -> None:
    """``harvest.parquet``: the history's account of every harvested spectrum, in an open format."""
    rows = []
    for file in history.files(["ingested"]):
        record = file.record
        for identifier in file.identifiers:
            rows.append(
                {
                    "identifier": identifier,
                    "source_file": source_of(file),
                    "asked_by": file.asked_by,
                    **{name: getattr(file, name) for name in ("sha256", "url", "media_type", "bytes", "fetched")},
                    **{
                        name: getattr(record, name)
                        for name in ("service", "service_title", "publisher_did", "title", "creator", "collection")
                    },
                }
            )
    version = str(provenance()["emberline"])
    schema = pa.schema(described(_COLUMNS), metadata={"emberline.version": version})
    with atomic_path(archive / PROVENANCE) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="ZSTD")
