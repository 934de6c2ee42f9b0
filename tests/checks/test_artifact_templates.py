"""Chat templates: what only puts a chat together passes, and whatever leads into Python is refused, in any spelling."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

import jinja2
import pytest
from jinja2.ext import loopcontrols

from pratique.checking import Severity
from pratique.checks.artifact import references, templates
from pratique.errors import Malformed

from .test_artifact import rules

HONEST = [
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] | trim + eos_token }}{% endfor %}",
    "{%- if messages[0].role == 'system' %}{{ messages[0].content }}{%- set messages = messages[1:] %}{%- endif %}",
    "{%- set ns = namespace(last=messages|length - 1) %}{%- for m in messages[::-1] %}{%- set ns.last = loop.index0 %}"
    "{%- endfor %}{{ messages[ns.last].content.split('</think>')[-1].lstrip('\\n') }}",
    "{% for tool in tools %}{{ tool | tojson(indent=4) }}{% endfor %}{{ raise_exception('no') if not messages }}",
    "{%- macro kind(spec) %}{%- set names = {'string': 'str'} %}{{ names[spec.type] }}{%- for k, v in spec.items() %}{{ k }}: "
    "{{ spec[k] }}{{ kind({'type': v}) }}{%- endfor %}{%- endmacro %}{% for t in tools %}{{ kind(t) }}{% endfor %}",
    "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{{ users[-1]['content'] | replace('a', 'b') }}",
    "{{ strftime_now('%d') if strftime_now is defined }}{% generation %}{{ messages[-1].content }}{% endgeneration %}",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.content[0]['text'] ~ loop.index }}{% endfor %}",
    "No braces that mean anything.",
]

ATTACKS = {
    "classes of Python": "{{ ().__class__.__base__.__subclasses__() }}",
    "by key": "{{ messages['__class__'] }}",
    "by an attribute put together": "{{ cycler|attr('__in'~'it__')|attr('__glo'~'bals__') }}",
    "by a key put together": "{% set u = '_' %}{{ messages[u ~ u ~ 'class' ~ u ~ u] }}",
    "by a key put together elsewhere": "{% set k = '_' ~ '_class_' ~ '_' %}{{ messages[k] }}",
    "by a key from a filter": "{{ messages['_x_class_x_' | replace('x', '')] }}",
    "by a key in a block": "{% set k %}_{{ '_class_' }}_{% endset %}{{ messages[k] }}",
    "by a key in a loop": "{% for k in ['_' ~ '_class'] %}{{ messages[k] }}{% endfor %}",
    "by a key in a namespace": "{% set n = namespace(k='_' ~ '_class') %}{{ messages[n.k] }}",
    "by a key that a macro gets": "{% macro f(k) %}{{ messages[k] }}{% endmacro %}{{ f('_' ~ '_class') }}",
    "by letters that are added": "{{ messages['a_b'[1] + 'a_b'[1] + 'class'[:]] }}",
    "by letters that are added by name": "{% set u = 'a_b'[1] %}{{ messages[u + u] }}",
    "by every second letter": "{{ messages['x_._.c.l.a.s.s._._'[1::2]] }}",
    "by a key that is appended": "{% set l = [] %}{% set x = l.append('_' ~ '_class') %}{{ messages[l[0]] }}",
    "by a key that is appended to what the chat brings": "{% set l = [messages] %}{{ l.append(bos_token) }}{{ l[0][l[1]] }}",
    "by a text that is repeated": "{% set u = 'a_b'[1] %}{{ messages[u * 2] }}",
    "by a key that is a special token": "{{ messages[bos_token] }}",
    "by a special token under the name of the loop": "{% set loop = namespace(index=bos_token) %}{{ messages[loop.index] }}",
    "from a function": "{% for k in messages %}{{ raise_exception[k] }}{% endfor %}",
    "from a loop": "{% for k in messages[0] %}{{ loop[k] }}{% endfor %}",
    "format, which looks up attributes": "{{ '{0.x}'.format(messages) }}",
    "format by key": "{{ ''['format'](messages) }}",
    "the operator of format": "{{ '%999999999d' % 1 }}",
    "map by attribute": "{{ messages | map(attribute='__class__') | list }}",
    "map by a dotted attribute": "{{ messages | map(attribute='role.__class__') | list }}",
    "map by an attribute of the artifact": "{{ messages | map(attribute=bos_token) | list }}",
    "map of a filter of the artifact": "{{ messages | map(bos_token) | list }}",
    "map of map": "{{ messages | map('map', bos_token) | list }}",
    "sort by attribute": "{{ messages | sort(false, false, bos_token) }}",
    "join by attribute": "{{ messages | join('', bos_token) }}",
    "groupby": "{{ messages | groupby(bos_token) }}",
    "a filter nobody needs": "{{ messages | xmlattr }}",
    "a function of frameworks": "{{ lipsum.f }}{{ url_for('x') }}",
    "self": "{{ self.x }}",
    "import": "{% import 'x' as y %}",
    "from import": "{% from 'x' import y %}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends 'x' %}",
    "a call without a name": "{{ messages[0]['get']('x') }}",
    "a function under another name": "{% set f = messages.copy %}{{ f() }}",
    "a function under an allowed name": "{% set range = messages.copy %}{{ range(3) }}",
    "a function as a loop's variable": "{% for range in messages %}{{ range(3) }}{% endfor %}",
    "a function as a macro's parameter": "{% macro f(range) %}{{ range(3) }}{% endmacro %}",
    "a function under a method's name": "{{ {'append': messages.x}.append(1) }}",
    "a function under a method's name in a dict": "{{ dict(append=messages.x).append(1) }}",
    "a function under a method's name in a namespace": "{% set n = namespace() %}{% set n.pop = messages.x %}{{ n.pop() }}",
    "a dictionary of pairs": "{{ dict([('append', messages.x)]).append(1) }}",
    "a dictionary with a key of the artifact": "{{ {bos_token: messages.x}.append(1) }}",
    "a macro under a function's name": "{% macro namespace() %}{% endmacro %}",
    "the end of the memory": "{{ 'a' * 999999999 }}",
    "a long range": "{% for i in range(999999999) %}{% endfor %}",
    "a product of ranges": "{% for i in range(9999 * 9999) %}{% endfor %}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "arguments with a star": "{{ range(*messages) }}",
    "a test nobody needs": "{{ messages is callable }}",
    "an extension": "{% trans %}x{% endtrans %}",
    "half a template": "{% for m in messages %}",
    "a text that is long": "{{ x }}" * 50_000,
    "brackets that are deep": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "sums that are deep": "{{ " + "-" * 5_000 + "1 }}",
    "a generator's frame": "{{ messages.gi_frame }}",
}


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_template(text: str) -> None:
    assert templates.objections(text) == []


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_way_into_python(text: str) -> None:
    (found,) = templates.findings("tokenizer_config.json", text)
    assert (found.rule, found.severity) == ("template-unsafe", Severity.CRITICAL)


def test_a_template_in_a_tokenizer_and_beside_it(tmp_path: Path) -> None:
    """Refused unless a policy says `vetted`; then the honest one passes and the other is named."""
    honest, attack = (json.dumps({"chat_template": text}).encode() for text in (HONEST[0], ATTACKS["by a key put together"]))
    for number, (name, data) in enumerate({"tokenizer_config.json": honest, "chat_template.jinja": HONEST[0].encode()}.items()):
        assert rules(tmp_path / f"{number}a", name, data) == ["template-in-json" if number == 0 else "template-file"]
        assert rules(tmp_path / f"{number}b", name, data, templates="vetted") == []
    assert rules(tmp_path / "c", "tokenizer_config.json", attack, templates="vetted") == ["template-unsafe"]
    assert rules(tmp_path / "d", "x.jinja", ATTACKS["include"].encode(), templates="vetted") == ["template-unsafe"]
    assert rules(tmp_path / "e", "x.jinja", b"\x80\x04N.", templates="vetted", formats=["text"]) != []


def test_every_template_under_a_key_is_looked_at() -> None:
    """Several templates by name, as lists and as maps: the second may be the one."""
    forms = (
        [{"name": "a", "template": HONEST[0]}, {"name": "b", "template": ATTACKS["self"]}],
        {"a": HONEST[0], "b": ATTACKS["self"]},
    )
    for form in forms:
        assert {one.rule for one in references.find({"chat_template": form}, "t.json", vetted=True)} == {"template-unsafe"}
    assert not list(references.find({"chat_template": [{"name": "a", "template": HONEST[0]}]}, "t.json", vetted=True))


def test_without_jinja_nothing_is_vetted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    (found,) = templates.findings("t.json", HONEST[0])
    assert found.rule == "template-unsafe" and "pratique[templates]" in found.message


class Watching(jinja2.Environment):
    """Jinja without a sandbox, that tells on whoever asks for something of Python's own."""

    def getattr(self, obj: object, attribute: str) -> object:
        assert not attribute.startswith("_") and attribute not in ("format", "format_map"), attribute
        return super().getattr(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        found = super().getitem(obj, argument)
        of_python = isinstance(argument, str) and argument.startswith("_") and not isinstance(found, jinja2.Undefined)
        assert not of_python, argument
        return found


def test_no_mutant_that_passes_leads_into_python() -> None:
    """Templates spliced of honest and hostile ones. What passes is rendered, with `__class__` for each special token."""
    dice = random.Random(4)
    pool = [piece for text in [*HONEST, *ATTACKS.values()] if len(text) < 500 for piece in _pieces(text)]
    stock = [text for text in [*HONEST, *ATTACKS.values()] if len(text) < 500]
    environment = Watching(extensions=[loopcontrols])
    environment.globals.update(raise_exception=str, strftime_now=str)
    chat = {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "string"}], "bos_token": "__class__"}
    passed = 0
    for _ in range(6_000):
        pieces = _pieces(dice.choice(stock))
        for _ in range(dice.choice((1, 1, 2, 3))):
            pieces[dice.randrange(len(pieces))] = dice.choice(pool)
        text = "".join(pieces)
        try:
            if templates.objections(text):
                continue
            environment.from_string(text).render(chat, eos_token="__class__", k="__class__", ns="__class__")
        except (
            Malformed,
            jinja2.TemplateError,
            RecursionError,
            TypeError,
            ValueError,
            AttributeError,
            LookupError,
            OverflowError,
        ):
            continue
        passed += 1
    assert passed > 200


def _pieces(text: str) -> list[str]:
    return re.findall(r"\{[%{]-?|-?[%}]\}|'[^']*'|\w+|\s+|.", text)
