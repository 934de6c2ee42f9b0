"""The manifest of a dataset: its tree, what is signed about it, and files against it, all of them or some without the rest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique import documents, manifests, oms, signing
from pratique.artifacts import Entry, Subject, open_artifact
from pratique.errors import (
    ArtifactError,
    Error,
    EvidenceError,
    Malformed,
    SignatureInvalid,
    UsageError,
    WrongSigner,
)
from pratique.manifests import Claim, Manifest, Proof, Signed, Upstream, merkle, verify_file, verify_files, verify_folder
from pratique.signing import INTOTO, KeySigner
from pratique.testing import folder_of
from tests.test_artifacts import coreutils_digest

OWN = (manifests.SIGNATURE, "dataset.manifest.jsonl")
FILES = {f"train/part-{number}.parquet": str(number).encode() * 100 for number in range(7)} | {
    "test/part-0.parquet": b"test", "train-extra.csv": b"x", "a.csv": b"", "zz.csv": b"z", "ü/ \".csv": b"u",
}  # fmt: skip
MOMENT = datetime(2025, 11, 25, 12, 0, tzinfo=timezone.utc)
HEX = "0123456789abcdef" * 4


@pytest.fixture
def dataset(tmp_path: Path, signer: KeySigner) -> Path:
    """A signed dataset."""
    folder = folder_of(tmp_path / "images", FILES)
    (folder / "empty").mkdir()
    manifests.write(folder, signer)
    return folder


@pytest.fixture
def signed(dataset: Path, signer: KeySigner) -> Signed:
    return manifests.signed_in(dataset, [signer.trusted("publisher")])


@pytest.fixture
def manifest(dataset: Path, signed: Signed) -> Manifest:
    return manifests.manifest_in(dataset, signed.claim)


# The tree -----------------------------------------------------------------------------------------------------------------

LEAVES = [bytes.fromhex(one) for one in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize("count", range(1, 9))
def test_the_tree_is_certificate_transparencys(count: int) -> None:
    """The leaves and roots that implementations of RFC 6962 are tested with."""
    assert merkle.build([merkle.leaf(one) for one in LEAVES[:count]])[-1][0].hex() == ROOTS[count - 1]


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


def audit_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*audit_path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), tree_hash(leaves[:k])]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 70), data=st.data())
def test_a_proof_of_any_leaves_leads_to_the_root_and_no_other_does(count: int, data: st.DataObject) -> None:
    leaves = [str(number).encode() for number in range(count)]
    levels = merkle.build([merkle.leaf(one) for one in leaves])
    root = levels[-1][0]
    assert root == tree_hash(leaves)
    wanted = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    hashes = merkle.prove(levels, wanted)
    known = {number: merkle.leaf(leaves[number]) for number in wanted}
    assert merkle.root(count, known, hashes) == root
    one = data.draw(st.sampled_from(sorted(wanted)))
    assert sorted(merkle.prove(levels, [one])) == sorted(audit_path(one, leaves))
    assert merkle.root(count, known | {one: merkle.leaf(b"evil")}, hashes) != root
    if hashes:
        with pytest.raises(Malformed, match="fewer"):
            merkle.root(count, known, hashes[:-1])
    with pytest.raises(Malformed, match="more"):
        merkle.root(count, known, [*hashes, root])
    with pytest.raises(Malformed, match="outside"):
        merkle.root(count, known | {count: root}, hashes)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    """Without the prefixes, a file that holds two hashes would have the root of a dataset of two files."""
    pair = [merkle.leaf(b"a"), merkle.leaf(b"b")]
    assert merkle.build([merkle.leaf(b"".join(pair))])[-1][0] != merkle.build(pair)[-1][0]


# The manifest -------------------------------------------------------------------------------------------------------------


def test_the_manifest_agrees_with_the_digest_of_the_directory(tmp_path: Path, signer: KeySigner) -> None:
    """What policies, evidence and coreutils call the dataset; the manifest's own files do not change it."""
    folder = folder_of(tmp_path / "images", FILES)
    (folder / "empty").mkdir()
    before = manifests.build(folder)
    assert before.directory == open_artifact(folder, kind="dataset").subject.digest == coreutils_digest(folder)
    manifests.write(folder, signer)
    assert manifests.build(folder) == manifests.build(open_artifact(folder, kind="dataset")) == before
    signed = manifests.signed_in(folder, [signer.trusted()])
    assert signed.claim.subject == Subject(digest=before.directory)
    assert (folder / "dataset.manifest.jsonl").read_bytes() == before.data


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\x7f", exclude_categories=("C",)), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=3), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES | st.dictionaries(st.sampled_from(["a", "A", "a/b", "A/c", "a b", "a-", "a/B"]), st.just(b""), min_size=1))
def test_a_manifest_is_read_exactly_if_there_could_be_such_a_folder(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]
) -> None:
    """And then it survives writing and reading, as canonical JSON under the root of RFC 6962."""
    tmp = tmp_path_factory.mktemp("t")
    entries = [Entry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in tree.items()]
    manifest = Manifest.of(entries)
    canonical = [documents.canonical({"path": e.path, "size": e.size, "sha256": e.sha256}) for e in manifest.entries]
    assert manifest.data == b"".join(one + b"\n" for one in canonical)
    assert manifest.root == tree_hash(canonical).hex()
    try:
        there = open_artifact(folder_of(tmp / "m", tree), into=tmp / "s").entries
    except (ArtifactError, OSError):
        with pytest.raises(Malformed):
            Manifest.parse(manifest.data)
    else:
        assert Manifest.parse(manifest.data) == manifest == Manifest.of(there)


LINE = b'{"path":"a","sha256":"' + HEX.encode() + b'","size":1}\n'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        LINE[:-1],
        LINE + b"\n",
        LINE + LINE,
        LINE.replace(b'"a"', b'"b"') + LINE,
        LINE.replace(b":1}", b":1 }"),
        LINE.replace(b":1}", b":01}"),
        LINE.replace(b":1}", b":-1}"),
        LINE.replace(b":1}", b":1.0}"),
        LINE.replace(b":1}", b":1,\"x\":1}"),
        LINE.replace(b'"a"', b'"\\u0061"'),
        LINE.replace(b'"a"', b'"a\\\\b"'),
        LINE.replace(b'"a"', b'"\xff"'),
        LINE.replace(b'"a"', b'"../a"'),
        LINE.replace(b'"a"', b'"/a"'),
        LINE.replace(b'"a"', b'"a//b"'),
        LINE.replace(b'"a"', b'"./a"'),
        LINE.replace(b'"a"', b'"a\x1b[2J"'),
        LINE.replace(b'"a"', b'"' + b"x/" * 40 + b'a"'),
        LINE.replace(b'"a"', b'"a/"'),
        LINE.replace(b'"a"', b'"A"') + LINE,
        LINE + LINE.replace(b'"a"', b'"a/b"'),
        LINE.replace(b'"a"', '"caf\u00e9"'.encode()) + LINE.replace(b'"a"', '"cafe\u0301"'.encode()),
        LINE.replace(HEX.encode(), HEX.upper().encode()),
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_another_spelling_of_a_manifest_is_refused(data: bytes) -> None:
    """Two readers that read two things from one manifest are an attack; there is one spelling."""
    with pytest.raises(Malformed):
        Manifest.parse(data)
    assert Manifest.parse(LINE).entries == (Entry(path="a", size=1, sha256=HEX),)


def test_a_manifest_without_a_file(tmp_path: Path, signer: KeySigner) -> None:
    (tmp_path / "m" / "empty").mkdir(parents=True)
    with pytest.raises(UsageError, match="no file"):
        manifests.write(tmp_path / "m", signer)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="not a folder"):
        manifests.build(tmp_path / "file")


# What is signed -----------------------------------------------------------------------------------------------------------


def claim_of(**more: object) -> Claim:
    given = {
        "subject": Subject(digest="sha256:" + HEX, name="images"), "root": HEX, "count": 100_000, "size": 10**12,
        "manifest": "sha256:" + HEX, "made_at": MOMENT,
    }  # fmt: skip
    return Claim(**{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "claim",
    [
        claim_of(),
        claim_of(previous=HEX[::-1], croissant=Subject(digest="sha256:" + HEX, name="croissant.json")),
        claim_of(upstream=(Upstream(kind="dvc", id="md5:d8e8fca2dc0f896fd7cb4cb0031ba249"),)),
    ],
)
def test_a_claim_survives_signing_and_verifying(claim: Claim, signer: KeySigner) -> None:
    signed = manifests.verify(manifests.claims.sign(claim, signer), [signer.trusted()])
    assert (signed.claim, signed.signers) == (claim, frozenset({signer.trusted().fingerprint}))
    assert signed.claim.subject.name == claim.subject.name
    assert "d8e8fca2dc0f896fd7cb4cb0031ba249" not in json.dumps(
        [one.get("digest") for one in json.loads(claim.statement())["predicate"].get("resolvedDependencies", [])]
    )


def test_the_signature_is_small_whatever_it_covers(signer: KeySigner) -> None:
    entries = [Entry(path=f"part={at % 256:03}/part-{at:06}.parquet", size=1 << 30, sha256=HEX) for at in range(2000)]
    bundle = manifests.sign(Manifest.of(entries), signer, name="images")
    assert len(bundle) < 1024
    assert manifests.verify(bundle, [signer.trusted()]).claim.count == 2000


def test_signed_by_somebody_else(dataset: Path) -> None:
    with pytest.raises(WrongSigner):
        manifests.signed_in(dataset, [KeySigner.generate().trusted()])


def test_a_signature_of_another_kind(dataset: Path, signer: KeySigner) -> None:
    """Each is signed by the right key; neither passes for the other."""
    (dataset / "empty").rmdir()
    with pytest.raises(Malformed, match="something else"):
        manifests.verify(oms.sign(dataset, signer), [signer.trusted()])
    with pytest.raises(Malformed, match="something else"):
        oms.read((dataset / manifests.SIGNATURE).read_bytes(), [signer.trusted()])


def change(**fields: object) -> Callable[[dict[str, object]], object]:
    def edit(statement: dict[str, object]) -> object:
        predicate = dict(statement["predicate"])  # type: ignore[call-overload]
        return {**statement, "predicate": {**predicate, **fields}}

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        change(count=0), change(count="7"), change(bytes=-1), change(root={"sha256": HEX[1:]}), change(root={"md5": HEX}),
        change(madeAt="yesterday"), change(madeAt="2025-11-25T12:00:00"), change(manifest=None), change(previous={}),
        change(resolvedDependencies=[{"uri": "x"}]),
        change(resolvedDependencies=[{"name": "a", "digest": {"sha256": HEX}}] * 2),
        lambda statement: {**statement, "subject": []},
        lambda statement: {**statement, "subject": [{"name": "a", "digest": {"sha256": HEX}}] * 2},
        lambda statement: {**statement, "_type": "https://in-toto.io/Statement/v0.1"},
        lambda statement: [statement],
    ],
)  # fmt: skip
def test_a_claim_that_is_not_in_order(edit: Callable[[dict[str, object]], object], signer: KeySigner) -> None:
    statement = json.loads(claim_of().statement())
    payload = documents.canonical(edit(statement))
    with pytest.raises(Malformed):
        manifests.verify(signing.sign(payload, INTOTO, signer), [signer.trusted()])
    same = documents.canonical(statement)
    assert manifests.verify(signing.sign(same, INTOTO, signer), [signer.trusted()]).claim == claim_of()


@pytest.mark.parametrize("text", ["lakefs", "=x", "Lakefs=x", "lakefs=", "lakefs=a b", "lakefs=a\x1b", "lakefs=" + "x" * 600])
def test_an_upstream_that_says_nothing(text: str) -> None:
    with pytest.raises(UsageError):
        Upstream.parse(text)
    assert Upstream.parse("lakefs=lakefs://lake/4d5f0c/images=1") == Upstream(kind="lakefs", id="lakefs://lake/4d5f0c/images=1")


def test_a_manifest_is_never_overwritten(dataset: Path, signer: KeySigner) -> None:
    with pytest.raises(UsageError, match="never overwritten"):
        manifests.write(dataset, signer)
    (dataset / manifests.SIGNATURE).unlink()
    with pytest.raises(UsageError, match="never overwritten"):
        manifests.write(dataset, signer)
    with pytest.raises(UsageError, match="does not end"):
        manifests.write(dataset, signer, signature="other.sig")


def test_the_manifest_of_another_version(dataset: Path, signed: Signed, signer: KeySigner, tmp_path: Path) -> None:
    """Also signed, by the right publisher; but this statement is not about it."""
    other = folder_of(tmp_path / "other", FILES | {"a.csv": b"!"})
    manifests.write(other, signer, previous=signed.claim.root)
    assert manifests.signed_in(other, [signer.trusted()]).claim.previous == signed.claim.root
    with pytest.raises(SignatureInvalid, match="not the one that was signed"):
        manifests.read((other / "dataset.manifest.jsonl").read_bytes(), signed.claim)


@pytest.mark.parametrize("field", ["root", "count", "size", "subject"])
def test_a_signer_who_contradicts_himself(manifest: Manifest, signed: Signed, field: str) -> None:
    wrong = {"root": HEX, "count": 3, "size": 1, "subject": Subject(digest="sha256:" + HEX)}[field]
    with pytest.raises(SignatureInvalid, match="contradicts"):
        manifests.read(manifest.data, dataclasses.replace(signed.claim, **{field: wrong}))
    assert manifests.read(manifest.data, signed.claim) == manifest


# All files ----------------------------------------------------------------------------------------------------------------


def add_file(folder: Path) -> None:
    (folder / "train" / "evil.py").write_bytes(b"evil")


def add_git_file(folder: Path) -> None:
    folder_of(folder, {".git/hooks/post-checkout": b"evil"})


def add_empty_folder(folder: Path) -> None:
    (folder / "new").mkdir()


def remove_empty_folder(folder: Path) -> None:
    (folder / "empty").rmdir()


def remove_file(folder: Path) -> None:
    (folder / "zz.csv").unlink()


def change_file(folder: Path) -> None:
    (folder / "train" / "part-3.parquet").write_bytes(b"4" * 100)


def change_size(folder: Path) -> None:
    (folder / "train" / "part-3.parquet").write_bytes(b"3" * 101)


def swap_files(folder: Path) -> None:
    (folder / "train" / "part-3.parquet").write_bytes(FILES["train/part-4.parquet"])
    (folder / "train" / "part-4.parquet").write_bytes(FILES["train/part-3.parquet"])


def fill_empty_file(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"!")


ATTACKS = [
    add_file, add_git_file, add_empty_folder, remove_empty_folder, remove_file, change_file, change_size, swap_files,
    fill_empty_file,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_folder_that_is_not_what_was_signed(
    dataset: Path, signed: Signed, manifest: Manifest, attack: Callable[[Path], None]
) -> None:
    verify_folder(dataset, signed.claim, manifest, own=OWN)
    attack(dataset)
    with pytest.raises(SignatureInvalid):
        verify_folder(dataset, signed.claim, manifest, own=OWN)


def test_a_manifest_that_another_claim_is_about(dataset: Path, signed: Signed, manifest: Manifest) -> None:
    other = dataclasses.replace(signed.claim, root=HEX)
    for call in (
        lambda: verify_folder(dataset, other, manifest, own=OWN),
        lambda: verify_file(dataset, "a.csv", other, manifest),
        lambda: verify_file(dataset, "a.csv", dataclasses.replace(signed.claim, count=12), manifest.prove(["a.csv"])),
    ):
        with pytest.raises(EvidenceError):
            call()


# Some files ---------------------------------------------------------------------------------------------------------------


def test_one_file_is_verified_when_it_is_loaded(dataset: Path, signed: Signed, manifest: Manifest, tmp_path: Path) -> None:
    """By a worker who has the file, the signature and some hundred bytes; what was verified is what is loaded."""
    name = "train/part-3.parquet"
    proof = Proof.parse(manifest.prove([name]).data)
    add_file(dataset)  # the rest is of no concern
    copy = verify_file(dataset, name, signed.claim, proof, into=tmp_path / "copy")
    change_file(dataset)
    assert copy.read_bytes() == FILES[name]
    with pytest.raises(SignatureInvalid):
        verify_file(dataset, name, signed.claim, proof, into=tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"images", "copy", "home"}


@pytest.mark.parametrize("size", [change_file, change_size])
def test_a_changed_file_is_refused_alone(
    dataset: Path, signed: Signed, manifest: Manifest, size: Callable[[Path], None]
) -> None:
    size(dataset)
    for source in (manifest, manifest.prove(["train/part-3.parquet", "zz.csv"])):
        verify_file(dataset, "zz.csv", signed.claim, source)
        with pytest.raises(SignatureInvalid, match=r"part-3\.parquet"):
            verify_file(dataset, "train/part-3.parquet", signed.claim, source)


def test_a_file_that_was_not_signed(dataset: Path, signed: Signed, manifest: Manifest) -> None:
    add_file(dataset)
    for name in ("train/evil.py", "train", "../images/a.csv", "", "/a.csv", "empty/x"):
        for source in (manifest, manifest.prove(["a.csv"])):
            with pytest.raises(EvidenceError):
                verify_file(dataset, name, signed.claim, source)
        with pytest.raises(EvidenceError):
            manifest.prove([name])


def test_a_file_behind_a_symbolic_link(dataset: Path, signed: Signed, manifest: Manifest, tmp_path: Path) -> None:
    """The right bytes today; whoever holds the link chooses tomorrow's."""
    (dataset / "zz.csv").rename(tmp_path / "zz.csv")
    (dataset / "zz.csv").symlink_to(tmp_path / "zz.csv")
    (dataset / "train").rename(tmp_path / "train")
    (dataset / "train").symlink_to(tmp_path / "train")
    for name in ("zz.csv", "train/part-3.parquet"):
        with pytest.raises(SignatureInvalid):
            verify_file(dataset, name, signed.claim, manifest)


def test_a_file_that_is_missing(dataset: Path, signed: Signed, manifest: Manifest) -> None:
    remove_file(dataset)
    with pytest.raises(ArtifactError, match=r"cannot read zz\.csv"):
        verify_file(dataset, "zz.csv", signed.claim, manifest)


def test_a_copy_is_never_written_over_something(dataset: Path, signed: Signed, manifest: Manifest, tmp_path: Path) -> None:
    mine = folder_of(tmp_path / "copy", {"a.csv": b"mine"})
    with pytest.raises(UsageError, match="exists"):
        verify_file(dataset, "a.csv", signed.claim, manifest, into=mine)
    assert (mine / "a.csv").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["train/", "test/", "ü/", "empty/"])
def test_a_window_of_files_without_the_rest(dataset: Path, signed: Signed, manifest: Manifest, name: str) -> None:
    proof = Proof.parse(manifest.prove([name]).data)
    found = [one.path for one in verify_files(dataset, [name], signed.claim, proof)]
    assert found == [path for path in sorted(FILES) if path.startswith(name)]
    (dataset / name / "evil.py").write_bytes(b"")
    with pytest.raises(SignatureInvalid, match=r"evil\.py was not signed"):
        verify_files(dataset, [name], signed.claim, proof)


def without(number: int, proof: Proof, manifest: Manifest) -> Proof:
    """A proof, just as valid, that is silent on one entry."""
    left = {at: one for at, one in proof.entries.items() if at != number}
    return Proof(count=proof.count, entries=left, hashes=tuple(merkle.prove(manifest.levels, left)))


@pytest.mark.parametrize("position", [1, 4, 7])
def test_a_file_left_out_of_a_window(dataset: Path, signed: Signed, manifest: Manifest, position: int) -> None:
    """Removed from the folder and from the proof alike: the proof must show that there is nothing in between."""
    proof = manifest.prove(["train/"])
    number = list(proof.entries)[position]
    assert proof.entries[number].path.startswith("train/")
    (dataset / proof.entries[number].path).unlink()
    short = without(number, proof, manifest)
    assert short.root == signed.claim.root
    with pytest.raises(SignatureInvalid, match="does not show"):
        verify_files(dataset, ["train/"], signed.claim, short)


def edited(proof: Proof, **changes: object) -> bytes:
    return documents.canonical({**json.loads(proof.data), **changes})


def test_a_forged_proof(dataset: Path, signed: Signed, manifest: Manifest) -> None:
    honest = manifest.prove(["train/part-3.parquet"])
    document = json.loads(honest.data)
    evil = hashlib.sha256(b"4" * 100).hexdigest()
    change_file(dataset)
    entry = document["entries"][0]
    forgeries = [
        edited(honest, entries=[{**entry, "sha256": evil}]),
        edited(honest, entries=[{**entry, "sha256": evil, "number": 0}]),
        edited(honest, entries=[{**entry, "sha256": evil}], count=1, hashes=[]),
        edited(honest, entries=[{**entry, "sha256": evil}], hashes=[]),
        edited(honest, entries=[{**entry, "sha256": evil}], hashes=document["hashes"][::-1]),
        edited(honest, count=document["count"] - 1),
        edited(honest, count=1 << 70),
        edited(honest, entries=[]),
        edited(honest, entries=[entry, entry]),
        edited(honest, entries=[{**entry, "path": "../x"}]),
        edited(honest, hashes=[one[:-1] for one in document["hashes"]]),
        edited(honest, more=1),
        honest.data.replace(b'"count":', b'"count":1,"count":'),
        b"[]",
        b"",
    ]
    for forgery in forgeries:
        with pytest.raises((EvidenceError, Malformed)):
            verify_file(dataset, "train/part-3.parquet", signed.claim, Proof.parse(forgery))
    (dataset / "train" / "part-3.parquet").write_bytes(FILES["train/part-3.parquet"])
    verify_file(dataset, "train/part-3.parquet", signed.claim, Proof.parse(honest.data))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_of_a_proof_matters(manifest: Manifest, signed: Signed, data: st.DataObject) -> None:
    """Whatever is changed in it: it is refused, leads elsewhere, or says the same."""
    names = data.draw(st.lists(st.sampled_from(sorted(FILES)), min_size=1, max_size=4))
    proof = manifest.prove(names)
    blob = bytearray(proof.data)
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] = data.draw(st.integers(0, 255))
    try:
        other = Proof.parse(bytes(blob))
        assert other.root != signed.claim.root or other.count != signed.claim.count or other == proof
    except Malformed:
        pass


def test_a_proof_is_small(signer: KeySigner) -> None:
    entries = [Entry(path=f"p/{at:05}", size=at, sha256=HEX) for at in range(10_000)]
    manifest = Manifest.of(entries)
    assert len(manifest.prove(["p/05000"]).hashes) <= 14
    window = Manifest.of([dataclasses.replace(one, path=f"{int(one.path[2:]) // 1000}/{one.path[2:]}") for one in entries])
    proof = window.prove(["3/"])
    assert len(proof.entries) == 1002
    assert len(proof.hashes) <= 2 * 14


def test_errors_are_ours_on_an_unreadable_folder(tmp_path: Path, signer: KeySigner) -> None:
    for call in (
        lambda: manifests.signed_in(tmp_path / "nowhere", [signer.trusted()]),
        lambda: manifests.build(tmp_path / "nowhere"),
        lambda: manifests.proof_in(tmp_path / "nowhere"),
    ):
        with pytest.raises(Error):
            call()
