"""The format: what is written can be read by others, what others write can be read, and what is ambiguous is refused."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pratique import documents, oms, signing
from pratique.artifacts import open_artifact, scan
from pratique.errors import (
    ArtifactError,
    ArtifactRefused,
    CheckUnavailable,
    EvidenceError,
    Malformed,
    SignatureInvalid,
    Unsupported,
    UsageError,
    WrongSigner,
)
from pratique.oms import Hashing, manifests, parsing
from pratique.oms.names import LIMITS
from pratique.signing import INTOTO
from pratique.testing import folder_of

from .forging import KEY, OTHER, SUPPLIER, A, B, claim, read, shards, signed, tampered

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


# --- attacks on the manifest, by somebody whose key is trusted --------------------------------------------------------------

LEGACY = {
    "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "a", "digest": {"sha256": A}}],
    "predicateType": "https://model_signing/Digests/v0.1", "predicate": {},
}  # fmt: skip
BUNDLE = signed(claim())
TWICE = json.dumps(claim()).replace('"predicate":', '"predicate": {"resources": []}, "predicate":').encode()

EVIL: dict[str, tuple[str, Any]] = {
    "no file": ("manifest-empty", claim(names=[])),
    "a name twice": ("name-twice", claim(names=["a", "a"])),
    "two spellings of a name": ("name-unusual", claim(names=["./a", "a"])),
    "a folder's two spellings": ("name-unusual", claim(names=["a//b", "a/b"])),
    "not sorted": ("not-sorted", claim(names=["b", "a"])),
    "a path that leaves the folder": ("name-escapes", claim(names=["../outside"])),
    "a path that leaves it later": ("name-escapes", claim(names=["a/../../outside"])),
    "an absolute path": ("name-escapes", claim(names=["/etc/passwd"])),
    "an empty name": ("name-unusual", claim(names=[""])),
    "the folder itself, beside a file": ("name-unusual", claim(names=[".", "a"])),
    "a folder": ("name-unusual", claim(names=["a/"])),
    "a backslash": ("name-unusual", claim(names=["a\\b"])),
    "a terminal's escape": ("name-unusual", claim(names=["\x1b[2Ka"])),
    "half a character": ("malformed-signature", claim(names=["\ud800"])),
    "a name that is too long": ("name-unusual", claim(names=["a" * 1025])),
    "a path that is too deep": ("name-unusual", claim(names=["a/" * 40 + "a"])),
    "names that differ in case": ("name-twins", claim(names=["A", "a"])),
    "folders that differ in case": ("name-twins", claim(names=["A/x", "a/y"])),
    "names that differ in composition": ("name-twins", claim(names=["e\u0301", "\u00e9"])),
    "a file that is a folder": ("name-twice", claim(names=["a", "a/b"])),
    "a root digest that is not theirs": ("root-mismatch", claim(subject__0__digest__sha256=A)),
    "a root digest in capitals": (
        "root-mismatch", claim(subject__0__digest__sha256=claim()["subject"][0]["digest"]["sha256"].upper())
    ),
    "no root digest": ("root-mismatch", claim(subject__0__digest={"sha512": "00"})),
    "swapped digests": ("root-mismatch", claim(predicate__resources__0__digest=B, predicate__resources__1__digest=A)),
    "a short digest": ("malformed-signature", claim(predicate__resources__0__digest=A[:40])),
    "a short digest under a root digest that fits": ("malformed-signature", claim(
        predicate__resources__0__digest=A[:40], subject__0__digest__sha256=hashlib.sha256(bytes.fromhex(A[:40] + B)).hexdigest()
    )),
    "a digest in capitals": ("malformed-signature", claim(predicate__resources__0__digest=A.upper())),
    "a digest with a line break": ("malformed-signature", claim(predicate__resources__0__digest=A + "\n")),
    "two subjects": ("malformed-signature", claim(subject=claim()["subject"] * 2)),
    "no subject": ("malformed-signature", claim(subject=[])),
    "a subject without a name": ("malformed-signature", claim(subject__0__name="")),
    "another predicate": ("wrong-predicate", claim(predicateType="https://slsa.dev/provenance/v1")),
    "a predicate of a later version": ("wrong-predicate", claim(predicateType="https://model_signing/signature/v1.1")),
    "another statement": ("malformed-signature", claim(_type="https://in-toto.io/Statement/v0.1")),
    "an unknown key": ("malformed-signature", claim(predicate__note="x")),
    "an unknown key in the serialization": ("malformed-signature", claim(predicate__serialization__follow="x")),
    "no serialization": ("malformed-signature", claim(predicate__serialization=...)),
    "symlinks as a string": ("malformed-signature", claim(predicate__serialization__allow_symlinks="false")),
    "a name that is a number": ("malformed-signature", claim(predicate__resources__0__name=1)),
    "resources as an object": ("malformed-signature", claim(predicate__resources={"a": A})),
    "a key twice": ("key-twice", TWICE),
    "a list": ("malformed-signature", b"[]"),
    "a string": ("malformed-signature", b'"x"'),
    "nothing": ("malformed-signature", b""),
    "no JSON": ("malformed-signature", b"\xff\xfe"),
    "deep JSON": ("too-deep", b'{"predicate":' * 5000 + b"1" + b"}" * 5000),
    "a number that is none": ("malformed-signature", json.dumps(claim(predicate__note=float("nan"))).encode()),
    "more entries than anybody delivers": ("too-large", claim(names=["a"] * (LIMITS.files + 1))),
    "one file's hash is another": ("mixed-hashes", claim(predicate__resources__0__algorithm="blake2b")),
    "another hash than the files have": ("mixed-hashes", claim(predicate__serialization__hash_type="blake3")),
    "a hash of another length": ("malformed-signature", claim(
        predicate__serialization__hash_type="blake2b", predicate__resources__0__algorithm="blake2b",
        predicate__resources__1__algorithm="blake2b",
    )),
    "a shard size over whole files": ("shards-wrong", claim(predicate__serialization__shard_size=10)),
    "shards without a size": ("shards-wrong", shards(predicate__serialization__shard_size=...)),
    "whole files called shards": ("shards-wrong", claim(
        predicate__serialization__method="shards", predicate__serialization__shard_size=10
    )),
    "half a byte as a shard": ("shards-wrong", shards(predicate__serialization__shard_size=10.5)),
    "no byte as a shard": ("malformed-signature", shards(predicate__serialization__shard_size=0)),
    "a shard of more bytes than a number has": ("malformed-signature", shards(predicate__serialization__shard_size=2**53)),
    "a gap between shards": ("shards-wrong", shards(names=["a:0:10", "a:20:25", "b:0:10"])),
    "bytes that two shards cover": ("shards-wrong", shards(names=["a:0:10", "a:10:20", "a:15:25"])),
    "a shard twice": ("shards-wrong", shards(names=["a:0:10", "a:0:10", "a:10:20"])),
    "a file without its beginning": ("shards-wrong", shards(names=["a:10:20"])),
    "a short shard before the last": ("shards-wrong", shards(names=["a:0:5", "a:5:15"])),
    "a shard that is too long": ("shards-wrong", shards(names=["a:0:11"])),
    "a shard of no byte": ("shards-wrong", shards(names=["a:0:0"])),
    "a shard that ends before it begins": ("shards-wrong", shards(names=["a:10:0"])),
    "numbers spelled otherwise": ("shards-wrong", shards(names=["a:00:10"])),
    "numbers of another script": ("shards-wrong", shards(names=["a:0:\u0661\u0660"])),
    "a number with a sign": ("shards-wrong", shards(names=["a:0:+10"])),
    "a petabyte in shards of a byte": ("shards-wrong", shards(names=["a:0:1", f"a:{10**15 - 1}:{10**15}"], size=1)),
    "shards of a path that leaves the folder": ("name-escapes", shards(names=["../a:0:10"])),
    "shards of names that differ in case": ("name-twins", shards(names=["A:0:10", "a:0:10"])),
    "shards that are not sorted": ("not-sorted", shards(names=["b:0:10", "a:0:10"])),
    "another shard size in a hash's name": ("mixed-hashes", shards(predicate__resources__0__algorithm="sha256-sharded-11")),
}  # fmt: skip


def test_the_twin_of_all_these_is_read() -> None:
    assert read(claim()).entries == {"a": (A,), "b": (B,)}
    assert list(read(claim(names=["a", "b/c"])).entries) == ["a", "b/c"]
    sharded = read(shards())
    assert (sharded.entries, sharded.sizes) == ({"a": (A, B, A), "b": (B,)}, {"a": 25, "b": 10})
    assert read(shards(names=["a:0:5:0:10", "a:0:5:10:15"])).sizes == {"a:0:5": 15}


@pytest.mark.parametrize("name", EVIL)
def test_a_manifest_that_can_be_read_in_two_ways_or_none(name: str) -> None:
    rule, value = EVIL[name]
    with pytest.raises(Malformed) as caught:
        read(value)
    assert (caught.value.rule, isinstance(caught.value, Unsupported)) == (rule, False)
    assert len(str(caught.value)) < 400, "an error is no place for a manifest"


@pytest.mark.parametrize("name", [name for name, (rule, _) in EVIL.items() if rule not in ("name-twins", "name-unusual")])
def test_the_format_as_it_stands_refuses_it_too(name: str) -> None:
    with pytest.raises(Malformed):
        read(EVIL[name][1], oms.FORMAT)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("legacy-format", LEGACY),
        ("unknown-serialization", claim(predicate__serialization__method="magic")),
        ("unknown-serialization", claim(predicate__serialization__hash_type="md5")),
    ],
)
def test_a_manifest_of_a_kind_that_is_not_read(rule: str, value: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as caught:
        read(value)
    assert caught.value.rule == rule


def test_how_early_versions_and_model_signing_spell_it() -> None:
    assert read(claim(names=["."])).is_single_file
    assert read(claim(names=["."])).of_file("m.bin").entries == {"m.bin": (A,)}
    theirs = shards(predicate__serialization__shard_size=10.0)
    for one in theirs["predicate"]["resources"]:
        one["algorithm"] = "sha256-sharded-10"
    spelled, ours = (dataclasses.replace(read(one), witnesses=()) for one in (theirs, shards()))
    assert spelled == ours
    many = [f"w:{start}:{start + 10}" for start in range(0, 200, 10)]
    assert read(shards(names=many)).sizes == read(shards(names=sorted(many))).sizes == {"w": 200}


@pytest.mark.parametrize("names", [["a-b", "a/b"], ["a/b", "a-b"]], ids=["by code points", "folder by folder"])
def test_both_orders_in_use_are_read(names: list[str]) -> None:
    assert list(read(claim(names=names)).entries) == names


def test_signed_ignore_paths_hide_nothing() -> None:
    manifest = read(claim(predicate__serialization__ignore_paths=[".", ".git"]))
    assert manifest.entries == {"a": (A,), "b": (B,)}
    assert read(claim(predicate__serialization__ignore_paths=[".git"])).left_out(".git/x")
    assert not read(claim(predicate__serialization__ignore_paths=[".git"])).left_out(".github")


# --- attacks on the bundle, by anybody ----------------------------------------------------------------------------------------


def test_somebody_elses_signature() -> None:
    with pytest.raises(WrongSigner):
        oms.read(signing.sign(json.dumps(claim()).encode(), INTOTO, OTHER), [SUPPLIER])


def test_a_changed_manifest_under_the_suppliers_name() -> None:
    with pytest.raises(SignatureInvalid, match="supplier"):
        oms.read(tampered(BUNDLE, payload=base64.b64encode(json.dumps(claim(names=["a"])).encode()).decode()), [SUPPLIER])


def test_a_second_junk_signature() -> None:
    signatures = json.loads(signed(claim()))["dsseEnvelope"]["signatures"]
    for extra in ([{"sig": "anVuaw=="}], signatures, json.loads(signed(claim()))["dsseEnvelope"]["signatures"]):
        for order in (signatures + extra, extra + signatures):
            with pytest.raises(Malformed, match="2 signatures, but only 1"):
                oms.read(tampered(BUNDLE, signatures=order), [SUPPLIER])


def test_another_payload_type_is_no_manifest() -> None:
    with pytest.raises(Malformed):
        oms.read(signing.sign(json.dumps(claim()).encode(), "text/plain", KEY), [SUPPLIER])


def test_base64_spelled_otherwise() -> None:
    payload = json.loads(signed(claim()))["dsseEnvelope"]["payload"]
    for spelling in (payload + "\n", payload + "====", payload.replace("+", "-").replace("/", "_") + " ", "*" + payload):
        with pytest.raises(Malformed):
            oms.read(tampered(BUNDLE, payload=spelling), [SUPPLIER])


@pytest.mark.parametrize("data", [b"", b"{}", b"not json", b"\x00" * 64, b" " * (documents.MAX_BYTES + 1)], ids=range(5))
def test_no_bundle_at_all(data: bytes) -> None:
    with pytest.raises(Malformed):
        oms.read(data, [SUPPLIER])


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


def test_a_single_file_is_signed_by_its_name(folder: Path) -> None:
    one = folder / "config.json"
    written = oms.write_signature(one, KEY)
    assert written == folder / "config.json.sig"
    manifest = oms.verify(one, written.read_bytes(), [SUPPLIER])
    assert (manifest.model, manifest.entries, manifest.ignore_paths) == ("config.json", digests({"config.json": b"{}"}), ())
    assert manifest == oms.read(oms.sign(open_artifact(one), KEY), [SUPPLIER])
    with pytest.raises(ArtifactError, match="there is nothing"):
        oms.sign(folder / "missing", KEY)


def test_an_empty_file_is_not_signed_in_shards(folder: Path) -> None:
    how = Hashing(shard_size=10)
    with pytest.raises(UsageError, match="empty is an empty file, which shards cannot cover"):
        oms.sign(folder, KEY, hashing=how)
    (folder / "empty").unlink()
    assert "empty" not in oms.read(oms.sign(folder, KEY, hashing=how), [SUPPLIER]).entries


def test_what_is_left_out_is_named_path_by_path(folder: Path) -> None:
    manifest = oms.read(oms.sign(folder, KEY, ignore=["a/", "./config.json"]), [SUPPLIER])
    assert manifest.entries.keys() == FILES.keys() - {"a/b/deep.txt", "config.json"}
    assert manifest.ignore_paths == ("a", "config.json", "model.sig")
    for nonsense in ("*.json", "../x", "/etc", "", "."):
        with pytest.raises(UsageError):
            oms.sign(folder, KEY, ignore=[nonsense])
    with pytest.raises(UsageError, match="nothing to sign"):
        oms.sign(folder, KEY, ignore=list(FILES))


@pytest.mark.parametrize("hashing", [{"hash_type": "md5"}, {"shard_size": -1}, {"shard_size": 2**53}], ids=str)
def test_a_hashing_that_nobody_knows(hashing: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Hashing(**hashing)


def test_a_hash_whose_package_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = oms.sign(folder, KEY, hashing=Hashing(hash_type="blake3"))
    monkeypatch.setitem(sys.modules, "blake3", None)
    for attempt in (
        lambda: oms.sign(folder, KEY, hashing=Hashing(hash_type="blake3")),
        lambda: oms.verify(folder, bundle, [SUPPLIER]),
    ):
        with pytest.raises(CheckUnavailable) as caught:
            attempt()
        assert caught.value.hint == "pip install 'pratique[blake3]'"


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREE, hash_type=st.sampled_from(["sha256", "blake2b", "blake3"]), shard_size=st.sampled_from([0, 1, 7, 1000]))
def test_any_folder_that_can_be_signed_is_read_back(tree: dict[str, bytes], hash_type: str, shard_size: int) -> None:
    how = Hashing(hash_type=hash_type, shard_size=shard_size)
    with tempfile.TemporaryDirectory() as place:
        try:
            folder = folder_of(Path(place) / "m", tree)
            bundle = oms.sign(folder, KEY, signature="", hashing=how)
        except (OSError, ArtifactRefused, UsageError):  # a file where a folder should be, twins, in shards an empty file
            assume(False)
        manifest = oms.verify(folder, bundle, [SUPPLIER])
        assert (manifest.hashing, manifest.entries.keys()) == (how, tree.keys())
        if how.is_ours:
            assert manifest.entries == {entry.path: (entry.sha256,) for entry in scan(folder)} == digests(tree)
        for path, data in tree.items():
            parts = [data[start : start + shard_size] for start in range(0, len(data), shard_size)] if shard_size else [data]
            assert manifest.entries[path] == tuple(hexdigest(hash_type, part) for part in parts)


def hexdigest(hash_type: str, data: bytes) -> str:
    return str(blake3(data).hexdigest() if hash_type == "blake3" else hashlib.new(hash_type, data).hexdigest())


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
