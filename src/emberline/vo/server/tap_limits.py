"""What one TAP query may use: what TAPRegExt announces is what the service keeps to."""

from __future__ import annotations

import dataclasses

__all__ = ["LIMITS", "TapLimits"]


@dataclasses.dataclass(frozen=True)
class TapLimits:
    """Limits of the TAP service.

    Attributes
    ----------
    default_rows, most_rows : int
        MAXREC where it is not given, and the largest.
    upload_bytes : int
        All uploaded tables of a query together.
    upload_tables, upload_rows, upload_columns : int
        Of a query, and of each of its uploaded tables.
    fetch_seconds : float
        To fetch an uploaded table from its address.
    sync_queries : int
        How many are answered at a time; others wait for `sync_patience_seconds`, then are told to come again.
    sync_patience_seconds : float
    sync_seconds : int
        What a query may take that is answered at once, its transfer included.
    execution_seconds : int
        What an asynchronous query may take.
    retention_seconds : int
        How long the result of an asynchronous query is kept.
    result_bytes : int
        Of an asynchronous query.
    running_jobs, waiting_jobs, kept_jobs : int
        How many asynchronous queries are answered at a time; may wait, those that were not started included; may be
        kept with their results.
    job_memory_bytes : int
        Of the process that answers one asynchronous query.
    """

    default_rows: int = 100_000
    most_rows: int = 10_000_000
    upload_bytes: int = 64 * 1024 * 1024
    upload_tables: int = 10
    upload_rows: int = 1_000_000
    upload_columns: int = 1000
    fetch_seconds: float = 20.0
    sync_queries: int = 12
    sync_patience_seconds: float = 10.0
    sync_seconds: int = 60
    execution_seconds: int = 600
    retention_seconds: int = 2 * 86_400
    result_bytes: int = 8 << 30
    running_jobs: int = 2
    waiting_jobs: int = 100
    kept_jobs: int = 2000
    job_memory_bytes: int = 4 << 30


LIMITS = TapLimits()
"""Those of this service."""
