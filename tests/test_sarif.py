"""Findings on a dashboard: the form is the standard's, the places are right, and a stranger's words are nothing but words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique import places, sarif
from pratique.checking import Finding, Severity
from pratique.checks.artifact.rules import RULES
from pratique.pipelines.linting import RULES as LINT_RULES
from pratique.testing import folder_of

ROOT = Path(__file__).resolve().parents[1]
TROJAN = b"cos\nsystem\n(S'echo gotcha'\ntR."
NAMES = ("a b.pkl", "a%20b.pkl", "100%.pkl", "?q#f.pkl", "javascript:alert(1).pkl", "[x](http:evil).pkl", "{0}.pkl", "ü漢.pkl")


def log_of(pratique: Any, *arguments: object, code: int = 1) -> dict[str, Any]:
    got, out, err = pratique(*arguments, "--format", "sarif")
    assert got == code, err
    ensure_conforming(document := json.loads(out))
    return document  # type: ignore[no-any-return]


def ensure_conforming(document: dict[str, Any]) -> None:
    """What the standard demands (SARIF 2.1.0: 3.13, 3.14, 3.19, 3.27, 3.49, 3.4, 3.11, 3.20)."""
    assert document["version"] == "2.1.0" and document["$schema"].endswith("sarif-schema-2.1.0.json")
    for run in document["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"]
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(set(ids)) == len(ids)
        for rule in driver["rules"]:
            assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"] and rule["help"]["text"]
        assert all(isinstance(one["executionSuccessful"], bool) for one in run["invocations"])
        for one in run["results"]:
            assert one["message"]["text"] and ids[one["ruleIndex"]] == one["ruleId"]
            assert one["level"] in ("error", "warning", "note")
            for located in one.get("locations", ()):
                if physical := located.get("physicalLocation"):
                    split = urlsplit(physical["artifactLocation"]["uri"])
                    assert not (split.scheme or split.netloc or split.query or split.fragment)
                    assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", physical["artifactLocation"]["uri"])
                    assert physical["artifactLocation"].get("uriBaseId", "ARTIFACT") in run["originalUriBaseIds"]
                    assert physical.get("region", {"byteOffset": 0})["byteOffset"] >= 0


def look(*findings: Finding, **more: Any) -> dict[str, Any]:
    document = sarif.log(sarif.Look(check="artifact", version="1", findings=findings, rules={}, **more))
    ensure_conforming(document)
    return document


def found(where: str = "a.pkl", message: str = "bad", severity: Severity = Severity.HIGH) -> Finding:
    return Finding(rule="pickle-global", severity=severity, message=message, where=where, fix="mend it")


# --- the commands -------------------------------------------------------------------------------------------------------


def test_a_trojan_is_an_error_with_its_place_to_the_byte(
    pratique: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path / "models" / "base", {"sub/optimizer.pkl": TROJAN, "config.json": b"{}"})
    monkeypatch.chdir(tmp_path)
    run = log_of(pratique, "check", "artifact", "models/base")["runs"][0]
    worst = run["results"][0]
    assert worst["ruleId"] == "artifact/pickle-global" and worst["level"] == "error"
    assert worst["properties"] == {"severity": "critical", "security-severity": "9.5"}
    physical = worst["locations"][0]["physicalLocation"]
    assert physical == {"artifactLocation": {"uri": "models/base/sub/optimizer.pkl"}, "region": {"byteOffset": 0}}
    assert "os.system" in worst["message"]["text"] and "Remedy: " in worst["message"]["text"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {f"artifact/{name}" for name in RULES}
    assert run["properties"]["verdict"] == "denied" and run["invocations"][0]["executionSuccessful"]


def test_an_honest_model_is_a_log_without_results(pratique: Any, tmp_path: Path) -> None:
    folder_of(tmp_path / "base", {"config.json": b"{}"})
    run = log_of(pratique, "check", "artifact", tmp_path / "base", code=0)["runs"][0]
    assert run["results"] == [] and run["properties"]["verdict"] == "admitted"


def test_a_check_that_broke_down_is_no_empty_success(pratique: Any, shape: str, tmp_path: Path) -> None:
    """A dashboard that counts results would see none: the log says that there was no look, and the exit code denies."""
    folder_of(tmp_path / "base", {"boom": b""})
    run = log_of(pratique, "check", "shape", tmp_path / "base")["runs"][0]
    assert run["results"] == [] and run["properties"]["verdict"] == "denied"
    invocation = run["invocations"][0]
    assert not invocation["executionSuccessful"] and "this check has a bug" in json.dumps(invocation)


def test_rules_that_somebody_elses_check_has_are_there(pratique: Any, shape: str, tmp_path: Path) -> None:
    folder_of(tmp_path / "base", {"bad": b""})
    run = log_of(pratique, "check", "shape", tmp_path / "base")["runs"][0]
    assert [one["ruleId"] for one in run["results"]] == ["shape/bad-name"]


def test_what_cannot_be_read_leaves_no_log_and_its_own_code(pratique: Any, tmp_path: Path) -> None:
    code, out, err = pratique("check", "artifact", tmp_path / "none", "--format", "sarif")
    assert (code, out) == (3, "") and "nothing at" in err


def test_the_same_look_writes_the_same_bytes(pratique: Any, tmp_path: Path) -> None:
    folder_of(tmp_path / "base", {"optimizer.pkl": TROJAN, "b.pkl": TROJAN})
    first, second = (pratique("check", "artifact", tmp_path / "base", "--format", "sarif")[1] for _ in range(2))
    assert first == second and str(tmp_path) not in first


def test_a_pipeline_with_images_by_tag_is_an_error_at_each_task(pratique: Any, tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_bytes((ROOT / "components/transfer_learning.yaml").read_bytes())  # images by tag
    run = log_of(pratique, "kfp", "lint", tmp_path / "release.yaml")["runs"][0]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {f"kfp-lint/{name}" for name in LINT_RULES}
    for one in run["results"]:
        place = one["locations"][0]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "release.yaml"
        assert place["logicalLocations"][0]["name"]


# --- strangers' words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_a_path_and_nothing_else(
    pratique: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder_of(tmp_path / "base", {name: TROJAN, "config.json": b"{}"})
    monkeypatch.chdir(tmp_path)
    run = log_of(pratique, "check", "artifact", "base")["runs"][0]
    uris = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]}
    assert {unquote(uri) for uri in uris} == {f"base/{name}"}


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60), st.sampled_from(Severity))
def test_no_message_makes_a_link_a_placeholder_or_a_second_line(text: str, severity: Severity) -> None:
    document = look(found(message=f"{text}[x](http://evil){{0}}\x1b[2J\u202e\n", severity=severity), files={"a.pkl": ""})
    said = document["runs"][0]["results"][0]["message"]["text"]
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]]", said) and not re.search(r"(?<!\{)\{(?:\{\{)*(?!\{)", said)
    assert not re.search("[\n\x1b\u202e]", said)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40))
def test_every_relative_path_comes_back_from_its_uri(path: str) -> None:
    split = urlsplit(sarif.uri(path))
    assert unquote(split.path) == path.lstrip("/") and not (split.scheme or split.netloc or split.query or split.fragment)


# --- places and fingerprints --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("a.pkl", ("a.pkl", "", None)),
        ("a.pkl, byte 1,028", ("a.pkl", "byte 1,028", 1028)),
        ("m.pt, member m/data.pkl, byte 14", ("m.pt", "member m/data.pkl, byte 14", None)),
        ("a, b.pkl, byte 3", ("a, b.pkl", "byte 3", 3)),
        ("a.zip/sub/x.pkl, byte 28", ("a.zip", "member sub/x.pkl, byte 28", None)),
        ("a.zip/byte 28", ("a.zip", "member byte 28", None)),
        ("b.pkl, byte 3", None),
        ("a.pklx", None),
        ("", None),
    ],
)
def test_a_place_is_a_file_that_is_there_and_an_offset_in_it(where: str, place: tuple[str, str, int | None] | None) -> None:
    got = places.within(where, ["a.pkl", "m.pt", "a, b.pkl", "a.zip"])
    assert (got and (got.file, got.detail, got.offset)) == place


def test_a_member_of_an_archive_has_no_offset_in_the_file() -> None:
    """Its bytes may be compressed: byte 14 of the member is no place in the archive."""
    where = "m.pt, member m/data.pkl, byte 14"
    place = look(found(where), files={"m.pt": "", "other": ""})["runs"][0]["results"][0]["locations"][0]
    assert "region" not in place["physicalLocation"]
    assert place["logicalLocations"] == [{"fullyQualifiedName": where, "name": "member m/data.pkl, byte 14"}]


def test_fingerprints_survive_other_findings_and_tell_twins_apart() -> None:
    def prints(*findings: Finding) -> list[str]:
        return [one["partialFingerprints"][sarif.FINGERPRINT] for one in look(*findings)["runs"][0]["results"]]

    alone, twice = prints(found()), prints(found(where="new"), found(), found())
    assert alone[0] == twice[1] and len(set(twice)) == 3


@pytest.mark.parametrize(
    ("given_as", "known_as"),
    [
        ("models/base", "models/base/x"),
        ("./models//base/", "models/base/x"),
        ("/srv/base", ""),
        ("../base", ""),
        ("hf://acme/base", ""),
        ("", ""),
    ],
)
def test_a_path_is_relative_or_only_the_artifacts_own(given_as: str, known_as: str) -> None:
    assert sarif.files_of(["x"], given_as, single=False) == {"x": known_as}


def test_another_reader_of_the_standard_takes_it_in() -> None:
    model = pytest.importorskip("sarif_pydantic", reason="pip install sarif-pydantic")
    document = look(found("a.pkl, byte 3"), found("m.pt, member x"), found(""), files={"a.pkl": "base/a.pkl", "m.pt": ""})
    read = model.Sarif.model_validate_json(json.dumps(document))
    result = read.runs[0].results[0]
    assert result.rule_id == "artifact/pickle-global" and read.runs[0].tool.driver.name == "Pratique"
    assert result.locations[0].physical_location.artifact_location.uri == "base/a.pkl"
