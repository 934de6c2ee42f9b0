"""A web server on this machine's loopback interface, for fakes that speak a real protocol.

    class Greeter(Loopback):
        def answer(self, request: Request) -> Answer:
            return Answer(body=b"hello")

    with Greeter() as server:
        urlopen(server.url)

To play an attacker, or a bad day, set `intercept`: it sees every request first.

    server.intercept = lambda request: Answer(status=503) if request.path == "/file" else None
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked."""

    method: str

    path: str
    """Decoded, without the query."""

    query: Mapping[str, str]

    headers: Mapping[str, str]
    """Names in lower case."""

    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    body: bytes | Iterable[bytes] = b""
    """Parts are sent one by one, as they come."""

    length: int | None = None
    """What Content-Length says; None for the truth (and for no such header where parts are sent)."""


class Loopback:
    """Starts when entered, stops when left; or by `start` and `stop`. Override `answer`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """Prepare; nothing listens yet.

        Args:
            tls: serve https with this context; plain http if left out.
        """
        self.requests: list[Request] = []
        """Every request so far, oldest first."""

        self.intercept: Callable[[Request], Answer | None] | None = None
        """Sees every request first; None from it means that all goes its usual way."""

        self._tls = tls
        self._server: ThreadingHTTPServer | None = None

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        assert self._server is not None, "enter it first: with server: ..."
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def host(self) -> str:
        """Address and port."""
        assert self._server is not None, "enter it first: with server: ..."
        return f"127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Listen, for as long as the process lives; returns itself."""
        return self.__enter__()

    def stop(self) -> None:
        """Listen no more."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _respond(self, request: Request) -> Answer:
        self.requests.append(request)
        special = self.intercept(request) if self.intercept else None
        return special if special is not None else _part(request, self.answer(request))


def _part(request: Request, answer: Answer) -> Answer:
    """The part of an answer that a `Range: bytes=N-` asks for."""
    wanted = request.headers.get("range", "")
    if answer.status != 200 or not isinstance(answer.body, bytes) or not wanted.startswith("bytes="):
        return answer
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, size = int(first or 0), len(answer.body)
    stop = min(int(last) + 1, size) if last else size
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return Answer(status=206, headers=headers, body=answer.body[start:stop])


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command, path=unquote(parts.path), query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )  # fmt: skip
        self.close_connection = True
        answer = self.owner._respond(request)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        length = len(answer.body) if answer.length is None and isinstance(answer.body, bytes) else answer.length
        if length is not None and "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        try:
            self.end_headers()
            for part in [answer.body] if isinstance(answer.body, bytes) else answer.body:
                if request.method != "HEAD":
                    self.wfile.write(part)
                    self.wfile.flush()
        except OSError:  # the other side had enough
            return

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
