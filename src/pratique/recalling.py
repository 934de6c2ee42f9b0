"""What lies in a destination, by what an earlier audit remembers of it: for `pratique audit --fast`, and for nothing else.

    with Memory() as memory:
        audit(destination, ..., recall=functools.partial(recall, memory))

It is a good guess and no proof (docs/decisions/0010-hashing.md); an import contract keeps it from gates and promotions.
"""

from __future__ import annotations

from pathlib import Path

from pratique import artifacts, listing
from pratique.artifacts import Limits
from pratique.destinations import place
from pratique.errors import ArtifactError
from pratique.remembering import Memory
from pratique.statements import Clearance


def recall(memory: Memory, folder: Path, one: Clearance) -> tuple[str, int]:
    """The digest of what lies where a clearance says, and how many of its files were not read.

    Raises:
        ArtifactError: it cannot be read, or was not there. StoreError: no memory.
    """
    single = folder / place(one.subject, is_file=True)
    if single.is_dir():
        inner = sorted(single.iterdir())
        if len(inner) != 1:
            raise ArtifactError(f"{single} holds {len(inner)} files, not one")
        found = listing.single(inner[0], inner[0].name, Limits())
    else:
        found = listing.tree(folder / place(one.subject, is_file=False), Limits(), follow=False)
    recalled = memory.digests(found)
    return artifacts.digest_of(artifacts.entries_of(found, recalled.digests), is_file=single.is_dir()), recalled.remembered
