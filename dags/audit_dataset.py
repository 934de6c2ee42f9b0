"""A dataset that is looked at every day: drift, label noise and copies against the profile of approved data.

The check's evidence is signed and kept, whichever way it goes, and whoever watches the webhook hears at once of a denial.

Variables: `pratique_dataset` (a path or a URI), `pratique_profile` (as `pratique profile` wrote it), `pratique_webhook`.
"""

from __future__ import annotations

from airflow.sdk import dag  # noqa: TID253

from pratique.operators import BlockedGateNotifier, ValidateDatasetOperator


@dag(schedule="@daily", catchup=False, tags=["pratique"])
def audit_dataset() -> None:
    """One check, every day."""
    ValidateDatasetOperator(
        task_id="audit",
        artifact="{{ var.value.pratique_dataset }}",
        profile="{{ var.value.pratique_profile }}",
        on_failure_callback=BlockedGateNotifier(url="{{ var.value.pratique_webhook }}"),
    )


audit_dataset()
