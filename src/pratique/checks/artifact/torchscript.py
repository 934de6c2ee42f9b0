"""TorchScript archives, which `torch.jit.save` writes: tensors, objects and a program.

    net/data.pkl  net/data/0 ...          the objects, and the storages of their tensors
    net/constants.pkl  net/constants/0    numbers of the program
    net/code/__torch__.py ...             the program (`scripts`), each file with a .debug_pkl that says where it came from
    net/traced_inputs.pkl ...             what it was traced with

What passes computes with tensors, and does nothing else: every operator is on a list, every object is of a class that the
archive itself defines, every storage has the size that is asked for.

Format: torch/csrc/jit/serialization/export.cpp and import.cpp.
"""

from __future__ import annotations

from pratique.checking import Finding
from pratique.checks.artifact import machine, pickles, scripts, torches, zips
from pratique.checks.artifact.granting import NOTHING, Grants, grants
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

_PICKLES = ("data", "constants", "traced_inputs")
_SMALL = torches.SMALL | {".data/version"}
_CALLS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "build_tensor_from_id", "restore_type_tag")
"""Functions of torch.jit._pickle: typed lists, and the types of containers as text."""


_LISTS = Grants(roles={("torch.jit._pickle", name): frozenset({"call"}) for name in _CALLS[:4]})
"""What notes about the source may import."""


def is_archive(members: list[zips.Member]) -> bool:
    """Whether an archive holds what `torch.jit.load` reads first, beside what `torch.load` does."""
    inside = [member.name.partition("/")[2] for member in members]
    return any(name == "constants.pkl" or name.startswith("code/") for name in inside)


def program(members: list[zips.Member], formats: tuple[str, ...]) -> str:
    """Why an archive of PyTorch is refused for the program that it carries; '' if it carries none, or may."""
    inside = {member.name.partition("/")[2] for member in members} | {member.name for member in members}
    if ".data/extern_modules" in inside:
        return "this is a torch.package: Python modules, and pickles that call them"
    if inside & {"archive_format", "serialized_exported_program.json"}:
        return "this is a program of torch.export: PyTorch evaluates expressions in it, and it may carry compiled code"
    if "bytecode.pkl" in inside:
        return "this is a program for PyTorch Mobile, in bytecode"
    if is_archive(members) and "torchscript" not in formats:
        return "this is a TorchScript archive: tensors, and a program that computes with them"
    return ""


def look_at_archive(view: View, members: list[zips.Member], asked: Grants = NOTHING) -> Sight:
    """Read the program, then the objects. `asked` is ignored: what the pickles of such an archive may import is fixed."""
    findings: list[Finding] = []
    used = 0
    try:
        inside = _inside(members)
        program = scripts.Program(_sources(view.data, inside))
        allowed = _allowed(program)
        for name, member in inside.items():
            folder = name.removesuffix(".pkl")
            if folder in _PICKLES or name.endswith(".debug_pkl"):
                found, count = _pickle(view, member, allowed if folder in _PICKLES else _LISTS, folder, inside)
                findings += found
                used += count
            elif not name.startswith("code/") and name in _SMALL:
                torches.ensure_sound(view.data, name, member)
        if spare := sorted(
            name for name in inside if name.partition("/")[0] in _PICKLES and f"{name.partition('/')[0]}.pkl" not in inside
        ):
            raise Malformed(f"nothing asks for {shown(spare[0])}")
    except Malformed as error:
        findings.append(_malformed(view.name, str(error)))
    return Sight(findings=tuple(findings), counts={"pickle_globals": used})


def _inside(members: list[zips.Member]) -> dict[str, zips.Member]:
    """The members by their names below the one folder; each is of a kind that `torch.jit.save` writes."""
    prefix = members[0].name.split("/")[0]
    inside: dict[str, zips.Member] = {}
    for member in members:
        top, _, name = member.name.partition("/")
        folder, _, key = name.partition("/")
        storage = folder in _PICKLES and key.isdecimal() and key.isascii()
        code = folder == "code" and name.endswith((".py", ".debug_pkl"))
        if top != prefix or not (storage or code or name in _SMALL or name.removesuffix(".pkl") in _PICKLES):
            raise Malformed(f"a member that is no part of tensors and a program: {shown(member.name)}")
        if member.method != zips.STORED and not code:
            raise Malformed(f"a compressed member, {shown(member.name)}: PyTorch writes none")
        inside[name] = member
    if not {"data.pkl", "constants.pkl"} <= inside.keys():
        raise Malformed("no data.pkl, or no constants.pkl")
    return inside


def _sources(data: Bytes, inside: dict[str, zips.Member]) -> dict[str, bytes]:
    """The code by the names of its modules."""
    names = [name for name in inside if name.startswith("code/") and name.endswith(".py")]
    if sum(inside[name].size for name in names) > scripts.MAX_CODE:
        raise Malformed(f"more than {scripts.MAX_CODE:,} bytes of code")
    return {
        name.removeprefix("code/").removesuffix(".py").replace("/", "."): b"".join(zips.blocks(data, inside[name]))
        for name in names
    }


def _allowed(program: scripts.Program) -> Grants:
    """What PyTorch's own reader of these pickles knows, and the classes of the archive."""
    roles = dict(grants(["torch"], ()).roles)
    roles.update({("torch.jit._pickle", name): frozenset({"call"}) for name in _CALLS})
    roles.update({one: frozenset({"new", "state"}) for one in program.classes})
    return Grants(roles=roles)


def _pickle(
    view: View, member: zips.Member, allowed: Grants, folder: str, inside: dict[str, zips.Member]
) -> tuple[list[Finding], int]:
    """One of the pickles, where it lies or inflated, and the storages that it asks for."""
    where = f"{view.name}, member {shown(member.name)}"
    with zips.opened(view.data, member) as (data, start, end):
        reading = machine.read(data, start, persistent=folder in _PICKLES)
        found = [*pickles.refusals(where, reading, allowed, start), *pickles.faults(where, reading, start)]
        if reading.end is not None and reading.end != end:
            found.append(pickles.malformed(where, reading.end - start, "it does not end with its member"))
    if folder in _PICKLES:
        prefix = f"{folder}/"
        have = {name.removeprefix(prefix): one.size for name, one in inside.items() if name.startswith(prefix)}
        if folder == "traced_inputs":  # PyTorch leaves their storages empty, and does not load them
            have = {
                key: size or reading.storages.get(key, (0, 0))[0] * reading.storages.get(key, (0, 0))[1]
                for key, size in have.items()
            }
        torches.ensure_storages(reading, have)
    return found, reading.used


def _malformed(name: str, message: str) -> Finding:
    return finding("torchscript-unsafe", name, f"not a program that only computes: {message}")
