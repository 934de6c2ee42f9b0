"""How checks are found, asked and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pratique import checking
from pratique.artifacts import open_artifact
from pratique.checking import Options, PolicyPath, Report, Setting
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


def test_a_check_under_another_name_than_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "alias", "alias_check", SHAPE, {"other": "alias_check:shape"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UnknownCheck, match="calls itself"):
        checking.load("other")


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        (RuntimeError("broken"), CheckError, "RuntimeError: broken"),
        (RecursionError(), CheckError, "ran out of stack"),
        (MemoryError(), CheckError, "could not finish"),
        (ImportError("no torch", name="torch"), CheckUnavailable, "needs torch"),
        (CheckError("too large"), CheckError, "too large"),
        ("not a report", CheckError, "returned str"),
    ],
)
def test_whatever_goes_wrong_inside_a_check_is_a_check_error(
    model: Path, script: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=re.escape(says)):
        checking.run(ScriptedCheck(report=script), open_artifact(model), Options())  # type: ignore[arg-type]


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


def test_the_contract_accepts_a_good_check(shape: str, model: Path, tmp_path: Path) -> None:
    assert_check_contract(checking.load(shape), good=model, work=tmp_path / "w")


def test_the_contract_refuses_a_check_that_is_happy_with_anything(model: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="garbage"):
        assert_check_contract(ScriptedCheck(report=Report()), good=model, work=tmp_path / "w")


def test_the_contract_refuses_an_undocumented_measure(model: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not documented"):
        assert_check_contract(ScriptedCheck(report=Report(measures={"x": 1.0})), good=model, work=tmp_path / "w")
