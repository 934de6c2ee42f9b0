"""Every rule of isolation: how grave, what is proved where it is silent, and what to do where it is not."""

from __future__ import annotations

from typing import NamedTuple

from pratique.checking import Severity

_NOTE, _LOW, _MEDIUM, _HIGH, _CRITICAL = Severity.NOTE, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL


class Rule(NamedTuple):
    """One rule."""

    severity: Severity
    meaning: str
    """What a finding of it says."""

    fix: str


KUBERNETES = {
    "shared-identity": Rule(
        _CRITICAL, "somebody is bound on both sides", "give each side people, groups and service accounts of its own"
    ),
    "foreign-binding": Rule(
        _CRITICAL,
        "somebody of one side, or a group that they are in, is bound in another side or in the whole cluster",
        "delete the binding; what has to cross goes through the broker",
    ),
    "identity-takeover": Rule(
        _CRITICAL,
        "in one or more steps, somebody of one side becomes a service account of another",
        "take away the right of any one of the steps",
    ),
    "harmful-right": Rule(
        _HIGH,
        "somebody whom one side is or can become may change or read in another what isolation rests on",
        "take away the right, or the path to it",
    ),
    "dangling-role": Rule(
        _HIGH,
        "a binding waits for a role that is not there, and somebody else will say what it allows",
        "delete the binding, or make the role",
    ),
    "default-token": Rule(
        _HIGH,
        "something in deployment runs as `default`, with a token",
        "name a service account of its own, and set automountServiceAccountToken: false",
    ),
    "shared-volume": Rule(
        _CRITICAL,
        "the same storage lies behind volumes of both sides",
        "give deployment storage of its own, which promotion fills by digest",
    ),
    "shared-bucket": Rule(
        _CRITICAL,
        "deployment reads from a place in a bucket that training may write to, and no digest says what must lie there",
        "deploy from the promotion's destination, by digest",
    ),
    "shared-secret": Rule(
        _CRITICAL,
        "the same secret, or the same key of a store of secrets, is on both sides",
        "make another secret for each side, and revoke the one that was shared",
    ),
    "shared-cloud-identity": Rule(
        _CRITICAL, "somebody on both sides is the same in a cloud", "give each side a cloud identity of its own"
    ),
    "no-default-deny": Rule(
        _HIGH,
        "no network policy selects every pod of a namespace",
        "add a policy with podSelector: {} and policyTypes: [Ingress, Egress]",
    ),
    "network-flow": Rule(
        _HIGH,
        "a pod of one side, with labels of its author's choice, can connect to one of another",
        "narrow one of the two rules: name the namespace, not labels that anybody can give a pod",
    ),
    "host-network": Rule(
        _MEDIUM, "a pod uses the network of its node, past all network policies", "take hostNetwork out"
    ),
    "network-bridge": Rule(
        _MEDIUM,
        "a Service or an EndpointSlice leads out of a side, or into it from outside of the cluster",
        "reach deployment through a gateway that is a named exception",
    ),
    "unpinned-image": Rule(
        _HIGH, "deployment runs an image, or loads a model, without a digest", "name it by digest: name@sha256:..."
    ),
    "pod-security": Rule(
        _HIGH,
        "deployment or the broker does not enforce Pod Security restricted",
        "label the namespace pod-security.kubernetes.io/enforce: restricted",
    ),
    "shared-node": Rule(
        _HIGH,
        "a pod of one side can take its node, and with it whatever runs there of another",
        "label the namespace pod-security.kubernetes.io/enforce: baseline, and remove such pods",
    ),
    "mesh-open": Rule(
        _MEDIUM,
        "where a mesh is used in deployment, it lets in training, everybody, or whoever speaks plain text",
        "name the principals that may call, and set mtls mode STRICT",
    ),
    "no-admission-gate": Rule(
        _CRITICAL,
        "nothing that is known makes the API server refuse models that were not promoted, or the opening of a side",
        "install charts/pratique; if its policies are gone or were changed, install them again",
    ),
    "unread-resource": Rule(
        _HIGH,
        "a custom resource in one of the sides may start pods or hold secrets, and nobody here knows its kind",
        "find out what its controller makes of it, and name its group in known_groups",
    ),
}  # fmt: skip
"""What is judged in manifests."""

AIRFLOW = {
    "airflow-deployment": Rule(
        _HIGH,
        "both sides are the same Airflow, and nothing keeps teams apart in it",
        "use a deployment for each side; or multi_team, with a team for each",
    ),
    "airflow-connection": Rule(
        _CRITICAL,
        "a connection of one side has the credentials, or the account at the place, of one of the other",
        "make an account of its own for each side, and revoke the one that was shared",
    ),
    "airflow-variable": Rule(_HIGH, "a variable of both sides holds the same secret", "make another one for each side"),
    "airflow-pool": Rule(_MEDIUM, "one deployment has a pool for both sides", "give each side pools of its own"),
    "airflow-queue": Rule(
        _HIGH,
        "one queue is for both sides, so that workers of training run tasks of deployment",
        "give deployment a queue that only its own workers consume",
    ),
    "airflow-storage": Rule(
        _CRITICAL,
        "both sides write to the same place, or one below the other's",
        "give each side a bucket or a prefix of its own for logs, XComs, bundles and models",
    ),
    "airflow-bundle": Rule(
        _HIGH, "DAGs of both sides come from the same place", "keep the DAGs that deploy in a repository of their own"
    ),
    "airflow-image": Rule(_MEDIUM, "workers of both sides run an image that somebody may push again", "name images by digest"),
    "airflow-import": Rule(_HIGH, "DAGs of training can import what deploys", "do not install it for the workers of training"),
}
"""What is judged in descriptions of Airflow."""

OTHERS = {
    "unreadable": Rule(
        _HIGH, "part of the description cannot be read, so it proves nothing", "write it again, as kubectl or airflow does"
    ),
    "incomplete": Rule(
        _HIGH,
        "the description leaves out what a proof would need",
        "describe the whole cluster, or say scope=rendering if it is not about one",
    ),
    "exception": Rule(_NOTE, "a breach that somebody answers for, until a date", "close it before the date"),
    "exception-expired": Rule(_HIGH, "an exception whose date has passed", "close the breach; or have its owner decide again"),
    "exception-unused": Rule(_LOW, "an exception for what is no breach (any more)", "take it out of the policy"),
    "proved": Rule(_NOTE, "what holds for everything that is described", "nothing"),
    "more-findings": Rule(_HIGH, "more was found than is listed", "mend what is listed, and look again"),
}

RULES = {**KUBERNETES, **AIRFLOW, **OTHERS}
