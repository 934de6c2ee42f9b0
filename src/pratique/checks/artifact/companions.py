"""Formats of several files: which files of an artifact hold nothing but raw numbers, by what a model in it says about them."""

from __future__ import annotations

from collections.abc import Collection

from pratique.artifacts import Artifact
from pratique.checks.artifact import bundles, naming, onnx
from pratique.checks.artifact.viewing import opened


def described(artifact: Artifact, formats: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Offsets and bytes of tensors by the path of the file in which they lie, as far as the formats are asked for."""
    beside = {entry.path: entry.size for entry in artifact.entries}
    found: dict[str, list[tuple[int, int]]] = {}
    for entry in artifact.entries:
        if "onnx" in formats and "onnx" in naming.claims(entry.path):
            with opened(artifact.path(entry), entry.path, beside) as view:
                for one in onnx.externals(view):
                    found.setdefault(one.path, []).append((one.offset, one.size))
        if "savedmodel" in formats and "bundle" in naming.claims(entry.path):
            with opened(artifact.path(entry), entry.path, beside) as view:
                for place in bundles.places(view):
                    found.setdefault(place.path, []).append((place.offset, place.size))
    return found
