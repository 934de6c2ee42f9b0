"""Web services that lie, break off, trickle, or send us elsewhere."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pratique.artifacts import Limits, open_artifact
from pratique.errors import ArtifactError, ArtifactRefused
from pratique.sources.connecting import Patience, Place
from pratique.sources.many import Job, save_all
from pratique.sources.redacting import redact
from pratique.sources.web import Web
from pratique.sources.writing import Sink
from pratique.testing import Answer, Loopback, Request

from .conftest import Certificates

DATA = bytes(range(256)) * 1000
HASTY = Patience(silence=2, window=0.2, least=1000, tries=2, pause=0.01)


class Files(Loopback):
    """Serves files, and counts who asked with which secret."""

    files: dict[str, bytes]

    def answer(self, request: Request) -> Answer:
        return Answer(body=self.files[request.path]) if request.path in self.files else Answer(status=404)


@pytest.fixture
def server() -> Iterator[Files]:
    with Files() as server:
        server.files = {"/data": DATA, "/page": b'{"a": 1}'}
        yield server


@pytest.fixture
def other() -> Iterator[Files]:
    with Files() as other:
        other.files = {"/data": DATA}
        yield other


def sink(path: Path, size: int | None = len(DATA), *, sha256: str = "", most: int = 1 << 20) -> Sink:
    digests = {"sha256": sha256 or hashlib.sha256(DATA).hexdigest()}
    return Sink(path / "got", what="data", size=size, most=most, digests=digests, progress=lambda count: None)


def save(web: Web, url: str, path: Path, **kwargs: Any) -> bytes:
    web.save(url, sink(path, **kwargs))
    return (path / "got").read_bytes()


def redirect(target: str) -> Callable[[Request], Answer | None]:
    return lambda request: Answer(status=302, headers={"Location": target}) if request.path == "/start" else None


def test_a_file_arrives_as_it_is(server: Files, tmp_path: Path) -> None:
    assert save(Web(server.url), f"{server.url}/data", tmp_path) == DATA
    assert Web(server.url).read(f"{server.url}/page").json() == {"a": 1}


def test_plain_http_is_for_this_machine_only() -> None:
    for url in ("http://127.0.0.1/x", "http://[::1]:8080/x", "http://localhost/x", "https://hub.example/x"):
        assert Place.of(url)
    for url in (
        "http://hub.example/x",
        "http://127.0.0.1.evil.example/x",
        "http://10.0.0.1/x",
        "ftp://127.0.0.1/x",
        "file:///etc",
    ):
        with pytest.raises(ArtifactRefused):
            Place.of(url)


@pytest.mark.parametrize(
    "url", ["https://u:p@hub.example/", "https://", "https://h:99999/", "https://h/\r\nX: y", "https://h/ü"]
)
def test_what_is_not_a_url_that_we_read(url: str) -> None:
    with pytest.raises(ArtifactRefused) as refused:
        Place.of(url)
    assert "u:p" not in str(refused.value)


def test_a_secret_is_not_told_to_whom_a_redirect_names(server: Files, other: Files, tmp_path: Path) -> None:
    server.intercept = redirect(f"{other.url}/data")
    web = Web(server.url, authorization="Bearer secret")
    assert save(web, f"{server.url}/start", tmp_path) == DATA
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in other.requests[0].headers


def test_a_secret_stays_within_its_own_origin(server: Files, tmp_path: Path) -> None:
    server.intercept = redirect("/data")
    assert save(Web(server.url, authorization="Bearer secret"), f"{server.url}/start", tmp_path) == DATA
    assert [one.headers["authorization"] for one in server.requests] == ["Bearer secret"] * 2


def test_an_endless_redirect(server: Files) -> None:
    server.intercept = redirect("/start")
    with pytest.raises(ArtifactRefused, match="more than 5 times"):
        Web(server.url).read(f"{server.url}/start")
    assert len(server.requests) == 6


@pytest.mark.parametrize("target", ["http://hub.example/x", "ftp://hub.example/x", "file:///etc/passwd", "https://u:p@h/x", ""])
def test_a_redirect_to_where_nothing_may_be_read_from(server: Files, target: str) -> None:
    server.intercept = redirect(target)
    with pytest.raises(ArtifactRefused):
        Web(server.url).read(f"{server.url}/start")


def test_a_redirect_from_https_to_http(server: Files, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even to loopback, where plain http is allowed otherwise."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with Files(tls=certificates.server) as secure:
        secure.files = {"/page": b"{}"}
        secure.intercept = redirect(f"{server.url}/page")
        assert Web(secure.url).read(f"{secure.url}/page").json() == {}
        with pytest.raises(ArtifactRefused, match="from https to plain http"):
            Web(secure.url).read(f"{secure.url}/start")
    assert not server.requests


def test_a_server_that_cannot_prove_who_it_is(certificates: Certificates) -> None:
    with Files(tls=certificates.server) as secure:
        secure.files = {"/page": b"{}"}
        with pytest.raises(ArtifactRefused, match="does not prove who it is"):
            Web(secure.url).read(f"{secure.url}/page")
        assert not secure.requests


def test_a_certificate_for_another_name(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with Files(tls=certificates.server) as secure, pytest.raises(ArtifactRefused, match="does not prove who it is"):
        url = secure.url.replace("127.0.0.1", "localhost")
        Web(url).read(f"{url}/page")


class Proxy:
    """An HTTP proxy that knows one way, whatever host it is asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        client, _ = self.listener.accept()
        while b"\r\n\r\n" not in self.asked:
            self.asked += client.recv(4096)
        server = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
        self.pump(server, client)

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        target.close()


def test_through_a_proxy_the_certificate_still_counts(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with Files(tls=certificates.server) as secure:
        secure.files = {"/page": b"{}"}
        port = int(secure.host.rpartition(":")[2])
        for name in ("hub.test", "other.test"):
            proxy = Proxy(port)
            monkeypatch.setenv("https_proxy", f"http://me:pass%20word@127.0.0.1:{proxy.listener.getsockname()[1]}")
            if name == "hub.test":
                assert Web("https://hub.test").read("https://hub.test/page").json() == {}
            else:
                with pytest.raises(ArtifactRefused, match="does not prove who it is"):
                    Web("https://other.test").read("https://other.test/page")
            assert proxy.asked.startswith(f"CONNECT {name}:443 ".encode())
            assert base64.b64encode(b"me:pass word") in proxy.asked
            proxy.listener.close()


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server: Files, tmp_path: Path) -> None:
    def once(request: Request) -> Answer | None:
        return Answer(body=DATA[:1000], length=len(DATA)) if "range" not in request.headers else None

    server.intercept = once
    assert save(Web(server.url), f"{server.url}/data", tmp_path) == DATA
    assert [one.headers.get("range", "") for one in server.requests] == ["", "bytes=1000-"]


def test_a_server_that_knows_no_ranges_starts_again(server: Files, tmp_path: Path) -> None:
    broken = iter([Answer(body=DATA[:1000], length=len(DATA)), Answer(body=DATA)])
    server.intercept = lambda request: next(broken)
    assert save(Web(server.url), f"{server.url}/data", tmp_path) == DATA


def test_a_server_that_goes_on_somewhere_else(server: Files, tmp_path: Path) -> None:
    def lie(request: Request) -> Answer:
        if "range" not in request.headers:
            return Answer(body=DATA[:1000], length=len(DATA))
        return Answer(status=206, headers={"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}, body=DATA)

    server.intercept = lie
    with pytest.raises(ArtifactRefused, match="goes on elsewhere"):
        save(Web(server.url), f"{server.url}/data", tmp_path)


def test_a_download_that_keeps_breaking_off_is_no_download(server: Files, tmp_path: Path) -> None:
    server.intercept = lambda request: Answer(body=b"", length=len(DATA))
    with pytest.raises(ArtifactError, match="broke off") as failed:
        save(Web(server.url), f"{server.url}/data", tmp_path)
    assert failed.value.retryable
    assert len(server.requests) == 4


@pytest.mark.parametrize("body", [DATA[:-1] + b"!", b"\0" * len(DATA)])
def test_other_bytes_than_were_listed(server: Files, tmp_path: Path, body: bytes) -> None:
    server.files["/data"] = body
    with pytest.raises(ArtifactRefused, match="other bytes than were listed"):
        save(Web(server.url), f"{server.url}/data", tmp_path)
    assert len(server.requests) == 1


def test_another_length_than_was_listed(server: Files, tmp_path: Path) -> None:
    server.files["/data"] = DATA + b"!"
    with pytest.raises(ArtifactRefused, match="listed with 256,000 bytes, and is served with 256,001"):
        save(Web(server.url), f"{server.url}/data", tmp_path)


def test_a_body_without_a_length_that_does_not_end(server: Files, tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    server.intercept = lambda request: Answer(body=endless())
    with pytest.raises(ArtifactRefused, match="goes on after its 256,000 bytes"):
        save(Web(server.url), f"{server.url}/data", tmp_path)
    with pytest.raises(ArtifactRefused, match="more than 100,000 bytes"):
        Web(server.url).read(f"{server.url}/page", most=100_000)
    (tmp_path / "got").unlink()
    with pytest.raises(ArtifactRefused, match="the limit of 1,000 bytes"):
        save(Web(server.url), f"{server.url}/data", tmp_path, size=None, most=1000)


def test_a_length_over_the_limit_costs_no_download(server: Files, tmp_path: Path) -> None:
    server.intercept = lambda request: Answer(body=b"", length=1 << 50)
    with pytest.raises(ArtifactRefused, match="the limit is 1,000"):
        save(Web(server.url), f"{server.url}/data", tmp_path, size=None, most=1000)


def trickle(pause: float) -> Iterator[bytes]:
    for byte in range(1000):
        time.sleep(pause)
        yield bytes([byte % 256])


def test_slow_loris_in_the_body(server: Files, tmp_path: Path) -> None:
    """A byte every 50 ms never trips a socket's timeout; the whole would take hours."""
    server.intercept = lambda request: Answer(body=trickle(0.05), length=len(DATA))
    began = time.monotonic()
    with pytest.raises(ArtifactError, match=r"less than 1,000 bytes in 0\.2 s") as failed:
        save(Web(server.url, patience=HASTY), f"{server.url}/data", tmp_path)
    assert failed.value.retryable
    assert time.monotonic() - began < 5


def test_slow_loris_behind_tls(certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is cut must end as an error, never as cipher text that is taken for the file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with Files(tls=certificates.server) as secure:
        secure.intercept = lambda request: Answer(body=trickle(0.05), length=1000)
        with pytest.raises(ArtifactError, match="sends less than"):
            save(Web(secure.url, patience=HASTY), f"{secure.url}/data", tmp_path, size=1000)
    assert (tmp_path / "got").read_bytes() == bytes(range(256))[: (tmp_path / "got").stat().st_size]


def test_slow_loris_in_the_headers() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(HASTY.tries):
            client, _ = listener.accept()
            try:
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                    client.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                client.close()

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(ArtifactError):
        Web(url, patience=HASTY).read(url)
    assert time.monotonic() - began < 5
    listener.close()


def test_slow_but_honest(server: Files, tmp_path: Path) -> None:
    """Ten windows, each with enough in it."""
    parts = [DATA[start : start + 25_600] for start in range(0, len(DATA), 25_600)]

    def slowly() -> Iterator[bytes]:
        for part in parts:
            time.sleep(0.06)
            yield part

    server.intercept = lambda request: Answer(body=slowly(), length=len(DATA))
    assert save(Web(server.url, patience=HASTY), f"{server.url}/data", tmp_path) == DATA


def test_what_may_pass_is_tried_again(server: Files) -> None:
    bad = iter([Answer(status=503), Answer(status=429, headers={"Retry-After": "3600"}), Answer(status=502)])
    server.intercept = lambda request: next(bad, None)
    assert Web(server.url).read(f"{server.url}/page").json() == {"a": 1}
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 400, 418])
def test_what_will_not_pass_is_not(server: Files, status: int) -> None:
    server.intercept = lambda request: Answer(status=status)
    with pytest.raises(ArtifactError, match=str(status)) as failed:
        Web(server.url).read(f"{server.url}/page")
    assert failed.value.retryable == (status not in (401, 403))
    assert len(server.requests) == 1


def test_nobody_listens() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    with pytest.raises(ArtifactError, match="tried 4 times") as failed:
        Web(url).read(url)
    assert failed.value.retryable
    assert failed.value.hint


def test_a_body_that_was_compressed_on_the_way(server: Files) -> None:
    server.intercept = lambda request: Answer(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")
    with pytest.raises(ArtifactRefused, match="compressed"):
        Web(server.url).read(f"{server.url}/page")


@pytest.mark.parametrize("body", [b"<html>", b'{"a": 1, "a": 2}', b"[" * 1000, b"\xff"])
def test_a_document_that_two_readers_read_differently(server: Files, body: bytes) -> None:
    server.files["/page"] = body
    with pytest.raises(ArtifactRefused, match="cannot make sense"):
        Web(server.url).read(f"{server.url}/page").json()


def test_the_first_failure_stops_the_others(server: Files, tmp_path: Path) -> None:
    """Six files that would take minutes, one that is refused at once."""

    def slow(request: Request) -> Answer | None:
        if request.path != "/slow":
            return None
        return Answer(body=(b"x" * 5000 for _ in iter(lambda: time.sleep(0.05), 1)), length=1 << 40)

    server.intercept = slow
    jobs = [Job(url=f"{server.url}/slow", path=tmp_path / f"s{n}", what=f"s{n}", size=1 << 40) for n in range(3)]
    jobs.append(Job(url=f"{server.url}/data", path=tmp_path / "d", what="d", size=1))
    jobs += [Job(url=f"{server.url}/slow", path=tmp_path / f"t{n}", what=f"t{n}", size=1 << 40) for n in range(20)]
    began = time.monotonic()
    with pytest.raises(ArtifactRefused, match="d was listed with 1 bytes"):
        save_all(Web(server.url), jobs, most=0, progress=lambda count: None)
    assert time.monotonic() - began < 5


def test_progress_adds_up_even_when_a_download_starts_again(server: Files, tmp_path: Path) -> None:
    broken = iter([Answer(body=DATA[:1000], length=len(DATA)), Answer(body=DATA)])
    server.intercept = lambda request: next(broken)
    seen: list[int] = []
    job = Job(url=f"{server.url}/data", path=tmp_path / "d", what="d", size=len(DATA))
    save_all(Web(server.url), [job], most=0, progress=seen.append)
    assert sum(seen) == len(DATA)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:secret@bucket/model", "s3://bucket/model"),
        ("abfs://container@account/model", "abfs://container@account/model"),
        ("cannot GET 'https://u:p@cdn/x?Signature=secret': 403", "cannot GET 'https://cdn/x?…': 403"),
        ("s3://b/k?versionId=abc.1", "s3://b/k?versionId=abc.1"),
        ("s3://b/k?versionId=abc&secret=1", "s3://b/k?…"),
        ("simplecache::s3://k:secret@b/x", "simplecache::s3://b/x"),
        ("models:/name@champion", "models:/name@champion"),
        ("oci://h/n@sha256:00", "oci://h/n@sha256:00"),
        ("https://h/a@b", "https://h/a@b"),
        ("\x1b[2Jgone", "?[2Jgone"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text", ["y" * 3_000_000, "a://b?" + "." * 3_000_000 + "x", "<" * 60_000, "a=" * 30_000, "a://" * 750_000]
)
def test_a_long_text_takes_no_longer_than_its_length(text: str) -> None:
    """A stranger chooses names, notes and headers: a search that goes back over them costs hours."""
    from pratique.sources.tokens import _PARAMETER
    from pratique.sources.trees import _NEXT

    began = time.process_time()
    redact(text)
    _NEXT.search(text[:65_536])
    _PARAMETER.findall(text[:65_536])
    assert time.process_time() - began < 3


def test_one_file_from_a_web_server(server: Files) -> None:
    got = open_artifact(f"{server.url}/data")
    assert (got.subject.name, got.subject.hex) == ("data", hashlib.sha256(DATA).hexdigest())
    assert got.origin is not None
    assert got.origin.mutable
    for limits, says in ((Limits(bytes=1000), "the limit is 1,000"), (Limits(path_length=3), "long")):
        with pytest.raises(ArtifactRefused, match=says):
            open_artifact(f"{server.url}/data", limits=limits)


def test_a_signed_url_is_used_and_never_recorded(server: Files) -> None:
    got = open_artifact(f"{server.url}/data?Signature=secret")
    assert server.requests[0].query == {"Signature": "secret"}
    assert "secret" not in repr(got)
    server.files.clear()
    with pytest.raises(ArtifactError) as failed:
        open_artifact(f"{server.url}/data?Signature=secret")
    assert "secret" not in failed.value.diagnostics()


@pytest.mark.parametrize("path", ["", "folder/", "..", "a/..", "%2e%2e", "a%0ab", "a%5Cb"])
def test_a_url_whose_last_part_is_no_name_for_a_file(server: Files, path: str) -> None:
    with pytest.raises(ArtifactRefused):
        open_artifact(f"{server.url}/{path}")
    assert not server.requests
