"""The command line: parse, call, print. No decision is made here.

Data goes to stdout, words for people to stderr. `--format json` prints one JSON document. Exit codes: 0 done, 1 denied,
2 usage or policy, 3 artifact or store, 4 a check could not finish, 5 evidence that proves nothing, 70 a bug.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pratique import __version__, errors
from pratique.cli_trust import dsse, signs, trust, trusts

KINDS = click.Choice(["model", "dataset", "environment"])
HASHES = click.Choice(["sha256", "blake2b", "blake3"])

_format = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for machines.",
)
_policy = click.option("--policy", type=click.Path(), help="Policy file. [default: the baseline policy]")
_store = click.option("--store", default="", help="Evidence store, any fsspec URI. [default: $PRATIQUE_STORE]")
_signs = signs("this machine's gate key")
_kind = click.option("--kind", type=KINDS, default="model", show_default=True, help="What the artifact is.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pratique")
def cli() -> None:
    """Admit a base model or a dataset to training, and a model to production, once the evidence is in order.

    \b
    Exit codes: 0 done   1 denied   2 usage or policy   3 artifact or store
                4 a check could not finish   5 evidence proves nothing   70 a bug
    """


@cli.command()
@click.argument("artifact")
@_kind
@_format
def digest(artifact: str, kind: Any, form: str) -> None:
    """Print the digest that names a file, a folder or a remote artifact."""
    from pratique.artifacts import open_artifact

    with _progress("reading") as advance:
        opened = open_artifact(artifact, kind=kind, progress=advance)
    data = {"digest": opened.subject.digest, "name": opened.subject.name, "entries": len(opened.entries)}
    _out(form, data, opened.subject.digest)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@signs("")
@click.option(
    "--signature", default="", help="Signature file, relative to the folder. [default: model.sig; of a single file, FILE.sig]"
)
@click.option("--hash", "hash_type", type=HASHES, default="sha256", show_default=True, help="How files become digests.")
@click.option("--shards", is_flag=True, help="A digest for each part of a large file instead of one for the whole.")
@click.option("--shard-size", type=click.IntRange(min=1), help="With --shards: bytes of a part. [default: 1000000000]")
@click.option("--ignore", multiple=True, help="Relative path to leave out (repeatable); the signature says so.")
@click.option("--version", default="", help="Which version it is, such as 1.4.0: a policy can refuse older ones.")
@_format
def sign(
    folder: Path, named: Any, signature: str, hash_type: str, shards: bool, shard_size: int | None, ignore: tuple[str, ...],
    version: str, form: str,
) -> None:  # fmt: skip
    """Sign a model or dataset, a folder or one file (OpenSSF Model Signing v1.0), and write the signature."""
    from pratique import oms

    if shard_size and not shards:
        raise errors.UsageError("--shard-size goes with --shards")
    signer = named.choose()
    if signer is None:
        raise errors.UsageError("nobody would sign", hint="pass --key, with --certificate or without, or --identity-token")
    hashing = oms.Hashing(hash_type=hash_type, shard_size=(shard_size or oms.SHARD_SIZE) if shards else 0)
    written = oms.write_signature(folder, signer, name=signature, hashing=hashing, ignore=ignore, version=version)
    _out(form, {"signature": str(written)}, f"signed: {written}")


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@trusts
@click.option("--signature", type=click.Path(path_type=Path), help="File of the signature, if it lies elsewhere.")
@click.option("--allow", multiple=True, help="Lenience of the format to accept, such as git-paths (repeatable).")
@click.option("--clearance", is_flag=True, help="TARGET is a promotion folder: verify its channel and the bytes behind it.")
@click.option("--channel", default="production", show_default=True, help="With --clearance: the channel to verify.")
@_format
def verify(
    target: Path, trusted: list[Any], signature: Path | None, allow: tuple[str, ...], clearance: bool, channel: str, form: str,
) -> None:  # fmt: skip
    """Verify a signed folder or file, a signed statement (.sigstore.json), or with --clearance what was promoted."""
    from pratique import verifying
    from pratique.oms import Allow

    unknown = sorted(set(allow) - {one.value for one in Allow})
    if unknown:
        raise errors.UsageError(f"--allow {unknown[0]} is no lenience", hint=f"one of {', '.join(one.value for one in Allow)}")
    if clearance:
        result = verifying.channel(str(target), channel, trusted)
    else:
        result = verifying.path(target, trusted, signature=signature, allow=[Allow(one) for one in allow])
    _out(form, {"holds": True, **result.data}, "\n".join(result.steps))


@cli.command()
@click.argument("name")
@click.argument("artifact")
@click.option(
    "--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of the check; VALUE may be JSON."
)
@click.option("--deny-at", type=click.Choice(["note", "low", "medium", "high", "critical"]), default="high", show_default=True)
@_kind
@_store
@_signs
@_format
def check(
    name: str, artifact: str, options: tuple[str, ...], deny_at: str, kind: Any, store: str, named: Any, form: str
) -> None:
    """Run one check, keep its signed evidence, and say what it saw."""
    from pratique import checking
    from pratique.policies import Policy

    checking.load(name)
    policy = Policy.single(name, dict(_pair(one) for one in options), kind=kind, deny_at=deny_at)
    _gate(artifact, policy, store, named, form)


@cli.command()
@click.argument("artifact")
@_policy
@_kind
@_store
@_signs
@click.option("--run-id", default="", help="Names the pipeline run in the evidence.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report here.")
@_format
def gate(
    artifact: str, policy: str | None, kind: Any, store: str, named: Any, run_id: str, report: Path | None, form: str
) -> None:
    """Run what a policy requires; exit 1 unless the artifact is admitted."""
    from pratique.policies import Policy

    chosen = Policy.load(policy) if policy else Policy.baseline(kind)
    _gate(artifact, chosen, store, named, form, run_id, report)


@cli.command()
@click.argument("artifact")
@click.option("--policy", type=click.Path(), required=True, help="The promoter's own copy of the policy.")
@click.option("--to", "destination", required=True, help="Folder of promoted artifacts, any fsspec URI.")
@click.option("--channel", default="production", show_default=True, help="The pointer to move.")
@_store
@_signs
@click.option("--run-id", default="", help="Only evidence of this pipeline run counts.")
@_format
def promote(artifact: str, policy: str, destination: str, channel: str, store: str, named: Any, run_id: str, form: str) -> None:
    """Verify all evidence again, copy by digest, and move a channel to it."""
    from pratique import promotion
    from pratique.policies import Policy
    from pratique.store import Store

    with _progress("copying") as advance:
        done = promotion.promote(
            artifact, policy=Policy.load(policy), destination=destination, channel=channel, store=Store(store),
            signer=_signer(named), run_id=run_id, progress=advance,
        )  # fmt: skip
    one = done.clearance
    data = {
        "subject": one.subject.digest, "uri": done.uri, "channel": channel, "sequence": one.sequence,
        "expires": one.expires.isoformat(), "refused": list(done.refused),
    }  # fmt: skip
    _out(form, data, f"promoted {one.subject.digest}\n  to {done.uri}\n  channel {channel}, number {one.sequence}")


@cli.command()
@click.argument("data")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="Where to write the profile (JSON).")
@click.option("--label", default="label", show_default=True, help="The label column; '' if there is none.")
@_format
def profile(data: str, output: Path, label: str, form: str) -> None:
    """Make the reference profile of a trusted dataset, against which later batches are checked."""
    from pratique import profiles
    from pratique.artifacts import open_artifact

    built = profiles.build(open_artifact(data, kind="dataset").root, label=label or None)
    built.save(output)
    _out(form, {"profile": str(output), "digest": "sha256:" + _file_sha256(output)}, f"profile: {output}")


@cli.group()
def policy() -> None:
    """Check, explain or describe a policy."""


@policy.command("check")
@click.argument("file", type=click.Path())
@_format
def policy_check(file: str, form: str) -> None:
    """Read a policy strictly; exit 2 with the line of the first mistake."""
    from pratique.policies import Policy

    loaded = Policy.load(file)
    _out(form, {"file": file, "digest": loaded.digest}, f"{file}: in order, {loaded.digest}")


@policy.command("explain")
@click.argument("file", type=click.Path(), required=False)
@_kind
@_format
def policy_explain(file: str | None, kind: Any, form: str) -> None:
    """Say in sentences what a policy demands; the baseline policy if no FILE is given."""
    from pratique import policies

    loaded = policies.Policy.load(file) if file else policies.Policy.baseline(kind)
    lines = policies.explain(loaded)
    _out(form, {"digest": loaded.digest, "sentences": lines}, "\n".join(lines))


@policy.command("schema")
def policy_schema() -> None:
    """Print the JSON schema of a policy, with every installed check's options."""
    from pratique import policies

    click.echo(json.dumps(policies.schema(), indent=2))


cli.add_command(trust)
cli.add_command(dsse)


@cli.group()
def keys() -> None:
    """Make and name keys."""


@keys.command("new")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--curve", type=click.Choice(["P-256", "P-384", "P-521"]), default="P-256", show_default=True)
@_format
def keys_new(path: Path, curve: str, form: str) -> None:
    """Write a private key to PATH (mode 0600) and its public half beside it as .pub."""
    from pratique.signing import KeySigner

    signer = KeySigner.generate(curve)
    public = signer.save(path)
    mark = signer.trusted().fingerprint
    _out(form, {"private": str(path), "public": str(public), "fingerprint": mark}, f"{path}\n{public}\n{mark}")


@keys.command("show")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@_format
def keys_show(path: Path | None, form: str) -> None:
    """Print a public key's fingerprint; this machine's own gate key if no PATH is given."""
    from pratique import settings, signing

    key = signing.TrustedKey.load(path.stem, path) if path else signing.own_signer(settings.gate_key()).trusted()
    where = path or settings.gate_key().with_suffix(".pub")
    _out(form, {"public": str(where), "fingerprint": key.fingerprint}, f"{where}\n{key.fingerprint}")


@cli.command()
@click.option("--report", type=click.Path(path_type=Path), default=Path("report/demo.html"), show_default=True)
@click.option("--only", multiple=True, help="Play only these scenarios (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print [{scenario, expected, verdict, reasons, seconds}].")
def demo(report: Path, only: tuple[str, ...], as_json: bool) -> None:
    """Play an honest delivery and the attacks on a real Airflow; exit 1 unless each ends as expected."""
    from pratique.demonstration import show

    sys.exit(0 if show.play_demo(report, only, as_json=as_json) else 1)


def main() -> None:
    """Run the command line; the one place that turns errors into exit codes."""
    try:
        cli(standalone_mode=False)
    except errors.Error as error:
        sys.exit(_complain(error))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # nothing that a user can hit should end here; if it does, say so and fail
        if os.environ.get("PRATIQUE_DEBUG"):
            traceback.print_exc()
        click.secho(f"This is a bug in pratique: {type(error).__name__}: {error}", fg="red", err=True)
        click.echo("Hint: run it again with PRATIQUE_DEBUG=1 and report what it prints", err=True)
        sys.exit(errors.Error.exit_code)


def _complain(error: errors.Error) -> int:
    click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
    if error.hint:
        click.echo(f"Hint: {error.hint}", err=True)
    return error.exit_code


def _gate(artifact: str, policy: Any, store: str, named: Any, form: str, run_id: str = "", report: Path | None = None) -> None:
    from pratique import reports
    from pratique.gate import pass_gate
    from pratique.store import Store

    with _progress("checking") as advance:
        admission = pass_gate(
            artifact, policy=policy, store=Store(store), signer=_signer(named), run_id=run_id, progress=advance
        )
    if report:
        reports.write(report, reports.of_admission(admission, policy))
        click.echo(f"report: {report}", err=True)
    _out(form, reports.as_json(admission), reports.as_text(admission))
    if not admission.verdict.admitted:
        sys.exit(errors.Denied.exit_code)


def _signer(named: Any) -> Any:
    from pratique import settings, signing

    return named.choose() or signing.own_signer(settings.gate_key())


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise errors.UsageError(f"--option {text!r} is not KEY=VALUE", hint="such as --option formats='[\"safetensors\"]'")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr once something takes a moment, and only where somebody looks."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

    columns = (SpinnerColumn(), TextColumn(what), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.advance(task, count)


def _out(form: str, data: dict[str, Any], text: str) -> None:
    click.echo(json.dumps(data, indent=2, sort_keys=True) if form == "json" else text)


def _file_sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
