"""A campaign among other programs: what of it is sent by SAMP, and how what comes becomes a set to label."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.campaign.predictions import load_probabilities, target_probability
from emberline.campaign.sets import RADIUS, Matched, match_table
from emberline.campaign.summary import network_classes
from emberline.errors import CampaignError
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from emberline.campaign.campaign import Campaign
    from emberline.spectra import Spectrum
    from emberline.vo.client.samp import Delivery, Position, Samp, Selection, SpectrumOffer, TableReceived

__all__ = ["Offer", "coverage", "receive", "send_campaign", "shortlist"]

_COLUMNS = ["ra", "dec", "mjd", "snr", "survey", "survey_class", "redshift"]
_ORDER = 10
_UCDS = {
    "identifier": "meta.id;meta.main", "object": "meta.id", "ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main",
    "mjd": "time.epoch", "snr": "stat.snr", "redshift": "src.redshift", "probability": "stat.probability",
}  # fmt: skip


def shortlist(campaign: Campaign, *, hide_open: bool = False) -> Table:
    """The candidates as a table to choose from: the most probable first.

    It is the catalogue of candidates without what the control labels say: those it is that tell how good the catalogue
    is, so nothing may be chosen by them. Before the first network it holds the spectra that the open round asks about.

    Parameters
    ----------
    hide_open : bool
        Leave out candidates that wait for an answer: to be in the list is the network's opinion of them, which who
        labels blindly must not see.

    Raises
    ------
    CampaignError
        There is neither.
    """
    from astropy.table import Table

    pool, config = campaign.pool, campaign.config
    labels = {label.identifier: label.answer for label in campaign.labels() if label.purpose == "query"}
    try:
        probabilities = np.asarray(load_probabilities(campaign))
    except CampaignError:
        return _asked(campaign, labels)
    chance = target_probability(campaign, probabilities)
    classes = network_classes(campaign, probabilities)
    listed = np.isin(classes, config.target_indices) & pool.usable
    for name, row in zip(labels, pool.find(labels).tolist(), strict=True):
        if row >= 0:
            listed[row] = labels[name] in config.targets
    if hide_open:
        waiting = pool.find([question.identifier for question in campaign.open_questions()])
        listed[waiting[waiting >= 0]] = False
    rows = np.flatnonzero(listed)
    rows = rows[np.lexsort((pool.identifiers[rows], -chance[rows]))]
    table = _table(campaign, rows)
    table["predicted"] = np.array(config.classes)[classes[rows]]
    table["probability"] = chance[rows]
    table["label"] = np.array([labels.get(name, "") for name in campaign.identifiers(rows)], dtype=np.str_)
    table["probability"].meta["ucd"] = _UCDS["probability"]
    table.meta["name"] = f"{config.name}: candidates"
    return Table(table)


def _asked(campaign: Campaign, labels: dict[str, str]) -> Table:
    current = campaign.current_round()
    number = None if current is None else int(current["number"])
    names = dict.fromkeys(q.identifier for q in campaign.database.questions(number)) if number is not None else {}
    if not names:
        raise CampaignError(
            "there is no candidate yet, and no question", where=str(campaign.path), action="Run a round first."
        )
    table = _table(campaign, campaign.pool.rows(sorted(names)))
    table.meta["name"] = f"{campaign.config.name}: questions of round {number}"
    return table


def _table(campaign: Campaign, rows: Any) -> Table:
    from astropy.table import Table

    catalogue = campaign.pool.catalogue(_COLUMNS).take(rows)
    table = Table({"identifier": campaign.pool.identifiers[rows], "object": campaign.pool.objects[rows]})
    for name in _COLUMNS:
        values = catalogue[name].to_numpy(zero_copy_only=False)
        table[name] = values.astype(np.str_) if values.dtype == object else values
    for name in ("ra", "dec"):
        table[name].unit = "deg"
    for name in table.colnames:
        if name in _UCDS:
            table[name].meta["ucd"] = _UCDS[name]
    return table


def coverage(campaign: Campaign, *, hide_open: bool = False) -> Any:
    """Where on the sky the candidates of `shortlist` are, as a `mocpy.MOC` of cells of 3.4 arcminutes.

    Raises
    ------
    CampaignError
        None of them has a position.
    MissingExtraError
        mocpy is not installed.
    """
    from astropy import units

    from emberline.errors import MissingExtraError

    try:
        from mocpy import MOC
    except ModuleNotFoundError as error:
        raise MissingExtraError("mocpy", "vo") from error
    table = shortlist(campaign, hide_open=hide_open)
    ra, dec = (np.asarray(table[name], np.float64) for name in ("ra", "dec"))
    placed = np.isfinite(ra) & np.isfinite(dec)
    if not placed.any():
        raise CampaignError("no candidate has a position", where=str(campaign.path))
    return MOC.from_lonlat(ra[placed] * units.deg, dec[placed] * units.deg, max_norder=_ORDER)


# What comes ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Offer:
    """Spectra of the pool that somebody has sent: a set to label, once it is wanted.

    Attributes
    ----------
    matched : Matched
    sender, title : str
    reason : str
        For `Campaign.ask_about`.
    whole : bool
        A table or a selection of rows; else one row, spectrum or place that was pointed at.
    """

    matched: Matched
    sender: str
    title: str
    reason: str
    whole: bool


def receive(campaign: Campaign, samp: Samp, take: Callable[[Offer], None], *, radius: float = RADIUS) -> None:
    """Turn what comes by SAMP into offers: tables, selected and highlighted rows, spectra and positions.

    A sender whose message fits no spectrum of the pool is told so. `take` is called in another thread, one at a time.
    """

    def offer(table: Table, sender: str, title: str, whole: bool) -> None:
        matched = match_table(campaign, table, radius=radius)
        take(Offer(matched, sender, title, f"set received by SAMP: {title} from {sender}", whole))

    def table(got: TableReceived) -> None:
        offer(got.table, got.sender, got.name, True)

    def rows(got: Selection) -> None:
        title = f"{len(got.rows):,} {'row' if len(got.rows) == 1 else 'rows'} of {got.name or got.table_id}"
        offer(got.table, got.sender, title, got.kind == "select")

    def place(got: Position) -> None:
        offer(_rows(ra=[got.ra], dec=[got.dec]), got.sender, f"position {got.ra:.5f} {got.dec:+.5f}", False)

    def spectrum(got: SpectrumOffer) -> None:
        did = got.meta.get("Curation.PublisherDID", "")
        offer(_rows(obs_publisher_did=[did or got.spectrum_id], name=[got.name]), got.sender, got.name, False)

    campaign.prepare()
    samp.on_table(table)
    samp.on_selection(rows)
    samp.on_position(place)
    samp.on_spectrum(spectrum)


def _rows(**columns: Any) -> Table:
    from astropy.table import Table

    return Table(columns)


# What goes -----------------------------------------------------------------------------------------------------------


def send_campaign(
    folder: Path | str,
    samp: Samp,
    kind: str = "table",
    identifier: str = "",
    *,
    name: str = "",
    to: str = "",
    timeout: float = 60.0,
    progress: Progress = silent,
) -> tuple[Delivery, ...]:
    """Send something of a campaign.

    Parameters
    ----------
    kind : str
        ``table``, the candidates (see `shortlist`); ``moc``, where they are; ``spectrum`` or ``position``, of one.
    identifier : str
        Which spectrum of the pool.

    Raises
    ------
    CampaignError
        There is no such spectrum, it has no position, or there is nothing of this kind to send.
    SampError
        Nobody takes it.
    """
    from emberline.campaign.campaign import open_campaign

    types = {"table": "table.load.votable", "moc": "coverage.load.moc.fits", "position": "coord.pointAt.sky"}
    if kind not in (*types, "spectrum"):
        raise CampaignError(f"{kind}: a campaign has none to send", expected="table, moc, spectrum or position")
    if kind in types:
        samp.takers([types[kind]], to)  # before all the work
    campaign = open_campaign(folder, progress=progress)
    try:
        if kind == "table":
            return samp.send_table(shortlist(campaign), name=name, to=to, timeout=timeout)
        if kind == "moc":
            return samp.send_moc(coverage(campaign), name=name or campaign.config.name, to=to, timeout=timeout)
        spectrum = _spectrum(campaign, identifier)
    finally:
        campaign.close()
    if kind == "position":
        return samp.point_at(_place(spectrum), to=to, timeout=timeout)
    return samp.send_spectrum(spectrum, name=name, to=to, timeout=timeout)


def _spectrum(campaign: Campaign, identifier: str) -> Spectrum:
    if not identifier:
        raise CampaignError("which spectrum is to be sent?", where=str(campaign.path), action="Give its identifier.")
    row = int(campaign.pool.find([identifier])[0])
    if row < 0:
        raise CampaignError("is not in the pool", where=identifier)
    return campaign.pool.archives[int(campaign.pool.archive_index[row])].spectrum(identifier)


def _place(spectrum: Spectrum) -> SkyCoord:
    from astropy.coordinates import SkyCoord

    meta = spectrum.meta
    if not (np.isfinite(meta.ra) and np.isfinite(meta.dec)):
        raise CampaignError("has no position", where=meta.identifier)
    return SkyCoord(meta.ra, meta.dec, unit="deg")
