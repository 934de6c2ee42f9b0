"""Tell people at once when a gate or a promotion stops something: POST a small JSON document to a webhook.

GateOperator(..., on_failure_callback=BlockedGateNotifier(url="{{ var.value.security_webhook }}"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier  # noqa: TID253

if TYPE_CHECKING:
    from airflow.sdk import Context

SECONDS = 10.0
"""How long a webhook may take to answer."""


class BlockedGateNotifier(BaseNotifier):
    """For `on_failure_callback` of a task, or of a whole DAG: tells of this package's tasks, and of no others.

    The document has the key `text`, which chat services show (Slack, Mattermost, Rocket.Chat), and the pointer that the task
    left: `dag_id`, `run_id`, `task_id`, `verdict`, `subject`, `reasons`, `remedy`. Airflow logs it if a notice cannot be sent.
    """

    template_fields: Sequence[str] = ("url", "headers")

    def __init__(self, *, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Both parameters are templated.

        Args:
            url: an http(s) URL. It is a secret with most services: keep it in a Variable or a secrets backend.
            headers: to send with it, such as `{"Authorization": "Bearer {{ var.value.token }}"}`.
        """
        super().__init__()
        self.url = url
        self.headers = dict(headers or {})

    def notify(self, context: Context) -> None:
        """Send it.

        Raises:
            UsageError: that is no http(s) URL.
            ServiceError: it was not taken; the URL is not told, as it is a secret.
        """
        import json
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        from pratique.errors import ServiceError, UsageError

        said = self.notice(context)
        if said is None:
            return
        if not self.url.startswith(("https://", "http://")):
            raise UsageError("the webhook's URL does not start with https://", hint="did its template come out empty?")
        headers = {**self.headers, "Content-Type": "application/json"}
        try:
            with urlopen(Request(self.url, json.dumps(said).encode(), headers, method="POST"), timeout=SECONDS):
                pass
        except HTTPError as error:
            raise ServiceError(f"the webhook answered {error.code}") from None
        except OSError as error:
            raise ServiceError(f"the webhook cannot be reached: {type(error).__name__}") from None

    def notice(self, context: Context) -> dict[str, Any] | None:
        """What is sent; None for a task that is none of ours."""
        from pratique.operators.base import PratiqueOperator

        ti = context["ti"]
        if not isinstance(context.get("task", getattr(ti, "task", None)), PratiqueOperator):
            return None
        pulled = ti.xcom_pull(task_ids=ti.task_id, key="return_value", map_indexes=ti.map_index)
        pointer = pulled if isinstance(pulled, dict) else {}
        told = {name: pointer[name] for name in ("verdict", "subject", "reasons", "remedy") if pointer.get(name)}
        reasons = [str(one) for one in told.get("reasons", [])]
        head = f"{ti.dag_id}.{ti.task_id}: {told.get('verdict', 'failed')} {told.get('subject', '')[:19]}".rstrip()
        remedy = [f"Remedy: {told['remedy']}"] if "remedy" in told else []
        where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id}
        return {"text": "\n".join([head, *reasons, *remedy]), **where, **told}
