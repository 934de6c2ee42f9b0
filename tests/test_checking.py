"""How checks are found, asked and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import field_validator

from pratique import checking
from pratique.artifacts import Artifact, open_artifact
from pratique.checking import Finding, Options, PolicyPath, Report, Setting, Severity
from pratique.errors import ArtifactChanged, CheckError, CheckUnavailable, UnknownCheck, UsageError
from pratique.testing import ScriptedCheck, assert_check_contract, folder_of

from .conftest import SHAPE, install


class FileOptions(Options):
    """Options that name a file."""

    reference: PolicyPath


def test_a_second_package_claims_the_name_of_a_check(shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever came last on the path would silently replace the other."""
    assert checking.load("shape").name == "shape"
    install(tmp_path / "evil", "evil", "evil_shape", SHAPE, {"shape": "evil_shape:shape"})
    monkeypatch.syspath_prepend(str(tmp_path / "evil"))
    with pytest.raises(UnknownCheck, match="both"):
        checking.load("shape")


def test_a_package_claims_the_name_of_one_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "evil", "evil", "evil_artifact", SHAPE, {"artifact": "evil_artifact:shape"})
    monkeypatch.syspath_prepend(str(tmp_path / "evil"))
    with pytest.raises(UnknownCheck, match="both"):
        checking.installed()


def test_a_check_that_cannot_be_imported_is_no_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "broken", "broken_check", "raise ImportError('gone')", {"broken": "broken_check:x"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UnknownCheck, match="gone"):
        checking.load("broken")


@pytest.mark.parametrize("source", ["x = None", "x = print", "class x: name = 'odd'", "class x: name = 'odd'; options = str"])
def test_something_else_that_is_registered_as_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    module = f"odd_{abs(hash(source))}"
    install(tmp_path / "site", "odd", module, source, {"odd": f"{module}:x"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UnknownCheck):
        checking.load("odd")


def test_a_check_whose_name_would_lead_out_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "climber", "climber_check", SHAPE, {"../../clearances": "climber_check:shape"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UnknownCheck, match="no check's name"):
        checking.installed()


def test_a_check_under_another_name_than_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "alias", "alias_check", SHAPE, {"other": "alias_check:shape"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UnknownCheck, match="calls itself"):
        checking.load("other")


class Scripted(ScriptedCheck):
    """Raises anything that can be raised."""

    def __call__(self, artifact: Artifact, options: Options, /) -> Report:
        if isinstance(self.report, BaseException):
            raise self.report
        return self.report


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        (RuntimeError("broken"), CheckError, "RuntimeError: broken"),
        (RecursionError(), CheckError, "ran out of stack"),
        (MemoryError(), CheckError, "could not finish"),
        (ImportError("no torch", name="torch"), CheckUnavailable, "needs torch"),
        (CheckError("too large"), CheckError, "too large"),
        ("not a report", CheckError, "returned str"),
        (SystemExit(0), CheckError, "SystemExit: 0"),
        (GeneratorExit(), CheckError, "GeneratorExit"),
        (Report(findings=("bad",)), CheckError, "is no finding"),  # type: ignore[arg-type]
        (Report(findings=(Finding(rule="r", severity=4, message="m"),)), CheckError, "is no finding"),  # type: ignore[arg-type]
        (Report(findings=(Finding(rule="r", severity=Severity.LOW, message=b"m"),)), CheckError, "not all text"),  # type: ignore[arg-type]
        (Report(findings=(Finding(rule="r", severity=Severity.LOW, message="\ud800"),)), CheckError, "cannot be written"),
        (Report(materials=("sha256:0",)), CheckError, "no subject"),  # type: ignore[arg-type]
    ],
)
def test_whatever_goes_wrong_inside_a_check_is_a_check_error(
    model: Path, script: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=re.escape(says)):
        checking.run(Scripted(report=script), open_artifact(model), Options())  # type: ignore[arg-type]


def test_a_check_that_writes_into_the_artifact_is_caught(model: Path) -> None:
    class Vandal(ScriptedCheck):
        def __call__(self, artifact, options, /):  # type: ignore[no-untyped-def]
            path = artifact.path(artifact.entries[0])
            path.chmod(0o600)
            path.write_bytes(b"changed")
            return Report()

    with pytest.raises(ArtifactChanged):
        checking.run(Vandal(report=Report()), open_artifact(model), Options())


def test_a_check_is_not_asked_about_what_it_does_not_know(model: Path) -> None:
    with pytest.raises(CheckError, match="not at a dataset"):
        checking.run(
            ScriptedCheck(report=Report(), kinds=frozenset({"model"})), open_artifact(model, kind="dataset"), Options()
        )


def test_the_question_binds_the_content_of_files_and_not_their_names(tmp_path: Path) -> None:
    asked = ScriptedCheck(report=Report(), options=FileOptions)
    folder_of(tmp_path, {"a.json": b"1", "b/a.json": b"1", "c.json": b"2"})

    def digest(name: str, base: Path) -> str:
        return checking.options_for(asked, {"reference": name}, Setting(base=base)).digest

    assert digest("a.json", tmp_path) == digest("a.json", tmp_path / "b")
    assert digest("a.json", tmp_path) != digest("c.json", tmp_path)
    with pytest.raises(UsageError, match="no file"):
        digest("none.json", tmp_path)


def test_a_reference_file_that_is_mounted_as_links(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: a link to a link, which an update swings over. What is bound is what was there."""
    asked = ScriptedCheck(report=Report(), options=FileOptions)
    folder_of(tmp_path / "..v1", {"a.json": b"1"})
    folder_of(tmp_path / "..v2", {"a.json": b"2"})
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "a.json").symlink_to("..data/a.json")
    options = checking.options_for(asked, {"reference": "a.json"}, Setting(base=tmp_path))
    before = options.digest
    (tmp_path / "..data").unlink()
    (tmp_path / "..data").symlink_to("..v2")
    assert options.digest == before
    assert checking.options_for(asked, {"reference": "a.json"}, Setting(base=tmp_path)).digest != before


@pytest.mark.parametrize("name", ["loop", "~nobody-at-all/x", "a\0b", "n" * 300, "closed/x"])
def test_a_reference_file_at_an_impossible_place(tmp_path: Path, mortal: None, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    folder_of(tmp_path / "closed", {"x": b""}).chmod(0)
    with pytest.raises(UsageError):
        checking.options_for(ScriptedCheck(report=Report(), options=FileOptions), {"reference": name}, Setting(base=tmp_path))
    (tmp_path / "closed").chmod(0o700)


def test_an_option_that_cannot_be_written_down() -> None:
    class Odd(Options):
        rate: float

    asked = ScriptedCheck(report=Report(), options=Odd)
    with pytest.raises(UsageError, match="written down"):
        _ = checking.options_for(asked, {"rate": float("nan")}).digest


def test_options_whose_validator_has_a_bug() -> None:
    class Odd(Options):
        rate: float

        @field_validator("rate")
        @classmethod
        def _broken(cls, value: float) -> float:
            raise KeyError("oops")

    with pytest.raises(UsageError, match="KeyError"):
        checking.options_for(ScriptedCheck(report=Report(), options=Odd), {"rate": 1})


def test_the_contract_accepts_a_good_check(shape: str, model: Path, tmp_path: Path) -> None:
    assert_check_contract(checking.load(shape), good=model, work=tmp_path / "w")


def test_the_contract_refuses_a_check_that_is_happy_with_anything(model: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="garbage"):
        assert_check_contract(ScriptedCheck(report=Report()), good=model, work=tmp_path / "w")


def test_the_contract_refuses_an_undocumented_measure(model: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not documented"):
        assert_check_contract(ScriptedCheck(report=Report(measures={"x": 1.0})), good=model, work=tmp_path / "w")
