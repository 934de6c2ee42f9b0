"""Whose signature counts: the type of every option that asks for signers.

    class ProvenanceOptions(Options):
        signers: Signers

    signers: [supplier]              # a name under the policy's `trust`
    signers: [keys/supplier.pub]     # or the file of a public key, relative to the policy
    signers: [{github: acme/models, root: trusted_root.json}]       # or an entry as it would stand under `trust`

Each way the option holds what is trusted (`signing.Trusted`). It is written down (and enters the options' digest) as the sorted
fingerprints: renaming a key or moving its file asks the same question, replacing it asks another. What the policy has revoked
follows, as `not:<mark>`: a revocation makes every question about signers another one, which no evidence from before answers.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from pratique import signing
from pratique.checking import Setting
from pratique.errors import UsageError
from pratique.signing import Trusted, TrustedKey, entries


class _Signers:
    """Tells pydantic how names become somebody trusted, and those fingerprints."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _resolve, serialization=core_schema.plain_serializer_function_ser_schema(fingerprints)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        entry = {"type": "object", "description": "An entry as under `trust`."}
        return {"type": "array", "items": {"anyOf": [{"type": "string", "minLength": 1}, entry]}, "minItems": 1}


Signers = Annotated[tuple[Trusted, ...], _Signers()]
"""Whoever is trusted by a check's options; never empty, each once."""


def fingerprints(signers: Sequence[Trusted]) -> list[str]:
    """What names them whatever they are called, sorted; then what is revoked."""
    revoked = {f"not:{mark}" for one in signers for mark in one.revoked}
    return [*sorted({one.fingerprint for one in signers}), *sorted(revoked)]


def revoked(signers: Sequence[Trusted]) -> frozenset[str]:
    """Everything that the policy behind them has revoked."""
    return frozenset(mark for one in signers for mark in one.revoked)


def find(name: str, setting: Setting) -> Trusted:
    """Whom a policy calls by this name, or else the key in the file of this name.

    Raises:
        ValueError: neither is there, with the nearest spelling; or the file holds no public key.
    """
    trust: Mapping[str, Trusted] = setting.trust
    if name in trust:
        return trust[name]
    path = _place(setting.base, name)
    if path is None:
        near = difflib.get_close_matches(name, trust, n=1)
        known = ", ".join(sorted(trust)) or "nobody"
        raise ValueError(
            f"{name!r} is neither listed under `trust` ({known}) nor the file of a public key"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    try:
        return TrustedKey.load(path.stem, path).renamed(path.stem, setting.revoked)
    except UsageError as error:
        raise ValueError(error.diagnostics().replace("\nHint: ", "; ")) from error


def _place(base: Path, name: str) -> Path | None:
    try:
        path = base.joinpath(name).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):  # a name too long for one, a folder that is closed to us, the home of nobody
        return None


def from_text(text: str, base: Path) -> Trusted:
    """Somebody trusted as a command line names them: the file of a public key, or an entry such as `{key: FILE}` in YAML.

    Raises:
        UsageError: neither.
    """
    if not text.lstrip().startswith("{"):
        path = base / Path(text).expanduser()
        return TrustedKey.load(path.stem, path)
    import yaml

    try:
        written = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{text!r} is neither a file nor an entry in YAML") from error
    return entries.read(written, _name_of(written), base)


def _name_of(written: Mapping[str, Any]) -> str:
    """What to call an entry without a name: what it names."""
    kind = entries.kind_of(written)
    return Path(str(written[kind])).stem if kind in ("key", "certificate") else str(written.get(kind or "", "signer"))


def _resolve(value: Any, info: ValidationInfo) -> tuple[Trusted, ...]:
    setting = info.context if isinstance(info.context, Setting) else Setting()
    written = [value] if isinstance(value, (str, Mapping, *signing.KINDS)) else value
    if not isinstance(written, (list, tuple)) or not written:
        raise ValueError("list at least one signer: a signature by nobody in particular proves nothing")
    found = [_one(item, setting) for item in written]
    gone = revoked(found)  # whoever is listed twice, once without the policy that revoked something, is none the better for it
    return tuple({one.fingerprint: one.renamed(one.name, gone) for one in found}.values())


def _one(item: Any, setting: Setting) -> Trusted:
    if isinstance(item, signing.KINDS):
        return item
    if isinstance(item, Mapping):
        try:
            return entries.read(item, _name_of(item), setting.base).renamed(_name_of(item), setting.revoked)
        except UsageError as error:
            raise ValueError(error.diagnostics().replace("\nHint: ", "; ")) from error
    if not isinstance(item, str) or not item:
        raise ValueError(f"{item!r} is neither the name nor the file of a public key, nor an entry as under `trust`")
    return find(item, setting)
