"""Reports quote strangers: the names of files, what is in them, what others call them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from pratique import reports
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.testing import folder_of

PICKLE = b"cos\nsystem\n(S'echo gotcha'\ntR."
ACTIVE = {"script", "iframe", "frame", "object", "embed", "form", "link", "img", "audio", "video", "base", "image", "use"}


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, and what they would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.acts: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.acts += [name for name, _ in attrs if name in ("src", "srcset", "action", "data", "style") or name[:2] == "on"]
        self.acts += [value or "" for name, value in attrs if name.endswith("href") and not (value or "").startswith("#")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_a_hostile_name_is_no_markup(tmp_path: Path) -> None:
    """The page must not run, load or submit anything that an artifact's author wrote."""
    name = "<img src=x onerror=alert(1)>.pkl"
    policy = Policy.baseline()
    admission = pass_gate(str(folder_of(tmp_path / "<b>model", {name: PICKLE})), policy=policy)
    page = reports.of_admission(admission, policy)
    seen = read(page)
    assert not admission.verdict.admitted
    assert name in seen.text and "<b>model" in seen.text, "people read what it is called"
    assert not ACTIVE & set(seen.elements) and not seen.acts
    assert "url(" not in page and "@import" not in page


def test_an_honest_page_says_that_it_is_admitted(tmp_path: Path) -> None:
    policy = Policy.baseline()
    admission = pass_gate(str(folder_of(tmp_path / "model", {"config.json": b"{}"})), policy=policy)
    page = reports.of_admission(admission, policy)
    assert "<title>model: admitted</title>" in page and admission.verdict.subject.digest in page
