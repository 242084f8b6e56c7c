"""Publishing: the record of what an archive or a campaign shows to the Virtual Observatory, and its frozen files."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tomllib
import urllib.parse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from emberline.config import from_toml, to_toml
from emberline.errors import ConfigError, EmberlineError
from emberline.files import exclusive_lock, write_text
from emberline.progress import Progress, silent
from emberline.provenance import now
from emberline.vo.server._publication_rules import NAME, OPTIONAL, REQUIRED, faults

__all__ = ["FILE_NAME", "Publication", "frozen_folder", "publish", "read_publication", "versions_of", "withdraw"]

FILE_NAME = "publication.toml"
"""Lies in the folder of what is published."""


@dataclasses.dataclass(frozen=True)
class Publication:
    """``publication.toml``: what the VO is told of one archive, or of one campaign's candidates.

    A draft of it, for ``--config``, may leave any field out.

    Attributes
    ----------
    name : str
        In addresses and in queries: lower-case letters, digits and underscores.
    title : str
        One line that says what it is.
    description : str
        What is in it, how it was made and what it is good for; a blank line between paragraphs.
    creators : tuple of str
        Who made it, as a citation names them.
    subjects : tuple of str
        Keywords, best from the Unified Astronomy Thesaurus.
    publisher : str
        The institution that publishes it.
    contact_name, contact_email : str
        Who answers questions, and where they are sent to.
    authority : str
        The authority of the IVOA identifiers, which a publisher has registered.
    reference_url : str
        A page about the data; the page of the service itself when empty.
    rights, rights_url : str
        The licence in words, and its address.
    facility, instrument : str
        Telescope and spectrograph.
    waveband : tuple of str
        Radio, Millimeter, Infrared, Optical, UV, EUV, X-ray or Gamma-ray.
    bibcode, doi : str
        Of the article that describes the data, and of the data themselves.
    aperture_arcsec : float
        Diameter of the fibre, or width of the slit, on the sky.
    kind : str
        ``archive`` or ``catalogue``; found out when it is published.
    version : int
        Raised by each publishing.
    created, updated, withdrawn : str
        UTC, ISO 8601; `withdrawn` is empty while it is published.
    """

    name: str = ""
    title: str = ""
    creators: tuple[str, ...] = ()
    description: str = ""
    subjects: tuple[str, ...] = ()
    publisher: str = ""
    contact_name: str = ""
    contact_email: str = ""
    authority: str = ""
    reference_url: str = ""
    rights: str = ""
    rights_url: str = ""
    facility: str = ""
    instrument: str = ""
    waveband: tuple[str, ...] = ("Optical",)
    bibcode: str = ""
    doi: str = ""
    aperture_arcsec: float = 3.0
    kind: str = "archive"
    version: int = 1
    created: str = ""
    updated: str = ""
    withdrawn: str = ""

    def __post_init__(self) -> None:
        wrong = faults({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def ivoid(self) -> str:
        """The IVOA identifier of the published resource."""
        return f"ivo://{self.authority}/{self.name}"

    @property
    def did_prefix(self) -> str:
        """What precedes the percent-encoded identifier in the publisher's dataset identifier of a spectrum."""
        return f"{self.ivoid}?"

    def did(self, identifier: str) -> str:
        """The publisher's dataset identifier of one spectrum (ObsCore ``obs_publisher_did``)."""
        return self.did_prefix + urllib.parse.quote(identifier, safe="")

    def identifier(self, did: str) -> str | None:
        """The identifier of the spectrum that a dataset identifier means; None when it is not of this publication.

        Identifiers of the IVOA match in any case up to the question mark.
        """
        resource, mark, local = did.partition("?")
        if not mark or resource.lower() != self.ivoid:
            return None
        return urllib.parse.unquote(local)

    @property
    def citation(self) -> str:
        """One line to cite the data by."""
        who = "; ".join(self.creators)
        parts = [f"{who} ({self.updated[:4]})", f"{self.title}, version {self.version}", self.publisher]
        return ". ".join([*parts, f"https://doi.org/{self.doi}" if self.doi else self.ivoid])


def read_publication(folder: Path | str) -> Publication | None:
    """The record in `folder`, also of what was withdrawn; None where nothing was ever published.

    Raises
    ------
    ConfigError
        The file is damaged.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        return None
    record = from_toml(Publication, path)
    missing = [name for name in REQUIRED if not getattr(record, name)]
    if missing or not record.updated:
        raise ConfigError(
            "this is no complete record of a publication",
            where=str(path),
            expected=", ".join(missing) or "the key updated",
            action="Publish it again; a draft belongs into another file, for --config.",
        )
    return record


def frozen_folder(folder: Path, version: int) -> Path:
    """Where the files of one published version lie."""
    return folder / "published" / f"v{version}"


def versions_of(folder: Path) -> list[int]:
    """The versions that are kept, oldest first."""
    found = (re.fullmatch(r"v([1-9]\d{0,8})", path.name) for path in (folder / "published").glob("v*"))
    return sorted(int(match[1]) for match in found if match)


def publish(
    folder: Path | str, *, config: Path | str | None = None, progress: Progress = silent, **settings: Any
) -> Publication:
    """Publish an archive, or the candidates of a campaign, as they are now.

    What is shown is frozen: spectra that are ingested and labels that are given later are published when this is
    called again, as the next version. The versions before stay on the disk until they are withdrawn.

    Parameters
    ----------
    folder : path
        An archive's or a campaign's.
    config : path, optional
        A TOML file with the fields of `Publication`.
    **settings
        The fields themselves. They go before the file, and the file before what was published last.

    Returns
    -------
    Publication

    Raises
    ------
    ConfigError
        Something is missing or cannot be published; all of it is listed.
    ArchiveError, CampaignError
        The folder holds neither, or there are no candidates yet.
    """
    folder = Path(folder)
    kind = _kind_of(folder)
    with _alone(folder):
        before = read_publication(folder)
        values = _merged(folder, before, config, settings)
        last = max([*versions_of(folder), before.version if before else 0])
        record = _checked(values, kind, last + 1, before.created if before else "")
        _freeze(folder, record, progress)
        write_text(folder / FILE_NAME, to_toml(record))
    return record


def withdraw(folder: Path | str, *, version: int | None = None) -> Publication:
    """Take back what was published: everything, or one older version. The archive or campaign itself stays.

    The record is kept, so that registries hear that the resource is gone and its name can be taken up again.

    Raises
    ------
    ConfigError
        Nothing, or no such version, is published here.
    """
    folder = Path(folder)
    with _alone(folder):
        record = read_publication(folder)
        if record is None or record.withdrawn:
            raise ConfigError("nothing is published", where=str(folder), action="Check the path.")
        if version is None:
            record = dataclasses.replace(record, withdrawn=now())
            write_text(folder / FILE_NAME, to_toml(record))
            gone = versions_of(folder)
        else:
            gone = [version]
            if version == record.version or version not in versions_of(folder):
                older = [str(item) for item in versions_of(folder) if item != record.version]
                raise ConfigError(
                    "this version cannot be withdrawn alone",
                    where=str(folder),
                    found=str(version),
                    expected=f"an older version that is kept: {', '.join(older) or 'there is none'}",
                    action="Without a version, everything is withdrawn.",
                )
        for item in gone:
            shutil.rmtree(frozen_folder(folder, item), ignore_errors=True)
    return record


def _alone(folder: Path) -> Any:
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=str(folder), expected="an archive or a campaign")
    return exclusive_lock(folder / "published" / "publish.lock", "something else is being published from here")


def _kind_of(folder: Path) -> str:
    for kind, name in (("archive", "archive.toml"), ("catalogue", "campaign.toml")):
        if (folder / name).is_file():
            return kind
    raise ConfigError(
        "this is neither an archive nor a campaign",
        where=str(folder),
        expected="archive.toml or campaign.toml in it",
        action="Check the path.",
    )


def _merged(
    folder: Path, before: Publication | None, config: Path | str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields by who said them last; empty ones count as not said."""
    values: dict[str, Any] = {}
    if before is not None:
        values |= _said(before)
    elif NAME.fullmatch(folder.resolve().name.lower()):
        values["name"] = folder.resolve().name.lower()
    if config is not None:
        values |= _said(from_toml(Publication, Path(config)), only=tomllib.loads(Path(config).read_text("utf-8")))
    unknown = [name for name in settings if name not in REQUIRED and name not in OPTIONAL]
    if unknown:
        raise TypeError(f"publish() got an unknown field {unknown[0]!r}")
    return values | {name: value for name, value in settings.items() if value not in (None, "", ())}


def _said(record: Publication, only: Collection[str] | None = None) -> dict[str, Any]:
    """What a person has said in a record (of a file: in these keys); the rest is set by publishing."""
    names = {name.replace("-", "_") for name in only} if only is not None else {*REQUIRED, *OPTIONAL}
    return {name: value for name in (*REQUIRED, *OPTIONAL) if name in names and (value := getattr(record, name))}


def _checked(values: Mapping[str, Any], kind: str, version: int, created: str) -> Publication:
    """The record, when nothing is missing and nothing wrong."""
    clean = {name: _tidy(value) for name, value in values.items()}
    missing = [f"{name.replace('_', ' ')} ({option})" for name, option in REQUIRED.items() if not clean.get(name)]
    wrong = faults(clean)
    if missing or wrong:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        raise ConfigError(
            "cannot be published yet: " + "; ".join(parts + wrong),
            action="Give them as options, or all of them in a file with --config publication.toml.",
        )
    moment = now()
    return Publication(**clean, kind=kind, version=version, created=created or moment, updated=moment)


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float):
        return value
    return tuple(dict.fromkeys(item.strip() for item in value if item.strip()))


def _freeze(folder: Path, record: Publication, progress: Progress) -> None:
    """Write the files of one version; they take their place when all of them are there."""
    from emberline.vo.server._freeze import freeze_archive, freeze_campaign

    place = frozen_folder(folder, record.version)
    made = place.with_name(f".{place.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir(parents=True)
        (freeze_archive if record.kind == "archive" else freeze_campaign)(folder, made, record, progress)
        made.rename(place)
    except OSError as error:
        raise EmberlineError(f"cannot be written: {error.strerror or error}", where=str(place)) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
