"""Leave to enter: a base model or a dataset is admitted to training, and a model to production, once the evidence is in order.

    from pratique import gate, Policy
    admission = gate("models/base", policy=Policy.load("policy.yaml"))
    admission.artifact.root          # the verified private copy

Checks observe. Evidence binds. Policy judges. The gate acts.
"""

from __future__ import annotations

__version__ = "0.1.0"
