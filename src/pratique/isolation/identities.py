"""Who is on which side, and whether anybody of one side can become, or do harm to, somebody of another.

The rules ID-1 to ID-5: `shared-identity`, `foreign-binding`, `identity-takeover`, `harmful-right`, `dangling-role`,
`default-token`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import ValidationError

from pratique.isolation.closure import Reach, accounts_of
from pratique.isolation.kinds import SELF
from pratique.isolation.moves import READ, RELABEL, Move
from pratique.isolation.nodes import ENFORCE
from pratique.isolation.objects import Breach, Question
from pratique.isolation.pods import Pod, pods
from pratique.isolation.reading import because
from pratique.isolation.roles import Access, Bound, Identity
from pratique.isolation.shapes import Rule, ServiceAccount

_BROAD = frozenset(
    {
        Identity("Group", "", "system:serviceaccounts"), Identity("Group", "", "system:authenticated"),
        Identity("Group", "", "system:unauthenticated"), Identity("User", "", "system:anonymous"),
    }
)  # fmt: skip
"""Those whom training is among, whoever else is."""


def members(question: Question, access: Access, side: frozenset[str]) -> list[Identity]:
    """The identities of a side: its service accounts, and the people and groups that are bound in it."""
    accounts = accounts_of(question.env)
    own = [one for name in sorted(side) for one in accounts.get(name, ())]
    people = (
        bound.who for bound in access.bound
        if bound.binding.namespace in side and bound.who.kind != "ServiceAccount" and bound.who not in _BROAD
    )  # fmt: skip
    return list(dict.fromkeys((*own, *people)))


def belongs(who: Identity, side: frozenset[str]) -> bool:
    """Whether somebody is of a side by nature: a service account of it, or the group of all of those."""
    if who.kind == "ServiceAccount":
        return who.namespace in side
    return who.kind == "Group" and who.name.removeprefix("system:serviceaccounts:") in side


def foreign_bindings(question: Question, access: Access) -> Iterator[Breach]:
    """ID-2: nobody of one side is bound in another side, or in the whole cluster; nor is a group of everybody."""
    sides = question.sides
    for source, target in ((sides.train, sides.guarded), (sides.deploy, sides.train | sides.broker)):
        for bound in access.bound:
            if not (belongs(bound.who, source) or bound.who in _BROAD):
                continue
            home = bound.binding.namespace
            if home in target or (not home and _grants(bound, _core_or_write if bound.who in _BROAD else _matters)):
                place = f"in {home}" if home else "in the whole cluster"
                yield Breach(
                    rule="foreign-binding", where=f"{bound.binding.ref}: {bound.who}",
                    steps=(f"{bound.binding.ref} binds {bound.who} to {bound.role} {place}",),
                )  # fmt: skip


def _grants(bound: Bound, counts: Callable[[Rule], bool]) -> bool:
    return any(counts(rule) for _, rule in bound.rules)


def _matters(rule: Rule) -> bool:
    """More than to ask about oneself."""
    return bool(set(rule.resources) - SELF) and bool(rule.verbs)


def _core_or_write(rule: Rule) -> bool:
    """More than to look at custom resources. Products let everybody do that, as Kubernetes does with its API itself."""
    looks = set(rule.verbs) <= set(READ) and not {"", "*"} & set(rule.api_groups)
    return _matters(rule) and not looks


def shared_identities(question: Question, access: Access) -> Iterator[Breach]:
    """ID-1: nobody is bound on both sides. Of service accounts, other rules speak: each has a home."""
    sides = question.sides
    homes: dict[Identity, set[str]] = {}
    for bound in access.bound:
        if bound.binding.namespace in sides.all and bound.who.kind != "ServiceAccount" and bound.who not in _BROAD:
            homes.setdefault(bound.who, set()).add(bound.binding.namespace)
    for who, where in sorted(homes.items()):
        train, other = sorted(where & sides.train), sorted(where & sides.guarded)
        if train and other and not any(belongs(who, side) for side in (sides.train, sides.deploy, sides.broker)):
            steps = (f"{who} is bound in {', '.join(train)}", f"{who} is bound in {', '.join(other)}, too")
            yield Breach(rule="shared-identity", where=str(who), steps=steps)


def takeovers(question: Question, access: Access) -> Iterator[Breach]:
    """ID-3 and ID-4: the closure of each side holds nobody of another, and nobody who can harm another."""
    accounts = accounts_of(question.env)
    known: dict[Identity, tuple[Move, ...]] = {}
    reached: dict[frozenset[str], Reach] = {}
    for source, words, target in question.sides.pairs():
        if source not in reached:
            reached[source] = Reach.of(access, accounts, members(question, access, source), known, question.known_groups)
        reach = reached[source]
        for who, path in reach.paths.items():
            if path.steps and who.kind == "ServiceAccount" and who.namespace in target:
                yield Breach(
                    rule="identity-takeover", where=f"{words}: {who}", steps=path.steps, certain=path.certain
                )  # fmt: skip
        yield from _harms(reach, words, source, target)
        yield from _nodes(question, reach, words)


def _harms(reach: Reach, words: str, source: frozenset[str], target: frozenset[str]) -> Iterator[Breach]:
    """What the reached can do in the target beyond becoming somebody there; of those who are not of it themselves.

    To relabel one's own side is harm to the other as well: labels keep privileged pods out, and name who may connect.
    """
    for who, path in reach.paths.items():
        if who.kind == "ServiceAccount" and who.namespace in target:
            continue
        harm = [
            one for one in reach.moves.get(who, ())
            if not one.takes and _concerns(one, target | source if one.says.endswith(RELABEL) else target)
        ]  # fmt: skip
        if harm:
            seen = dict.fromkeys(f"{who} {one.says} in {one.namespace or 'every namespace'} ({one.via})" for one in harm)
            yield Breach(rule="harmful-right", where=f"{words}: {who}", steps=(*path.steps, *seen), certain=path.certain)


def _concerns(move: Move, namespaces: frozenset[str]) -> bool:
    if move.namespace:
        return move.namespace in namespaces
    return not move.names or bool(move.names & namespaces)


def _nodes(question: Question, reach: Reach, words: str) -> Iterator[Breach]:
    """ND-1: nobody who is reached may start pods where nothing keeps them from taking a node."""
    for who, path in reach.paths.items():
        for move in reach.moves.get(who, ()):
            weak = move.starts and move.namespace and move.namespace not in question.sides.all
            if weak and question.env.namespaces.get(move.namespace, {}).get(ENFORCE) not in ("baseline", "restricted"):
                yield Breach(
                    rule="shared-node", where=f"{words}: {who} in {move.namespace}", certain=path.certain,
                    steps=(
                        *path.steps, f"{who} {move.says} in {move.namespace} ({move.via})",
                        f"{move.namespace} does not refuse privileged pods, and such a pod has its node with all pods on it",
                    ),
                )  # fmt: skip
                break


def dangling_roles(question: Question, access: Access) -> Iterator[Breach]:
    """ID-5: no binding of somebody of a side waits for a role that is not there, outside of that side."""
    sides = question.sides
    for source, target in ((sides.train, sides.guarded), (sides.deploy, sides.train | sides.broker)):
        for one in access.dangling:
            who = [who for who in one.who if belongs(who, source) or who in _BROAD]
            if who and (one.binding.namespace in target or not one.binding.namespace):
                yield Breach(
                    rule="dangling-role", where=f"{one.binding.ref}: {who[0]}",
                    steps=(
                        f"{one.binding.ref} binds {who[0]} to {one.kind} {one.name}, which is not there",
                        f"whoever makes a {one.kind} of that name says what {who[0]} may do",
                    ),
                )  # fmt: skip


def default_tokens(question: Question) -> Iterator[Breach]:
    """ID-1: nothing of deployment or the broker runs as `default` with a token of it."""
    mounts: dict[tuple[str, str], bool | None] = {}
    for one in question.env.of("", "ServiceAccount", question.sides.guarded):
        try:
            account = ServiceAccount.model_validate(one.body)
        except ValidationError as error:
            yield Breach(rule="unreadable", where=one.ref, steps=(f"{one.ref}: {because(error)}",), certain=False)
        else:
            mounts[one.namespace, one.name] = account.automount_service_account_token
    for pod in pods(question.env, question.sides.guarded):
        if pod.account == "default" and _mounts(pod, mounts.get((pod.namespace, "default"))):
            yield Breach(
                rule="default-token", where=pod.ref,
                steps=(f"{pod.ref} runs as service account {pod.namespace}/default, with a token of it",),
            )  # fmt: skip


def _mounts(pod: Pod, account: bool | None) -> bool:
    """The pod's own word counts first, then its account's; unless one of them says no, there is a token."""
    own = pod.spec.automount_service_account_token
    return own if own is not None else account is not False
