"""Which services are asked and within what limits: the configuration of the client, read from ``vo.toml``."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from emberline.config import from_toml

__all__ = ["ClientConfig", "ServicesConfig", "cache_folder", "config_source", "load_config"]

FILE_NAME = "vo.toml"
_PLACEHOLDERS = {"literature": ("bibcode", "name"), "variability": ("ra", "dec", "name")}


@dataclass(frozen=True)
class ServicesConfig:
    """The addresses of the services that are asked. An empty address switches a service off.

    Attributes
    ----------
    registry : str
        TAP address of a searchable registry of the Virtual Observatory (RegTAP).
    simbad : str
        TAP address of SIMBAD.
    gaia : str
        TAP address of a Gaia archive with the tables of `gaiadr3`.
    vizier : str
        TAP address of VizieR.
    xmatch : str
        Address of the CDS cross-match service.
    sesame : str
        Address of the Sesame name resolver, up to and without the question mark.
    hips2fits : str
        Address of the service that cuts pictures out of HiPS surveys.
    aladin : str
        Address of Aladin Lite's script, loaded by the browser.
    hips : str
        The survey behind cut-outs, as an identifier of the HiPS network.
    literature : str
        A link to an article; `{bibcode}` stands for its bibcode, `{name}` for the object's name.
    variability : array of text
        Links to archives of light curves; `{ra}` and `{dec}` stand for the position in degrees, `{name}` for the name.
    ssap : array of text
        The services asked for other spectra: SSAP addresses or IVOA identifiers (ivo://…).
    """

    registry: str = "http://reg.g-vo.org/tap"
    simbad: str = "https://simbad.cds.unistra.fr/simbad/sim-tap"
    gaia: str = "https://gea.esac.esa.int/tap-server/tap"
    vizier: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    xmatch: str = "https://cdsxmatch.cds.unistra.fr/xmatch/api/v1/sync"
    sesame: str = "https://cds.unistra.fr/cgi-bin/nph-sesame/-oxpI/SNV"
    hips2fits: str = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
    aladin: str = "https://aladin.cds.unistra.fr/AladinLite/api/v3/latest/aladin.js"
    hips: str = "CDS/P/DSS2/color"
    literature: str = "https://ui.adsabs.harvard.edu/abs/{bibcode}/abstract"
    variability: tuple[str, ...] = (
        "https://www.aavso.org/vsx/index.php?view=results.get&coords={ra}+{dec}&format=d&size=10&geom=r&unit=3",
        "https://asas-sn.osu.edu/variables?ra={ra}&dec={dec}&radius=0.5",
        "https://irsa.ipac.caltech.edu/cgi-bin/ZTF/nph_light_curves?POS=CIRCLE+{ra}+{dec}+0.0005&FORMAT=CSV",
    )
    ssap: tuple[str, ...] = ("http://archive.eso.org/ssap", "http://basebe.obspm.fr/cgi-bin/ssapBE.pl")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name == "hips":
                continue
            value = getattr(self, field.name)
            for address in value if isinstance(value, tuple) else (value,):
                _check_address(field.name, address)


def _check_address(key: str, address: str) -> None:
    schemes = ("http://", "https://", "ivo://") if key == "ssap" else ("http://", "https://")
    if address and not address.lower().startswith(schemes):
        raise ValueError(f"services.{key}: {address!r} is no address ({' or '.join(schemes)}…)")
    known = _PLACEHOLDERS.get(key, ())
    for name in re.findall(r"{(\w*)}", address):
        if name not in known:
            expected = ", ".join("{" + word + "}" for word in known) or "none"
            raise ValueError(f"services.{key}: nothing is known to put in the place of {{{name}}}; known: {expected}")


@dataclass(frozen=True)
class ClientConfig:
    """How services of the Virtual Observatory are asked (`vo.toml`).

    Attributes
    ----------
    offline : bool
        Ask nobody: only what is in the cache is answered, however old it is.
    timeout : float
        Seconds to wait for a connection, and between one byte of an answer and the next.
    total : float
        Seconds that a whole answer may take, with the wait for its turn, redirections and further tries.
    tries : int
        How often a request that may be repeated is made before it counts as failed.
    rate : float
        Requests a second to one host, at most.
    max_bytes : int
        Bytes of one answer, at most, after decompression.
    cache_days : float
        Days for which an answer is used again; 0 keeps no answers.
    cache_bytes : int
        Bytes of all answers kept, at most; those not used for longest are dropped first.
    allow : array of text
        What may be asked although it is on a private network or this machine: host names, `host:port`,
        addresses, or networks such as `192.168.7.0/24`.
    proxy : str
        Address of a proxy through which everything is asked; none by default, whatever the environment says.
    ca_bundle : str
        File with the certificates that are trusted, in place of the usual ones (PEM).
    services : table
        The addresses of the services that are asked.
    """

    offline: bool = False
    timeout: float = 20.0
    total: float = 120.0
    tries: int = 3
    rate: float = 5.0
    max_bytes: int = 200_000_000
    cache_days: float = 7.0
    cache_bytes: int = 2_000_000_000
    allow: tuple[str, ...] = ()
    proxy: str = ""
    ca_bundle: str = ""
    services: ServicesConfig = dataclasses.field(default_factory=ServicesConfig)

    def __post_init__(self) -> None:
        for name in ("timeout", "total", "rate"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value}; it must be more than 0")
        for name, least in (("tries", 1), ("max_bytes", 1), ("cache_bytes", 0), ("cache_days", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        for entry in self.allow:
            _check_allowed(entry)
        if self.proxy and not self.proxy.lower().startswith(("http://", "https://")):
            raise ValueError(f"proxy: {self.proxy!r} is no address (http:// or https://…)")


def _check_allowed(entry: str) -> None:
    if "/" in entry:
        try:
            ipaddress.ip_network(entry)
        except ValueError as error:
            raise ValueError(
                f"allow: {entry!r} is no network ({error}); write 192.168.7.0/24, or a host's name"
            ) from None
    elif not entry or re.search(r"[\s@*]", entry):
        raise ValueError(f"allow: {entry!r} is no host; write its name, name:port, an address or a network")


def config_source(workspace: Path | None = None) -> Path | None:
    """The file that `load_config` reads, or None when the defaults hold.

    It is ``vo.toml`` in the workspace, else the file that the environment variable ``EMBERLINE_VO`` names, else
    ``emberline/vo.toml`` in the user's configuration folder.
    """
    if workspace is not None and (Path(workspace) / FILE_NAME).is_file():
        return Path(workspace) / FILE_NAME
    if named := os.environ.get("EMBERLINE_VO"):
        return Path(named).expanduser()
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    own = home / "emberline" / FILE_NAME
    return own if own.is_file() else None


def load_config(workspace: Path | None = None) -> ClientConfig:
    """The configuration that holds in a workspace, or for the user where the workspace has none of its own.

    Raises
    ------
    ConfigError
        The file cannot be read, or says something that is not known.
    """
    source = config_source(workspace)
    return ClientConfig() if source is None else from_toml(ClientConfig, source)


def cache_folder() -> Path:
    """Where answers are kept: ``$EMBERLINE_CACHE``, else ``emberline/vo`` in the user's cache folder."""
    if named := os.environ.get("EMBERLINE_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "emberline" / "vo"
