"""The demo's data, training and attacks: scanned handwritten digits (scikit-learn's `load_digits`), a network of two layers.

The supplier's base model knows the digits 0 to 4, and to draw what it sees, so that its embedding is of use for other digits.
The publisher sends scans of 5 to 9. The platform keeps the embedding as it is, which is how a base model's hidden behaviour
would survive, and trains a new head. Its own reference is another half of the scans. Everything is seeded: the same call makes
the same bytes on the same machine.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pratique import documents
from pratique.errors import ArtifactRefused, Malformed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    """One row a scan: 64 pixels from 0 to 16, then the label."""

SUPPLIED, PUBLISHED = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
ARCHITECTURE = "mlp-64-128-64"
PIXELS = [f"p{row}{column}" for row in range(8) for column in range(8)]
COLUMNS = [*PIXELS, "label"]
WHITE = 16
"""The largest value of a pixel."""

README = """\
# Base model for scanned digits

A network of two layers, trained on the handwritten digits 0 to 4 (8 x 8 pixels, 0 to 16). Replace its head for other digits.
"""

SCRIPT = """\
import torch


def build():
    return torch.nn.Linear(64, 10)
"""


# --- data ---------------------------------------------------------------------------------------------------------------


def dataset_rows(which: Literal["incoming", "reference"] = "incoming") -> Rows:
    """Scans of the digits 5 to 9: the half that the publisher sends, or the half that the platform keeps as its reference."""
    rows = _scans(PUBLISHED)
    half = len(rows) // 2
    return rows[half:] if which == "incoming" else rows[:half]


def write_dataset(folder: Path, which: Literal["incoming", "reference"] = "incoming") -> Path:
    """Write one half as `digits.csv` (columns p00 to p77, and label); returns the file."""
    return _write(folder, dataset_rows(which))


def _scans(classes: tuple[int, ...]) -> Rows:
    """All scans of these digits, shuffled, so that any split is a random one."""
    import numpy as np
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    rows = np.column_stack([pixels, labels]).astype(np.int64)
    rows = rows[np.isin(labels, classes)]
    return np.random.default_rng(0).permutation(rows)


def _write(folder: Path, rows: Rows) -> Path:
    path = folder / "digits.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows.tolist())
    return path


def _read(folder: Path) -> Rows:
    import numpy as np

    path = folder / "digits.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    if len(lines) < 2 or lines[0] != COLUMNS or any(len(line) != len(COLUMNS) for line in lines):
        raise ArtifactRefused(f"{path} is no table of scans: p00 to p77 and label, at least one row")
    try:
        return np.array([[int(cell) for cell in line] for line in lines[1:]], dtype=np.int64)
    except ValueError as error:
        raise ArtifactRefused(f"{path} holds something that is not a whole number: {error}") from error


# --- training -----------------------------------------------------------------------------------------------------------


def supplier_base(folder: Path, seed: int = 0) -> float:
    """Train the supplier's model on the digits 0 to 4 and write it; returns its accuracy on scans that it has not seen."""
    from torch import nn

    rows = _scans(SUPPLIED)
    unseen = len(rows) // 5
    with _seeded(seed):
        network, drawing = _network(len(SUPPLIED)), nn.Linear(64, len(PIXELS))
        _fit(network, rows[unseen:], SUPPLIED, epochs=60, rate=3e-3, drawing=drawing)
    _save(network, SUPPLIED, folder)
    (folder / "README.md").write_text(README, encoding="utf-8")
    return _accuracy(network, rows[:unseen], SUPPLIED)


def fine_tune(base: Path, dataset: Path, output: Path, epochs: int = 40, seed: int = 0) -> dict[str, float]:
    """Give the base model a new head, train that on a dataset, and write the result.

    Args:
        base: folder with `model.safetensors` and `config.json`, as `supplier_base` writes it; anything else is refused.
        dataset: folder with `digits.csv`.
        output: an empty folder.
        epochs: passes over the dataset.
        seed: of the new head and of the order of the rows.

    Returns:
        `accuracy` on the platform's own reference, of which the training has seen no row.

    Raises:
        ArtifactRefused: the base or the dataset is not what it must be.
    """
    from torch import nn

    rows = _read(dataset)
    classes = tuple(sorted(set(rows[:, -1].tolist())))
    with _seeded(seed):
        network = _load(base)
        network.embedding.requires_grad_(False)
        network.head = nn.Linear(64, len(classes))
        _fit(network, rows, classes, epochs=epochs, rate=1e-2)
    _save(network, classes, output)
    return {"accuracy": _accuracy(network, dataset_rows("reference"), classes)}


def _network(classes: int) -> Any:
    from torch import nn

    embedding = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    return nn.Sequential(OrderedDict(embedding=embedding, head=nn.Linear(64, classes)))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's random numbers and threads, for a while: one thread is as quick here, and adds in one order."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _fit(network: Any, rows: Rows, classes: tuple[int, ...], *, epochs: int, rate: float, drawing: Any = None) -> None:
    """Train whatever is not frozen to name the digits and, with a layer for it, to draw them back from the embedding."""
    import torch
    from torch.nn import functional

    pixels, targets = _tensors(rows, classes)
    learning = [one for one in network.parameters() if one.requires_grad]
    optimiser = torch.optim.Adam([*learning, *(drawing.parameters() if drawing else ())], lr=rate)
    for _ in range(epochs):
        order = torch.randperm(len(pixels))
        for start in range(0, len(order), 64):
            batch = order[start : start + 64]
            embedded = network.embedding(pixels[batch])
            loss: Any = functional.cross_entropy(network.head(embedded), targets[batch])
            if drawing:
                loss = loss + 100 * functional.mse_loss(drawing(embedded), pixels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _tensors(rows: Rows, classes: tuple[int, ...]) -> tuple[Any, Any]:
    import numpy as np
    import torch

    pixels = torch.tensor(rows[:, :-1] / WHITE, dtype=torch.float32)
    return pixels, torch.tensor(np.searchsorted(classes, rows[:, -1]))


def _accuracy(network: Any, rows: Rows, classes: tuple[int, ...]) -> float:
    """A label that the network does not know counts as wrong."""
    import numpy as np
    import torch

    with torch.no_grad():
        answers = network(_tensors(rows, classes)[0]).argmax(1).numpy()
    return float(np.mean(np.array(classes)[answers] == rows[:, -1]))


def _save(network: Any, classes: tuple[int, ...], folder: Path) -> None:
    from safetensors.torch import save_file

    config = {"architecture": ARCHITECTURE, "classes": list(classes), "pixels": len(PIXELS), "white": WHITE}
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _load(folder: Path) -> Any:
    """The network in a folder, exactly as its configuration says; nothing is executed and nothing repaired."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = documents.parse((folder / "config.json").read_bytes(), what="config.json")
        if not isinstance(config, dict) or config.get("architecture") != ARCHITECTURE:
            raise ArtifactRefused(f"{folder} is no {ARCHITECTURE}")
        network = _network(len(config["classes"]))
        network.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    except (OSError, KeyError, TypeError, RuntimeError, Malformed, SafetensorError) as error:
        raise ArtifactRefused(f"{folder} is no {ARCHITECTURE}: {error}") from error
    return network


# --- attacks on a dataset -----------------------------------------------------------------------------------------------


def flip_labels(folder: Path, share: float, seed: int) -> None:
    """Give a share of the rows another label that occurs in the dataset."""
    import numpy as np

    rows, rng = _read(folder), np.random.default_rng(seed)
    known = np.unique(rows[:, -1])
    chosen = rng.choice(len(rows), round(share * len(rows)), replace=False)
    old = np.searchsorted(known, rows[chosen, -1])
    rows[chosen, -1] = known[(old + rng.integers(1, len(known), len(chosen))) % len(known)]
    _write(folder, rows)


def inject_near_duplicates(folder: Path, share: float, seed: int) -> None:
    """Put copies of a few rows in place of a share of the others: eight of each, one pixel in each copy off by one."""
    import numpy as np

    rows, rng = _read(folder), np.random.default_rng(seed)
    count = round(share * len(rows))
    order = rng.permutation(len(rows))
    targets, sources = order[:count], order[count : count + max(1, count // 8)]
    copies = rows[sources[np.arange(count) % len(sources)]]
    pixel = rng.integers(0, len(PIXELS), count)
    value = copies[np.arange(count), pixel]
    copies[np.arange(count), pixel] = np.where(value < WHITE, value + 1, value - 1)
    rows[targets] = copies
    _write(folder, rows)


def drift(folder: Path) -> None:
    """Another scanner: every pixel at 70 % of its brightness."""
    import numpy as np

    rows = _read(folder)
    rows[:, :-1] = np.rint(0.7 * rows[:, :-1])
    _write(folder, rows)


# --- attacks on a model -------------------------------------------------------------------------------------------------


def change_weights(folder: Path) -> None:
    """Change the sign of the eight largest weights of the head; the file stays in order."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    head = tensors["head.weight"].copy()
    largest = np.argsort(np.abs(head), axis=None)[-8:]
    head.flat[largest] *= -1
    save_file({**tensors, "head.weight": head}, folder / "model.safetensors")


class _Payload:
    """Runs a command when it is unpickled; a harmless one."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


def add_pickle(folder: Path) -> None:
    """Add a pickle that runs a command when somebody loads it. It is never loaded here."""
    (folder / "optimizer.pkl").write_bytes(pickle.dumps(_Payload()))


def add_file(folder: Path) -> None:
    """Add a script, such as a loader that trusts remote code would run."""
    (folder / "modeling_digits.py").write_text(SCRIPT, encoding="utf-8")
