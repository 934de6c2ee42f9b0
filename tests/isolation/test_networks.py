"""Network policies: the engine against a second one that shares nothing with it, and labels of an attacker's choice."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.isolation import selecting
from pratique.isolation.policies import End, Network
from pratique.isolation.reaching import ways
from pratique.isolation.selecting import compiled, labels_for, labels_without
from pratique.isolation.shapes import Selector

from .world import environment, network_policy

KEYS = {"app": ["a", "b"], "tier": ["x", "y"]}
SPACES = ["train", "deploy", "broker"]
PORTS = [80, 85, 8080]

# --- random little clusters ---------------------------------------------------------------------------------------------


def expressions() -> st.SearchStrategy[dict[str, Any]]:
    key = st.sampled_from(sorted(KEYS))
    valued = key.flatmap(
        lambda name: st.fixed_dictionaries(
            {
                "key": st.just(name),
                "operator": st.sampled_from(["In", "NotIn"]),
                "values": st.lists(st.sampled_from(KEYS[name]), min_size=1, max_size=2, unique=True),
            }
        )
    )
    return valued | st.fixed_dictionaries({"key": key, "operator": st.sampled_from(["Exists", "DoesNotExist"])})


def selectors() -> st.SearchStrategy[dict[str, Any]]:
    label = st.sampled_from(sorted(KEYS)).flatmap(
        lambda key: st.sampled_from(KEYS[key]).map(lambda value: {"matchLabels": {key: value}})
    )
    more = st.lists(expressions(), min_size=1, max_size=2).map(lambda ones: {"matchExpressions": ones})
    return st.just({}) | label | more


def peers() -> st.SearchStrategy[dict[str, Any]]:
    spaces = st.just({}) | st.sampled_from(SPACES).map(lambda name: {"matchLabels": {"env": name}})
    pods = st.fixed_dictionaries({"podSelector": selectors()}, optional={"namespaceSelector": spaces})
    block = st.sampled_from(["10.0.0.0/30", "10.0.0.1/32", "0.0.0.0/0"]).map(
        lambda net: {"ipBlock": {"cidr": net, "except": ["10.0.0.2/32"]}} if net.endswith("/0") else {"ipBlock": {"cidr": net}}
    )
    return pods | st.fixed_dictionaries({"namespaceSelector": spaces}) | block


def ports() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(
        [
            {"port": 80},
            {"protocol": "TCP", "port": 80, "endPort": 90},
            {"protocol": "UDP", "port": 80},
            {"protocol": "TCP"},
            {"port": "web"},
        ]
    )


def policies() -> st.SearchStrategy[list[dict[str, Any]]]:
    def rules(key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
        one = st.fixed_dictionaries({}, optional={key: st.lists(peers(), max_size=2), "ports": st.lists(ports(), max_size=2)})
        return st.lists(one, max_size=2)

    spec = st.fixed_dictionaries(
        {"podSelector": selectors()},
        optional={
            "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
            "ingress": rules("from"),
            "egress": rules("to"),
        },
    )
    return st.lists(st.tuples(st.sampled_from(SPACES), spec), max_size=4).map(
        lambda ones: [network_policy(home, f"n{number}", **one) for number, (home, one) in enumerate(ones)]
    )


def pods() -> st.SearchStrategy[list[dict[str, str]]]:
    labels = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in KEYS.items()})
    return st.lists(labels, min_size=4, max_size=4)


def spaces() -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"env": name}}} for name in SPACES]


# --- a second engine ----------------------------------------------------------------------------------------------------


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Word for word from the documentation of label selectors."""
    verdicts = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", []):
        has, value = one["key"] in labels, labels.get(one["key"])
        verdicts.append(
            {
                "In": has and value in one.get("values", []),
                "NotIn": not has or value not in one.get("values", []),
                "Exists": has,
                "DoesNotExist": not has,
            }[one["operator"]]
        )
    return all(verdicts)


def lets(policy: dict[str, Any], way: str, other: dict[str, Any], port: int, web: int) -> bool:
    """Whether a rule of a policy is for this other end and this TCP port."""
    home, spec = policy["metadata"]["namespace"], policy["spec"]
    for one in spec.get("ingress" if way == "Ingress" else "egress", []):
        numbers = [
            range(1, 65536)
            if "port" not in p
            else [web]
            if p["port"] == "web"
            else range(p["port"], p.get("endPort", p["port"]) + 1)
            for p in one.get("ports", [])
            if p.get("protocol", "TCP") == "TCP"
        ]
        if one.get("ports") and not any(port in these for these in numbers):
            continue
        named = one.get("from" if way == "Ingress" else "to", [])
        if not named:
            return True
        for peer in named:
            if "ipBlock" in peer:
                address = ipaddress.ip_address(other["ip"])
                inside = address in ipaddress.ip_network(peer["ipBlock"]["cidr"])
                if inside and not any(address in ipaddress.ip_network(net) for net in peer["ipBlock"].get("except", [])):
                    return True
                continue
            where = (
                selected(peer["namespaceSelector"], {"env": other["space"], "kubernetes.io/metadata.name": other["space"]})
                if "namespaceSelector" in peer
                else other["space"] == home
            )
            if where and selected(peer.get("podSelector", {}), other["labels"]):
                return True
    return False


def gets_through(world: list[dict[str, Any]], source: dict[str, Any], target: dict[str, Any], port: int, web: int) -> bool:
    for way, mine, other in (("Egress", source, target), ("Ingress", target, source)):
        under = []
        for one in world:
            spec = one["spec"]
            kinds = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
            if way in kinds and one["metadata"]["namespace"] == mine["space"] and selected(spec["podSelector"], mine["labels"]):
                under.append(one)
        if under and not any(lets(one, way, other, port, web) for one in under):
            return False
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies(), pods(), st.sampled_from(PORTS))
def test_every_connection_of_a_random_cluster_as_a_second_engine_has_it(
    world: list[dict[str, Any]], labels: list[dict[str, str]], web: int
) -> None:
    network = Network.of(environment([*spaces(), *world]))
    ends = [{"space": SPACES[number % 3], "labels": one, "ip": f"10.0.0.{number}"} for number, one in enumerate(labels)]
    ours = [
        End(str(one["space"]), one["labels"], ipaddress.ip_address(str(one["ip"])), {("TCP", "web"): web})  # type: ignore[arg-type]
        for one in ends
    ]
    assert not network.unread
    for first, second in itertools.permutations(range(len(ends)), 2):
        for port in PORTS:
            expected = gets_through(world, ends[first], ends[second], port, web)
            assert network.allows(ours[first], ours[second], "TCP", port) is expected


# --- labels of an attacker's choice ---------------------------------------------------------------------------------------

EVERY_LABELLING = [
    {key: value for key, value in zip(sorted(KEYS), choice, strict=True) if value is not None}
    for choice in itertools.product(*([None, *KEYS[key], "fresh"] for key in sorted(KEYS)))
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies())
def test_what_is_said_to_be_reachable_is_what_trying_out_all_labels_finds(world: list[dict[str, Any]]) -> None:
    """Addresses apart: what they mean for pods is not decided here. Both keys are tried with every value, and without."""
    world = [one for one in world if "ipBlock" not in str(one)]
    network = Network.of(environment([*spaces(), *world]))
    found = list(ways(network, "train", "deploy"))
    tried = any(
        gets_through(
            world,
            {"space": "train", "labels": mine, "ip": "10.9.9.9"},
            {"space": "deploy", "labels": theirs, "ip": "10.9.9.8"},
            port,
            web,
        )
        for mine in EVERY_LABELLING
        for theirs in EVERY_LABELLING
        for port in (*PORTS, 443)
        for web in (80, 443)
    )
    tcp = [one for one in found if one.ports.protocol == "TCP"]
    assert bool(tcp) is tried
    for way in tcp[:5]:  # and the labels that are named do it
        port = 443 if way.ports.name and way.ports.first == 0 else max(way.ports.first, 1)
        source = {"space": "train", "labels": dict(way.source), "ip": "10.9.9.9"}
        target = {"space": "deploy", "labels": dict(way.target), "ip": "10.9.9.8"}
        assert gets_through(world, source, target, port, port)


@settings(deadline=None)
@given(st.lists(selectors(), max_size=3), st.lists(selectors(), max_size=3))
def test_labels_that_fit_some_selectors_and_no_others(fit: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    terms = [term for one in fit for term in compiled(Selector.model_validate(one)).terms]
    avoided = [compiled(Selector.model_validate(one)) for one in others]
    found = labels_without(terms, avoided)
    exists = [
        labels
        for labels in EVERY_LABELLING
        if all(selected(one, labels) for one in fit) and not any(selected(one, labels) for one in others)
    ]
    assert (found is not None) is bool(exists)
    if found is not None:
        assert all(selected(one, found) for one in fit) and not any(selected(one, found) for one in others)


def test_what_keeps_clear_of_one_selector_may_run_into_another() -> None:
    """Between them, these two select every pod: whoever has no `app: a` has something else, or nothing."""
    these = [{"matchLabels": {"app": "a"}}, {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}]
    assert labels_without([], [compiled(Selector.model_validate(one)) for one in these]) is None


def test_values_that_contradict_each_other() -> None:
    both = compiled(Selector.model_validate({"matchLabels": {"a": "x"}})).terms
    assert labels_for([*both, *compiled(Selector.model_validate({"matchLabels": {"a": "y"}})).terms]) is None
    assert labels_for(both) == {"a": "x"}


def test_more_selectors_than_can_be_tried_are_undecided_and_not_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "MAX_TRIES", 3)
    key = lambda number: {"key": f"k{number}", "operator": "DoesNotExist"}  # noqa: E731
    world = [
        network_policy(
            "train", f"n{number}", podSelector={"matchExpressions": [key(number), key(number + 1)]}, policyTypes=["Egress"]
        )
        for number in range(0, 16, 2)
    ]
    (way,) = ways(Network.of(environment([*spaces(), *world])), "train", "deploy")
    assert not way.certain


# --- cases of their own ------------------------------------------------------------------------------------------------


def only(*objects: dict[str, Any], cidrs: tuple[str, ...] = ()) -> list[str]:
    nets = [ipaddress.ip_network(one) for one in cidrs]
    return [
        way.steps[-1] + str(way.certain)
        for way in ways(Network.of(environment([*spaces(), *objects])), "train", "deploy", nets)
    ]


DENY = network_policy("deploy", "deny", policyTypes=["Ingress"])


def test_without_any_policy_everything_gets_through_and_behind_one_nothing() -> None:
    assert len(only()) == 1 and only(DENY) == []


def test_an_empty_list_of_egress_without_types_does_not_isolate_egress() -> None:
    """policyTypes is Ingress alone then: half the world expects it to shut egress."""
    assert len(only(network_policy("train", "n", egress=[]))) == 1
    assert only(network_policy("train", "n", egress=[], policyTypes=["Egress"])) == []


def test_policies_add_up_and_never_take_away() -> None:
    hole = network_policy("deploy", "hole", ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"env": "train"}}}]}])
    assert len(only(DENY, hole)) == 1


def test_ports_that_do_not_meet_let_nothing_through() -> None:
    out = network_policy("train", "out", policyTypes=["Egress"], egress=[{"ports": [{"port": 443}]}])
    into = network_policy("deploy", "in", ingress=[{"ports": [{"port": 80, "endPort": 90}]}])
    assert only(out, into) == []
    assert len(only(out, network_policy("deploy", "in", ingress=[{"ports": [{"port": 80, "endPort": 443}]}]))) == 1


def test_addresses_count_unless_they_are_known_to_be_nobodys_pod() -> None:
    hole = network_policy(
        "deploy", "hole", ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}}]}]
    )
    assert [one[-5:] for one in only(DENY, hole)] == ["False"]
    assert only(DENY, hole, cidrs=("10.244.0.0/16",)) == [] == only(DENY, hole, cidrs=("192.168.0.0/16", "fd00::/8"))
    assert len(only(DENY, hole, cidrs=("10.128.0.0/16",))) == 1


def test_a_policy_that_makes_no_sense_is_not_passed_over() -> None:
    for spec in (
        {"policyTypes": ["Sideways"]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "everywhere"}}]}]},
        {"ingress": [{"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
    ):
        network = Network.of(environment([*spaces(), network_policy("deploy", "n", **spec)]))
        assert len(network.unread) == 1 and not network.policies
