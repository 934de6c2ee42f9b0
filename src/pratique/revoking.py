"""Write a revocation into a policy file, and leave everything else in it as it stands: comments, order, quotes.

    revoke(Path("policy.yaml"), {"digest": "sha256:..."}, reason="trojan, incident 17")

The file is written in one step, after the new text was read back as a policy that says the same as before and this revocation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from pratique import documents, files, policy_files
from pratique.errors import PolicyError, UsageError
from pratique.policies import Policy

KINDS = ("digest", "key", "certificate", "identity")
"""What an entry can name; each as under `revoked` in docs/policy.md."""


def revoke(path: Path, what: Mapping[str, str], *, reason: str) -> Policy:
    """Add one entry to `revoked`.

    Args:
        path: the policy.
        what: one of `KINDS` and its value; with `identity`, its `issuer`.
        reason: why, for whoever reads the policy.

    Returns:
        The policy as it is now; as it was, if that is revoked already.

    Raises:
        PolicyError: the policy is not in order, or would not be with this entry.
        UsageError: the file is a link, or cannot be written.
    """
    if path.is_symlink():
        hint = f"pass what it points to, {path.resolve()}; paths in the entry are relative to that"
        raise UsageError(f"{path} is a symbolic link, which would be replaced by a file", hint=hint)
    if not reason.strip():
        raise UsageError("a revocation needs a reason", hint="--reason 'trojan, incident 17'")
    with _turn(path):
        try:
            data = files.read(path, most=policy_files.MAX_BYTES, regular=True)
        except OSError as error:
            raise UsageError(f"cannot read the policy {path}: {error.strerror or error}") from error
        after, text = _edited(data, path, {**what, "reason": reason})
        try:
            files.replace(path, text, mode=path.stat().st_mode & 0o777)
        except OSError as error:
            raise UsageError(f"cannot write the policy {path}: {error.strerror or error}") from error
    return after


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Two revocations at once: one after the other, so that neither is lost."""
    try:
        with files.turn(path.with_name(f".{path.name}.lock"), seconds=60):
            yield
    except OSError as error:
        raise UsageError(f"cannot write beside the policy {path}: {error.strerror or error}") from error


def _edited(data: bytes, path: Path, what: Mapping[str, str]) -> tuple[Policy, bytes]:
    """The policy with the entry, read back from its new text; the old text if it is revoked already."""
    before = Policy.parse(data, file=str(path), base=path.absolute().parent)
    entry = "{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in what.items()) + "}"
    text = _with(data.decode("utf-8"), entry, str(path)).encode()
    after = Policy.parse(text, file=str(path), base=path.absolute().parent)
    if not set(after.revoked) - set(before.revoked):
        return before, data
    _ensure_only(before, after, data, text, str(path))
    return after, text


def _with(text: str, entry: str, file: str) -> str:
    """The text with one more item in its `revoked`, however that is written."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    pair = next((one for one in node.value if one[0].value == "revoked"), None) if isinstance(node, yaml.MappingNode) else None
    if pair is None or (isinstance(pair[1], yaml.ScalarNode) and not pair[1].value):
        if pair is not None:
            raise PolicyError(
                "`revoked` is empty", file=file, line=pair[0].start_mark.line + 1, hint="write [] or leave it out"
            )
        if not isinstance(node, yaml.MappingNode) or node.flow_style:
            raise PolicyError("a policy in one pair of braces is not edited", file=file, hint="write it a key a line")
        return text + ("" if text.endswith("\n") else "\n") + f"revoked:\n  - {entry}\n"
    listed = pair[1]
    if not isinstance(listed, yaml.SequenceNode):
        raise PolicyError("`revoked` is no list", file=file, line=pair[0].start_mark.line + 1)
    if listed.flow_style:
        at = listed.start_mark.index + 1  # behind the bracket: before the other one there may be a comma already
        return text[:at] + entry + (", " if listed.value else "") + text[at:]
    end = listed.value[-1].end_mark.index  # of a block it is where the next thing begins, of a flow where it ends itself
    at = _line_end(text, end) if _ends_a_line(text, end) else end
    head = text[:at].rstrip("\n")
    return (
        f"{head}\n{' ' * listed.start_mark.column}- {entry}{text[len(head) : at] or ('' if text[at:] else chr(10))}{text[at:]}"
    )


def _ends_a_line(text: str, index: int) -> bool:
    """Whether only blanks or a comment follow in the line."""
    rest = text[index : _line_end(text, index)].strip()
    return not rest or rest.startswith("#")


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


def _ensure_only(before: Policy, after: Policy, data: bytes, text: bytes, file: str) -> None:
    """Nothing but `revoked` is another than it was."""
    old, new = policy_files.read(data, file)[0], policy_files.read(text, file)[0]
    if old.model_copy(update={"revoked": []}) != new.model_copy(update={"revoked": []}) or not set(before.revoked) <= set(
        after.revoked
    ):
        raise PolicyError("adding to `revoked` would change something else", file=file, hint="edit it by hand")


def _quoted(value: str) -> str:
    """A YAML scalar that is the text and nothing else. JSON's strings are YAML's double-quoted ones."""
    return json.dumps(documents.line(value), ensure_ascii=False)
