"""The check `provenance` on datasets: a signed manifest, and a Croissant description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, croissant, manifests, oms
from pratique.artifacts import open_artifact
from pratique.checking import Report, Setting, Severity
from pratique.checks.provenance import provenance
from pratique.checks.provenance.comparing import MOST
from pratique.errors import UsageError
from pratique.signing import KeySigner
from pratique.testing import assert_check_contract, folder_of

PUBLISHER, MALLORY = KeySigner.generate(), KeySigner.generate()
SETTING = Setting(trust={"publisher": PUBLISHER.trusted("publisher")})
OPTIONS = {"signers": ["publisher"], "signature": manifests.SIGNATURE}
FILES = {"train/0.parquet": b"zero", "train/1.parquet": b"one", "labels.csv": b"0,1"}
LINES = "dataset.manifest.jsonl"
IRI = "http://mlcommons.org/croissant"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset as the publisher delivers it."""
    folder = folder_of(tmp_path / "images", FILES)
    (folder / "cache").mkdir()
    manifests.write(folder, PUBLISHER)
    return folder


def look(folder: Path, **options: Any) -> Report:
    asked = checking.options_for(provenance, {**OPTIONS, **options}, SETTING)
    return checking.run(provenance, open_artifact(folder, kind="dataset"), asked)


def rules(report: Report) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in report.findings]


def test_an_honest_delivery(dataset: Path) -> None:
    report = look(dataset, name="images")
    assert report.findings == ()
    assert report.measures == {
        "signed_files": 4, "unsigned_files": 0, "changed_files": 0, "missing_files": 0, "signers": 1,
    }  # fmt: skip
    assert report.materials[0].name == manifests.SIGNATURE
    assert report.materials[1].digest == PUBLISHER.trusted().fingerprint


def test_the_contract_of_every_check(dataset: Path, tmp_path: Path) -> None:
    assert_check_contract(provenance, good=dataset, options=OPTIONS, setting=SETTING, kind="dataset", work=tmp_path / "work")


def put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: folder_of(folder, {name: data})


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def other_manifest(folder: Path) -> None:
    """One that fits the poisoned files, beside the publisher's own signature."""
    folder_of(folder, {"labels.csv": b"1,0"})
    (folder / LINES).write_bytes(manifests.build(folder).data)


def all_of_mallorys(folder: Path) -> None:
    folder_of(folder, {"labels.csv": b"1,0"})
    (folder / LINES).unlink()
    (folder / manifests.SIGNATURE).unlink()
    manifests.write(folder, MALLORY)


def oms_in_its_place(folder: Path) -> None:
    """The publisher's own, of the other format: the policy names the format, not the delivery."""
    (folder / "cache").rmdir()
    (folder / LINES).unlink()
    (folder / manifests.SIGNATURE).unlink()
    oms.write_signature(folder, PUBLISHER, name=manifests.SIGNATURE)


def cut_signature(folder: Path) -> None:
    path = folder / manifests.SIGNATURE
    path.write_bytes(path.read_bytes()[:-9])


def edit_statement(folder: Path) -> None:
    path = folder / manifests.SIGNATURE
    bundle = json.loads(path.read_bytes())
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    path.write_text(json.dumps(bundle))


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (put("train/0.parquet", b"evil"), ("file-changed", "train/0.parquet")),
        (put("train/2.parquet", b"evil"), ("file-unsigned", "train/2.parquet")),
        (put(".git/hooks/post-checkout", b"evil"), ("git-file-unsigned", ".git/hooks/post-checkout")),
        (put("other.manifest.jsonl", b"evil"), ("file-unsigned", "other.manifest.jsonl")),
        (put("cache/__init__.py", b""), ("file-unsigned", "cache/__init__.py")),
        (remove("labels.csv"), ("file-missing", "labels.csv")),
        (lambda folder: (folder / "cache").rmdir(), ("file-missing", "cache/")),
        (lambda folder: (folder / "new").mkdir(), ("empty-directory", "new/")),
        (remove(LINES), ("manifest-changed", LINES)),
        (put(LINES, b""), ("manifest-changed", LINES)),
        (other_manifest, ("manifest-changed", LINES)),
        (all_of_mallorys, ("wrong-signer", manifests.SIGNATURE)),
        (remove(manifests.SIGNATURE), ("unsigned", "")),
        (oms_in_its_place, ("malformed-signature", manifests.SIGNATURE)),
        (cut_signature, ("malformed-signature", manifests.SIGNATURE)),
        (edit_statement, ("signature-invalid", manifests.SIGNATURE)),
    ],
)
def test_an_attack_on_the_way(dataset: Path, attack: Callable[[Path], object], expected: tuple[str, str]) -> None:
    attack(dataset)
    report = look(dataset)
    assert expected in rules(report)
    assert report.worst >= Severity.HIGH


def test_a_manifest_does_not_stand_in_for_an_oms_signature(dataset: Path) -> None:
    report = look(dataset, signature="model.sig")
    assert rules(report) == [("unsigned", "")]
    (dataset / manifests.SIGNATURE).rename(dataset / "model.sig")
    assert rules(look(dataset, signature="model.sig")) == [("wrong-predicate", "model.sig")]


def test_another_dataset_of_the_same_publisher(dataset: Path) -> None:
    assert rules(look(dataset, name="other")) == [("wrong-name", "")]


def test_an_oms_signature_that_a_manifest_covers(tmp_path: Path) -> None:
    """Made first, it is a file like any other."""
    folder = folder_of(tmp_path / "images", FILES)
    oms.write_signature(folder, PUBLISHER)
    manifests.write(folder, PUBLISHER)
    assert look(folder).findings == ()
    assert {rule for rule, _ in rules(look(folder, signature="model.sig"))} == {"file-unsigned"}


# --- Croissant ----------------------------------------------------------------------------------------------------------


def described(folder: Path, *distribution: dict[str, Any], name: str = "croissant.json", version: str = "1.0") -> Path:
    text = {"@type": "sc:Dataset", "conformsTo": f"{IRI}/{version}", "distribution": list(distribution)}
    (folder / name).write_text(json.dumps(text))
    return folder


def file_object(url: str, **more: Any) -> dict[str, Any]:
    return {"@type": "cr:FileObject", "@id": url, "contentUrl": url} | more


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


HONEST = [file_object(path, sha256=sha256(data)) for path, data in FILES.items()]


def signed_look(folder: Path) -> Report:
    manifests.write(folder, PUBLISHER)
    return look(folder)


@pytest.mark.parametrize("name", ["croissant.json", "croissant.jsonld", "metadata.json"])
def test_a_description_that_fits(tmp_path: Path, name: str) -> None:
    folder = described(folder_of(tmp_path / "images", FILES), *HONEST, name=name, version="1.1")
    report = signed_look(folder)
    assert report.findings == ()
    assert report.measures["described_files"] == 3
    assert (report.materials[-1].name, report.materials[-1].hex) == (name, sha256((folder / name).read_bytes()))
    claim = manifests.signed_in(folder, [PUBLISHER.trusted()]).claim
    assert claim.croissant == report.materials[-1]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (file_object("labels.csv", sha256=sha256(b"other")), [("croissant-mismatch", Severity.HIGH)]),
        (file_object("./labels.csv", sha256=sha256(b"other")), [("croissant-mismatch", Severity.HIGH)]),
        (file_object("labels%2Ecsv", sha256=sha256(b"other")), [("croissant-mismatch", Severity.HIGH)]),
        (file_object("labels.csv", sha256=sha256(b"0,1").upper()), []),
        # an MD5 never wins over a SHA-256, and never counts alone
        (file_object("labels.csv", sha256=sha256(b"other"), md5=hashlib.md5(b"0,1").hexdigest()), [("croissant-mismatch", 3)]),
        (file_object("labels.csv", sha256=sha256(b"0,1"), md5="0" * 32), []),
        (file_object("labels.csv", md5=hashlib.md5(b"0,1").hexdigest()), [("croissant-unverified", Severity.NOTE)]),
        (file_object("labels.csv", sha256="https://example.com/issue"), [("croissant-unverified", Severity.NOTE)]),
        (file_object("labels.csv"), [("croissant-unverified", Severity.NOTE)]),
        (file_object("gone.csv", sha256=sha256(b"")), [("croissant-missing", Severity.MEDIUM)]),
        (file_object("inside.csv", sha256=sha256(b""), containedIn={"@id": "archive"}), []),
        (file_object("https://example.com/labels.csv", sha256=sha256(b"other")), []),
        (file_object("../labels.csv", sha256=sha256(b"other")), []),
        ({"@type": "cr:FileSet", "includes": "train/*.parquet"}, []),
        ({**file_object("labels.csv", sha256=sha256(b"other")), "@type": ["sc:FileObject"]}, [("croissant-mismatch", 3)]),
        (file_object("labels.csv", sha256="0" * 64, **{"@type": f"{IRI}/FileObject"}), [("croissant-mismatch", 3)]),
    ],
)  # fmt: skip
def test_a_description_against_the_files(tmp_path: Path, one: dict[str, Any], expected: list[tuple[str, Severity]]) -> None:
    report = signed_look(described(folder_of(tmp_path / "images", FILES), one))
    assert [(finding.rule, finding.severity) for finding in report.findings] == expected


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"conformsTo": "https://schema.org"}', b'{"a":1,"a":1}', b"[" * 9999])
def test_a_description_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    """Its name says what it ought to be; other metadata is nobody's business."""
    folder = folder_of(tmp_path / "images", FILES | {"croissant.json": data, "metadata.json": data})
    report = signed_look(folder)
    assert rules(report) == [("croissant-malformed", "croissant.json")]
    assert report.measures["described_files"] == 0


VERSIONS: dict[str, tuple[str, list[str]]] = {
    "1.4.0": ("1.4", []),
    "1.10": ("1.9", []),
    "1.4": ("1.10", ["version-older"]),
    "": ("1", ["version-missing"]),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_version_of_a_dataset_put_back(tmp_path: Path, version: str) -> None:
    oldest, expected = VERSIONS[version]
    folder = folder_of(tmp_path / "images", FILES)
    manifests.write(folder, PUBLISHER, version=version)
    assert [one.rule for one in look(folder, min_version=oldest).findings] == expected
    assert look(folder).findings == ()


@pytest.mark.parametrize("version", ["v1", "1..2", "1.", "newest", "1\n", "1" * 10, ".".join("1" * 9)])
def test_a_version_that_could_not_be_compared_is_not_signed(tmp_path: Path, version: str) -> None:
    with pytest.raises(UsageError, match="version"):
        manifests.write(folder_of(tmp_path / "images", FILES), PUBLISHER, version=version)
    assert not (tmp_path / "images" / manifests.SIGNATURE).exists()


def test_a_description_that_two_readers_may_read_differently_under_the_name_of_other_metadata(tmp_path: Path) -> None:
    """`metadata.json` is anybody's name, but what speaks of Croissant is a description, and must be in order."""
    folder = described(folder_of(tmp_path / "images", FILES), *HONEST, name="metadata.json")
    (folder / "metadata.json").write_text((folder / "metadata.json").read_text().replace("{", '{"conformsTo": "x", ', 1))
    assert rules(signed_look(folder)) == [("croissant-malformed", "metadata.json")]


def test_a_description_is_compared_whatever_signed_it(tmp_path: Path) -> None:
    folder = described(folder_of(tmp_path / "images", FILES), file_object("labels.csv", sha256=sha256(b"other")))
    oms.write_signature(folder, PUBLISHER)
    assert rules(look(folder, signature="model.sig")) == [("croissant-mismatch", "labels.csv")]
    (folder / "model.sig").unlink()
    assert rules(look(folder, signature="model.sig")) == [("unsigned", ""), ("croissant-mismatch", "labels.csv")]


def test_a_long_list_of_mismatches_is_counted(tmp_path: Path) -> None:
    names = [f"{number}.csv" for number in range(MOST + 5)]
    folder = folder_of(tmp_path / "images", dict.fromkeys(names, b"x"))
    report = signed_look(described(folder, *(file_object(name, sha256="0" * 64) for name in names)))
    assert len(report.findings) == MOST + 1
    assert report.findings[-1].message == "and 5 more, 25 in all"


def test_every_rule_of_a_description_is_weighed() -> None:
    from pratique.checks.provenance import describing

    assert set(describing._WEIGHTS) == set(croissant.RULES)


# --- names before bytes -------------------------------------------------------------------------------------------------


def test_a_giant_beside_a_signed_dataset_is_not_read(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a signed file that became one: a manifest has sizes."""
    from pratique import artifacts, deliveries
    from pratique.errors import ArtifactRefused

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a byte was read")

    assert deliveries.delivery(dataset, [PUBLISHER.trusted("publisher")]).data["signed_files"] == 4
    for name, rule in (("giant.parquet", "file-unsigned"), (".git/giant", "git-file-unsigned"), ("labels.csv", "file-changed")):
        folder_of(dataset, {name: b""})
        with (dataset / name).open("r+b") as stream:
            stream.truncate(6 << 30)
        with monkeypatch.context() as patched:
            patched.setattr(artifacts, "_read", never)
            with pytest.raises(ArtifactRefused, match="nothing was read") as caught:
                deliveries.delivery(dataset, [PUBLISHER.trusted("publisher")])
        assert caught.value.rule == rule
        (dataset / name).unlink()
        if name.startswith(".git/"):
            (dataset / ".git").rmdir()
