"""OpenSSF Model Signing v1.0: one signature over every file of a model or dataset.

    write_signature(Path("model"), KeySigner.load(Path("supplier.key")))    # model/model.sig
    manifest = read(Path("model/model.sig").read_bytes(), [supplier])
    manifest.entries                                                        # {"weights.safetensors": ("<sha256>",), ...}
    verify_files(Path("model"), manifest, ["weights.safetensors"])          # just before it is loaded

By whole files or by shards, by sha256, blake2b or blake3, over a folder or one file. What is written verifies with the package
`model-signing` 1.1.1 wherever that keeps to the specification, and the other way round. On purpose it differs in this, unless
somebody names what to allow (`Allow`):

- Everything is signed, git's own files too. `model-signing` leaves out `.git`, `.gitattributes`, `.github` and `.gitignore`
  unless told otherwise (`ignore_git_paths=False`, on its command line `--no-ignore-git-paths`).
- A manifest is read strictly: names in order, normal, each once, none that is one with another on some file systems; no
  v0.1 predicate; no signature in the bundle that nobody trusted made.
- The signer's `ignore_paths` are read and decide nothing.
- No empty folder is signed or accepted, and under shards no empty file: the format covers neither.

Specification: https://github.com/ossf/model-signing-spec, spec/v1.0.md. The parts: `allowing`, `hashing`, `names`, `manifests`,
`parsing`, `reading`, `trees`, `comparing`, `verifying`, `writing`.
"""

from pratique.oms.allowing import FORMAT as FORMAT
from pratique.oms.allowing import GIT_PATHS as GIT_PATHS
from pratique.oms.allowing import Allow as Allow
from pratique.oms.hashing import SHARD_SIZE as SHARD_SIZE
from pratique.oms.hashing import Hashing as Hashing
from pratique.oms.manifests import Manifest as Manifest
from pratique.oms.manifests import version_numbers as version_numbers
from pratique.oms.reading import claimed_signer as claimed_signer
from pratique.oms.reading import read as read
from pratique.oms.verifying import verify as verify
from pratique.oms.verifying import verify_files as verify_files
from pratique.oms.writing import SIGNATURE as SIGNATURE
from pratique.oms.writing import SUFFIX as SUFFIX
from pratique.oms.writing import sign as sign
from pratique.oms.writing import write_signature as write_signature
