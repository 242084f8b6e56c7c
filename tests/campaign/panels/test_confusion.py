"""Warnings of confusion: neighbours that leak, Pleione among them, several names at one place, and silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from emberline.archive import ingest_blocks
from emberline.archive.schema import ArchiveInfo, Fibre
from emberline.archive.surveys import fibre_of, usual_fibre
from emberline.campaign.panels import Place, Tools
from emberline.campaign.panels.config import ContextConfig
from emberline.campaign.panels.confusion import ConfusionPanel, blend_cautions, leak_cautions
from emberline.campaign.panels.sources import GAIA, SIMBAD, Rows, Source
from emberline.spectra import SpectrumBlock
from tests.campaign.panels.conftest import place, spectrum
from tests.campaign.panels.test_nebular import NEBULA

PLEIONE = (57.29673, 24.13671)  # ICRS degrees, at 2000.0


def source(name: str, separation: float, magnitude: float, *, catalogue: str = GAIA, apart: float = 0.0) -> Source:
    return Source(catalogue, name, 40.0, 20.0 + (separation + apart) / 3600, separation, magnitude, "G")


def cautions(
    sources: Sequence[Source], *, leak: float = 0.03, faint: float = 17.0, **changes: object
) -> list[tuple[str, str]]:
    found = leak_cautions(place(**changes), sources, 3.0, leak, faint)  # type: ignore[arg-type]
    return [(caution.severity, caution.text) for caution in found]


class TestPleione:
    """The case that must be caught: V = 5.05, 22″ from a fibre of LAMOST."""

    def row(self, separation: float, name: str, magnitude: float | None) -> dict[str, object]:
        ra, dec = PLEIONE
        return {
            "main_id": name, "source_id": 1, "ra": ra, "dec": dec + separation / 3600, "separation": separation,
            "vmag": magnitude, "phot_g_mean_mag": magnitude,
        }  # fmt: skip

    @pytest.mark.parametrize("target", [13.0, 14.0, 15.0, None])
    @pytest.mark.parametrize("gaia", [True, False])
    def test_the_panel_warns(self, target: float | None, gaia: bool) -> None:
        """Whether Gaia has Pleione or SIMBAD alone, whether the target is known or blank sky."""
        here = place("fibre", PLEIONE[0], PLEIONE[1] - 22 / 3600)
        own = [] if target is None else [self.row(0.1, "own", target)]
        star = self.row(22.0, "* 28 Tau", 5.05)
        tools = Tools(None, ContextConfig())
        tools.shared.once(("gaia", "fibre"), lambda: Rows({"fibre": [*own, star] if gaia else own}))
        tools.shared.once(("simbad", "fibre"), lambda: Rows({"fibre": [star]}))
        finding = ConfusionPanel().ask([here], tools)["fibre"]
        assert finding.state == "found"
        (warning,) = finding.warnings
        assert "22.0″ away" in warning.text
        assert warning.severity == ("caution" if target == 13.0 else "danger")
        assert ("Gaia DR3 1" if gaia else "28 Tau") in warning.text

    def test_through_a_small_fibre_at_a_dark_site_it_leaks_less(self) -> None:
        wide = cautions([source("Pleione", 22, 5.05), source("own", 0.1, 14)])
        narrow = cautions([source("Pleione", 22, 5.05), source("own", 0.1, 14)], fibre=Fibre(1.5, 1.1))
        assert "about 25 %" in wide[0][1]
        assert narrow == []  # 2.98 %


def test_an_ordinary_field_is_silent() -> None:
    field = [source("own", 0.2, 15), *(source(f"n{k}", 6.0 + k, 16.0) for k in range(20))]
    assert cautions(field) == []


def test_near_equal_neighbours_are_told_the_worst_first() -> None:
    found = cautions([source("own", 0.1, 15), source("near", 2.5, 15), source("nearer", 1.9, 14)])
    assert [text.split(",")[0] for _, text in found] == ["nearer", "near"]
    assert found[0][0] == "danger"


def test_one_star_in_two_catalogues_is_no_neighbour_of_itself() -> None:
    assert cautions([source("own", 0.1, 12), source("HD 1", 0.4, 12.2, catalogue=SIMBAD)]) == []
    assert len(cautions([source("own", 0.1, 12), source("HD 2", 2.4, 9.0, catalogue=SIMBAD)])) == 1


def test_only_what_reaches_the_threshold_is_told() -> None:
    both = [source("own", 0.1, 13.0), source("Pleione", 22, 5.05)]
    assert cautions(both, leak=0.2) == []
    assert len(cautions(both, leak=0.05)) == 1


def rows(*entries: tuple[str, str, float]) -> list[dict[str, object]]:
    return [{"object": name, "name": label, "separation": apart} for name, label, apart in entries]


def test_several_objects_or_names_at_one_place() -> None:
    here = place()
    assert blend_cautions(here, rows((here.object, "star", 0.0), (here.object, "star", 0.2))) == []
    (two,) = blend_cautions(here, rows((here.object, "star", 0.0), ("J2", "other", 2.5)))
    assert "J2 at 2.5″" in two.text
    (named,) = blend_cautions(here, rows((here.object, "HD 1", 0.0), (here.object, "HD 2", 0.3)))
    assert "HD 1, HD 2" in named.text
    digits = rows((here.object, "LAMOST J040000.00+200000.0", 0.0), (here.object, "LAMOST J040000.01+200000.0", 0.1))
    assert blend_cautions(here, digits) == []
    assert blend_cautions(here, rows((here.object, "a", 0.0), ("J2", "b", 9.0))) == []


def test_a_nebula_is_told_without_the_network(tmp_path: Path) -> None:
    meta = {"identifier": "spec-59647-GAC1_sp01-001", "ra": 89.0, "dec": 0.0, "survey": "LAMOST"}
    ingest_blocks([SpectrumBlock.stack([spectrum(NEBULA, **meta)])], tmp_path / "survey", survey="LAMOST")
    here = place("spec-59647-GAC1_sp01-001", 89.0, 0.0, archive=tmp_path / "survey")
    kept: dict[str, object] = {}
    tools = Tools(None, ContextConfig(enabled=False), keep=lambda name, finding: kept.update({name: finding}))
    finding = ConfusionPanel().ask([here], tools)[here.identifier]
    assert finding.state == "offline"
    assert finding.warnings[0].severity == "danger"
    assert finding.warnings[0].text.startswith("nebular lines: [N II]")
    assert list(kept) == [here.identifier]
    assert {fact.label for fact in finding.facts} >= {"[N II] narrow emission", "Fibre"}


@pytest.mark.parametrize(
    ("survey", "mjd", "diameter"),
    [
        ("LAMOST DR10 LRS", 59000, 3.3),
        ("SDSS DR7", 52000, 3.0),
        ("SDSS DR16", 57000, 2.0),
        ("BOSS", 56000, 2.0),
        ("DESI EDR", 59500, 1.5),
        ("something else", 59500, 2.0),
    ],
)
def test_the_usual_fibres(survey: str, mjd: float, diameter: float) -> None:
    assert usual_fibre(survey, mjd).diameter_arcsec == diameter


def test_an_archive_says_what_its_fibre_is(tmp_path: Path) -> None:
    folder = tmp_path / "survey"
    folder.mkdir()
    ArchiveInfo.new().save(folder)
    assert fibre_of(folder, "LAMOST") == Fibre(3.3, 3.0)
    text = (folder / "archive.toml").read_text(encoding="utf-8")
    (folder / "archive.toml").write_text(f"{text}\n[fibre]\nseeing_arcsec = 2.1\n", encoding="utf-8")
    assert fibre_of(folder, "LAMOST") == Fibre(3.3, 2.1)


def test_places_without_a_position_are_asked_only_what_needs_none() -> None:
    nowhere = place("s", float("nan"), float("nan"))
    assert not nowhere.placed
    assert isinstance(nowhere, Place)
    finding = ConfusionPanel().ask([nowhere], Tools(None, ContextConfig()))["s"]
    assert finding.state == "nothing"
