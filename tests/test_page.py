"""Pages of HTML: every row there, escaped, nothing fetched, nothing run but our own."""

import base64
import dataclasses
import hashlib
import html.parser
import math
import re
from pathlib import Path

import pytest
from recipe_models import manifest
from tools import assert_refused

import initjax as ij
from initjax._report.rows import Finding, Report, ReportRow

EVIL = "<script>alert(1)</script>/</script>\"'&amp; <img src=x onerror=alert(1)>/$rows"
PLAIN = ReportRow(
    path="layers/0/kernel", shape=(64, 128), dtype="bfloat16", law="HeNormal()",
    promised=(0.0, 0.1768, -math.inf, 0.35), mean=1e-5, std=0.17649, low=-0.34375,
    high=0.345, z_mean=-0.25, z_std=1.5, nans=0, infs=0, zeros=512, distinct=700,
    sampled=8192, histogram=(0, 10, 40, 1, 4000, 20), singular=None, findings=(),
)  # fmt: skip


def row(path, *findings, **others):
    return dataclasses.replace(PLAIN, path=path, findings=findings, **others)


ROWS = (
    row("layers/0/kernel"),
    row("layers/10/kernel", Finding("std", "3.46 of what <b>", 612.5), z_mean=-700.0),
    row(EVIL, law=None, promised=None, z_mean=None, z_std=None),
    row(
        "layers/2/kernel",
        Finding("nan", "3 NaN", math.inf), Finding("zeros", "too many", 9.0),
        nans=3, infs=2,
    ),
    row("scalar", shape=(), histogram=(0, 0), mean=math.nan),
)  # fmt: skip
WORST_FIRST = ["layers/2/kernel", "layers/10/kernel", "layers/0/kernel", EVIL, "scalar"]
REPORT = Report(ROWS)


class Reader(html.parser.HTMLParser):
    """What a browser sees: tags, cells, script and style; every tag closed in turn."""

    VOID = ("meta", "link", "input", "wbr")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.heads, self.rows = [], [], [], []
        self.inside = {"style": "", "script": "", "p": "", "dl": "", "form": ""}
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "th":
            self.heads.append({"text": "", **dict(attributes)})
        if tag == "tr" and "tbody" in self.open:
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append({"": "", **dict(attributes)})

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        for tag in {*self.inside} & {*self.open}:
            self.inside[tag] += text
        if "th" in self.open:
            self.heads[-1]["text"] += text + " "
        if "td" in self.open:
            cell = self.rows[-1][-1]
            tag = next((t for t in ("summary", "pre", "small") if t in self.open), "")
            cell[tag] = cell.get(tag, "") + text

    def column(self, name):
        (i,) = [i for i, h in enumerate(self.heads) if h["text"].split()[0] == name]
        return [cells[i] for cells in self.rows]

    def values(self, tag, name):
        return [found[name] for kind, found in self.tags if kind == tag]


def read(report=REPORT):
    return Reader(report.to_html())


LLAMA = ij.plan(ij.recipes.llama(layout="oi"), manifest("llama-3.1-405b"))
EVIL_PLAN = ij.plan(
    ij.Rules([("**", "zeros")]),
    {EVIL.replace("/", "|"): {"w": ij.Weight((3, 2), "float32")}},
)
PAGES = {
    "report": REPORT.to_html(),
    "clean": Report(ROWS[:1]).to_html(),
    "nothing": Report(()).to_html(),
    "plan": LLAMA.to_html(),
    "evil plan": EVIL_PLAN.to_html(),
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


# -- safe --------------------------------------------------------------------------


@every_page
def test_nothing_is_fetched_and_nothing_runs_but_its_own_script(page):
    reader = Reader(page)
    kinds = [tag for tag, _ in reader.tags]
    assert (kinds.count("script"), kinds.count("style")) == (1, 1)
    assert {"img", "iframe", "object", "a", "base"}.isdisjoint(kinds)
    names = {name for _, attributes in reader.tags for name in attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    assert reader.values("link", "href") == ["data:,"]
    assert "src" not in names
    ours = reader.inside["style"] + reader.inside["script"]
    assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch|innerHTML|eval", ours)


@every_page
def test_the_policy_allows_what_is_there_by_digest(page):
    reader = Reader(page)
    (policy,) = [f["content"] for _, f in reader.tags if "http-equiv" in f]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    for tag in ("style", "script"):
        digest = hashlib.sha256(reader.inside[tag].encode()).digest()
        expected = f"'sha256-{base64.b64encode(digest).decode()}'"
        assert allowed.pop(f"{tag}-src") == expected
    assert allowed.pop("img-src") == "data:"
    assert allowed.keys() == {"default-src", "base-uri", "form-action"}
    assert {*allowed.values()} == {"'none'"}
    kinds = [tag for tag, _ in reader.tags]  # what comes before a policy escapes it
    assert kinds.index("meta") < kinds.index("link") < kinds.index("style")


def test_text_is_escaped():
    reader = read()
    assert reader.column("path")[3]["summary"] == EVIL
    assert reader.column("findings")[1][""] == "std3.46 of what <b>"
    leaf = Reader(PAGES["evil plan"]).column("path")[0]
    assert leaf["summary"] == EVIL.replace("/", "|") + "/w"
    assert leaf["pre"].startswith(leaf["summary"])


# -- whole -------------------------------------------------------------------------


def test_a_report_shows_every_weight_the_worst_first():
    reader = read()
    assert [cell["summary"] for cell in reader.column("path")] == WORST_FIRST
    assert [cell[""] for cell in reader.column("#")] == ["4", "2", "1", "3", "5"]
    assert {len(cells) for cells in reader.rows} == {len(reader.heads)}
    assert [h["text"].split()[0] for h in reader.heads if "aria-sort" in h] == [
        "findings"
    ]
    assert "2 of 5 weights are wrong: std 1, nan 1, zeros 1" in reader.inside["p"]
    assert "weights5parameters32,769findings3" in reader.inside["dl"].replace("\n", "")


def test_a_row_says_what_was_observed_and_what_was_promised():
    shown = {
        head["text"].split()[0]: {k: v for k, v in cell.items() if k != "class"}
        for head, cell in zip(read().heads, read().rows[2], strict=True)
    }
    numbers = {
        "shape": ("64x128", 8192, None),
        "mean": ("1e-05", 1e-5, "0"),
        "std": ("0.1765", 0.17649, "0.1768"),
        "low": ("-0.3438", -0.34375, "-inf"),
        "high": ("0.345", 0.345, "0.35"),
        "z": ("std +1.5", 1.5, "mean -0.2"),
        "zeros": ("512", 512, "0.0625"),
        "NaN": ("0", 0, "0"),
    }
    for name, (text, key, below) in numbers.items():
        cell = shown[name]
        assert (cell[""], float(cell["data-key"]), cell.get("small")) == (
            text, key, below
        )  # fmt: skip
    assert shown["law"][""] == "HeNormal()"
    assert shown["dtype"][""] == "bfloat16"
    assert shown["path"]["pre"] == "700 distinct values among 8,192 entries"
    assert shown["findings"][""] == ""


def test_what_is_not_known_is_empty_and_sorts_last():
    reader = read()
    assert "small" not in reader.column("std")[3]
    assert reader.column("z")[3] == reader.column("law")[3] == {"": ""}
    assert reader.column("mean")[4] == {"class": "number", "": "nan", "small": "0"}
    assert reader.column("z")[1]["data-key"] == "700"  # the larger one, of either sign
    certainties = [cell["data-key"] for cell in reader.column("findings")]
    assert certainties == ["Infinity", "612.5", "0", "0", "0"]
    assert reader.column("NaN")[0]["data-key"] == "5"


def test_a_histogram_has_a_bar_for_each_count():
    reader = read()
    assert len(reader.values("path", "d")) == 4  # all but the empty one
    assert reader.values("svg", "viewbox")[2] == "0 0 6 28"
    assert reader.values("svg", "aria-label")[2] == "histogram from -0.3438 to 0.345"
    steps = re.findall(r"V([\d.]+)h1", reader.values("path", "d")[2])
    # of 28: in proportion, and what is not 0 is seen
    assert [28 - float(step) for step in steps] == pytest.approx([0, 1, 1, 1, 28, 1])
    even = read(Report((row("a", histogram=(5, 10, 7)),))).values("path", "d")
    assert even == ["M0 28V14h1V0h1V8.4h1V28z"]


def test_what_there_is_no_use_for_is_left_out():
    """The switch where nothing is wrong, and the column that was not asked for."""
    whole, clean = Reader(PAGES["report"]), Reader(PAGES["clean"])
    assert whole.values("input", "type") == ["search", "checkbox"]
    assert clean.values("input", "type") == ["search"]
    assert ": nothing is wrong" in clean.inside["p"]
    assert "singular" not in str(clean.heads)
    asked = read(Report((row("a", singular=2.0137), row("b"))))
    assert [cell[""] for cell in asked.column("singular")] == ["2.014", ""]


def test_a_plan_is_a_page():
    reader = Reader(PAGES["plan"])
    paths = [cell["summary"] for cell in reader.column("path")]
    assert paths == [row.path for row in LLAMA.rows]
    assert len(paths) == 1137
    assert {len(cells) for cells in reader.rows} == {len(reader.heads)}
    for path, leaf in zip(paths, reader.column("path"), strict=True):
        assert leaf["pre"] == LLAMA.explain(path)
    first = zip(reader.heads, reader.rows[0], strict=True)
    assert {head["text"].strip(): cell[""] for head, cell in first} == {
        "path": "",
        "#": "1", "law": "RandomNormal(stddev=0.02)", "shape": "128256x16384",
        "dtype": "bfloat16", "fan_in": "16384", "fan_out": "128256", "mean": "0",
        "std": "0.02", "bytes": "4.2 GB", "shards": "1",
        "rule": "'**/{kernel,weight,w}'", "way": LLAMA.rows[0].way,
    }  # fmt: skip
    assert LLAMA.fingerprint in reader.inside["dl"]
    assert "405,853,388,800" in reader.inside["dl"]


# -- written -----------------------------------------------------------------------


def test_a_page_is_written_where_it_is_told(tmp_path):
    for path in (tmp_path / "a.html", str(tmp_path / "b.html")):
        assert REPORT.to_html(path) == PAGES["report"]
        assert Path(path).read_bytes() == PAGES["report"].encode()
    EVIL_PLAN.to_html(path)
    assert Path(path).read_bytes() == PAGES["evil plan"].encode()


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path):
    """As a file of tensors may have it."""
    Report((row("a\ud800b"),)).to_html(tmp_path / "a.html")
    assert "a&#55296;b" in (tmp_path / "a.html").read_text("utf-8")


KIND = "path must be a str or a Path, got {}; leave it out to get the page as text."
WHERE = "; give a file in a folder that is there and yours to write."
REFUSED = {
    "no path": (5, TypeError, KIND.format("5")),
    "bytes": (b"a", TypeError, KIND.format("b'a'")),
    "no folder": (
        "no/a.html", FileNotFoundError,
        f"cannot write 'no/a.html': No such file or directory{WHERE}",
    ),
    "a folder": (".", IsADirectoryError, f"cannot write '.': Is a directory{WHERE}"),
    "a file as a folder": (
        "file/a.html", NotADirectoryError,
        f"cannot write 'file/a.html': Not a directory{WHERE}",
    ),
    "too long": (
        "a" * 300, OSError,
        f"cannot write {'a' * 300!r:.200}...: File name too long{WHERE}",
    ),
    "no text": (
        "a\ud800", ValueError,
        "cannot write 'a\\ud800': 'utf-8' codec can't encode character '\\ud800' in "
        f"position 1: surrogates not allowed{WHERE}",
    ),
    "a null": (
        "a\0b", ValueError, f"cannot write 'a\\x00b': embedded null byte{WHERE}"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_path_that_cannot_be_written_is_one_line(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    path, kind, message = REFUSED[case]
    for page, where in ((REPORT, "Report"), (EVIL_PLAN, "TreePlan")):
        assert_refused(
            lambda page=page: page.to_html(path), kind, f"{where}.to_html: {message}"
        )
