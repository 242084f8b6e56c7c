"""How report, round card and status word their numbers: shares, intervals, counts, times, advice; never NaN."""

from __future__ import annotations

import math

from emberline.campaign.report_data import EstimateLike, known
from emberline.learn.stopping import Gain, outlook

__all__ = [
    "UNKNOWN",
    "asides",
    "basis",
    "calibrated",
    "coordinates",
    "count",
    "duration",
    "estimate",
    "expected_of_next",
    "headline",
    "interval",
    "measure",
    "percent",
    "plural",
    "probability",
    "targets",
    "worth_of_next",
]

UNKNOWN = "not yet estimated"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_NEARLY_ALL = 0.95


def percent(share: float | None) -> str:
    """A share from 0 to 1 in per cent, to a tenth; 1 only when it is 1, 0 only when it is 0."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    value = round(100 * share, 1)
    if value in (0.0, 100.0) and share not in (0.0, 1.0):
        return f"{'<' if value == 0 else '>'}{_THIN}{'0.1' if value == 0 else '99.9'}{_THIN}%"
    return f"{value:.1f}".removesuffix(".0") + f"{_THIN}%"


def interval(given: EstimateLike | None) -> str:
    """The interval alone: ``88.1–96.4 %``; empty when unknown."""
    if given is None or not (known(given) and math.isfinite(given.low) and math.isfinite(given.high)):
        return ""
    low, high = (f"{100 * end:.1f}".removesuffix(".0") for end in (given.low, given.high))
    return f"{low}–{high}{_THIN}%"


def headline(given: EstimateLike | None) -> str:
    """The number to show alone: the value, or ``≥ 13.5 %`` when the sample met no counterexample and proves no more."""
    if given is not None and known(given) and given.value == 1 and given.low < _NEARLY_ALL:
        return f"≥{_THIN}{percent(given.low)}"
    return percent(given.value) if given is not None else UNKNOWN


def estimate(given: EstimateLike | None) -> str:
    """Value and interval: ``93.4 % (88.1–96.4 %)``."""
    if given is None or not known(given):
        return UNKNOWN
    between = interval(given)
    return f"{percent(given.value)} ({between})" if between else percent(given.value)


def count(value: float) -> str:
    """A whole number with thousands apart."""
    return f"{round(value):,}".replace(",", _THIN)


def plural(value: int, one: str, many: str = "") -> str:
    """``1 label``, ``2 labels``."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Time as a person says it: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds):
        return "not measured"
    if seconds < 9.95:
        return f"{seconds:.1f}{_THIN}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{_THIN}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{_THIN}min" + (f" {rest}{_THIN}s" if rest else "")
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours}{_THIN}h" + (f" {minutes}{_THIN}min" if minutes else "")


def coordinates(ra: float, dec: float) -> str:
    """Degrees with five decimals (0.04″); says when there are none."""
    if not (math.isfinite(ra) and math.isfinite(dec)):
        return "position unknown"
    return f"{ra:.5f}° {dec:+.5f}°".replace("-", "−")


def probability(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}" if math.isfinite(value) else UNKNOWN


def measure(value: float | None) -> str:
    """A number of any kind to four digits; a dash when there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.4g}".replace("-", "−")


# What to make of it -----------------------------------------------------------------------------------------------


def targets(expected: float) -> str:
    """An expected number: to a tenth while it is small."""
    return f"{expected:.0f}" if expected >= 9.95 else f"{expected:.1f}"


def expected_of_next(gain: Gain) -> str:
    """What the next 100 labels are expected to bring, as a sentence."""
    between = f"95 % interval {gain.low:.0f} to {gain.high:.0f}"
    return f"New targets expected of the next 100 labels: {targets(gain.value)} ({between})."


def worth_of_next(gain: Gain, worth: float) -> str:
    """Whether that is worth the work, and what to do."""
    found = outlook(gain, worth)
    if found == "stop":
        return (
            f"Stop: with 90 % confidence fewer than {worth:g} are expected, and 100 labels are worth the work from"
            f" {worth:g} on. Targets that the network cannot see are not counted here; the completeness counts them."
        )
    if found == "too early":
        return "It is too early to conclude from that: it takes two rounds with a network, and 50 labels."
    if found == "undecided":
        return (
            f"That is less than the {worth:g} that 100 labels are worth, but not with 90 % confidence: one round more."
        )
    return f"Worth going on: 100 labels are worth the work from {worth:g} new targets on."


def calibrated(labels: int, candidates: int, promised: float, expected: float) -> str:
    """What the answers that no network had learnt from make of the candidates that nobody has labelled."""
    rests = f"by {plural(labels, 'answer')} to spectra that it had not learnt from"
    if not candidates:
        return f"The network's probabilities are calibrated {rests}."
    many = plural(candidates, "candidate")
    return (
        f"Of the {many} that nobody has labelled the network expects {targets(promised)} to be targets; "
        f"calibrated {rests} it is {targets(expected)}."
    )


def basis(assumed: str | None) -> str:
    """What the interval of completeness rests on."""
    if assumed == "scores":
        return (
            "It assumes that likelier spectra are targets more frequently, also where nobody has looked: not true of a"
            " kind of target that the network has never seen."
        )
    return "It rests on the random draw of the control sample alone: targets that the network cannot see count too."


def asides(revised: int, unsure: int) -> list[str]:
    """What happened to control answers that the estimates had to do without."""
    found = []
    if revised:
        answers = plural(revised, "control answer was", "control answers were")
        found.append(f"{answers} changed after the network's opinion had been seen; the first answer counts.")
    if unsure:
        spectra = plural(unsure, "control spectrum", "control spectra")
        found.append(f"{spectra} could not be decided, or not agreed on; purity and completeness leave them out.")
    return found
