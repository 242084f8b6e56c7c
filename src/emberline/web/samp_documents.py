"""What a page sends by SAMP, as messages with addresses: a spectrum, its position, the candidates, where they are."""

from __future__ import annotations

import dataclasses
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from emberline.campaign import Campaign
from emberline.campaign.annotation.asked import find_asked
from emberline.errors import CampaignError
from emberline.spectra import Mask, Spectrum
from emberline.web.shared_links import SharedLinks

if TYPE_CHECKING:
    from emberline.vo.server import Published
    from emberline.vo.server._spectra import Shown
    from emberline.vo.server.published import PublishedArchive

__all__ = ["coverage_offer", "position_offer", "read_asked", "shown_spectrum", "spectrum_offer", "table_offer"]

_MEDIA = "application/x-votable+xml"


def read_asked(campaign: Campaign, identifier: str) -> tuple[Spectrum, Path]:
    """A spectrum that was asked about and its archive's folder, without opening the pool.

    Raises
    ------
    CampaignError, ArchiveError
        It was never asked about, or its arrays cannot be read.
    """
    from emberline.archive import open_archive

    asked, index = find_asked(campaign, identifier)
    folder = campaign.config.pool.archives[int(asked.archive[index])]
    return open_archive(folder).spectrum(identifier), folder


@dataclasses.dataclass(frozen=True)
class _Unpublished:
    """Stands where a publication would: nothing is claimed of who published it."""

    publisher: str = ""
    citation: str = ""
    instrument: str = ""
    rights: str = ""
    bibcode: str = ""
    doi: str = ""
    reference_url: str = ""
    aperture_arcsec: float = float("nan")
    version: str = ""

    def did(self, identifier: str) -> str:
        """No dataset identifier was given to it: it is called as its archive calls it."""
        return identifier


@dataclasses.dataclass(frozen=True)
class _Item:
    publication: _Unpublished = dataclasses.field(default_factory=_Unpublished)


def shown_spectrum(spectrum: Spectrum, folder: Path, published: Published | None) -> Shown:
    """A spectrum as the services' writers take it, with what its publication says where its archive is published."""
    from emberline.vo.server._spectra import Shown, unit_of

    spectrum = spectrum.trimmed()
    row = {key: _known(value) for key, value in spectrum.meta.as_dict().items()}
    items = published.archives if published is not None else ()
    item: Any = next((one for one in items if one.folder.resolve() == folder.resolve()), _Item())
    empty = (spectrum.mask & Mask.NO_DATA) != 0
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(spectrum.ivar > 0, 1.0 / np.sqrt(spectrum.ivar), np.nan).astype(np.float32)
    return Shown(
        cast("PublishedArchive", item),
        row,
        spectrum.grid.wavelength,
        spectrum.grid.edges,
        np.where(empty, np.float32(np.nan), spectrum.flux),
        error,
        spectrum.mask,
        unit_of(row["flux_unit"]),
    )


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def spectrum_offer(campaign: Campaign, path: str, identifier: str, links: SharedLinks) -> dict[str, Any]:
    """Messages for a spectrum; who knows no spectra may take it as a table."""
    spectrum, _ = read_asked(campaign, identifier)
    url = links.address({"kind": "spectrum", "campaign": path, "identifier": identifier}, f"{_stem(identifier)}.vot")
    name = spectrum.meta.name or identifier
    meta = {"Access.Reference": url, "Access.Format": _MEDIA, "DataID.Title": name, "Target.Name": name}
    parameters = {"url": url, "name": name, "spectrum-id": identifier, "meta": meta}
    table = {"url": url, "name": name, "table-id": f"emberline-{uuid.uuid4().hex}"}
    return {"name": name, "messages": [["spectrum.load.ssa-generic", parameters], ["table.load.votable", table]]}


def position_offer(campaign: Campaign, identifier: str) -> dict[str, Any]:
    """A message that points at a spectrum's object."""
    meta = read_asked(campaign, identifier)[0].meta
    if not (np.isfinite(meta.ra) and np.isfinite(meta.dec)):
        raise CampaignError("has no position", where=identifier)
    parameters = {"ra": repr(float(meta.ra)), "dec": repr(float(meta.dec)), "name": meta.name or identifier}
    return {"name": f"the position of {meta.name or identifier}", "messages": [["coord.pointAt.sky", parameters]]}


def table_offer(campaign: Campaign, links: SharedLinks) -> dict[str, Any]:
    """A message for the candidates, and which spectrum each row is. The pool is opened."""
    from emberline.campaign.candidates_io import write_candidates
    from emberline.campaign.results import campaign_provenance
    from emberline.campaign.samp import shortlist

    table = shortlist(campaign, hide_open=campaign.config.annotation.blind)
    with tempfile.TemporaryDirectory() as folder:
        path = write_candidates(table, Path(folder) / "candidates.vot", campaign_provenance(campaign))
        kept = links.keep(path.read_bytes())
    url = links.address({"kind": "kept", "name": kept, "media": _MEDIA}, f"{_stem(campaign.config.name)}.vot")
    name, table_id = str(table.meta["name"]), f"emberline-{uuid.uuid4().hex}"
    return {
        "name": name,
        "table_id": table_id,
        "identifiers": [str(one) for one in table["identifier"]],
        "messages": [["table.load.votable", {"url": url, "name": name, "table-id": table_id}]],
    }


def coverage_offer(campaign: Campaign, links: SharedLinks) -> dict[str, Any]:
    """A message for where the candidates are. The pool is opened."""
    from emberline.campaign.samp import coverage

    moc = coverage(campaign, hide_open=campaign.config.annotation.blind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "moc.fits"
        moc.save(str(path), format="fits")
        kept = links.keep(path.read_bytes())
    url = links.address({"kind": "kept", "name": kept, "media": "application/fits"}, "coverage.fits")
    name = f"{campaign.config.name}: where the candidates are"
    parameters = {"url": url, "name": name, "coverage-id": f"emberline-{uuid.uuid4().hex}"}
    return {"name": name, "messages": [["coverage.load.moc.fits", parameters]]}


def _stem(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text).strip("._")[:80] or "table"
