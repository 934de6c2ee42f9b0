"""Text, CSV and Parquet: text is text to its last byte, and Parquet has its outline."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pratique.checking import Finding
from pratique.checks.artifact import parquet, texts
from pratique.checks.artifact.viewing import View, opened

BLOCK = texts.MAX_LINE


def view(data: bytes, name: str) -> View:
    return View(name=name, path=Path(name), data=data)


def text(data: bytes, most: int = 1 << 30) -> tuple[Finding, ...]:
    return texts.look(view(data, "a.txt"), max_bytes=most).findings


def table(data: bytes) -> tuple[Finding, ...]:
    return texts.look_at_table(view(data, "a.csv")).findings


@pytest.mark.parametrize("before", [b"", b"ok\n", b"x\n" * (BLOCK // 2 - 1) + b"xx", b"x\n" * BLOCK])
@pytest.mark.parametrize("look", [text, table])
def test_what_is_no_text_is_found_wherever_it_is(look: object, before: bytes) -> None:
    assert callable(look) and look(before + "größer €\n".encode()) == ()
    for bad, says in ((b"\0", "0x00"), (b"\x1b[2J", "0x1b"), (b"\x7f", "0x7f"), (b"\xff", "UTF-8"), (b"\xc3\x28", "UTF-8")):
        (found,) = look(before + bad + b"\n")
        assert found.rule == "text-malformed" and says in found.message and f"byte {len(before):,}" in found.message


def test_a_character_across_two_blocks() -> None:
    assert text(b"x" * (BLOCK - 1) + "€".encode() + b"y") == ()
    (found,) = text(b"x" * (BLOCK - 1) + b"\xe2\x82")
    assert f"byte {BLOCK - 1:,}" in found.message


def test_text_of_any_size() -> None:
    assert text(b"x" * 100, 100) == ()
    (found,) = text(b"x" * 101, 100)
    assert found.rule == "text-malformed" and "100 are allowed" in found.message


def test_text_in_another_encoding() -> None:
    for encoding in ("utf-16", "latin-1", "utf-32"):
        assert [one.rule for one in table("größer\n".encode(encoding))] == ["text-malformed"]
    assert table("größer\n".encode("utf-8-sig")) == ()


@pytest.mark.parametrize("before", [0, 1, BLOCK // 2, BLOCK - 1])
def test_a_table_whose_line_does_not_end(before: int) -> None:
    head = b"a" * before + b"\n"
    assert table(head + b"x" * BLOCK + b"\n1,2\n") == ()
    for tail in (b"x" * (BLOCK + 1) + b"\n1,2\n", b"x" * 3 * BLOCK):
        assert "line of more than" in table(head + tail)[0].message


def test_a_real_parquet_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"a": [1, 2, 3], "b": ["x", None, "z"], "c": [[1.0], [], [2.0, 3.0]]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    with opened(tmp_path / "t.parquet", "t.parquet") as one:
        assert parquet.look(one).findings == ()
    for bad in (whole[:-1], whole[1:], whole + b"\0", whole[: len(whole) // 2], b"", b"PAR1", b"PAR1PAR1"):
        assert [one.rule for one in parquet.look(view(bad, "t.parquet")).findings] == ["parquet-malformed"]
    for length in (0, len(whole) - 11, 2**32 - 1):
        bad = whole[:-8] + length.to_bytes(4, "little") + b"PAR1"
        assert "claims a footer" in parquet.look(view(bad, "t.parquet")).findings[0].message


def test_parquet_that_makes_pyarrow_unpickle(tmp_path: Path) -> None:
    """CVE-2023-47248: the extension type is in the Arrow schema, which is in the footer in base64."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, expected in (("arrow.py_extension_type", ["parquet-python-object"]), ("arrow.json", [])):
        metadata = {"ARROW:extension:name": name, "ARROW:extension:serialized": "cposix\nsystem\n(Vtrue\ntR."}
        schema = pa.schema([pa.field("a", pa.binary(), metadata=metadata)])
        pq.write_table(pa.table({"a": [b"x"]}, schema=schema), tmp_path / "t.parquet")
        with opened(tmp_path / "t.parquet", "t.parquet") as one:
            assert [finding.rule for finding in parquet.look(one).findings] == expected


@pytest.mark.parametrize("shift", range(8))
def test_the_schema_is_found_at_every_alignment(shift: int) -> None:
    footer = b"\0" + b"A" * shift + base64.b64encode(b"\xff" * 50 + b"arrow.py_extension_type" + b"\0" * 30) + b"\0"
    data = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    assert [one.rule for one in parquet.look(view(data, "t.parquet")).findings] == ["parquet-python-object"]
