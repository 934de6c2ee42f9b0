"""What Airflow's provider manager wants to know about this package.

Airflow calls this while its own configuration is half read, in every process that it starts. So this module lies outside of
`pratique.operators`, and imports nothing: an import of Airflow from here would be circular.
"""

from __future__ import annotations

from typing import Any

from pratique import __version__

INTEGRATION = "Pratique"
OPERATORS = ("gates", "promoting", "checks")


def get_provider_info() -> dict[str, Any]:
    """The provider's description, in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "pratique",
        "name": INTEGRATION,
        "description": "Admits models and datasets to training, and models to production, once signed evidence is in order.",
        "versions": [__version__],
        "integrations": [{"integration-name": INTEGRATION, "tags": ["software"]}],
        "operators": [{"integration-name": INTEGRATION, "python-modules": [f"pratique.operators.{one}" for one in OPERATORS]}],
        "sensors": [{"integration-name": INTEGRATION, "python-modules": ["pratique.operators.waiting"]}],
        "triggers": [{"integration-name": INTEGRATION, "python-modules": ["pratique.operators.triggers"]}],
        "notifications": ["pratique.operators.notifying.BlockedGateNotifier"],
        "task-decorators": [{"name": "pratique_gate", "class-name": "pratique.operators.decorating.gate_task"}],
    }
