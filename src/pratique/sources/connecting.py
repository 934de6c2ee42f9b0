"""One connection to one place: TLS that is always verified, and patience that ends.

A server that sends a byte every few seconds never trips a socket's own timeout. So a connection is also watched: unless
enough of the answer's body arrives in each window, it is cut.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from pratique.errors import ArtifactRefused
from pratique.sources.redacting import redact

_PLAIN = re.compile(r"[!-~]+\Z")
"""Visible ASCII: what a URL consists of (RFC 3986)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait for a stranger. Seconds, unless said otherwise."""

    silence: float = 30.0
    """For a connection, and for the next byte."""

    window: float = 30.0
    """How often the pace is looked at."""

    least: int = 4096
    """Bytes of the body that must arrive in each window."""

    tries: int = 4
    """How often a request is made, the first time included, if it fails in a way that may pass."""

    pause: float = 0.5
    """Before the second try; doubled before each further one."""

    longest: float = 30.0
    """What a server may ask us to wait (Retry-After) at most."""

    redirects: int = 5
    """Redirects that are followed for one request; browsers follow 20, the Hub needs 2."""


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A URL that may be requested: https, or plain http on this very machine."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query."""

    @classmethod
    def of(cls, url: str) -> Place:
        """Read a URL.

        Raises:
            ArtifactRefused: it is not https (nor http on loopback), names no host, or carries a user name.
        """
        shown = redact(url)
        if not _PLAIN.match(url):
            raise ArtifactRefused(f"{shown!r} is not a URL: it holds spaces, or characters that are not ASCII")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ArtifactRefused(f"{shown} is not a URL: {error}") from error
        if parts.username is not None or parts.password is not None:
            raise ArtifactRefused(f"{shown} carries a user name or a password", hint="credentials come from the environment")
        if not host or parts.scheme not in ("https", "http"):
            raise ArtifactRefused(f"{shown} is not an https URL")
        if parts.scheme == "http" and not is_loopback(host):
            raise ArtifactRefused(
                f"{shown} would be read over plain http, where anybody on the way can change it",
                hint="use https; plain http is for this machine's own loopback addresses only",
            )
        return cls(scheme=parts.scheme, host=host, port=port or (443 if parts.scheme == "https" else 80), target=_target(parts))

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who is asked: a secret for one origin is never told to another."""
        return (self.scheme, self.host, self.port)


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(place: Place, patience: Patience) -> http.client.HTTPConnection:
    """Connect, through the proxy that the environment names (HTTPS_PROXY, NO_PROXY) if any.

    Raises:
        OSError: unreachable, or a certificate that does not hold (`ssl.SSLCertVerificationError`).
    """
    if place.scheme == "http":
        connection = http.client.HTTPConnection(place.host, place.port, timeout=patience.silence)
    else:
        context = _context(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))
        proxy = _proxy(place.host)
        via = (proxy.hostname or "", proxy.port or 80) if proxy else (place.host, place.port)
        connection = http.client.HTTPSConnection(*via, timeout=patience.silence, context=context)
        if proxy:
            connection.set_tunnel(place.host, place.port, headers=_proxy_headers(proxy))
    connection.connect()
    return connection


@lru_cache(maxsize=4)
def _context(file: str, folder: str) -> ssl.SSLContext:
    """The system's trusted authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name. Reading them takes 20 ms."""
    return ssl.create_default_context()


def _proxy(host: str) -> SplitResult | None:
    address = getproxies().get("https", "")
    if not address or proxy_bypass(host) or is_loopback(host):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ArtifactRefused("HTTPS_PROXY does not name a proxy of the form http://host:port")
    return proxy


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}


class Pulse:
    """Counts what arrives, and remembers whether the connection was cut for want of it."""

    def __init__(self) -> None:
        self.bytes = 0
        self.cut = False

    def beat(self, count: int) -> None:
        """That many bytes arrived."""
        self.bytes += count


@contextmanager
def watched(connection: http.client.HTTPConnection, patience: Patience) -> Iterator[Pulse]:
    """Cut the connection as soon as fewer than `patience.least` bytes arrived within `patience.window` seconds."""
    pulse, done, sock = Pulse(), threading.Event(), connection.sock

    def watch() -> None:
        before = 0
        while not done.wait(patience.window):
            if pulse.bytes - before < patience.least:
                pulse.cut = True
                with suppress(OSError):  # closed already
                    # Not `sock.shutdown`: a TLS socket would go on in plain text for a reader in another thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                return
            before = pulse.bytes

    thread = threading.Thread(target=watch, name="pratique-watch", daemon=True)
    thread.start()
    try:
        yield pulse
    finally:
        done.set()
        thread.join()


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
