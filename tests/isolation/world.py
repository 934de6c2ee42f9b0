"""A small cluster that is isolated: the chart as rendered, what every cluster has, and something running on each side."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pratique import isolation, yamls
from pratique.isolation.objects import Breach, Environment, Question, Sides

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "chart.yaml"
SIDES = Sides(train=frozenset({"ml-train"}), deploy=frozenset({"ml-deploy"}), broker=frozenset({"ml-broker"}))
RBAC = "rbac.authorization.k8s.io"
PSS = {"pod-security.kubernetes.io/enforce": "baseline"}
SHA = "sha256:" + "c" * 64
IMAGE = f"registry.local/server@{SHA}"

Object = dict[str, Any]


def metadata(name: str, namespace: str = "", **more: Any) -> Object:
    return {"name": name, **({"namespace": namespace} if namespace else {}), **more}


def rule(group: str, resources: str, verbs: str, *names: str) -> Object:
    one = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**one, **({"resourceNames": list(names)} if names else {})}


def role(namespace: str, name: str, *rules: Object, **more: Any) -> Object:
    kind = "Role" if namespace else "ClusterRole"
    meta = metadata(name, namespace, **more)
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "rules": list(rules)}


def account(namespace: str, name: str) -> Object:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def group(name: str) -> Object:
    return {"kind": "Group", "apiGroup": RBAC, "name": name}


def user(name: str) -> Object:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


def binding(namespace: str, name: str, kind: str, *subjects: Object) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata(f"bind-{name}", namespace),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": list(subjects),
    }


def service_account(namespace: str, name: str, **more: Any) -> Object:
    meta = metadata(name, namespace, **more)
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": False}


def pod(
    namespace: str, name: str = "server", labels: Object | None = None, *, container: Object | None = None, **spec: Any
) -> Object:
    own = {"name": "c", "image": IMAGE, "ports": [{"containerPort": 8080, "name": "http"}], **(container or {})}
    body = {"serviceAccountName": "runner", "containers": [own], **spec}
    meta = metadata(name, namespace, labels=labels or {"app": name})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body}


def network_policy(namespace: str, name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name, namespace),
        "spec": {"podSelector": {}, **spec},
    }


def thing(version: str, kind: str, name: str, namespace: str = "", **body: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": metadata(name, namespace), **body}


@cache
def _chart() -> list[Object]:
    return [one for one in yamls.documents(GOLDEN.read_bytes(), what="chart.yaml") if one]


def cluster() -> list[Object]:
    """Everything, as a fresh copy."""
    everything = rule("*", "*", "*")
    return [
        *copy.deepcopy(_chart()),
        thing("v1", "Namespace", "kube-system"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("ops", labels=dict(PSS))},
        role("", "cluster-admin", everything),
        {**binding("", "cluster-admin", "ClusterRole", group("system:masters")), "metadata": metadata("cluster-admin")},
        thing("v1", "Service", "web", "ml-deploy", spec={"type": "ClusterIP", "selector": {"app": "server"}}),
        role("", "system:basic-user", rule("authorization.k8s.io", "selfsubjectaccessreviews", "create")),
        binding("", "system:basic-user", "ClusterRole", group("system:authenticated")),
        {**role("", "view"), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}},
        role("", "viewer", rule("", "pods services", "get list watch"), labels={"to-view": "true"}),
        role("", "edit", rule("", "pods", "create delete"), rule("apps", "deployments", "create patch")),
        role("", "nothing"),
        service_account("ops", "argo"),
        service_account("ml-train", "runner"),
        service_account("ml-deploy", "runner"),
        service_account("ml-broker", "runner"),
        binding("ml-train", "edit", "ClusterRole", account("ml-train", "trainer"), group("data-scientists")),
        pod("ml-train", "trainer"),
        pod("ml-deploy"),
        pod("ml-broker", "broker"),
        pod("ops", "gateway", {"istio": "ingressgateway"}),
    ]


def environment(objects: Iterable[Object]) -> Environment:
    """Through the same door as a stranger's bytes."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return isolation.read({"objects.json": json.dumps(items).encode()})


def question(objects: Iterable[Object], **more: Any) -> Question:
    return Question(env=environment(objects), **{"sides": SIDES, "train_stores": ("s3://scratch",), **more})


def breaches(objects: Iterable[Object], *, whole: bool = True, **more: Any) -> tuple[Breach, ...]:
    """What is against a cluster."""
    return isolation.judge(question(objects, **more), cluster=whole).breaches


def rules(objects: Iterable[Object], **more: Any) -> set[str]:
    return {one.rule for one in breaches(objects, **more)}
