"""What is shown of an error: whose it is, and what was said."""

from __future__ import annotations

from urllib.parse import urlsplit

from emberline.campaign.panels.base import Finding
from emberline.errors import EmberlineError

__all__ = ["failure"]

_LONGEST = 500  # characters of a message


def failure(error: BaseException, service: str) -> Finding:
    """What the page shows of an error: offline, or failed, with the service's name and address and what it said."""
    try:
        from emberline.vo.client.errors import OfflineError, ServiceError
    except ModuleNotFoundError:
        return Finding("failed", message=str(error), service=service)
    if isinstance(error, OfflineError):
        return Finding("offline", message=_offline(error), service=_named(service, error.url))
    if isinstance(error, TimeoutError):
        return Finding("failed", message="no answer in time", service=service)
    if isinstance(error, ServiceError):
        said = f" It says: {error.service_said}" if error.service_said else ""
        message = f"{error.message.rstrip('.')}.{said}"
        return Finding("failed", message=message[:_LONGEST], service=_named(service, error.url))
    message = str(error) if isinstance(error, EmberlineError) else f"the panel itself failed: {error!r}"
    return Finding("failed", message=message[:_LONGEST], service=service)


def _offline(error: EmberlineError) -> str:
    return "not asked: the client is offline" if "offline" in error.message else error.message.removeprefix("is ")


def _named(service: str, url: str) -> str:
    """The service's name with its address, without what was asked there."""
    parts = urlsplit(url)
    return f"{service} ({parts.netloc}{parts.path})" if parts.netloc else service
