"""The image in which every step of the catalogue runs.

It must hold Python, `pratique[kfp]` and the extras of the checks that run in it (docs/kubeflow.md has a Containerfile). The
default is a tag that names this version, and it names no registry: build the image, push it to yours, and set
PRATIQUE_IMAGE while you compile, best with a digest (`registry.example/pratique@sha256:...`), because a tag can be moved.
`task.set_container_image` does the same for one task.
"""

import os

from pratique import __version__

IMAGE = os.environ.get("PRATIQUE_IMAGE") or f"pratique:{__version__}"
"""Read while a pipeline is compiled; a running step does not look at it."""
