"""A network plugin in miniature: NetworkPolicies as one nftables ruleset, real TCP connections between network namespaces.

    unshare -n -m --propagation private python -m tests.isolation.enforcing WORLDS

It runs in namespaces of its own and touches nothing of the machine. The rules are compiled for the addresses of the pods that
there are, as plugins do, with a reader of selectors of its own. Prints one line of JSON: connections tried, made, and those on
which `pratique.isolation` is of another mind.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pratique.isolation.policies import End, Network

from .world import environment, network_policy

T = TypeVar("T")
Object = dict[str, Any]
PORTS = (80, 85, 8080)
SPACES = ("train", "deploy", "broker")
LABELS = {"app": ["a", "b"], "tier": ["x", "y"]}
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def shell(*command: str, given: str = "") -> None:
    subprocess.run(command, input=given, text=True, check=True, capture_output=True)


def inside(name: str, work: Callable[[], T]) -> T:
    """Do something in a network namespace: in a thread of its own, for a namespace is a thread's."""
    results: list[T] = []

    def run() -> None:
        descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
        if _libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(descriptor)
        results.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


def pods(draw: random.Random) -> list[Object]:
    return [
        {
            "name": f"p{number}",
            "space": SPACES[number // 2],
            "ip": f"10.0.0.{number + 1}",
            "labels": {key: draw.choice(values) for key, values in LABELS.items() if draw.random() < 0.75},
        }
        for number in range(6)
    ]


def selector(draw: random.Random) -> Object:
    key = draw.choice(sorted(LABELS))
    return draw.choice(
        [
            {},
            {"matchLabels": {key: draw.choice(LABELS[key])}},
            {
                "matchExpressions": [
                    {"key": key, "operator": draw.choice(["In", "NotIn"]), "values": [draw.choice(LABELS[key])]}
                ]
            },
            {"matchExpressions": [{"key": key, "operator": draw.choice(["Exists", "DoesNotExist"])}]},
        ]
    )


def policies(draw: random.Random) -> list[Object]:
    def rule(key: str) -> Object:
        one: Object = {}
        if draw.random() < 0.9:
            one[key] = [peer() for _ in range(draw.randint(1, 2))]
        if draw.random() < 0.6:
            one["ports"] = [draw.choice([{"port": 80}, {"port": 80, "endPort": 90}, {"protocol": "UDP", "port": 80}, {}])]
        return one

    def peer() -> Object:
        if draw.random() < 0.15:
            return {"ipBlock": {"cidr": draw.choice(["10.0.0.0/30", "10.0.0.4/32"])}}
        one: Object = {}
        if draw.random() < 0.6:
            one["namespaceSelector"] = draw.choice([{}, {"matchLabels": {"env": draw.choice(SPACES)}}])
        if not one or draw.random() < 0.5:
            one["podSelector"] = selector(draw)
        return one

    made = []
    for number in range(draw.randint(1, 4)):
        types = draw.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        spec: Object = {"podSelector": selector(draw), "policyTypes": types}
        for kind, key, other in (("Ingress", "ingress", "from"), ("Egress", "egress", "to")):
            if kind in types:
                spec[key] = [rule(other) for _ in range(draw.randint(0, 2))]
        made.append(network_policy(draw.choice(SPACES), f"n{number}", **spec))
    return made


def fits(one: Object, labels: Object) -> bool:
    verdicts = [labels.get(key) == value for key, value in one.get("matchLabels", {}).items()]
    for line in one.get("matchExpressions", []):
        value, has = labels.get(line["key"]), line["key"] in labels
        operator, values = line["operator"], line.get("values", [])
        verdicts.append(
            value in values
            if operator == "In"
            else value not in values
            if operator == "NotIn"
            else has is (operator == "Exists")
        )
    return all(verdicts)


def ruleset(world: list[Object], ends: list[Object]) -> str:
    """A chain for each pod and direction that a policy isolates; whatever no rule returns from is reset."""
    lines, jumps = ["flush ruleset", "table ip np {"], []
    for end in ends:
        for kind, key, named, own, theirs in (
            ("Ingress", "ingress", "from", "daddr", "saddr"),
            ("Egress", "egress", "to", "saddr", "daddr"),
        ):
            under = [
                one["spec"]
                for one in world
                if kind in one["spec"]["policyTypes"]
                and one["metadata"]["namespace"] == end["space"]
                and fits(one["spec"]["podSelector"], end["labels"])
            ]
            if not under:
                continue
            chain = f"{end['name']}_{key}"
            lines.append(f" chain {chain} {{")
            lines += [f"  {line}" for spec in under for rule in spec[key] for line in _rule(rule, named, theirs, end, ends)]
            lines += ["  meta l4proto tcp reject with tcp reset", "  drop", " }"]
            jumps.append(f"  ip {own} {end['ip']} jump {chain}")
    lines += [" chain forward { type filter hook forward priority 0; policy accept;", "  ct state established,related accept"]
    return "\n".join([*lines, *jumps, " }", "}"])


def _rule(rule: Object, named: str, theirs: str, end: Object, ends: list[Object]) -> list[str]:
    match = ""
    if rule.get(named):
        addresses = {address for peer in rule[named] for address in _addresses(peer, end, ends)}
        if not addresses:
            return []
        match = f"ip {theirs} {{ {', '.join(sorted(addresses))} }} "
    if not rule.get("ports"):
        return [f"{match}return"]
    found = []
    for port in rule["ports"]:
        protocol = port.get("protocol", "TCP").lower()
        numbers = f"{port['port']}-{port['endPort']}" if "endPort" in port else str(port.get("port", ""))
        found.append(f"{match}{protocol} dport {numbers} return" if numbers else f"{match}meta l4proto {protocol} return")
    return found


def _addresses(peer: Object, end: Object, ends: list[Object]) -> list[str]:
    if "ipBlock" in peer:
        net = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return [one["ip"] for one in ends if ipaddress.ip_address(one["ip"]) in net]
    spaces = peer.get("namespaceSelector")
    return [
        one["ip"]
        for one in ends
        if (one["space"] == end["space"] if spaces is None else fits(spaces, {"env": one["space"]}))
        and fits(peer.get("podSelector", {}), one["labels"])
    ]


def wire(ends: list[Object]) -> list[socket.socket]:
    """A network namespace for each pod, a way between them, and somebody who listens on each port."""
    os.makedirs("/run/netns", exist_ok=True)
    shell("mount", "-t", "tmpfs", "none", "/run/netns")
    shell("ip", "link", "set", "lo", "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    listening: list[socket.socket] = []

    def listen() -> None:
        for port in PORTS:
            one = socket.create_server(("0.0.0.0", port), backlog=64)
            one.setblocking(False)
            listening.append(one)

    for end in ends:
        name, ip, veth = end["name"], end["ip"], f"v{end['name']}"
        shell("ip", "netns", "add", name)
        shell("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
        shell("ip", "addr", "add", "169.254.1.1/32", "dev", veth)
        shell("ip", "link", "set", veth, "up")
        shell("ip", "route", "add", f"{ip}/32", "dev", veth)
        for line in (
            "link set lo up",
            f"addr add {ip}/32 dev eth0",
            "link set eth0 up",
            "route add 169.254.1.1/32 dev eth0",
            "route add default via 169.254.1.1",
        ):
            shell("ip", "-n", name, *line.split())
        inside(name, listen)
    return listening


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def probe(ends: list[Object]) -> dict[tuple[str, str, int], bool]:
    found = {}
    for source in ends:
        tried = inside(
            source["name"], lambda: [(one["name"], port, connects(one["ip"], port)) for one in ends for port in PORTS]
        )
        found.update({(source["name"], name, port): made for name, port, made in tried if name != source["name"]})
    return found


def main(worlds: int) -> None:
    draw = random.Random(5)
    ends = pods(draw)
    listening = wire(ends)
    assert all(probe(ends).values()), "without a policy everything connects"
    tried, made, differ = 0, 0, []
    for _ in range(worlds):
        for one, other in zip(ends, pods(draw), strict=True):
            one["labels"] = other["labels"]
        world = policies(draw)
        drain(listening)
        shell("nft", "-f", "-", given=ruleset(world, ends))
        spaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"env": name}}} for name in SPACES
        ]
        network = Network.of(environment([*spaces, *world]))
        known = {one["name"]: End(one["space"], one["labels"], ipaddress.ip_address(one["ip"])) for one in ends}
        for (source, target, port), connected in probe(ends).items():
            tried, made = tried + 1, made + connected
            if network.allows(known[source], known[target], "TCP", port) is not connected:
                differ.append([source, target, port, connected, world])
    print(json.dumps({"tried": tried, "made": made, "differ": differ[:3]}))


def drain(listening: list[socket.socket]) -> None:
    for one in listening:
        try:
            while True:
                one.accept()[0].close()
        except BlockingIOError:
            continue


if __name__ == "__main__":
    main(int(sys.argv[1]))
