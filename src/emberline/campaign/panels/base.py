"""What a panel is asked, what it is given, and what it answers: everything that the page shows beside a spectrum."""

from __future__ import annotations

import dataclasses
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.panels.config import ContextConfig

if TYPE_CHECKING:
    from emberline.archive.surveys import Fibre
    from emberline.spectra import Metadata, Spectrum
    from emberline.vo.client.session import Session

__all__ = [
    "Caution",
    "Fact",
    "Finding",
    "Link",
    "Overlay",
    "Panel",
    "Picture",
    "Place",
    "Shared",
    "State",
    "Tools",
]

T = TypeVar("T")
State = Literal["found", "nothing", "failed", "offline", "waiting"]
"""``waiting`` is what nobody has asked for yet; ``offline`` was not asked because the configuration says so."""


@dataclasses.dataclass(frozen=True)
class Place:
    """One spectrum that is asked about, and where it points.

    Attributes
    ----------
    identifier, object : str
    ra, dec : float
        ICRS degrees; NaN when unknown.
    epoch : float
        Julian year of the exposure, by which proper motions are applied; NaN when unknown.
    archive : Path
        The folder of its archive.
    metadata : Metadata
    fibre : Fibre
        Diameter and seeing of its survey.
    part, row : str, int
        Where its arrays lie, for `spectrum`.
    """

    identifier: str
    object: str
    ra: float
    dec: float
    epoch: float
    archive: Path
    metadata: Metadata
    fibre: Fibre
    part: str = ""
    row: int = 0

    @property
    def placed(self) -> bool:
        """Whether it has a position: without one nothing outside can be asked."""
        return bool(np.isfinite(self.ra) and np.isfinite(self.dec) and abs(self.dec) <= 90)

    def spectrum(self) -> Spectrum:
        """Its arrays.

        Raises
        ------
        ArchiveError
            They cannot be read.
        """
        from emberline.campaign.annotation.arrays import read_spectrum

        return read_spectrum(self.archive, self.identifier, self.part, self.row)


@dataclasses.dataclass(frozen=True)
class Fact:
    """One line of a panel: ``Parallax 7.24 ± 0.03 mas``; `title` explains it, `link` leads to its source."""

    label: str
    value: str
    unit: str = ""
    link: str = ""
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Link:
    """Where more is known; `href` is an address on http or https."""

    text: str
    href: str


@dataclasses.dataclass(frozen=True)
class Caution:
    """What the oracle should know before deciding: ``danger`` may make the label wrong, ``caution`` may mislead."""

    severity: Literal["caution", "danger"]
    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class Overlay:
    """Another spectrum of the object, to be laid over the plot.

    Attributes
    ----------
    id, title : str
    wavelength : ndarray of float64, shape (n,)
        Vacuum Å in the velocity frame `frame`.
    flux : ndarray of float32, shape (n,)
        In whatever unit it came; the page scales it.
    frame : str
        A velocity frame of `emberline.spectra`.
    note : str
        What could not be made common, such as an unknown frame.
    """

    id: str
    title: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float32]
    frame: str
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image of the sky, north up, east to the left.

    Attributes
    ----------
    data : bytes
        JPEG or PNG.
    media_type, alt : str
    width, height : int
        Pixels.
    fov : float
        The width in arcseconds.
    """

    data: bytes = dataclasses.field(repr=False)
    media_type: str
    alt: str
    width: int
    height: int
    fov: float


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one panel found about one spectrum.

    Attributes
    ----------
    state : str
        ``found``, ``nothing``, ``failed``, ``offline`` or ``waiting``. What failed in part keeps what was found.
    facts, links, warnings, overlays : tuple
    image : Picture or None
    message : str
        Of a failure: what the service said, or did not say.
    service : str
        Who was asked, with the address of whom failed.
    asked : str
        When, UTC in ISO 8601; set when it is stored.
    """

    state: State
    facts: tuple[Fact, ...] = ()
    links: tuple[Link, ...] = ()
    warnings: tuple[Caution, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    image: Picture | None = None
    message: str = ""
    service: str = ""
    asked: str = ""

    def to_document(self) -> dict[str, Any]:
        """As JSON can hold it, without pixels and arrays."""
        image = self.image
        shape = None
        if image is not None:
            names = ("alt", "width", "height", "fov")
            shape = {"media_type": image.media_type, **{name: getattr(image, name) for name in names}}
        return {
            "state": self.state,
            "facts": [dataclasses.asdict(fact) for fact in self.facts],
            "links": [dataclasses.asdict(link) for link in self.links if link.href.startswith(("https://", "http://"))],
            "warnings": [dataclasses.asdict(caution) for caution in self.warnings],
            "overlays": [{"id": overlay.id, "title": overlay.title} for overlay in self.overlays],
            "image": shape,
            "message": self.message,
            "service": self.service,
            "asked": self.asked,
        }


class Shared:
    """Answers that several panels use: the first that needs one asks, the others wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[Hashable, Future[Any]] = {}

    def once(self, key: Hashable, ask: Callable[[], T], timeout: float | None = None) -> T:
        """What `ask` returns, which is called once for each `key`; its error is everybody's.

        Raises
        ------
        TimeoutError
            Another panel has not had the answer within `timeout` seconds.
        """
        with self._lock:
            mine = key not in self._answers
            answer: Future[T] = self._answers.setdefault(key, Future())
        if mine:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)
        return answer.result(timeout if timeout is None or timeout < threading.TIMEOUT_MAX else None)


@dataclasses.dataclass(eq=False)
class Tools:
    """What a panel may use.

    Attributes
    ----------
    session : Session or None
        Asks others; None when the extra ``vo`` is not installed.
    config : ContextConfig
        The campaign's section ``[context]``.
    archives : tuple of Path
        The archives of the campaign's pool and start.
    deadline : float
        By the monotonic clock: what comes later is not waited for.
    keep : function
        Hands a finding on before all are there: a panel that asks place by place should use it. One in the state
        ``waiting`` is shown, and what more is found, or how it ends, takes its place.
    cancelled : threading.Event
        Set when the time is over or the work is stopped.
    shared : Shared
        What several panels need of one service is asked once.
    """

    session: Session | None
    config: ContextConfig
    archives: tuple[Path, ...] = ()
    deadline: float = float("inf")
    keep: Callable[[str, Finding], None] = dataclasses.field(default_factory=lambda: _keep_nothing)
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)
    shared: Shared = dataclasses.field(default_factory=lambda: Shared())

    @property
    def left(self) -> float:
        """Seconds until the deadline, not less than 0."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether a panel that asks place by place should stop."""
        return self.cancelled.is_set() or self.left == 0.0

    def asking(self) -> Session:
        """The session.

        Raises
        ------
        OfflineError
            The campaign's configuration says that nobody is asked.
        MissingExtraError
            What it needs is not installed.
        """
        if self.session is None and not self.config.enabled:
            from emberline.vo.client.errors import OfflineError

            raise OfflineError("is not asked: context.enabled is false in campaign.toml")
        if self.session is None:
            from emberline.errors import MissingExtraError

            raise MissingExtraError("pyvo", "vo")
        return self.session


def _keep_nothing(identifier: str, finding: Finding) -> None:
    """Where nobody looks before all are there."""


class Panel(ABC):
    """One kind of knowledge beside a spectrum; derive from it and announce the class as ``emberline.panels``.

    Attributes
    ----------
    name : str
        Short and lower case; the configuration and the addresses use it.
    title : str
        The panel's heading.
    service : str
        Whom it asks, by the name under which astronomers know them; shown with the address when it fails.
    local : bool
        It needs no position and no network, so it is asked even of spectra without a position.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    service: ClassVar[str] = ""
    local: ClassVar[bool] = False

    @abstractmethod
    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """What is known of many places at once: one question for the whole batch wherever the service takes it.

        It is called in a thread of its own, with all places of a round, and may take until ``tools.deadline``. Any
        exception becomes the state ``failed`` (``offline`` for an `OfflineError`) of those places that have no finding
        yet; a place that is not in the answer has ``nothing``.

        Parameters
        ----------
        places : sequence of Place
            All with a position, unless the panel is `local`.
        tools : Tools

        Returns
        -------
        mapping
            Identifier → `Finding`.
        """
