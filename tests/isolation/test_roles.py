"""Decisions about rights: against those of a real API server, and the closure that is made of them."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from pratique import isolation
from pratique.isolation.closure import Reach, accounts_of
from pratique.isolation.roles import Access, Identity, identity

from ..markdown import ROOT
from .world import RBAC, account, binding, cluster, environment, group, role, rule, service_account, thing, user

DATA = ROOT.parent / "shared" / "data" / "kubernetes"
RECORDED = DATA / "subject_access_reviews.jsonl.gz"
TRAINER = Identity("ServiceAccount", "ml-train", "trainer")


@pytest.mark.skipif(not RECORDED.is_file(), reason="THE RECORDED DECISIONS OF AN API SERVER ARE NOT HERE: nothing was compared")
def test_twenty_thousand_decisions_of_a_real_api_server() -> None:
    env = isolation.read(
        {
            "kubeflow.yaml": gzip.decompress((DATA / "kubeflow-example.yaml.gz").read_bytes()),
            "bootstrap.yaml": (DATA / "bootstrap-rbac.yaml").read_bytes(),
        }
    )
    access = Access.of(env)
    differ, count, allowed = [], 0, 0
    for line in gzip.decompress(RECORDED.read_bytes()).splitlines():
        one = json.loads(line)
        asked = one["attrs"]
        resource = "/".join(part for part in (asked["resource"], asked.get("subresource", "")) if part)
        who = Identity("ServiceAccount", *one["sa"])
        ours = access.permits(who, asked["verb"], asked["group"], resource, asked.get("namespace", ""), asked.get("name", ""))
        differ += [one] if ours is not one["allowed"] else []
        count, allowed = count + 1, allowed + ours
    assert not env.unread and not access.unread
    assert (count, allowed, differ) == (20_000, 1_005, [])


@pytest.mark.skipif(not RECORDED.is_file(), reason="THE LARGE RENDERING IS NOT HERE: nothing was measured")
def test_a_large_rendering_is_judged_in_less_than_two_seconds() -> None:
    """783 objects, 40 network policies; measured 0.08 CPU seconds. The pair is a platform's own namespaces: much to find."""
    env = isolation.read({"kubeflow.yaml": gzip.decompress((DATA / "kubeflow-example.yaml.gz").read_bytes())})
    sides = isolation.Sides(train=frozenset({"kubeflow"}), deploy=frozenset({"knative-serving"}))
    started = time.process_time()
    judged = isolation.judge(isolation.Question(env=env, sides=sides))
    assert time.process_time() - started < 2
    assert len(env.things) == 664 and "identity-takeover" in {one.rule for one in judged.breaches}


def test_to_bind_one_role_is_not_to_bind_any() -> None:
    """What that role gives is not followed, so it is not certain; it denies all the same."""
    for names, certain in (((), True), (("view",), False)):
        world = [
            *cluster(),
            role("", "binder", rule(RBAC, "clusterroles", "bind", *names), rule(RBAC, "rolebindings", "create")),
            binding("ml-deploy", "binder", "ClusterRole", account("ml-train", "trainer")),
        ]
        env = environment(world)
        path = Reach.of(Access.of(env), accounts_of(env), [TRAINER]).paths[Identity("ServiceAccount", "ml-deploy", "server")]
        assert path.certain is certain and ("(of view)" in path.steps[0]) is not certain


def access_of(*objects: dict[str, object]) -> Access:
    return Access.of(environment(objects))


@pytest.mark.parametrize(
    ("granted", "asked", "allowed"),
    [
        (rule("", "pods", "get"), ("get", "", "pods", "ml-deploy", "x"), True),
        (rule("", "pods", "get"), ("get", "", "pods", "ml-train", "x"), False),
        (rule("", "pods", "get"), ("get", "", "pods", "", ""), False),
        (rule("", "pods", "get"), ("get", "apps", "pods", "ml-deploy", "x"), False),
        (rule("", "pods", "get"), ("get", "", "pods/log", "ml-deploy", "x"), False),
        (rule("", "*", "get"), ("get", "", "pods/log", "ml-deploy", "x"), True),
        (rule("", "*/log", "get"), ("get", "", "pods/log", "ml-deploy", "x"), True),
        (rule("", "*/log", "get"), ("get", "", "pods", "ml-deploy", "x"), False),
        (rule("*", "pods", "*"), ("impersonate", "x.y", "pods", "ml-deploy", "x"), True),
        (rule("", "pods", "get", "a"), ("get", "", "pods", "ml-deploy", "a"), True),
        (rule("", "pods", "get", "a"), ("get", "", "pods", "ml-deploy", "b"), False),
        (rule("", "pods", "get", "a"), ("get", "", "pods", "ml-deploy", ""), False),
        (rule("", "pods", "Get"), ("get", "", "pods", "ml-deploy", "x"), False),
    ],
)
def test_what_one_rule_allows(granted: dict[str, object], asked: tuple[str, str, str, str, str], allowed: bool) -> None:
    world = [role("ml-deploy", "r", granted), binding("ml-deploy", "r", "Role", account("ml-train", "trainer"))]
    assert access_of(*world).permits(TRAINER, *asked) is allowed


@pytest.mark.parametrize(
    "subject",
    [
        account("ml-train", "trainer"),
        group("system:serviceaccounts"),
        group("system:serviceaccounts:ml-train"),
        group("system:authenticated"),
        user("system:serviceaccount:ml-train:trainer"),
    ],
)
def test_all_the_names_that_an_account_goes_by(subject: dict[str, object]) -> None:
    world = [role("", "r", rule("", "pods", "get")), binding("", "r", "ClusterRole", subject)]
    assert access_of(*world).permits(TRAINER, "get", "", "pods", "anywhere")


def test_names_that_are_none_of_it() -> None:
    for subject in (
        group("system:serviceaccounts:ml"),
        user("trainer"),
        account("ml-deploy", "trainer"),
        user("system:serviceaccount:ml-train"),
    ):
        world = [role("", "r", rule("", "pods", "get")), binding("", "r", "ClusterRole", subject)]
        assert not access_of(*world).permits(TRAINER, "get", "", "pods", "anywhere")
    assert str(identity("User", "", "system:serviceaccount:a:b")) == "service account a/b"


def test_a_cluster_role_by_a_role_binding_is_for_its_namespace() -> None:
    world = [role("", "r", rule("", "pods", "get")), binding("ml-deploy", "r", "ClusterRole", account("ml-train", "trainer"))]
    access = access_of(*world)
    assert access.permits(TRAINER, "get", "", "pods", "ml-deploy") and not access.permits(TRAINER, "get", "", "pods", "ops")


def test_roles_that_aggregate_each_other_in_a_ring() -> None:
    """The rules of all of them, and an end."""

    def part(name: str, label: str, other: str, resource: str) -> dict[str, object]:
        one = role("", name, rule("", resource, "get"), labels={label: "true"})
        return {**one, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {other: "true"}}]}}

    world = [
        part("a", "x", "y", "pods"),
        part("b", "y", "x", "services"),
        binding("", "a", "ClusterRole", account("ml-train", "trainer")),
    ]
    access = access_of(*world)
    assert access.permits(TRAINER, "get", "", "pods", "n") and access.permits(TRAINER, "get", "", "services", "n")


def test_the_shortest_path_is_the_one_that_is_told() -> None:
    world = [
        *cluster(),
        thing("v1", "Namespace", "mid"),
        service_account("mid", "m"),
        binding("ops", "edit", "ClusterRole", account("ml-train", "trainer")),
        binding("mid", "edit", "ClusterRole", account("ops", "argo")),
        binding("ml-deploy", "edit", "ClusterRole", account("mid", "m"), account("ops", "argo")),
    ]
    env = environment(world)
    reach = Reach.of(Access.of(env), accounts_of(env), [TRAINER])
    path = reach.paths[Identity("ServiceAccount", "ml-deploy", "server")]
    assert path.certain and len(path.steps) == 2
    assert path.steps[0].startswith("service account ml-train/trainer may create pods in ops (RoleBinding ops/bind-edit gives")
    assert path.steps[1].endswith("and so become service account ml-deploy/server")


def test_a_certain_path_is_told_even_where_an_uncertain_one_is_shorter() -> None:
    runs = rule("jobs.example.com", "runs", "create")
    world = [
        *cluster(),
        role("ml-deploy", "runs", runs),
        binding("ml-deploy", "runs", "Role", account("ops", "argo")),
        binding("ops", "edit", "ClusterRole", account("ml-train", "trainer")),
        role("ml-deploy", "far", rule("", "pods/exec", "create")),
        binding("ml-deploy", "far", "Role", account("ops", "default")),
    ]
    env = environment(world)
    server = Identity("ServiceAccount", "ml-deploy", "server")
    reach = Reach.of(Access.of(env), accounts_of(env), [TRAINER])
    assert reach.paths[server].certain
    unsure = environment([one for one in world if one["metadata"]["name"] not in ("far", "bind-far")])
    assert not Reach.of(Access.of(unsure), accounts_of(unsure), [TRAINER]).paths[server].certain
    known = Reach.of(Access.of(unsure), accounts_of(unsure), [TRAINER], known_groups=frozenset({"jobs.example.com"}))
    assert server not in known.paths


def test_a_binding_of_another_shape_is_not_passed_over() -> None:
    bad = binding("ml-deploy", "edit", "ClusterRole", account("ml-train", "trainer")) | {"subjects": {"kind": "User"}}
    (unread,) = access_of(bad).unread
    assert unread.where == "RoleBinding ml-deploy/bind-edit" and "subjects" in unread.why
