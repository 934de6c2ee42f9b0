"""How many honest models pass with the packs that docs/checks/artifact.md recommends, library by library.

    python benchmarks/benign.py                       every library that is installed; the others are named as not measured
    python benchmarks/benign.py sklearn xgboost -v    some of them, and why the refused ones are refused

Each model is made small by its own library, fitted where it can be, and saved as people save it: by pickle in three protocols
and by joblib with and without compression, by torch.save in both formats, as TorchScript, or by skops. One that is refused in
any form counts as refused.

Needs scikit-learn, joblib and torch; xgboost, lightgbm, transformers, ultralytics and skops if they are to be measured.
"""

# ruff: noqa: TID253
from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

PACKS = ("joblib", "lightgbm", "sklearn", "torch-modules", "transformers", "ultralytics", "xgboost")
"""The default of somebody who takes whole models of these libraries."""

STATES = ("torch",)
"""For state dicts alone."""

FORMATS = ("npy", "pickle", "skops", "torch", "torchscript")
Model = tuple[str, Any]


def estimators() -> Iterator[Model]:
    """Every estimator that `all_estimators` of scikit-learn lists, fitted on the first data that it takes."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.utils import all_estimators

    rows, labels = load_iris(return_X_y=True)
    rows, labels = rows[::3], labels[::3]
    inner = LogisticRegression()
    for name, kind in all_estimators():
        for arguments in ((), (inner,), ([("a", inner)],), (inner, {"C": [1.0, 2.0]})):
            try:
                one = kind(*arguments)
            except TypeError:
                continue
            _fit(one, rows, labels)
            yield name, one
            break


def _fit(estimator: Any, rows: Any, labels: Any) -> None:
    two = labels < 2
    given: tuple[tuple[Any, ...], ...] = (
        (rows, labels), (np.abs(rows), labels), (rows, np.c_[labels, labels]), (rows[:, 0], labels), (rows,), (labels,),
        (["one two three", "two three four"] * 5,), (rows, labels + 1.0), ([{"a": 1.0}] * 5,), ([[1, 2], [3]],),
        (rows @ rows.T,), (rows[two], labels[two]),
    )  # fmt: skip
    for one in given:
        try:
            estimator.fit(*one)
        except Exception:
            continue
        return


def boosters(module: str) -> Callable[[], Iterator[Model]]:
    """What xgboost and lightgbm make: every class with a `fit`, fitted, and the booster below it."""

    def made() -> Iterator[Model]:
        library = importlib.import_module(module)
        dice = np.random.default_rng(0)
        rows, labels = dice.standard_normal((60, 4)), dice.integers(0, 2, 60)
        for name in sorted(dir(library)):
            kind = getattr(library, name)
            if not (inspect.isclass(kind) and hasattr(kind, "fit")) or name.startswith("Dask"):
                continue
            group: dict[str, Any] = {"group": [30, 30]} if "Ranker" in name else {}
            watched = {"eval_set": [(rows, labels)], **({"eval_group": [[30, 30]]} if group else {})}
            for options, given in (({}, group), ({"early_stopping_rounds": 2}, {**group, **watched})):
                try:
                    model = kind(n_estimators=3, **options).fit(rows, labels, **given)
                except (NotImplementedError, TypeError, ValueError):  # base classes, forests
                    continue
                yield f"{name} {options or ''}", model
                for inner in ("get_booster", "booster_"):
                    found = getattr(model, inner, None)
                    if found is not None:
                        yield f"booster of {name} {options or ''}", found() if callable(found) else found

    return made


def layers() -> Iterator[Model]:
    """Every class of torch.nn that is made of at most four small numbers, those without weights yet included."""
    import torch

    for name in sorted(dir(torch.nn)):
        kind = getattr(torch.nn, name)
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            continue
        for arguments in ((), (4,), (4, 4), (4, 4, 2), (2, 4, 4, 2)):
            try:
                one = kind(*arguments)
            except (TypeError, ValueError, AssertionError, RuntimeError):
                continue
            yield name, one
            break


def scripted() -> Iterator[Model]:
    """Every layer that torch.jit can script and save."""
    import torch

    encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 8), 1)
    for name, layer in (
        *layers(),
        ("an encoder", encoder),
        ("some layers", torch.nn.Sequential(*(torch.nn.Linear(4, 4),) * 3)),
    ):
        try:
            script = torch.jit.script(layer.eval())
            script.save_to_buffer()
        except Exception:  # hooks of lazy layers, functions without a script
            continue
        yield name, script


def states() -> Iterator[Model]:
    """State dicts of the same, and of every optimizer and schedule with a step behind it."""
    import torch

    for name, layer in layers():
        yield name, layer.state_dict()
    model = torch.nn.Linear(4, 2)
    for name in sorted(dir(torch.optim)):
        kind = getattr(torch.optim, name)
        if not (inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)) or kind is torch.optim.Optimizer:
            continue
        try:
            optimizer = kind(model.parameters(), lr=0.1)
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()
        except Exception:
            continue
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        yield name, {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "s": schedule.state_dict()}


def trained() -> Iterator[Model]:
    """What a Trainer leaves beside the weights, and small models and configurations of transformers as objects."""
    import torch
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        kinds: list[dict[str, Any]] = [
            {}, {"learning_rate": 1e-4, "seed": 7}, {"lr_scheduler_type": "cosine", "optim": "adafactor"},
            {"eval_strategy": "steps", "eval_steps": 5, "save_strategy": "epoch"}, {"gradient_checkpointing": True},
            {"report_to": "none", "push_to_hub": True, "hub_strategy": "end"}, {"bf16": True, "use_cpu": True},
            {"accelerator_config": {"split_batches": True}}, {"neftune_noise_alpha": 5.0}, {"debug": "underflow_overflow"},
        ]  # fmt: skip
        for one in kinds:
            for kind in (transformers.TrainingArguments, transformers.Seq2SeqTrainingArguments):
                yield f"{kind.__name__} {one}", kind(output_dir=folder, **one)
    yield (
        "rng_state.pth",
        {"python": __import__("random").getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()},
    )
    small = {
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 50,
        "max_position_embeddings": 16, "n_embd": 8, "n_layer": 1, "n_head": 2, "d_model": 8, "num_layers": 1, "num_heads": 2,
        "d_ff": 8, "num_key_value_heads": 2, "pad_token_id": 0, "dim": 8, "hidden_dim": 8, "n_layers": 1, "n_heads": 2,
        "d_kv": 4, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "embedding_size": 8,
    }  # fmt: skip
    for name in MODELS:
        config = getattr(transformers, f"{name[0]}Config")
        try:
            made = config(**small)
            model = getattr(transformers, name[1])(made)
        except Exception as error:
            print(f"  not made: {name[1]}: {type(error).__name__}", file=sys.stderr)
            continue
        yield f"{name[0]}Config", made
        yield name[1], model


MODELS = (
    ("Bert", "BertForSequenceClassification"), ("DistilBert", "DistilBertForSequenceClassification"),
    ("Roberta", "RobertaForSequenceClassification"), ("GPT2", "GPT2LMHeadModel"), ("T5", "T5ForConditionalGeneration"),
    ("Llama", "LlamaForCausalLM"), ("Mistral", "MistralForCausalLM"), ("Qwen2", "Qwen2ForCausalLM"), ("OPT", "OPTForCausalLM"),
    ("ViT", "ViTForImageClassification"), ("Bart", "BartForConditionalGeneration"), ("Electra", "ElectraModel"),
    ("Albert", "AlbertModel"), ("XLMRoberta", "XLMRobertaModel"), ("MPNet", "MPNetModel"), ("GPTNeoX", "GPTNeoXForCausalLM"),
)  # fmt: skip


def detectors() -> Iterator[Model]:
    """Checkpoints as ultralytics writes them, of every small architecture that ships with it."""
    os.environ.setdefault("YOLO_VERBOSE", "False")
    import ultralytics
    from ultralytics.nn import tasks

    root = Path(ultralytics.__file__).parent / "cfg" / "models"
    kinds = {
        "-cls": tasks.ClassificationModel, "-seg": tasks.SegmentationModel, "-pose": tasks.PoseModel, "-obb": tasks.OBBModel,
    }  # fmt: skip
    for path in sorted(root.glob("[v123]*/yolo*.yaml")):
        number = path.stem.split("-")[0].removeprefix("yolo").removeprefix("v")
        name = f"yolov{number}n" if path.stem.startswith("yolov") else f"yolo{number}n"
        kind = next((one for end, one in kinds.items() if end in path.stem), tasks.DetectionModel)
        try:
            model = kind(str(path.with_name(path.name.replace(path.stem.split("-")[0], name, 1))), verbose=False)
        except Exception as error:
            print(f"  not made: {path.stem}: {type(error).__name__}: {str(error)[:80]}", file=sys.stderr)
            continue
        yield path.stem, {"epoch": -1, "model": model.half(), "ema": None, "train_args": dict(imgsz=640), "date": "2026-01-01"}


LIBRARIES: dict[str, tuple[str, Callable[[], Iterator[Model]], tuple[str, ...], str]] = {
    "sklearn": ("sklearn", estimators, PACKS, "pickle"),
    "xgboost": ("xgboost", boosters("xgboost"), PACKS, "pickle"),
    "lightgbm": ("lightgbm", boosters("lightgbm"), PACKS, "pickle"),
    "skops": ("skops", estimators, ("sklearn",), "skops"),
    "torchscript": ("torch", scripted, (), "torchscript"),
    "torch-modules": ("torch", layers, PACKS, "torch"),
    "torch-states": ("torch", states, STATES, "torch"),
    "transformers": ("transformers", trained, PACKS, "torch"),
    "ultralytics": ("ultralytics", detectors, PACKS, "torch"),
}
"""What is imported, what makes the models, the packs, and what writes them."""


def saved(folder: Path, value: Any, how: str) -> Iterator[Path]:
    """One model in every form in which people save it."""
    if how == "skops":
        importlib.import_module("skops.io").dump(value, folder / "m.skops")
        yield folder / "m.skops"
        return
    if how == "torchscript":
        value.save(str(folder / "m.pt"))
        yield folder / "m.pt"
        return
    if how == "torch":
        import torch

        for legacy in (False, True):
            torch.save(value, folder / "m.pt", _use_new_zipfile_serialization=not legacy)
            yield folder / "m.pt"
        return
    import joblib

    for protocol in (2, 4, 5):
        (folder / "m.pkl").write_bytes(pickle.dumps(value, protocol))
        yield folder / "m.pkl"
    for compress in (0, 3):
        joblib.dump(value, folder / "m.joblib", compress=compress)
        yield folder / "m.joblib"


def refusals(value: Any, packs: tuple[str, ...], how: str) -> list[str]:
    """What is said against a model, in whatever form."""
    from pratique.checks.artifact.granting import grants
    from pratique.checks.artifact.looking import Asked, look
    from pratique.checks.artifact.viewing import opened

    asked = Asked(formats=FORMATS, max_json_bytes=1 << 26, max_text_bytes=1 << 26, grants=grants(packs, ()))
    said: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in saved(Path(folder), value, how):
            with opened(path, path.name) as view:
                said |= dict.fromkeys(one.message for one in look(view, asked).findings)
    return list(said)


def measured(library: str, verbose: bool) -> tuple[int, int]:
    """How many models of a library pass, and of how many."""
    _, models, packs, how = LIBRARIES[library]
    passed = total = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in models():
            try:
                said = refusals(value, packs, how)
            except (pickle.PicklingError, AttributeError, TypeError, NotImplementedError, ValueError) as error:
                print(f"  {library}: {name} cannot be saved at all: {str(error)[:80]}", file=sys.stderr)
                continue
            total += 1
            passed += not said
            if said and verbose:
                print(f"  {name}: {len(said)}\n    " + "\n    ".join(one[:220] for one in said))
    return passed, total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", choices=[*LIBRARIES, []])
    parser.add_argument("-v", "--verbose", action="store_true")
    chosen = parser.parse_args()
    for library in chosen.libraries or LIBRARIES:
        module = LIBRARIES[library][0]
        if importlib.util.find_spec(module) is None:
            print(f"{library}: NOT MEASURED, {module} is not installed")
            continue
        passed, total = measured(library, chosen.verbose)
        version = importlib.import_module(module).__version__
        print(f"{library} ({version}): {passed} of {total} models pass, {passed / total:.1%}" if total else f"{library}: none")
