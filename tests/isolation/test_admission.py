"""What the chart's admission policies let through, on two CEL engines.

RECORDED are requests on which a real API server (1.36) decided under a draft of these policies, which had other names and fewer
rules; it decided on each as is written here. (Two more of the 45, which Pod Security refuses, are left out:
no API server runs here.) OURS are requests for the rules that were added since.
"""

from __future__ import annotations

from typing import Any

import pytest

from pratique.isolation import admission

from .admission import ENGINES, PROMOTED, Server
from .world import Object, account, breaches, cluster, environment, group, network_policy, question, user

OTHER, C = "b" * 64, "c" * 64
IMAGE = f"registry.local/server@sha256:{C}"
MODEL = f"oci://registry.local/models/a@sha256:{PROMOTED}"
PROMOTER = "system:serviceaccount:ml-broker:promoter"
ANNOTATION = "pratique.dev/model-digest"


def pod(namespace: str = "ml-deploy", image: str = IMAGE, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def service(uri: str | None, namespace: str = "ml-deploy", predictor: Object | None = None, **more: Any) -> Object:
    model = {"modelFormat": {"name": "sklearn"}, **({"storageUri": uri} if uri else {})}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "m", "namespace": namespace, **more.pop("metadata", {})},
        "spec": {"predictor": {"model": model, **(predictor or {})}, **more},
    }


def annotated(digest: str) -> Object:
    return {"annotations": {ANNOTATION: digest}}


def bind(namespace: str, *subjects: Object) -> Object:
    home = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": "x", **home},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": list(subjects),
    }


def image_volume(reference: str) -> Object:
    return {"volumes": [{"name": "m", "image": {"reference": reference}}]}


def claim(**more: Any) -> Object:
    return {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "m", **more}}]}


def labelled(**labels: str) -> Object:
    return {"metadata": {"labels": labels}}


def deployment(spec: Object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "ml-deploy"},
        "spec": {"template": {"metadata": {}, "spec": spec}},
    }


TRAINER = account("ml-train", "trainer")
Case = tuple[str, str, str, Any, str]
"""Name, user ('' for an admin), verb, object or what is changed, and the policy that refuses it ('' for none)."""

RECORDED: list[Case] = [
    ("promoted model", PROMOTER, "create", service(MODEL), ""),
    ("model never promoted", PROMOTER, "create", service(MODEL.replace(PROMOTED, OTHER)), "promoted-only"),
    ("tag instead of digest", PROMOTER, "create", service("oci://registry.local/models/a:v1"), "promoted-only"),
    ("pvc source", PROMOTER, "create", service("pvc://train-out/model"), "promoted-only"),
    ("s3 source", PROMOTER, "create", service("s3://bucket/model"), "promoted-only"),
    ("no storageUri", PROMOTER, "create", service(None), "promoted-only"),
    ("digest as prefix trick", PROMOTER, "create", service(f"oci://r/a@sha256:{OTHER}?x=@sha256:{PROMOTED}"), "promoted-only"),
    ("upper-case digest", PROMOTER, "create", service(MODEL.replace(PROMOTED, PROMOTED.upper())), "promoted-only"),
    ("annotation of an unpromoted digest", PROMOTER, "create", service(MODEL, metadata=annotated(OTHER)), "promoted-only"),
    ("annotation of the promoted digest", PROMOTER, "create", service(MODEL, metadata=annotated(PROMOTED)), ""),
    ("any model in the training namespace", "dev", "create", service("s3://bucket/model", "ml-train"), ""),
    ("pinned pod", "dev", "create", pod(), ""),
    ("pod image by tag", "dev", "create", pod(image="registry.local/server:1"), "pods"),
    ("pod from another registry", "dev", "create", pod(image=f"evil.example/x@sha256:{C}"), "pods"),
    ("init container by tag", "dev", "create", pod(initContainers=[{"name": "i", "image": "registry.local/x:latest"}]), "pods"),
    ("writable claim", "dev", "create", pod(**claim()), "pods"),
    ("read-only claim", "dev", "create", pod(**claim(readOnly=True)), ""),
    ("shared process namespace", "dev", "create", pod(shareProcessNamespace=True), "pods"),
    ("image volume, promoted", "dev", "create", pod(**image_volume(MODEL.removeprefix("oci://"))), ""),
    ("image volume, unpromoted", "dev", "create", pod(**image_volume(f"registry.local/a@sha256:{OTHER}")), "promoted-only"),
    ("image volume by tag", "dev", "create", pod(**image_volume("registry.local/models/a:1")), "promoted-only"),
    ("same pod in training: tag allowed", "dev", "create", pod("ml-train", "registry.local/server:1"), ""),
    ("bind a training account in deploy", "dev", "create", bind("ml-deploy", TRAINER), "bindings"),
    ("bind a training account in broker", "dev", "create", bind("ml-broker", TRAINER), "bindings"),
    ("bind training group in deploy", "dev", "create", bind("ml-deploy", group("system:serviceaccounts:ml-train")), "bindings"),
    (
        "bind training account as a user name",
        "dev",
        "create",
        bind("ml-deploy", user("system:serviceaccount:ml-train:x")),
        "bindings",
    ),
    ("bind all authenticated in deploy", "dev", "create", bind("ml-deploy", group("system:authenticated")), "bindings"),
    ("cluster-wide role for a training account", "dev", "create", bind("", TRAINER), "bindings"),
    ("second subject hides the first", "dev", "create", bind("ml-deploy", account("ml-deploy", "server"), TRAINER), "bindings"),
    ("bind a deploy account in deploy", "dev", "create", bind("ml-deploy", account("ml-deploy", "server")), ""),
    ("bind in an unrelated namespace", "dev", "create", bind("default", TRAINER), ""),
    ("punch a network hole in deploy", "dev", "create", network_policy("ml-deploy", "hole", ingress=[{}]), "lock"),
    ("punch a network hole in training", "dev", "create", network_policy("ml-train", "hole", ingress=[{}]), "lock"),
    ("network policy elsewhere", "dev", "create", network_policy("default", "hole", ingress=[{}]), ""),
    ("network policy by an admin", "", "create", network_policy("ml-deploy", "hole", ingress=[{}]), ""),
    ("relabel deploy namespace", "dev", "patch", ("Namespace", "", "ml-deploy", labelled(a="b")), "lock"),
    (
        "annotate deploy namespace",
        "dev",
        "patch",
        ("Namespace", "", "ml-deploy", {"metadata": {"annotations": {"n": "x"}}}),
        "",
    ),
    ("relabel another namespace", "dev", "patch", ("Namespace", "", "default", labelled(a="b")), ""),
    ("forge a promotion", "dev", "patch", ("ConfigMap", "ml-broker", "promoted-models", {"data": {OTHER: "x"}}), "lock"),
    ("broker promotes", PROMOTER, "patch", ("ConfigMap", "ml-broker", "promoted-models", {"data": {"d" * 64: "x"}}), ""),
    ("delete the promotion list", "dev", "delete", ("ConfigMap", "ml-broker", "promoted-models"), "lock"),
    ("delete default-deny", "dev", "delete", ("NetworkPolicy", "ml-deploy", "default-deny"), "lock"),
    (
        "deployment with an unpromoted image volume",
        "dev",
        "create",
        deployment(pod(**image_volume(f"registry.local/a@sha256:{OTHER}"))["spec"]),
        "promoted-only",
    ),
]

INITIALIZER = {"name": "storage-initializer", "image": "registry.local/kserve/storage-initializer:v0.16.0"}
OURS: list[Case] = [
    (
        "a predictor in the old spelling",
        PROMOTER,
        "create",
        service(MODEL, predictor={"sklearn": {"storageUri": "s3://b/m"}}),
        "promoted-only",
    ),
    (
        "a predictor of containers",
        PROMOTER,
        "create",
        service(MODEL, predictor={"containers": [{"image": IMAGE}]}),
        "promoted-only",
    ),
    (
        "a second list of models",
        PROMOTER,
        "create",
        service(MODEL, predictor={"storageUris": [{"uri": "s3://b/m"}]}),
        "promoted-only",
    ),
    ("a transformer", PROMOTER, "create", service(MODEL, transformer={"containers": [{"image": IMAGE}]}), "promoted-only"),
    ("an LLM from a base configuration", PROMOTER, "create", service(MODEL) | {"kind": "LLMInferenceService"}, "promoted-only"),
    (
        "a model added to a running server",
        PROMOTER,
        "create",
        {
            "kind": "TrainedModel",
            "metadata": {"name": "t", "namespace": "ml-deploy"},
            "spec": {"model": {"storageUri": "s3://b/m"}},
        },
        "promoted-only",
    ),
    (
        "a promoted model added to a running server",
        PROMOTER,
        "create",
        {"kind": "TrainedModel", "metadata": {"name": "t", "namespace": "ml-deploy"}, "spec": {"model": {"storageUri": MODEL}}},
        "",
    ),
    (
        "KServe's initializer with another model",
        "dev",
        "create",
        pod(initContainers=[{**INITIALIZER, "args": ["s3://b/m", "/mnt"]}]),
        "promoted-only",
    ),
    ("KServe's initializer without a model", "dev", "create", pod(initContainers=[INITIALIZER]), "promoted-only"),
    (
        "KServe's initializer with the promoted model",
        "dev",
        "create",
        pod(initContainers=[{**INITIALIZER, "args": [MODEL, "/mnt"]}]),
        "",
    ),
    ("another image without a digest", "dev", "create", pod(image="registry.local/kserve/agent:v0.16.0"), "pods"),
    ("a debug container by tag", "dev", "debug", pod(ephemeralContainers=[{"name": "d", "image": "busybox"}]), "pods"),
    (
        "a subject without a namespace is of the binding's",
        "dev",
        "create",
        bind("ml-deploy", {"kind": "ServiceAccount", "name": "server"}),
        "",
    ),
    ("bind the anonymous user in deploy", "dev", "create", bind("ml-deploy", user("system:anonymous")), "bindings"),
    ("the promoter empties nothing by deleting", PROMOTER, "delete", ("ConfigMap", "ml-broker", "promoted-models"), "lock"),
    ("relabel by hand of the promoter", PROMOTER, "patch", ("Namespace", "", "ml-deploy", labelled(a="b")), "lock"),
]


def test_the_recorded_cases_are_all_there() -> None:
    assert len(RECORDED) == 43 and len({name for name, *_ in RECORDED + OURS}) == len(RECORDED) + len(OURS)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_request_is_decided_as_a_real_api_server_did(engine: str) -> None:
    server = Server(ENGINES[engine])
    wrong = {}
    for name, who, verb, what, refused_by in RECORDED + OURS:
        said = server.decide(who, verb, what)
        by = {one.partition(":")[0] for one in said}
        if by != ({refused_by} if refused_by else set()) or any(": error: " in one for one in said):
            wrong[name] = (refused_by, said)
    assert not wrong


@pytest.mark.parametrize("engine", ENGINES)
def test_without_the_promotion_list_nothing_is_served(engine: str) -> None:
    server = Server(ENGINES[engine])
    server.live["ConfigMap", "ml-broker", "promoted-models"].pop("data")
    assert server.decide(PROMOTER, "create", service(MODEL))
    del server.live["ConfigMap", "ml-broker", "promoted-models"]
    assert server.decide(PROMOTER, "create", service(MODEL))


# --- which policies count --------------------------------------------------------------------------------------------------


def policies() -> list[Object]:
    return [one for one in cluster() if one["kind"] == "ValidatingAdmissionPolicy"]


def test_what_an_api_server_fills_in_changes_no_digest() -> None:
    for one in policies():
        (before,) = environment([one]).things
        match = one["spec"]["matchConstraints"]
        match.update(matchPolicy="Equivalent", namespaceSelector={}, objectSelector={})
        for rule in match["resourceRules"]:
            rule["scope"] = "*"
        (after,) = environment([one]).things
        assert admission.digest(before) == admission.digest(after)


def test_what_changes_a_policys_meaning_changes_its_digest() -> None:
    for one in policies():
        (before,) = environment([one]).things
        one["spec"]["matchConstraints"]["objectSelector"] = {"matchLabels": {"checked": "please"}}
        (after,) = environment([one]).things
        assert admission.digest(before) != admission.digest(after)


def test_a_policy_that_somebody_reviewed_counts_once_it_is_named() -> None:
    world = cluster()
    (lock,) = (
        one for one in world if one["kind"] == "ValidatingAdmissionPolicy" and one["metadata"]["name"] == "pratique-lock"
    )
    lock["spec"]["validations"][0]["message"] = "other words"
    (breach,) = breaches(world)
    assert breach.where == "lock" and any("none that is known" in step for step in breach.steps)
    digest = next(admission.digest(one) for one in question(world).env.things if one.name == "pratique-lock")
    assert digest in " ".join(breach.steps)
    assert breaches(world, admission_policies=frozenset({f"lock={digest}"})) == ()
    assert breaches(world, admission_policies=frozenset({f"pods={digest}"})) != ()
