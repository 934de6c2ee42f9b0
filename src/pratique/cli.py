"""The command line: parse, call, print. No decision is made here.

Data goes to stdout, words for people to stderr. `--format json` prints one JSON document, also when something fails (`ending`).
Exit codes: 0 done, 1 denied, 2 usage or policy, 3 artifact or store, 4 a check could not finish, 5 evidence proves nothing, 70
a bug, 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pratique import __version__, ending, errors
from pratique.cli_data import profile, suite
from pratique.cli_incident import audit, revoke, trace
from pratique.cli_kfp import kfp
from pratique.cli_neutralise import neutralise
from pratique.cli_trust import GIVEN, PATH, dsse, signer_of, signs, trust, trusts, with_format
from pratique.watching import volume

KINDS = click.Choice(["model", "dataset", "environment"])
HASHES = click.Choice(["sha256", "blake2b", "blake3"])

_for_dashboards = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="For people, for machines, or for code-scanning dashboards (SARIF 2.1.0).",
)
_policy = click.option("--policy", type=GIVEN, help="Policy file. [default: the baseline policy]")
_store = click.option("--store", type=GIVEN, help="Evidence store, any fsspec URI. [default: $PRATIQUE_STORE]")
_signs = signs("this machine's gate key")
_kind = click.option("--kind", type=KINDS, default="model", show_default=True, help="What the artifact is.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pratique")
def cli() -> None:
    """Admit a base model or a dataset to training, and a model to production, once the evidence is in order.

    \b
    Exit codes: 0 done   1 denied   2 usage or policy   3 artifact or store
                4 a check could not finish   5 evidence proves nothing   70 a bug   130 interrupted
    """


@cli.command()
@click.argument("artifact", type=GIVEN)
@_kind
@with_format
def digest(artifact: str, kind: Any, form: str) -> None:
    """Print the digest that names a file, a folder or a remote artifact; of a remote one, also the URI that pins it."""
    from pratique.artifacts import open_artifact

    with volume("reading") as advance:
        opened = open_artifact(artifact, kind=kind, progress=advance)
    digest, origin = opened.subject.digest, opened.origin
    data = {
        "digest": digest, "name": opened.subject.name, "entries": len(opened.entries), "uri": opened.uri,
        "pinned": opened.pinned, "mutable": origin.mutable if origin else None, "ids": dict(origin.ids) if origin else {},
    }  # fmt: skip
    for note in origin.notes if origin else ():
        click.echo(f"note: {note}", err=True)
    ending.tell(form, data, f"{digest}\n{opened.pinned}" if origin else digest)


@cli.command()
@click.argument("folder", type=PATH)
@signs("")
@click.option("--signature", type=GIVEN, help="Signature file, relative to FOLDER. [default: model.sig; of a file, FILE.sig]")
@click.option("--hash", "hash_type", type=HASHES, default="sha256", show_default=True, help="How files become digests.")
@click.option("--shards", is_flag=True, help="A digest for each part of a large file instead of one for the whole.")
@click.option("--shard-size", type=click.IntRange(min=1), help="With --shards: bytes of a part. [default: 1000000000]")
@click.option("--ignore", type=GIVEN, multiple=True, help="Relative path to leave out (repeatable); the signature says so.")
@click.option("--version", type=GIVEN, help="Which version it is, such as 1.4.0: a policy can refuse older ones.")
@with_format
def sign(
    folder: Path, named: Any, signature: str | None, hash_type: str, shards: bool, shard_size: int | None,
    ignore: tuple[str, ...], version: str | None, form: str,
) -> None:  # fmt: skip
    """Sign a model or dataset, a folder or one file (OpenSSF Model Signing v1.0), and write the signature."""
    from pratique import oms

    if shard_size and not shards:
        raise errors.UsageError("--shard-size goes with --shards")
    signer = signer_of(named)
    hashing = oms.Hashing(hash_type=hash_type, shard_size=(shard_size or oms.SHARD_SIZE) if shards else 0)
    written = oms.write_signature(folder, signer, name=signature or "", hashing=hashing, ignore=ignore, version=version or "")
    ending.tell(form, {"signature": str(written)}, f"signed: {written}")


@cli.command()
@click.argument("target", type=GIVEN)
@trusts
@click.option("--signature", type=PATH, help="File of the signature, if it lies elsewhere.")
@click.option("--allow", type=GIVEN, multiple=True, help="Lenience of the format to accept, such as git-paths (repeatable).")
@click.option("--name", type=GIVEN, help="What the publisher must call it.")
@click.option("--min-version", type=GIVEN, help="The oldest version to take, by what the publisher signed.")
@click.option("--digest", "wanted", type=GIVEN, help="The one artifact to take (sha256:...), as `pratique digest` prints it.")
@click.option("--clearance", is_flag=True, help="TARGET is a promotion folder: verify its channel and the bytes behind it.")
@click.option("--channel", type=GIVEN, default="production", show_default=True, help="With --clearance: the channel to verify.")
@click.option(
    "--known-as", type=GIVEN, help="With --clearance: the destination's name in `promote`, if it differs from TARGET."
)
@click.option("--least", type=click.IntRange(0), default=0, help="With --clearance: the highest number that you have seen.")
@click.option("--copy", type=PATH, help="With --clearance: put exactly the bytes that were verified here, to be loaded.")
@with_format
def verify(
    target: str, trusted: list[Any], signature: Path | None, allow: tuple[str, ...], name: str | None, min_version: str | None,
    wanted: str | None, clearance: bool, channel: str, known_as: str | None, least: int,
    copy: Path | None, form: str,
) -> None:  # fmt: skip
    """Verify a signed folder or file, a signed statement (.sigstore.json), or with --clearance what was promoted."""
    from pratique import verifying
    from pratique.oms import Allow

    unknown = sorted(set(allow) - {one.value for one in Allow})
    if unknown:
        raise errors.UsageError(f"--allow {unknown[0]} is no lenience", hint=f"one of {', '.join(one.value for one in Allow)}")
    expected = verifying.Expected(name=name or "", min_version=min_version or "", digest=wanted or "")
    if copy is not None and not clearance:
        raise errors.UsageError("--copy goes with --clearance")
    if clearance:
        if expected.options or allow or signature:
            raise errors.UsageError(
                "--clearance goes with --channel, --known-as, --least and --copy alone: it says itself which artifact it is"
            )
        result = verifying.channel(target, channel, trusted, known_as=known_as or "", least=least, copy=copy)
    else:
        if re.match(r"[a-z0-9]+:/", target) and not Path(target).exists():
            hint = "`pratique check provenance URI -o signers=KEY` and `pratique gate URI` fetch, pin and verify"
            raise errors.UsageError(f"verify reads what lies on this machine, not {target}", hint=hint)
        lenient = [Allow(one) for one in allow]
        result = verifying.path(Path(target), trusted, signature=signature, allow=lenient, expected=expected)
    ending.tell(form, {"holds": True, **result.data}, "\n".join(result.steps))


@cli.command()
@click.argument("name", type=GIVEN)
@click.argument("artifact", type=GIVEN)
@click.option(
    "--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of the check; VALUE may be JSON."
)
@click.option("--deny-at", type=click.Choice(["note", "low", "medium", "high", "critical"]), default="high", show_default=True)
@_kind
@_store
@_signs
@_for_dashboards
def check(
    name: str, artifact: str, options: tuple[str, ...], deny_at: str, kind: Any, store: str | None, named: Any, form: str
) -> None:
    """Run one check, keep its signed evidence, and say what it saw."""
    from pratique import checking, signing
    from pratique.policies import Policy

    chosen = checking.load(name)
    signer = _signer(named)
    policy = Policy.single(name, _options(options), kind=kind, deny_at=deny_at, gate=signing.trust_in(signer, "gate"))
    _gate(artifact, policy, store, signer, form, chosen=chosen)


@cli.command()
@click.argument("artifact", type=GIVEN)
@_policy
@_kind
@_store
@_signs
@click.option("--run-id", type=GIVEN, help="Names the pipeline run in the evidence.")
@click.option("--report", type=PATH, help="Write an HTML report here.")
@with_format
def gate(
    artifact: str,
    policy: str | None,
    kind: Any,
    store: str | None,
    named: Any,
    run_id: str | None,
    report: Path | None,
    form: str,
) -> None:
    """Run what a policy requires; exit 1 unless the artifact is admitted."""
    from pratique.policies import Policy

    chosen = Policy.load(policy) if policy else Policy.baseline(kind)
    told = click.get_current_context().get_parameter_source("kind") is click.core.ParameterSource.COMMANDLINE
    if told and kind != chosen.subject:
        raise errors.UsageError(f"{policy} judges a {chosen.subject}, not a {kind}", hint="leave --kind out")
    _gate(artifact, chosen, store, _signer(named), form, run_id, report)


@cli.command()
@click.argument("artifact", type=GIVEN)
@click.option("--policy", type=GIVEN, required=True, help="The promoter's own copy of the policy.")
@click.option("--to", "destination", type=GIVEN, required=True, help="Folder of promoted artifacts, any fsspec URI.")
@click.option("--channel", type=GIVEN, default="production", show_default=True, help="The pointer to move.")
@click.option("--known-as", type=GIVEN, help="The destination's name in the pointer, if its readers see it under another URI.")
@_store
@_signs
@click.option("--run-id", type=GIVEN, help="Only evidence of this pipeline run counts.")
@with_format
def promote(
    artifact: str,
    policy: str,
    destination: str,
    channel: str,
    known_as: str | None,
    store: str | None,
    named: Any,
    run_id: str | None,
    form: str,
) -> None:
    """Verify all evidence again, copy by digest, and move a channel to it."""
    from pratique import promotion
    from pratique.policies import Policy
    from pratique.store import Store

    with volume("copying") as advance:
        done = promotion.promote(
            artifact, policy=Policy.load(policy), destination=destination, channel=channel,
            known_as=known_as or "", store=Store(store or ""), signer=_signer(named), run_id=run_id or "", progress=advance,
        )  # fmt: skip
    one = done.clearance
    data = {
        "subject": one.subject.digest, "uri": done.uri, "channel": channel, "sequence": one.sequence,
        "expires": one.expires.isoformat(), "refused": list(done.refused),
    }  # fmt: skip
    ending.tell(form, data, f"promoted {one.subject.digest}\n  to {done.uri}\n  channel {channel}, number {one.sequence}")


@cli.command()
@click.argument("subject", type=GIVEN)
@trusts
@click.option("--output", "-o", type=PATH, required=True, help="Where to write the page (HTML).")
@_store
@with_format
def report(subject: str, trusted: list[Any], output: Path, store: str | None, form: str) -> None:
    """Write a page of all that a store holds about SUBJECT, an artifact or its digest, as far as somebody trusted signed it."""
    from datetime import datetime, timezone

    from pratique import dossiers, reports
    from pratique.artifacts import open_artifact
    from pratique.store import Store

    if not subject.startswith("sha256:"):
        with volume("hashing") as advance:
            subject = open_artifact(subject, progress=advance).subject.digest
    found = dossiers.gather(Store(store or ""), subject, trusted)
    reports.write(output, dossiers.as_page(found, now=datetime.now(timezone.utc)))
    data = {
        "report": str(output), "subject": subject, "evidence": len(found.evidence), "records": len(found.records),
        "clearances": len(found.clearances), "refused": list(found.refused),
    }  # fmt: skip
    ending.tell(form, data, f"report: {output}")


@cli.group()
def manifest() -> None:
    """Sign a large dataset by one small signature; verify all of it, or any file alone."""


_signature = click.option(
    "--signature", type=GIVEN, default="dataset.manifest.sigstore.json", show_default=True, help="Its path inside the folder."
)


@manifest.command("sign")
@click.argument("folder", type=PATH)
@signs("")
@_signature
@click.option(
    "--upstream",
    type=GIVEN,
    multiple=True,
    metavar="KIND=ID",
    help="Where the data came from, e.g. lakefs=lakefs://lake/4d5f0c.",
)
@click.option("--previous", type=PATH, help="The signature of the version before this, by the same key.")
@click.option("--version", type=GIVEN, help="Which version it is, such as 1.4.0: a policy can refuse older ones.")
@with_format
def manifest_sign(
    folder: Path, named: Any, signature: str, upstream: tuple[str, ...], previous: Path | None, version: str | None, form: str
) -> None:  # fmt: skip
    """Write a manifest of FOLDER and a signature of its Merkle root into it."""
    from pratique import manifests, signing

    signer = signer_of(named)
    origins = [manifests.Upstream.parse(one) for one in upstream]
    own = [signing.trust_in(signer, "the publisher")]
    before = manifests.signed_in(previous.parent, own, signature=previous.name).claim.root if previous else ""
    written = manifests.write(folder, signer, signature=signature, upstream=origins, previous=before, version=version or "")
    claim = manifests.signed_in(folder, own, signature=signature).claim
    data = {"signature": str(written), "root": claim.root, "files": claim.count, "subject": claim.subject.digest}
    ending.tell(form, data, f"signed: {written}\n  root {claim.root} over {claim.extent}")


@manifest.command("verify")
@click.argument("folder", type=PATH)
@trusts
@click.option("--file", "names", type=GIVEN, multiple=True, metavar="NAME", help="Only this file, or folder/ (repeatable).")
@click.option("--proof", type=PATH, help="With --file: a proof of `manifest prove`, in place of the manifest.")
@_signature
@with_format
def manifest_verify(
    folder: Path, trusted: list[Any], names: tuple[str, ...], proof: Path | None, signature: str, form: str
) -> None:
    """Verify that FOLDER holds exactly what was signed, or some files of it without the rest. Reads every byte of them."""
    from pratique import manifests

    own = (signature, manifests.manifest_of(signature))
    if proof and not names:
        raise errors.UsageError("a proof is about some files only", hint="name them with --file")
    signed = manifests.signed_in(folder, trusted, signature=signature)
    source = manifests.proof_in(proof) if proof else manifests.manifest_in(folder, signed.claim, signature=signature)
    with volume("reading") as advance:
        if isinstance(source, manifests.Manifest) and not names:
            manifests.verify_folder(folder, signed.claim, source, own=own, progress=advance)
            verified, count = source.entries, signed.claim.count
        else:
            verified = manifests.verify_files(folder, names, signed.claim, source, own=own, progress=advance)
            count = len(verified)
    signed.ensure_unrevoked(verified)
    _manifest_out(form, signed, trusted, count, "and there is nothing else" if not names else "of those that were asked for")


@manifest.command("prove")
@click.argument("folder", type=PATH)
@click.argument("names", nargs=-1, required=True, type=GIVEN)
@trusts
@click.option("--output", "-o", type=PATH, required=True, help="Where to write the proof (JSON).")
@_signature
@with_format
def manifest_prove(folder: Path, names: tuple[str, ...], trusted: list[Any], output: Path, signature: str, form: str) -> None:
    """Write a proof that NAMES (files, or folders ending in /) are in the signed manifest, for who has only them."""
    from pratique import files, manifests

    signed = manifests.signed_in(folder, trusted, signature=signature)
    proof = manifests.prove(manifests.manifest_in(folder, signed.claim, signature=signature), names)
    try:
        files.replace(output, proof.data)
    except OSError as error:
        raise errors.UsageError(f"cannot write {output}: {error.strerror or error}") from error
    ending.tell(form, {"proof": str(output), "bytes": len(proof.data), "root": proof.root}, f"proof: {output}")


@manifest.command("audit")
@click.argument("folder", type=PATH)
@trusts
@_signature
@with_format
def manifest_audit(folder: Path, trusted: list[Any], signature: str, form: str) -> None:
    """Verify FOLDER, reading only files that seem new or changed since the last audit. Proves less than `verify`."""
    from pratique import manifests
    from pratique.manifests.audits import audit_folder
    from pratique.remembering import Memory

    own = (signature, manifests.manifest_of(signature))
    signed = manifests.signed_in(folder, trusted, signature=signature)
    lines = manifests.manifest_in(folder, signed.claim, signature=signature)
    with volume("reading") as advance, Memory() as memory:
        recalled = audit_folder(folder, signed.claim, lines, memory, own=own, progress=advance)
    signed.ensure_unrevoked(lines.entries)
    click.echo(f"{recalled.remembered:,} files were not read: they seem unchanged", err=True)
    more = {"remembered": recalled.remembered, "remembered_bytes": recalled.remembered_bytes}
    _manifest_out(form, signed, trusted, signed.claim.count, "as far as an audit sees", **more)


def _manifest_out(form: str, signed: Any, keys: list[Any], count: int, how: str, **more: int) -> None:
    from pratique import signing

    claim, who = signed.claim, signing.names_of(signed.signers, keys)
    data = {
        "holds": True, "files": count, "root": claim.root, "subject": claim.subject.digest, "signers": who,
        "made_at": claim.made_at.isoformat(), "previous": claim.previous, "version": claim.version, **more,
        "upstream": [{"kind": one.kind, "id": one.id} for one in claim.upstream],
    }  # fmt: skip
    steps = (
        f"1. {', '.join(who)} signed the Merkle root {claim.root} over {claim.extent}",
        f"2. {'it is' if claim.count == 1 else f'{count:,} of them are'} there, unchanged, {how}",
    )
    ending.tell(form, data, "\n".join(steps))


@cli.group()
def policy() -> None:
    """Check, explain or describe a policy."""


@policy.command("check")
@click.argument("file", type=GIVEN)
@with_format
def policy_check(file: str, form: str) -> None:
    """Read a policy strictly; exit 2 with the line of the first mistake."""
    from pratique.policies import Policy

    loaded = Policy.load(file)
    ending.tell(form, {"file": file, "digest": loaded.digest}, f"{file}: in order, {loaded.digest}")


@policy.command("explain")
@click.argument("file", type=GIVEN, required=False)
@_kind
@with_format
def policy_explain(file: str | None, kind: Any, form: str) -> None:
    """Say in sentences what a policy demands; the baseline policy if no FILE is given."""
    from pratique import policies

    loaded = policies.Policy.load(file) if file else policies.Policy.baseline(kind)
    lines = policies.explain(loaded)
    ending.tell(form, {"digest": loaded.digest, "sentences": lines}, "\n".join(lines))


@policy.command("schema")
def policy_schema() -> None:
    """Print the JSON schema of a policy, with every installed check's options."""
    from pratique import policies

    ending.tell("json", policies.schema(), "")


cli.add_command(audit)
cli.add_command(kfp)
cli.add_command(neutralise)
cli.add_command(profile)
cli.add_command(revoke)
cli.add_command(suite)
cli.add_command(trace)
cli.add_command(trust)
cli.add_command(dsse)


@cli.group()
def keys() -> None:
    """Make and name keys."""


@keys.command("new")
@click.argument("path", type=PATH)
@click.option("--curve", type=click.Choice(["P-256", "P-384", "P-521"]), default="P-256", show_default=True)
@with_format
def keys_new(path: Path, curve: str, form: str) -> None:
    """Write a private key to PATH (mode 0600) and its public half beside it as .pub."""
    from pratique.signing import KeySigner

    signer = KeySigner.generate(curve)
    public = signer.save(path)
    mark = signer.trusted().fingerprint
    ending.tell(form, {"private": str(path), "public": str(public), "fingerprint": mark}, f"{path}\n{public}\n{mark}")


@keys.command("show")
@click.argument("path", type=PATH, required=False)
@with_format
def keys_show(path: Path | None, form: str) -> None:
    """Print a public key's fingerprint; this machine's own gate key if no PATH is given."""
    from pratique import settings, signing

    key = signing.TrustedKey.load(path.stem, path) if path else signing.own_signer(settings.gate_key()).trusted()
    where = path or settings.gate_key().with_suffix(".pub")
    ending.tell(form, {"public": str(where), "fingerprint": key.fingerprint}, f"{where}\n{key.fingerprint}")


@cli.command()
@click.option("--report", type=PATH, default=Path("report/demo.html"), show_default=True)
@click.option("--only", multiple=True, help="Play only these scenarios (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print [{scenario, expected, verdict, reasons, seconds}].")
def demo(report: Path, only: tuple[str, ...], as_json: bool) -> None:
    """Play an honest delivery and the attacks on a real Airflow; exit 1 unless each ends as expected."""
    from pratique.demonstration import show

    if not show.play_demo(report, only, as_json=as_json):
        raise ending.Ended(errors.Denied.exit_code)


def main() -> None:
    """Run the command line; `ending` turns errors into exit codes."""
    ending.run(cli)


def _gate(
    artifact: str,
    policy: Any,
    store: str | None,
    signer: Any,
    form: str,
    run_id: str | None = None,
    report: Path | None = None,
    chosen: Any = None,
) -> None:
    from pratique import reports
    from pratique.gate import pass_gate
    from pratique.store import Store

    with volume("checking") as advance:
        admission = pass_gate(
            artifact, policy=policy, store=Store(store or ""), signer=signer, run_id=run_id or "", progress=advance
        )
    unwritten = _written(report, lambda: reports.of_admission(admission, policy)) if report else 0
    if form == "sarif":
        ending.tell("json", reports.as_sarif(admission, chosen, artifact), "")
    elif form == "text" and chosen is not None and chosen.name == "artifact" and admission.evidence:
        _draw(admission, policy.require["artifact"].deny_at)
    else:
        ending.tell(form, reports.as_json(admission), reports.as_text(admission))
    if unwritten or not admission.verdict.admitted:
        raise ending.Ended(unwritten if admission.verdict.admitted else errors.Denied.exit_code)


def _draw(admission: Any, deny_at: Any) -> None:
    """The admission as text, with the artifact's files as a tree."""
    import sys

    from pratique import file_trees, reports

    findings = admission.evidence[0].statement.report.findings
    text = reports.as_text(admission, drawn=findings)
    tree = (admission.artifact.subject.name, [one.path for one in admission.artifact.entries], findings, deny_at)
    if sys.stdout.isatty():
        ending.tell("text", {}, text)
        file_trees.show(*tree)
    else:
        ending.tell("text", {}, f"{text}\n{file_trees.text(*tree)}")


def _written(path: Path, html: Callable[[], str]) -> int:
    """Write a report. It is no part of the decision, which is told whether that works or not."""
    from pratique import reports

    try:
        reports.write(path, html())
    except errors.StoreError as error:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        return error.exit_code
    click.echo(f"report: {path}", err=True)
    return 0


def _signer(named: Any) -> Any:
    from pratique.signing.choosing import gate_signer

    return named.choose() or gate_signer()


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise errors.UsageError(f"--option {text!r} is not KEY=VALUE", hint="such as --option formats='[\"safetensors\"]'")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


def _options(written: tuple[str, ...]) -> dict[str, Any]:
    pairs = [_pair(one) for one in written]
    for key, _ in pairs:
        if sum(key == other for other, _ in pairs) > 1:
            raise errors.UsageError(f"--option {key} is given twice", hint=f'several values are one list: {key}=\'["a", "b"]\'')
    return dict(pairs)


if __name__ == "__main__":
    main()
