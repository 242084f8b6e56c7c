"""Descriptors of the services that a spectrum's identifier can be handed to: DataLink and SODA."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from emberline.features import shipped_recipes
from emberline.vo.server.dali import address
from emberline.vo.server.votable import Param, Service

if TYPE_CHECKING:
    from emberline.vo.server.published import PublishedArchive, PublishedCatalogue

__all__ = ["DATALINK_TYPE", "SODA_FORMATS", "datalink_service", "soda_service"]

DATALINK_TYPE = "application/x-votable+xml;content=datalink"
SODA_FORMATS = ("application/fits", "application/x-votable+xml", "text/csv", "image/png", "image/svg+xml")
_ANGSTROM = 1e-10
_recipes = functools.cache(shipped_recipes)


def datalink_service(item: PublishedArchive | PublishedCatalogue, base: str, ref: str) -> Service:
    """How to ask for the links of a row; `ref` is the ID of the column with dataset identifiers."""
    return Service(
        "datalink",
        address(base, item.name, "datalink"),
        "ivo://ivoa.net/std/DataLink#links-1.1",
        (Param("ID", "", ucd="meta.id;meta.main", ref=ref, description="IVOA dataset identifier of the spectrum"),),
        "What belongs to a spectrum: its files, previews, repeats, other spectra and candidates of the object",
        content_type=DATALINK_TYPE,
    )


def soda_service(
    item: PublishedArchive, base: str, *, ref: str = "", did: str = "", band: tuple[float, float] | None = None
) -> Service:
    """How to ask for a cut-out or a processed version of a spectrum.

    Parameters
    ----------
    item : PublishedArchive
    base : str
    ref : str
        The ID of the column with dataset identifiers; or else
    did : str
        the one identifier.
    band : tuple of float, optional
        Ångström: what the spectrum covers; what the archive covers unless given.
    """
    edges = band or item.summary.wavelength_angstrom or (0.0, 0.0)
    did_of_row = Param(
        "ID", did, ucd="meta.id;meta.main", ref=ref, description="IVOA dataset identifier of the spectrum"
    )
    return Service(
        "soda",
        address(base, item.name, "soda/sync"),
        "ivo://ivoa.net/std/SODA#sync-1.0",
        (did_of_row, *_soda_inputs(*edges)),
        "Cut-out of a range of wavelengths, and versions rectified and resampled by a recipe",
        item.publication.ivoid,
        "application/fits",
    )


@functools.lru_cache(maxsize=1024)
def _soda_inputs(low: float, high: float) -> tuple[Param, ...]:
    """What a user may choose; without bounds of the wavelengths when both are 0."""
    least, most = (f"{value * _ANGSTROM:.10g}" if high else "" for value in (low, high))
    return (
        Param(
            "BAND",
            "",
            "double",
            "2",
            unit="m",
            ucd="em.wl;stat.interval",
            xtype="interval",
            description="Wavelengths to cut out, vacuum",
            least=least,
            most=most,
        ),
        Param(
            "RECIPE",
            "",
            ucd="meta.code",
            description="Rectify, blur, resample and scale the spectrum by this recipe; BAND is applied afterwards",
            options=_recipes(),
        ),
        Param(
            "RESPONSEFORMAT",
            "",
            ucd="meta.code.mime",
            description="Format of the answer; FITS unless given",
            options=SODA_FORMATS,
        ),
    )
