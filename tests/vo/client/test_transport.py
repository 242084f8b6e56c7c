"""Connections over TLS: the name is checked although the connection goes to a number."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.vo.client import ClientConfig, RefusedAddressError, ServiceError, Session, TimeLimitError

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for ``archive.example``, which is its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "archive.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=archive.example", "-addext", "subjectAltName=DNS:archive.example", "-days", "2"]
    command += [
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,digitalSignature,keyCertSign",
    ]
    subprocess.run([*command, "-keyout", str(path), "-out", str(path) + ".crt"], check=True, capture_output=True)
    return path


class TLSServer:
    """Answers hello over TLS, and notes the names by which it is called."""

    def __init__(self, certificate: Path) -> None:
        self.called: list[str | None] = []
        self.silent = False
        self.ended = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(str(certificate) + ".crt", str(certificate))
        self._context.sni_callback = lambda _, name, __: self.called.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self.ended.is_set():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with plain:
                if self.silent:
                    while not self.ended.wait(0.05):  # a handshake that never ends, a byte at a time
                        try:
                            plain.sendall(b"\x16")
                        except OSError:
                            break
                    continue
                try:
                    with self._context.wrap_socket(plain, server_side=True) as secure:
                        secure.recv(4096)
                        secure.sendall(ANSWER)
                        secure.unwrap()
                except OSError:
                    continue

    def close(self) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TLSServer]:
    """The server; every name leads to this machine."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, *_, **__: real("127.0.0.1", port, type=socket.SOCK_STREAM)
    )
    server = TLSServer(certificate)
    yield server
    server.close()


def session_for(certificate: Path, **settings: Any) -> Session:
    given = {"allow": ("archive.example", "other.example"), "tries": 1, "ca_bundle": str(certificate) + ".crt"}
    return Session(ClientConfig(**{**given, **settings}))


def test_the_name_is_sent_and_checked(server: TLSServer, certificate: Path) -> None:
    with session_for(certificate) as session:
        assert session.get(f"https://archive.example:{server.port}/").text == "hello"
        assert server.called == ["archive.example"]
        with pytest.raises(ServiceError, match="no trustworthy connection"):
            session.get(f"https://other.example:{server.port}/")
    assert server.called == ["archive.example", "other.example"]


def test_an_unknown_authority_is_not_trusted(server: TLSServer, certificate: Path) -> None:
    with (
        session_for(certificate, ca_bundle="") as session,
        pytest.raises(ServiceError, match="no trustworthy connection"),
    ):
        session.get(f"https://archive.example:{server.port}/")


def test_private_addresses_are_refused_before_anything_is_sent(server: TLSServer, certificate: Path) -> None:
    with session_for(certificate, allow=()) as session, pytest.raises(RefusedAddressError):
        session.get(f"https://archive.example:{server.port}/")
    assert server.called == []


def test_a_handshake_has_its_time(server: TLSServer, certificate: Path) -> None:
    server.silent = True
    with session_for(certificate, total=0.4) as session, pytest.raises(ServiceError) as caught:
        session.get(f"https://archive.example:{server.port}/")
    assert isinstance(caught.value, TimeLimitError) or "trustworthy" in str(caught.value)
