"""One hole at a time in a cluster that is isolated. Each must be found, by its rule and by no other; without one, silence."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pratique.isolation.rules import KUBERNETES

from ..markdown import ROOT
from .world import (
    IMAGE,
    RBAC,
    SHA,
    Object,
    account,
    binding,
    breaches,
    cluster,
    group,
    metadata,
    network_policy,
    pod,
    role,
    rule,
    service_account,
    thing,
    user,
)

Hole = Callable[[list[Object]], Any]
TRAINER = account("ml-train", "trainer")
OPEN_EGRESS = network_policy("ml-train", "open", policyTypes=["Egress"], egress=[{}])


def add(*objects: Object) -> Hole:
    return lambda world: world.extend(objects)


def grant(namespace: str, *rules: Object, to: Object = TRAINER) -> Hole:
    """Somebody gets rights in a namespace, or in the whole cluster."""
    return add(role(namespace, "hole", *rules), binding(namespace, "hole", "Role" if namespace else "ClusterRole", to))


def by_way_of_ops(*rules: Object, cluster: bool = True) -> Hole:
    """Training may start pods in `ops`, where somebody has rights: nobody of training is bound in deployment."""
    home = "" if cluster else "ml-deploy"
    kind = "ClusterRole" if cluster else "Role"
    return add(
        binding("ops", "edit", "ClusterRole", TRAINER),
        role(home, "argo", *rules),
        binding(home, "argo", kind, account("ops", "argo")),
    )


def drop(kind: str, name: str, namespace: str = "") -> Hole:
    def hole(world: list[Object]) -> None:
        there = find(world, kind, name, namespace)
        world.remove(there)

    return hole


def change(kind: str, name: str, namespace: str, how: Callable[[Object], Any]) -> Hole:
    return lambda world: how(find(world, kind, name, namespace))


def find(world: list[Object], kind: str, name: str, namespace: str = "") -> Object:
    (one,) = (
        one
        for one in world
        if one["kind"] == kind and one["metadata"]["name"] == name and one["metadata"].get("namespace", "") == namespace
    )
    return one


def relabel(namespace: str, level: str | None) -> Hole:
    key = "pod-security.kubernetes.io/enforce"

    def how(one: Object) -> None:
        one["metadata"]["labels"].pop(key)
        if level:
            one["metadata"]["labels"][key] = level

    return change("Namespace", namespace, "", how)


def both(*holes: Hole) -> Hole:
    def hole(world: list[Object]) -> None:
        for one in holes:
            one(world)

    return hole


def policy(name: str, how: Callable[[Object], Any]) -> Hole:
    return change("ValidatingAdmissionPolicy", f"pratique-{name}", "", lambda one: how(one["spec"]))


def bound(name: str, how: Callable[[Object], Any]) -> Hole:
    return change("ValidatingAdmissionPolicyBinding", f"pratique-{name}", "", lambda one: how(one["spec"]))


def expression(name: str, variable: str, text: str) -> Hole:
    def how(spec: Object) -> None:
        (one,) = (one for one in spec["variables"] if one["name"] == variable)
        one["expression"] = text

    return policy(name, how)


def ingress(*peers: Object, **more: Any) -> Hole:
    """Deployment lets somebody in, and nothing keeps training from trying."""
    rule_ = {**({"from": list(peers)} if peers else {}), **more}
    return add(OPEN_EGRESS, network_policy("ml-deploy", "hole", policyTypes=["Ingress"], ingress=[rule_]))


def volume(namespace: str, name: str, **source: Any) -> list[Object]:
    spec = {"claimRef": {"namespace": namespace, "name": name}, **source}
    claim = thing("v1", "PersistentVolumeClaim", name, namespace, spec={"volumeName": f"{namespace}-{name}"})
    return [thing("v1", "PersistentVolume", f"{namespace}-{name}", spec=spec), claim]


def external(namespace: str, key: str, kind: str = "SecretStore") -> Object:
    spec = {"secretStoreRef": {"kind": kind, "name": "vault"}, "data": [{"secretKey": "k", "remoteRef": {"key": key}}]}
    return thing("external-secrets.io/v1", "ExternalSecret", "token", namespace, spec=spec)


def store(namespace: str, **spec: Any) -> Object:
    kind = "SecretStore" if namespace else "ClusterSecretStore"
    return thing("external-secrets.io/v1", kind, "vault", namespace, spec={"provider": {"vault": {"server": "v"}}, **spec})


def secret(namespace: str, **data: str) -> Object:
    return thing("v1", "Secret", "push", namespace, stringData=data)


def service(uri: str, name: str = "model") -> Object:
    spec = {"predictor": {"serviceAccountName": "runner", "model": {"modelFormat": {"name": "sklearn"}, "storageUri": uri}}}
    return thing("serving.kserve.io/v1beta1", "InferenceService", name, "ml-deploy", spec=spec)


def istio(kind: str, **spec: Any) -> Object:
    return thing("security.istio.io/v1", kind, "default", "ml-deploy", spec=spec)


STRICT = istio("PeerAuthentication", mtls={"mode": "STRICT"})
CLOUD = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/ml"}
NFS = {"server": "nas", "path": "/models"}
SELECTS = {"namespaceSelector": {"matchLabels": {"team": "ml"}}}

HOLES: dict[str, tuple[str, Hole]] = {
    # who is who
    "pods in deployment": ("foreign-binding", grant("ml-deploy", rule("", "pods", "create"))),
    "only to look": ("foreign-binding", grant("ml-deploy", rule("", "pods", "get"))),
    "a binding in the broker": ("foreign-binding", grant("ml-broker", rule("", "configmaps", "patch", "promoted-models"))),
    "by the group of its accounts": (
        "foreign-binding",
        grant("ml-deploy", rule("", "pods", "get"), to=group("system:serviceaccounts:ml-train")),
    ),
    "by the group of all accounts": (
        "foreign-binding",
        grant("ml-deploy", rule("", "pods", "get"), to=group("system:serviceaccounts")),
    ),
    "by the group of everybody": (
        "foreign-binding",
        grant("ml-deploy", rule("", "pods", "get"), to=group("system:authenticated")),
    ),
    "by an account that is called a user": (
        "foreign-binding",
        grant("ml-deploy", rule("", "pods", "get"), to=user("system:serviceaccount:ml-train:trainer")),
    ),
    "in the whole cluster": ("foreign-binding", grant("", rule("", "pods", "get"))),
    "everybody reads config maps": (
        "foreign-binding",
        grant("", rule("", "configmaps", "get"), to=group("system:authenticated")),
    ),
    "an account of deployment in training": (
        "foreign-binding",
        grant("ml-train", rule("", "pods", "get"), to=account("ml-deploy", "server")),
    ),
    "a subject without a namespace": (
        "foreign-binding",
        grant("ml-deploy", rule("", "pods", "get"), to={"kind": "ServiceAccount", "name": "x", "namespace": "ml-train"}),
    ),
    "people on both sides": ("shared-identity", add(binding("ml-deploy", "nothing", "ClusterRole", group("data-scientists")))),
    "a role that is still missing": ("dangling-role", add(binding("", "later", "ClusterRole", TRAINER))),
    "a token of the default account": ("default-token", add(pod("ml-deploy", "lazy", serviceAccountName="default"))),
    "no account at all": ("default-token", add(pod("ml-broker", "lazy", serviceAccountName=""))),
    # closures
    "two hops to everything": ("identity-takeover", by_way_of_ops(rule("*", "*", "*"))),
    "two hops to pods": ("identity-takeover", by_way_of_ops(rule("", "pods", "create"), cluster=False)),
    "exec by a wildcard": ("identity-takeover", by_way_of_ops(rule("", "*/exec", "create"))),
    "exec by a WebSocket": ("identity-takeover", by_way_of_ops(rule("", "pods/exec", "get"))),
    "attach": ("identity-takeover", by_way_of_ops(rule("", "pods/attach", "create"))),
    "debug containers": ("identity-takeover", by_way_of_ops(rule("", "pods/ephemeralcontainers", "patch"))),
    "another image for a pod": ("identity-takeover", by_way_of_ops(rule("", "pods", "patch"))),
    "tokens": ("identity-takeover", by_way_of_ops(rule("", "serviceaccounts/token", "create"))),
    "a token of one account": ("identity-takeover", by_way_of_ops(rule("", "serviceaccounts/token", "create", "server"))),
    "impersonation": ("identity-takeover", by_way_of_ops(rule("", "serviceaccounts", "impersonate"))),
    "impersonating users": ("identity-takeover", by_way_of_ops(rule("", "users", "impersonate"))),
    "deployments": ("identity-takeover", by_way_of_ops(rule("apps", "deployments", "patch"))),
    "cron jobs": ("identity-takeover", by_way_of_ops(rule("batch", "cronjobs", "update"))),
    "an InferenceService": ("identity-takeover", by_way_of_ops(rule("serving.kserve.io", "inferenceservices", "patch"))),
    "a Workflow": ("identity-takeover", by_way_of_ops(rule("argoproj.io", "workflows", "create"))),
    "a Notebook": ("identity-takeover", by_way_of_ops(rule("kubeflow.org", "notebooks", "create"))),
    "a TrainJob": ("identity-takeover", by_way_of_ops(rule("trainer.kubeflow.org", "trainjobs", "create"))),
    "a SparkApplication": ("identity-takeover", by_way_of_ops(rule("sparkoperator.k8s.io", "sparkapplications", "create"))),
    "a RayCluster": ("identity-takeover", by_way_of_ops(rule("ray.io", "rayclusters", "create"))),
    "an Application of Argo CD": ("identity-takeover", grant("ops", rule("argoproj.io", "applications", "create"))),
    "any role": ("identity-takeover", by_way_of_ops(rule(RBAC, "clusterroles", "bind"), rule(RBAC, "rolebindings", "create"))),
    "more rights for a role": ("identity-takeover", by_way_of_ops(rule(RBAC, "roles", "escalate update"))),
    "nodes as proxies": ("identity-takeover", by_way_of_ops(rule("", "nodes/proxy", "get"))),
    "certificates": (
        "identity-takeover",
        by_way_of_ops(rule("certificates.k8s.io", "certificatesigningrequests/approval", "update")),
    ),
    "webhooks that change pods": (
        "identity-takeover",
        by_way_of_ops(rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create")),
    ),
    "rights by aggregation": (
        "identity-takeover",
        both(
            by_way_of_ops(rule("", "events", "get")),
            add(binding("", "view", "ClusterRole", account("ops", "argo"))),
            add(role("", "extra", rule("", "pods/exec", "create"), labels={"to-view": "true"})),
        ),
    ),
    "deployment takes training": (
        "identity-takeover",
        add(
            binding("ops", "edit", "ClusterRole", account("ml-deploy", "server")),
            role("ml-train", "argo", rule("", "pods", "create")),
            binding("ml-train", "argo", "Role", account("ops", "argo")),
        ),
    ),
    "a custom resource of an unknown controller": (
        "identity-takeover",
        by_way_of_ops(rule("jobs.example.com", "runs", "create"), cluster=False),
    ),
    "labels of training itself": ("harmful-right", grant("ml-train", rule("", "namespaces", "patch"))),
    "labels of deployment alone": ("harmful-right", by_way_of_ops(rule("", "namespaces", "patch", "ml-deploy"))),
    "secrets": ("harmful-right", by_way_of_ops(rule("", "secrets", "list"), cluster=False)),
    "one secret": ("harmful-right", by_way_of_ops(rule("", "secrets", "get", "push"), cluster=False)),
    "config maps": ("harmful-right", by_way_of_ops(rule("", "configmaps", "update"), cluster=False)),
    "network policies": ("harmful-right", by_way_of_ops(rule("networking.k8s.io", "networkpolicies", "delete"), cluster=False)),
    "labels of namespaces": ("harmful-right", by_way_of_ops(rule("", "namespaces", "patch"))),
    "port forwarding": ("harmful-right", by_way_of_ops(rule("", "pods/portforward", "create"))),
    "volumes of nodes": ("harmful-right", by_way_of_ops(rule("", "persistentvolumes", "create"))),
    "admission policies": (
        "harmful-right",
        by_way_of_ops(rule("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "delete")),
    ),
    "endpoints": ("harmful-right", by_way_of_ops(rule("discovery.k8s.io", "endpointslices", "patch"))),
    # storage
    "one handle of a driver": (
        "shared-volume",
        add(
            *volume("ml-train", "out", csi={"driver": "s3", "volumeHandle": "models"}),
            *volume("ml-deploy", "in", csi={"driver": "s3", "volumeHandle": "models", "readOnly": True}),
        ),
    ),
    "a folder in an exported folder": (
        "shared-volume",
        add(
            *volume("ml-train", "out", nfs=NFS),
            *volume("ml-deploy", "in", nfs={**NFS, "path": "/models/v1/"}),
        ),
    ),
    "a folder of the node": (
        "shared-volume",
        add(
            *volume("ml-train", "out", hostPath={"path": "/data"}),
            *volume("ml-deploy", "in", local={"path": "/data/x"}),
        ),
    ),
    "a volume in the pod itself": (
        "shared-volume",
        add(
            *volume("ml-train", "out", nfs=NFS),
            pod("ml-deploy", "reader", volumes=[{"name": "m", "nfs": {**NFS, "readOnly": True}}]),
        ),
    ),
    "one volume, claimed twice": (
        "shared-volume",
        add(
            thing("v1", "PersistentVolume", "pv", spec={"csi": {"driver": "d", "volumeHandle": "h"}}),
            *(thing("v1", "PersistentVolumeClaim", "c", home, spec={"volumeName": "pv"}) for home in ("ml-train", "ml-deploy")),
        ),
    ),
    "a claim filled from training": (
        "shared-volume",
        add(
            thing(
                "v1",
                "PersistentVolumeClaim",
                "c",
                "ml-deploy",
                spec={"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "o", "namespace": "ml-train"}},
            ),
        ),
    ),
    "volumes that are not described": (
        "shared-volume",
        add(
            *(
                thing("v1", "PersistentVolumeClaim", "c", home, spec={"volumeName": f"pv-{home}"})
                for home in ("ml-train", "ml-deploy")
            ),
        ),
    ),
    "one bucket": (
        "shared-bucket",
        add(
            pod("ml-train", "job", container={"args": ["--out", "s3://models/prod"]}),
            pod("ml-deploy", "web", container={"env": [{"name": "MODEL", "value": "s3://models/prod/v1"}]}),
        ),
    ),
    "a bucket that training may write": (
        "shared-bucket",
        add(pod("ml-deploy", "web", container={"args": ["s3a://scratch/x"]})),
    ),
    # secrets and clouds
    "one secret for both": (
        "shared-secret",
        add(secret("ml-train", token="correct horse"), secret("ml-deploy", password="correct horse")),
    ),
    "one key of a vault": (
        "shared-secret",
        add(
            *(external(home, "ml/push") for home in ("ml-train", "ml-broker")),
            store("ml-train"),
            store("ml-broker"),
        ),
    ),
    "a store for everybody": ("shared-secret", add(store(""))),
    "a store by pattern": ("shared-secret", add(store("", conditions=[{"namespaceRegexes": ["ml-.*"]}]))),
    "one role in the cloud": (
        "shared-cloud-identity",
        add(
            *(service_account(home, "cloud", annotations=CLOUD) for home in ("ml-train", "ml-deploy")),
        ),
    ),
    # networks
    "no default deny in training": ("no-default-deny", drop("NetworkPolicy", "default-deny", "ml-train")),
    "no default deny in deployment": (
        "no-default-deny",
        both(
            drop("NetworkPolicy", "default-deny", "ml-deploy"),
            drop("NetworkPolicy", "exception-ingress-gateway", "ml-deploy"),
        ),
    ),
    "a default deny of ingress alone": (
        "no-default-deny",
        both(
            *(drop("NetworkPolicy", name, "ml-broker") for name in ("default-deny", "allow-dns", "exception-egress-api")),
            add(network_policy("ml-broker", "half", egress=[])),
        ),
    ),
    "any namespace": ("network-flow", ingress({"namespaceSelector": {}})),
    "anybody on a port": ("network-flow", ingress(ports=[{"port": 8080}])),
    "a label that anybody can give": (
        "network-flow",
        ingress({"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "gateway"}}}),
    ),
    "NotIn, which forgets what is not there": (
        "network-flow",
        ingress(
            {
                "namespaceSelector": {},
                "podSelector": {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["train"]}]},
            }
        ),
    ),
    "a namespace by a label it has": (
        "network-flow",
        ingress({"namespaceSelector": {"matchExpressions": [{"key": "pratique.dev/side", "operator": "Exists"}]}}),
    ),
    "a port by its name": ("network-flow", ingress({"namespaceSelector": {}}, ports=[{"port": "http"}])),
    "addresses that may be pods'": ("network-flow", ingress({"ipBlock": {"cidr": "10.0.0.0/8"}})),
    "into the broker": (
        "network-flow",
        add(OPEN_EGRESS, network_policy("ml-broker", "hole", policyTypes=["Ingress"], ingress=[{}])),
    ),
    "out of deployment into training": (
        "network-flow",
        add(
            network_policy("ml-deploy", "out", policyTypes=["Egress"], egress=[{"to": [{"namespaceSelector": {}}]}]),
            network_policy("ml-train", "in", policyTypes=["Ingress"], ingress=[{}]),
        ),
    ),
    "a policy of the network plugin": (
        "network-flow",
        add(thing("cilium.io/v2", "CiliumNetworkPolicy", "x", "ml-deploy", spec={})),
    ),
    "the network of the node": ("host-network", add(pod("ml-deploy", "host", hostNetwork=True))),
    "a port of every node": ("network-bridge", add(thing("v1", "Service", "x", "ml-deploy", spec={"type": "NodePort"}))),
    "another name for training": (
        "network-bridge",
        add(thing("v1", "Service", "x", "ml-deploy", spec={"type": "ExternalName", "externalName": "a.ml-train.svc"})),
    ),
    "a grant of the gateway to training": (
        "network-bridge",
        add(
            thing(
                "gateway.networking.k8s.io/v1beta1",
                "ReferenceGrant",
                "x",
                "ml-deploy",
                spec={"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "ml-train"}]},
            )
        ),
    ),
    "endpoints by hand": (
        "network-bridge",
        add(thing("discovery.k8s.io/v1", "EndpointSlice", "x", "ml-deploy", endpoints=[{"addresses": ["10.1.2.3"]}])),
    ),
    # images, nodes, mesh
    "an image by tag": ("unpinned-image", add(pod("ml-deploy", "web", container={"image": "registry.local/server:1"}))),
    "an init container by tag": (
        "unpinned-image",
        add(pod("ml-broker", "web", initContainers=[{"name": "i", "image": "x:latest"}])),
    ),
    "a model by tag": ("unpinned-image", add(service("oci://registry.local/model:1"))),
    "an image volume by tag": (
        "unpinned-image",
        add(pod("ml-deploy", "web", volumes=[{"name": "m", "image": {"reference": "registry.local/m:1"}}])),
    ),
    "deployment below restricted": ("pod-security", relabel("ml-deploy", "baseline")),
    "training without Pod Security": ("shared-node", relabel("ml-train", None)),
    "training privileged": ("shared-node", relabel("ml-train", "privileged")),
    "pods where nothing keeps them from a node": (
        "shared-node",
        both(add(binding("ops", "edit", "ClusterRole", TRAINER)), relabel("ops", None)),
    ),
    "a privileged pod from before": (
        "shared-node",
        add(pod("ml-train", "old", container={"securityContext": {"privileged": True}})),
    ),
    "a capability": (
        "shared-node",
        add(pod("ml-train", "old", container={"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}})),
    ),
    "a folder of the node in training": (
        "shared-node",
        add(pod("ml-train", "old", volumes=[{"name": "h", "hostPath": {"path": "/"}}])),
    ),
    "the mesh lets everybody in": ("mesh-open", add(istio("AuthorizationPolicy", rules=[{}]), STRICT)),
    "the mesh lets training in": (
        "mesh-open",
        add(istio("AuthorizationPolicy", rules=[{"from": [{"source": {"principals": ["cluster.local/ns/ml-*"]}}]}]), STRICT),
    ),
    "the mesh takes plain text": ("mesh-open", add(istio("AuthorizationPolicy"))),
    # admission
    "the policies are gone": ("no-admission-gate", drop("ValidatingAdmissionPolicy", "pratique-promoted-only")),
    "a binding is gone": ("no-admission-gate", drop("ValidatingAdmissionPolicyBinding", "pratique-pods")),
    "only audited": ("no-admission-gate", bound("promoted-only", lambda spec: spec.update(validationActions=["Audit"]))),
    "no list, no objection": (
        "no-admission-gate",
        bound("promoted-only", lambda spec: spec["paramRef"].update(parameterNotFoundAction="Allow")),
    ),
    "a list in training": (
        "no-admission-gate",
        bound("promoted-only", lambda spec: spec["paramRef"].update(namespace="ml-train")),
    ),
    "bound elsewhere": ("no-admission-gate", bound("pods", lambda spec: spec.update(matchResources=SELECTS))),
    "bound to some objects": (
        "no-admission-gate",
        bound("pods", lambda spec: spec["matchResources"].update(objectSelector={"matchLabels": {"a": "b"}})),
    ),
    "the lock for one namespace": ("no-admission-gate", bound("lock", lambda spec: spec.update(matchResources=SELECTS))),
    "errors let pass": ("no-admission-gate", policy("lock", lambda spec: spec.update(failurePolicy="Ignore"))),
    "true": ("no-admission-gate", policy("promoted-only", lambda spec: spec["validations"][1].update(expression="true"))),
    "a condition that is never met": (
        "no-admission-gate",
        policy("pods", lambda spec: spec.update(matchConditions=[{"name": "x", "expression": "false"}])),
    ),
    "updates are not looked at": (
        "no-admission-gate",
        policy("promoted-only", lambda spec: spec["matchConstraints"]["resourceRules"][0].update(operations=["CREATE"])),
    ),
    "another training": ("no-admission-gate", expression("bindings", "train", "['other']")),
    "a list that is no list": ("no-admission-gate", expression("bindings", "guarded", "[] + ['ml-deploy', 'ml-broker']")),
    "training may promote": (
        "no-admission-gate",
        expression("lock", "promoters", "['system:serviceaccount:ml-train:trainer']"),
    ),
    "everybody is an admin": ("no-admission-gate", expression("lock", "admins", "['system:authenticated']")),
    # what cannot be known
    "a custom resource of an unknown kind": ("unread-resource", add(thing("jobs.example.com/v1", "Run", "x", "ml-deploy"))),
    "no namespace": ("incomplete", drop("Namespace", "ml-deploy")),
    "half a dump": ("incomplete", drop("ClusterRole", "cluster-admin")),
    "a policy of another shape": ("unreadable", add(network_policy("ml-deploy", "bad", ingress=[{"from": "everywhere"}]))),
    "an object without a namespace": ("unreadable", add(role("", "x") | {"kind": "Role"})),
    "two objects of one name": ("unreadable", add(service_account("ml-deploy", "server", labels={"a": "b"}))),
}

WITH = {
    # What comes with a hole by its nature: named here, so that nothing comes with it by accident.
    "foreign-binding": {"identity-takeover", "harmful-right"},
    "identity-takeover": {"harmful-right"},
    "harmful-right": {"identity-takeover"},
    "shared-identity": {"identity-takeover", "harmful-right"},
    "no-default-deny": {"network-flow"},
    "incomplete": {"pod-security", "no-admission-gate", "dangling-role"},
}


def test_silence_on_the_clean_cluster() -> None:
    assert breaches(cluster()) == ()


def test_there_are_holes_enough_and_one_at_least_for_each_rule() -> None:
    assert len(HOLES) >= 60
    assert {name for name, _ in HOLES.values()} >= set(KUBERNETES)


@pytest.mark.parametrize("name", HOLES)
def test_the_hole_is_found_by_its_rule_and_no_other(name: str) -> None:
    wanted, hole = HOLES[name]
    world = cluster()
    hole(world)
    found = breaches(world)
    assert wanted in {one.rule for one in found}
    assert {one.rule for one in found} <= {wanted} | WITH.get(wanted, set())
    assert all(one.where and one.steps and all(one.steps) for one in found)


@pytest.mark.parametrize("name", sorted(HOLES)[::12])
def test_the_order_of_objects_says_nothing(name: str) -> None:
    """An exception names a breach by rule and place, so those must be the same each time."""
    world = cluster()
    HOLES[name][1](world)
    first = {(one.rule, one.where) for one in breaches(world)}
    world.reverse()
    assert {(one.rule, one.where) for one in breaches(world)} == first


JUNK: list[Any] = [None, 7, "x", [], {}, [1], {"a": 1}, True, "s3://b/c", [None], [[]], {"": None}, -1, 1.5]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an object."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(one, (*path, key))


@pytest.mark.parametrize("seed", range(20))
def test_junk_in_any_place_is_judged_or_named_and_stops_nothing(seed: int) -> None:
    """Whatever stands where something else belongs: there is an answer, and no error that nobody thought of."""
    draw = random.Random(seed)
    for _ in range(5):
        world = cluster()
        HOLES[draw.choice(sorted(HOLES))][1](world)
        world = copy.deepcopy(world)  # the holes' own objects stay as they are
        one = draw.choice(world)
        *way, last = draw.choice(list(places(one)))
        for key in way:
            one = one[key]
        one[last] = copy.deepcopy(draw.choice(JUNK))
        assert isinstance(breaches(world), tuple)


SEEDED = """
from tests.isolation.test_holes import HOLES, breaches, cluster
world = cluster()
for name in ("two hops to everything", "impersonating users", "any namespace", "one bucket", "the policies are gone"):
    HOLES[name][1](world)
print(breaches(world))
"""


def test_the_same_description_gets_the_same_report_in_every_process() -> None:
    """Sets have another order in every process, and evidence is compared by its digest."""
    said = [
        subprocess.run(
            [sys.executable, "-c", SEEDED],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1] and said[0].count("Breach(") > 5


def test_some_things_look_like_holes_and_are_none() -> None:
    """The honest twins, all at once."""
    world = cluster()
    world += [
        binding("", "nothing", "ClusterRole", group("system:authenticated")),
        role("", "look", rule("trainer.kubeflow.org", "clustertrainingruntimes", "get list")),
        binding("", "look", "ClusterRole", group("system:authenticated")),
        binding("ml-deploy", "edit", "ClusterRole", group("site-reliability")),
        *volume("ml-train", "out", nfs=NFS),
        *volume("ml-deploy", "in", nfs={**NFS, "path": "/models-prod"}),
        secret("ml-train", token="one of training"),
        secret("ml-deploy", token="one of deployment", host="database.example"),
        *(external(home, f"{home}/push") for home in ("ml-train", "ml-deploy")),
        store("ml-train"),
        store("ml-deploy"),
        store("", conditions=[{"namespaces": ["ml-deploy"]}]),
        pod("ml-deploy", "web", container={"args": [f"s3://scratch/sha256/{'d' * 64}"]}),
        pod("ml-deploy", "quiet", serviceAccountName="default", automountServiceAccountToken=False),
        service(f"oci://registry.local/model@{SHA}"),
        network_policy("ml-deploy", "own", policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {}}]}]),
        istio("AuthorizationPolicy", rules=[{"from": [{"source": {"principals": ["cluster.local/ns/ops/sa/gateway"]}}]}]),
        STRICT,
        thing("networking.istio.io/v1", "VirtualService", "web", "ml-deploy", spec={}),
        binding("ops", "edit", "ClusterRole", account("ml-train", "trainer")),
        role("", "own", rule("", "namespaces", "patch", "ops")),
        binding("", "own", "ClusterRole", account("ops", "argo")),
        thing("v1", "ConfigMap", "notes", "ml-train", data={"text": "no address"}),
    ]
    assert breaches(world) == ()
    assert IMAGE.endswith(SHA) and metadata("x") == {"name": "x"}
