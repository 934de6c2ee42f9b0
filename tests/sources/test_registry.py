"""`oci://`: what a registry, an attacker in front of it, or whoever pushes to it can try."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pratique.artifacts import Artifact, Limits, open_artifact
from pratique.errors import ArtifactError, ArtifactRefused, UsageError
from pratique.sources import layers
from pratique.sources import registry as module
from pratique.testing import Answer, FakeRegistry, Request, folder_of, tar_of

FILES = {"config.json": b"{}", "sub/model.safetensors": b"weights" * 1000}
KIT = "application/vnd.kitops.modelkit"
IMAGE = "application/vnd.oci.image.layer.v1.tar"


def paths(artifact: Artifact) -> list[str]:
    return [entry.path for entry in artifact.entries]


def at(registry: FakeRegistry, reference: str, name: str = "team/model") -> str:
    return f"oci://{registry.host}/{name}{'@' if reference.startswith('sha256:') else ':'}{reference}"


def test_a_plain_artifact_is_its_local_twin(registry: FakeRegistry, tmp_path: Path) -> None:
    digest = registry.push("team/model", FILES)
    got = open_artifact(at(registry, digest))
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    assert (got.subject.name, got.pinned) == ("model", at(registry, digest))
    assert got.origin is not None
    assert (got.origin.mutable, got.origin.ids["manifest"]) == (False, digest)


@pytest.mark.parametrize("compress", [False, True])
def test_a_modelkit_is_its_local_twin(registry: FakeRegistry, tmp_path: Path, compress: bool) -> None:
    digest = registry.push_modelkit("team/kit", {**FILES, "empty/": b""}, compress=compress)
    twin = folder_of(tmp_path / "twin", FILES)
    (twin / "empty").mkdir()
    assert open_artifact(at(registry, digest, "team/kit")).subject == open_artifact(twin).subject


def test_a_tag_is_pinned_and_reported(registry: FakeRegistry) -> None:
    digest = registry.push("team/model", FILES, tag="v1")
    origin = open_artifact(at(registry, "v1")).origin
    assert origin is not None
    assert (origin.pinned, origin.mutable) == (at(registry, digest), True)
    assert "'v1' can move" in origin.notes[0]
    assert open_artifact(origin.pinned).origin == replace(origin, uri=origin.pinned, mutable=False, notes=())
    assert open_artifact(f"oci://{registry.host}/team/model:old@{digest}").pinned == origin.pinned


def test_a_tag_that_moves_between_resolving_and_fetching(registry: FakeRegistry) -> None:
    honest = open_artifact(at(registry, registry.push("team/model", FILES, tag="v1"))).subject

    def move(request: Request) -> Answer | None:
        if "/blobs/" in request.path:
            registry.intercept = None
            registry.push("team/model", {"evil.py": b"import os"}, tag="v1")
        return None

    registry.intercept = move
    assert open_artifact(at(registry, "v1")).subject == honest
    assert open_artifact(at(registry, "v1")).subject != honest


def test_another_manifest_for_a_digest(registry: FakeRegistry) -> None:
    digest = registry.push("team/model", FILES)
    other = registry.push("team/model", {"evil.py": b""})
    registry.manifests["team/model", digest] = registry.manifests["team/model", other]
    with pytest.raises(ArtifactRefused, match=f"answers with manifest {other[:19]}… when asked for {digest[:19]}…"):
        open_artifact(at(registry, digest))


def test_a_registry_that_contradicts_itself(registry: FakeRegistry) -> None:
    registry.push("team/model", FILES, tag="v1")
    kind, body = registry.manifests["team/model", "v1"]
    headers = {"Content-Type": kind, "Docker-Content-Digest": "sha256:" + "0" * 64}
    registry.intercept = lambda request: Answer(headers=headers, body=body)
    with pytest.raises(ArtifactRefused, match="says that"):
        open_artifact(at(registry, "v1"))


def test_other_bytes_for_a_layers_digest(registry: FakeRegistry) -> None:
    digest = registry.push("team/model", FILES)
    victim = next(one for one, data in registry.blobs.items() if data == FILES["sub/model.safetensors"])
    registry.blobs[victim] = b"w" * len(registry.blobs[victim])
    with pytest.raises(ArtifactRefused, match=r"sub/model\.safetensors is served with other bytes"):
        open_artifact(at(registry, digest))


def test_a_layer_is_not_unpacked_before_its_digest_was_verified(registry: FakeRegistry, home: Path) -> None:
    digest = registry.push_modelkit("team/kit", FILES)
    victim = next(one for one, data in registry.blobs.items() if b"weights" in data)
    registry.blobs[victim] = tar_of({"evil.py": b"x" * 7000, "b": b""})[: len(registry.blobs[victim])]
    with pytest.raises(ArtifactRefused, match="served with"):
        open_artifact(at(registry, digest, "team/kit"))
    assert not list((home / "snapshots").iterdir())


def test_a_layer_that_breaks_off(registry: FakeRegistry) -> None:
    digest = registry.push("team/model", FILES)

    def cut(request: Request) -> Answer | None:
        data = registry.blobs.get(request.path.rpartition("/")[2], b"")
        return Answer(body=data[:3], length=len(data)) if len(data) > 10 else None

    registry.intercept = lambda request: None if "range" in request.headers else cut(request)
    assert open_artifact(at(registry, digest))
    registry.intercept = cut
    with pytest.raises(ArtifactError, match="broke off"):
        open_artifact(at(registry, digest))


def test_a_layer_that_is_longer_than_its_descriptor_says(registry: FakeRegistry) -> None:
    layer = registry.blob(b"x" * 1000, "application/octet-stream", org__opencontainers__image__title="a")
    digest = registry.manifest("team/model", [{**layer, "size": 10}])
    with pytest.raises(ArtifactRefused, match="listed with 10 bytes, and is served with 1,000"):
        open_artifact(at(registry, digest))


def test_a_decompression_bomb(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(layers, "FLOOR", 1 << 20)
    bomb = gzip.compress(tar_of({"zeros.bin": b"\0" * (8 << 20)}))
    assert len(bomb) < 20_000
    digest = registry.manifest("team/model", [registry.blob(bomb, IMAGE + "+gzip")])
    with pytest.raises(ArtifactRefused, match="a decompression bomb"):
        open_artifact(at(registry, digest))
    assert not list((home / "snapshots").iterdir())
    honest = registry.manifest("team/model", [registry.blob(tar_of({"zeros.bin": b"\0" * (8 << 20)}), IMAGE)])
    assert open_artifact(at(registry, honest))


def test_a_bomb_behind_the_end_of_the_archive(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "FLOOR", 1 << 20)
    digest = registry.manifest(
        "team/model", [registry.blob(gzip.compress(tar_of({"a": b"a"}) + b"\0" * (8 << 20)), IMAGE + "+gzip")]
    )
    with pytest.raises(ArtifactRefused, match="a decompression bomb"):
        open_artifact(at(registry, digest))


def test_what_says_that_it_is_gzip_and_is_not(registry: FakeRegistry) -> None:
    zipped = gzip.compress(tar_of(FILES))
    for data in (b"not gzip", zipped[:-20], zipped + b"more", zipped[:-8] + b"\0" * 8):
        digest = registry.manifest("team/model", [registry.blob(data, IMAGE + "+gzip")])
        with pytest.raises(ArtifactRefused, match=r"gzip|cut short"):
            open_artifact(at(registry, digest))


TITLE = "org__opencontainers__image__title"
UNPACK = {"io__deis__oras__content__unpack": "true"}


@pytest.mark.parametrize("title", ["../evil", "/etc/passwd", "a/../../b", "a\\b", "a\x1b[2J", ".", "config.json"])
def test_titles_that_leave_the_artifact_or_clash(registry: FakeRegistry, title: str) -> None:
    blobs = [registry.blob(b"{}", "text/plain", **{TITLE: name}) for name in ("config.json", title)]
    digest = registry.manifest("team/model", blobs)
    before = len(registry.requests)
    with pytest.raises(ArtifactRefused):
        open_artifact(at(registry, digest))
    assert not any("/blobs/" in one.path for one in registry.requests[before:])


def test_a_symlink_in_a_layer(registry: FakeRegistry) -> None:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("weights")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    digest = registry.manifest("team/model", [registry.blob(buffer.getvalue(), IMAGE)])
    with pytest.raises(ArtifactRefused, match="a symbolic link, 'weights'"):
        open_artifact(at(registry, digest))


def test_a_folder_that_oras_pushed(registry: FakeRegistry) -> None:
    for title, inside in (("lib", "lib/a.txt"), ("a/lib", "a/lib/a.txt"), ("a/lib", "lib/a.txt")):
        layer = registry.blob(gzip.compress(tar_of({inside: b"a"})), IMAGE + "+gzip", **{TITLE: title}, **UNPACK)
        assert paths(open_artifact(at(registry, registry.manifest("team/model", [layer])))) == [f"{title}/a.txt"]
    layer = registry.blob(gzip.compress(tar_of({"other/a.txt": b"a"})), IMAGE + "+gzip", **{TITLE: "lib"}, **UNPACK)
    with pytest.raises(ArtifactRefused, match="outside of the folder"):
        open_artifact(at(registry, registry.manifest("team/model", [layer])))


def test_a_titled_archive_stays_an_archive(registry: FakeRegistry) -> None:
    """As `oras pull` does: only the annotation unpacks."""
    layer = registry.blob(tar_of({"a": b"a"}), IMAGE, **{TITLE: "data.tar"})
    assert paths(open_artifact(at(registry, registry.manifest("team/model", [layer])))) == ["data.tar"]


def test_a_modelpack(registry: FakeRegistry) -> None:
    raw = registry.blob(b"w", "application/vnd.cncf.model.weight.v1.raw", org__cncf__model__filepath="w/model.gguf")
    tar = registry.blob(tar_of({"README.md": b"r"}), "application/vnd.cncf.model.doc.v1.tar")
    assert paths(open_artifact(at(registry, registry.manifest("team/model", [raw, tar])))) == ["README.md", "w/model.gguf"]


@pytest.mark.parametrize(
    "kind",
    ["application/octet-stream", KIT + ".model.v1.tar+zstd", IMAGE + "+zstd", "application/vnd.cncf.model.weight.v1.raw"],
)
def test_a_layer_that_nobody_can_place(registry: FakeRegistry, kind: str) -> None:
    digest = registry.manifest("team/model", [registry.blob(b"x", kind)])
    with pytest.raises(ArtifactRefused, match="is of no kind that says where it goes"):
        open_artifact(at(registry, digest))


def test_layers_that_delete_or_overwrite_files(registry: FakeRegistry) -> None:
    first = registry.blob(tar_of({"LICENSE": b"1", "d/": b""}), IMAGE)
    assert open_artifact(at(registry, registry.manifest("t/m", [first, registry.blob(tar_of({"d/x": b"2"}), IMAGE)]), "t/m"))
    for second, says in ((tar_of({"d/.wh.LICENSE": b""}), "deletes files"), (tar_of({"LICENSE": b"2"}), "twice")):
        digest = registry.manifest("team/model", [first, registry.blob(second, IMAGE)])
        with pytest.raises(ArtifactRefused, match=says):
            open_artifact(at(registry, digest))


def kit(registry: FakeRegistry, kitfile: Any, data: bytes = b"") -> str:
    layer = registry.blob(data or tar_of(FILES), KIT + ".code.v1.tar")
    text = json.dumps(kitfile).replace("DIGEST", str(layer["digest"]))
    config = registry.blob(text.encode(), KIT + ".config.v1+json")
    return registry.manifest("team/kit", [layer], config=config)


def test_a_modelkit_that_builds_on_a_tag(registry: FakeRegistry) -> None:
    """`kit unpack` would fetch the other one too, whatever its tag means by then: the digest does not cover it."""
    covered = {"manifestVersion": "1.0.0", "code": [{"path": ".", "digest": "DIGEST"}]}
    assert open_artifact(at(registry, kit(registry, covered), "team/kit"))
    with pytest.raises(ArtifactRefused, match="builds on another one"):
        open_artifact(at(registry, kit(registry, {**covered, "model": {"path": "registry.example/base:v1"}}), "team/kit"))


def test_a_modelkit_whose_kitfile_speaks_of_other_layers(registry: FakeRegistry) -> None:
    with pytest.raises(ArtifactRefused, match="does not know the layer"):
        open_artifact(at(registry, kit(registry, {"code": [{"path": ".", "digest": "sha256:0"}]}), "team/kit"))
    with pytest.raises(ArtifactRefused, match="not a Kitfile"):
        open_artifact(at(registry, kit(registry, []), "team/kit"))


def test_a_modelkit_with_another_config_than_its_digest_says(registry: FakeRegistry) -> None:
    digest = registry.push_modelkit("team/kit", FILES)
    victim = next(one for one, data in registry.blobs.items() if b"manifestVersion" in data)
    registry.blobs[victim] = registry.blobs[victim].replace(b"team", b"evil")
    with pytest.raises(ArtifactRefused, match="other bytes"):
        open_artifact(at(registry, digest, "team/kit"))


def manifest_of(**changes: Any) -> dict[str, Any]:
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schemaVersion": 1}, "schemaVersion"),
        ({"manifests": []}, "says that it is|is served as"),  # CVE-2021-41190: an image to some, an index to others
        ({"mediaType": "application/vnd.oci.image.index.v1+json"}, "says that it is"),
        ({"fsLayers": []}, "not an OCI image manifest"),
        ({"layers": [{"mediaType": "x", "digest": "md5:0", "size": 1}]}, "digest"),
        ({"layers": [{"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": -1}]}, "size"),
        ({"layers": [{"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": "1"}]}, "size"),
        ({"layers": [{"mediaType": "x", "digest": "sha512:" + "0" * 128, "size": 1}]}, "digest"),
        ({"config": None}, "config"),
    ],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense(registry: FakeRegistry, changes: dict[str, Any], says: str) -> None:
    digest = registry.put("team/model", json.dumps(manifest_of(**changes)).encode())
    with pytest.raises(ArtifactRefused, match=says):
        open_artifact(at(registry, digest))


def test_a_manifest_with_a_key_twice(registry: FakeRegistry) -> None:
    text = json.dumps(manifest_of()).replace('"layers": []', '"layers": [], "layers": []')
    with pytest.raises(ArtifactRefused, match="twice"):
        open_artifact(at(registry, registry.put("team/model", text.encode())))


def test_an_index_and_an_artifact_without_files(registry: FakeRegistry) -> None:
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    digest = registry.put("team/model", json.dumps(index).encode(), media_type=index["mediaType"])  # type: ignore[arg-type]
    with pytest.raises(ArtifactRefused, match="index of several manifests"):
        open_artifact(at(registry, digest))
    with pytest.raises(ArtifactRefused, match="holds no file"):
        open_artifact(at(registry, registry.manifest("team/model", [])))


def test_where_else_a_layer_is_said_to_be(registry: FakeRegistry) -> None:
    """Credentials once leaked to the `urls` of a layer (CVE-2020-15157). They are not followed."""
    layer = registry.blob(b"x", "application/octet-stream", **{TITLE: "a"})
    digest = registry.manifest("team/model", [{**layer, "urls": ["https://evil.example/x"]}])
    assert paths(open_artifact(at(registry, digest))) == ["a"]


@pytest.mark.parametrize(
    ("limits", "says"),
    [(Limits(files=1), "layers"), (Limits(bytes=100), "bytes"), (Limits(depth=0), "deep"), (Limits(path_length=12), "long")],
)
def test_every_limit_holds(registry: FakeRegistry, limits: Limits, says: str) -> None:
    digest = registry.push("team/model", FILES)
    with pytest.raises(ArtifactRefused, match=says):
        open_artifact(at(registry, digest), limits=limits)
    packed = registry.push_modelkit("team/kit", FILES, compress=True)
    with pytest.raises(ArtifactRefused):
        open_artifact(at(registry, packed, "team/kit"), limits=replace(limits, bytes=min(limits.bytes, 5000)))


@pytest.mark.parametrize(
    "uri",
    [
        "oci://host", "oci://host/name", "oci://host/Name:v1", "oci://host/name@sha256:00", "oci://host/name@md5:" + "0" * 32,
        "oci://host/../x:v1", "oci://user:secret@host/name:v1", "oci://host/name:v1?x=1", "oci:///name:v1",
    ],
)  # fmt: skip
def test_what_does_not_name_an_artifact(uri: str) -> None:
    with pytest.raises(ArtifactRefused) as refused:
        open_artifact(uri)
    assert "secret" not in str(refused.value)
    assert "@sha256" in refused.value.hint


def test_a_registry_elsewhere_is_asked_by_https_only() -> None:
    assert module._read("oci://registry.example:5000/n:v1").home == "https://registry.example:5000"
    assert module._read("oci://127.0.0.1:5000/n:v1").home == "http://127.0.0.1:5000"
    assert module._read("oci://[::1]:5000/n:v1").home == "http://[::1]:5000"
    assert module._read("oci://localhost.evil.example/n:v1").home == "https://localhost.evil.example"


# Who we are


def test_a_token_for_anybody() -> None:
    with FakeRegistry(token=True) as registry:
        digest = registry.push("team/model", FILES)
        assert open_artifact(at(registry, digest))
        asked = [one for one in registry.requests if one.path == "/token"]
        assert [one.query["scope"] for one in asked] == ["repository:team/model:pull"]
        assert "authorization" not in asked[0].headers


@pytest.mark.parametrize("token", [False, True])
def test_credentials_only_where_they_were_named(token: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with FakeRegistry(user="me", password="pass:word", token=token) as registry:
        digest = registry.push("team/model", FILES)
        with pytest.raises(ArtifactRefused) as denied:
            open_artifact(at(registry, digest))
        assert "PRATIQUE_REGISTRY_AUTH" in denied.value.hint
        monkeypatch.setenv("PRATIQUE_REGISTRY_AUTH", "other.example=me:pass:word")
        with pytest.raises(ArtifactRefused):
            open_artifact(at(registry, digest))
        monkeypatch.setenv("PRATIQUE_REGISTRY_AUTH", f"{registry.host}=me:wrong")
        with pytest.raises(ArtifactRefused):
            open_artifact(at(registry, digest))
        monkeypatch.setenv("PRATIQUE_REGISTRY_AUTH", f"{registry.host}=me:pass:word")
        assert "pass" not in repr(open_artifact(at(registry, digest)))
        monkeypatch.delenv("PRATIQUE_REGISTRY_AUTH")
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {registry.host: {"auth": base64.b64encode(b"me:pass:word").decode()}}}))
        monkeypatch.setenv("PRATIQUE_REGISTRY_CONFIG", str(config))
        assert open_artifact(at(registry, digest))


def test_credentials_that_lie_about_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with FakeRegistry(user="me", password="p") as registry:
        digest = registry.push("team/model", FILES)
        auth = base64.b64encode(b"me:p").decode()
        folder_of(tmp_path, {".docker/config.json": json.dumps({"auths": {registry.host: {"auth": auth}}}).encode()})
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(ArtifactRefused):
            open_artifact(at(registry, digest))


@pytest.mark.parametrize("text", ["{", "[]", '{"credHelpers": {"HOST": "x"}}', '{"auths": {"HOST": {"identitytoken": "x"}}}'])
def test_a_configuration_that_we_cannot_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    with FakeRegistry(user="me", password="p") as registry:
        digest = registry.push("team/model", FILES)
        (tmp_path / "c.json").write_text(text.replace("HOST", registry.host))
        monkeypatch.setenv("PRATIQUE_REGISTRY_CONFIG", str(tmp_path / "c.json"))
        with pytest.raises(UsageError):
            open_artifact(at(registry, digest))
    monkeypatch.setenv("PRATIQUE_REGISTRY_CONFIG", str(tmp_path / "missing.json"))
    with FakeRegistry(user="me", password="p") as registry, pytest.raises(UsageError, match="cannot read"):
        open_artifact(at(registry, registry.push("team/model", FILES)))


@pytest.mark.parametrize(
    "challenge",
    ["", "Negotiate", 'Bearer service="x"', 'Bearer realm="http://evil.example/token"', 'Bearer realm="file:///etc/passwd"'],
)
def test_a_challenge_that_leads_nowhere_good(registry: FakeRegistry, challenge: str) -> None:
    digest = registry.push("team/model", FILES)
    registry.intercept = lambda request: Answer(status=401, headers={"WWW-Authenticate": challenge})
    with pytest.raises(ArtifactRefused):
        open_artifact(at(registry, digest))
    assert len(registry.requests) == 1


def test_a_registry_that_is_never_satisfied() -> None:
    with FakeRegistry(token=True) as registry:
        digest = registry.push("team/model", FILES)
        registry._tokens = type("Nothing", (set,), {"__contains__": lambda self, one: False})()
        with pytest.raises(ArtifactRefused, match="401"):
            open_artifact(at(registry, digest))
        assert len(registry.requests) == 3


def test_layers_that_come_from_elsewhere_are_not_told_the_token() -> None:
    with FakeRegistry(token=True) as registry, FakeRegistry() as storage:
        digest = registry.push("team/model", FILES)
        storage.push("team/model", FILES)

        def away(request: Request) -> Answer | None:
            if "/blobs/" not in request.path:
                return None
            return Answer(status=307, headers={"Location": f"{storage.url}{request.path}"})

        registry.intercept = away
        assert open_artifact(at(registry, digest))
        assert storage.requests
        assert not any("authorization" in one.headers for one in storage.requests)
