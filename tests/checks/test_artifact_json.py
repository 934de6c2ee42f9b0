"""JSON: parsed in one way only, bounded, and without keys by which a library runs code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pratique.checking import Finding
from pratique.checks.artifact import jsons
from pratique.checks.artifact.viewing import View

SSTI = "{% for c in ().__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}"


def look(data: Any, name: str = "config.json", most: int = 1 << 20) -> tuple[Finding, ...]:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return jsons.look(View(name=name, path=Path(name), data=raw), max_bytes=most).findings


def lines(data: bytes) -> tuple[Finding, ...]:
    return jsons.look_at_lines(View(name="d.jsonl", path=Path("d.jsonl"), data=data)).findings


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} {"a": 2}', "not valid JSON"),
        (b'{"a": 1, "a": 2}', "appears twice"),
        (b'{"a": 1, "\\u0061": 2}', "appears twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'\xff\xfe{\0}\0', "not valid JSON"),
        (b"[" * 100_000, "levels deep"),
        (b"[" * 65 + b"]" * 65, "levels deep"),
        (b"[" + b"1" * 5000 + b"]", "not valid JSON"),
        (b"1" * ((1 << 20) + 1), "1,048,576 are allowed"),
        (b"\x7fELF", "not valid JSON"),
    ],
)  # fmt: skip
def test_json_that_two_parsers_read_differently(data: bytes, says: str) -> None:
    assert [finding.rule for finding in look(data)] == ["json-malformed"]
    assert says in look(data)[0].message


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"auto_map": {"AutoModel": "modeling_x.M"}}, "$.auto_map"),
        ({"a": [{"b": {"auto_map": "attacker/repo--modeling_x.M"}}]}, "$.a[0].b.auto_map"),
        ({"custom_pipelines": {"x": {"impl": "x.P"}}}, "$.custom_pipelines"),
        ({"trust_remote_code": True}, "$.trust_remote_code"),
        ({"auto_mapping": {"parent_library": "evil"}}, "$.auto_mapping"),
        ({"_attn_implementation_internal": "attacker/kernels"}, "$._attn_implementation_internal"),
        ({"attn_implementation": {"": "attacker/kernels"}}, "$.attn_implementation"),
        ({"model": {"_target_": "os.system"}}, "$.model._target_"),
        ([{"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["true"]}]}], "$[0].py/reduce"),
        ({"layers": [{"class_name": "Lambda", "config": {"function": "4wA="}}]}, "$.layers[0].class_name"),
    ],
)
def test_a_key_by_which_a_library_runs_code(document: Any, place: str) -> None:
    found = look(document)
    assert found[0].rule == "remote-code-reference" and found[0].message.startswith(f"{place} ")


def test_keys_that_are_switched_off() -> None:
    harmless = {
        "auto_map": None,
        "custom_pipelines": {},
        "trust_remote_code": False,
        "auto_mapping": None,
        "_attn_implementation": "sdpa",
        "_attn_implementation_internal": None,
        "attn_implementation": "flash_attention_2",
        "class_name": "Dense",
        "architectures": ["LlamaForCausalLM"],
        "torch_dtype": "bfloat16",
        "target": "x",
    }
    assert look(harmless) == ()


@pytest.mark.parametrize(
    "document",
    [
        {"chat_template": SSTI},
        {"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": SSTI}]},
        {"default_chat_template": {"x": ["{# comment #}"]}},
        {"processor": {"Chat_Template": "{{ messages }}"}},
    ],
)
def test_a_template_is_a_program(document: Any) -> None:
    assert "template-in-json" in [finding.rule for finding in look(document, "tokenizer_config.json")]


def test_braces_that_are_no_template() -> None:
    """Vocabularies hold every pair of braces there is."""
    tokenizer = {
        "model": {"vocab": {"{{": 1, "{%": 2}, "merges": ["{ {", "{{ }}"]},
        "post_processor": {"type": "TemplateProcessing"},
    }
    assert look({**tokenizer, "chat_template": "[INST]"}, "tokenizer.json") == ()


def test_a_pipeline_of_foreign_parts() -> None:
    honest = {
        "_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "feature_extractor": [None, None],
        "text_encoder": ["transformers", "CLIPTextModel"],
    }  # fmt: skip
    assert look(honest, "sd/model_index.json") == ()
    for evil in ({"unet": ["my_unet", "Evil"]}, {"_class_name": ["pipeline", "P"]}, {"unet": [["os"], "system"]}):
        assert [one.rule for one in look({**honest, **evil}, "sd/model_index.json")] == ["remote-code-reference"]


def test_modules_of_a_sentence_transformer() -> None:
    honest = [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]
    assert look(honest, "modules.json") == ()
    for evil in ({"type": "os.system"}, {"type": 1}, {}, "os.system"):
        assert [one.rule for one in look([*honest, evil], "modules.json")] == ["remote-code-reference"]


def test_a_flood_of_keys_is_cut() -> None:
    assert len(look([{"auto_map": 1}] * 10_000)) == jsons.ENOUGH
    assert len(lines(b'{"auto_map": 1}\n' * 10_000)) == jsons.ENOUGH


def test_json_lines() -> None:
    assert lines(b'{"a": 1}\n\n{"a": [2, "\\u2028"]}\r\n{"a": 3}') == ()
    for bad in (b"{}\n{\n{}\n", b'{}\n{"a": 1, "a": 2}\n', b"{}\n\xff\n"):
        (found,) = lines(bad)
        assert found.rule == "json-malformed" and "line 2" in found.message
    (found,) = lines(b'{"a": 1}\n{"auto_map": "x.M"}\n')
    assert (found.rule, found.where) == ("remote-code-reference", "d.jsonl, line 2")


def test_a_line_without_end() -> None:
    most = jsons.MAX_LINE
    assert lines(b'"' + b"x" * (most - 2) + b'"\n{}\n') == ()
    for size in (most - 1, 3 * most):
        (found,) = lines(b'"' + b"x" * size + b'"\n{}\n')
        assert f"at most {most:,}" in found.message
