"""Allow-lists: each global in its roles and no other, and a refusal that names the line which would allow it."""

from __future__ import annotations

import argparse
import datetime
import decimal
import pathlib
import pickle
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path

import pytest

from pratique import checking
from pratique.checks.artifact import ArtifactOptions, PackName, artifact, packs
from pratique.checks.artifact.spelling import is_proper
from pratique.errors import UsageError
from tests.checks.pickling import call, look, name, stream, text

COMMAND = stream(call(name("posix", "system"), text("true")))
ORDERED = name("collections", "OrderedDict")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1), Counter("abc"), defaultdict(list, a=[1]), deque([1, 2], 5), datetime.datetime(2026, 1, 2, 3),
        datetime.timedelta(1), datetime.timezone.utc, decimal.Decimal("1.5"), uuid.UUID(int=7), complex(1, 2), range(3),
        {1, 2}, frozenset("a"), bytearray(b"abc"), b"\xff\x00", b"", slice(1, 2), pathlib.PurePosixPath("a/b"),
        argparse.Namespace(a=1), types.SimpleNamespace(a=[1]), {"k": (OrderedDict(a=OrderedDict()),)}, [int, dict],
    ],
)  # fmt: skip
def test_honest_data_of_python(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert look(data, ["stdlib-data"]) == []


def test_today_without_a_pack_nothing_may_be_imported() -> None:
    assert [one.rule for one in look(pickle.dumps(OrderedDict()), [])] == ["pickle-global"]


@pytest.mark.parametrize(
    ("body", "role"),
    [
        (call(name("sklearn.svm._classes", "SVC")), "call"),  # may be made, not called
        (call(name("builtins", "int"), text("1")), "call"),  # may stand among the values, not be called
        (name("torch.storage", "UntypedStorage") + b")\x81", "new"),
        (b"]" + name("copyreg", "_reconstructor") + b"a", "ref"),  # may be called, not lie about as a value
        (b"}" + text("_forward_hooks") + b"}K\0" + name("torch._utils", "_rebuild_parameter") + b"ss", "ref"),
        (call(name("copyreg", "_reconstructor"), name("subprocess", "Popen"), name("builtins", "object"), b"N"), "new"),
        (call(name("copyreg", "_reconstructor"), ORDERED, name("sklearn.svm._classes", "SVC"), b"N"), "base"),
        (call(name("collections", "defaultdict"), name("posix", "getcwd")), "ref"),
        (call(name("collections", "defaultdict"), b"(" + name("posix", "getcwd") + b"t"), "ref"),
        (ORDERED + b"}" + text("a") + name("posix", "system") + b"sb", "patch"),  # state on the class itself
        (call(ORDERED) + b")R", "again"),  # what a call returned is called
        (call(ORDERED) + b"(t\x81", "again"),
        (call(ORDERED) + b"K\1a", "items"),  # a dict is no list
        (call(name("decimal", "Decimal"), text("1")) + b"}b", "state"),
        (call(name("torch._tensor", "_rebuild_from_type_v2"), name("posix", "system"), ORDERED, b")", b"}"), "call"),
    ],
)
def test_an_allowed_name_in_another_role(body: bytes, role: str) -> None:
    found = [one for one in look(stream(body)) if one.rule == "pickle-global"]
    assert any(role in one.message.rsplit("(", 1)[1] for one in found), [one.message for one in look(stream(body))]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (call(ORDERED) + b"}" + text("__class__") + ORDERED + b"sb", "sets __class__"),
        (call(ORDERED) + b"N}" + text("__setstate__") + ORDERED + b"s\x86b", "sets __setstate__"),  # slots
        (ORDERED + b"]R", "arguments that are not a plain tuple"),
        (ORDERED + call(name("builtins", "range"), b"K\1") + b"R", "arguments that are not a plain tuple"),
        (call(name("_codecs", "encode"), text("x"), text("rot13")), "something else than a text and latin1"),
        (call(name("builtins", "bytearray"), b"J\xff\xff\xff\x7f"), "as many zeros"),
        (b"\x82\1", "pickle-global"),
        (b"(" + name("collections", "OrderedDict") + b"o", "classes of Python 2"),
    ],
)
def test_tricks_on_allowed_names(body: bytes, says: str) -> None:
    assert any(says in f"{one.rule} {one.message}" for one in look(stream(body))), look(stream(body))


@pytest.mark.parametrize("trick", ["serialization.os.system", "os.system", "__builtins__"])
def test_a_dotted_name_through_an_innocent_module(trick: str) -> None:
    for module in ("torch", "numpy", "joblib", "sklearn", "collections"):
        (found,) = look(stream(call(name(module, trick), text("true"))))
        assert found.rule == "pickle-global" and "no line of a policy allows this" in found.fix


def test_names_of_python_2_are_what_the_loader_makes_of_them() -> None:
    old = b"c__builtin__\nset\n(]tR."
    assert look(b"\x80\x02" + old, ["stdlib-data"]) == []
    assert look(b"\x80\x03" + old, ["stdlib-data"]) != []  # from protocol 3 on there is no translation


LAZY = name("torch.nn.modules.linear", "LazyLinear") + b")\x81"
GETATTR = name("builtins", "getattr")


def test_the_hook_of_a_lazy_layer_is_the_one_use_of_getattr() -> None:
    assert look(stream(call(GETATTR, LAZY, text("_infer_parameters")))) == []
    plain = name("torch.nn.modules.linear", "Linear") + b")\x81"
    for body in (
        call(GETATTR, LAZY, text("__class__")),
        call(GETATTR, LAZY, text("_call_impl")),
        call(GETATTR, plain, text("_infer_parameters")),
        call(GETATTR, name("torch.nn.modules.linear", "LazyLinear"), text("_infer_parameters")),  # of the class itself
        call(GETATTR, LAZY, text("_infer_parameters"), b"N"),
        call(GETATTR, LAZY, call(name("collections", "OrderedDict"))),
        call(GETATTR, LAZY, text("_infer_parameters")) + b")R",  # and called
        call(GETATTR, LAZY, text("_infer_parameters")) + b"}b",  # and given a state
        call(
            name("torch._tensor", "_rebuild_from_type_v2"),
            GETATTR,
            name("torch", "Tensor"),
            b"(" + LAZY + text("x") + b"t",
            b"}",
        ),
        b"]" + GETATTR + b"a",
        call(name("collections", "defaultdict"), GETATTR),
    ):
        assert look(stream(body)), body


def test_getattr_is_never_offered_to_be_allowed() -> None:
    found = look(stream(call(GETATTR, LAZY, text("_infer_parameters"))), ["torch"])[0]
    assert "builtins.getattr" in found.message and "no line of a policy allows this" in found.fix


@pytest.mark.parametrize(
    ("pack", "module", "one"),
    [
        ("xgboost", "xgboost.core", "Booster"), ("xgboost", "xgboost.sklearn", "XGBClassifier"),
        ("lightgbm", "lightgbm.basic", "Booster"), ("lightgbm", "lightgbm.sklearn", "LGBMRanker"),
        ("transformers", "transformers.training_args", "TrainingArguments"),
        ("transformers", "transformers.models.bert.modeling_bert", "BertModel"),
        ("ultralytics", "ultralytics.nn.tasks", "DetectionModel"), ("ultralytics", "ultralytics.nn.modules.conv", "Conv"),
    ],
)  # fmt: skip
def test_models_of_other_libraries_may_be_made_and_not_called(pack: str, module: str, one: str) -> None:
    made = name(module, one) + b")\x81}" + text("a") + b"K\1sb"
    assert look(stream(made), [pack]) == []
    assert "`pickle_packs: [" + pack + "]` would allow it" in look(stream(made), ["torch", "sklearn"])[0].fix
    for body in (call(name(module, one), text("a")), call(name("copyreg", "_reconstructor"), ORDERED, name(module, one), b"N")):
        assert look(stream(body)), body
    assert look(stream(name(module, one) + b")\x81}" + text("__class__") + ORDERED + b"sb"))


def test_an_enumeration_of_a_training_is_made_of_its_value_and_is_no_key_to_its_module() -> None:
    scheme = name("transformers.trainer_utils", "SchedulerType")
    assert look(stream(call(scheme, text("linear"))), ["transformers"]) == []
    for other in ("set_seed", "get_last_checkpoint", "SchedulerType.mro", "os", "functools"):
        assert look(stream(call(name("transformers.trainer_utils", other), text("linear"))), ["transformers"])


# --- explanations --------------------------------------------------------------------------------------------------------


def test_a_refusal_names_the_pack_that_would_allow_it() -> None:
    """Place, opcode, global, role, line and risk: all that a person needs to decide."""
    (found,) = look(stream(call(ORDERED)), [], file="c.pkl")
    assert found.where == "c.pkl, byte 28"
    assert found.message == (
        "loading this pickle runs collections.OrderedDict: STACK_GLOBAL imports it, REDUCE at byte 31 calls it (role call)"
    )
    assert "`pickle_packs: [stdlib-data]` would allow it (risk: next to none" in found.fix


def test_a_refusal_names_the_single_line_that_would_allow_it() -> None:
    body = stream(name("acme.nets", "Net") + b")\x81}" + text("a") + b"K\1sb")
    (found,) = look(body)
    assert "roles new, state" in found.message
    assert '`pickle_globals: ["new acme.nets.Net"]` would allow it' in found.fix and "__setstate__" in found.fix
    assert look(body, [], ["new acme.nets.Net"]) == []
    assert look(body, [], ["ref acme.nets.Net"]) != [] and look(body, [], ["new acme.nets.Network"]) != []


@pytest.mark.parametrize(
    "body",
    [
        call(name("posix", "system"), text("true")),
        call(name("builtins", "eval"), text("1")),
        call(name("acme", "a.b"), text("1")),
        call(name("acme", "__reduce__"), text("1")),
        call(name("acme", "f")) + b")R",
        b"\x82\1",
        call(name("_codecs", "decode"), text("a")) + text("system") + b"\x93",
    ],
)
def test_what_no_line_can_allow_is_said_to_be_so(body: bytes) -> None:
    assert "no line of a policy allows this" in look(stream(body))[-1].fix


def test_every_line_that_a_refusal_offers_works() -> None:
    for body in (call(ORDERED), name("acme.a", "B") + b")\x81", b"]" + name("acme.a", "B") + b"a", call(name("acme.a", "b"))):
        (found,) = look(stream(body), [])
        line = found.fix.split("`")[1]
        key, value = line.split(": ", 1)
        offered = [one.strip('"') for one in value.strip("[]").split('", "')]
        chosen = {
            "pickle_packs": offered if key == "pickle_packs" else [],
            "pickle_globals": offered if key != "pickle_packs" else [],
        }
        asked = checking.options_for(artifact, chosen)
        assert isinstance(asked, ArtifactOptions)
        assert look(stream(body), asked.pickle_packs, asked.pickle_globals) == []


# --- options -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["acme.Net", "new Net", "run acme.Net", "call os.system", "new subprocess.Popen", "base acme.Net", "call a.b.c\n",
             "call acme.*", "again acme.Net", "call builtins.eval", "call pip.main", "new acme.__init__"],
)  # fmt: skip
def test_a_line_that_opens_too_much_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        checking.options_for(artifact, {"pickle_globals": [line]})


def test_an_unknown_pack_is_refused() -> None:
    with pytest.raises(UsageError):
        checking.options_for(artifact, {"pickle_packs": ["everything"]})


def test_the_digest_of_options_binds_what_the_packs_say(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ArtifactOptions(pickle_packs=("torch", "numpy"))
    before = options.digest
    assert before == ArtifactOptions(pickle_packs=("numpy", "torch")).digest != ArtifactOptions().digest
    real = packs.pack("torch")

    def other(one: str) -> packs.Pack:
        return packs.Pack(**{**{field: getattr(real, field) for field in real.__slots__}, "digest": "sha256:" + "0" * 64})

    monkeypatch.setattr(packs, "pack", other)
    assert options.digest != before


# --- the packs themselves ------------------------------------------------------------------------------------------------


def test_every_pack_is_named_once() -> None:
    folder = Path(packs.__file__).parent
    assert tuple(sorted(path.stem for path in folder.glob("*.yaml"))) == tuple(sorted(packs.NAMES))
    assert set(PackName.__args__) == set(packs.NAMES)  # type: ignore[attr-defined]


@pytest.mark.parametrize("one", packs.NAMES)
def test_every_entry_is_well_formed(one: str) -> None:
    pack = packs.pack(one)
    assert pack.about and pack.risk and set(pack.includes) <= set(packs.NAMES)
    for (module, entry_name), entry in pack.entries.items():
        assert entry.roles and entry.roles <= packs.ROLES and set(entry.takes) <= packs.ROLES, (module, entry_name)
        assert len(entry.reason) > 5 and (is_proper(module, entry_name) or entry_name.startswith("__")), (module, entry_name)


def test_two_packs_never_say_different_things_of_one_global() -> None:
    seen: dict[tuple[str, str], packs.Entry] = {}
    for one in packs.NAMES:
        for key, entry in packs.pack(one).entries.items():
            other = seen.setdefault(key, entry)
            assert (other.takes, other.rule) == (entry.takes, entry.rule), key


def test_an_attack_is_refused_with_every_pack() -> None:
    assert look(COMMAND)[0].rule == "pickle-global"
