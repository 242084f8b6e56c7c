"""Lines by which spectra are read: lists for the eye, each line with its name and its vacuum wavelength."""

from __future__ import annotations

import dataclasses
import functools

from emberline.wavelengths import air_to_vacuum

__all__ = ["Line", "line_lists"]


@dataclasses.dataclass(frozen=True)
class Line:
    """One spectral line.

    Attributes
    ----------
    name : str
        As it is written beside the line, such as ``Hα`` or ``[O III]``.
    vacuum : float
        Rest wavelength in vacuum Å.
    fixed : bool
        It belongs to the Earth's air, and stays where it is whatever the redshift.
    """

    name: str
    vacuum: float
    fixed: bool = False


# Rest wavelengths in standard air, Å, rounded, as the NIST Atomic Spectra Database lists them; forbidden lines after
# Osterbrock & Ferland 2006; diffuse interstellar bands after Jenniskens & Désert 1994.
_AIR = {
    "Hydrogen": """
        H10 3797.91; H9 3835.40; H8 3889.06; Hε 3970.08; Hδ 4101.74; Hγ 4340.47; Hβ 4861.35; Hα 6562.80;
        Pa16 8502.49; Pa15 8545.38; Pa14 8598.39; Pa13 8665.02; Pa12 8750.47; Pa11 8862.79; Pa10 9014.91; Pa9 9229.02
    """,
    "Helium": """
        He I 3888.65; He I 4026.19; He I 4471.48; He II 4685.70; He I 4713.15; He I 4921.93; He I 5015.68;
        He II 5411.52; He I 5875.62; He I 6678.15; He I 7065.19; He I 7281.35
    """,
    "Emission-line stars": """
        Fe II 4233.17; Mg II 4481.20; Fe II 4583.84; Fe II 4923.93; Fe II 5018.44; Fe II 5169.03; Fe II 5316.62;
        Si II 6347.11; Si II 6371.37; Fe II 6456.38; Fe II 7711.72; O I 7771.94; O I 7774.17; O I 7775.39; O I 8446.36;
        Ca II 8498.02; Ca II 8542.09; Ca II 8662.14
    """,
    "Nebulae": """
        [O II] 3726.03; [O II] 3728.82; [Ne III] 3868.76; [O III] 4363.21; [O III] 4958.91; [O III] 5006.84;
        [N II] 5754.64; [O I] 6300.30; [O I] 6363.78; [N II] 6548.05; [N II] 6583.45; [S II] 6716.44; [S II] 6730.82;
        [Ar III] 7135.79; [S III] 9068.6; [S III] 9530.6
    """,
    "Cool stars": """
        Ca II K 3933.66; Ca II H 3968.47; Ca I 4226.73; Mg I b 5167.32; Mg I b 5172.68; Mg I b 5183.60; Na I D 5889.95;
        Na I D 5895.92; Li I 6707.8; K I 7664.90; K I 7698.96; Na I 8183.26; Na I 8194.82; Ca II 8498.02;
        Ca II 8542.09; Ca II 8662.14
    """,
    "Interstellar": """
        Ca II K 3933.66; Ca II H 3968.47; DIB 5780.4; DIB 5797.0; Na I D 5889.95; Na I D 5895.92; DIB 6283.9;
        DIB 6613.6; K I 7698.96
    """,
    "Air": "[O I] 5577.34; [O I] 6300.30; [O I] 6363.78; O₂ B 6867.2; H₂O 7165; O₂ A 7593.7; H₂O 8164; H₂O 9350",
}

# Rest wavelengths in vacuum, Å, after Vanden Berk et al. 2001, AJ 122, 549, their laboratory values.
_VACUUM = {
    "Quasars": """
        Lyα 1215.67; N V 1240.14; Si IV 1396.76; C IV 1549.06; C III] 1908.73; Mg II 2798.75; [O II] 3728.48;
        [Ne III] 3869.85; Hγ 4341.68; Hβ 4862.68; [O III] 4960.30; [O III] 5008.24; Hα 6564.61
    """,
}


def _read(text: str) -> list[tuple[str, float]]:
    pairs = (item.strip().rpartition(" ") for item in text.split(";"))
    return [(name, float(value)) for name, _, value in pairs]


@functools.cache
def line_lists() -> dict[str, tuple[Line, ...]]:
    """All lists by name, each sorted by wavelength.

    Returns
    -------
    dict
        Name of a list → its lines. Lines of the list ``Air`` are fixed.
    """
    lists = {
        name: tuple(Line(line, round(float(air_to_vacuum(value)), 3), name == "Air") for line, value in _read(text))
        for name, text in _AIR.items()
    }
    lists |= {name: tuple(Line(line, value) for line, value in _read(text)) for name, text in _VACUUM.items()}
    return lists
