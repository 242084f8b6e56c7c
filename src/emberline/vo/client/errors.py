"""What can go wrong with a service: each error carries the address that was asked and what the service said."""

from __future__ import annotations

from emberline.errors import EmberlineError

__all__ = [
    "OfflineError",
    "ProtocolError",
    "RefusedAddressError",
    "ServiceDownError",
    "ServiceError",
    "StatusError",
    "TimeLimitError",
    "TooLargeError",
    "UnsafeXMLError",
]


class ServiceError(EmberlineError):
    """A service could not be asked, or its answer cannot be used.

    Parameters
    ----------
    message : str
        One clause that says what is wrong.
    url : str
        The address that was asked.
    service_said : str, optional
        What the service itself answered, shortened to a sentence or two.
    found, expected, action : str, optional
        As in `EmberlineError`.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str = "",
        service_said: str = "",
        found: str = "",
        expected: str = "",
        action: str = "",
        where: str = "",
    ) -> None:
        self.url = url or where
        self.service_said = service_said
        super().__init__(message, where=self.url, found=found, expected=expected, action=action)

    def _sentence(self) -> str:
        text = super()._sentence()
        return f"{text.rstrip('.')}. The service says: {self.service_said}" if self.service_said else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_service_error, (type(self), self.message, self._keywords(), dict(self._more()))

    def _keywords(self) -> dict[str, str]:
        return {
            "url": self.url,
            "service_said": self.service_said,
            "found": self.found,
            "expected": self.expected,
            "action": self.action,
        }

    def _more(self) -> dict[str, object]:
        """Attributes beside the common ones, which travel with the error to another process."""
        return {}


def _rebuild_service_error(
    kind: type[ServiceError], message: str, keywords: dict[str, str], more: dict[str, object]
) -> ServiceError:
    error = kind.__new__(kind)
    ServiceError.__init__(error, message, **keywords)
    for name, value in more.items():
        setattr(error, name, value)
    return error


class OfflineError(ServiceError):
    """The client is offline by its configuration, and the answer is not in the cache."""


class RefusedAddressError(ServiceError):
    """The address is none of the web, or leads to this machine or a private network that is not allowed."""


class ServiceDownError(ServiceError):
    """The service has failed too often of late and is left alone for a while.

    Attributes
    ----------
    until : float
        When it will be asked again: seconds since 1970 (UTC).
    """

    until: float = 0.0

    def _more(self) -> dict[str, object]:
        return {"until": self.until}


class TooLargeError(ServiceError):
    """The answer has more bytes than allowed."""


class TimeLimitError(ServiceError):
    """The service did not answer, or not to the end, in time."""


class UnsafeXMLError(ServiceError):
    """The answer is XML that declares entities, with which it could grow without limit or read files."""


class ProtocolError(ServiceError):
    """The answer is not what the standard says: cut short, of the wrong type, with columns that are not there."""


class StatusError(ServiceError):
    """The service answered with an HTTP status of failure.

    Attributes
    ----------
    status : int
        The HTTP status, 400 or more.
    """

    status: int = 0

    def _more(self) -> dict[str, object]:
        return {"status": self.status}
