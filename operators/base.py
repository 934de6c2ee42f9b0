"""What every operator here has in common: one mapping of errors, the run's name, and the pointer that a task leaves behind.

| what happened | what Airflow is told | retried |
|---|---|---|
| admitted, promoted | success | |
| denied; bad policy, key, path or evidence | AirflowFailException | no: asking again gives the same answer |
| store or artifact unreachable | AirflowException | if the task has `retries`; then it fails |
| anything else | AirflowException | likewise |

A gate never skips (a skipped gate lets tasks with other trigger rules run), and cannot be told to fail softly. With
`enforcement="audit"` a denial does not fail the task; it is signed, logged and told all the same, nothing is cleared, and a
promotion refuses. What could not be decided fails in either mode.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseOperator  # noqa: TID253  (an operator is a class of Airflow's)

try:
    from airflow.sdk.exceptions import AirflowException as AirflowException
    from airflow.sdk.exceptions import AirflowFailException as AirflowFailException
except ImportError:  # Airflow 3.1
    from airflow.exceptions import AirflowException, AirflowFailException  # type: ignore[attr-defined,no-redef]

from pratique.errors import Error, UsageError

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from pratique.signing import Signer

BASELINE = "baseline"
"""Stands for the policy that ships with the package, where an operator takes the path of a policy."""

CONNECTION, CONNECTED = "conn:", ("store", "key", "policy")
"""A parameter of these names may be that of an Airflow connection (`pratique.operators.connecting`)."""

ENFORCE, AUDIT = "enforce", "audit"

ITEMS = ("subject", "path", "clearance", "uri")
"""Items of the pointer that are XComs of their own, so that `gate.output["path"]` reads them.

Not Airflow's `multiple_outputs`: with that, an item that is missing is handed on as None. So it stops the task that wants it.
"""


TOLD = ("schema", "verdict", "enforcement", "subject", "kind", "policy", "clearance", "store", "uri", "channel", "sequence")
"""Items of the pointer that the event of an outlet carries, in its `extra["pratique"]`."""


class Outcome(NamedTuple):
    """What came of a task."""

    pointer: dict[str, Any]
    """Becomes the XCom."""

    denied: Error | None = None
    """Fails the task."""


class PratiqueOperator(BaseOperator):
    """Base of all operators. A subclass says what it does in `act`, and nothing about Airflow.

    Every task leaves a small dictionary as its XCom `return_value`, also when it fails:

        schema       pratique/1
        verdict      admitted, promoted, denied, or undecided: nothing could be decided, so nothing was admitted
        enforcement  `audit` if a denial was not to fail the task; only then
        subject      the artifact's digest
        path         the copy that was judged, or '' (`GateOperator`, `CheckOperator`)
        reasons      the first reasons against it
        remedy       the first thing to do about it
        ...          kind, policy, clearance, evidence, store; uri, channel, sequence

    It is a pointer for people and for the next task, never a proof: whoever may edit XComs can write anything into it. What
    counts is the signed evidence in the store, and `PromoteModelOperator` believes nothing else.
    """

    store: str | None
    _pointer: dict[str, Any] | None = None
    """What the task left, for OpenLineage."""

    ui_color = "#dff1ea"

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """Airflow's own, whose declared type has no items: `output["path"]`, `output["subject"]` ..."""

    def act(self, run_id: str) -> Outcome:
        """Do it.

        Args:
            run_id: names this run in the evidence: `<dag id>/<run id>`.

        Raises:
            Error: it was denied, or nothing could be decided.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it, leave a pointer, and fail the task unless all is well."""
        from pratique.operators import telling

        ti = context["ti"]
        try:
            for name in CONNECTED:
                if value := getattr(self, name, None):
                    setattr(self, name, connected(name, value))
            pointer, error = self.act(f"{ti.dag_id}/{ti.run_id}")
        except Error as raised:
            pointer, error = telling.of_error(raised, store=self.store or ""), raised
        except Exception as raised:  # not ours: whatever it is, even a skip, it is not an admission
            message = f"{type(raised).__name__}: {raised}"
            self._pointer = telling.of_error(Error(message), store=self.store or "")
            self._leave(ti, self._pointer)
            raise AirflowException(message) from raised
        self._pointer = pointer
        if error is not None:
            self._leave(ti, pointer)
            kind = AirflowException if error.retryable else AirflowFailException
            raise kind(telling.message(error)) from error
        if self.do_xcom_push:
            self._push_items(ti, pointer)
        self._tell_outlets(context, pointer)
        return pointer

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Called by Airflow's OpenLineage provider, if there is one."""
        from pratique.operators.tracing import lineage

        return lineage(getattr(self, "artifact", None), self._pointer or {})

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete

    def _leave(self, ti: Any, pointer: dict[str, Any]) -> None:
        """Push what Airflow would have pushed, had the task succeeded. Trouble here must not hide the real one."""
        if not self.do_xcom_push:
            return
        try:
            ti.xcom_push(key="return_value", value=pointer)
            self._push_items(ti, pointer)
        except Exception as error:
            self.log.warning("cannot push the XCom that says why: %s", error)

    def _tell_outlets(self, context: Context, pointer: dict[str, Any]) -> None:
        """Let the events of the outlets say what was decided: for DAGs that wait for them, and as little a proof as an XCom."""
        from airflow.sdk import Asset

        told = {name: pointer[name] for name in TOLD if pointer.get(name)}
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra["pratique"] = told

    def _push_items(self, ti: Any, pointer: dict[str, Any]) -> None:
        for key in ITEMS:
            if pointer.get(key):
                ti.xcom_push(key=key, value=pointer[key])


def given(name: str, value: str | XComArg | None) -> str:
    """A parameter that must not be empty once its template is rendered.

    An empty path is the current folder, and an empty policy must not become the baseline policy.

    Raises:
        UsageError: it is empty, or no string.
    """
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{name} is {value!r}", hint="did its template, or the XCom behind it, come out empty?")
    return value


def connected(name: str, value: Any) -> Any:
    """What a parameter means: itself, or what the Airflow connection in `conn:<id>` names.

    Raises:
        UsageError: there is no such connection, it is of another type, or it names nothing.
    """
    if not isinstance(value, str) or not value.startswith(CONNECTION):
        return value
    from pratique.operators.connecting import HOOKS

    return HOOKS[name](value.removeprefix(CONNECTION)).named


@contextmanager
def as_gate(key: str | None) -> Iterator[Signer]:
    """Sign with the given key; it is "this machine's own gate key" for as long as that lasts.

    Raises:
        UsageError: no such file, or not such a key. A mistyped path must not become a key that is made on first use.
    """
    from pratique import signing
    from pratique.signing.choosing import gate_signer

    if not key:
        yield gate_signer()
        return
    before = os.environ.get("PRATIQUE_KEY")
    signer = signing.KeySigner.load(Path(key).expanduser())
    os.environ["PRATIQUE_KEY"] = str(Path(key).expanduser())
    try:
        yield signer
    finally:
        if before is None:
            del os.environ["PRATIQUE_KEY"]
        else:
            os.environ["PRATIQUE_KEY"] = before
