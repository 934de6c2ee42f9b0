"""The inert samples of the design notes, where a checkout has them beside it: every one of them must be refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pratique.checking import Severity
from pratique.checks.artifact import FormatName, packs
from pratique.checks.artifact.granting import grants
from pratique.checks.artifact.looking import Asked, look
from pratique.checks.artifact.viewing import opened

GENERATOR = Path(__file__).parents[3] / "shared" / "prototypes" / "artifact" / "generate.py"


@pytest.mark.slow
@pytest.mark.skipif(not GENERATOR.exists(), reason="NOT RUN: ../shared with the generator of samples is not here")
def test_every_sample_is_refused(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(GENERATOR), str(tmp_path)], check=True, capture_output=True)
    samples = json.loads((tmp_path / "handmade" / "manifest-handmade.json").read_text())
    formats = FormatName.__args__  # type: ignore[attr-defined]  # the most that can be asked for
    asked = Asked(formats=formats, max_json_bytes=64 << 20, max_text_bytes=64 << 20, grants=grants(packs.NAMES, ()))
    passed = []
    for sample in samples:
        with opened(tmp_path / sample["path"], sample["path"].split("/files/")[1]) as view:
            findings = look(view, asked).findings
        if max((finding.severity for finding in findings), default=Severity.NOTE) < Severity.HIGH:
            passed.append(sample["path"])
    assert len(samples) > 200 and passed == []
