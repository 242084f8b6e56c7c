"""Spectra of the Ondřejov 2 m telescope (coudé, Hα): IRAF images, archive tables, and a labelled matrix as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterator

import numpy as np

from emberline.archive.readers.base import Described, Statement, located, vacuum_grid
from emberline.archive.readers.cards import Header
from emberline.archive.readers.source import Source
from emberline.archive.readers.wcs1d import Wcs1dReader
from emberline.errors import ReadError
from emberline.spectra import Medium, Metadata, Spectrum

__all__ = ["OndrejovMatrixReader", "OndrejovReader"]

_POWER = 13000.0
_MATRIX = ("file", "panel", "title", "label", "cls")


class OndrejovReader(Wcs1dReader):
    """IRAF images, and the two-column tables that the archive's VO service gives for them."""

    name = "ondrejov"
    survey = "Ondrejov 2m"
    medium = "air"
    velocity_frame = "heliocentric"
    states = Statement(
        survey="Ondřejov 2 m, coudé",
        layout="IRAF image of one row (CRVAL1, CD1_1), or table spectral, flux with DS_IDPUB of the archive",
        medium="air",
        velocity_frame="heliocentric: telluric lines are displaced by VHELIO",
        flux_unit="relative or counts",
        ivar="estimated from the scatter",
        mask="none",
        identifier="ondrejov-<file's name in the archive>",
        resolving_power="13000",
    )

    def matches(self, source: Source) -> bool:
        """Whether the observatory is Ondřejov, or the publisher is and the table has its two columns."""
        if not source.is_fits:
            return False
        first = source.fits[0]
        if first.shape:
            return super().matches(source) and first.header.text("OBSERVAT").upper() == "ONDREJOV"
        if source.data.find(b"asu.cas.cz") < 0:
            return False
        return {"SPECTRAL", "FLUX"} <= set(source.fits[1].columns)

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """The one spectrum of the file."""
        if source.fits[0].shape:
            yield from super().read(source)
            return
        table = source.fits[1]
        comment = table.header.comment(f"TTYPE{table.number_of('SPECTRAL')}").lower()
        if "vacuum" in comment:
            raise ReadError(
                "the wavelengths are not in air", reason="wrong-frame", found=comment, expected="Air wavelength"
            )
        grid = vacuum_grid(np.asarray(table.column("SPECTRAL"), np.float64), "air")
        meta = self.metadata(table.header, source, "air")
        yield Spectrum.checked(grid, table.column("FLUX"), None, None, meta)

    def metadata(self, header: Header, source: Source, medium: Medium) -> Metadata:
        """As in general; positions at the epoch of the observation are precessed to ICRS."""
        meta = super().metadata(header, source, medium)
        epoch = header.number("EQUINOX", 2000.0)
        ra, dec = meta.ra, meta.dec
        if abs(epoch - 2000.0) > 0.01 and not math.isnan(ra + dec):
            ra, dec = _precessed(ra, dec, epoch)
        middle = header.number("JD") - 2400000.5  # of the middle of the exposure in the IRAF images
        return dataclasses.replace(
            meta,
            ra=ra,
            dec=dec,
            mjd=meta.mjd if math.isnan(middle) else middle,
            exposure=header.number("TELAPSE", meta.exposure),
            resolving_power=_POWER,
            flux_unit="",
        )

    def identifier(self, header: Header, source: Source) -> str:
        """``ondrejov-oe270005``."""
        name = header.text("DS_IDPUB").rpartition("/")[2] or header.text("FILENAME") or source.stem
        return f"ondrejov-{name.removesuffix('.fits').removesuffix('.fit')}"


def _precessed(ra: float, dec: float, epoch: float) -> tuple[float, float]:
    """FK5 coordinates at `epoch` (Julian years) in ICRS degrees."""
    from astropy.coordinates import FK5, SkyCoord

    place = SkyCoord(ra, dec, unit="deg", frame=FK5(equinox=f"J{epoch}")).icrs
    return float(place.ra.deg), float(place.dec.deg)


class OndrejovMatrixReader(Described):
    """A labelled matrix as CSV: five columns that name the row, then one column a wavelength; rows are spectra."""

    name = "ondrejov-matrix"
    states = Statement(
        survey="Ondřejov 2 m, coudé, labelled Hα spectra",
        layout="CSV with the columns file, panel, title, label, cls, … and one column per wavelength in Å",
        medium="air",
        velocity_frame="heliocentric",
        flux_unit="scaled from 0 to 1",
        ivar="estimated from the scatter",
        mask="empty cells → NO_DATA",
        identifier="ondrejov-halpha-<file>-<panel>; rows that dup_of marks as repeats of another are left out",
        resolving_power="13000",
    )

    def matches(self, source: Source) -> bool:
        """Whether the first line names the columns."""
        return source.data[:200].decode("latin-1").lstrip("\ufeffï»¿").startswith(",".join(_MATRIX))

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """One spectrum a row, in the file's order."""
        rows = list(csv.reader(io.StringIO(source.data.decode("utf-8-sig"))))
        names = rows[0] if rows else []
        columns = [at for at, name in enumerate(names) if re.fullmatch(r"\d+(\.\d*)?", name)]
        if len(columns) < 2 or tuple(names[:5]) != _MATRIX:
            raise ReadError("has no columns of wavelengths", reason="no-spectrum", found=", ".join(names[:8]))
        grid = vacuum_grid(np.array([float(names[at]) for at in columns]), "air")
        seen: dict[str, int] = {}
        for line, row in enumerate(rows[1:], start=2):
            record = dict(zip(names, row, strict=False))
            if not row or float(record.get("dup_of") or -1) >= 0:
                continue
            try:
                flux = [float(row[at]) if row[at].strip() else math.nan for at in columns]
                yield Spectrum.checked(grid, flux, None, None, _matrix_metadata(record, seen))
            except (ValueError, IndexError) as error:
                yield ReadError("is no row of numbers", reason="bad-flux", where=f"line {line}", found=str(error))
            except ReadError as error:
                yield located(error, f"line {line}")


def _matrix_metadata(record: dict[str, str], seen: dict[str, int]) -> Metadata:
    file = re.sub(r"[^A-Za-z0-9._]+", "-", record["file"]).strip("-")
    identifier = f"ondrejov-halpha-{file}-{record['panel']}"
    seen[identifier] = seen.get(identifier, 0) + 1
    if seen[identifier] > 1:
        identifier += f"-{seen[identifier]}"
    return Metadata(
        identifier=identifier,
        survey="Ondrejov 2m",
        name=record["title"],
        survey_class=record["label"],
        survey_subclass=f"class {int(float(record['cls']))}" if record["cls"] else "",
        medium="air",
        velocity_frame="heliocentric",
        resolving_power=_POWER,
    )
