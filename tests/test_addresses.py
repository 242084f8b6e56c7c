"""Which addresses on the web may be asked."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from emberline.addresses import AddressError, Allowed, WebAddress, is_public, lookup, web_address

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.5.5", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2001:0:1::", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    assert not Allowed().address(ipaddress.ip_address(text))


def test_public_addresses_are() -> None:
    for text in ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"):
        assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://dc.g-vo.org/tap", WebAddress("https", "dc.g-vo.org", 443)),
        ("HTTP://Archive.Example:8080", WebAddress("http", "archive.example", 8080)),
        ("http://[2606:2800:220:1::1]:8000/x?y=http://a@b/", WebAddress("http", "2606:2800:220:1::1", 8000)),
    ],
)
def test_an_address_is_taken_apart(url: str, parts: WebAddress) -> None:
    assert web_address(url) == parts


def test_a_port_is_shown_where_it_is_not_the_usual_one() -> None:
    assert str(web_address("https://a.example/x")) == "a.example"
    assert str(web_address("http://a.example:443/x")) == "a.example:443"
    assert str(web_address("http://[::1]:8000/x")) == "[::1]:8000"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "file:///etc/passwd", "gopher://a.example", "//a.example/", "a.example", "", "http://", "http:///x",
        "http://user:secret@a.example/", "http://user@a.example/", "http://@a.example/", "http://a.example\\@127.0.0.1/",
        "http://a.example:25/", "http://a.example:99999/", "http://a.example:x/", "http://[/", "http://á.example/",
    ],
)  # fmt: skip
def test_what_is_no_address_to_be_asked(url: str) -> None:
    with pytest.raises(AddressError):
        web_address(url)


def test_what_is_allowed_beside_the_public_internet() -> None:
    allowed = Allowed(("Archive.local", "other.local:8080", "192.168.7.0/24", "10.0.0.5", "[::1]:8000", "fd00::/8"))
    assert allowed.host("archive.LOCAL", 80)
    assert allowed.host("archive.local.", 4000)
    assert allowed.host("other.local", 8080)
    assert allowed.host("::1", 8000)
    assert not allowed.host("other.local", 80)
    assert not allowed.host("::1", 80)
    assert not allowed.host("archive.local.example", 80)
    for inside in ("192.168.7.9", "10.0.0.5", "::ffff:192.168.7.9", "fd00::5"):
        assert allowed.address(ipaddress.ip_address(inside))
    for outside in ("192.168.8.9", "10.0.0.6", "::1", "::ffff:192.168.8.9"):
        assert not allowed.address(ipaddress.ip_address(outside))


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "::1", "localhost"])
def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises((AddressError, OSError)) as caught:  # a resolver may not know each way to write a number
        lookup(host, 80)
    assert caught.type is AddressError or host not in ("127.0.0.1", "localhost")


def test_a_host_with_one_private_address_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    places = ["93.184.216.34", "127.0.0.1"]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, **_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places],
    )
    with pytest.raises(AddressError):
        lookup("both.example", 80)
    places.pop()
    assert lookup("both.example", 80) == [(socket.AF_INET, ("93.184.216.34", 80))]


def test_a_name_that_is_none_is_no_host() -> None:
    with pytest.raises(OSError, match="name"):
        lookup("a" * 70 + ".example", 80)
