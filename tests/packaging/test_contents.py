"""What is in the wheel and in the sdist: every file of every room, and nothing else."""

from __future__ import annotations

import tarfile
from pathlib import Path

from .conftest import ROOT, Built, opened, rooms, setup_cfg

NEEDED = ("pratique/py.typed", "pratique/baseline.yaml", "pratique/report.css", "pratique/provider.py")


def files_of_the_rooms(root: Path) -> dict[str, Path]:
    """Every file below the mapped folders, by the path that it must have in a wheel."""
    found = {}
    for folder, package in rooms().items():
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[f"{package.replace('.', '/')}/{path.relative_to(root / folder).as_posix()}"] = path
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    """Everything but the metadata."""
    with opened(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_every_folder_with_code_is_a_package() -> None:
    """setup.cfg lists packages by hand, because their folders are mapped; a forgotten one is missing from the wheel alone."""
    written = {line.strip() for line in setup_cfg()["options"]["packages"].split("\n") if line.strip()}
    there = {
        path.rpartition("/")[0].replace("/", ".") for path in files_of_the_rooms(ROOT) if path.endswith(".py")
    }  # fmt: skip
    assert written == there


def test_the_wheel_holds_every_file_of_every_room_and_nothing_else(built: Built) -> None:
    """Code, and what the code reads: policies, schemas, style sheets, compiled components, their READMEs."""
    there = {name: path.read_bytes() for name, path in files_of_the_rooms(built.source).items()}
    inside = contents(built.wheel)
    assert sorted(there) == sorted(inside)
    assert not [name for name in there if there[name] != inside[name]]
    assert not [name for name in NEEDED if name not in inside]


def test_the_sdist_builds_the_wheel_that_the_sources_build(built: Built) -> None:
    assert contents(built.wheel) == contents(built.wheel_from_tree)
    with opened(built.wheel) as one, opened(built.wheel_from_tree) as other:
        for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
            path = f"pratique-{version()}.dist-info/{name}"
            assert one.read(path) == other.read(path)


def test_the_sdist_is_the_whole_source(built: Built) -> None:
    """Whoever packages it can read the documents and run the tests."""
    with tarfile.open(built.sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    kept = [path for path in built.source.rglob("*") if path.is_file() and path.name != ".gitignore"]
    expected = {path.relative_to(built.source).as_posix() for path in kept if ".egg-info" not in str(path)}
    assert not {path for path in expected if not path.startswith("build/")} - inside


def test_the_metadata_says_what_a_package_index_shows(built: Built) -> None:
    with opened(built.wheel) as archive:
        text = archive.read(f"pratique-{version()}.dist-info/METADATA").decode()
    head = text.partition("\n\n")[0].splitlines()
    assert f"Version: {version()}" in head and "License: Apache-2.0" in head and "Requires-Python: >=3.10" in head
    extras = {line.partition(": ")[2] for line in head if line.startswith("Provides-Extra")}
    assert {"airflow", "kfp", "data", "torch", "all", "dev"} <= extras
    assert (ROOT / "README.md").read_text() in text


def test_neither_airflow_nor_kfp_nor_torch_is_needed_by_the_core(built: Built) -> None:
    with opened(built.wheel) as archive:
        head = archive.read(f"pratique-{version()}.dist-info/METADATA").decode().partition("\n\n")[0]
    core = [line.lower() for line in head.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    heavy = ("airflow", "kfp", "torch", "great", "pandas", "numpy", "scikit", "pyarrow")
    assert core and not [line for line in core if any(name in line for name in heavy)]


def version() -> str:
    import pratique

    return pratique.__version__
