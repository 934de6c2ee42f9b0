"""What Airflow's provider manager wants to know about this package.

Airflow calls this while its own configuration is half read, in every process that it starts. So this module lies outside of
`pratique.operators`, and imports nothing: an import of Airflow from here would be circular.
"""

from __future__ import annotations

from typing import Any

from pratique import __version__

INTEGRATION = "Pratique"
CONNECTIONS = (
    ("pratique_store", "Pratique evidence store", "StoreHook"),
    ("pratique_signer", "Pratique signer", "SignerHook"),
    ("pratique_trust", "Pratique policy", "TrustHook"),
)
OPERATORS = ("gates", "promoting", "auditing", "checks", "decorating")


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
        "config": {"pratique": {"description": "Guard-rails, all off until they are turned on.", "options": _options()}},
        "notifications": ["pratique.operators.notifying.BlockedGateNotifier"],
        "hooks": [{"integration-name": INTEGRATION, "python-modules": ["pratique.operators.connecting"]}],
        "connection-types": [
            {"connection-type": kind, "hook-name": name, "hook-class-name": f"pratique.operators.connecting.{hook}"}
            for kind, name, hook in CONNECTIONS
        ],
        "task-decorators": [{"name": "pratique_gate", "class-name": "pratique.operators.decorating.gate_task"}],
    }


def _options() -> dict[str, Any]:
    def option(kind: str, default: str, description: str, example: str | None = None) -> dict[str, Any]:
        return {"type": kind, "default": default, "description": description, "version_added": None, "example": example}

    return {
        "require_gates": option("boolean", "False", "Refuse DAGs in which something is promoted without a gate before it."),
        "production_assets": option(
            "string", "", "Names or URIs of assets that only guarded tasks may make; with commas, * and ?.", "s3://models/*"
        ),
        "promotion_operators": option("string", "", "Other classes of operators that promote; with commas.", "acme.Deploy"),
        "gate_operators": option("string", "", "Names of your own subclasses of gates; with commas.", "AcmeGateOperator"),
        "protect_gates": option("boolean", "False", "Let the API refuse edits of the state and the XComs of gates."),
        "record_overrides": option("boolean", "False", "Sign and store that the state of a gate was set by hand."),
        "evidence_page": option("boolean", "False", "Show the signed evidence in the pages of a run and of a task."),
        "evidence_policy": option(
            "string", "", "Path of a policy file, on the API server: whom the page believes.", "/etc/pratique/release.yaml"
        ),
        "evidence_store": option("string", "", "Store that the page reads. Default: PRATIQUE_STORE.", "s3://evidence"),
        "override_key": option("string", "", "Path of the private key that signs it, on the API server.", "/keys/api.key"),
        "override_store": option("string", "", "Store of that evidence. Default: PRATIQUE_STORE.", "s3://evidence"),
    }  # fmt: skip
