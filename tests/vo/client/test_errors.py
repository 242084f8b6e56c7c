"""Errors of services: what they say, and that they survive the way to another process."""

from __future__ import annotations

import pickle

import pytest

from emberline.errors import EmberlineError
from emberline.vo.client import errors
from emberline.vo.client.errors import ServiceDownError, ServiceError, StatusError


def test_an_error_names_the_address_and_what_the_service_said() -> None:
    error = ServiceError("fails", url="https://a.example/x", service_said="no such column", action="Ask otherwise.")
    assert str(error) == "https://a.example/x: fails. Ask otherwise. The service says: no such column"
    assert error.url == error.where == "https://a.example/x"


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_survive_pickling(name: str) -> None:
    kind: type[ServiceError] = getattr(errors, name)
    error = kind("fails", url="https://a.example/x", service_said="why", found="a", expected="b", action="Do.")
    if isinstance(error, ServiceDownError):
        error.until = 12.5
    if isinstance(error, StatusError):
        error.status = 503
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert isinstance(copy, EmberlineError)
    assert str(copy) == str(error)
    assert (copy.url, copy.service_said) == (error.url, error.service_said)
    assert getattr(copy, "until", 0.0) == getattr(error, "until", 0.0)
    assert getattr(copy, "status", 0) == getattr(error, "status", 0)
