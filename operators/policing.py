"""A cluster policy: no DAG in which something is promoted without a gate before it. `[pratique] require_gates = True`.

A task promotes if it is a `PromoteModelOperator`, if its class is listed in `promotion_operators`, or if one of its outlets is
an asset whose name or URI fits one of `production_assets` (such as `s3://models/*`). For each such task, in the order of the
code:

1. It must run only if everything before it succeeded: its trigger rule is `all_success`. Every other rule lets it run after a
   gate that failed or was skipped, in one combination or another.
2. One of the tasks before it must be a gate that stops (`GateOperator`, not under `enforcement="audit"`, nor under one that
   only a template knows), or a task for which 1 and 2 hold in turn.

A `PromoteModelOperator` with `same_run=False` needs no gate in its own DAG: it leans on what another DAG has judged. What comes
after a promotion is guarded by it. Whether the gate judged what is promoted cannot be seen here; the promotion sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow.policies import hookimpl  # noqa: TID253

from pratique.operators import guarding

if TYPE_CHECKING:
    from airflow.sdk import DAG

SAFE = "all_success"


@hookimpl
def dag_policy(dag: DAG) -> None:
    """Refuse a DAG file with an unguarded promotion; Airflow shows why among the import errors.

    Raises:
        AirflowClusterPolicyViolation: which tasks, and why.
    """
    if not guarding.switched_on("require_gates"):
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    found = list(violations(dag))
    if found:
        raise AirflowClusterPolicyViolation(f"DAG {dag.dag_id!r}: {'; '.join(found)}")


def violations(dag: DAG) -> Iterator[str]:
    """A sentence for each task that promotes and is not guarded."""
    assets, classes = guarding.listed("production_assets"), guarding.listed("promotion_operators")
    known: dict[str, bool] = {}
    for task in dag.tasks:
        why = _promotes(task, assets, classes)
        if why and not _guarded(task, known):
            rule = _rule(task)
            if rule != SAFE:
                yield f"task {task.task_id!r} {why}, but runs under the trigger rule {rule}; only {SAFE} waits for its gate"
            else:
                yield f"task {task.task_id!r} {why}, but no gate that stops stands before it in a chain of {SAFE}"


def _promotes(task: Any, assets: tuple[str, ...], classes: tuple[str, ...]) -> str:
    """How a task puts something into production; '' if it does not."""
    from pratique.operators import PromoteModelOperator

    kind = _class(task)
    if issubclass(kind, PromoteModelOperator):
        return "" if _given(task, "same_run", True) is False else "promotes a model"
    if {kind.__name__, f"{kind.__module__}.{kind.__qualname__}"} & set(classes):
        return f"is a {kind.__name__}"
    for outlet in task.outlets or ():
        names = [str(getattr(outlet, one, "") or "") for one in ("uri", "name")]
        if any(fnmatchcase(name, pattern) for name in names if name for pattern in assets):
            return f"says that it makes {names[0] or names[1]}"
    return ""


def _guarded(task: Any, known: dict[str, bool]) -> bool:
    """Whether a task runs only after a gate has let something through. (An Airflow DAG has no circles.)"""
    if task.task_id not in known:
        known[task.task_id] = _rule(task) == SAFE and any(  # 1
            _stops(one) or _guarded(one, known)  # 2
            for one in task.upstream_list
            if not getattr(one, "is_teardown", False)  # Airflow does not wait for a teardown's success
        )
    return known[task.task_id]


def _stops(task: Any) -> bool:
    """Whether a task fails if something is denied."""
    from pratique.operators import GateOperator, PromoteModelOperator
    from pratique.operators.base import ENFORCE

    kind = _class(task)
    return issubclass(kind, PromoteModelOperator) or (
        issubclass(kind, GateOperator) and _given(task, "enforcement", ENFORCE) == ENFORCE
    )


def _class(task: Any) -> type:
    kind: type = task.operator_class if task.is_mapped else type(task)
    return kind


def _given(task: Any, name: str, default: object) -> object:
    """A parameter of a task; of a mapped one None if it differs, or may differ, from one to the next."""
    if not task.is_mapped:
        return getattr(task, name, default)
    expanded = getattr(task.expand_input, "value", None)
    if not isinstance(expanded, dict) or name in expanded:
        return None
    return task.partial_kwargs.get(name, default)


def _rule(task: Any) -> str:
    return str(getattr(task.trigger_rule, "value", task.trigger_rule))
