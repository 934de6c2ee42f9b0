"""Names of globals: what a loader makes of what a stream spells, and what people call it."""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # the tables that the loader itself uses, in C as in Python

from pratique.checks.artifact.viewing import shown

_PLAINER = {"posix": "os", "nt": "os", "__builtin__": "builtins", "copy_reg": "copyreg", "_pickle": "pickle"}
"""Modules which people know by another name."""

_PYTHONS = frozenset(sys.stdlib_module_names) | {"posix", "nt", "_winapi", "pip", "setuptools", "pkg_resources", "__main__"}


def translated(module: str, name: str) -> tuple[str, str]:
    """What a loader of protocol 2 or older looks for: names of Python 2 become those of Python 3 (`fix_imports`)."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def plain(module: str, name: str) -> str:
    """A global as people know it: os.system, where the pickle says posix.system."""
    return shown(f"{_PLAINER.get(module, module)}.{name}")


def is_alias(module: str) -> bool:
    """Whether people know the module by another name."""
    return module in _PLAINER


def is_proper(module: str, name: str) -> bool:
    """Whether it names something at the top of a module, and nothing private to Python."""
    parts = [*module.split("."), name]
    return all(part.isidentifier() and part.isascii() for part in parts) and not any(_dunder(part) for part in parts)


def could_be(module: str, name: str) -> bool:
    """Whether it could name anything at all, or is not known before loading."""
    return all(part.isidentifier() for part in f"{module}.{name}".split(".")) or module.startswith("(")


def is_pythons(module: str) -> bool:
    """Whether the module comes with Python or installs packages: no policy line opens a door there."""
    return module.split(".")[0] in _PYTHONS


def _dunder(part: str) -> bool:
    return part.startswith("__") and part.endswith("__")
