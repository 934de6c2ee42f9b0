"""TorchScript: programs that compute with tensors pass; whatever reaches for files, or for anything unknown, does not."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest

from pratique.checking import Finding
from pratique.checks.artifact import scripts
from pratique.checks.artifact.looking import Asked
from pratique.checks.artifact.looking import look as look_at_file
from pratique.checks.artifact.viewing import opened
from pratique.errors import Malformed
from tests.checks.pickling import call, name, text

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*might cause the trace to be incorrect.*"),
    pytest.mark.filterwarnings("ignore:.*is deprecated.*"),
]

HONEST = """class Net(Module):
  __parameters__ = ["weight", ]
  __buffers__ = []
  weight : Tensor
  training : bool
  inner : __torch__.Inner
  __annotations__["0"] = __torch__.Inner
  size : Final[Tuple[int, int]] = (1, 1)
  def forward(self: __torch__.Net,
    x: Tensor,
    p: Optional[float]=None) -> Tensor:
    _0 = __torch__.f
    inner = self.inner
    y = (inner).forward(torch.linear(x, self.weight), )
    y0 = (getattr(self, "0")).forward(y, )
    if bool(torch.gt(torch.sum(y0), 0)):
      z = _0(torch.add(y0, 1), -inf, )
    else:
      z = annotate(Tensor, CONSTANTS.c0)
    ops.prim.RaiseException("no {}", "builtins.ValueError")
    _1, _2, = torch.max(z, 1)
    for i in range(torch.len([1, 2])):
      self.training = False
    return unchecked_cast(Tensor, z)
class Inner(Module):
  __parameters__ = []
  __buffers__ = []
  def forward(self: __torch__.Inner,
    x: Tensor) -> Tensor:
    return torch.relu(x)
def f(x: Tensor,
    n: float) -> Tensor:
  return x
"""


def archive(
    code: str | bytes = HONEST, more: dict[str, bytes] | None = None, data: bytes = b"\x80\x02c__torch__\nNet\n)\x81}b."
) -> bytes:
    stream = io.BytesIO()
    members = {
        "data.pkl": data, "code/__torch__.py": code if isinstance(code, bytes) else code.encode(),
        "constants.pkl": b"\x80\x02).", "version": b"3\n", **(more or {}),
    }  # fmt: skip
    with zipfile.ZipFile(stream, "w") as file:
        for key, content in members.items():
            file.writestr(f"n/{key}", content)
    return stream.getvalue()


def look(tmp_path: Path, data: bytes, formats: tuple[str, ...] = ("torchscript", "torch")) -> list[Finding]:
    (tmp_path / "m.pt").write_bytes(data)
    with opened(tmp_path / "m.pt", "m.pt") as view:
        return list(look_at_file(view, Asked(formats=formats, max_json_bytes=1, max_text_bytes=1)).findings)


class Layers(torch.nn.Module):  # type: ignore[misc]
    """Branches, loops, containers and recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Conv1d(4, 4, 1), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.1))
        self.many = torch.nn.ModuleList([torch.nn.Linear(4, 4) for _ in range(3)])
        self.memory = torch.nn.LSTM(4, 4)
        self.attention = torch.nn.TransformerEncoderLayer(4, 2, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.transpose(1, 2)).transpose(1, 2)
        for layer in self.many:
            x = layer(x)
        if bool(x.sum() > 0):
            x = x + 1
        return self.attention(self.memory(x)[0])  # type: ignore[no-any-return]


def test_honest_programs_of_real_layers(tmp_path: Path) -> None:
    model = Layers().eval()
    for module in (torch.jit.script(model), torch.jit.trace(model, torch.ones(2, 3, 4), check_trace=False)):
        torch.jit.save(module, tmp_path / "real.pt")
        assert look(tmp_path, (tmp_path / "real.pt").read_bytes()) == []


def test_the_honest_program_of_these_tests(tmp_path: Path) -> None:
    assert look(tmp_path, archive()) == []


def test_a_program_that_nobody_asked_for(tmp_path: Path) -> None:
    (found,) = [one for one in look(tmp_path, archive(), ("torch",)) if one.rule == "program-archive"]
    assert "TorchScript" in found.message and "`torchscript` in `formats`" in found.fix


def body(line: str) -> str:
    return HONEST.replace("    inner = self.inner\n", f"    inner = self.inner\n    {line}\n")


@pytest.mark.parametrize(
    "line",
    [
        'a = torch.from_file("/etc/passwd", True, 10)',
        'torch.save(x, "/tmp/x")',
        'torch.load("x")',
        'x.save("/tmp/x")',  # operators can be called like methods
        '(torch.relu(x)).save("/tmp/x")',
        'a = x.save',
        '(inner).save("/tmp/x")',
        'getattr(x, "save")("/tmp/x")',
        'getattr(inner, "save")',
        "a = torch",
        "a = ops",
        "a = __torch__",
        "torch = self",
        "f = self\n    f = x",
        'ops.prim.PythonOp("x")',
        'ops.aten.save(x, "f")',
        'ops.image.read_file("x")',
        "a = __torch__.torch.classes.evil.Thing()",
        "a = __torch__.missing()",
        "a = torch.classes.evil",
        "a : __torch__.missing = x",
        'a = annotate(Future[Tensor], x)',
        "with torch.no_grad():\n      pass",
        "import os",
        "del x",
        "raise x",
        "global x",
        "a = lambda: x",
        "a = [y for y in x]",
        'a = f"{x}"',
        'a = b"x"',
        'a = r"\\"',
        'a = """x"""',
        "a = (yield x)",
        "a = (b := x)",
        "exec(x)",
        "print(x)",
        'eval("1")',
        "a = unknown",
        "a = x # type: ignore",
        "a = x; b = x",
        "a = \\\n x",
        "a = *x",
        "torch.add(*x)",
        "torch.add(**x)",
        "range = x",
        "a = torch.\u0066rom_\uff46ile",  # Python would take it for the ASCII name
        "try:\n      pass\n    except:\n      pass",
        "def g(x: Tensor) -> Tensor:\n      return x",
    ],
)  # fmt: skip
def test_a_program_that_does_more_than_compute(tmp_path: Path, line: str) -> None:
    assert body(line) != HONEST
    assert [one.rule for one in look(tmp_path, archive(body(line)))] == ["torchscript-unsafe"]


def test_a_method_of_the_archive_does_not_open_the_operator_of_the_same_name(tmp_path: Path) -> None:
    """`save` is defined in the archive; called on a tensor it would still be PyTorch's own."""
    own = HONEST.replace(
        "class Inner(Module):\n",
        "class Inner(Module):\n  def save(self: __torch__.Inner, f: str) -> Tensor:\n    return CONSTANTS.c0\n",
    )
    honest = own.replace("    inner = self.inner\n", '    inner = self.inner\n    a = (inner).save("f")\n')
    assert look(tmp_path, archive(honest)) == []
    assert look(tmp_path, archive(own.replace("    inner = self.inner\n", '    inner = self.inner\n    a = (x).save("f")\n')))


@pytest.mark.parametrize(
    "code",
    [
        b"", b"\xff", b"\0", b"(" * 300, b"a" * 100_000, b"def f(" + b"x," * 9, b"-" * 20_000 + b"1", "def é(): pass".encode(),
        b"x = 1", b"import os", b"class N(os.path): pass", b"@f\ndef g(): pass", b"class N(Module, metaclass=f): pass",
        b"class N(Module):\n  a : int = f()", b"class N(Module):\n  x[0] = 1", b"class N(Module):\n  a : os",
        b"def f(*a): pass", b"def f(x: Tensor=torch.save): pass", b"def f(): pass\ndef f(): pass", b"async def f(): pass",
        b"def f() -> os.x: pass", b"def f():\n" + b"  if 1:\n".join(b" " * n for n in range(120)),
        b"def f(x: Tensor):\n  return " + b"(x." * 80,
        b"def f():\n  return " + b"+".join([b"1"] * 50_000),
    ],
)  # fmt: skip
def test_code_that_is_none_or_of_another_form(tmp_path: Path, code: bytes) -> None:
    found = look(tmp_path, archive(code))
    assert found, "without the class that its pickle asks for nothing passes"
    assert {one.rule for one in found} <= {"torchscript-unsafe", "pickle-global"}


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
        b"\x80\x02c__torch__\nOther\n)\x81}b.",
        b"\x80\x02c__torch__\nNet\n)R.",
        b"\x80\x02c__torch__\nNet\n)\x81}b.trailing",
        b"\x80\x04" + call(name("torch.jit._pickle", "build_intlist"), name("posix", "system")) + b".",
        b"\x80\x04" + call(name("torch.jit._pickle", "import_"), text("os")) + b".",
        b"", b"\x80\x02",
    ],
)  # fmt: skip
def test_objects_that_are_not_of_the_archive(tmp_path: Path, data: bytes) -> None:
    assert look(tmp_path, archive(data=data))


@pytest.mark.parametrize(
    "more",
    [
        {"code/__torch__.so": b"\x7fELF"}, {"extra/run.sh": b"x"}, {"evil.py": b"x"},
        {"data/0": b"1234"}, {"constants/0": b"1"}, {"bytecode.pkl": b"."},
        {"code/__torch__.py.debug_pkl": b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."}, {"model.pkl": b"."},
        {"code/other.py": b"def f():\n  torch.save(1)\n"}, {"traced_inputs.pkl": b"\x80\x02cos\nsystem\n."},
    ],
)  # fmt: skip
def test_members_beside_the_program(tmp_path: Path, more: dict[str, bytes]) -> None:
    assert look(tmp_path, archive(more=more))


def test_a_program_of_torch_export_and_a_package_are_named(tmp_path: Path) -> None:
    """torch.export.load evaluates text of the archive (sympify), and a package is Python."""
    program = torch.export.export(torch.nn.Sequential(torch.nn.Linear(2, 2)), (torch.ones(1, 2),))
    torch.export.save(program, tmp_path / "e.pt2")
    (found,) = look(tmp_path, (tmp_path / "e.pt2").read_bytes())
    assert found.rule == "program-archive" and "torch.export" in found.message
    with torch.package.PackageExporter(str(tmp_path / "p.pt")) as exporter:
        exporter.save_text("notes", "a.txt", "hello")
        exporter.save_source_string("evil", "x = 1")
    found = look(tmp_path, (tmp_path / "p.pt").read_bytes())[-1]
    assert found.rule == "program-archive" and "torch.package" in found.message


def test_no_operator_on_the_list_touches_the_world() -> None:
    words = (
        "file",
        "save",
        "load",
        "open",
        "read",
        "write",
        "rpc",
        "wait",
        "seed",
        "fork",
        "print",
        "python",
        "process",
        "exec",
    )
    listed = scripts.operators() | scripts.primitives()
    assert len(listed) > 900
    assert [one for one in listed if any(word in one.lower().split("_") for word in words)] == []


def test_every_operator_on_the_list_is_one_of_this_pytorch() -> None:
    if not torch.__version__.startswith("2.13"):
        pytest.skip("the list was made for PyTorch 2.13")
    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    assert [one for one in scripts.operators() if f"aten::{one}" not in known] == []


def test_mutants_of_a_program_never_crash_the_reader_and_never_gain_a_file() -> None:
    dice = random.Random(4)
    source = HONEST.encode()
    parts = [
        b'torch.save(x, "f")',
        b"x.save",
        b"(",
        b")",
        b"\n",
        b"  ",
        b"torch.",
        b"self.",
        b'"',
        b"#",
        b"=",
        b"\\",
        b"\xc3",
        b":",
    ]
    for _ in range(1_500):
        at, to = dice.randrange(len(source)), dice.randrange(4)
        mutant = source[:at] + dice.choice(parts) + source[at + to :]
        try:
            scripts.Program({"__torch__": mutant})
        except Malformed:
            continue
        assert b"save" not in mutant.replace(b'"', b"") or _only_in_text(mutant), mutant


def _only_in_text(source: bytes) -> bool:
    """Whether every `save` stands within a string."""
    return all(part % 2 for part, piece in enumerate(source.split(b'"')) if b"save" in piece)
