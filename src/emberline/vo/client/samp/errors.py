"""What can go wrong with SAMP, as errors that say what to do."""

from __future__ import annotations

from emberline.errors import EmberlineError

__all__ = ["NoHubError", "NoPeerError", "SampError"]


class SampError(EmberlineError):
    """A message could not be sent, or what came with one cannot be used."""


class NoHubError(SampError):
    """No SAMP hub is running, or it does not answer."""


class NoPeerError(SampError):
    """No program at the hub is the one that was named, or takes messages of this type."""
