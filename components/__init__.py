"""The gates of Pratique as Kubeflow Pipelines components (Kubeflow Pipelines 2, `pip install 'pratique[kfp]'`).

    from pratique.components import gate, promote_model, uncached

Each lives in a folder of its own, beside its compiled `component.yaml` and a README. `transfer_learning` chains them.

Written by tools/components.py.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pratique.components.audit.component import audit as audit
    from pratique.components.caching import uncached as uncached
    from pratique.components.gate.component import gate as gate
    from pratique.components.hardening import harden as harden
    from pratique.components.image import IMAGE as IMAGE
    from pratique.components.promote_model.component import promote_model as promote_model
    from pratique.components.scan_artifact.component import scan_artifact as scan_artifact
    from pratique.components.scheduling import schedule_audit as schedule_audit
    from pratique.components.transfer_learning import transfer_learning as transfer_learning
    from pratique.components.validate_dataset.component import validate_dataset as validate_dataset
    from pratique.components.verify_isolation.component import verify_isolation as verify_isolation
    from pratique.components.verify_lineage.component import verify_lineage as verify_lineage
    from pratique.components.verify_provenance.component import verify_provenance as verify_provenance

# kfp takes seconds to import, so nothing is loaded before it is used (PEP 562).
_HOME = {
    "IMAGE": "image",
    "audit": "audit.component",
    "gate": "gate.component",
    "harden": "hardening",
    "promote_model": "promote_model.component",
    "scan_artifact": "scan_artifact.component",
    "schedule_audit": "scheduling",
    "transfer_learning": "transfer_learning",
    "uncached": "caching",
    "validate_dataset": "validate_dataset.component",
    "verify_isolation": "verify_isolation.component",
    "verify_lineage": "verify_lineage.component",
    "verify_provenance": "verify_provenance.component",
}

__all__ = [
    "IMAGE",
    "audit",
    "gate",
    "harden",
    "promote_model",
    "scan_artifact",
    "schedule_audit",
    "transfer_learning",
    "uncached",
    "validate_dataset",
    "verify_isolation",
    "verify_lineage",
    "verify_provenance",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


class _Catalogue(ModuleType):
    """Python binds an imported sub-module to its package, where `gate` must stay the component and not become its folder."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Catalogue
