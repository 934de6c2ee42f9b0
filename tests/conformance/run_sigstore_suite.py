"""Run the bundle cases of the public suite sigstore-conformance against our client, offline.

    python tests/conformance/run_sigstore_suite.py CLONE-OF-THE-SUITE [pytest's own options]

The suite needs packages of its own (its requirements.txt): name a Python that has them in SUITE_PYTHON. It fetches an identity
token from a bucket before every test, for signing; here it is handed one that nobody accepts, because only verification is
asked for.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

CLIENT = Path(__file__).resolve().parent / "sigstore-client"

_OFFLINE = """
import sys, pytest, urllib3
class Answer:
    data = sys.argv.pop(1).encode()
urllib3.request = lambda *args, **kwargs: Answer
sys.exit(pytest.main(sys.argv[1:]))
"""
"""pytest, with what the suite downloads replaced by the first argument."""


def token() -> str:
    """A token in form alone."""
    claims = {"email": "dev@example.com", "iss": "https://example.com", "exp": int(time.time()) + 3600}
    return f"x.{base64.b64encode(json.dumps(claims).encode()).decode()}.x"


def main() -> int:
    """Run it; the exit code is pytest's."""
    suite, *options = sys.argv[1:]
    python = os.environ.get("SUITE_PYTHON", sys.executable)
    words = [
        "test/test_bundle.py",
        "-q",
        "-k",
        "test_verify and not cpython",
        "--skip-signing",
        f"--entrypoint={CLIENT}",
        *options,
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # the client's own interpreter
    command = [python, "-c", _OFFLINE, token(), *words]
    return subprocess.run(command, cwd=suite, env={**os.environ, "PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
