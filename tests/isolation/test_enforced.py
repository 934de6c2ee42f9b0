"""What the engine says of a connection is what a kernel does with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from ..markdown import ROOT

PROGRAMS = ("unshare", "ip", "nft", "mount")
MISSING = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None]
WORLDS = 60


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=f"NO CONNECTION WAS TRIED: needs root and {', '.join(PROGRAMS)}")
def test_real_connections_through_a_real_firewall_are_as_the_engine_says() -> None:
    command = [
        "unshare",
        "-n",
        "-m",
        "--propagation",
        "private",
        sys.executable,
        "-m",
        "tests.isolation.enforcing",
        str(WORLDS),
    ]
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    if "Operation not permitted" in done.stderr and not done.stdout:
        pytest.skip(f"NO CONNECTION WAS TRIED: this machine makes no network namespaces ({done.stderr.strip()[-200:]})")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["differ"] == []
    assert found["tried"] == WORLDS * 6 * 5 * 3 and 0.2 < found["made"] / found["tried"] < 0.95
