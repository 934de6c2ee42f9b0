"""Deliveries in every form of the format: hashes, shards, single files, detached signatures; and each lenience by its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique import artifacts, checking, gate, oms, signing
from pratique.artifacts import open_artifact
from pratique.checking import Report, Setting, Severity
from pratique.checks.provenance import provenance
from pratique.checks.provenance.previewing import DEAR
from pratique.errors import ArtifactRefused, CheckUnavailable, PolicyError, UsageError
from pratique.oms import Allow, Hashing
from pratique.policies import Policy
from pratique.signing import KeySigner
from pratique.store import Store
from pratique.testing import assert_check_contract, folder_of

from ..forging import KEY, SUPPLIER, signed, statement_of

SETTING = Setting(trust={"supplier": SUPPLIER})
FILES = {"weights.bin": bytes(range(250)) * 10, "config.json": b'{"layers": 2}', "vocab/words.txt": b"a b c"}
HASHINGS = [
    Hashing(), Hashing(hash_type="blake2b"), Hashing(hash_type="blake3"), Hashing(shard_size=1000),
    Hashing(hash_type="blake3", shard_size=999),
]  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "base-model", FILES)


def look(folder: Path, *, kind: Any = "model", **options: Any) -> Report:
    asked = checking.options_for(provenance, {"signers": ["supplier"], **options}, SETTING)
    return checking.run(provenance, open_artifact(folder, kind=kind), asked)


def rules(report: Report) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in report.findings]


# --- every hash, whole files and shards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("hashing", HASHINGS, ids=str)
def test_an_honest_delivery(model: Path, tmp_path: Path, hashing: Hashing) -> None:
    oms.write_signature(model, KEY, hashing=hashing)
    report = assert_check_contract(
        provenance, good=model, work=tmp_path / "work", options={"signers": ["supplier"]}, setting=SETTING
    )
    assert report.findings == ()
    assert report.measures["signed_files"] == 3


@pytest.mark.parametrize("hashing", HASHINGS, ids=str)
def test_what_was_done_to_a_delivery(model: Path, hashing: Hashing) -> None:
    oms.write_signature(model, KEY, hashing=hashing)
    (model / "weights.bin").write_bytes(bytes(range(250)) * 9 + bytes(250))
    (model / "config.json").unlink()
    folder_of(model, {"evil.py": b"import os", ".git/config": b"[core]"})
    (model / "empty").mkdir()
    report = look(model)
    assert rules(report) == [
        ("file-changed", "weights.bin"), ("file-missing", "config.json"), ("file-unsigned", "evil.py"),
        ("git-file-unsigned", ".git/config"), ("empty-directory", "empty/"),
    ]  # fmt: skip
    said = report.findings[0].message
    assert (f"from {1998 if hashing.shard_size == 999 else 2000:,} on" in said) == bool(hashing.shard_size)
    assert (f"its {hashing.hash_type} is" in said) == (not hashing.shard_size)
    assert (report.measures["changed_files"], report.measures["unsigned_files"]) == (1, 2)


def test_a_file_that_grew_under_shards(model: Path) -> None:
    oms.write_signature(model, KEY, hashing=Hashing(shard_size=1000))
    (model / "config.json").write_bytes(FILES["config.json"] + b" ")
    (found,) = look(model).findings
    assert (found.rule, "it has 14 bytes, signed were 13" in found.message) == ("file-changed", True)


def test_an_empty_file_that_came_under_shards(model: Path) -> None:
    """No shard covers it, and it may be code: `__init__.py` makes a package of a folder."""
    oms.write_signature(model, KEY, hashing=Hashing(shard_size=1000))
    folder_of(model, {"vocab/__init__.py": b""})
    (found,) = look(model).findings
    assert (found.rule, found.where) == ("empty-file-unsigned", "vocab/__init__.py")
    assert "whole files" in found.fix
    (model / "model.sig").unlink()
    oms.write_signature(model, KEY)
    assert look(model).findings == ()
    (model / "vocab" / "__init__.py").unlink()
    assert rules(look(model)) == [("file-missing", "vocab/__init__.py")]


def test_two_files_that_swapped_their_names_under_shards(model: Path) -> None:
    folder_of(model, {"other.bin": bytes(2500)})
    oms.write_signature(model, KEY, hashing=Hashing(shard_size=1000))
    for old, new in (("other.bin", "x"), ("weights.bin", "other.bin"), ("x", "weights.bin")):
        (model / old).rename(model / new)
    report = look(model)
    assert rules(report) == [("file-changed", "other.bin"), ("file-changed", "weights.bin")]
    assert "holds what was signed as weights.bin" in report.findings[0].message


def test_a_hash_whose_package_is_missing_is_no_evidence(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    oms.write_signature(model, KEY, hashing=Hashing(hash_type="blake3"))
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(CheckUnavailable, match="need the package blake3"):
        look(model)


# --- single files, and signatures that lie elsewhere --------------------------------------------------------------------------


def test_a_single_file_with_its_signature_beside_it(tmp_path: Path) -> None:
    one = folder_of(tmp_path, {"model.bin": b"1"}) / "model.bin"
    signature = oms.write_signature(one, KEY)
    report = look(one, detached=str(signature))
    assert (report.findings, report.measures["signed_files"]) == ((), 1)
    assert report.materials[0].name == "model.bin.sig"
    (tmp_path / "other.bin").write_bytes(b"1")
    assert rules(look(tmp_path / "other.bin", detached=str(signature))) == [
        ("file-missing", "model.bin"), ("file-unsigned", "other.bin"),
    ]  # fmt: skip
    one.write_bytes(b"2")
    assert rules(look(one, detached=str(signature))) == [("file-changed", "model.bin")]
    (found,) = look(one).findings
    assert (found.rule, "`detached`" in found.fix) == ("unsigned", True)


def test_a_folder_with_its_signature_elsewhere(model: Path, tmp_path: Path) -> None:
    signature = oms.write_signature(model, KEY, name=tmp_path / "base-model.sig")
    assert look(model, detached=str(signature)).findings == ()
    folder_of(model, {"model.sig": b"not signed, and not the signature that was asked for"})
    assert rules(look(model, detached=str(signature))) == [("file-unsigned", "model.sig")]
    with pytest.raises(UsageError, match="there is no file"):
        look(model, detached="missing.sig")


def test_the_question_binds_a_detached_signature_by_content(model: Path, tmp_path: Path) -> None:
    signature = oms.write_signature(model, KEY, name=tmp_path / "s.sig")

    def digest(**options: Any) -> str:
        return checking.options_for(provenance, {"signers": ["supplier"], **options}, SETTING).digest

    before = digest(detached=str(signature))
    assert before == digest(detached=str(shutil.copy(signature, tmp_path / "t.sig"))) != digest()
    signature.write_bytes(b"{}")
    assert digest(detached=str(signature)) != before


# --- what the format allows ---------------------------------------------------------------------------------------------------


LENIENT: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "unsigned-files": ("file-unsigned", lambda folder: folder_of(folder, {"evil.py": b"import os"})),
    "git-paths": ("git-file-unsigned", lambda folder: folder_of(folder, {".git/hooks/evil": b"1", ".github/x": b"2"})),
    "empty-folders": ("empty-directory", lambda folder: (folder / "evil").mkdir()),
    "ignored-paths": ("file-unsigned", lambda folder: folder_of(folder, {"cache/x.py": b"import os"})),
    "empty-files": ("empty-file-unsigned", lambda folder: (folder / "__init__.py").touch()),
}


@pytest.mark.parametrize("lenience", LENIENT)
def test_a_lenience_is_off_until_a_policy_names_it(model: Path, lenience: str) -> None:
    rule, change = LENIENT[lenience]
    oms.write_signature(model, KEY, ignore=["cache"], hashing=Hashing(shard_size=1000))
    change(model)
    assert {found.rule for found in look(model).findings} == {rule}
    allowed = look(model, allow=[lenience])
    assert allowed.findings == ()
    assert allowed.measures["unsigned_files"] == look(model).measures["unsigned_files"]
    others = [one for one in LENIENT if one not in (lenience, "unsigned-files")]
    assert look(model, allow=others).findings
    (model / "weights.bin").write_bytes(b"evil")
    assert ("file-changed", "weights.bin") in rules(look(model, allow=[*LENIENT]))


def test_the_format_of_before_1_0_and_a_strangers_second_signature(model: Path) -> None:
    value = statement_of(oms.sign(model, KEY))
    subjects = [{"name": one["name"], "digest": {"sha256": one["digest"]}} for one in value["predicate"]["resources"]]
    old = {**value, "subject": subjects, "predicateType": "https://model_signing/Digests/v0.1", "predicate": {}}
    (model / "model.sig").write_bytes(signed(old))
    assert rules(look(model)) == [("legacy-format", "model.sig")]
    assert look(model, allow=["legacy-format"]).findings == ()


@pytest.mark.parametrize("lenience", ["symlinks", "twin-names", "unusual-names", "everything", "", "Unsigned-Files"])
def test_what_nobody_can_allow(lenience: str) -> None:
    with pytest.raises(UsageError):
        checking.options_for(provenance, {"signers": ["supplier"], "allow": [lenience]}, SETTING)


def test_no_lenience_is_in_the_question_unless_it_is_written_down() -> None:
    def options(**written: Any) -> Any:
        return checking.options_for(provenance, {"signers": ["supplier"], **written}, SETTING)

    assert options().allow == ()
    assert "allow" not in Policy.baseline().require.get("provenance", ())
    assert options(allow=["git-paths", "empty-folders"]).digest == options(allow=["empty-folders", "git-paths"]).digest
    assert options(allow=["git-paths"]).digest != options().digest
    assert options(allow=["git-paths"]).allow == (Allow.GIT_PATHS,)


# --- rollback -----------------------------------------------------------------------------------------------------------------


def test_an_older_version_put_back(model: Path) -> None:
    """Everything about it is genuine; it only is not the one that is meant."""
    oms.write_signature(model, KEY, version="1.4.2")
    assert look(model, min_version="1.4").findings == ()
    assert look(model, min_version="1.4.2").findings == ()
    (found,) = look(model, min_version="1.10").findings
    assert (found.rule, found.severity) == ("version-older", Severity.CRITICAL)
    assert "older than 1.10" in found.message


def test_a_version_that_nobody_signed(model: Path) -> None:
    oms.write_signature(model, KEY)
    assert rules(look(model, min_version="1.0")) == [("version-missing", "")]
    (model / "model.sig").unlink()
    value = statement_of(oms.sign(model, KEY))
    for nonsense in ("latest", "1.x", "\u0661.\u0660", "1.0\n", "-1", "1..0", "9" * 60):
        value["subject"][0]["annotations"] = {"version": nonsense}
        (model / "model.sig").write_bytes(signed(value))
        assert rules(look(model, min_version="1.0")) == [("version-missing", "")]
        with pytest.raises(UsageError):
            look(model, min_version=nonsense)
        with pytest.raises(UsageError):
            oms.sign(model, KEY, version=nonsense)


def test_the_one_artifact_that_a_policy_names(model: Path, tmp_path: Path) -> None:
    oms.write_signature(model, KEY)
    digest = open_artifact(model).subject.digest
    assert look(model, subject=digest).findings == ()
    other = folder_of(tmp_path / "base-model-2", {"weights.bin": b"other"})
    oms.write_signature(other, KEY)
    (found,) = look(other, subject=digest).findings
    assert (found.rule, found.severity) == ("wrong-digest", Severity.CRITICAL)
    with pytest.raises(UsageError):
        look(model, subject=digest.removeprefix("sha256:"))


def test_a_models_root_digest_names_no_model(model: Path, tmp_path: Path) -> None:
    """The manifest's own digest leaves the names out, so nothing is pinned by it here; ours binds them."""
    renamed = shutil.copytree(model, tmp_path / "renamed")
    (renamed / "config.json").rename(renamed / "config.jsonx")
    manifests = [oms.read(oms.sign(one, KEY), [SUPPLIER]) for one in (model, renamed)]
    assert manifests[0].root == manifests[1].root
    assert open_artifact(model).subject != open_artifact(renamed).subject


# --- names before bytes -------------------------------------------------------------------------------------------------------


def policy_for(folder: Path, more: str = "") -> tuple[Policy, KeySigner]:
    folder.mkdir()
    gate_key = KeySigner.generate()
    gate_key.save(folder / "gate.key")
    KEY.save(folder / "supplier.key")
    (folder / "policy.yaml").write_text(
        "version: 1\nsubject: model\ntrust: {gate: {key: gate.pub}, supplier: {key: supplier.pub}}\n"
        "require:\n  provenance: {options: {signers: [supplier]}}\n" + more
    )
    return Policy.load(folder / "policy.yaml"), gate_key


@pytest.mark.parametrize("where", ["giant.bin", ".git/giant.bin"])
def test_a_sparse_giant_that_nobody_signed(
    model: Path, tmp_path: Path, store: Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 GiB that cost the attacker a name cost us a name."""
    oms.write_signature(model, KEY)
    policy, key = policy_for(tmp_path / "policy")
    folder_of(model, {where: b""})
    os.truncate(model / where, 6 << 30)
    with monkeypatch.context() as patched:
        patched.setattr(artifacts, "_read", _never)
        with pytest.raises(ArtifactRefused, match="nothing was read") as caught:
            gate.pass_gate(str(model), policy=policy, store=store, signer=key)
    assert caught.value.rule == ("file-unsigned" if where == "giant.bin" else "git-file-unsigned")
    assert where in str(caught.value)
    (model / where).unlink()
    if where.startswith(".git"):
        (model / ".git").rmdir()
    assert gate.pass_gate(str(model), policy=policy, store=store, signer=key).verdict.admitted


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("a byte was read")


def test_a_signed_file_that_became_a_sparse_giant(model: Path, tmp_path: Path, store: Store) -> None:
    """Shards give the sizes away."""
    oms.write_signature(model, KEY, hashing=Hashing(shard_size=1000))
    policy, key = policy_for(tmp_path / "policy")
    os.truncate(model / "weights.bin", 6 << 30)
    with pytest.raises(ArtifactRefused, match="another size than was signed") as caught:
        gate.pass_gate(str(model), policy=policy, store=store, signer=key)
    assert caught.value.rule == "file-changed"


def test_what_is_cheap_to_read_is_read_and_leaves_evidence(model: Path, tmp_path: Path, store: Store) -> None:
    oms.write_signature(model, KEY)
    policy, key = policy_for(tmp_path / "policy")
    folder_of(model, {"evil.py": b"import os"})
    admission = gate.pass_gate(str(model), policy=policy, store=store, signer=key)
    assert not admission.verdict.admitted
    assert len(admission.evidence) == 1


def test_a_waiver_is_about_a_digest_so_everything_is_read(model: Path, tmp_path: Path, store: Store) -> None:
    oms.write_signature(model, KEY)
    waiver = (
        "waivers: [{check: provenance, rule: file-unsigned, subject: 'sha256:" + "0" * 64
        + "', reason: known, owner: me, until: 2099-01-01T00:00:00Z}]\n"
    )  # fmt: skip
    policy, key = policy_for(tmp_path / "policy", waiver)
    (model / "large.bin").touch()
    os.truncate(model / "large.bin", DEAR)
    assert not gate.pass_gate(str(model), policy=policy, store=store, signer=key).verdict.admitted


def test_a_preview_that_breaks_admits_nobody(model: Path) -> None:
    """It can only refuse; what it cannot read, the check says."""
    from pratique import listing

    options = checking.options_for(provenance, {"signers": ["supplier"]}, SETTING)
    found = listing.tree(model, listing.Limits())
    assert checking.preview(provenance, found, options) == ()  # no signature at all
    (model / "model.sig").write_bytes(b"[" * 10_000)
    assert checking.preview(provenance, listing.tree(model, listing.Limits()), options) == ()
    (model / "model.sig").unlink()
    assert checking.preview(provenance, found, options) == ()  # gone since it was listed
    assert look(model).findings[0].rule == "unsigned"


# --- swaps --------------------------------------------------------------------------------------------------------------------


def test_a_swap_during_verification(model: Path) -> None:
    """What is checked, and what is handed on, is a private copy: a swap in the source reaches neither."""
    oms.write_signature(model, KEY)
    artifact = open_artifact(model)
    (model / "config.json").write_bytes(b"{'evil': 1}")
    folder_of(model, {"evil.py": b"import os"})
    asked = checking.options_for(provenance, {"signers": ["supplier"]}, SETTING)
    assert checking.run(provenance, artifact, asked).findings == ()
    assert (artifact.root / "config.json").read_bytes() == FILES["config.json"]
    assert not (artifact.root / "evil.py").exists()
    assert rules(look(model)) == [("file-changed", "config.json"), ("file-unsigned", "evil.py")]


def test_a_swap_while_the_copy_is_taken(model: Path) -> None:
    """The copy is hashed from the very bytes that are written: whichever version it caught, the check judges that one."""
    oms.write_signature(model, KEY)
    swapped: list[int] = []

    def swap(count: int) -> None:
        if not swapped:
            (model / "weights.bin").write_bytes(bytes(2500))
        swapped.append(count)

    asked = checking.options_for(provenance, {"signers": ["supplier"]}, SETTING)
    try:
        artifact = open_artifact(model, progress=swap)
    except artifacts.ArtifactChanged:
        return
    report = checking.run(provenance, artifact, asked)
    intact = (artifact.root / "weights.bin").read_bytes() == FILES["weights.bin"]
    assert swapped and intact == (report.findings == ())


# --- another protocol's signature ---------------------------------------------------------------------------------------------


def test_a_signature_by_the_right_key_over_another_protocols_bytes(model: Path) -> None:
    """The supplier signs other things too; DSSE's encoding keeps them apart."""
    import base64
    import json

    statement = json.dumps(statement_of(oms.sign(model, KEY))).encode()
    for message in (statement, signing.pae("text/plain", statement)):
        bundle = json.loads(signed(statement))
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(KEY.sign(message)).decode()
        (model / "model.sig").write_text(json.dumps(bundle))
        assert rules(look(model)) == [("signature-invalid", "model.sig")]


def test_a_policy_with_a_lenience_that_nobody_knows(tmp_path: Path, model: Path) -> None:
    policy_for(tmp_path / "policy")
    file = tmp_path / "policy" / "policy.yaml"
    file.write_text(file.read_text().replace("signers: [supplier]}", "signers: [supplier], allow: [git-path]}"))
    with pytest.raises(PolicyError, match="allow"):
        Policy.load(file)
