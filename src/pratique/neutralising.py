"""A model in pickles, written again as safetensors: the same numbers, and nothing that runs when they are loaded.

    neutralise("models/base", "models/safe")      # pytorch_model.bin -> model.safetensors, the rest as it is

Nothing is loaded, and PyTorch is not needed. In the order of the code:

1. Take a private, hashed copy of the model (`training.record`, which also signs what went in and what came out).
2. Look at each checkpoint with the `artifact` check, imports of state dicts allowed and nothing else. Any finding refuses.
3. Find out where its tensors lie, and copy them, element by element where they are views with gaps.
4. Look at what was written with the same check, as if a stranger had sent it.
5. Copy the other files; rewrite the index of a model in parts. A file that is, or holds, another kind of pickle refuses.
6. Hash, sign, store the record; only then move the folder to its place.

The record is SLSA provenance with the old digest as base and the new one as subject: `lineage` follows it like a training's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pratique import documents, files, training
from pratique.artifacts import Artifact, Entry, Subject
from pratique.checks.artifact import drawing, recognising
from pratique.checks.artifact.drawing import SIZES, Drawing, Drawn
from pratique.checks.artifact.granting import NOTHING, Grants, grants
from pratique.checks.artifact.looking import Asked, look
from pratique.checks.artifact.viewing import Bytes, View, opened, shown
from pratique.errors import ArtifactRefused, Malformed, UsageError
from pratique.signing import Signer
from pratique.statements import NEUTRALISE
from pratique.store import Store

_BLOCK = 1 << 20
_MOST_TIMES = 8
"""Views may repeat a storage (tied weights); a few bytes expanded to a full disk are refused."""

_INDEX = ".bin.index.json"
_LARGEST_INDEX = 64 << 20
_TURNED = frozenset({"torch", "npy"})
_REFUSED = frozenset({"pickle", "compressed", "archive", "tar"})
_CODES: dict[int, Any] = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""struct codes of unsigned integers: elements are moved as they are, never understood."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One checkpoint and what became of it."""

    source: str
    target: str
    tensors: int
    dropped: tuple[str, ...]
    """Values that are no tensors, which safetensors cannot hold."""

    shared: tuple[str, ...]
    """Tensors that shared memory with another and are written out on their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neutralised:
    """What was done to a model."""

    source: Subject
    subject: Subject
    record_digest: str
    """Names the signed record in the store."""

    output: Path
    converted: tuple[Converted, ...]
    copied: tuple[str, ...]
    left_out: tuple[str, ...]


def neutralise(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    signer: Signer | None = None,
    store: Store | None = None,
    leave_out: Iterable[str] = (),
    run_id: str = "",
    progress: Progress = lambda count: None,
) -> Neutralised:
    """Write a model again as safetensors, and sign the record that links both digests.

    Args:
        source: path or URI of a checkpoint or of a folder with checkpoints.
        output: local folder for the result, which must not exist yet, or be empty.
        signer: whose record it is; the trainer's key of this machine if left out, never the gate's.
        store: where the record goes; `$PRATIQUE_STORE` if left out.
        leave_out: paths inside `source` that are not wanted, such as `training_args.bin`.
        run_id: names the pipeline run in the record.
        progress: called with bytes, as they are written.

    Raises:
        ArtifactRefused: a checkpoint imports what no state dict needs, is malformed, or holds what safetensors cannot say.
            Nothing is written and nothing recorded.
        UsageError: `output` is taken, nothing is there to convert, or a path to leave out is not there.
    """
    skip = frozenset(leave_out)
    parameters = {"left_out": sorted(skip)}
    with training.record(
        base=source, output=output, signer=signer, store=store, run_id=run_id, parameters=parameters, build_type=NEUTRALISE
    ) as run:  # 1, 6
        converted, copied = _fill(run.base, run.output, skip, progress)
        before = run.base.subject
    assert run.subject is not None  # a record that ended without an error has one
    return Neutralised(
        source=before, subject=run.subject, record_digest=run.record_digest, output=run.output, converted=converted,
        copied=copied, left_out=tuple(sorted(skip)),
    )  # fmt: skip


def _fill(
    base: Artifact, folder: Path, skip: frozenset[str], progress: Progress
) -> tuple[tuple[Converted, ...], tuple[str, ...]]:
    entries = [one for one in base.entries if not one.path.endswith("/")]
    if unknown := sorted(skip - {one.path for one in entries}):
        raise UsageError(f"there is no {shown(unknown[0])} to leave out")
    kept = [one for one in entries if one.path not in skip]
    kinds = {one.path: _kind(base, one) for one in kept}
    names = {path: _renamed(path) if kind in _TURNED else _index_name(path) for path, kind in kinds.items()}
    if clash := sorted(name for name in names.values() if sum(name == other for other in names.values()) > 1):
        raise ArtifactRefused(f"two files would be called {shown(clash[0])}", hint="leave one of them out: --leave-out NAME")
    if not any(kind in _TURNED for kind in kinds.values()):
        raise UsageError("there is no checkpoint in it to convert: neither PyTorch's nor NumPy's")
    converted, copied = [], []
    for entry in kept:
        target = folder / names[entry.path]
        target.parent.mkdir(parents=True, exist_ok=True)
        if kinds[entry.path] in _TURNED:
            converted.append(_convert(base.path(entry), entry.path, target, names[entry.path], progress))
        elif names[entry.path] != entry.path:
            _write_index(base.path(entry), target, names)
        else:
            shutil.copyfile(base.path(entry), target)
            copied.append(entry.path)
            progress(entry.size)
    return tuple(converted), tuple(copied)


def _kind(base: Artifact, entry: Entry) -> str:
    """torch or npy if it will be converted, other if it will be copied.

    Raises:
        ArtifactRefused: it is, or may hold, a pickle of another kind.
    """
    with opened(base.path(entry), entry.path) as view:
        found = recognising.recognise(view.data).name
        if found == "archive":
            found = drawing.kind_of_archive(view) or found
    if found in _REFUSED:
        hint = f"if nothing needs it: --leave-out {shown(entry.path)}"
        raise ArtifactRefused(f"{shown(entry.path)} is a pickle, or an archive, but no checkpoint of tensors", hint=hint)
    return found


def _renamed(path: str) -> str:
    """pytorch_model-00001-of-00002.bin -> model-00001-of-00002.safetensors, as transformers looks for them."""
    pure = PurePosixPath(path)
    stem = "model" + pure.stem.removeprefix("pytorch_model") if pure.stem.startswith("pytorch_model") else pure.stem
    return str(pure.with_name(stem + ".safetensors"))


def _index_name(path: str) -> str:
    if not path.endswith(_INDEX):
        return path
    return _renamed(path.removesuffix(".index.json")) + ".index.json"


def _write_index(source: Path, target: Path, names: Mapping[str, str]) -> None:
    """The index of a model in parts, with the new names of the parts."""
    try:
        index = documents.parse(files.read(source, most=_LARGEST_INDEX), what=source.name)
    except Malformed as error:
        raise ArtifactRefused(f"{source.name} is no index: {error}") from error
    parts = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(parts, dict) or not all(isinstance(one, str) for one in parts.values()):
        raise ArtifactRefused(f"{source.name} is no index of a model in parts")
    short = {PurePosixPath(old).name: PurePosixPath(new).name for old, new in names.items()}
    if missing := sorted(set(parts.values()) - short.keys()):
        raise ArtifactRefused(f"{source.name} names {shown(missing[0])}, which is not there")
    index["weight_map"] = {name: short[part] for name, part in parts.items()}
    target.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _convert(source: Path, name: str, target: Path, called: str, progress: Progress) -> Converted:
    """Look, draw, write, look again."""
    with opened(source, name) as view:
        _ensure_nothing(view, ("npy", "torch"), grants(("torch",), ()), renamed=True)  # 2
        try:
            drawn = drawing.draw(view)  # 3
        except Malformed as error:
            raise ArtifactRefused(f"cannot be said in safetensors: {error}") from error
        if not drawn.tensors:
            raise ArtifactRefused(f"{shown(name)} holds no tensor", hint=f"leave it out: --leave-out {shown(name)}")
        if sum(one.size for one in drawn.tensors.values()) > _MOST_TIMES * view.size:
            raise ArtifactRefused(f"{shown(name)} would become more than {_MOST_TIMES} times as large: an expansion bomb?")
        with target.open("xb") as stream:
            write(stream, view.data, drawn, progress)
    with opened(target, called) as view:
        _ensure_nothing(view, ("safetensors",), NOTHING)  # 4
    return Converted(
        source=name, target=called, tensors=len(drawn.tensors), dropped=tuple(drawn.dropped), shared=_shared(drawn)
    )  # fmt: skip


def _ensure_nothing(view: View, formats: tuple[str, ...], granted: Grants, *, renamed: bool = False) -> None:
    asked = Asked(formats=formats, max_json_bytes=1, max_text_bytes=1, grants=granted)
    found = [one for one in look(view, asked).findings if not (renamed and one.rule == "extension-mismatch")]
    if found:
        more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        raise ArtifactRefused(f"{shown(found[0].where or view.name)}: {found[0].rule}: {found[0].message}{more}")


def _shared(drawn: Drawing) -> tuple[str, ...]:
    seen: set[str] = set()
    found = []
    for name, one in drawn.tensors.items():
        if one.storage in seen:
            found.append(name)
        seen.add(one.storage)
    return tuple(found)


def write(stream: IO[bytes], data: Bytes, drawn: Drawing, progress: Progress = lambda count: None) -> None:
    """Write safetensors: the largest elements first, so that each begins at a multiple of its size, as the library does."""
    order = sorted(drawn.tensors.items(), key=lambda one: (-SIZES[one[1].dtype], one[0]))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, one in order:
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [position, position + one.size]}
        position += one.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for _, one in order:
        for block in elements(data, one):
            stream.write(block)
            progress(len(block))


def elements(data: Bytes, one: Drawn) -> Iterator[bytes]:
    """A tensor's bytes in the order of its indices, a block at a time."""
    if not one.size:
        return
    size = SIZES[one.dtype]
    axes = [(count, stride) for count, stride in zip(one.shape, one.strides, strict=True) if count != 1]
    run = 1
    while axes and axes[-1][1] == run:  # the innermost axes that lie without gaps
        run *= axes.pop()[0]
    if run > 1 or not axes:
        for start in _starts(one.start, axes, size):
            for at in range(start, start + run * size, _BLOCK):
                yield data[at : min(at + _BLOCK, start + run * size)]
        return
    count, stride = axes.pop()
    for start in _starts(one.start, axes, size):
        yield from _strided(data, start, count, stride, size)


def _starts(start: int, axes: list[tuple[int, int]], size: int) -> Iterator[int]:
    """Where each run begins, by the indices of the outer axes."""
    if not axes:
        yield start
        return
    count, stride = axes[0]
    for index in range(count):
        yield from _starts(start + index * stride * size, axes[1:], size)


def _strided(data: Bytes, start: int, count: int, stride: int, size: int) -> Iterator[bytes]:
    if stride == 0:
        step = max(1, _BLOCK // size)
        for done in range(0, count, step):
            yield data[start : start + size] * min(step, count - done)
        return
    step = max(1, _BLOCK // (stride * size))
    for done in range(0, count, step):
        many, begin = min(step, count - done), start + done * stride * size
        block = memoryview(data[begin : begin + ((many - 1) * stride + 1) * size]).cast(_CODES[size])
        yield block[::stride].tobytes()
