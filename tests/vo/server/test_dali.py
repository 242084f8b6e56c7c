"""The syntax of parameters, and that every refusal names the parameter, the value and what is allowed."""

from __future__ import annotations

import asyncio
import math

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from emberline.errors import ArchiveError
from emberline.vo.server.dali import (
    Call,
    DaliError,
    Endpoint,
    Parameters,
    address,
    at_most,
    interval,
    maximum_rows,
    number,
    one_of,
    plain_refusal,
    response_format,
    single,
    times,
)


def given(**values: str | list[str]) -> Parameters:
    return Parameters(
        [(name, text) for name, value in values.items() for text in (value if isinstance(value, list) else [value])]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 2", (1, 2)),
        ("  5.5e-7   6e-7 ", (5.5e-7, 6e-7)),
        ("-Inf 3", (-math.inf, 3)),
        ("3 +Inf", (3, math.inf)),
        ("-Inf +Inf", (-math.inf, math.inf)),
        ("4", (4, 4)),
    ],
)
def test_intervals(text: str, expected: tuple[float, float]) -> None:
    assert interval("BAND", text) == expected


@pytest.mark.parametrize("text", ["", "x", "1 2 3", "2 1", "NaN 1", "1/2", "1,2", "0x10 0x20", "1_0 2_0", "١ ٢"])
def test_what_is_no_interval_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(DaliError, match=r"^BAND: .*expected"):
        interval("BAND", text)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2000-01-01", 51544, 51545),
        ("2000-01-01T12:00:00", 51544.5, 51544.5),
        ("2000-01-01T12:00:00Z", 51544.5, 51544.5),
        ("2000-01-01T12:00", 51544.5, 51544.5 + 1 / 1440),
        ("2000", 51544, 51544 + 366),
        ("2001", 51910, 51910 + 365),
        ("1900", 15020, 15020 + 365),
        ("2000-02", 51575, 51575 + 29),
        ("2000-12", 51879, 51879 + 31),
        ("2016-12-31T23:59:60.5", 57754 + 0.5 / 86400, 57754 + 0.5 / 86400),
    ],
)
def test_times_are_periods(text: str, first: float, last: float) -> None:
    assert times("TIME", text) == pytest.approx((first, last), abs=1e-9)


@pytest.mark.parametrize("text", ["", "x", "2000-13", "2000-02-30", "2000-1-1", "2000-01-01T25:00", "20000101", "0000"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(DaliError, match=r"^TIME: .*UTC time"):
        times("TIME", text)


def test_a_value_that_may_be_given_once() -> None:
    assert single(given(POS="1"), "pos") == "1"
    assert single(given(pos="  "), "POS") is None
    assert single(given(), "POS") is None
    with pytest.raises(DaliError, match="POS: given 2 times"):
        single(given(pos=["1", "2"]), "POS")


def test_numbers_within_bounds() -> None:
    assert number(given(SR="+1.5e0"), "SR", 0, 180) == 1.5
    for text in ("-1", "181", "NaN", "inf", "1e999", "one", "1 2", "1_000"):
        with pytest.raises(DaliError, match=r"^SR: .*from 0 to 180"):
            number(given(SR=text), "SR", 0, 180)
    assert at_most(given(SR="1"), "SR", 2)
    assert not any(at_most(given(SR=value), "SR", 2) for value in ("3", "x", "", ["1", "1"], "NaN"))


def test_maxrec_is_bounded_by_what_the_service_gives() -> None:
    assert maximum_rows(given(), 10, 100) == 10
    assert [maximum_rows(given(MAXREC=text), 10, 100) for text in ("0", "50", "1000", "+7")] == [0, 50, 100, 7]
    for text in ("-1", "1.5", "x", "1e3", "٣"):
        with pytest.raises(DaliError, match=r"^MAXREC: "):
            maximum_rows(given(MAXREC=text), 10, 100)


def test_formats_by_media_type_or_word() -> None:
    formats = {"votable": "v", "application/x-votable+xml": "v", "text/csv;header=present": "c"}
    assert response_format(given(), formats, "votable") == ("v", "")
    assert response_format(given(FORMAT="VOTable"), formats, "votable") == ("v", "")
    assert response_format(given(RESPONSEFORMAT="text/csv; header=present"), formats, "votable")[0] == "c"
    with pytest.raises(DaliError, match=r"RESPONSEFORMAT: 'x' .*votable"):
        response_format(given(RESPONSEFORMAT="x"), formats, "votable")


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(DaliError) as caught:
        one_of("VERB", "9" * 10_000, ("1", "2"))
    assert len(caught.value.message) < 200


def test_addresses_encode_their_parts() -> None:
    assert address("http://h/vo", "a", "soda/sync", ID="ivo://x/y?a b") == (
        "http://h/vo/a/soda/sync?ID=ivo%3A%2F%2Fx%2Fy%3Fa%20b"
    )


def answer_of(failure: Exception | None) -> httpx.Response:
    def handler(call: Call) -> Response:
        if failure is not None:
            raise failure
        return PlainTextResponse(f"{call.base} {call.name}")

    routes = [Mount("/vo", routes=[Route("/{name}/x", Endpoint(handler, plain_refusal).answer)])]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://host:81") as client:
            return await client.get("/vo/alpha/x?a=%FF" if failure is None else "/vo/alpha/x")

    return asyncio.run(ask())


def test_the_address_of_the_services_is_that_of_the_mount() -> None:
    assert answer_of(DaliError("no", 404, "NotFoundFault")).text == "NotFoundFault: no\n"


@pytest.mark.parametrize(
    "failure", [ArchiveError("is damaged", where="/home/me/secret"), ValueError("/home/me/secret"), KeyError("secret")]
)
def test_what_failed_inside_is_for_the_log_only(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    answer = answer_of(failure)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret" in caplog.text


def test_parameters_that_are_no_text_are_refused() -> None:
    answer = answer_of(None)
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "UsageError")
