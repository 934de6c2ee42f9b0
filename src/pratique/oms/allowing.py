"""What the format allows and we do not, each by its name. Nothing here is on unless somebody writes it down.

oms.verify("model", bundle, [supplier])                                  # nothing allowed
oms.verify("model", bundle, [supplier], allow={Allow.EMPTY_FOLDERS})     # one thing
oms.verify("model", bundle, [supplier], allow=FORMAT)                    # exactly OMS v1.0, for conformance
"""

from __future__ import annotations

from enum import Enum


class Allow(str, Enum):
    """A lenience of OMS v1.0 (sections in parentheses). In a policy: `allow: [empty-folders]`."""

    UNSIGNED_FILES = "unsigned-files"
    """Files beyond the manifest may be there (8.5). Whoever can write into the folder can add code then."""

    IGNORED_PATHS = "ignored-paths"
    """What the signer recorded as ignored may be there, with whatever content (6.2)."""

    GIT_PATHS = "git-paths"
    """`.git`, `.gitattributes`, `.github` and `.gitignore` at the top may be there, with whatever content (6.2)."""

    EMPTY_FOLDERS = "empty-folders"
    """Folders without a file in them may be there: no manifest names folders (5.2.1)."""

    EMPTY_FILES = "empty-files"
    """Under shards, files without a byte may come and go: no shard names them (6.3.2). `__init__.py` is such a file."""

    EXTRA_SIGNATURES = "extra-signatures"
    """Beside a signature that counts there may be others by nobody whom we know (DSSE)."""

    LEGACY_FORMAT = "legacy-format"
    """The predicate Digests/v0.1 of before OMS 1.0, with its own encoding of what is signed (5.1)."""

    TWIN_NAMES = "twin-names"
    """Names that are one name on some file systems, such as `A` and `a` (6.1.2)."""

    UNUSUAL_NAMES = "unusual-names"
    """Names with control characters or backslashes, and very long ones."""

    SYMLINKS = "symlinks"
    """Symbolic links are followed where the signer says that they were (6.1.1)."""


FORMAT = frozenset(Allow) - {Allow.UNSIGNED_FILES}
"""Everything that OMS v1.0 accepts without being asked: for conformance tests, and for nobody's policy."""

GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
"""What the format never signs (6.2). By default they are files like others."""
