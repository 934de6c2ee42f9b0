"""Manifests from strangers: bounded, with one meaning, and nothing in them passed over."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import isolation, yamls
from pratique.errors import Malformed
from pratique.isolation.pods import pods, unread_pods

from .world import IMAGE, environment, pod, service_account, thing


def read(text: str | bytes, file: str = "objects.yaml") -> isolation.Environment:
    return isolation.read({file: text.encode() if isinstance(text, str) else text})


def whys(env: isolation.Environment) -> str:
    return "; ".join(f"{one.where}: {one.why}" for one in env.unread)


# --- YAML -------------------------------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nest"),  # PyYAML's composer ends the process on this
        ("- " * 5_000 + "a", "nested more than"),
        (BOMB, "more than 4,000,000 values"),
        ("a: &a [*a]", "names nothing that is finished"),
        ("a: *b", "names nothing that is finished"),
        ("kind: Role\nkind: Secret", "'kind' appears twice"),
        ("a: {x: 1, x: 2}", "'x' appears twice"),
        ("<<: {a: 1}", "merge key"),
        ("? [a]\n: b", "a key that is no text"),
        ("a: !!python/object/apply:os.system [id]", "the tag"),
        ("a: !!binary aGk=", "the tag"),
        ("a: [", "not YAML"),
        (b"a: \xff\xfe", "not YAML"),
    ],
)
def test_yaml_that_costs_too_much_or_means_two_things(text: str | bytes, why: str) -> None:
    started = time.process_time()
    with pytest.raises(Malformed, match=why):
        yamls.documents(text.encode() if isinstance(text, str) else text, what="it")
    assert time.process_time() - started < 2
    env = read(text)
    assert not env.things and len(env.unread) == 1


def test_an_anchor_that_is_used_twice_is_the_same_twice() -> None:
    assert yamls.documents(b"a: &x {b: 1}\nc: *x\n", what="it") == [{"a": {"b": 1}, "c": {"b": 1}}]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3),
        max_leaves=10,
    )
)
def test_whatever_pyyaml_writes_is_read_as_it_was(value: Any) -> None:
    assert yamls.documents(yaml.safe_dump(value).encode(), what="it") == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ("1", 1),
        ("-7", -7),
        ("1.5", 1.5),
        ("'1'", "1"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("0755", 493),
        ("0x1f", 31),
        ("0o17", 15),
        ("1.2.3", "1.2.3"),
        ("!!str 1", "1"),
        ("1e3", 1000.0),
        ("10Gi", "10Gi"),
        ("", None),
    ],
)
def test_what_a_word_means(text: str, value: object) -> None:
    (found,) = yamls.documents(f"a: {text}".encode(), what="it")
    assert found == {"a": value}


# --- objects ----------------------------------------------------------------------------------------------------------


def test_lists_of_every_form_are_taken_apart() -> None:
    account = service_account("a", "x")
    typed = {"apiVersion": "v1", "kind": "ServiceAccountList", "items": [{"metadata": {"name": "y", "namespace": "a"}}]}
    env = read(json.dumps({"apiVersion": "v1", "kind": "List", "items": [account, typed]}), "a.json")
    assert [one.ref for one in env.things] == ["ServiceAccount a/x", "ServiceAccount a/y"] and not env.unread


@pytest.mark.parametrize(
    ("one", "why"),
    [
        ([1, 2], "no object"),
        ({"kind": "Role"}, "no apiVersion"),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a"}}, "no name"),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}, "could be in any"),
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"x": 1}}}, "metadata.labels.x"),
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": "a"}, "metadata"),
    ],
)
def test_what_is_no_object_is_named_and_not_passed_over(one: object, why: str) -> None:
    env = read(json.dumps(one), "a.json")
    assert not env.things and why in whys(env)


def test_a_file_that_nobody_can_read_is_named() -> None:
    assert "neither YAML nor JSON" in whys(read("hello", "README.md"))


def test_the_same_object_twice_is_one_and_two_of_a_name_are_none_to_rely_on() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
    assert not read(f"{text}---\n{text}").unread
    assert "other content" in whys(read(f"{text}---\n{text}spec: {{}}\n"))


def test_empty_documents_are_nothing() -> None:
    assert read("---\n# only a comment\n---\n") == isolation.Environment(things=())


# --- pods -------------------------------------------------------------------------------------------------------------


def images(*objects: dict[str, Any]) -> list[str]:
    return [image for one in pods(environment(objects), frozenset({"a"})) for image in one.images]


def test_pods_are_found_wherever_a_custom_resource_has_them() -> None:
    template = {"metadata": {"labels": {"x": "y"}}, "spec": {"containers": [{"name": "c", "image": IMAGE}]}}
    ray = thing(
        "ray.io/v1",
        "RayCluster",
        "r",
        "a",
        spec={"headGroupSpec": {"template": template}, "workerGroupSpecs": [{"template": template}]},
    )
    argo = thing(
        "argoproj.io/v1alpha1", "Workflow", "w", "a", spec={"templates": [{"name": "t", "container": {"image": IMAGE}}]}
    )
    cron = thing("batch/v1", "CronJob", "c", "a", spec={"jobTemplate": {"spec": {"template": template}}})
    serving = thing("serving.kserve.io/v1beta1", "InferenceService", "i", "a", spec={"predictor": {"model": {"image": IMAGE}}})
    assert images(ray) == [IMAGE] * 2 and images(argo) == images(cron) == images(serving) == [IMAGE]
    assert [dict(one.labels) for one in pods(environment([cron]), frozenset({"a"}))] == [{"x": "y"}]


def test_a_pod_of_another_shape_is_not_passed_over() -> None:
    env = environment([pod("a") | {"spec": {"containers": [{"image": 7}]}}])
    assert not list(pods(env, frozenset({"a"})))
    (one,) = unread_pods(env, frozenset({"a"}))
    assert one.where == "Pod a/server" and "image" in one.why


def test_the_account_of_a_pod() -> None:
    for spec, account in (
        ({}, "runner"),
        ({"serviceAccountName": ""}, "default"),
        ({"serviceAccountName": "", "serviceAccount": "old"}, "old"),
    ):
        (one,) = pods(environment([pod("a", **spec)]), frozenset({"a"}))
        assert one.account == account
