"""One file: what it is by its content, what it claims by its name, and what the reader of that format sees in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pratique.checking import Finding
from pratique.checks.artifact import (
    archives,
    arrays,
    bundles,
    containers,
    gguf,
    hdf5,
    inflating,
    jsons,
    keras,
    naming,
    onnx,
    parquet,
    pickles,
    raws,
    recognising,
    savedmodel,
    skops,
    templates,
    tensors,
    texts,
    tflite,
    torches,
    torchscript,
    xmls,
    yamls,
    zips,
)  # fmt: skip
from pratique.checks.artifact.containers import Budget
from pratique.checks.artifact.granting import NOTHING, Grants
from pratique.checks.artifact.recognising import Format
from pratique.checks.artifact.rules import RULES, finding
from pratique.checks.artifact.viewing import Sight, View, shown
from pratique.errors import Malformed

_VAGUE = frozenset({"text", "unknown", "empty"})
"""Contents that do not say which reader should look; the name does."""

_BINARY = ("safetensors", "parquet", "pickle", "torch", "npy", "gguf", "onnx", "hdf5", "savedmodel", "bundle", "tflite")

_ON_REQUEST = frozenset({"bundle", "gguf", "hdf5", "onnx", "savedmodel", "tflite"})
"""Formats that nobody looks into unless they are asked for."""

_NOUNS = {
    "pickle": "a pickle", "json": "JSON", "csv": "CSV", "parquet": "Parquet", "torch": "a PyTorch checkpoint",
    "npy": "a NumPy array", "gguf": "GGUF", "onnx": "ONNX", "hdf5": "HDF5", "savedmodel": "a SavedModel",
    "tflite": "TensorFlow Lite", "tar": "a tar archive",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the check's options come to for one file."""

    formats: tuple[str, ...]
    max_json_bytes: int
    max_text_bytes: int
    templates: str = "refuse"
    """`refuse` Jinja in JSON and on its own, or let pass what was `vetted`."""

    onnx_domains: tuple[str, ...] = ()
    """Domains of operators beside the format's own."""

    described: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Files of raw numbers: where the tensors lie in them of which a model of the artifact says so (`companions`)."""

    grants: Grants = NOTHING
    """What pickles may import."""

    code_files: Mapping[str, str] = field(default_factory=dict)
    """Programs that somebody has read, by their paths: their digests."""


def look(view: View, asked: Asked, within: Budget | None = None) -> Sight:
    """Look at one file; `within` is what is left to the archive that it came out of.

    1. By name: programs, installers' files and templates are refused whatever is in them.
    2. By content: recognise the format and let its reader look. Where the content does not say, the reader of the claimed
       format says what is wrong with it.
    3. Content and name must agree, the format must be asked for, and no second format may hide in the file.
    """
    found = recognising.recognise(view.data)
    if view.name in asked.code_files:
        return _reviewed(view, found, asked.code_files[view.name])
    named = _by_name(view, found, asked)
    form = found.name if found.name not in _VAGUE else _claimed(view.name, asked)
    if found.name == "unknown" and view.name in asked.described:
        form = "raw"
    budget = within or Budget.of(view.size)
    reader = _readers(asked, budget).get(form)
    if found.name == "compressed" and {"archive", "pickle"} & set(asked.formats):
        reader, form = (lambda inner: _compressed(inner, asked, budget)), "pickle" if "pickle" in asked.formats else "archive"
    if named and found.name in ("text", "empty") and form in ("", "pickle"):
        return Sight(findings=tuple(named))
    if found.name == "empty" and form in ("", "text", "csv", "yaml", "xml"):
        return Sight(findings=(finding("empty-file", view.name, "this file is empty"),))
    if reader is None or (form in _ON_REQUEST and _label(form) not in asked.formats):
        return Sight(findings=(*named, _unread(view, found, asked), *_mismatch(view, found)))
    sight = reader(view)
    objections = [*_mismatch(view, found), *_not_asked(view, form, asked), *_polyglot(view, found, form)]
    counts = {**sight.counts, "recognised_files": int(not objections)}
    return Sight(findings=(*named, *sight.findings, *objections), counts=counts)


def _readers(asked: Asked, budget: Budget) -> Mapping[str, Callable[[View], Sight]]:
    return {
        "safetensors": tensors.look,
        "parquet": parquet.look,
        "pickle": lambda view: pickles.look(view, asked.grants),
        "torch": lambda view: torches.look_at_legacy(view, asked.grants),
        "npy": lambda view: arrays.look(view, asked.grants),
        "gguf": gguf.look,
        "hdf5": keras.look_at_hdf5,
        "savedmodel": savedmodel.look,
        "bundle": bundles.look,
        "tflite": tflite.look,
        "onnx": lambda view: onnx.look(view, asked.onnx_domains),
        "raw": lambda view: raws.look(view, asked.described[view.name]),
        "template": lambda view: _template(view, asked),
        "archive": lambda view: _archive(view, asked, budget),
        **({"tar": lambda view: _tar(view, asked, budget)} if "archive" in asked.formats else {}),
        **({"yaml": lambda view: _yaml(view, asked)} if "yaml" in asked.formats else {}),
        **({"xml": lambda view: xmls.look(view, max_bytes=asked.max_text_bytes)} if "xml" in asked.formats else {}),
        "csv": texts.look_at_table,
        "json-lines": jsons.look_at_lines,
        "json": lambda view: jsons.look(view, max_bytes=asked.max_json_bytes, vetted=asked.templates == "vetted"),
        "text": lambda view: texts.look(view, max_bytes=asked.max_text_bytes),
    }


def _yaml(view: View, asked: Asked) -> Sight:
    return yamls.look(view, max_bytes=asked.max_text_bytes, grants=asked.grants)


def _member(asked: Asked) -> containers.Look:
    """How to look at what lies in an archive: like a file of its own, which no model beside the archive describes."""
    alone = replace(asked, described={})
    return lambda inner, left: look(inner, alone, left)


def _tar(view: View, asked: Asked, budget: Budget) -> Sight:
    """A tar archive, each member like a file of its own."""
    return containers.look_at_tar(view, budget, _member(asked))


def _archive(view: View, asked: Asked, budget: Budget) -> Sight:
    """A model or an archive of arrays, if those are asked for; others are looked into only to say what they hold."""
    readers = (
        ("torchscript", torchscript.is_archive, torchscript.look_at_archive),
        ("torch", torches.is_checkpoint, torches.look_at_archive),
        ("npy", arrays.is_archive, arrays.look_at_archive),
        ("skops", skops.is_archive, skops.look_at_archive),
        ("keras", keras.is_archive, lambda view, members, _: keras.look_at_archive(view, members)),
    )
    try:
        members = zips.members(view.data, general="archive" in asked.formats)
    except Malformed as error:
        sight = archives.look(view)
        return Sight(findings=(*sight.findings, _odd_archive(view, error)), counts=sight.counts)
    if program := torchscript.program(members, asked.formats):
        sight = archives.look(view)
        return Sight(findings=(*sight.findings[:-1], finding("program-archive", view.name, program)), counts=sight.counts)
    for label, resembles, reader in readers:
        if label in asked.formats and resembles(members):
            return reader(view, members, asked.grants)
    special = any(resembles(members) for _, resembles, _ in readers)
    if "archive" in asked.formats and not special and naming.is_plain_archive(view.name):
        return containers.look_at_zip(view, budget, _member(asked))
    return archives.look(view)


def _odd_archive(view: View, error: Malformed) -> Finding:
    return finding("archive-malformed", view.name, f"readers of this archive may see different members: {error}")


def _compressed(view: View, asked: Asked, budget: Budget) -> Sight:
    """A pickle that is compressed as a whole, as joblib does; or any file, if archives are asked for."""
    try:
        with inflating.inflated(view, budget.bytes) as inner:
            found = recognising.recognise(inner.data)
            if found.name == "pickle" and "pickle" in asked.formats:
                return pickles.look(inner, asked.grants)
            if "archive" in asked.formats:
                return containers.look_at_compressed(view, inner, budget, _member(asked))
    except Malformed as error:
        message = f"not one compressed pickle: {error}"
        if "pickle" not in asked.formats:
            return Sight(findings=(_odd_archive(view, error),))
        return Sight(findings=(finding("pickle-malformed", view.name, message),))
    return Sight(findings=(_refused(view, f"this is compressed, and inside it is {found.noun}", asked),))


def _template(view: View, asked: Asked) -> Sight:
    """A template in a file of its own, such as chat_template.jinja."""
    sight = texts.look(view, max_bytes=min(asked.max_text_bytes, 4 * templates.MAX_TEMPLATE))
    if sight.findings:
        return sight
    return Sight(findings=tuple(templates.findings(view.name, view.data[:].decode("utf-8"))))


def _claimed(name: str, asked: Asked) -> str:
    """The reader that a name asks for; '' if it asks for none."""
    if naming.is_template(name) and asked.templates == "vetted":
        return "template"
    claims = naming.claims(name)
    return naming.text_format(name) or next((form for form in _BINARY if form in claims), "")


def _by_name(view: View, found: Format, asked: Asked) -> list[Finding]:
    findings = []
    if naming.is_code(view.name) or (naming.is_path_file(view.name) and found.name == "text"):
        findings.append(finding("code-file", view.name, "this is a program, or carries one", fix=_pin(view, found)))
    if naming.is_template(view.name) and asked.templates != "vetted":
        findings.append(finding("template-file", view.name, "this is a Jinja template, a program that the tokenizer runs"))
    if naming.is_install(view.name):
        findings.append(finding("install-file", view.name, "this tells an installer what to fetch and run"))
    return findings


def _reviewed(view: View, found: Format, pinned: str) -> Sight:
    """A program that somebody has read: it must be that one to the last byte, and no program for a machine."""
    if found.name in ("text", "empty") and _digest(view) == pinned:
        return Sight(counts={"recognised_files": 1})
    what = "not the file that was reviewed" if found.name in ("text", "empty") else f"{found.noun}, which nobody can have read"
    return Sight(findings=(finding("code-file", view.name, f"this is {what}: its digest is {_digest(view)}"),))


def _pin(view: View, found: Format) -> str:
    """The line of a policy that would allow a program, where one can."""
    usual = RULES["code-file"].fix
    if found.name not in ("text", "empty") or shown(view.name) != view.name:
        return usual
    return f'{usual}; or, once somebody has read it: `code_files: {{"{view.name}": "{_digest(view)}"}}`'


def _digest(view: View) -> str:
    digest = hashlib.sha256()
    for start in range(0, view.size, 1 << 20):
        digest.update(view.data[start : start + (1 << 20)])
    return f"sha256:{digest.hexdigest()}"


def _mismatch(view: View, found: Format) -> list[Finding]:
    claims = naming.claims(view.name)
    if found.name in _VAGUE or not claims or found.name in claims:
        return []
    message = f"its content is {found.noun}, its name says otherwise: loaders disagree about which of the two counts"
    return [finding("extension-mismatch", view.name, message)]


def _not_asked(view: View, form: str, asked: Asked) -> list[Finding]:
    label = _label(form)
    if label in asked.formats or label in ("archive", "raw"):  # an archive that was not asked for has been refused already
        return []
    return [_refused(view, f"this is {_NOUNS.get(label, label)}", asked)]


def _label(form: str) -> str:
    """The format that a policy names for a reader."""
    return {"json-lines": "json", "template": "text", "bundle": "savedmodel", "tar": "archive"}.get(form, form)


def _polyglot(view: View, found: Format, form: str) -> list[Finding]:
    hidden = []
    if found.name in _ON_REQUEST | {"safetensors", "parquet", "tar"} and pickles.hides_in(view.data):
        hidden.append("a pickle to whoever reads it from the beginning")
    if (found.name in (*_BINARY, "compressed") or form == "raw") and archives.ends_like_one(view.data):
        hidden.append("a zip archive to whoever reads it from the end")
    if found.name not in ("tar", "torch") and torches.is_tar(view.data):  # torch says so itself
        hidden.append("a tar archive, which torch.load opens before anything else")
    if found.name not in ("hdf5", "archive", "tar") and hdf5.hides_in(view.data):  # archives: each member is looked at
        hidden.append("HDF5 to whoever skips a block of the user's")
    return [finding("polyglot", view.name, f"this file is {found.noun}, and {what}") for what in hidden]


def _unread(view: View, found: Format, asked: Asked) -> Finding:
    if found.name == "native":
        return finding("native-code", view.name, f"this is {found.noun}")
    if found.name in _ON_REQUEST | {"other", "compressed", "tar"}:
        return _refused(view, f"this is {found.noun}", asked)
    what = "text of a kind that loaders may act on" if found.name == "text" else "of no format that is known here"
    return finding("unknown-format", view.name, f"this file is {what}; what is not known is refused")


def _refused(view: View, what: str, asked: Asked) -> Finding:
    return finding("format-not-allowed", view.name, f"{what}; allowed here: {', '.join(asked.formats)}")
