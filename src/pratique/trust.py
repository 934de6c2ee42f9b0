"""Whose signature counts: the type of every option that asks for public keys.

    class ProvenanceOptions(Options):
        signers: Signers

    signers: [supplier]              # a name under the policy's `trust`
    signers: [keys/supplier.pub]     # or the file of a public key, relative to the policy

Either way the option holds `TrustedKey`s. It is written down (and enters the options' digest) as the sorted fingerprints of the
keys: renaming a key or moving its file asks the same question, replacing the key asks another.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from pratique import signing
from pratique.checking import Setting
from pratique.errors import UsageError
from pratique.signing import Trusted, TrustedKey


class _Keys:
    """Tells pydantic how names become keys, and keys fingerprints."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _resolve, serialization=core_schema.plain_serializer_function_ser_schema(fingerprints)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}


Signers = Annotated[tuple[Trusted, ...], _Keys()]
"""Public keys in a check's options; never empty, each key once."""


def fingerprints(keys: Sequence[Trusted]) -> list[str]:
    """What names the keys whatever they are called, sorted."""
    return sorted({key.fingerprint for key in keys})


def find(name: str, setting: Setting) -> Trusted:
    """The key that a policy calls by this name, or else the key in the file of this name.

    Raises:
        ValueError: neither is there, with the nearest spelling; or the file holds no public key.
    """
    trust: Mapping[str, Trusted] = setting.trust
    if name in trust:
        return trust[name]
    path = setting.base.joinpath(name).expanduser()
    if not path.is_file():
        near = difflib.get_close_matches(name, trust, n=1)
        known = ", ".join(sorted(trust)) or "nobody"
        raise ValueError(
            f"{name!r} is neither listed under `trust` ({known}) nor the file of a public key"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    try:
        return TrustedKey.load(path.stem, path)
    except UsageError as error:
        raise ValueError(error.diagnostics().replace("\nHint: ", "; ")) from error


def _resolve(value: Any, info: ValidationInfo) -> tuple[Trusted, ...]:
    setting = info.context if isinstance(info.context, Setting) else Setting()
    written = [value] if isinstance(value, (str, signing.KINDS)) else value
    if not isinstance(written, (list, tuple)) or not written:
        raise ValueError("list at least one signer: a signature by nobody in particular proves nothing")
    keys = [_one(item, setting) for item in written]
    return tuple({key.fingerprint: key for key in keys}.values())


def _one(item: Any, setting: Setting) -> Trusted:
    if isinstance(item, signing.KINDS):
        return item
    if not isinstance(item, str) or not item:
        raise ValueError(f"{item!r} is neither the name nor the file of a public key")
    return find(item, setting)
