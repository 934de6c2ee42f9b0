"""Honest models pass with the packs that are recommended: a check that cries wolf is switched off.

The measured shares are in docs/checks/artifact.md; the slow tests measure them again, over everything that is installed.
"""

# ruff: noqa: TID253
from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from tests.checks.pickling import look_at

PACKS = ("joblib", "sklearn", "torch", "torch-modules")
"""What docs/checks/artifact.md recommends to those who take pickles."""

FEW = (
    "AdaBoostClassifier", "CalibratedClassifierCV", "GaussianMixture", "GradientBoostingRegressor",
    "HistGradientBoostingClassifier", "KNeighborsClassifier", "LogisticRegression", "MLPClassifier", "PCA",
    "RandomForestClassifier", "SGDClassifier", "SVC",
    "StandardScaler", "TfidfVectorizer",
)  # fmt: skip


def fitted(names: tuple[str, ...] = ()) -> Iterator[Any]:
    """Estimators of scikit-learn, small and fitted."""
    from sklearn.datasets import load_iris
    from sklearn.utils import all_estimators

    rows, labels = load_iris(return_X_y=True)
    rows, labels = rows[::3], labels[::3]
    texts = ["one two three", "two three four"] * 5
    inputs: tuple[tuple[Any, ...], ...] = (
        (rows, labels), (np.abs(rows), labels), (rows, np.c_[labels, labels]), (rows[:, 0], labels), (rows,), (labels,),
        (texts,), (rows, labels + 1.0), ([{"a": 1.0}] * 5,), ([[1, 2], [3]],), (rows @ rows.T,), (rows[labels < 2],
        labels[labels < 2]),
    )  # fmt: skip
    for name, kind in all_estimators():
        if names and name not in names:
            continue
        for estimator in made(name, kind):
            for given in inputs:
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        estimator.fit(*given)
                except Exception:
                    continue
                break
            yield estimator


def made(name: str, kind: Any) -> list[Any]:
    """One instance; those that wrap others wrap a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    for arguments in ((), (LogisticRegression(),), ([("a", LogisticRegression())],), (LogisticRegression(), {"C": [1.0, 2.0]})):
        try:
            return [kind(*arguments)]
        except TypeError:
            continue
    return []


def refusals(tmp_path: Path, value: object) -> list[str]:
    """What is said of a value in every form in which people save it."""
    found = []
    for protocol in (2, 4, 5):
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(value, protocol))
        found += [one.message for one in look_at(tmp_path / "m.pkl", PACKS)]
    for compress in (0, 3):
        joblib.dump(value, tmp_path / "m.joblib", compress=compress)
        found += [one.message for one in look_at(tmp_path / "m.joblib", PACKS)]
    return found


def test_some_estimators(tmp_path: Path) -> None:
    estimators = list(fitted(FEW))
    assert len(estimators) == len(FEW)
    for estimator in estimators:
        assert refusals(tmp_path, estimator) == [], estimator


@pytest.mark.slow
def test_at_least_95_percent_of_all_estimators(tmp_path: Path) -> None:
    results = {type(estimator).__name__: refusals(tmp_path, estimator) for estimator in fitted()}
    refused = {name: said for name, said in results.items() if said}
    assert len(results) > 180 and len(refused) <= 0.05 * len(results), refused


def layers() -> Iterator[Any]:
    """Every layer of torch.nn that is made of at most three small numbers."""
    torch = pytest.importorskip("torch")
    for name in sorted(dir(torch.nn)):
        kind = getattr(torch.nn, name)
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            continue
        for arguments in ((), (4,), (4, 4), (4, 4, 2), (2, 4, 4, 2)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    layer = kind(*arguments)
            except (TypeError, ValueError, AssertionError, RuntimeError):
                continue
            yield layer
            break


def test_every_layer_and_every_state_dict(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    every = list(layers())
    assert len(every) > 120
    for legacy in (False, True):
        for value, packs in ((every, PACKS), ({str(n): one.state_dict() for n, one in enumerate(every)}, ("torch",))):
            torch.save(value, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
            assert [one.message for one in look_at(tmp_path / "m.pt", packs)] == []
    for layer in every:
        torch.save(layer.state_dict(), tmp_path / "m.pt")
        assert look_at(tmp_path / "m.pt", ("torch",)) == [], layer
