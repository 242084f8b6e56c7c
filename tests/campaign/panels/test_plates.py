"""Fibres of one plate: told by the survey's names, the nearest first, other objects than one's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from emberline.archive import ingest_blocks
from emberline.campaign.panels.confusion import plate_cautions
from emberline.campaign.panels.nebular import measure_nebular
from emberline.campaign.panels.plates import Neighbours, fibres_beside, measure_beside, plate_of
from emberline.spectra import SpectrumBlock
from tests.campaign.panels.conftest import place, spectrum
from tests.campaign.panels.test_nebular import NEBULA


@pytest.mark.parametrize(
    ("identifier", "plate"),
    [
        ("spec-55859-F5902_sp01-001", "spec-55859-F5902"),
        ("spec-59647-GAC089S00B2_sp03-214", "spec-59647-GAC089S00B2"),
        ("med-57664-HIP507401_sp16-012-COADD_R", "med-57664-HIP507401"),
        ("spec-0266-51602-0001", "spec-0266-51602"),
        ("desi-39627658", ""),
        ("HARPS.2005-01-01T00:00:00", ""),
    ],
)
def test_the_plate_stands_in_the_name(identifier: str, plate: str) -> None:
    assert plate_of(identifier) == plate


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate with ten fibres, six of them in a nebula, and one fibre of another plate in the same place."""
    spectra = []
    for number in range(10):
        name, ra = f"spec-59647-GAC1_sp01-{number:03d}", 89.0 + 0.05 * number
        emission = NEBULA if number < 6 else None
        spectra.append(spectrum(emission, seed=number, identifier=name, ra=ra, dec=0.0, survey="LAMOST"))
    spectra.append(spectrum(NEBULA, seed=99, identifier="spec-59648-GAC2_sp01-000", ra=89.01, dec=0.0))
    folder = tmp_path_factory.mktemp("plates") / "survey"
    ingest_blocks([SpectrumBlock.stack(spectra)], folder, survey="LAMOST")
    return folder


def test_other_fibres_of_the_plate_are_found_and_measured(archive: Path) -> None:
    mine = dataclasses.replace(place("spec-59647-GAC1_sp01-000", 89.0, 0.0), archive=archive, object="own")
    rows = fibres_beside(archive, [mine])[mine.identifier]
    names = [row["identifier"] for row in rows]
    assert names == [f"spec-59647-GAC1_sp01-{number:03d}" for number in range(10)]
    known: dict[str, object] = {}
    measured = measure_beside(archive, rows[1:], known)  # type: ignore[arg-type]
    assert len(measured) == len(known) == 9
    own = measure_nebular(spectrum(NEBULA))
    assert own is not None
    (caution,) = plate_cautions(own, Neighbours("spec-59647-GAC1", tuple(measured)))
    assert caution.severity == "danger"
    assert caution.text.startswith("5 of the 9 nearest fibres on spec-59647-GAC1 show")
    assert "[N II]" in caution.text


def test_a_line_of_ones_own_is_nobodys_else() -> None:
    be, absorption = measure_nebular(spectrum({6564.61: 20.0})), measure_nebular(spectrum(seed=2))
    assert be is not None
    assert absorption is not None
    assert "Hα" in be.names
    assert plate_cautions(be, Neighbours("p", (absorption,) * 9)) == []


def test_another_velocity_is_another_gas() -> None:
    own, other = measure_nebular(spectrum(NEBULA)), measure_nebular(spectrum(NEBULA, velocity=125.0, seed=4))
    assert own is not None
    assert other is not None
    assert plate_cautions(own, Neighbours("p", (other,) * 5)) == []
    assert len(plate_cautions(own, Neighbours("p", (own,) * 5))) == 1
