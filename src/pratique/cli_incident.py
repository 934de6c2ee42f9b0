"""The commands for what is in production: `audit` looks again, `trace` says what descends from what, `revoke` takes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pratique import ending, errors, files
from pratique.cli_trust import GIVEN, PATH, signs, trusts, with_format
from pratique.watching import count


@click.command()
@click.argument("subject", type=GIVEN)
@trusts
@click.option("--store", type=GIVEN, help="URI of the evidence store. [default: PRATIQUE_STORE]")
@click.option("--svg", type=PATH, help="Write a picture here, too.")
@with_format
def trace(subject: str, trusted: list[Any], store: str | None, svg: Path | None, form: str) -> None:
    """Say what SUBJECT, an artifact or its digest, was made of, and which models descend from it and are in production."""
    from pratique import family_trees, tracing
    from pratique.artifacts import open_artifact
    from pratique.store import Store

    digest = subject if subject.startswith("sha256:") else open_artifact(subject).subject.digest
    with count("statements") as each:
        everything = tracing.chart(Store(store or ""), trusted, each)
    found = tracing.trace(everything, digest)
    if svg is not None:
        try:
            files.replace(svg, family_trees.as_svg(found).encode())
        except OSError as error:
            raise errors.UsageError(f"cannot write {svg}: {error.strerror or error}") from error
    ending.tell(form, _data(found), "\n".join(_lines(found)))


def _data(found: Any) -> dict[str, Any]:
    return {
        "subject": found.digest, "name": found.name, "promoted": [_place(one) for one in found.places],
        "upstream": [_step(one) for one in found.upstream], "downstream": [_step(one) for one in found.downstream],
        "affected": [one.digest for one in found.affected], "refused": list(found.refused),
    }  # fmt: skip


def _step(one: Any) -> dict[str, Any]:
    links = [
        {"material": it.material, "product": it.product, "role": it.role, "by": it.by, "at": it.at.isoformat()}
        for it in one.through
    ]
    return {
        "digest": one.digest, "name": one.name, "distance": one.distance, "promoted": [_place(it) for it in one.places],
        "through": links,
    }  # fmt: skip


def _place(one: Any) -> dict[str, Any]:
    return {
        "uri": one.uri, "channel": one.channel, "sequence": one.sequence, "until": one.until.isoformat(), "latest": one.latest,
    }  # fmt: skip


def _lines(found: Any) -> Iterator[str]:
    yield f"{found.name} ({found.digest})"
    yield from (f"  {_promoted(one)}" for one in found.places)
    for title, steps in (("made of", found.upstream), ("went into", found.downstream)):
        yield f"{title}:" if steps else f"{title}: nothing that anybody trusted has recorded"
        for one in steps:
            roles = ", ".join(dict.fromkeys(link.role for link in one.through))
            yield f"{'  ' * one.distance}{one.name} ({one.digest}), as {roles}"
            yield from (f"{'  ' * one.distance}  {_promoted(it)}" for it in one.places)
    live = [one for one in found.affected if any(it.latest for it in one.places)]
    yield (
        f"{len(found.downstream):,} descend from it; {len(found.affected):,} of them were promoted, "
        f"{len(live):,} are the latest of their channel"
    )
    if found.refused:
        yield f"{len(found.refused):,} statements in the store are by nobody who is trusted here, and were left out"


def _promoted(one: Any) -> str:
    word = "the latest of" if one.latest else "was in"
    return f"promoted: {word} channel {one.channel}, number {one.sequence}, until {one.until.isoformat()[:16]}Z, at {one.uri}"


@click.command()
@click.argument("destination", type=GIVEN)
@click.option("--policy", type=GIVEN, required=True, help="What must hold now.")
@trusts
@click.option("--channel", "only", type=GIVEN, multiple=True, help="Look at this one (repeatable). [default: all]")
@click.option("--store", type=GIVEN, help="URI of the evidence store. [default: PRATIQUE_STORE]")
@signs("no check runs again")
@click.option("--renew", type=PATH, help="The promoter's private key: give what is admitted a later date.")
@click.option("--known-as", type=GIVEN, help="The destination's name in `promote`, if it differs from DESTINATION.")
@click.option("--fast", is_flag=True, help="Read only files that seem new or changed since the last --fast (local disks).")
@click.option("--report", type=PATH, help="Write an HTML page here.")
@click.option("--previous", type=PATH, help="The JSON of an earlier audit: say what is another now.")
@with_format
def audit(
    destination: str,
    policy: str,
    trusted: list[Any],
    only: tuple[str, ...],
    store: str | None,
    named: Any,
    renew: Path | None,
    known_as: str | None,
    fast: bool,
    report: Path | None,
    previous: Path | None,
    form: str,
) -> None:
    """Look again at everything in production, as a promotion would today; exit 1 unless it is as it should be.

    With --key (or another signer) of a gate, checks whose evidence is missing or too old run again.
    """
    import functools
    from datetime import datetime, timezone

    from pratique import audit_pages, auditing, reports, sources
    from pratique.policies import Policy
    from pratique.recalling import recall
    from pratique.remembering import Memory
    from pratique.signing import KeySigner
    from pratique.store import Store

    if fast and sources.local(destination) is None:
        raise errors.UsageError("--fast goes with a local folder", hint="leave it out: a remote file has no inode to go by")
    before = _earlier(previous, destination) if previous else None
    now = datetime.now(timezone.utc)
    with ExitStack() as held:
        each = held.enter_context(count("channels"))
        memory = held.enter_context(Memory()) if fast else None
        found = auditing.audit(
            destination, policy=Policy.load(policy), store=Store(store or ""), trusted=trusted, only=only,
            known_as=known_as or "", previous=before, gate=named.choose(), promoter=KeySigner.load(renew) if renew else None,
            recall=functools.partial(recall, memory) if memory else None, each=lambda one: each(),
        )  # fmt: skip
    data = auditing.as_json(destination, found, now=now)
    if before is not None:
        data["changes"] = auditing.changes(before, found)
    if report is not None:
        reports.write(report, audit_pages.as_page(destination, found, now=now, changes=data.get("changes", ())))
    ending.tell(form, data, "\n".join(_audited(data)))
    if not data["sound"]:
        raise ending.Ended(1)


def _earlier(path: Path, destination: str) -> dict[str, Any]:
    from pratique import documents, sources

    try:
        value = documents.parse(files.read(path, most=documents.MAX_BYTES, regular=True), what=str(path))
    except OSError as error:
        raise errors.UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except errors.Malformed as error:
        raise errors.UsageError(f"{path} is no audit: {error}", hint="pratique audit --format json writes one") from error
    if not isinstance(value, dict) or not isinstance(value.get("channels"), list):
        raise errors.UsageError(f"{path} is no audit", hint="pratique audit --format json writes one")
    if value.get("destination") != sources.redact(destination):
        raise errors.UsageError(f"{path} is an audit of {value.get('destination')}, not of {sources.redact(destination)}")
    return value


def _audited(data: dict[str, Any]) -> Iterator[str]:
    for one in data["channels"]:
        what = (
            f"{one['name']} ({one['digest'][:19]}…), number {one['sequence']}, until {one['until'][:16]}Z"
            if one["digest"]
            else ""
        )
        yield f"{one['state']:<8} {one['channel']}  {what}".rstrip()
        yield from (f"         {reason}" for reason in one["reasons"])
        yield from (f"         Remedy: {fix}" for fix in one["fixes"])
    for change in data.get("changes", ()):
        yield f"since then: {change}"
    total = len(data["channels"])
    good = sum(one["state"] in ("holds", "renewed") for one in data["channels"])
    yield (
        f"{good} of {total} channels of {data['destination']} are as they should be"
        if total
        else (f"{data['destination']} has no channels: nothing was ever promoted there, or it is somewhere else")
    )
    if unread := sum(one["remembered"] for one in data["channels"]):
        yield f"{unread:,} files were not read: they seem unchanged"


@click.command()
@click.argument("subject", type=GIVEN, required=False)
@click.option("--policy", type=PATH, required=True, help="The policy to write it into.")
@click.option("--key", type=PATH, help="Revoke this public key (the file of it) instead.")
@click.option("--certificate", type=PATH, help="Revoke the certificates in this file, and all below them.")
@click.option("--identity", type=GIVEN, help="Revoke a keyless identity, with its --issuer.")
@click.option("--issuer", type=GIVEN, help="The issuer of --identity.")
@click.option("--reason", type=GIVEN, required=True, help="Why, for whoever reads the policy.")
@with_format
def revoke(
    subject: str | None,
    policy: Path,
    key: Path | None,
    certificate: Path | None,
    identity: str | None,
    issuer: str | None,
    reason: str,
    form: str,
) -> None:
    """Write into a policy that SUBJECT (an artifact, or a digest of one, of a file or of a statement) is worth nothing.

    Or a key, certificates, an identity: written as fingerprints, so that a file of that name may hold another key tomorrow.
    """
    from pratique import revoking

    entries, why = _entries(subject, key, certificate, identity, issuer), reason
    if source := key or certificate:
        why = f"{reason} ({source.name})"
    for what in entries:
        after = revoking.revoke(policy, what, reason=why)
    shown = ", ".join(" ".join(what.values()) for what in entries)
    text = f"revoked {shown} in {policy}, which is {after.digest} now\nwhat descends from it: pratique trace"
    ending.tell(form, {"policy": str(policy), "policy_digest": after.digest, "revoked": entries, "reason": why}, text)


def _entries(
    subject: str | None, key: Path | None, certificate: Path | None, identity: str | None, issuer: str | None
) -> list[dict[str, str]]:
    """What to write: one entry, or one for each certificate of a file."""
    from pratique.artifacts import open_artifact
    from pratique.signing import TrustedKey, authorities
    from pratique.signing.certificates import load_pem

    if sum(map(bool, (subject, key, certificate, identity))) != 1 or bool(identity) != bool(issuer):
        raise errors.UsageError("give one of SUBJECT, --key, --certificate, and --identity with --issuer")
    if key:
        return [{"digest": TrustedKey.load("revoked", key).fingerprint}]
    if certificate:
        return [{"digest": authorities.fingerprint(one)} for one in load_pem(certificate)]
    if identity:
        return [{"identity": identity, "issuer": str(issuer)}]
    given = str(subject)
    return [{"digest": given if given.startswith("sha256:") else open_artifact(given).subject.digest}]
