"""The command `neutralise`: a model in pickles, written again as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pratique import ending
from pratique.cli_trust import GIVEN, PATH, signs
from pratique.watching import volume


@click.command()
@click.argument("source", type=GIVEN)
@click.option("--output", "-o", type=PATH, required=True, help="Folder for the result; it must not be there yet.")
@click.option("--leave-out", type=GIVEN, multiple=True, help="Path inside SOURCE that is not wanted (repeatable).")
@click.option("--store", type=GIVEN, help="Where the record goes, any fsspec URI. [default: $PRATIQUE_STORE]")
@signs("this machine's trainer key")
@click.option("--run-id", type=GIVEN, help="Names the pipeline run in the record.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For people or machines."
)
def neutralise(
    source: str, output: Path, leave_out: tuple[str, ...], store: str | None, named: Any, run_id: str | None, form: str
) -> None:
    """Write the tensors of SOURCE, a checkpoint or a folder with checkpoints, as safetensors; load nothing; sign the record."""
    from pratique import neutralising
    from pratique.store import Store

    with volume("writing") as advance:
        done = neutralising.neutralise(
            source, output, signer=named.choose(), store=Store(store or ""), leave_out=leave_out, run_id=run_id or "",
            progress=advance,
        )  # fmt: skip
    data = {
        "source": done.source.digest, "subject": done.subject.digest, "record": done.record_digest, "output": str(done.output),
        "converted": [
            {
                "source": one.source, "target": one.target, "tensors": one.tensors, "dropped": list(one.dropped),
                "shared": list(one.shared),
            }
            for one in done.converted
        ],
        "copied": list(done.copied), "left_out": list(done.left_out),
    }  # fmt: skip
    ending.tell(form, data, "\n".join(_lines(done)))


def _lines(done: Any) -> list[str]:
    lines = []
    for one in done.converted:
        lines.append(f"{one.source} -> {one.target}: {one.tensors:,} tensors")
        if one.dropped:
            lines.append(f"  not tensors, left out: {_some(one.dropped)}")
        if one.shared:
            lines.append(f"  shared memory, now copies: {_some(one.shared)}")
    lines += [f"copied: {_some(done.copied)}"] if done.copied else []
    return [*lines, f"neutralised {done.source.digest}", f"  into {done.subject.digest}", f"  at {done.output}"]


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
