"""`@task.pratique_gate`: a gate whose artifact is what a function of yours returns.

@task.pratique_gate(policy="/etc/pratique/base.yaml")
def admit(release: str) -> str:
    return f"s3://models/{release}"

train(admit("2026-01")["path"])   # the copy that was judged
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory  # noqa: TID253

from pratique.operators.base import Outcome
from pratique.operators.gates import GateOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator


class DecoratedGateOperator(DecoratedOperator, GateOperator):
    """A `GateOperator` that asks a function for the artifact. Whatever the function raises, even a skip, is no admission."""

    custom_operator_name = "@task.pratique_gate"
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *GateOperator.template_fields)

    def __init__(self, *, python_callable: Callable[..., str], **kwargs: Any) -> None:
        """As `GateOperator`, with a function in the place of `artifact`.

        Args:
            python_callable: returns a local path or any fsspec URI.
            kwargs: the gate's own parameters, and Airflow's.
        """
        super().__init__(python_callable=python_callable, kwargs_to_upstream={"artifact": ""}, **kwargs)
        self._ask: Callable[[], str] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the function, then pass the gate."""

        def ask() -> str:
            artifact: str = self.python_callable(*self.op_args, **self._wanted(context))
            return artifact

        self._ask = ask
        return GateOperator.execute(self, context)

    def act(self, run_id: str) -> Outcome:
        """Within the boundary of errors, as everything that a gate does."""
        assert self._ask is not None, "execute() sets it"
        self.artifact = self._ask()
        return super().act(run_id)

    def _wanted(self, context: Context) -> dict[str, Any]:
        """What was passed by name, and what the function wants of Airflow's context: `params`, `ti` ..."""
        return dict(self.determine_kwargs({**context, **self.op_kwargs}))


def gate_task(python_callable: Callable[..., str] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a gate of a function that returns an artifact's path or URI; `@task.pratique_gate` in a DAG file.

    Args:
        python_callable: the function.
        kwargs: parameters of `GateOperator` and of Airflow's, but for `artifact`.
    """
    return task_decorator_factory(
        python_callable=python_callable, multiple_outputs=False, decorated_operator_class=DecoratedGateOperator, **kwargs
    )
