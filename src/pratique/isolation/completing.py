"""Whether a description holds what a proof needs: the rules `incomplete` and `unread-resource`.

A rendering has what a chart makes, and says nothing of what the cluster holds beside it. A dump of a cluster always has some
objects that no cluster is without; where they are missing, so may be others of their kind.
"""

from __future__ import annotations

from collections.abc import Iterator

from pratique.isolation.kinds import ADMISSION, GITOPS, HARMLESS_GROUPS, KSERVE, NETWORKING, RBAC, STARTERS
from pratique.isolation.objects import Breach, Question

ALWAYS = (
    ("", "Namespace", "kube-system"),
    (RBAC, "ClusterRole", "cluster-admin"),
    (RBAC, "ClusterRoleBinding", "cluster-admin"),
)
"""Group, kind and name of what every cluster has."""
SOME = (
    ("", "ServiceAccount"), (RBAC, "Role"), (RBAC, "RoleBinding"), ("", "Pod"), ("", "Service"),
    (NETWORKING, "NetworkPolicy"), (ADMISSION, "ValidatingAdmissionPolicy"), (ADMISSION, "ValidatingAdmissionPolicyBinding"),
)  # fmt: skip
"""Kinds of which every cluster that is isolated has some."""

COMMAND = (
    "kubectl get namespaces,serviceaccounts,pods,services,endpointslices,persistentvolumes,persistentvolumeclaims,"
    "deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs,roles,rolebindings,clusterroles,clusterrolebindings,"
    "networkpolicies,validatingadmissionpolicies,validatingadmissionpolicybindings -A -o yaml > environment/objects.yaml"
)

_READ = HARMLESS_GROUPS | {group for group, _ in STARTERS | GITOPS} | {KSERVE}


def missing(question: Question, *, cluster: bool) -> Iterator[Breach]:
    """What is not there.

    Args:
        question: what is judged.
        cluster: whether the description claims to be all of a cluster.
    """
    env, sides = question.env, question.sides
    for name in sorted(sides.all - env.described):
        yield Breach(
            rule="incomplete", where=f"namespace {name}", certain=False, steps=(f"the namespace {name} is not described",)
        )
    if not cluster:
        return
    for group, kind, name in ALWAYS:
        if not any(one.name == name for one in env.of(group, kind)):
            steps = (f"every cluster has the {kind} {name}, and the description does not",)
            yield Breach(rule="incomplete", where=f"{kind} {name}", steps=steps, certain=False, fix=COMMAND)
    for group, kind in SOME:
        if not env.by_kind.get((group, kind)):
            steps = (f"no {kind} is described, so they were left out or there is none",)
            yield Breach(rule="incomplete", where=kind, steps=steps, certain=False, fix=COMMAND)


def strange_resources(question: Question) -> Iterator[Breach]:
    """Custom resources in a side whose kind nobody here knows."""
    for thing in question.env.things:
        if thing.namespace in question.sides.all and thing.group not in _READ and thing.group not in question.known_groups:
            yield Breach(
                rule="unread-resource", where=f"{thing.ref} ({thing.group})", certain=False,
                steps=(f"what the controller of {thing.ref} ({thing.group}) makes of it is not known here",),
            )  # fmt: skip
