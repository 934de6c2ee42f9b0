"""Kubeflow answers from its cache by default, and its key knows names and parameters, not content: a step that admits or
refuses must never be answered from there."""

from __future__ import annotations

from typing import Any


def uncached(*tasks: Any) -> Any:
    """Switch the cache off for these tasks (`kfp.dsl.PipelineTask`), in the compiled pipeline itself.

    `Client(enable_caching=False)` reaches only the outermost tasks, and `enable_caching=True` overrules what is said
    here for them; so every component also takes a `run_id`, which no two runs share.

    Returns:
        The first task, so that a call can stand around one: `scan = uncached(scan_artifact(...))`.
    """
    for task in tasks:
        task.set_caching_options(False)
    return tasks[0]
