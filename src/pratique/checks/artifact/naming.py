"""What a file's name claims: code, installation, documentation, or a format that its content must then have.

Text is accepted by name only: any program is text, and so are YAML and XML, by which loaders can be made to run code. So a
text must be called something that no loader acts on.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

_CODE = frozenset({
    ".py", ".pyc", ".pyo", ".pyd", ".pyw", ".pyx", ".pyi", ".so", ".dylib", ".dll", ".exe", ".com", ".a", ".o", ".sh",
    ".bash", ".zsh", ".fish", ".csh", ".bat", ".cmd", ".ps1", ".vbs", ".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", ".lua",
    ".rb", ".pl", ".pm", ".php", ".r", ".jl", ".java", ".class", ".jar", ".war", ".scala", ".kt", ".go", ".rs", ".c", ".cc",
    ".cpp", ".cxx", ".h", ".hpp", ".cu", ".cuh", ".m", ".mm", ".swift", ".cs", ".wasm", ".whl", ".egg", ".ipynb", ".html",
    ".htm", ".svg", ".scpt", ".desktop", ".service", ".mk", ".cmake",
})  # fmt: skip
"""Suffixes of programs, and of documents that carry them."""

_INSTALLS = (
    "*requirements*.txt", "requirements*.in", "constraints*.txt", "environment*.yml", "environment*.yaml", "conda*.yml",
    "conda*.yaml",
    "python_env.yaml", "pipfile*", "poetry.lock", "uv.lock", "pyproject.toml", "setup.cfg", "package.json", "package-lock.json",
    "dockerfile*", "containerfile*", "makefile", "jenkinsfile*", "justfile",
)  # fmt: skip
"""Files that tell an installer what to fetch and run."""

_MODELS = frozenset({".keras", ".skops", ".pt", ".pth", ".pt2", ".ckpt", ".bin", ".npz", ".model", ".ptl"})
"""Archives whose members mean something to a loader of models."""

_TEMPLATES = (".jinja", ".jinja2", ".j2")

_TEXTS = (
    "*.txt", "*.md", "*.rst", "*.asc", "*.bib", "*.sha256", "sha256sums", "readme", "license*", "licence*", "notice*",
    "copying*", "changelog", "authors", "contributors", "citation.cff", ".gitattributes", ".gitignore",
)  # fmt: skip
"""Documentation, vocabularies, checksums."""

_JSON = (".json", ".sig")
"""`model.sig` is a Sigstore bundle (OpenSSF Model Signing)."""

_CLAIMS = {
    ".safetensors": {"safetensors"}, ".parquet": {"parquet"}, ".pq": {"parquet"}, ".pkl": {"pickle", "compressed"},
    ".pickle": {"pickle", "compressed"}, ".joblib": {"pickle", "compressed"}, ".pt": {"pickle", "archive", "torch"},
    ".pth": {"pickle", "archive", "torch"}, ".ckpt": {"pickle", "archive", "torch"}, ".npz": {"archive"},
    ".keras": {"archive"}, ".zip": {"archive"}, ".skops": {"archive"}, ".mar": {"archive"}, ".npy": {"npy"},
    ".gguf": {"gguf"}, ".onnx": {"onnx"}, ".pb": {"savedmodel"}, ".index": {"bundle"}, ".h5": {"hdf5"}, ".hdf5": {"hdf5"},
    ".tflite": {"tflite"}, ".gz": {"compressed"}, ".z": {"compressed"}, ".tgz": {"compressed"}, ".bz2": {"compressed"},
    ".xz": {"compressed"}, ".lzma": {"compressed"}, ".lz4": {"compressed"}, ".zst": {"other"}, ".7z": {"other"},
    ".tar": {"tar"}, ".nemo": {"tar", "compressed"}, ".png": {"other"}, ".jpg": {"other"}, ".jpeg": {"other"},
    ".gif": {"other"}, ".pdf": {"other"}, ".sqlite": {"other"},
}  # fmt: skip


def is_code(name: str) -> bool:
    """Whether the name says that this is a program, or carries one."""
    return _suffix(name) in _CODE


def is_install(name: str) -> bool:
    """Whether an installer would act on a file of this name."""
    return any(fnmatchcase(_last(name), pattern) for pattern in _INSTALLS)


def is_path_file(name: str) -> bool:
    """Whether Python reads a text of this name when it starts, if it lies among installed packages: it can import anything."""
    return _suffix(name) == ".pth"


def is_plain_archive(name: str) -> bool:
    """Whether no loader of models would take a zip archive of this name for more than its files."""
    return _suffix(name) not in _MODELS


def is_template(name: str) -> bool:
    """Whether the name says that this is a Jinja template."""
    return _suffix(name) in _TEMPLATES


def text_format(name: str) -> str:
    """Which kind of text a name claims: json, json-lines, csv, yaml, xml, text; '' for none that is known."""
    suffix = _suffix(name)
    if suffix in _JSON:
        return "json"
    if suffix in (".jsonl", ".ndjson"):
        return "json-lines"
    if suffix in (".csv", ".tsv"):
        return "csv"
    if suffix in (".yaml", ".yml") or _last(name) == "mlmodel":
        return "yaml"
    if suffix in (".xml", ".pmml"):
        return "xml"
    return "text" if any(fnmatchcase(_last(name), pattern) for pattern in _TEXTS) else ""


def claims(name: str) -> frozenset[str]:
    """The formats (`recognising`) that a name allows; none if it says nothing."""
    return frozenset({"text"} if text_format(name) else _CLAIMS.get(_suffix(name), ()))


def _last(name: str) -> str:
    return PurePosixPath(name).name.casefold()


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.casefold()
