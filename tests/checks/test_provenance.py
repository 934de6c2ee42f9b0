"""Signed folders, and everything that somebody between the publisher and us may do to one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, documents, oms, signing
from pratique.artifacts import open_artifact
from pratique.checking import Report, Setting, Severity
from pratique.checks.provenance import ProvenanceOptions, provenance
from pratique.checks.provenance.comparing import MOST
from pratique.errors import ArtifactRefused, UsageError
from pratique.oms import manifests
from pratique.signing import INTOTO, KeySigner
from pratique.testing import assert_check_contract, folder_of

SUPPLIER, AUDITOR, MALLORY = KeySigner.generate(), KeySigner.generate("P-384"), KeySigner.generate()
SETTING = Setting(trust={"supplier": SUPPLIER.trusted("supplier"), "auditor": AUDITOR.trusted("auditor")})
FILES = {"weights.safetensors": b"\x00" * 64, "config.json": b'{"layers": 2}', "vocab/words.txt": b"a b c"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model as the supplier delivers it."""
    folder = folder_of(tmp_path / "base-model", FILES)
    oms.write_signature(folder, SUPPLIER)
    return folder


def look(folder: Path, *, kind: Any = "model", **options: Any) -> Report:
    asked = checking.options_for(provenance, {"signers": ["supplier"], **options}, SETTING)
    return checking.run(provenance, open_artifact(folder, kind=kind), asked)


def rules(report: Report) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in report.findings]


def resign(folder: Path, signer: KeySigner) -> None:
    (folder / "model.sig").unlink()
    oms.write_signature(folder, signer)


def put_manifest(folder: Path, change: Callable[[dict[str, Any]], Any], signer: KeySigner = SUPPLIER) -> None:
    """Sign, with a key that may well be trusted, a manifest that no honest tool writes."""
    value = json.loads(manifests.statement("base-model", _digests(folder), ignore_paths=["model.sig"]))
    change(value)
    (folder / "model.sig").write_bytes(signing.sign(json.dumps(value).encode(), INTOTO, signer))


def _digests(folder: Path) -> dict[str, tuple[str, ...]]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "model.sig"]
    return {path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(),) for path in files}


def _retotal(value: dict[str, Any]) -> None:
    """Make the root digest fit again."""
    digests = b"".join(bytes.fromhex(one["digest"]) for one in value["predicate"]["resources"])
    value["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()


# --- honest -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_an_honest_delivery(model: Path, kind: str) -> None:
    report = look(model, kind=kind)
    assert report.findings == ()
    assert report.measures == {
        "signed_files": 3, "unsigned_files": 0, "changed_files": 0, "missing_files": 0, "signers": 1,
    }  # fmt: skip
    signature, key, statement = report.materials
    assert statement.name == "statement under the key of supplier"
    assert (signature.name, signature.digest) == ("model.sig", documents.sha256((model / "model.sig").read_bytes()))
    assert (key.name, key.digest) == ("key of supplier", SUPPLIER.trusted().fingerprint)


def test_the_contract(model: Path, tmp_path: Path) -> None:
    assert_check_contract(provenance, good=model, work=tmp_path / "work", options={"signers": ["supplier"]}, setting=SETTING)


def test_the_folder_may_be_renamed(model: Path) -> None:
    assert look(model.rename(model.parent / "renamed")).findings == ()


def test_any_of_several_trusted_publishers(model: Path) -> None:
    report = look(model, signers=["auditor", "supplier"])
    assert report.findings == ()
    assert [one.name for one in report.materials] == ["model.sig", "key of supplier", "statement under the key of supplier"]


def test_two_publishers_who_both_signed(model: Path) -> None:
    bundle = json.loads((model / "model.sig").read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    second = json.loads(signing.sign(payload, INTOTO, AUDITOR))
    bundle["dsseEnvelope"]["signatures"] += second["dsseEnvelope"]["signatures"]
    (model / "model.sig").write_text(json.dumps(bundle))
    both = look(model, signers=["auditor", "supplier"])
    assert (both.findings, both.measures["signers"]) == ((), 2)
    assert rules(look(model)) == [("extra-signature", "model.sig")]


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_a_delivery_signed_with_model_signing(model: Path, tmp_path: Path, curve: str) -> None:
    from model_signing import signing as theirs

    (model / "model.sig").unlink()
    public = KeySigner.generate(curve).save(tmp_path / "their.key")
    theirs.Config().use_elliptic_key_signer(private_key=tmp_path / "their.key").sign(model, model / "model.sig")
    assert look(model, signers=[str(public)]).findings == ()
    (model / "config.json").write_bytes(b"{}")
    assert rules(look(model, signers=[str(public)])) == [("file-changed", "config.json")]


def test_a_signature_by_another_name(model: Path) -> None:
    (model / "model.sig").unlink()
    oms.write_signature(model, SUPPLIER, name="vocab/claims.sig")
    assert look(model, signature="vocab/claims.sig").findings == ()
    (missing,) = look(model).findings
    assert (missing.rule, "vocab/claims.sig may be one" in missing.message) == ("unsigned", True)


# --- somebody between the publisher and us --------------------------------------------------------------------------------


def test_weights_changed_after_signing(model: Path) -> None:
    (model / "weights.safetensors").write_bytes(b"\x00" * 63 + b"\x01")
    report = look(model)
    (found,) = report.findings
    assert (found.rule, found.severity, found.where) == ("file-changed", Severity.CRITICAL, "weights.safetensors")
    assert found.message.startswith("weights.safetensors was changed after supplier signed it")
    assert "get the file again from the publisher" in found.fix
    assert report.measures["changed_files"] == 1


def test_signed_by_somebody_else(model: Path) -> None:
    (model / "weights.safetensors").write_bytes(b"evil")
    resign(model, MALLORY)
    report = look(model)
    (found,) = report.findings
    assert (found.rule, found.severity) == ("wrong-signer", Severity.CRITICAL)
    assert f"supplier (key {SUPPLIER.trusted().fingerprint[:19]}…)" in found.message
    assert signing.hint(MALLORY.public)[:16] in found.message
    assert report.measures == {"signed_files": 0, "unsigned_files": 3, "signers": 0}


@pytest.mark.parametrize("path", ["modeling_evil.py", ".gitmodules", "sub/.git/hooks/evil"])
def test_an_extra_unsigned_file(model: Path, path: str) -> None:
    folder_of(model, {path: b"import os"})
    report = look(model)
    (found,) = report.findings
    assert (found.rule, found.severity, found.where) == ("file-unsigned", Severity.HIGH, path)
    assert "was added" in found.message
    assert "remove it" in found.fix
    assert report.measures["unsigned_files"] == 1


@pytest.mark.parametrize("path", [".git/hooks/evil", ".github/evil.py", ".gitattributes", ".git"])
def test_an_unsigned_file_where_git_keeps_its_own(model: Path, path: str) -> None:
    folder_of(model, {path: b"import os"})
    (found,) = look(model).findings
    assert (found.rule, found.severity, found.where) == ("git-file-unsigned", Severity.HIGH, path)
    resign(model, SUPPLIER)
    assert look(model).findings == ()


def test_a_file_that_the_signer_left_out(model: Path, tmp_path: Path) -> None:
    from model_signing import signing as theirs

    (model / "model.sig").unlink()
    folder_of(model, {".gitattributes": b"*.bin filter=evil", ".git/config": b"[core]"})
    public = KeySigner.generate().save(tmp_path / "their.key")
    theirs.Config().use_elliptic_key_signer(private_key=tmp_path / "their.key").sign(model, model / "model.sig")
    report = look(model, signers=[str(public)])
    assert rules(report) == [("git-file-unsigned", ".git/config"), ("git-file-unsigned", ".gitattributes")]
    assert all("left out of the signature" in found.message for found in report.findings)


def test_a_signed_list_of_what_to_ignore_hides_nothing(model: Path) -> None:
    put_manifest(model, lambda value: value["predicate"]["serialization"].update(ignore_paths=["."]))
    assert look(model).findings == ()
    folder_of(model, {"evil.py": b"import os"})
    assert rules(look(model)) == [("file-unsigned", "evil.py")]


def test_a_missing_file(model: Path) -> None:
    (model / "config.json").unlink()
    report = look(model)
    assert rules(report) == [("file-missing", "config.json")]
    assert report.measures["missing_files"] == 1


def test_two_files_that_swapped_their_names(model: Path) -> None:
    for old, new in (("config.json", "x"), ("weights.safetensors", "config.json"), ("x", "weights.safetensors")):
        (model / old).rename(model / new)
    report = look(model)
    assert rules(report) == [("file-changed", "config.json"), ("file-changed", "weights.safetensors")]
    assert "holds what was signed as weights.safetensors" in report.findings[0].message


def test_a_renamed_file(model: Path) -> None:
    (model / "config.json").rename(model / "Config.json")
    report = look(model)
    assert rules(report) == [("file-missing", "config.json"), ("file-unsigned", "Config.json")]
    assert "holds what was signed as config.json" in report.findings[1].message


def test_a_name_in_another_composition(model: Path) -> None:
    folder_of(model, {"\u00e9": b"1"})
    resign(model, SUPPLIER)
    assert look(model).findings == ()
    (model / "\u00e9").rename(model / "e\u0301")
    assert rules(look(model)) == [("file-missing", "\u00e9"), ("file-unsigned", "e\u0301")]


def test_a_file_that_became_a_folder_and_a_folder_that_became_a_file(model: Path) -> None:
    (model / "config.json").unlink()
    shutil.rmtree(model / "vocab")
    folder_of(model, {"config.json/inside": FILES["config.json"], "vocab": FILES["vocab/words.txt"]})
    assert rules(look(model)) == [
        ("file-missing", "config.json"), ("file-missing", "vocab/words.txt"),
        ("file-unsigned", "config.json/inside"), ("file-unsigned", "vocab"),
    ]  # fmt: skip


def test_an_empty_folder_that_was_added(model: Path) -> None:
    (model / "evil").mkdir()
    (found,) = look(model).findings
    assert (found.rule, found.severity, found.where) == ("empty-directory", Severity.HIGH, "evil/")


def test_another_delivery_of_the_same_publisher(model: Path, tmp_path: Path) -> None:
    """Its signature alone does not fit our files; the whole of it is caught only by the name that was asked for."""
    other = folder_of(tmp_path / "other-model", {"weights.safetensors": b"other"})
    oms.write_signature(other, SUPPLIER)
    assert look(model, name="base-model").findings == ()
    assert look(other).findings == ()
    (found,) = look(other, name="base-model").findings
    assert (found.rule, found.severity) == ("wrong-name", Severity.CRITICAL)
    shutil.copy(other / "model.sig", model / "model.sig")
    assert {rule for rule, _ in rules(look(model))} == {"file-changed", "file-unsigned"}


def test_more_differences_than_anybody_reads(model: Path) -> None:
    folder_of(model, {f"extra/{number:04}": b"" for number in range(MOST + 7)})
    report = look(model)
    assert len(report.findings) == MOST + 1
    assert report.findings[-1].message == f"and 7 more, {MOST + 7} in all"
    assert report.findings[-1].severity == Severity.HIGH
    assert report.measures["unsigned_files"] == MOST + 7


# --- the signature itself -------------------------------------------------------------------------------------------------


def test_an_unsigned_delivery(model: Path) -> None:
    (model / "model.sig").unlink()
    report = look(model)
    (found,) = report.findings
    assert (found.rule, found.severity) == ("unsigned", Severity.CRITICAL)
    assert "supplier" in found.fix
    assert report.measures == {"signed_files": 0, "unsigned_files": 3, "signers": 0}
    assert report.materials == ()


def test_a_single_file_carries_no_signature(tmp_path: Path) -> None:
    (tmp_path / "model.sig").write_bytes(b"a dataset that is called like a signature")
    (found,) = look(tmp_path / "model.sig", kind="dataset").findings
    assert (found.rule, "single file" in found.message) == ("unsigned", True)


def test_a_folder_where_the_signature_should_be(model: Path) -> None:
    (model / "model.sig").unlink()
    folder_of(model, {"model.sig/inside": b"x"})
    (found,) = look(model).findings
    assert (found.rule, "is a folder" in found.message) == ("unsigned", True)


def test_an_empty_folder_where_the_signature_should_be(model: Path) -> None:
    (model / "model.sig").unlink()
    (model / "model.sig").mkdir()
    (found,) = look(model).findings
    assert (found.rule, "is a folder" in found.message) == ("unsigned", True)


def test_a_link_where_the_signature_should_be(model: Path, tmp_path: Path) -> None:
    (model / "model.sig").rename(tmp_path / "elsewhere")
    (model / "model.sig").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        look(model)


def tampered(model: Path, change: Callable[[dict[str, Any]], Any]) -> bytes:
    bundle: dict[str, Any] = json.loads((model / "model.sig").read_bytes())
    change(bundle)
    return json.dumps(bundle).encode()


def test_a_manifest_that_was_changed_to_fit(model: Path) -> None:
    (model / "weights.safetensors").write_bytes(b"evil")
    payload = base64.b64encode(manifests.statement("base-model", _digests(model), ignore_paths=[])).decode()
    (model / "model.sig").write_bytes(tampered(model, lambda bundle: bundle["dsseEnvelope"].update(payload=payload)))
    (found,) = look(model).findings
    assert (found.rule, found.severity) == ("signature-invalid", Severity.CRITICAL)
    assert "supplier" in found.message


def test_a_stranger_who_says_that_he_is_the_supplier(model: Path) -> None:
    resign(model, MALLORY)
    hint = {"publicKey": {"hint": signing.hint(SUPPLIER.public)}}
    (model / "model.sig").write_bytes(tampered(model, lambda bundle: bundle.update(verificationMaterial=hint)))
    assert rules(look(model)) == [("signature-invalid", "model.sig")]


def test_a_stranger_with_a_certificate(model: Path) -> None:
    resign(model, MALLORY)
    material = {"certificate": {"rawBytes": "AA=="}, "tlogEntries": []}
    (model / "model.sig").write_bytes(tampered(model, lambda bundle: bundle.update(verificationMaterial=material)))
    (found,) = look(model).findings
    assert (found.rule, "a certificate that nobody can read" in found.message) == ("wrong-signer", True)


def test_a_stranger_who_writes_to_our_terminal(model: Path) -> None:
    resign(model, MALLORY)
    hint = {"publicKey": {"hint": "\x1b[2K trusted by supplier"}}
    (model / "model.sig").write_bytes(tampered(model, lambda bundle: bundle.update(verificationMaterial=hint)))
    (found,) = look(model).findings
    assert (found.rule, "\x1b" in found.message) == ("wrong-signer", False)


def _junk(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"].append({"sig": "anVuaw==", "keyid": ""})


def _break_line(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payload"] += "\n"


MALFORMED_BUNDLES: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "empty": ("malformed-signature", lambda model: b""),
    "an empty object": ("malformed-signature", lambda model: b"{}"),
    "not JSON": ("malformed-signature", lambda model: b"\x80\x04}q."),
    "truncated": ("malformed-signature", lambda model: (model / "model.sig").read_bytes()[:-50]),
    "deep": ("too-deep", lambda model: b"[" * 100_000),
    "a second junk signature": ("extra-signature", lambda model: tampered(model, _junk)),
    "base64 spelled otherwise": ("malformed-signature", lambda model: tampered(model, _break_line)),
    "another payload type": ("malformed-signature", lambda model: signing.sign(b"{}", "text/plain", SUPPLIER)),
    "a key twice": ("key-twice", lambda model: (model / "model.sig").read_bytes().replace(b"{", b'{"mediaType":"x",', 1)),
    "white space without end": ("too-large", lambda model: b" " * (documents.MAX_BYTES + 1)),
}


@pytest.mark.parametrize("name", MALFORMED_BUNDLES)
def test_a_signature_file_that_is_none(model: Path, name: str) -> None:
    rule, make = MALFORMED_BUNDLES[name]
    (model / "model.sig").write_bytes(make(model))
    report = look(model)
    (found,) = report.findings
    assert (found.rule, found.severity, found.where) == (rule, Severity.CRITICAL, "model.sig")
    assert report.measures["signed_files"] == 0


def test_a_huge_signature(model: Path) -> None:
    os.truncate(model / "model.sig", documents.MAX_BYTES * 2)
    (found,) = look(model).findings
    assert (found.rule, "at most" in found.message) == ("too-large", True)


# --- a careless or malicious publisher whose key is trusted -----------------------------------------------------------------


def _resources(value: dict[str, Any], *names: str) -> None:
    digest = value["predicate"]["resources"][0]["digest"]
    value["predicate"]["resources"] = [{"name": name, "digest": digest, "algorithm": "sha256"} for name in names]
    _retotal(value)


EVIL_MANIFESTS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "empty": ("manifest-empty", lambda value: _resources(value)),
    "a name twice": ("name-twice", lambda value: _resources(value, "config.json", "config.json")),
    "two spellings": ("name-unusual", lambda value: _resources(value, "./config.json", "config.json")),
    "not sorted": ("not-sorted", lambda value: _resources(value, "weights.safetensors", "config.json")),
    "outside": ("name-escapes", lambda value: _resources(value, "../outside")),
    "absolute": ("name-escapes", lambda value: _resources(value, "/etc/passwd")),
    "twins": ("name-twins", lambda value: _resources(value, "CONFIG.json", "config.json")),
    "another root": ("root-mismatch", lambda value: value["subject"][0]["digest"].update(sha256="0" * 64)),
    "two subjects": ("malformed-signature", lambda value: value["subject"].append(value["subject"][0])),
    "another predicate": ("wrong-predicate", lambda value: value.update(predicateType="https://slsa.dev/provenance/v1")),
    "before 1.0": ("legacy-format", lambda value: value.update(predicateType="https://model_signing/Digests/v0.1")),
    "another hash than it says": ("mixed-hashes", lambda value: value["predicate"]["serialization"].update(hash_type="blake3")),
    "a hash that nobody knows": (
        "unknown-serialization", lambda value: value["predicate"]["serialization"].update(hash_type="md5")
    ),
    "no shards where it says so": (
        "shards-wrong", lambda value: value["predicate"]["serialization"].update(method="shards", shard_size=10)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EVIL_MANIFESTS)
def test_a_manifest_that_is_not_in_order(model: Path, name: str) -> None:
    rule, change = EVIL_MANIFESTS[name]
    put_manifest(model, change)
    (found,) = look(model).findings
    assert (found.rule, found.where, found.severity) == (rule, "model.sig", Severity.CRITICAL)
    assert found.fix


def test_their_twin_is_in_order(model: Path) -> None:
    put_manifest(model, _retotal)
    assert look(model).findings == ()


def test_a_manifest_that_lists_its_own_signature(model: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        _resources(value, *sorted([*FILES, "model.sig"]))

    put_manifest(model, change)
    assert ("file-changed", "model.sig") in rules(look(model))


# --- what may be asked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {}, {"signers": []}, {"signers": ["suplier"]}, {"signers": ["supplier"], "signature": "../model.sig"},
        {"signers": ["supplier"], "signature": "/model.sig"}, {"signers": ["supplier"], "signature": ""},
        {"signers": ["supplier"], "name": ""}, {"signers": ["supplier"], "nane": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_question_that_makes_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        checking.options_for(provenance, options, SETTING)


def test_the_question_binds_the_keys_and_what_is_expected() -> None:
    def digest(**options: Any) -> str:
        return checking.options_for(provenance, {"signers": ["supplier"], **options}, SETTING).digest

    assert len({digest(), digest(signers=["auditor"]), digest(name="m"), digest(signature="x.sig")}) == 4


def test_every_option_explains_itself() -> None:
    assert all("description" in field for field in ProvenanceOptions.model_json_schema()["properties"].values())
