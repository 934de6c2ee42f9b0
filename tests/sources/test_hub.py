"""`hf://`: what a Hub, an attacker in front of it, or a repository's owner can try."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pratique import sources
from pratique.artifacts import Artifact, Limits, open_artifact
from pratique.errors import ArtifactError, ArtifactRefused, UsageError
from pratique.testing import Answer, FakeHub, Request, folder_of

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "sub/tokenizer.json": b"[]", "sub/deep/a b+c.txt": b"x"}
EVIL = {**FILES, "config.json": b'{"evil": true}'}


@pytest.fixture
def commit(hub: FakeHub) -> str:
    """A model called acme/base."""
    return hub.commit("acme/base", FILES)


def paths(artifact: Artifact) -> list[str]:
    return [entry.path for entry in artifact.entries]


def test_a_model_at_a_commit_is_its_local_twin(hub: FakeHub, commit: str, tmp_path: Path) -> None:
    got = open_artifact(f"hf://acme/base@{commit}")
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    assert got.subject.name == "base"
    assert got.origin is not None
    assert (got.origin.pinned, got.origin.mutable, got.origin.notes) == (f"hf://acme/base@{commit}", False, ())
    assert got.origin.ids["commit"] == commit


def test_commits_and_oids_are_those_that_git_gives(hub: FakeHub, commit: str, tmp_path: Path) -> None:
    """So a fake listing is what git would list: the witness is git itself."""
    folder = folder_of(tmp_path / "repo", FILES)
    blob = subprocess.run(
        ["git", "hash-object", str(folder / "sub/tokenizer.json")], capture_output=True, text=True, check=True
    ).stdout.strip()
    from pratique.sources.web import Web

    listed = Web(hub.url).read(f"{hub.url}/api/models/acme/base/tree/{commit}?recursive=true").json()
    assert {one["path"]: one["oid"] for one in listed}["sub/tokenizer.json"] == blob


@pytest.mark.parametrize("revision", ["", "@main", "@v1.0", "@refs/pr/1"])
def test_what_can_move_is_pinned_and_reported(hub: FakeHub, commit: str, revision: str) -> None:
    hub.point("acme/base", "v1.0", commit)
    hub.point("acme/base", "refs/pr/1", commit)
    origin = open_artifact(f"hf://acme/base{revision}").origin
    assert origin is not None
    assert (origin.uri, origin.pinned, origin.mutable) == (f"hf://acme/base{revision}", f"hf://acme/base@{commit}", True)
    assert "can move" in origin.notes[0]
    assert open_artifact(origin.pinned).origin == replace(origin, uri=origin.pinned, mutable=False, notes=())


def test_a_branch_that_moves_between_resolving_and_fetching(hub: FakeHub, commit: str) -> None:
    honest = open_artifact(f"hf://acme/base@{commit}").subject

    def move(request: Request) -> Answer | None:
        if "/tree/" in request.path:
            hub.intercept = None
            hub.commit("acme/base", EVIL)
        return None

    hub.intercept = move
    got = open_artifact("hf://acme/base@main")
    assert got.subject == honest
    assert got.pinned == f"hf://acme/base@{commit}"
    assert open_artifact("hf://acme/base@main").subject != honest


def test_a_branch_that_is_called_like_a_commit(hub: FakeHub, commit: str) -> None:
    hub.commit("acme/base", EVIL, branch="f" * 40)
    with pytest.raises(ArtifactRefused, match="when asked for ffffffffffff"):
        open_artifact(f"hf://acme/base@{'f' * 40}")


@pytest.mark.parametrize(
    ("part", "there"),
    [
        ("sub", ["deep/a b+c.txt", "tokenizer.json"]),
        ("sub/deep", ["a b+c.txt"]),
        ("sub/tokenizer.json", ["tokenizer.json"]),
        ("config.json", ["config.json"]),
    ],
)
def test_a_part_of_a_repository(hub: FakeHub, commit: str, part: str, there: list[str]) -> None:
    got = open_artifact(f"hf://acme/base@{commit}/{part}")
    assert paths(got) == there
    assert got.subject.name == part.rpartition("/")[2]
    if part.endswith(".json"):
        assert got.subject.hex == hashlib.sha256(FILES[part]).hexdigest()
    assert got.pinned == f"hf://acme/base@{commit}/{part}"


def test_datasets_and_spaces(hub: FakeHub) -> None:
    commit = hub.commit("acme/rows", {"train.parquet": b"PAR1"}, kind="datasets")
    got = open_artifact(f"hf://datasets/acme/rows@{commit}", kind="dataset")
    assert (paths(got), got.pinned) == (["train.parquet"], f"hf://datasets/acme/rows@{commit}")
    with pytest.raises(ArtifactError, match="nothing at"):
        open_artifact("hf://acme/rows")


def test_a_listing_of_several_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {f"part-{n:03}/{m}.txt": f"{n} {m}".encode() for n in range(8) for m in range(3)}
    with FakeHub(page=7) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
        commit = hub.commit("acme/base", files)
        got = open_artifact(f"hf://acme/base@{commit}")
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", files)).subject
    assert sum("/tree/" in one.path for one in hub.requests) == 5


@pytest.mark.parametrize(
    "uri",
    [
        "hf://base", "hf://acme/base@", "hf://acme/base@a/../b", "hf://acme/base/../other", "hf://acme/base//x", "hf:///acme",
        "hf://acme/base?x=1", "hf://user:secret@acme/base", "hf://acme/..", "hf://../base@main", "hf://acme/base/.",
    ],
)  # fmt: skip
def test_what_does_not_name_a_repository(hub: FakeHub, uri: str) -> None:
    with pytest.raises(ArtifactError) as refused:
        open_artifact(uri)
    assert "secret" not in str(refused.value)


def test_nothing_there(hub: FakeHub, commit: str) -> None:
    for uri in ("hf://acme/other", f"hf://acme/base@{'0' * 40}", "hf://acme/base/no/such", "hf://acme/base@nosuch"):
        with pytest.raises(ArtifactError, match=r"nothing at|no file at") as failed:
            open_artifact(uri)
        assert failed.value.hint


def test_a_private_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is for the Hub alone: not for the origin that it redirects to, nor for the record."""
    with FakeHub(token="hf_secret") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        commit = hub.commit("acme/base", FILES)
        with pytest.raises(ArtifactRefused, match="access denied") as denied:
            open_artifact(f"hf://acme/base@{commit}")
        assert "HF_TOKEN" in denied.value.hint
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        got = open_artifact(f"hf://acme/base@{commit}")
        assert hub.cdn.requests
        assert all("authorization" not in one.headers for one in hub.cdn.requests)
        assert "hf_secret" not in repr(got)
        assert "Signature" not in repr(got)


def test_the_hub_serves_other_bytes_than_the_large_files_sha256(hub: FakeHub, commit: str) -> None:
    victim = next(iter(hub.cdn.blobs))
    hub.cdn.blobs[victim] = hub.cdn.blobs[victim][:-1] + b"!"
    with pytest.raises(ArtifactRefused, match=r"model\.safetensors is served with other bytes than were listed: sha256"):
        open_artifact(f"hf://acme/base@{commit}")


def test_the_hub_serves_other_bytes_than_the_small_files_oid(hub: FakeHub, commit: str) -> None:
    hub.intercept = lambda request: Answer(body=b"[]"[::-1]) if request.path.endswith("tokenizer.json") else None
    with pytest.raises(ArtifactRefused, match="other bytes than were listed: git"):
        open_artifact(f"hf://acme/base@{commit}")


def test_the_hub_serves_a_file_of_another_commit(hub: FakeHub, commit: str) -> None:
    other = hub.commit("acme/base", EVIL)

    def swap(request: Request) -> Answer | None:
        return Answer(headers={"X-Repo-Commit": other}, body=b"{}") if request.path.endswith("config.json") else None

    hub.intercept = swap
    with pytest.raises(ArtifactRefused, match=f"of commit {other[:12]} when asked for {commit[:12]}"):
        open_artifact(f"hf://acme/base@{commit}")


def test_a_large_file_that_breaks_off(hub: FakeHub, commit: str, tmp_path: Path) -> None:
    whole = FILES["model.safetensors"]
    hub.cdn.intercept = lambda request: None if "range" in request.headers else Answer(body=whole[:10], length=len(whole))
    assert open_artifact(f"hf://acme/base@{commit}").subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    hub.cdn.intercept = lambda request: Answer(body=b"", length=len(whole))
    with pytest.raises(ArtifactError, match="broke off"):
        open_artifact(f"hf://acme/base@{commit}/model.safetensors")


def listing(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[FakeHub], None]:
    """A Hub whose listing was changed on the way."""

    def attack(hub: FakeHub) -> None:
        def intercept(request: Request) -> Answer | None:
            if "/tree/" not in request.path:
                return None
            entries = json.loads(hub.answer(request).body)  # type: ignore[arg-type]
            changed = change(entries)
            return Answer(body=json.dumps(entries if changed is None else changed).encode())

        hub.intercept = intercept

    return attack


def renamed(path: str) -> Callable[[list[dict[str, Any]]], None]:
    def change(entries: list[dict[str, Any]]) -> None:
        next(one for one in entries if one["path"] == "config.json")["path"] = path

    return change


@pytest.mark.parametrize(
    "path",
    [
        "../evil.py", "/etc/cron.d/evil", "a/../../evil.py", "./config.json", "a//b", "a\\b", "a\nb", "a\x1b[2J", "",
        "Model.safetensors", "MODEL.SAFETENSORS", "sub", "sub/tokenizer.json", "config.json/x/" + "d/" * 40 + "x", "x" * 2000,
        "\ud800",
    ],
)  # fmt: skip
def test_names_in_the_listing_that_no_artifact_may_have(hub: FakeHub, commit: str, home: Path, path: str) -> None:
    """Path traversal, name twins, a file that is a folder, terminal escapes: refused before a byte is downloaded."""
    listing(renamed(path))(hub)
    with pytest.raises(ArtifactRefused):
        open_artifact(f"hf://acme/base@{commit}")
    assert not any("/resolve/" in one.path for one in hub.requests)
    assert not list((home / "snapshots").iterdir())


def test_a_name_with_a_unicode_twin(hub: FakeHub, commit: str) -> None:
    listing(lambda entries: entries + [{**entries[0], "path": name} for name in ("caf\u00e9", "cafe\u0301")])(hub)
    with pytest.raises(ArtifactRefused, match="one name on some file systems"):
        open_artifact(f"hf://acme/base@{commit}")


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: {"error": "no"},
        lambda entries: [{}],
        lambda entries: entries[0].update(size=-1),
        lambda entries: entries[0].update(size="12"),
        lambda entries: entries[0].update(oid="abc"),
        lambda entries: entries[0].update(type="symlink"),
        lambda entries: entries[1].update(lfs={"oid": "0" * 63, "size": 1}),
    ],
)
def test_a_listing_that_makes_no_sense(hub: FakeHub, commit: str, change: Any) -> None:
    listing(change)(hub)
    with pytest.raises(ArtifactRefused, match="makes no sense"):
        open_artifact(f"hf://acme/base@{commit}")


def test_a_listing_of_a_million_files_is_not_read_to_its_end(hub: FakeHub, commit: str) -> None:
    def endless(request: Request) -> Answer | None:
        if "/tree/" not in request.path:
            return None
        start = int(request.query.get("cursor", "0"))
        entries = [{"type": "file", "path": f"{n}", "oid": "0" * 40, "size": 0} for n in range(start, start + 1000)]
        link = f'<{hub.url}{request.path}?recursive=true&cursor={start + 1000}>; rel="next"'
        return Answer(headers={"Link": link}, body=json.dumps(entries).encode())

    hub.intercept = endless
    with pytest.raises(ArtifactRefused, match="more than 10,000 files and folders"):
        open_artifact(f"hf://acme/base@{commit}", limits=Limits(files=5000))
    assert len(hub.requests) == 12


def test_a_listing_of_empty_pages_without_end(hub: FakeHub, commit: str) -> None:
    def endless(request: Request) -> Answer | None:
        link = f'<{hub.url}{request.path}?cursor=1>; rel="next"'
        return Answer(headers={"Link": link}, body=b"[]") if "/tree/" in request.path else None

    hub.intercept = endless
    with pytest.raises(ArtifactRefused, match="empty pages"):
        open_artifact(f"hf://acme/base@{commit}")


@pytest.mark.parametrize("where", ["http://127.0.0.1:1/api/models/acme/base/tree/x", "https://evil.example/", "/api/models/x"])
def test_a_listing_that_goes_on_somewhere_else(hub: FakeHub, commit: str, where: str) -> None:
    def away(request: Request) -> Answer | None:
        if "/tree/" not in request.path:
            return None
        return Answer(headers={"Link": f'<{where}>; rel="next"'}, body=hub.answer(request).body)

    hub.intercept = away
    with pytest.raises(ArtifactRefused, match="goes on at another place"):
        open_artifact(f"hf://acme/base@{commit}")


@pytest.mark.parametrize(
    ("limits", "says"),
    [(Limits(files=2), "more than"), (Limits(bytes=100), "bytes"), (Limits(depth=1), "deep"), (Limits(path_length=10), "long")],
)
def test_every_limit_holds_before_anything_is_downloaded(hub: FakeHub, commit: str, limits: Limits, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        open_artifact(f"hf://acme/base@{commit}", limits=limits)
    assert not any("/resolve/" in one.path for one in hub.requests)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"sha": "main"}', b'{"sha": 7}', b"<html>"])
def test_something_that_is_not_a_hub(hub: FakeHub, body: bytes) -> None:
    hub.intercept = lambda request: Answer(body=body)
    with pytest.raises(ArtifactRefused):
        open_artifact("hf://acme/base")


def test_a_repository_that_was_renamed(hub: FakeHub, commit: str) -> None:
    """The Hub redirects the old name; whoever takes it next could publish there."""

    def moved(request: Request) -> Answer | None:
        if not request.path.startswith("/api/models/old/name"):
            return None
        return Answer(status=307, headers={"Location": request.path.replace("old/name", "acme/base")})

    hub.intercept = moved
    assert sources.resolve("hf://old/name").notes[1] == "the repository is now called 'acme/base'"


def test_what_the_hub_calls_itself_is_fit_to_be_signed_and_shown(hub: FakeHub, commit: str) -> None:
    name = "x\x1b[2J" + "y" * 5_000_000
    hub.intercept = lambda request: (
        Answer(body=json.dumps({"sha": commit, "id": name}).encode()) if "/revision/" in request.path else None
    )
    notes = sources.resolve("hf://acme/base").notes
    assert "\x1b" not in "".join(notes)
    assert len("".join(notes)) < 3000


@pytest.mark.parametrize("token", ["hf_\nX-Evil: 1", "hf_\u00fc"])
def test_a_token_that_is_none(hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UsageError) as refused:
        open_artifact(f"hf://acme/base@{commit}")
    assert token not in str(refused.value)


def test_a_failure_leaves_nothing_behind(hub: FakeHub, commit: str, home: Path) -> None:
    hub.cdn.intercept = lambda request: Answer(status=500)
    with pytest.raises(ArtifactError, match="500"):
        open_artifact(f"hf://acme/base@{commit}")
    assert not list((home / "snapshots").iterdir())


def test_progress_counts_each_byte_once(hub: FakeHub, commit: str) -> None:
    seen: list[int] = []
    open_artifact(f"hf://acme/base@{commit}", progress=seen.append)
    assert sum(seen) == sum(map(len, FILES.values()))


def test_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ArtifactError, match="tried 4 times") as failed:
        open_artifact("hf://acme/base")
    assert failed.value.retryable
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    with pytest.raises(ArtifactRefused, match="plain http"):
        open_artifact("hf://acme/base")


def test_a_trickle_of_bytes_from_the_cdn(hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from pratique.sources import web

    def trickle() -> Iterator[bytes]:
        for _ in range(200):
            time.sleep(0.05)
            yield b"w"

    monkeypatch.setattr(web, "PATIENCE", replace(web.PATIENCE, window=0.2, tries=2))
    hub.cdn.intercept = lambda request: Answer(body=trickle(), length=len(FILES["model.safetensors"]))
    with pytest.raises(ArtifactError, match="sends less than"):
        open_artifact(f"hf://acme/base@{commit}")
