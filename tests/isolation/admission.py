"""An API server's part in admission, as far as the chart's policies need it: which policy is asked, and with which CEL engine.

Two engines from the package index run the expressions: Google's own in C++ (cel-expr-python) and one in Rust
(common-expression-language). Neither knows more than standard CEL, and no more is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pratique import yamls

from .world import GOLDEN, Object

PROMOTED = "a" * 64
VARIABLES = ("object", "oldObject", "request", "params", "variables")
Engine = Callable[[str, Mapping[str, Any]], Any]

RESOURCES = {
    "Pod": ("", "pods"),
    "InferenceService": ("serving.kserve.io", "inferenceservices"),
    "LLMInferenceService": ("serving.kserve.io", "llminferenceservices"),
    "TrainedModel": ("serving.kserve.io", "trainedmodels"),
    "RoleBinding": ("rbac.authorization.k8s.io", "rolebindings"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io", "clusterrolebindings"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "Namespace": ("", "namespaces"),
    "ConfigMap": ("", "configmaps"),
    "Deployment": ("apps", "deployments"),
}


def google(expression: str, given: Mapping[str, Any]) -> Any:
    return _compiled(expression).eval(data=dict(given)).plain_value()


@cache
def _compiled(expression: str) -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables=dict.fromkeys(VARIABLES, cel.Type.DYN)).compile(expression)


def rust(expression: str, given: Mapping[str, Any]) -> Any:
    import cel

    return cel.evaluate(expression, dict(given))


ENGINES: dict[str, Engine] = {"google": google, "rust": rust}


class Server:
    """The chart's objects, and a promotion list with one digest in it."""

    def __init__(self, engine: Engine) -> None:
        objects = [one for one in yamls.documents(GOLDEN.read_bytes(), what="chart.yaml") if one]
        self.engine = engine
        self.live = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}
        self.live["ConfigMap", "ml-broker", "promoted-models"]["data"] = {PROMOTED: "clearance"}
        self.live["Namespace", "", "default"] = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "default"}}
        self.policies = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "ValidatingAdmissionPolicy"}
        self.bindings = [one["spec"] for one in objects if one["kind"] == "ValidatingAdmissionPolicyBinding"]

    def decide(self, user: str, verb: str, what: Any) -> list[str]:
        """The policies that refuse a request, each with its words; none where it is admitted."""
        new, old, operation = self._request(verb, what)
        one = new or old
        assert one is not None
        group, resource = RESOURCES[one["kind"]]
        if isinstance(what, dict) and verb == "debug":
            resource = "pods/ephemeralcontainers"
        given = {
            "object": new,
            "oldObject": old,
            "variables": {},
            "params": None,
            "request": {
                "operation": operation,
                "name": one["metadata"]["name"],
                "namespace": one["metadata"].get("namespace", ""),
                "userInfo": {"username": user or "admin", "groups": _groups(user)},
                "resource": {"group": group, "version": "v1", "resource": resource},
                "kind": {"kind": one["kind"]},
            },
        }
        said = []
        for binding in self.bindings:
            spec = self.policies[binding["policyName"]]
            if _matches(spec, group, resource, operation) and _selects(binding, one):
                said += self._ask(binding, spec, dict(given))
        return said

    def _request(self, verb: str, what: Any) -> tuple[Object | None, Object | None, str]:
        if isinstance(what, dict):
            return what, None, "CREATE" if verb == "create" else "UPDATE"
        kind, namespace, name, *patch = what
        old = self.live[kind, namespace, name]
        return (_merged(old, patch[0]), old, "UPDATE") if patch else (None, old, "DELETE")

    def _ask(self, binding: Object, spec: Object, given: dict[str, Any]) -> list[str]:
        """One policy. An error denies: failurePolicy is Fail."""
        assert spec["failurePolicy"] == "Fail" and "Deny" in binding["validationActions"]
        name = binding["policyName"].removeprefix("pratique-")
        ref = binding.get("paramRef")
        if ref:
            given["params"] = self.live.get(("ConfigMap", ref["namespace"], ref["name"]))
            if given["params"] is None:
                return [f"{name}: no parameters"] if ref["parameterNotFoundAction"] == "Deny" else []
        given["variables"] = {}
        try:
            for one in spec.get("variables", []):
                given["variables"][one["name"]] = self.engine(one["expression"], given)
            return [
                f"{name}: {one['message']}" for one in spec["validations"] if self.engine(one["expression"], given) is not True
            ]
        except Exception as error:  # each engine has its own kinds
            return [f"{name}: error: {error}"]


def _matches(spec: Object, group: str, resource: str, operation: str) -> bool:
    return any(
        group in one["apiGroups"] and operation in one["operations"] and resource in one["resources"]
        for one in spec["matchConstraints"]["resourceRules"]
    )


def _selects(binding: Object, one: Object) -> bool:
    wanted = binding.get("matchResources", {}).get("namespaceSelector", {}).get("matchLabels", {})
    home = one["metadata"].get("namespace") or (one["metadata"]["name"] if one["kind"] == "Namespace" else "")
    return wanted in ({}, {"kubernetes.io/metadata.name": home})


def _groups(user: str) -> list[str]:
    if not user:
        return ["system:masters", "system:authenticated"]
    return (
        ["system:serviceaccounts", "system:authenticated"]
        if user.startswith("system:serviceaccount:")
        else ["system:authenticated"]
    )


def _merged(one: Object, patch: Object) -> Object:
    merged = copy.deepcopy(one)
    for key, value in patch.items():
        merged[key] = _merged(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged
