"""What is known of surveys apart from their files: how wide their fibres are, and how sharp the images on them."""

from __future__ import annotations

from pathlib import Path

from emberline.archive.schema import ArchiveInfo, Fibre
from emberline.errors import ArchiveError, NewerVersionError

__all__ = ["Fibre", "fibre_of", "usual_fibre"]

_USUAL = (
    # Cui et al. 2012, RAA 12, 1197: 3.3″ fibres; the dome seeing at Xinglong is near 3″ in the fibre's plane.
    ("lamost", Fibre(3.3, 3.0)),
    # Smee et al. 2013, AJ 146, 32: BOSS and eBOSS 2″, SDSS I and II 3″; Apache Point's median seeing is 1.5″.
    ("boss", Fibre(2.0, 1.5)),
    ("sdss", Fibre(3.0, 1.5)),
    # DESI Collaboration 2022, AJ 164, 207: 107 μm fibres, 1.5″; median seeing at Kitt Peak 1.1″.
    ("desi", Fibre(1.5, 1.1)),
    # Lewis et al. 2002, MNRAS 333, 279: the 2dF fibres of AAOmega are 2.1″ wide; Siding Spring's seeing is near 1.7″.
    ("aaomega", Fibre(2.1, 1.7)),
    ("2df", Fibre(2.1, 1.7)),
    # Mayor et al. 2003, The Messenger 114, 20: 1″ on the sky.
    ("harps", Fibre(1.0, 0.9)),
    # Škoda et al. 2002, Publ. Astron. Inst. ASCR 90, 1: coudé slit of the 2 m telescope, 0.6 to 1″; seeing 2 to 3″.
    ("ondřejov", Fibre(1.0, 2.5)),
    ("ondrejov", Fibre(1.0, 2.5)),
)
_UNKNOWN = Fibre(2.0, 1.5)


def usual_fibre(survey: str, mjd: float = float("nan")) -> Fibre:
    """A survey's fibre by its name; SDSS spectra since 14 September 2009 are of the BOSS spectrographs."""
    name = survey.casefold()
    for word, fibre in _USUAL:
        if word in name:
            return _USUAL[1][1] if word == "sdss" and mjd >= 55088 else fibre
    return _UNKNOWN


def fibre_of(archive: Path, survey: str, mjd: float = float("nan")) -> Fibre:
    """The fibre of an archive's spectra: as its ``archive.toml`` says, else as is usual for the survey."""
    try:
        stated = ArchiveInfo.load(archive).fibre
    except (ArchiveError, NewerVersionError):
        stated = None
    usual = usual_fibre(survey, mjd)
    if stated is None:
        return usual
    return Fibre(stated.diameter_arcsec or usual.diameter_arcsec, stated.seeing_arcsec or usual.seeing_arcsec)
