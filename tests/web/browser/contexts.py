"""What the server would say of a spectrum's context, and a page whose requests for it a test answers itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

Document = dict[str, Any]
ASKED = "2026-11-20T09:30:00Z"


def panel(name: str, title: str, state: str = "found", **more: Any) -> Document:
    """One panel as the JSON API gives it."""
    empty: Document = {"message": "", "service": "", "asked": "", "facts": [], "links": [], "warnings": []}
    return {"name": name, "title": title, "state": state, **empty, "image": None, "overlays": [], **more}


def fact(label: str, value: str, unit: str = "", link: str = "", title: str = "") -> Document:
    return {"label": label, "value": value, "unit": unit, "link": link, "title": title}


def document(spectrum: str, **states: str) -> Document:
    """All panels full, as of a Be star with a neighbour; `states` makes some of them fail, wait or find nothing."""
    prefix = "/api/campaigns/search/context"
    simbad = "https://simbad.cds.unistra.fr/simbad/sim-id?Ident=HD+43703"
    panels = [
        panel(
            "confusion",
            "Confusion",
            service="gea.esac.esa.int",
            asked=ASKED,
            facts=[
                fact("Neighbours", "3", "within 30″", title="Gaia DR3 sources around the fibre"),
                fact("Brightest", "G = 11.2", "at 4.1″"),
                fact("Light in the fibre", "7 %", title="Of the target's own light, at a seeing of 3.0″"),
            ],
            warnings=[
                {"severity": "danger", "text": "A star 2.9 mag brighter at 4.1″ puts 7 % of its light into the fibre."},
                {"severity": "caution", "text": "Nebular lines are seen all over the field: H II region Sh 2-249."},
            ],
        ),
        panel(
            "identity",
            "Identity",
            service="simbad.cds.unistra.fr",
            asked=ASKED,
            facts=[
                fact("Name", "HD 43703", link=simbad),
                fact("Type", "Be*", title="Be star"),
                fact("Spectral type", "B1IVe"),
                fact("Distance", "0.3", "″"),
                fact("Radial velocity", "18.4 ± 2.1", "km/s"),
                fact("References", "87"),
            ],
        ),
        panel(
            "photometry",
            "Photometry and parallax",
            service="gea.esac.esa.int",
            asked=ASKED,
            facts=[
                fact("G", "8.643 ± 0.003", "mag"),
                fact("BP − RP", "0.412", "mag"),
                fact("Parallax", "0.731 ± 0.024", "mas", title="Zero-point corrected"),
                fact("Distance", "1 368", "pc"),
                fact("RUWE", "0.98"),
                fact("M_G", "−2.04", "mag"),
            ],
        ),
        panel(
            "spectra",
            "Other spectra",
            service="archive.eso.org",
            asked=ASKED,
            facts=[fact("FEROS, 2009-12-24", "0.2", "arcsec")],
            overlays=[
                {"id": "feros", "title": "FEROS, 2009-12-24", "href": f"{prefix}/overlay?spectrum={spectrum}"},
                {"id": "elodie", "title": "ELODIE, 1999-02-03", "href": f"{prefix}/overlay?spectrum={spectrum}"},
            ],
        ),
        panel(
            "catalogues",
            "Catalogues",
            service="tapvizier.cds.unistra.fr",
            asked=ASKED,
            facts=[
                fact("2MASS", "J 8.12, H 8.05, K 7.87", "mag", link="https://vizier.cds.unistra.fr/x?-source=II/246"),
                fact("AllWISE", "W1 7.66, W2 7.51, W3 7.02", "mag"),
                fact("VSX", "BE, 8.60 to 8.81", "mag"),
            ],
        ),
        panel(
            "sky",
            "Sky",
            service="alasky.cds.unistra.fr",
            asked=ASKED,
            image={
                "href": f"{prefix}/image?spectrum={spectrum}&panel=sky",
                "alt": "DSS2 colour, 2′ around the object, north up, east to the left",
                "width": 160,
                "height": 160,
                "fov": 120.0,
            },
        ),
        panel(
            "variability",
            "Variability",
            links=[
                {"text": "ZTF light curve", "href": "https://irsa.ipac.caltech.edu/ztf"},
                {"text": "ASAS-SN", "href": "https://asas-sn.osu.edu/variables"},
            ],
        ),
        panel(
            "literature",
            "Literature",
            links=[{"text": "87 articles in ADS", "href": "https://ui.adsabs.harvard.edu/search"}],
        ),
    ]
    for each in panels:
        state = states.get(each["name"])
        if state:
            service = {"service": each["service"]} if state == "failed" else {}
            message = {"message": "did not answer within 20 s"} if state == "failed" else {}
            each.update({**panel(each["name"], each["title"], state), **service, **message})
    return {"spectrum": spectrum, "panels": panels}


def picture(size: int = 160) -> bytes:
    """A PNG of stars."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:size, :size].astype(float)
    light = rng.exponential(6, (size, size))
    for i in range(14):
        cx, cy = ((size / 2, size / 2), (size * 0.62, size * 0.44))[i] if i < 2 else rng.uniform(0, size, 2)
        light += (
            (180, 250)[i] * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 22)
            if i < 2
            else (rng.uniform(20, 120) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 6))
        )
    grey = np.clip(light + 8, 0, 255).astype("u1")
    rgb = np.stack([grey, grey, np.clip(grey * 1.1, 0, 255).astype("u1")], axis=-1)
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def arrays(title: str, scale: float) -> Document:
    """A spectrum of somebody else, around Hα."""
    wavelength = np.linspace(6450.0, 6680.0, 1200)
    flux = scale * (1 + 0.8 * np.exp(-(((wavelength - 6564.6) / 4) ** 2)))
    return {
        "title": title,
        "wavelength": wavelength.tolist(),
        "flux": flux.tolist(),
        "frame": "barycentric",
        "medium": "vacuum",
        "note": "",
    }


class Answers:
    """Stands between a page and the server for all that concerns the context.

    Attributes
    ----------
    documents : function
        Spectrum → what is answered; None hangs.
    asked, retried : list
        What was asked for.
    """

    def __init__(self, page: Any, documents: Callable[[str], Document | None] = document) -> None:
        self.documents = documents
        self.asked: list[str] = []
        self.retried: list[Document] = []
        self.events: list[str] = []
        self.hanging: list[Any] = []
        page.route("**/context?*", self._document)
        page.route("**/context/overlay?*", self._overlay)
        page.route("**/context/image?*", lambda route: route.fulfill(body=picture(), content_type="image/png"))
        page.route("**/context/retry", self._retry)
        page.route("**/context/prefetch", lambda route: route.fulfill(status=202, json={"job": "1"}))
        page.route("**/context/events*", self._stream)

    def _document(self, route: Any) -> None:
        spectrum = parse_qs(urlsplit(route.request.url).query)["spectrum"][0]
        self.asked.append(spectrum)
        found = self.documents(spectrum)
        if found is None:
            self.hanging.append(route)
        else:
            route.fulfill(json=found)

    def _overlay(self, route: Any) -> None:
        wanted = parse_qs(urlsplit(route.request.url).query)["overlay"][0]
        route.fulfill(json=arrays(wanted, {"feros": 3.0, "elodie": 40.0}[wanted]))

    def _retry(self, route: Any) -> None:
        self.retried.append(route.request.post_data_json)
        route.fulfill(status=202, json={"job": "1"})

    def _stream(self, route: Any) -> None:
        """The stream tells what is in `events` and ends; the browser comes again after the time that it is told."""
        said = "".join(f"event: context\ndata: {event}\n\n" for event in self.events)
        self.events.clear()
        route.fulfill(body=f"retry: 200\n\n{said}", content_type="text/event-stream")
