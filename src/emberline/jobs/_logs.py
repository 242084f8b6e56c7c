"""How log lines of workers and supervisors look: the time in UTC, how bad it is, what."""

from __future__ import annotations

import logging
import time

__all__ = ["begin_log"]


def begin_log() -> None:
    """Write the log records and warnings of this process to its standard error."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
