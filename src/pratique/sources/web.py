"""Reading from web services that we do not trust.

    web = Web("https://hub.example", authorization="Bearer ...")
    page = web.read("https://hub.example/api/...")          # a small document
    web.save("https://hub.example/file", sink)              # a file, straight to disk

In the order of the code, for each request:

1. Only https, or plain http on loopback; certificates are always verified.
2. A secret is sent to the origin that it is for, and to nobody that a redirect names.
3. Redirects are counted, and never lead from https to http, nor from elsewhere to this machine.
4. A connection that trickles is cut; an answer that is too long is not read to its end.
5. What may pass (no connection, 429, 5xx, an answer that breaks off) is tried again after a pause; a download goes on where
   it stopped. Nothing else is.
"""

from __future__ import annotations

import http.client
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin

from pratique import __version__, documents
from pratique.errors import ArtifactError, ArtifactRefused, Malformed, UsageError
from pratique.sources.connecting import PATIENCE, Patience, Place, Pulse, connect, is_loopback, watched
from pratique.sources.redacting import redact
from pratique.sources.writing import Incomplete, Sink

Headers = Mapping[str, str]
Inspect = Callable[[Headers], None]
"""Called with the headers (names in lower case) of each answer of the service itself, before its body is read."""

Challenge = Callable[[str], str]
"""Given a `WWW-Authenticate` header, returns a value for `Authorization`, or raises."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
_BLOCK = 1 << 16
_DOCUMENT = 32 << 20
"""The Hub lists 1,000 files a page, about 300 bytes each; its page about a repository of 100,000 files is 8 MB."""

_HEADER = re.compile(r"[ -~]+\Z")

T = TypeVar("T")


class _Passing(Exception):
    """A failure that may be over in a moment; `wait` is what the server asks for, in seconds."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class _Unauthorized(Exception):
    """401, with the challenge that came with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A small document."""

    url: str
    headers: Headers
    """Names in lower case."""

    body: bytes

    def json(self) -> Any:
        """The body as JSON, read strictly.

        Raises:
            ArtifactRefused: it is not.
        """
        try:
            return documents.parse(self.body, what=redact(self.url))
        except Malformed as error:
            raise ArtifactRefused(f"cannot make sense of the answer: {error}", hint="is that really such a service?") from error


class Web:
    """What one service is asked. Safe to use from several threads."""

    def __init__(
        self,
        home: str,
        *,
        authorization: str = "",
        challenge: Challenge | None = None,
        patience: Patience | None = None,
        hint: str = "",
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            home: any URL of the service; the secret is for its origin alone.
            authorization: value of the `Authorization` header; '' for none.
            challenge: called when the service answers 401, once a request.
            patience: how long to wait, and how often to try.
            hint: what to do when the service denies access.

        Raises:
            ArtifactRefused: the URL is one that may not be read from.
            UsageError: the secret holds what no header may hold.
        """
        if authorization and not _HEADER.match(authorization):
            raise UsageError("the token or password holds a line break, or characters that are not ASCII")
        self.home = Place.of(home)
        self.authorization = authorization
        self.challenge = challenge
        self.patience = patience or PATIENCE
        self.hint = hint

    def read(self, url: str, *, accept: str = "", most: int = _DOCUMENT) -> Page:
        """A small document.

        Raises:
            ArtifactError: unreachable or not there. ArtifactRefused: denied, or too large.
        """
        headers = {"Accept": accept} if accept else {}

        def once() -> Page:
            with self._exchange(url, headers, None) as (response, pulse):
                self._ensure_served(response, url, (200,))
                blocks, size = [], 0
                for block in self._blocks(response, pulse, url):
                    blocks.append(block)
                    size += len(block)
                    if size > most:
                        raise ArtifactRefused(f"{redact(url)} is a document of more than {most:,} bytes")
                return Page(url=url, headers=_lower(response), body=b"".join(blocks))

        return self._persist(once, url)

    def save(self, url: str, sink: Sink, *, accept: str = "", inspect: Inspect | None = None) -> None:
        """A file, written as it arrives.

        Raises:
            ArtifactError: unreachable, not there, or it keeps breaking off.
            ArtifactRefused: denied, too large, or not what was promised.
        """

        def once() -> None:
            headers = {"Accept": accept} if accept else {}
            if start := sink.written:
                headers["Range"] = f"bytes={start}-"
            with self._exchange(url, headers, inspect) as (response, pulse):
                self._ensure_served(response, url, (200, 206) if start else (200,))
                if response.status != 206:
                    sink.restart()
                elif not (response.getheader("Content-Range") or "").startswith(f"bytes {start}-"):
                    raise ArtifactRefused(f"{redact(url)} was asked to go on at byte {start:,} and goes on elsewhere")
                if response.length is not None:
                    sink.promise(sink.written + response.length)
                for block in self._blocks(response, pulse, url):
                    sink.take(block)
            sink.finish()

        with sink.opened():
            self._persist(once, url)

    @contextmanager
    def _exchange(
        self, url: str, headers: Headers, inspect: Inspect | None
    ) -> Iterator[tuple[http.client.HTTPResponse, Pulse]]:
        """Ask, and follow redirects to the answer."""
        started, place = url, Place.of(url)  # 1
        for _ in range(self.patience.redirects + 1):
            ours = place.origin == self.home.origin
            with (
                closing(connect(place, self.patience)) as connection,
                watched(connection, self.patience) as pulse,  # 4
                closing(self._ask(connection, place, headers, secret=ours)) as response,
            ):
                if ours and inspect is not None:
                    inspect(_lower(response))
                if response.status not in _REDIRECTS:
                    if response.status == 401 and ours and self.challenge is not None:
                        raise _Unauthorized(response.getheader("WWW-Authenticate") or "")
                    yield response, pulse
                    return
                url = urljoin(url, response.getheader("Location") or "")
            place = _next(place, url, started)  # 3
        raise ArtifactRefused(f"{redact(started)} redirects more than {self.patience.redirects} times")

    def _ask(
        self, connection: http.client.HTTPConnection, place: Place, headers: Headers, *, secret: bool
    ) -> http.client.HTTPResponse:
        common = {"User-Agent": f"pratique/{__version__}", "Accept-Encoding": "identity", "Connection": "close"}
        authorization = {"Authorization": self.authorization} if secret and self.authorization else {}  # 2
        connection.request("GET", place.target, headers={**common, **headers, **authorization})
        return connection.getresponse()

    def _ensure_served(self, response: http.client.HTTPResponse, url: str, good: tuple[int, ...]) -> None:
        status, shown = response.status, redact(url)
        if status in (401, 403):
            raise ArtifactRefused(f"{shown} answers {status}: access denied", hint=self.hint)
        if status in (404, 410):
            raise ArtifactError(f"there is nothing at {shown} ({status})", hint=self.hint)
        if status in _MAY_PASS:
            raise _Passing(f"{shown} answers {status}", _seconds(response.getheader("Retry-After")))
        if status not in good:
            raise ArtifactError(f"{shown} answers {status}, which was not expected")
        if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise ArtifactRefused(f"{shown} is served compressed, although that was not asked for")

    def _blocks(self, response: http.client.HTTPResponse, pulse: Pulse, url: str) -> Iterator[bytes]:
        """The body as it arrives. Ends early if the answer does, which is an error where a length was announced."""
        while block := response.read1(_BLOCK):
            pulse.beat(len(block))
            yield block
        if pulse.cut:
            raise _Passing(f"{redact(url)} sends less than {self.patience.least:,} bytes in {self.patience.window:g} s")
        if response.length:
            raise _Passing(f"{redact(url)} broke off, {response.length:,} bytes before its end")

    def _persist(self, once: Callable[[], T], url: str) -> T:
        """Do it again while there is reason to hope."""  # 5
        asked, pause, tries = False, self.patience.pause, 0
        while True:
            try:
                return once()
            except _Unauthorized as error:
                if asked or self.challenge is None:
                    raise ArtifactRefused(f"{redact(url)} answers 401: access denied", hint=self.hint) from None
                self.authorization, asked = self.challenge(str(error)), True
                continue
            except ssl.SSLCertVerificationError as error:
                raise ArtifactRefused(
                    f"{redact(url)} does not prove who it is: {error.verify_message}",
                    hint="if it has a private authority, name its certificates with SSL_CERT_FILE",
                ) from error
            except _Passing as error:
                why, wait, cause = str(error), error.wait, error.__cause__
            except (OSError, http.client.HTTPException, Incomplete) as error:
                why, wait, cause = f"cannot read {redact(url)}: {_said(error)}", 0.0, error
            tries += 1
            if tries >= self.patience.tries:
                raise ArtifactError(
                    f"{why}; tried {tries} times", hint="is the service up, and can this machine reach it?"
                ) from cause
            # Half of the pause at least, so that many machines do not come back at once.
            time.sleep(max(min(wait, self.patience.longest), pause * (0.5 + random.random() / 2)))
            pause *= 2


def _next(before: Place, url: str, started: str) -> Place:
    try:
        place = Place.of(url)
    except ArtifactRefused as error:
        raise ArtifactRefused(f"{redact(started)} redirects to where nothing may be read from: {error}") from error
    if before.scheme == "https" and place.scheme == "http":
        raise ArtifactRefused(f"{redact(started)} redirects from https to plain http, at {redact(url)}")
    if is_loopback(place.host) and not is_loopback(before.host):
        raise ArtifactRefused(f"{redact(started)} redirects to this very machine, at {redact(url)}")
    return place


def _lower(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else 0.0


def _said(error: Exception) -> str:
    return redact(getattr(error, "strerror", None) or str(error) or type(error).__name__)
