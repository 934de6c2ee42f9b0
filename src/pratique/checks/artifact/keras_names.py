"""What the configuration of a Keras model may name: the classes and functions of Keras that hold no code and open no file.

The names are data, in `keras_names.yaml`: those of Keras 3.15, and a few of Keras 2. Not among them: Lambda and the layers
around other frameworks' models (TFSMLayer, TorchModuleWrapper, JaxLayer, FlaxLayer), which bring code along; everything in
`keras.utils` and `keras.saving`; operators that are given a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

_MODELS = frozenset({"Functional", "Model", "Sequential"})

_MODULES = {
    "keras": "policies", "keras.layers": "layers", "keras.initializers": "initializers", "keras.regularizers": "regularizers",
    "keras.constraints": "constraints", "keras.optimizers": "optimizers", "keras.optimizers.schedules": "schedules",
    "keras.losses": "losses", "keras.metrics": "metrics", "keras.dtype_policies": "policies",
}  # fmt: skip
"""Modules, and the list of what they have."""

_OF_MODELS = frozenset({"keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"})

_OPERATORS = re.compile(r"keras\.src\.ops\.(numpy|nn|math|image|linalg)")
"""Modules that hold classes of operators on arrays, and nothing else under a name with a capital."""

_CAPITAL = re.compile(r"[A-Z][A-Za-z0-9]{0,60}")

_OF_CORE = frozenset({
    "Cast", "ConvertToTensor", "SaturateCast", "Scatter", "ScatterUpdate", "Slice", "SliceUpdate", "StopGradient", "Unstack",
})  # fmt: skip
"""Of `keras.src.ops.core`; absent are the operators that are given a function."""

_HOMES = frozenset({
    "", "builtins", "keras.activations", "keras.losses", "keras.metrics", "keras.initializers", "keras.regularizers",
})  # fmt: skip
"""Modules in which Keras looks for functions. `builtins` stands for its own, too."""


def is_class(module: str, name: str) -> bool:
    """Whether a class is one of Keras' own that is but data; '' is a module that is not given, as in .h5."""
    if not module:
        return name in _MODELS or any(name in names for kind, names in _names().items() if kind != "functions")
    if module == "keras.src.ops.core":
        return name in _OF_CORE
    return (
        (module in _OF_MODELS and name in _MODELS)
        or (module in _MODULES and name in _names()[_MODULES[module]])
        or bool(_OPERATORS.fullmatch(module) and _CAPITAL.fullmatch(name))
    )


def is_function(module: str, name: str) -> bool:
    """Whether a function is one of Keras' own for arrays."""
    return module in _HOMES and name in _names()["functions"]


@cache
def _names() -> Mapping[str, frozenset[str]]:
    text = resources.files("pratique.checks.artifact").joinpath("keras_names.yaml").read_text(encoding="utf-8")
    return {kind: frozenset(names.split()) for kind, names in yaml.safe_load(text).items()}
