"""Keys in JSON by which a file that is "only configuration" makes a library import, fetch or render code.

The table is short on purpose, and a deny-list: it knows the loaders named in it and no others. What it cannot see, a
`code-file` or `unknown-format` finding sees only if the code is in the artifact too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pratique.checking import Finding
from pratique.checks.artifact import templates
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import shown

_TRANSFORMERS = "https://huggingface.co/docs/transformers/custom_models"


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and what happens to whoever loads a file that has it."""

    key: str
    reason: str
    source: str
    harmless: tuple[Any, ...] = (None, False, "", [], {})
    """Values that switch it off."""


_ATTENTION: tuple[Any, ...] = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", None, "", {})
_KERNELS = "CVE-2026-4372"

KEYS = {
    one.key: one
    for one in (
        Key("auto_map", "names Python files that transformers and diffusers import", _TRANSFORMERS),
        Key("custom_pipelines", "names Python files that transformers imports", _TRANSFORMERS),
        Key("trust_remote_code", "asks for code of the artifact to be run", _TRANSFORMERS),
        Key("auto_mapping", "names a library that PEFT imports", "https://huggingface.co/docs/peft/package_reference/config"),
        Key("_attn_implementation_internal", "names a repository whose kernels are fetched and run", _KERNELS, _ATTENTION),
        Key("_attn_implementation", "names a repository whose kernels are fetched and run", _KERNELS, _ATTENTION),
        Key("attn_implementation", "names a repository whose kernels are fetched and run", _KERNELS, _ATTENTION),
        Key("_target_", "names what Hydra imports and calls", "https://hydra.cc/docs/advanced/instantiate_objects/overview"),
        Key("py/object", "names a class that jsonpickle makes", "https://jsonpickle.github.io", ()),
        Key("py/reduce", "names what jsonpickle calls", "https://jsonpickle.github.io", ()),
        Key("py/function", "names what jsonpickle imports", "https://jsonpickle.github.io", ()),
        Key("py/type", "names what jsonpickle imports", "https://jsonpickle.github.io", ()),
    )
}

_KERAS_CODE = frozenset({"Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "TorchModuleWrapper", "TFSMLayer"})
"""Keras classes whose configuration is code: https://keras.io/api/layers/core_layers/lambda."""

_COMPONENTS = frozenset({"diffusers", "transformers", "stable_diffusion", None})
"""Libraries that a diffusers pipeline may take its parts from; the third is a folder of diffusers' own."""

_JINJA = ("{{", "{%", "{#")


def find(document: Any, where: str, *, vetted: bool = False) -> Iterator[Finding]:
    """Everything in a parsed document that leads to code, in the order of the document. Its depth is bounded by the parser."""
    yield from _walk(document, "$", where, vetted)
    file = where.rsplit("/", 1)[-1]
    if file == "model_index.json" and isinstance(document, dict):
        yield from _foreign_components(document, where)
    if file == "modules.json" and isinstance(document, list):
        yield from _foreign_modules(document, where)


def _walk(value: Any, path: str, where: str, vetted: bool) -> Iterator[Finding]:
    if isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from _walk(inner, f"{path}[{number}]", where, vetted)
    elif isinstance(value, dict):
        for key, inner in value.items():
            known = KEYS.get(key)
            if known is not None and inner not in known.harmless:
                yield _reference(f"{path}.{key}", known.reason, known.source, where)
            if key == "class_name" and isinstance(inner, str) and inner in _KERAS_CODE:
                yield _reference(f"{path}.{key}", f"is {inner}: Keras runs the code in it", "CVE-2024-3660", where)
            if "template" in key.casefold():
                yield from _rendered(f"{path}.{shown(key)}", _templates(inner), where, vetted)
            if isinstance(inner, dict | list):
                yield from _walk(inner, f"{path}.{shown(key)}", where, vetted)


def _templates(value: Any) -> Iterator[str]:
    """The texts in a value that Jinja would not leave as they are."""
    if isinstance(value, str):
        if any(mark in value for mark in _JINJA):
            yield value
        return
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _templates(one)


def _foreign_components(document: dict[str, Any], where: str) -> Iterator[Finding]:
    """model_index.json: `part: [library, class]`; diffusers imports the library."""
    for key, value in document.items():
        if isinstance(value, list) and value and (not _is_text(value[0]) or value[0] not in _COMPONENTS):
            source = "https://huggingface.co/docs/diffusers/using-diffusers/custom_pipeline_overview"
            reason = f"names {shown(str(value[0]))} as a library for diffusers to import"
            yield _reference(f"$.{shown(key)}", reason, source, where)


def _foreign_modules(document: list[Any], where: str) -> Iterator[Finding]:
    """modules.json: `type: dotted.path`; sentence-transformers imports it."""
    for number, module in enumerate(document):
        kind = module.get("type") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not kind.startswith("sentence_transformers."):
            source = "https://sbert.net/docs/sentence_transformer/usage/custom_models.html"
            reason = f"names {shown(str(kind))} for sentence-transformers to import"
            yield _reference(f"$[{number}].type", reason, source, where)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _reference(path: str, reason: str, source: str, where: str) -> Finding:
    return finding("remote-code-reference", where, f"{path} {reason} ({source})")


def _rendered(path: str, texts: Iterator[str], where: str, vetted: bool) -> Iterator[Finding]:
    """What is to be said about templates under a key: each is looked at, or the first is refused for all."""
    if vetted:
        for text in texts:
            yield from templates.findings(f"{where}, {path}", text)
    elif text := next(texts, ""):
        message = f"{path} is a Jinja template, a program that the tokenizer runs: {shown(text)}"
        yield finding("template-in-json", where, message)
