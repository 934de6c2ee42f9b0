"""The services over HTTP, on loopback, as sigstore's own clients ask them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Answer = tuple[int, bytes]
"""Status and body."""

Route = Callable[[bytes, str], Answer]
"""From a request's body and its bearer token to an answer."""


def serve(routes: dict[str, Route]) -> ThreadingHTTPServer:
    """A server on a free port of this machine; the longest path that fits decides."""

    class Handler(_Handler):
        ways = routes

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def as_json(value: Any, status: int = 201) -> Answer:
    """A value as an answer."""
    return status, json.dumps(value).encode()


def from_base64(text: str) -> bytes:
    """Bytes that a client sent in JSON."""
    return base64.b64decode(text, validate=True)


class _Handler(BaseHTTPRequestHandler):
    ways: ClassVar[dict[str, Route]] = {}

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a test's output is the test's."""

    def do_GET(self) -> None:
        """Read."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Write."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        fitting = sorted((path for path in self.ways if self.path.startswith(path)), key=len)
        try:
            status, data = self.ways[fitting[-1]](body, token) if fitting else (404, b"{}")
        except (ValueError, KeyError, TypeError) as error:
            status, data = as_json({"code": 3, "message": f"{type(error).__name__}: {error}"}, 400)
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
