"""YAML and XML: configurations and graphs pass, whatever leads to code, to files or to bombs does not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from pratique.checking import Finding
from pratique.checks.artifact.granting import grants
from pratique.checks.artifact.looking import Asked
from pratique.checks.artifact.looking import look as look_at_file
from pratique.checks.artifact.viewing import opened

MLMODEL = """artifact_path: model
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
mlflow_version: 3.1.0
model_size_bytes: 1024
model_uuid: 0123456789abcdef
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
utc_time_created: '2026-01-01 00:00:00'
"""
CONFIG = """# a training
defaults: [model, _self_]
model:
  name: tiny
  sizes: &sizes [1, 2, 3]
  others: *sizes
  hidden: 8
  same: ${model.hidden}
  kept: ${oc.select:model.hidden,3}
  dropout: 1.0e-1
  encoder: "encoder.weight"
"""


def look(tmp_path: Path, text: str | bytes, name: str = "config.yaml", lines: tuple[str, ...] = ()) -> list[Finding]:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    asked = Asked(formats=("xml", "yaml"), max_json_bytes=1, max_text_bytes=1 << 20, grants=grants((), lines))
    with opened(tmp_path / name, name) as view:
        return list(look_at_file(view, asked).findings)


def rules(found: list[Finding]) -> set[str]:
    return {one.rule for one in found}


@pytest.mark.parametrize(
    ("name", "text"), [("config.yaml", CONFIG), ("MLmodel", MLMODEL), ("c.yml", "a: 1\n---\nb: !!str 2\n"), ("e.yaml", "{}")]
)
def test_honest_configurations(tmp_path: Path, name: str, text: str) -> None:
    assert look(tmp_path, text, name) == []
    (tmp_path / name).write_text(text)
    with opened(tmp_path / name, name) as view:
        found = look_at_file(view, Asked(formats=("json",), max_json_bytes=1, max_text_bytes=1)).findings
    assert [one.rule for one in found] == ["unknown-format"], "nobody asked for YAML"


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
        "!x y",
        "!!binary aGk=",
        "!<tag:yaml.org,2002:python/object/new:os.system> [true]",
        "!!set {a}",
        "!!omap [a: 1]",
        "!!js/function 'x'",
        "!include /etc/passwd",
        "!!java.net.URL ['http://x']",
    ],
)
def test_tags_build_things_and_are_refused(tmp_path: Path, tag: str) -> None:
    for text in (f"a: {tag}", f"- {tag}", f"{{{tag}: 1}}" if " " not in tag else f"? {tag}\n: 1", f"a: [{{b: {tag}}}]"):
        assert rules(look(tmp_path, text)) == {"yaml-malformed"}, text
    assert look(tmp_path, "%TAG ! tag:yaml.org,2002:python/\n---\na: !name:os.system x")


@pytest.mark.parametrize(
    "text",
    [
        "_target_: os.system",
        "m: {_target_: acme.Net}",
        "m: [{a: {_target_: x}}]",
        "x: &e os.system\nm: {_target_: *e}",
        "e: &e {a: 1}\nm: {_target_: *e}",
        "target: ldm.models.Autoencoder\nparams: {}",
        "class_path: acme.Net",
        "_component_: acme.f",
        "loader_module: evil",
        "loader_module: mlflow.pyfunc.model",
        "python_model: python_model.pkl",
        "custom_objects: {a: 1}",
        "model_class: acme.Net",
        "loss_fn: acme.losses.f",
        "callbacks: [acme.Callback]",
        "auto_map: {AutoModel: m.M}",
        "trust_remote_code: true",
        "attn_implementation: attacker/kernels",
        "chat_template: '{{ x }}'",
        "path: ${oc.env:HOME}",
        "x: ${eval:1+1}",
        "x: [a, '${ oc.create : x }']",
        "flavors: {python_function: {code: code, loader_module: mlflow.sklearn}}",
        '"_tar\\x67et_": os.system',
        "? _target_\n: os.system",
        '"_target_": >-\n  os.system',
    ],
)
def test_keys_that_name_code(tmp_path: Path, text: str) -> None:
    for name in ("config.yaml", "MLmodel"):
        assert {"remote-code-reference", "template-in-json"} & rules(look(tmp_path, text, name)), text


def test_a_name_that_the_policy_trusts(tmp_path: Path) -> None:
    text = "m: {_target_: nemo.core.Thing}"
    (found,) = look(tmp_path, text)
    assert '`pickle_globals: ["call nemo.core.Thing"]` allows it' in found.fix
    assert look(tmp_path, text, lines=("call nemo.core.Thing",)) == []
    assert look(tmp_path, text, lines=("new nemo.core.Thing",)) and look(tmp_path, text, lines=("call nemo.core.Other",))
    assert "pickle_globals" not in look(tmp_path, "m: {_target_: os.system}")[0].fix


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "{a: 1, 'a': 2}",
        "a: &x [*x]",
        "<<: {a: 1}",
        "b: &b {_x: 1}\nc: {<<: *b}",
        "? [a]\n: 1",
        "a: *nothing",
        "a: b: c",
        "\ta: 1",
        "a: [",
        "'",
        "[" * 80 + "]" * 80,
        "[" * 5_000,
        "- " * 3_000 + "x",
        "a: \0",
        "? " * 200,
        "{" * 500,
    ],
)
def test_yaml_that_two_loaders_read_in_two_ways_or_that_is_none(tmp_path: Path, text: str) -> None:
    assert rules(look(tmp_path, text)) <= {"yaml-malformed", "text-malformed"} and look(tmp_path, text)


def test_a_billion_laughs_cost_nothing(tmp_path: Path) -> None:
    text = "a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    assert look(tmp_path, text) == []


def test_a_file_that_is_larger_than_any_configuration(tmp_path: Path) -> None:
    assert rules(look(tmp_path, "- x\n" * 300_000)) == {"text-malformed"}


def test_what_this_reader_sees_is_what_the_safe_loader_sees(tmp_path: Path) -> None:
    """Mutants that pass are given to PyYAML: no key of a loader is in what it makes of them, and it makes something."""
    dice = random.Random(7)
    pieces = [
        "_target_",
        ": ",
        "os.system",
        "&x ",
        "*x",
        "!!",
        "\n",
        "  ",
        "- ",
        "'",
        '"',
        "{",
        "}",
        "[",
        "]",
        "<<",
        "#",
        "|",
        ">",
        "%",
    ]
    passed = 0
    for _ in range(1_200):
        text = list(CONFIG)
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(text))
            text[at : at + dice.randrange(3)] = dice.choice(pieces)
        mutant = "".join(text)
        if look(tmp_path, mutant) == []:
            passed += 1
            try:
                made = list(yaml.safe_load_all(mutant))
            except yaml.YAMLError:  # it refuses what is harmless: no loader makes anything of it
                continue
            for document in made:
                assert "_target_" not in _keys(document), mutant
    assert passed > 50


def _keys(value: object) -> set[object]:
    """Every key with a value that says something."""
    if isinstance(value, dict):
        own = {key for key, inner in value.items() if inner not in (None, False, "", [], {})}
        return own.union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


# --- XML ----------------------------------------------------------------------------------------------------------------

NET = """<?xml version="1.0"?>
<net name="x" version="11"><layers>
<layer id="0" name="in" type="Parameter" version="opset1"><data shape="1,2" element_type="f32"/></layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="f32" shape="2" offset="0" size="8"/></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>"""
PMML = """<?xml version="1.0" encoding="UTF-8"?>
<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/><DataDictionary numberOfFields="1">
<DataField name="x" optype="continuous" dataType="double"/></DataDictionary>
<TransformationDictionary><DerivedField name="y"><Apply function="+"><FieldRef field="x"/></Apply></DerivedField>
</TransformationDictionary></PMML>"""


def test_honest_graphs(tmp_path: Path) -> None:
    assert look(tmp_path, NET, "m.xml") == [] and look(tmp_path, PMML, "m.pmml") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.pmml", PMML.replace("<PMML ", '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><PMML ')),
        ("m.pmml", PMML.replace("<PMML ", '<!DOCTYPE p SYSTEM "http://x/y.dtd"><PMML ')),
        ("m.xml", '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + NET.partition("?>")[2].replace("in", "&b;")),
        ("m.pmml", PMML.replace("<Header/>", "<Header/><Extension name='x' value='y'/>")),
        ("m.pmml", PMML.replace('function="+"', 'function="java.lang.Runtime"')),
        ("m.pmml", PMML.replace("<Header/>", '<x:script xmlns:x="y"/>')),
        ("m.pmml", PMML.replace("<PMML ", '<?xml-stylesheet href="x"?><PMML ')),
        ("m.pmml", PMML.replace("UTF-8", "UTF-7")),
        ("m.pmml", PMML.replace("UTF-8", "cp037")),
        ("m.pmml", PMML.replace("UTF-8", "ISO-8859-1")),
        ("m.xml", NET.replace('version="opset1"', 'version="extension"')),
        ("m.xml", NET.replace('version="opset1"', "")),
        ("m.xml", NET.replace('type="Const"', 'type="Const" library="evil.so"')),
        ("m.xml", NET.replace('type="Const"', 'type="Const" LIBRARY="evil.so"')),
        ("m.xml", "<svg/>"),
        ("m.xml", "<html><script/></html>"),
        ("m.xml", ""),
        ("m.xml", "<net>"),
        ("m.xml", "<net/><net/>"),
        ("m.xml", "<net>" + "<a>" * 300 + "</a>" * 300 + "</net>"),
        ("m.xml", "<net a='1' a='2'/>"),
        ("m.xml", "&lt;"),
        ("m.xml", "<net>" + "<a>" * 200_000),
    ],
)
def test_xml_that_leads_elsewhere(tmp_path: Path, name: str, text: str) -> None:
    found = look(tmp_path, text, name)
    assert found and rules(found) <= {"xml-malformed", "xml-extension", "empty-file"}, rules(found)


def test_mutants_of_xml_never_crash_the_reader(tmp_path: Path) -> None:
    dice = random.Random(8)
    pieces = ["<", ">", "&", '"', "<!DOCTYPE x>", "]]>", "<![CDATA[", "<!--", "\x01", "é", "/", "<?x?>", ""]
    for _ in range(600):
        text = list(dice.choice([NET, PMML]))
        at = dice.randrange(len(text))
        text[at : at + dice.randrange(3)] = dice.choice(pieces)
        if look(tmp_path, "".join(text), "m.xml") == []:
            assert "<!DOCTYPE" not in "".join(text).replace("<!--", "") or "<!--" in "".join(text) or "CDATA" in "".join(text)
