"""The command line's words for who signs and who is trusted, and the commands `trust` and `dsse`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pratique import ending, errors, files


class _Given(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3, and not at run time before
    """Text that is there: a shell variable that is not set must not become the current folder, or the baseline policy."""

    name = "text"

    def __init__(self, kind: Callable[[str], Any] = str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not value.strip():
            self.fail("it is empty; is a variable not set?", param, ctx)
        return self.kind(value)


class _GivenPath(_Given):
    name = "path"


GIVEN = _Given()
PATH = _GivenPath(Path)
with_format = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For people or machines."
)


def signs(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that name a signer by any of the three methods; the command gets them as one `named` (`signing.choosing`)."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def inner(
            *args: Any, key: Path | None, certificate: Path | None, chain: tuple[Path, ...], identity_token: str | None,
            signing_config: Path | None, trusted_root: Path | None, **kwargs: Any,
        ) -> Any:  # fmt: skip
            from pratique.signing.choosing import Named

            named = Named(
                key=key, certificate=certificate, chain=chain, identity_token=identity_token or "",
                signing_config=signing_config, trusted_root=trusted_root,
            )  # fmt: skip
            return command(*args, named=named, **kwargs)

        for option in reversed(_signer_options(default)):
            inner = option(inner)
        return inner

    return wrap


def _signer_options(default: str) -> Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return (
        click.option("--key", type=PATH, help=f"Private key that signs.{f' [default: {default}]' if default else ''}"),
        click.option("--certificate", type=PATH, help="The certificate for that key: sign by certificate."),
        click.option("--chain", multiple=True, type=PATH, help="Certificates above it (repeatable)."),
        click.option("--identity-token", type=GIVEN, help="Sign keyless: the file of a token, 'env' or 'ambient'."),
        click.option("--signing-config", type=PATH, help="Keyless: where Sigstore's services are."),
        click.option("--trusted-root", type=PATH, help="Keyless: whose word counts."),
    )


def signer_of(named: Any) -> Any:
    """Who was named to sign; somebody must be.

    Raises:
        UsageError: nobody was, or what was named is not in order.
    """
    signer = named.choose()
    if signer is None:
        raise errors.UsageError("nobody would sign", hint="pass --key, with --certificate or without, or --identity-token")
    return signer


def trusts(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name who is trusted; the command gets them as `trusted`, a list that is not empty."""

    @functools.wraps(command)
    def inner(*args: Any, trust: tuple[str, ...], trust_policy: str | None, **kwargs: Any) -> Any:
        return command(*args, trusted=everybody(trust, trust_policy or ""), **kwargs)

    inner = click.option(
        "--trust-policy",
        type=GIVEN,
        help="Trust everybody under this policy's `trust`; whatever it has revoked counts for nothing.",
    )(inner)
    return click.option(
        "--trust", type=GIVEN, multiple=True, metavar="KEY|ENTRY",
        help="Who is trusted (repeatable): the file of a public key, or an entry such as '{github: org/repo, root: FILE}'.",
    )(inner)  # fmt: skip


def everybody(trust: Sequence[str], policy: str) -> list[Any]:
    """Who is trusted by what was named.

    Raises:
        UsageError: nobody, or an entry that is not in order.
    """
    from pratique.policies import Policy
    from pratique.trust import from_text

    found = [from_text(one, Path()) for one in trust]
    if policy:
        loaded = Policy.load(policy)
        found = [one.renamed(one.name, frozenset(loaded.revoked)) for one in (*found, *loaded.trust.values())]
    if not found:
        raise errors.UsageError("nobody is trusted, so nothing can hold", hint="pass --trust or --trust-policy")
    return found


@click.group()
def trust() -> None:
    """Fetch and show Sigstore trusted roots: whose word counts in keyless signing."""


@trust.command("fetch")
@click.argument("folder", type=PATH)
@click.option("--staging", is_flag=True, help="Sigstore's instance for tests.")
@click.option("--url", type=GIVEN, help="TUF repository of another instance.")
@click.option("--first-root", type=PATH, help="With --url: a root.json of it that you got by another way.")
@with_format
def trust_fetch(folder: Path, staging: bool, url: str | None, first_root: Path | None, form: str) -> None:
    """Write trusted_root.json and signing_config.json into FOLDER, up to date. The only command that goes online for trust."""
    from pratique import settings
    from pratique.signing import fetching
    from pratique.signing.keys import read_file

    if (staging and url) or (first_root and not url):
        raise errors.UsageError("pass --staging, or --url with --first-root, or neither")
    chosen = url or (fetching.STAGING if staging else fetching.SIGSTORE)
    first = read_file(first_root, "the first root") if first_root else None
    found = fetching.fetch(chosen, into=settings.home() / "tuf", first_root=first)
    written = {"trusted_root": _write(folder / "trusted_root.json", found.trusted_root)}
    if found.signing_config is not None:
        written["signing_config"] = _write(folder / "signing_config.json", found.signing_config)
    ending.tell(form, written, "\n".join(written.values()))


@trust.command("show")
@click.argument("file", type=PATH)
@with_format
def trust_show(file: Path, form: str) -> None:
    """Say whom a trusted root trusts, and from when to when."""
    from pratique.signing.authorities import fingerprint, name
    from pratique.signing.roots import Root

    root = Root.load(file)
    rows = [("transparency log", one.url, one.id.hex(), one.span) for one in root.logs]
    rows += [("certificate log", one.url, one.id.hex(), one.span) for one in root.certificate_logs]
    for kind, several in (("certificate authority", root.authorities), ("timestamp authority", root.timestamps)):
        rows += [(kind, f"{one.uri} ({name(one.chain[-1].subject)})", fingerprint(one.chain[0]), one.span) for one in several]
    data = {"digest": root.digest, "parts": [{"kind": a, "name": b, "id": c, "counts": str(d)} for a, b, c, d in rows]}
    lines = [f"{kind}: {who}\n  {mark}\n  counts {span}" for kind, who, mark, span in rows]
    ending.tell(form, data, "\n".join([*lines, f"digest: {root.digest}"]))


@click.command()
@click.argument("bundle", type=PATH)
@trusts
@click.option("--output", "-o", type=PATH, required=True, help="Where to write the envelope.")
@with_format
def dsse(bundle: Path, trusted: list[Any], output: Path, form: str) -> None:
    """Write a signed statement as plain DSSE, for tools that read no bundles (slsa-verifier's verify-vsa), if it holds."""
    from pratique import signing, verifying
    from pratique.signing.keys import read_file

    data = read_file(bundle, "the bundle")
    proof = verifying.statement(data, trusted, what=str(bundle))  # most readers of plain DSSE never ask whether it has expired
    written = _write(output, signing.plain(data))
    signers = list(proof.data["signers"])
    ending.tell(form, {"envelope": written, "signers": signers}, f"{written}\nsigned by {', '.join(signers)}")


def _write(path: Path, data: bytes) -> str:
    try:
        files.replace(path, data)
    except OSError as error:
        raise errors.UsageError(f"cannot write {path}: {error.strerror or error}") from error
    return str(path)
