"""The rule IM-1: `unpinned-image`. What deployment runs, and the models that it loads, are named by digest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pratique.isolation.objects import Breach, Question
from pratique.isolation.pods import pods

PINNED = re.compile(r"@sha256:[0-9a-f]{64}\Z")


def unpinned_images(question: Question) -> Iterator[Breach]:
    """IM-1: images of containers, image volumes and OCI models of deployment and the broker."""
    guarded = question.sides.guarded
    seen: dict[str, tuple[str, str]] = {}
    for pod in pods(question.env, guarded):
        for image in pod.images:
            seen.setdefault(f"{pod.ref}: {image}", (pod.ref, image))
        for one in pod.spec.volumes:
            source = one.get("image")
            if isinstance(source, Mapping) and isinstance(source.get("reference"), str):
                seen.setdefault(f"{pod.ref}: {source['reference']}", (pod.ref, source["reference"]))
    for thing in question.env.things:
        if thing.namespace in guarded and thing.group == "serving.kserve.io":
            for uri in models(thing.body):
                seen.setdefault(f"{thing.ref}: {uri}", (thing.ref, uri))
    for where, (ref, image) in seen.items():
        if not PINNED.search(image):
            steps = (f"{ref} names {image} without a digest", "whoever may push to that name decides what runs")
            yield Breach(rule="unpinned-image", where=where, steps=steps)


def models(value: Any) -> Iterator[str]:
    """Where the models of a KServe resource come from. Claims and buckets have rules of their own."""
    if isinstance(value, list):
        for one in value:
            yield from models(one)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key in ("storageUri", "uri") and isinstance(one, str) and not one.startswith(("pvc://", "s3://", "gs://")):
                yield one
            else:
                yield from models(one)
