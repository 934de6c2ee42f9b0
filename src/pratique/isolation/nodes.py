"""The rules ND-1: `pod-security`, `shared-node`.

Who may start a privileged pod has the node that it runs on, and with it every pod there. Taints and selectors do not help
against those who write the pod: they write its tolerations, too. What does is that such pods are refused, by Pod Security.
(https://kubernetes.io/docs/concepts/security/pod-security-standards/)
"""

from __future__ import annotations

from collections.abc import Iterator

from pratique.isolation.objects import Breach, Question
from pratique.isolation.pods import Pod, pods

ENFORCE = "pod-security.kubernetes.io/enforce"
_BAD = frozenset(
    {"SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "NET_ADMIN", "BPF", "ALL", "NET_RAW"}
)


def pod_security(question: Question) -> Iterator[Breach]:
    """Deployment and the broker enforce `restricted`, training at least `baseline`."""
    sides = question.sides
    for namespace in sorted(sides.all):
        level = question.env.namespaces.get(namespace, {}).get(ENFORCE, "")
        guarded = namespace in sides.guarded
        if level == "restricted" or (level == "baseline" and not guarded):
            continue
        wanted = "restricted" if guarded else "baseline or restricted"
        found = f"Pod Security {level}" if level else "no level of Pod Security"
        rule = "pod-security" if guarded else "shared-node"
        steps = [f"namespace {namespace} enforces {found}, not {wanted}"]
        if not guarded:
            steps.append(f"whoever may start pods in {namespace} may start a privileged one, and has its node")
            steps.append("nothing keeps pods of deployment away from that node: whoever writes a pod writes its tolerations")
        yield Breach(rule=rule, where=namespace, steps=tuple(steps))


def node_takers(question: Question) -> Iterator[Breach]:
    """No pod that is there already could take its node, whatever the namespace enforces now."""
    for pod in pods(question.env, question.sides.all):
        why = _takes(pod)
        if why:
            yield Breach(
                rule="shared-node", where=pod.ref, steps=(f"{pod.ref} {why}, and so can take its node with all pods on it",)
            )


def _takes(pod: Pod) -> str:
    spec = pod.spec
    if spec.host_pid or spec.host_ipc:
        return "sees the processes of its node"
    for one in spec.volumes:
        if "hostPath" in one:
            return "has a folder of its node"
    for container in spec.every_container:
        context = container.security_context
        if context is None:
            continue
        if context.privileged:
            return f"has a privileged container ({container.name})"
        added = {name.removeprefix("CAP_") for name in (context.capabilities.add if context.capabilities else ())}
        if added & _BAD:
            return f"has the capability {sorted(added & _BAD)[0]}"
    return ""
