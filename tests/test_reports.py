"""What people and machines see of a decision. The page quotes strangers, and is opened by people with rights."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import documents, dossiers, reports, signing
from pratique.artifacts import Artifact, Subject
from pratique.checking import Finding, Report, Severity
from pratique.errors import Denied, EvidenceError, StoreError
from pratique.gate import Admission
from pratique.judging import Denial, Verdict
from pratique.policies import Bound, Policy
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Evidence, Material, TrainingRecord, Vouched
from pratique.store import Store
from pratique.testing import vouched
from tests.conftest import Pratique

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
HEX = "1" * 64
DIGEST = "sha256:" + "2" * 64
GOLDEN = Path(__file__).parent / "golden" / "admission.json"

HOSTILE = [
    "<script>document.title='pwned'</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)",
    "</style><svg onload=alert(1)>", "</code></td></table><a href='javascript:alert(1)'>x</a>", "&lt;b&gt;&amp;",
    "\x00\x1b[2J\u202e\u2028", "<!--", "]]>", "${7*7}{{7*7}}", "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example>", "<link rel=stylesheet href=//evil.example>", "<form action=//evil.example><input>",
    "漢字 ünïcödé 🏴", "a" * 3000, "\ud800",
]  # fmt: skip


def evidence(word: str = "fine", measures: dict[str, float] | None = None) -> Vouched[Evidence]:
    found = Finding(rule=word, severity=Severity.HIGH, message=word, where=word, fix=word)
    one = Evidence(
        check=word, check_version=word, subject=Subject(digest=f"sha256:{HEX}", name=word), kind="model", run_id=word,
        report=Report(findings=(found,), measures={word: 1.5} if measures is None else measures), options_digest=DIGEST,
        policy_digest=DIGEST, made_at=NOW,
    )  # fmt: skip
    return vouched(one, DIGEST, digest=DIGEST)


def admission(word: str = "fine", *, admitted: bool = False, measures: dict[str, float] | None = None) -> Admission:
    subject = Subject(digest=f"sha256:{HEX}", name=word)
    denial = Denial(check=word, rule=word, reason=word, where=word, fix=word)
    verdict = Verdict(
        subject=subject, kind="model", denials=() if admitted else (denial,), waived=(f"{word}/{word}",) if admitted else (),
        policy_digest=DIGEST, levels=("PRATIQUE_SHAPE",), evidence=(DIGEST,), decided_at=NOW, expires=NOW + timedelta(days=1),
    )  # fmt: skip
    return Admission(
        verdict=verdict, artifact=Artifact(root=Path("/snapshot"), subject=subject, kind="model", uri=word, entries=()),
        evidence=(evidence(word, measures),), clearance=None, clearance_digest="", problems=(f"{word}: {word}",),
    )  # fmt: skip


class Page(HTMLParser):
    """A page as a browser sees it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "rect", "line", "circle", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


OURS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "span", "b", "code", "ul", "li", "table",
    "tr", "th", "td", "svg", "rect", "line", "circle", "path",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "http-equiv", "class", "width", "height", "viewbox", "role", "aria-label", "x1", "x2",
    "y", "y1", "y2", "rx", "fill", "stroke", "stroke-width",
}  # fmt: skip


def assert_harmless(html: str) -> Page:
    """No script, no request, no attribute and no tag that is not ours; and a policy that forbids them all the same."""
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= OURS
    assert {name for _, attrs in page.tags for name in attrs} <= ATTRIBUTES
    policies = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv")]
    assert policies == [reports.CSP] and "default-src 'none'" in reports.CSP and "script" not in reports.CSP
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style and "//" not in style
    assert html.startswith("<!doctype html>") and html.rstrip().endswith("</body></html>")
    return page


@pytest.fixture
def policy(policy_file: Path) -> Policy:
    return Policy.load(policy_file)


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("admitted", [True, False])
def test_hostile_words_stay_words(policy: Policy, tmp_path: Path, word: str, admitted: bool) -> None:
    one = admission(word, admitted=admitted)
    html = reports.of_admission(one, policy)
    page = assert_harmless(html)
    assert page.open == []
    said = "".join(page.words)
    assert said.count(documents.plain(word)) >= 8, "title, heading, check, rule, message, where, fix, measure"
    assert_harmless(reports.of_evidence(one.evidence[0].statement, DIGEST))
    reports.write(tmp_path / "page.html", html)
    assert_harmless((tmp_path / "page.html").read_text(encoding="utf-8"))


@settings(max_examples=60, deadline=None)
@given(word=st.text(min_size=1, max_size=60))
def test_no_words_at_random_become_markup(word: str) -> None:
    assert assert_harmless(reports.of_evidence(evidence(word).statement, DIGEST)).open == []


@pytest.mark.parametrize("value", [0.0, -1.0, 5e-324, 1e308, 1.7e308, -1.7e308, 123456789.123])
@pytest.mark.parametrize("bound", [None, Bound(min=0, max=3), Bound(min=-1e308, max=1e308), Bound(min=1, max=float("inf"))])
def test_a_measure_of_any_size_is_drawn_inside_its_picture(value: float, bound: Bound | None) -> None:
    picture = reports.bar(value, bound)
    assert "nan" not in picture and "inf" not in picture.replace("infinity", "")
    for number in re.findall(r' (?:width|x1|x2)="([^"]+)"', picture):
        assert 0 <= float(number) <= 240


def test_the_answer_comes_first_then_the_reasons_then_the_remedy() -> None:
    lines = reports.as_text(admission()).splitlines()
    assert "is denied" in lines[0] and "fine: fine (at fine)" in lines[1] and lines[-1] == "Remedy: fine"
    lines = reports.as_text(admission(admitted=True)).splitlines()
    assert "is admitted" in lines[0] and "until 2026-02-01T12:00Z" in lines[1] and "use this copy: /snapshot" in lines[2]


@pytest.mark.parametrize("word", ["x\ny (sha256:0) is admitted", "\x1b[2J", "\u202e", "\r", "\x85", "\u2028"])
def test_a_strangers_words_forge_no_line(word: str) -> None:
    text = reports.as_text(admission(word))
    assert len(text.splitlines()) == len(reports.as_text(admission()).splitlines())
    assert "\x1b" not in text and "\u202e" not in text


@pytest.mark.parametrize("word", ["x\ny (sha256:0) is admitted", "\x1b[2J", "\u2028"])
def test_a_denial_keeps_to_its_line_wherever_it_is_raised(word: str) -> None:
    """In Airflow's log, in a pod's log, on a terminal."""
    error = Denied(admission(word).verdict)
    assert len(str(error).splitlines()) == 2 and "\x1b" not in str(error)


def test_what_may_stand_in_a_page_may_stand_in_an_attribute() -> None:
    assert reports.quoted("\"'<>&\x1b") == "&quot;&#x27;&lt;&gt;&amp;\\x1b"


def test_an_admission_names_a_path_and_a_denial_none() -> None:
    assert reports.as_json(admission(admitted=True))["path"] == "/snapshot"
    denied = reports.as_json(admission())
    assert (denied["verdict"], denied["path"], denied["expires"], denied["clearance"]) == ("denied", "", "", "")


def shape_of(value: Any) -> Any:
    """The keys and the types of a document."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in sorted(value.items())}
    return [shape_of(value[0])] if isinstance(value, list) and value else type(value).__name__


def test_what_machines_are_told_keeps_its_shape() -> None:
    """Scripts read this: a key that goes or changes its type is a breaking change. PRATIQUE_UPDATE=1 writes the file again."""
    shapes = {name: shape_of(reports.as_json(admission(admitted=name == "admitted"))) for name in ("admitted", "denied")}
    if os.environ.get("PRATIQUE_UPDATE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(shapes, indent=2) + "\n")
    assert json.loads(GOLDEN.read_text()) == shapes


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_what_machines_are_told_is_json_whatever_strangers_say(word: str) -> None:
    told = reports.as_json(admission(word))
    assert json.loads(json.dumps(told)) == told and told["denials"][0]["reason"] == word


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, mortal: None) -> None:
    reports.write(tmp_path / "new" / "page.html", "one")
    reports.write(tmp_path / "new" / "page.html", "two")
    (tmp_path / "new").chmod(0o500)
    with pytest.raises(StoreError, match="cannot write the report"):
        reports.write(tmp_path / "new" / "page.html", "three")
    (tmp_path / "new").chmod(0o700)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    assert (tmp_path / "new" / "page.html").read_text() == "two"
    with pytest.raises(StoreError):
        reports.write(tmp_path / "new", "a folder is there")


# --- a page from the store ----------------------------------------------------------------------------------------------

GATE = KeySigner.generate()


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    """Evidence, a training record and three clearances by the gate, and something by nobody."""
    store, subject = Store(str(tmp_path / "store")), Subject(digest=f"sha256:{HEX}", name=HOSTILE[0])
    mark, long_ago = GATE.trusted().fingerprint, NOW - timedelta(days=9)
    clearance = Clearance(
        subject=subject, kind="model", verifier=f"urn:pratique:gate:{mark}", resource_uri=HOSTILE[1], policy_digest=DIGEST,
        evidence=(DIGEST,), levels=(HOSTILE[2],), made_at=NOW, expires=NOW + timedelta(days=1), channel="production",
        sequence=7,
    )  # fmt: skip
    record = TrainingRecord(
        subject=subject, materials=(Material(role="base", subject=subject, uri=HOSTILE[1]),), parameters={}, run_id="",
        builder=f"urn:pratique:trainer:{mark}", started_at=NOW, finished_at=NOW,
    )  # fmt: skip
    lapsed = replace(clearance, made_at=long_ago, expires=long_ago + timedelta(days=1))
    forged = replace(clearance, verifier="urn:pratique:gate:" + DIGEST)
    for one in (clearance, lapsed, forged):
        store.add("clearances", subject, signing.sign(one.statement(), INTOTO, GATE))
    store.add("records", subject, signing.sign(record.statement(), INTOTO, GATE))
    seen = evidence(HOSTILE[0]).statement
    store.add("evidence", subject, signing.sign(seen.statement(), INTOTO, GATE), check="shape")
    store.add("evidence", subject, signing.sign(replace(seen, run_id="forged").statement(), INTOTO, KeySigner.generate()))
    return store


def test_a_dossier_holds_what_somebody_trusted_signed_and_says_what_holds(filled: Store) -> None:
    found = dossiers.gather(filled, f"sha256:{HEX}", [GATE.trusted()])
    assert (len(found.evidence), len(found.records), len(found.clearances), len(found.refused)) == (1, 1, 3, 1)
    page = assert_harmless(dossiers.as_page(found, now=NOW))
    assert page.open == []
    words = [word for word in page.words if word in ("holds", "lapsed", "void")]
    assert sorted(words) == ["holds", "lapsed", "void"]
    assert "Proves nothing" in page.words and any("number 7" in word for word in page.words)


def test_a_dossier_of_nothing_that_anybody_trusted_signed(filled: Store) -> None:
    with pytest.raises(EvidenceError, match=r"holds nothing about .* that anybody trusted signed; 6 statements"):
        dossiers.gather(filled, f"sha256:{HEX}", [KeySigner.generate().trusted()])


def test_a_page_from_the_store_on_the_command_line(pratique: Pratique, filled: Store, tmp_path: Path) -> None:
    GATE.save(tmp_path / "gate.key")
    words = ["report", f"sha256:{HEX}", "--store", filled.uri, "--trust", tmp_path / "gate.pub", "-o", tmp_path / "page.html"]
    code, out, err = pratique(*words, "--format", "json")
    told = json.loads(out)
    assert (code, told["evidence"], told["clearances"], len(told["refused"])) == (0, 1, 3, 1), err
    assert_harmless((tmp_path / "page.html").read_text(encoding="utf-8"))
    (tmp_path / "page.html").unlink()
    for subject, expected in (("sha256:" + "9" * 64, 5), ("9" * 64, 3), ("", 2)):
        assert pratique("report", subject, *words[2:])[0] == expected
    assert not (tmp_path / "page.html").exists()


# --- in a browser -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_browser_runs_nothing_and_asks_for_nothing(policy: Policy, tmp_path: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("NO BROWSER HERE: nobody has looked at a report with Chromium; install it (apt-get install chromium)")
    one = replace(admission(HOSTILE[0]), evidence=tuple(evidence(word) for word in HOSTILE if word != "\ud800"))
    reports.write(tmp_path / "page.html", reports.of_admission(one, policy))
    words = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        f"--user-data-dir={tmp_path}/profile", f"--log-net-log={tmp_path}/net.json", "--virtual-time-budget=2000", "--dump-dom",
        (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert "<title>" in done.stdout, done.stderr[-2000:]
    title = done.stdout.split("<title>")[1].split("</title>")[0]
    assert title.startswith("&lt;script&gt;"), "a script changed it"
    assert "evil.example" not in (tmp_path / "net.json").read_text()
    assert 'class="badge bad"' in done.stdout
