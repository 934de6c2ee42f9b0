"""What Kubeflow's SDK can set on a step, set in one call: `harden(gate(...), role="gate")`.

It needs kfp-kubernetes (`pip install 'pratique[kfp]'`). What the SDK cannot set (a service account for one task, a read-only
root file system, seccomp, network policies) is the namespace's to set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROLES = ("gate", "promotion", "check", "training", "audit")
"""What a step is for; it becomes the pod's label `pratique.dev/role`, for network policies. Authors can forge it."""

USER = 10001
"""As in the image of the catalogue."""


def harden(
    task: Any,
    *,
    role: str,
    secrets: Mapping[str, str] | None = None,
    config_maps: Mapping[str, str] | None = None,
    seconds: int = 3600,
    cpu: str = "2",
    memory: str = "4G",
    scratch: str = "20Gi",
) -> Any:
    """Take from a step what it does not need.

    A user that is not root, a time limit, limits of CPU and memory, a scratch volume for the copy that it makes, secrets and
    policies as files that must be there, the image pulled anew (a node's old copy of a tag decides nothing), and the cache off.

    Args:
        task: the step (`kfp.dsl.PipelineTask`).
        role: one of `ROLES`.
        secrets: where to mount which secret: `{"gate-key": "/keys"}`. A missing one keeps the pod from starting.
        config_maps: the same for config maps: `{"policies": "/etc/pratique"}`.
        seconds: how long it may take.
        cpu, memory: limits, as Kubernetes writes them.
        scratch: size of the volume at /tmp; a gate needs room for the artifact twice.

    Returns:
        The task.

    Raises:
        UsageError: there is no such role.
    """
    from kfp import kubernetes

    from pratique.errors import UsageError

    if role not in ROLES:
        raise UsageError(f"{role!r} is no role of a step", hint=f"one of: {', '.join(ROLES)}")
    task.set_caching_options(False)
    task.set_cpu_limit(cpu).set_memory_limit(memory).set_env_variable("HOME", "/tmp")
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.set_timeout(task, seconds)
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.add_pod_label(task, "pratique.dev/role", role)
    kubernetes.empty_dir_mount(task, volume_name="scratch", mount_path="/tmp", size_limit=scratch)
    for name, path in (secrets or {}).items():
        kubernetes.use_secret_as_volume(task, secret_name=name, mount_path=path, optional=False)
    for name, path in (config_maps or {}).items():
        kubernetes.use_config_map_as_volume(task, config_map_name=name, mount_path=path, optional=False)
    return task
