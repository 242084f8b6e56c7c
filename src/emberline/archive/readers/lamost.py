"""LAMOST low resolution, DR1 to DR10+: direct reading of its image and table layouts, without astropy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.base import Described, Statement, mjd_of, or_nan
from emberline.archive.readers.cards import Header
from emberline.archive.readers.fitsfast import Hdu
from emberline.archive.readers.source import Source
from emberline.errors import ReadError
from emberline.spectra import Grid, Mask, Metadata, Spectrum, VelocityFrame

__all__ = ["LamostReader"]

BEIJING = 8.0 / 24.0  # days; DATE-BEG and DATE-END are local time, as their comments say
_SAME_PIXEL = 0.01  # pixels; more than float32 wavelengths lose, less than matters
_ROUNDED = 0.5  # pixels; COEFF0 has four decimals, so it may be off by half a pixel from the wavelength row


class LamostReader(Described):
    """LAMOST low-resolution spectra: 5×N images and tables, of all releases."""

    name = "lamost-lrs"
    states = Statement(
        survey="LAMOST LRS",
        layout="5×N image (early: row 2 is no wavelength), or table COADD with vectors (DR10), gzipped or not",
        medium="vacuum (VACUUM = F is refused)",
        velocity_frame="heliocentric (HELIO = T), else topocentric",
        flux_unit="relative; BUNIT where given",
        ivar="second row, or IVAR",
        mask="and-mask not 0 → BAD; the or-mask, set when any exposure was bad, is not used",
        identifier="spec-<LMJD>-<PLANID>_sp<SPID>-<FIBERID>, as the survey names the file",
        resolving_power="1800",
    )

    def matches(self, source: Source) -> bool:
        """Whether the first header is LAMOST's, with a 5×N image or without data (but not medium resolution)."""
        data = source.data
        if data.find(b"'LAMOST", 0, 8 * 2880) < 0 or not source.is_fits:
            return False
        first = source.fits[0]
        image = len(first.shape) == 2 and first.shape[0] >= 4
        table = not first.shape and first.name != "INFORMATION" and "LMJD" in first.header
        return first.header.text("TELESCOP") == "LAMOST" and (image or table)

    def read(self, source: Source) -> Iterator[Spectrum | ReadError]:
        """The one spectrum of the file."""
        first = source.fits[0]
        header = first.header
        if header.get("VACUUM", True) is not True:
            raise ReadError(
                "the wavelengths are not in vacuum",
                reason="wrong-frame",
                found=f"VACUUM = {header.get('VACUUM')}",
                expected="VACUUM = T, as in every LAMOST release",
            )
        flux, ivar, wavelength, andmask = _rows_of_image(first) if first.shape else _rows_of_table(source)
        grid = _grid(header, flux.size, wavelength)
        mask = bad_pixels(andmask)
        yield Spectrum.checked(grid, flux, ivar, mask, _metadata(header))


def bad_pixels(bits: NDArray[Any]) -> NDArray[np.uint8] | None:
    """`Mask.BAD` where a survey's mask is not zero; None when it is zero everywhere."""
    plain = np.ascontiguousarray(bits)
    if not plain.view(np.uint8).any():
        return None
    mask: NDArray[np.uint8] = (plain != 0).astype(np.uint8)
    return mask * np.uint8(Mask.BAD)


def _rows_of_image(hdu: Hdu) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any]]:
    """Flux, ivar, wavelength (None in the early layout) and and-mask of a 5×N image."""
    rows = hdu.image()
    if rows.ndim != 2 or rows.shape[0] < 4:
        raise ReadError(
            "the image has not LAMOST's rows", reason="no-spectrum", found=f"shape {rows.shape}", expected="(5, N)"
        )
    contents = hdu.header.text("EXTEN0").lower()
    early = "wavelength" not in contents if contents else not 1000.0 < rows[2, 0] < rows[2, -1]
    return rows[0], rows[1], None if early else rows[2], rows[3]


def _rows_of_table(source: Source) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any]]:
    """The same from the first row of the table COADD."""
    hdu = source.fits[1]
    columns = [hdu.column(name) for name in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK")]
    flux, ivar, wavelength, andmask = (column[0] if column.ndim == 2 else column for column in columns)
    return flux, ivar, wavelength, andmask


_known: dict[tuple[float, float, int], tuple[bytes, Grid]] = {}


def _grid(header: Header, n: int, row: NDArray[Any] | None) -> Grid:
    """The grid by the header's coefficients, checked against the wavelength row where there is one.

    Almost every file of a release has the same wavelengths, byte for byte: a row that was checked is not checked again.
    """
    start = _coefficient(header, "COEFF0", "CRVAL1")
    step = _coefficient(header, "COEFF1", "CD1_1")
    if not (step > 0 and 0 < start < 8):
        raise ReadError(
            "the wavelength coefficients make no sense",
            reason="bad-keyword",
            found=f"COEFF0 = {start:g}, COEFF1 = {step:g}",
            expected="log10 of ångström, about 3.568 and 0.0001",
        )
    if row is None:
        return Grid.log10(start, step, n)
    key, content = (start, step, n), row.tobytes()
    seen = _known.get(key)
    if seen is None or seen[0] != content:
        seen = content, _grid_of_row(np.asarray(row, np.float64), start, step)
        if len(_known) > 256:
            _known.clear()
        _known[key] = seen
    return seen[1]


def _coefficient(header: Header, key: str, twin: str) -> float:
    """The number at `key`, which the keyword `twin` repeats; they must agree."""
    value, other = header.number(key), header.number(twin)
    if math.isnan(value) and math.isnan(other):
        return header.need(key)
    if not math.isnan(value + other) and abs(value - other) > 1e-8:
        raise ReadError(
            "the wavelength is stated twice and differently",
            reason="bad-keyword",
            found=f"{key} = {value:.10g} and {twin} = {other:.10g}",
            expected="equal values",
        )
    return other if math.isnan(value) else value


def _grid_of_row(wavelength: NDArray[np.float64], start: float, step: float) -> Grid:
    """The logarithmic grid of the row, which has more digits than the header; both must agree to half a pixel."""
    Grid(wavelength)  # finite and increasing, or an error that says where not
    first = math.log10(wavelength[0])
    shift = (first - start) / step
    grid = Grid.log10(start if abs(shift) < _SAME_PIXEL else first, step, wavelength.size)
    worst = np.abs(np.log10(wavelength) - np.log10(grid.wavelength)).max() / step
    if abs(shift) > _ROUNDED or worst > _SAME_PIXEL:
        raise ReadError(
            "the wavelength row contradicts COEFF0 and COEFF1",
            reason="bad-keyword",
            found=f"a row of {wavelength[0]:.3f} to {wavelength[-1]:.3f} Å, COEFF0 = {start:g}, COEFF1 = {step:g}",
            expected="the same wavelengths",
        )
    return grid


def _metadata(header: Header) -> Metadata:
    fibre = int(header.need("FIBERID"))
    identifier = f"spec-{int(header.need('LMJD'))}-{header.text('PLANID')}_sp{int(header.need('SPID')):02d}-{fibre:03d}"
    release = header.text("DATA_V") or "LAMOST"
    return Metadata(
        identifier=identifier,
        survey=f"{release} LRS",
        name=header.text("DESIG"),
        ra=header.number("RA"),
        dec=header.number("DEC"),
        mjd=middle(header),
        exposure=header.number("EXPTIME"),
        snr=or_nan(header.number("SNRR", header.number("SN_R")), -9999.0),
        survey_class=header.text("CLASS"),
        survey_subclass=header.text("SUBCLASS"),
        redshift=or_nan(header.number("Z"), -9999.0),
        velocity_frame=velocity_frame(header),
        resolving_power=1800.0,
        flux_unit=header.text("BUNIT"),
    )


def velocity_frame(header: Header) -> VelocityFrame:
    """Heliocentric when HELIO is T, as in every release so far."""
    return "heliocentric" if header.get("HELIO") is True else "topocentric"


def middle(header: Header) -> float:
    """MJD (UTC) of the middle of the observation; of the survey's date without times."""
    begin, end = mjd_of(header.text("DATE-BEG")), mjd_of(header.text("DATE-END"))
    if not math.isnan(begin + end):
        return (begin + end) / 2 - BEIJING
    median = mjd_of(header.text("DATE-OBS"))
    return header.number("MJD") if math.isnan(median) else median
