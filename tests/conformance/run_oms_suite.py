"""Run the public OMS conformance suite against our adapter, keyless cases included, offline.

    python tests/conformance/run_oms_suite.py CLONE-OF-THE-SUITE [pytest's own options]

It needs the suite's package `oms-schemas`, or a checkout of it on PYTHONPATH. The keyless round trips get identity, authority
and log from a fake Sigstore on loopback. The keyless bundles that the suite carries were made with the public instance, whose
trusted root sigstore-python brings along.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from pratique.testing.sigstore import FakeSigstore, tokens

ADAPTER = Path(__file__).resolve().parent / "oms-client"
IDENTITY, ISSUER = "dev@example.com", "https://accounts.google.com"
PUBLIC = Path(str(files("sigstore"))) / "_store" / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev" / "trusted_root.json"


def environment(fake: FakeSigstore, folder: Path) -> dict[str, str]:
    """What the suite and the adapter need to know of the fake."""
    claims = tokens.email(IDENTITY, ISSUER)
    written = fake.write(folder, claims)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "OMS_SIGNING_CONFIG": str(written.signing_config),
        "OMS_TRUSTED_ROOT": os.pathsep.join([str(written.trusted_root), str(PUBLIC)]),
        "SIGSTORE_ID_TOKEN": fake.token(claims, minutes=60),
        "SIGSTORE_IDENTITY": IDENTITY,
        "SIGSTORE_ISSUER": ISSUER,
    }


def main() -> int:
    """Run it; the exit code is pytest's."""
    suite, *options = sys.argv[1:]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "test", f"--entrypoint={ADAPTER}", *options]
    with FakeSigstore() as fake, tempfile.TemporaryDirectory() as place:
        return subprocess.run(command, cwd=suite, env=environment(fake, Path(place)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
