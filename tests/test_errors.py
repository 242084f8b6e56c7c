"""Errors say what, where, and what to do, also across processes."""

from __future__ import annotations

import pickle

import pytest

from emberline import errors

KINDS = [getattr(errors, name) for name in errors.__all__]


def test_a_message_names_everything():
    error = errors.ConfigError("wrong value", where="a.toml [x]", found="3", expected="4", action="Write 4.")
    assert str(error) == "a.toml [x]: wrong value (found 3, expected 4). Write 4."
    assert str(errors.ConfigError("wrong value")) == "wrong value"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_an_emberline_error_and_survives_pickling(kind):
    if kind is errors.MissingExtraError:
        error = kind("onnx", "onnx")
    elif kind is errors.NotFiniteError:
        error = kind(3, where="s5-00003", action="Leave it out.")
    elif kind is errors.ReadError:
        error = kind("cut off", reason="truncated", where="x.fits", found="3", expected="9", action="Fetch it again.")
    else:
        error = kind("cut off", where="x.fits", found="3", expected="9", action="Fetch it again.")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, errors.EmberlineError)
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert str(pickle.loads(pickle.dumps(again))) == str(error)


def test_a_missing_extra_says_how_to_install_it():
    assert "pip install 'emberline[onnx]'" in str(errors.MissingExtraError("onnxruntime", "onnx"))
