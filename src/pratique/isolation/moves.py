"""What rights are good for: which let somebody act as somebody else, and which are harm enough in themselves.

    for move in moves(access, Identity("ServiceAccount", "ml-train", "trainer")): ...

A move that takes over gives every account of its namespace, or of all namespaces. Whoever can start a pod there can name any of
its accounts, so a right to write an InferenceService, a Workflow or a SparkApplication is a right to be any of them: their
controllers make the pods (`kinds.STARTERS`). A custom resource that is not known to be harmless may be one of those; the move
is then not certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pratique.isolation.kinds import ADMISSION, GITOPS, HARMLESS_GROUPS, NETWORKING, RBAC, STARTERS
from pratique.isolation.roles import Access, Grant, Identity

WRITE = ("create", "update", "patch")
CHANGE = (*WRITE, "delete", "deletecollection")
READ = ("get", "list", "watch")
REQUEST = ("create", "get")
"""A WebSocket asks with GET what SPDY asks with POST."""

RELABEL = "relabel the namespace, and so drop Pod Security and what else its labels select"

_OURS = HARMLESS_GROUPS | {group for group, _ in STARTERS | GITOPS}

_Table = tuple[tuple[tuple[str, ...], str, str, str], ...]

TAKEOVERS: _Table = (
    (REQUEST, "", "pods/exec", "run commands in pods"),
    (REQUEST, "", "pods/attach", "attach to pods"),
    (("update", "patch"), "", "pods/ephemeralcontainers", "put a container of their own into pods"),
    (("create",), "", "serviceaccounts/token", "make tokens of service accounts"),
    (("impersonate",), "", "serviceaccounts", "impersonate service accounts"),
)
"""Verbs, group, resource, and what they come to: each gives the accounts of the namespace."""

HARMS: _Table = (
    (READ, "", "secrets", "read secrets"),
    (CHANGE, "", "secrets", "write secrets"),
    (CHANGE, "", "configmaps", "write config maps"),
    (CHANGE, NETWORKING, "networkpolicies", "change network policies"),
    (CHANGE, "", "services", "redirect services"),
    (CHANGE, "", "endpoints", "redirect services"),
    (CHANGE, "discovery.k8s.io", "endpointslices", "redirect services"),
    (WRITE, "", "serviceaccounts", "change what service accounts are in the cloud"),
    (WRITE, RBAC, "rolebindings", "hand on rights"),
    (WRITE, RBAC, "roles", "change roles"),
    (("*", *REQUEST), "", "pods/portforward", "connect to pods past network policies"),
    (("*", *REQUEST, *CHANGE), "", "pods/proxy", "connect to pods past network policies"),
    (("*", *REQUEST, *CHANGE), "", "services/proxy", "connect to pods past network policies"),
    (("update", "patch", "delete"), "", "namespaces", RELABEL),
)
"""The same, for what is harm in a namespace without being its accounts."""

CLUSTER_TAKEOVERS: _Table = (
    (("impersonate",), "", "users", "impersonate users"),
    (("impersonate",), "", "groups", "impersonate groups"),
    (REQUEST, "", "nodes/proxy", "run commands in every pod by way of its node"),
    (("update", "patch"), "certificates.k8s.io", "certificatesigningrequests/approval", "approve certificates for anybody"),
    (WRITE, ADMISSION, "mutatingwebhookconfigurations", "change every pod that is started"),
    (WRITE, ADMISSION, "mutatingadmissionpolicies", "change every pod that is started"),
)
"""The same, for what gives every account of the cluster. Only a right to all namespaces counts."""

CLUSTER_HARMS: _Table = (
    (WRITE, "", "persistentvolumes", "make volumes of any folder of a node"),
    (("update", "patch"), "", "nodes", "relabel nodes"),
    (CHANGE, ADMISSION, "mutatingadmissionpolicybindings", "change what is started"),
    (CHANGE, ADMISSION, "validatingadmissionpolicies", "switch admission off"),
    (CHANGE, ADMISSION, "validatingadmissionpolicybindings", "switch admission off"),
    (CHANGE, ADMISSION, "validatingwebhookconfigurations", "switch admission off, or see what is written"),
    (WRITE, "apiregistration.k8s.io", "apiservices", "answer in the API server's place"),
    (WRITE, "apiextensions.k8s.io", "customresourcedefinitions", "change what custom resources are"),
)
"""The same, for what is harm in the whole cluster."""


@dataclass(frozen=True, slots=True)
class Move:
    """Something that somebody can do with their rights."""

    says: str
    """`may create pods`."""

    via: str
    """The grant behind it."""

    namespace: str
    """Where; '' for everywhere."""

    takes: bool
    """Whether it gives accounts."""

    names: frozenset[str] = frozenset()
    """The only accounts that it gives, or namespaces that it relabels; empty for all."""

    certain: bool = True
    """Whether it is known to be good for this."""

    starts: bool = False
    """Whether it is by starting pods."""


def moves(access: Access, who: Identity, known_groups: frozenset[str] = frozenset()) -> Iterator[Move]:
    """All that somebody can do: with rights to the whole cluster once, with others in the namespace that they are for.

    Args:
        access: all rights.
        who: somebody.
        known_groups: API groups of custom resources that start no pods, besides those that are known here.
    """
    grants = list(access.held(who))
    cluster = [one for one in grants if not one.namespace]
    yield from _in_namespace(cluster, cluster, "")
    yield from _unknown(cluster, "", known_groups)
    yield from _in_cluster(cluster)
    for namespace in dict.fromkeys(one.namespace for one in grants if one.namespace):
        own = [one for one in grants if one.namespace == namespace]
        yield from _in_namespace(own, [*own, *cluster], namespace)
        yield from _unknown(own, namespace, known_groups)


def _in_namespace(own: Sequence[Grant], applying: Sequence[Grant], namespace: str) -> Iterator[Move]:
    """`own` are the rights to just this namespace; those that only count together may be among all that apply."""
    for group, resource in sorted(STARTERS):
        words = f"{resource}.{group}" if group else resource
        for move in _first(own, WRITE, group, resource, words, namespace, takes=True):
            yield replace(move, starts=True)
    for verbs, group, resource, says in TAKEOVERS:
        named = resource.startswith("serviceaccounts")
        yield from _first(own, verbs, group, resource, says, namespace, takes=True, keep=named, plain=True)
    for verbs, group, resource, says in HARMS:
        keep = says == RELABEL
        yield from _first(own, verbs, group, resource, says, namespace, takes=False, keep=keep, plain=True)
    for one, also, gives in (
        (("bind", "roles"), (WRITE, "rolebindings"), "bind any role"),
        (("bind", "clusterroles"), (WRITE, "rolebindings"), "bind any cluster role"),
        (("escalate", "roles"), (WRITE, "roles"), "give roles any right"),
    ):
        yield from _both(own, applying, one, also, gives, namespace)
    for group, resource in sorted(GITOPS):
        for move in _first(own, WRITE, group, resource, f"{resource}.{group}", namespace, takes=True):
            yield replace(move, namespace="")


def _in_cluster(cluster: Sequence[Grant]) -> Iterator[Move]:
    for takes, table in ((True, CLUSTER_TAKEOVERS), (False, CLUSTER_HARMS)):
        for verbs, group, resource, says in table:
            yield from _first(cluster, verbs, group, resource, says, "", takes=takes, plain=True)
    for one, also, says in (
        (("bind", "clusterroles"), (WRITE, "clusterrolebindings"), "bind any cluster role everywhere"),
        (("escalate", "clusterroles"), (WRITE, "clusterroles"), "give cluster roles any right"),
    ):
        yield from _both(cluster, cluster, one, also, says, "")


def _first(
    grants: Iterable[Grant], verbs: Iterable[str], group: str, resource: str, says: str, namespace: str, *,
    takes: bool, keep: bool = False, plain: bool = False,
) -> Iterator[Move]:  # fmt: skip
    """The first grant that is good for this, if there is one; of several about named accounts, each."""
    for verb in verbs:
        found = [one for one in grants if one.covers(verb, group, resource)]
        if "/" not in resource and verb in ("create", "deletecollection"):  # such a request names no object yet
            found = [one for one in found if not one.names]
        for one in found if keep else found[:1]:
            words = f"may {says}" if plain else f"may {verb} {says}"
            yield Move(words, one.via, namespace, takes, one.names if keep else frozenset())
        if found:
            return


def _both(
    own: Sequence[Grant], applying: Sequence[Grant], one: tuple[str, str], also: tuple[tuple[str, ...], str], says: str,
    namespace: str,
) -> Iterator[Move]:  # fmt: skip
    """Rights that only count together; at least one of them is to just this namespace."""
    first = sorted((grant for grant in applying if grant.covers(one[0], RBAC, one[1])), key=lambda grant: bool(grant.names))
    second = [grant for grant in applying if any(grant.covers(verb, RBAC, also[1]) for verb in also[0])]
    if first and second and any(grant in own for grant in (*first, *second)):
        named = f" (of {', '.join(sorted(first[0].names))})" if first[0].names else ""
        via = f"{first[0].via}; {second[0].via}"
        yield Move(f"may {says}{named}", via, namespace, takes=True, certain=not named)  # what those give is not followed


def _unknown(own: Sequence[Grant], namespace: str, known_groups: frozenset[str]) -> Iterator[Move]:
    """Custom resources of which nobody here knows what their controller makes of them."""
    for one in own:
        strange = sorted(one.groups - _OURS - known_groups - {"*"})
        strange = [group for group in strange if "." in group and not group.endswith(".k8s.io")]
        if strange and any(verb in one.verbs for verb in (*WRITE, "*")):
            what = f"{', '.join(sorted(one.resources)[:3])} of {strange[0]}"
            yield Move(f"may write {what}, whose controller may start pods", one.via, namespace, takes=True, certain=False)
            return
