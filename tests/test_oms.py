"""The format: what is written can be read by others, what others write can be read, and what is ambiguous is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pratique import documents, oms, signing
from pratique.artifacts import open_artifact, scan
from pratique.errors import (
    ArtifactRefused,
    EvidenceError,
    Malformed,
    SignatureInvalid,
    Unsupported,
    UsageError,
    WrongSigner,
)
from pratique.oms import manifests, parsing
from pratique.signing import INTOTO, KeySigner
from pratique.testing import folder_of

KEY, OTHER = KeySigner.generate(), KeySigner.generate()
SUPPLIER = KEY.trusted("supplier")
A, B = (hashlib.sha256(data).hexdigest() for data in (b"a", b"b"))
FILES = {
    "weights.safetensors": b"\x00\x01",
    "config.json": b"{}",
    "empty": b"",
    "a/b/deep.txt": b"deep",
    "a-b": b"sorts before a/b by code points, after it folder by folder",
    "größe/日本語 🙂.txt": b"unicode",
    "with space/and:colon.bin": b"1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "base-model", FILES)


def digests(files: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    return {name: (hashlib.sha256(data).hexdigest(),) for name, data in files.items()}


def claim(names: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    """A statement as a careless or malicious, but trusted, signer may make it."""
    files = {"a": (A,), "b": (B,)} if names is None else {"a": (A,)}
    value: dict[str, Any] = json.loads(manifests.statement("m", files, ignore_paths=["model.sig"]))
    if names is not None:
        value["predicate"]["resources"] = [{"name": name, "digest": A, "algorithm": "sha256"} for name in names]
        value["subject"][0]["digest"]["sha256"] = hashlib.sha256(bytes.fromhex(A) * len(names)).hexdigest()
    for path, change in changes.items():
        part, *keys, last = (value, *path.split("__"))
        for key in keys:
            part = part[int(key) if key.isdigit() else key]
        if change is ...:
            del part[last]
        else:
            part[last] = change
    return value


def signed(value: Any) -> bytes:
    return signing.sign(value if isinstance(value, bytes) else json.dumps(value).encode(), INTOTO, KEY)


def read(value: Any) -> oms.Manifest:
    return oms.read(signed(value), [SUPPLIER])


# --- honest -------------------------------------------------------------------------------------------------------------


def test_what_is_signed_is_read(folder: Path) -> None:
    written = oms.write_signature(folder, KEY)
    manifest = oms.read(written.read_bytes(), [SUPPLIER])
    assert written == folder / "model.sig"
    assert dict(manifest.entries) == digests(FILES)
    assert (manifest.model, manifest.ignore_paths) == ("base-model", ("model.sig",))
    assert manifest.signers == {SUPPLIER.fingerprint}


def test_an_artifact_is_signed_as_its_folder_is(folder: Path) -> None:
    by_artifact = oms.read(oms.sign(open_artifact(folder, kind="dataset"), KEY), [SUPPLIER])
    assert by_artifact == oms.read(oms.sign(folder, KEY), [SUPPLIER])


def test_a_detached_signature_leaves_the_folder_alone(folder: Path, tmp_path: Path) -> None:
    for name in (tmp_path / "absolute.sig", "../relative.sig"):
        written = oms.write_signature(folder, KEY, name=name)
        assert written.parent == tmp_path
        manifest = oms.read(written.read_bytes(), [SUPPLIER])
        assert (dict(manifest.entries), manifest.ignore_paths) == (digests(FILES), ())


def test_gits_own_files_are_signed(folder: Path) -> None:
    folder_of(folder, {".gitattributes": b"*", ".git/config": b"x", ".github/w.yml": b"x"})
    assert {".gitattributes", ".git/config", ".github/w.yml"} < oms.read(oms.sign(folder, KEY), [SUPPLIER]).entries.keys()


def test_the_root_digest_is_that_of_the_published_test_vector() -> None:
    """ossf/model-signing-spec, test-vectors/v1.0/valid/key.bundle.json."""
    first = "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc"
    second = "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028"
    payload = manifests.statement("model", {"signme-1": (first,), "signme-2": (second,)}, ignore_paths=[])
    root = json.loads(payload)["subject"][0]["digest"]["sha256"]
    assert root == "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"


def test_a_signature_by_two_trusted_keys() -> None:
    bundle, second = (json.loads(signing.sign(json.dumps(claim()).encode(), INTOTO, key)) for key in (KEY, OTHER))
    bundle["dsseEnvelope"]["signatures"] += second["dsseEnvelope"]["signatures"]
    manifest = oms.read(json.dumps(bundle).encode(), [SUPPLIER, OTHER.trusted("auditor")])
    assert manifest.signers == {SUPPLIER.fingerprint, OTHER.trusted().fingerprint}


@pytest.mark.parametrize(
    "changes",
    [
        {"predicate__serialization__ignore_paths": ...},
        {"predicate__serialization__allow_symlinks": True},
        {"predicate__resources__0__media_type": "text/plain"},
        {"subject__0__digest__sha512": "00"},
        {"subject__0__name": "model"},
    ],
    ids=str,
)
def test_what_the_specification_allows_is_read(changes: dict[str, Any]) -> None:
    assert read(claim(**changes)).entries == {"a": (A,), "b": (B,)}


@pytest.mark.parametrize("keyid", ["", None, "supplier", ...])
def test_any_key_id_is_read_and_decides_nothing(keyid: Any) -> None:
    bundle = json.loads(signed(claim()))
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = keyid
    if keyid is ...:
        del bundle["dsseEnvelope"]["signatures"][0]["keyid"]
    assert oms.read(json.dumps(bundle).encode(), [SUPPLIER]).entries == {"a": (A,), "b": (B,)}


# --- with model-signing 1.1.1, both ways ----------------------------------------------------------------------------------


def key_files(folder: Path, curve: str) -> tuple[KeySigner, Path, Path]:
    key = KeySigner.generate(curve)
    public = key.save(folder / f"{curve}.key")
    return key, folder / f"{curve}.key", public


def their_signature(folder: Path, private: Path, target: Path, hashing: Any = None) -> bytes:
    from model_signing import hashing as theirs
    from model_signing import signing as their_signing

    config = hashing or theirs.Config().set_ignored_paths(paths=["model.sig"])
    their_signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(config).sign(folder, target)
    return target.read_bytes()


def they_verify(folder: Path, signature: Path, public: Path, hashing: Any = None) -> None:
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=public)
    (config.set_hashing_config(hashing) if hashing else config).verify(folder, signature)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_they_verify_what_we_sign(folder: Path, tmp_path: Path, curve: str) -> None:
    key, _, public = key_files(tmp_path, curve)
    inside, detached = oms.write_signature(folder, key), tmp_path / "detached.sig"
    they_verify(folder, inside, public)
    inside.unlink()
    they_verify(folder, oms.write_signature(folder, key, name=detached), public)
    (folder / "config.json").write_bytes(b"{} ")
    with pytest.raises(ValueError, match=r"Hash mismatch for 'config\.json'"):
        they_verify(folder, detached, public)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_we_read_what_they_sign(folder: Path, tmp_path: Path, curve: str) -> None:
    key, private, _ = key_files(tmp_path, curve)
    bundle = their_signature(folder, private, folder / "model.sig")
    manifest = oms.read(bundle, [key.trusted("supplier")])
    assert dict(manifest.entries) == digests(FILES)
    assert manifest.model == "base-model"
    assert set(manifest.ignore_paths) == {"model.sig", ".git", ".gitattributes", ".github", ".gitignore"}
    with pytest.raises(WrongSigner):
        oms.read(bundle, [SUPPLIER])


def test_they_verify_gits_own_files_if_told_to(folder: Path, tmp_path: Path) -> None:
    from model_signing import hashing

    folder_of(folder, {".gitattributes": b"*"})
    _, private, public = key_files(tmp_path, "P-256")
    signature = oms.write_signature(folder, KeySigner.load(private))
    with pytest.raises(ValueError, match="Missing files"):
        they_verify(folder, signature, public)
    whole = hashing.Config().set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    they_verify(folder, signature, public, whole)


@pytest.mark.parametrize("how", ["blake2", "blake3", "shards"])
def test_their_other_hashes_and_shards_are_refused_by_name(folder: Path, tmp_path: Path, how: Any) -> None:
    from model_signing import hashing

    key, private, _ = key_files(tmp_path, "P-256")
    (folder / "with space" / "and:colon.bin").unlink()  # which their shards cannot name
    config = hashing.Config()
    config = config.use_shard_serialization() if how == "shards" else config.use_file_serialization(hashing_algorithm=how)
    bundle = their_signature(folder, private, tmp_path / "s.sig", config)
    with pytest.raises(Unsupported, match=r"only (sha256 is|whole files are) read"):
        oms.read(bundle, [key.trusted("supplier")])


def test_their_signature_over_a_single_file_is_refused(tmp_path: Path) -> None:
    key, private, _ = key_files(tmp_path, "P-256")
    (tmp_path / "one.bin").write_bytes(b"1")
    bundle = their_signature(tmp_path / "one.bin", private, tmp_path / "one.sig")
    with pytest.raises(Malformed, match=r"'\.', which is no normal relative path"):
        oms.read(bundle, [key.trusted("supplier")])


def test_the_key_is_named_as_they_name_it(tmp_path: Path, folder: Path) -> None:
    key, private, public = key_files(tmp_path, "P-256")
    ours, theirs = json.loads(oms.sign(folder, key)), json.loads(their_signature(folder, private, tmp_path / "s.sig"))
    assert ours["verificationMaterial"] == theirs["verificationMaterial"]
    assert ours["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(public.read_bytes()).hexdigest()
    assert public.read_bytes() == key.public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


# --- attacks on the manifest, by somebody whose key is trusted --------------------------------------------------------------

LEGACY = {
    "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "a", "digest": {"sha256": A}}],
    "predicateType": "https://model_signing/Digests/v0.1", "predicate": {},
}  # fmt: skip
TWICE = json.dumps(claim()).replace('"predicate":', '"predicate": {"resources": []}, "predicate":').encode()

EVIL: dict[str, Any] = {
    "no file": claim(names=[]),
    "a name twice": claim(names=["a", "a"]),
    "two spellings of a name": claim(names=["./a", "a"]),
    "a folder's two spellings": claim(names=["a//b", "a/b"]),
    "not sorted": claim(names=["b", "a"]),
    "a path that leaves the folder": claim(names=["../outside"]),
    "a path that leaves it later": claim(names=["a/../../outside"]),
    "an absolute path": claim(names=["/etc/passwd"]),
    "an empty name": claim(names=[""]),
    "the folder itself": claim(names=["."]),
    "a folder": claim(names=["a/"]),
    "a backslash": claim(names=["a\\b"]),
    "a terminal's escape": claim(names=["\x1b[2Ka"]),
    "half a character": claim(names=["\ud800"]),
    "a name that is too long": claim(names=["a" * 1025]),
    "a path that is too deep": claim(names=["a/" * 40 + "a"]),
    "names that differ in case": claim(names=["A", "a"]),
    "folders that differ in case": claim(names=["A/x", "a/y"]),
    "names that differ in composition": claim(names=["e\u0301", "\u00e9"]),
    "a file that is a folder": claim(names=["a", "a/b"]),
    "a root digest that is not theirs": claim(subject__0__digest__sha256=A),
    "a root digest in capitals": claim(subject__0__digest__sha256=claim()["subject"][0]["digest"]["sha256"].upper()),
    "no root digest": claim(subject__0__digest={"sha512": "00"}),
    "swapped digests": claim(predicate__resources__0__digest=B, predicate__resources__1__digest=A),
    "a short digest": claim(predicate__resources__0__digest=A[:40]),
    "a short digest under a root digest that fits": claim(
        predicate__resources__0__digest=A[:40], subject__0__digest__sha256=hashlib.sha256(bytes.fromhex(A[:40] + B)).hexdigest()
    ),
    "a digest in capitals": claim(predicate__resources__0__digest=A.upper()),
    "a digest with a line break": claim(predicate__resources__0__digest=A + "\n"),
    "two subjects": claim(subject=claim()["subject"] * 2),
    "no subject": claim(subject=[]),
    "a subject without a name": claim(subject__0__name=""),
    "another predicate": claim(predicateType="https://slsa.dev/provenance/v1"),
    "a predicate of a later version": claim(predicateType="https://model_signing/signature/v1.1"),
    "another statement": claim(_type="https://in-toto.io/Statement/v0.1"),
    "an unknown key": claim(predicate__note="x"),
    "an unknown key in the serialization": claim(predicate__serialization__follow="x"),
    "no serialization": claim(predicate__serialization=...),
    "a shard size over whole files": claim(predicate__serialization__shard_size=10),
    "symlinks as a string": claim(predicate__serialization__allow_symlinks="false"),
    "a name that is a number": claim(predicate__resources__0__name=1),
    "resources as an object": claim(predicate__resources={"a": A}),
    "a key twice": TWICE,
    "a list": b"[]",
    "a string": b'"x"',
    "nothing": b"",
    "no JSON": b"\xff\xfe",
    "deep JSON": b'{"predicate":' * 5000 + b"1" + b"}" * 5000,
    "a number that is none": json.dumps(claim(predicate__note=float("nan"))).encode(),
}  # fmt: skip


def test_the_twin_of_all_these_is_read() -> None:
    assert read(claim()).entries == {"a": (A,), "b": (B,)}
    assert list(read(claim(names=["a", "b/c"])).entries) == ["a", "b/c"]


@pytest.mark.parametrize("name", EVIL)
def test_a_manifest_that_can_be_read_in_two_ways_or_none(name: str) -> None:
    with pytest.raises(Malformed) as caught:
        read(EVIL[name])
    assert not isinstance(caught.value, Unsupported)


@pytest.mark.parametrize(
    "value",
    [
        LEGACY,
        claim(predicate__serialization__hash_type="blake3"),
        claim(predicate__resources__0__algorithm="blake2b"),
        claim(predicate__serialization__method="shards", predicate__serialization__shard_size=1e9),
        claim(predicate__serialization__method="magic"),
        claim(predicate__serialization__hash_type="md5"),
    ],
    ids=["legacy", "hash type", "one file's hash", "shards", "unknown method", "unknown hash"],
)
def test_a_manifest_of_a_kind_that_is_not_read(value: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        read(value)


@pytest.mark.parametrize("names", [["a-b", "a/b"], ["a/b", "a-b"]], ids=["by code points", "folder by folder"])
def test_both_orders_in_use_are_read(names: list[str]) -> None:
    assert list(read(claim(names=names)).entries) == names


def test_signed_ignore_paths_hide_nothing() -> None:
    manifest = read(claim(predicate__serialization__ignore_paths=[".", ".git"]))
    assert manifest.entries == {"a": (A,), "b": (B,)}
    assert read(claim(predicate__serialization__ignore_paths=[".git"])).left_out(".git/x")
    assert not read(claim(predicate__serialization__ignore_paths=[".git"])).left_out(".github")


# --- attacks on the bundle, by anybody ----------------------------------------------------------------------------------------


def tampered(**changes: Any) -> bytes:
    bundle = json.loads(signed(claim()))
    bundle["dsseEnvelope"].update(changes)
    return json.dumps(bundle).encode()


def test_somebody_elses_signature() -> None:
    with pytest.raises(WrongSigner):
        oms.read(signing.sign(json.dumps(claim()).encode(), INTOTO, OTHER), [SUPPLIER])


def test_a_changed_manifest_under_the_suppliers_name() -> None:
    with pytest.raises(SignatureInvalid, match="supplier"):
        oms.read(tampered(payload=base64.b64encode(json.dumps(claim(names=["a"])).encode()).decode()), [SUPPLIER])


def test_a_second_junk_signature() -> None:
    signatures = json.loads(signed(claim()))["dsseEnvelope"]["signatures"]
    for extra in ([{"sig": "anVuaw=="}], signatures, json.loads(signed(claim()))["dsseEnvelope"]["signatures"]):
        for order in (signatures + extra, extra + signatures):
            with pytest.raises(Malformed, match="2 signatures, but only 1"):
                oms.read(tampered(signatures=order), [SUPPLIER])


def test_another_payload_type_is_no_manifest() -> None:
    with pytest.raises(Malformed):
        oms.read(signing.sign(json.dumps(claim()).encode(), "text/plain", KEY), [SUPPLIER])


def test_base64_spelled_otherwise() -> None:
    payload = json.loads(signed(claim()))["dsseEnvelope"]["payload"]
    for spelling in (payload + "\n", payload + "====", payload.replace("+", "-").replace("/", "_") + " ", "*" + payload):
        with pytest.raises(Malformed):
            oms.read(tampered(payload=spelling), [SUPPLIER])


@pytest.mark.parametrize("data", [b"", b"{}", b"not json", b"\x00" * 64, b" " * (documents.MAX_BYTES + 1)], ids=range(5))
def test_no_bundle_at_all(data: bytes) -> None:
    with pytest.raises(Malformed):
        oms.read(data, [SUPPLIER])


BUNDLE = signed(claim())


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_signature_says_anything_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BUNDLE) - 1))
    mutated = BUNDLE[:at] + data.draw(st.binary(max_size=3)) + BUNDLE[at + data.draw(st.integers(0, 3)) :]
    try:
        manifest = oms.read(mutated, [SUPPLIER])
    except EvidenceError:
        return
    assert manifest == oms.read(BUNDLE, [SUPPLIER])


@pytest.mark.parametrize("cut", [1, 10, 100, len(BUNDLE) // 2, len(BUNDLE) - 1])
def test_a_truncated_signature(cut: int) -> None:
    with pytest.raises(Malformed):
        oms.read(BUNDLE[:cut], [SUPPLIER])


def test_who_a_bundle_claims_to_be_from() -> None:
    assert signing.hint(KEY.public)[:16] in oms.claimed_signer(BUNDLE)
    bundle = json.loads(BUNDLE)
    for material, said in (
        ({"certificate": {"rawBytes": "AA=="}, "tlogEntries": []}, "a certificate"),
        ({"publicKey": {"hint": "\x1b[2K the supplier"}}, "does not name"),
        ({"publicKey": {"rawBytes": "AA=="}}, "does not name"),
    ):
        assert said in oms.claimed_signer(json.dumps({**bundle, "verificationMaterial": material}).encode())


# --- what cannot be signed ----------------------------------------------------------------------------------------------------


def test_a_signature_is_never_overwritten(folder: Path) -> None:
    before = oms.write_signature(folder, KEY).read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        oms.write_signature(folder, OTHER)
    assert (folder / "model.sig").read_bytes() == before


def test_a_dangling_link_in_the_signatures_place(folder: Path, tmp_path: Path) -> None:
    (folder / "model.sig").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists"):
        oms.write_signature(folder, KEY)
    assert not (tmp_path / "elsewhere").exists()


def test_an_older_signature_is_not_signed_again(folder: Path) -> None:
    oms.write_signature(folder, KEY)
    assert "model.sig" not in oms.read(oms.sign(folder, OTHER), [OTHER.trusted()]).entries


def test_a_signature_where_it_cannot_be_written(folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        oms.write_signature(folder, KEY, name="no/such/folder/model.sig")


def test_a_single_file_is_not_signed(folder: Path) -> None:
    for what in (folder / "empty", open_artifact(folder / "config.json"), folder / "missing"):
        with pytest.raises(UsageError, match="is not a folder"):
            oms.sign(what, KEY)


def test_an_empty_folder_inside_is_not_signed(folder: Path) -> None:
    (folder / "a" / "nothing").mkdir()
    with pytest.raises(UsageError, match="a/nothing/ is an empty folder"):
        oms.write_signature(folder, KEY)
    assert not (folder / "model.sig").exists()


def test_nothing_is_not_signed(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="nothing to sign"):
        oms.sign(tmp_path / "nothing", KEY)
    folder_of(tmp_path / "only", {"model.sig": b"old"})
    with pytest.raises(UsageError, match="nothing to sign"):
        oms.sign(tmp_path / "only", KEY)


def test_a_link_is_not_signed(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        oms.sign(folder, KEY)


def test_a_signature_that_nobody_could_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match="too large"):
        oms.sign(folder, KEY)


# --- laws ---------------------------------------------------------------------------------------------------------------------

PART = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\"), min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..") and len(part.encode()) < 60
)
TREE = st.dictionaries(st.lists(PART, min_size=1, max_size=4).map("/".join), st.binary(max_size=20), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREE)
def test_any_folder_that_can_be_signed_is_read_back(tree: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        try:
            folder = folder_of(Path(place) / "m", tree)
            manifest = oms.read(oms.sign(folder, KEY, signature=""), [SUPPLIER])
        except (OSError, ArtifactRefused):  # a file where a folder should be, or names that are twins: not signed at all
            assume(False)
        assert manifest.entries == {entry.path: (entry.sha256,) for entry in scan(folder)} == digests(tree)


@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.text(max_size=6) | st.sampled_from(["a", "A", "a/b", "../a", "a/"]), unique=True, min_size=1, max_size=5)
)
def test_whatever_the_names_they_are_read_as_written_or_refused(names: list[str]) -> None:
    try:
        written = manifests.statement("m", dict.fromkeys(names, (A,)), ignore_paths=[])
    except Malformed:
        with pytest.raises(Malformed):
            read(claim(names=sorted(names)))
        return
    assert set(parsing.parse(written, frozenset({"x"}), what="it").entries) == set(names)
