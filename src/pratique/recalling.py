"""What lies in a destination, by what an earlier audit remembers of it: for `pratique audit --fast`, and for nothing else.

    with Memory() as memory:
        audit(destination, ..., recall=functools.partial(recall, memory))

It is a good guess and no proof (docs/decisions/0010-hashing.md); an import contract keeps it from gates and promotions.
"""

from __future__ import annotations

from pathlib import Path

from pratique import artifacts, listing
from pratique.artifacts import Limits
from pratique.destinations import Destination
from pratique.errors import EvidenceError
from pratique.remembering import Memory
from pratique.statements import Clearance


def recall(memory: Memory, folder: Path, one: Clearance) -> tuple[str, int]:
    """The digest of what lies where a clearance says, and how many of its files were not read.

    Raises:
        EvidenceError: something else lies there. ArtifactError: it cannot be read. StoreError: no memory.
    """
    path = Path(Destination(str(folder)).where(one))
    is_file = one.resource_uri.endswith(".file")
    if is_file and artifacts.looks_like_listing(path):
        raise EvidenceError(f"{path} is a list of digests, which shares its digest with the folder that it lists")
    found = listing.single(path, path.name, Limits()) if is_file else listing.tree(path, Limits(), follow=False)
    recalled = memory.digests(found)
    return artifacts.digest_of(artifacts.entries_of(found, recalled.digests), is_file=is_file), recalled.remembered
