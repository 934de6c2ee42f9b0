"""Pickles written again as safetensors: the same bits, nothing lost in silence, nothing run, nothing left behind."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique import neutralising, statements
from pratique.errors import ArtifactRefused, UsageError
from pratique.neutralising import neutralise
from pratique.signing import KeySigner
from pratique.store import Store
from pratique.testing import folder_of

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

DTYPES = (
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "bool", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip


def saved(value: object, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def bits(tensor: Any) -> tuple[Any, tuple[int, ...], bytes]:
    dense = tensor.detach().clone(memory_format=torch.contiguous_format)
    return (
        tensor.dtype,
        tuple(tensor.shape),
        bytes(dense.reshape(-1).view(torch.uint8).numpy().tobytes()) if dense.numel() else b"",
    )


def ensure_same(data: bytes, folder: Path) -> None:
    """PyTorch's own restricted loader is the judge."""
    from safetensors.torch import load_file

    there = load_file(folder)
    wanted = torch.load(io.BytesIO(data), weights_only=True)
    assert {name: bits(one) for name, one in there.items()} == {name: bits(one) for name, one in wanted.items()}


def turned(tmp_path: Path, data: bytes, name: str = "w.pt") -> Path:
    source = folder_of(tmp_path / "in", {name: data})
    neutralise(source, tmp_path / "out", store=Store(str(tmp_path / "store")))
    return tmp_path / "out" / "w.safetensors"


@pytest.mark.parametrize("legacy", [False, True])
def test_every_type_every_stride_bit_for_bit(tmp_path: Path, legacy: bool) -> None:
    raw = torch.arange(8 * 24, dtype=torch.uint8)
    state: dict[str, Any] = {}
    for name in DTYPES:
        if legacy and (name.startswith("float8") or (name.startswith("uint") and name != "uint8")):
            continue
        base = (raw % 2).bool() if name == "bool" else raw.clone().view(getattr(torch, name))
        state[name], state[f"{name}.turned"] = base, base[:12].reshape(3, 4).t()
        state[f"{name}.gaps"], state[f"{name}.zero"] = base[1::2], base[3]
        state[f"{name}.empty"], state[f"{name}.wide"] = base[:0].reshape(0, 3), base[:2, None].expand(2, 5)
        state[f"{name}.cut"] = base[:24].reshape(2, 3, 4)[:, 1:, ::2]
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    data = saved(state, legacy=legacy)
    ensure_same(data, turned(tmp_path, data))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_view_of_any_storage_is_written_as_torch_sees_it(tmp_path: Path, data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
    strides = data.draw(st.lists(st.integers(0, 9), min_size=len(shape), max_size=len(shape)))
    offset = data.draw(st.integers(0, 5))
    need = offset + sum(max(0, count - 1) * step for count, step in zip(shape, strides, strict=True)) + 1
    dtype = getattr(torch, data.draw(st.sampled_from(["int8", "bfloat16", "float32", "int64"])))
    storage = torch.arange(need + 8 * 3, dtype=torch.float32).to(dtype)
    tensor = storage.as_strided(shape, strides, offset)
    file = tmp_path / "any.safetensors"
    blob = saved({"w": tensor, "all": storage})
    (tmp_path / "any.pt").write_bytes(blob)
    with neutralising.opened(tmp_path / "any.pt", "any.pt") as view, file.open("wb") as stream:
        neutralising.write(stream, view.data, neutralising.drawing.draw(view))
    ensure_same(blob, file)


def test_large_gaps_are_read_in_blocks(tmp_path: Path) -> None:
    wide = torch.arange(600_000.0).reshape(300, 2000)
    data = saved(
        {"t": wide.t(), "s": wide.reshape(-1)[::3], "far": wide[:, :1], "e": torch.ones(1, 1).expand(700, 700), "w": wide}
    )
    ensure_same(data, turned(tmp_path, data))


def test_arrays_of_numpy(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    arrays = {
        "a": np.arange(6, dtype="<f4").reshape(2, 3),
        "f": np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
        "z": np.array(3.5),
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    source = folder_of(tmp_path / "in", {"w.npz": file.getvalue()})
    neutralise(source, tmp_path / "out", store=Store(str(tmp_path / "store")))
    there = load_file(tmp_path / "out" / "w.safetensors")
    assert there.keys() == arrays.keys()
    assert all(np.array_equal(there[name], one) and there[name].dtype == one.dtype for name, one in arrays.items())


def test_a_training_checkpoint_is_flattened_and_says_what_it_drops(tmp_path: Path) -> None:
    tied = torch.ones(2)
    data = saved({"model": {"a": tied, "b": tied}, "optim": [{"m": torch.zeros(1)}], "epoch": 3, "lr": 0.1})
    source = folder_of(tmp_path / "in", {"w.ckpt": data})
    done = neutralise(source, tmp_path / "out", store=Store(str(tmp_path / "store")))
    (one,) = done.converted
    assert (one.tensors, set(one.dropped), one.shared) == (3, {"epoch", "lr"}, ("model.b",))


def test_a_model_in_parts_keeps_its_index(tmp_path: Path) -> None:
    parts = {f"pytorch_model-0000{n}-of-00002.bin": saved({f"w{n}": torch.ones(n)}) for n in (1, 2)}
    index = {"metadata": {"total_size": 12}, "weight_map": {f"w{n}": f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)}}
    files = {**parts, "pytorch_model.bin.index.json": json.dumps(index).encode(), "config.json": b"{}", "sub/a.txt": b"a"}
    done = neutralise(folder_of(tmp_path / "in", files), tmp_path / "out", store=Store(str(tmp_path / "store")))
    written = json.loads((done.output / "model.safetensors.index.json").read_text())
    assert written["weight_map"] == {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    assert sorted(done.copied) == ["config.json", "sub/a.txt"]
    assert (done.output / "sub/a.txt").read_bytes() == b"a"


class _Evil:
    def __reduce__(self) -> Any:
        return (__import__("os").system, ("true",))


def _oversize() -> bytes:
    return saved({"w": torch.ones(1).expand(1 << 20)})


def _beyond() -> bytes:
    data = saved({"w": torch.ones(4)}, legacy=True)
    return data[:-16] + data[-8:]  # the storage is cut


REFUSED: dict[str, tuple[Any, str]] = {
    "code": (lambda: saved({"w": torch.ones(2), "x": _Evil()}), "system"),
    "code in a legacy file": (lambda: saved({"w": torch.ones(2), "x": _Evil()}, legacy=True), "system"),
    "a bomb of expanded views": (_oversize, "bomb"),
    "a storage that is cut off": (_beyond, "cut off"),
    "complex numbers": (lambda: saved({"w": torch.zeros(2, dtype=torch.complex64)}), "no type"),
    "a negated view": (lambda: saved({"w": torch._neg_view(torch.ones(2))}), "flags"),
    "a sparse tensor": (lambda: saved({"w": torch.ones(2).to_sparse()}), "."),
    "a name with control characters": (lambda: saved({"w\x1b[2J": torch.ones(2)}), "no name"),
    "a name that safetensors keeps for itself": (lambda: saved({"__metadata__": torch.ones(2)}), "no name"),
    "two names that become one": (lambda: saved({"a": {"b": torch.ones(1)}, "a.b": torch.ones(2)}), "two tensors"),
    "no tensor": (lambda: saved({"a": 1}), "no tensor"),
    "a plain pickle": (lambda: __import__("pickle").dumps({"a": 1}), "no checkpoint"),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_refused_and_nothing_is_written_or_recorded(tmp_path: Path, attack: str) -> None:
    make, says = REFUSED[attack]
    source = folder_of(tmp_path / "in", {"w.pt": make(), "honest.pt": saved({"w": torch.ones(2)})})
    with pytest.raises(ArtifactRefused, match=says):
        neutralise(source, tmp_path / "out" / "here", store=Store(str(tmp_path / "store")))
    assert not list((tmp_path / "out").iterdir())
    assert not list((tmp_path / "store").rglob("*.sigstore.json"))


def test_nothing_is_overwritten_and_two_files_never_become_one(tmp_path: Path) -> None:
    data = saved({"w": torch.ones(2)})
    store = Store(str(tmp_path / "store"))
    taken = folder_of(tmp_path / "taken", {"a": b"1"})
    with pytest.raises(UsageError, match="taken"):
        neutralise(folder_of(tmp_path / "in", {"w.pt": data}), taken, store=store)
    both = folder_of(tmp_path / "both", {"w.pt": data, "w.bin": data})
    with pytest.raises(ArtifactRefused, match="two files"):
        neutralise(both, tmp_path / "out", store=store)
    assert neutralise(both, tmp_path / "out", store=store, leave_out=["w.bin"]).left_out == ("w.bin",)
    with pytest.raises(UsageError, match="leave out"):
        neutralise(both, tmp_path / "more", store=store, leave_out=["nothing"])


def test_interrupted_half_way_leaves_nothing(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    source = folder_of(tmp_path / "in", {"w.pt": saved({"w": torch.ones(2)})})
    with pytest.raises(KeyboardInterrupt):
        neutralise(source, tmp_path / "out" / "here", store=Store(str(tmp_path / "store")), progress=stop)
    assert not list((tmp_path / "out").iterdir())


def test_the_command_and_its_record(tmp_path: Path, pratique: Any) -> None:
    source = folder_of(tmp_path / "in", {"pytorch_model.bin": saved({"w": torch.ones(2)})})
    key = KeySigner.generate()
    key.save(tmp_path / "k.key")
    words = ("neutralise", source, "-o", tmp_path / "out", "--store", tmp_path / "store", "--key", tmp_path / "k.key")
    code, out, _ = pratique(*words, "--format", "json")
    told = json.loads(out)
    assert (code, told["converted"][0]["target"]) == (0, "model.safetensors")
    assert pratique("check", "artifact", tmp_path / "out", "--store", tmp_path / "store")[0] == 0
    (bundle,) = (tmp_path / "store").rglob("records/**/*.sigstore.json")
    record = statements.TrainingRecord.parse(_payload(bundle.read_bytes()))
    assert record.build_type == statements.NEUTRALISE
    assert (record.subject.digest, record.materials[0].subject.digest) == (told["subject"], told["source"])
    assert pratique(*words)[0] == 2


def _payload(bundle: bytes) -> bytes:
    import base64

    return base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])


def test_lineage_and_trace_follow_the_record(tmp_path: Path) -> None:
    """From the safetensors to the pickle that they were, which must be cleared; nobody takes the record for a training's."""
    from datetime import datetime, timedelta, timezone

    from pratique import checking, signing, tracing
    from pratique.artifacts import open_artifact
    from pratique.checks.lineage import lineage
    from pratique.statements import Clearance

    trainer, gate, store = KeySigner.generate(), KeySigner.generate(), Store(str(tmp_path / "store"))
    source = folder_of(tmp_path / "in", {"w.pt": saved({"w": torch.ones(2)})})
    done = neutralise(source, tmp_path / "out", signer=trainer, store=store)

    trust = {"trainer": trainer.trusted("trainer"), "gate": gate.trusted("gate")}
    setting = checking.Setting(base=tmp_path, store=store.uri, trust=trust)

    def rules(**more: Any) -> list[str]:
        options = checking.options_for(lineage, {"trainers": ["trainer"], "gates": ["gate"], **more}, setting)
        found = checking.run(lineage, open_artifact(tmp_path / "out"), options).findings
        assert all("training record names" not in one.message for one in found)
        return [one.rule for one in found]

    assert rules() == ["no-dataset", "base-not-cleared"]
    now = datetime.now(timezone.utc)
    clearance = Clearance(
        subject=done.source, kind="model", verifier=f"urn:pratique:gate:{gate.trusted().fingerprint}", resource_uri="in",
        policy_digest="sha256:" + "5" * 64, evidence=("sha256:" + "5" * 64,), levels=("PRATIQUE_SHAPE",), made_at=now,
        expires=now + timedelta(days=7),
    )  # fmt: skip
    store.add("clearances", done.source, signing.sign(clearance.statement(), signing.INTOTO, gate))
    assert rules() == ["no-dataset"], "it says nothing of datasets, so who requires them is not content"
    assert rules(require_dataset=False) == []

    seen = tracing.trace(tracing.chart(store, [trust["trainer"]]), done.source.digest)
    assert [step.digest for step in seen.downstream] == [done.subject.digest]
    assert store.uri and tracing.chart(store, [trust["gate"]]).names.get(done.subject.digest) is None
