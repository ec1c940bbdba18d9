"""The report as a page: complete, escaped, on its own, and drawn by a browser."""

import html.parser
import shutil
import subprocess

import numpy as np
import pytest

from helpers.reports import RUN, evaluation
from minifer.errors import ImageError, OutputError
from minifer.evaluation.metrics import evaluate
from minifer.faces.images import read_colour, write_png
from minifer.report import html as html_report
from minifer.report.document import (Code, Items, Mono, Note, Picture, Section, Strong,
                                     Table, to_markdown)
from minifer.report.html import to_html, write_html_report
from minifer.report.text import run_report

CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome", "chrome"))), None)
#: Would paint the window green if it were taken for HTML.
PAINT = '"><div style="position:fixed;inset:0;background:#00ff00">&amp;'
VOID = {"meta", "img"}


class Page(html.parser.HTMLParser):
    """Texts, attributes and the nesting of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.attributes, self.tags = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def picture(folder, name="p.png", color=(255, 0, 255)):
    write_png(str(folder / name), np.full((60, 60, 3), color, np.uint8))
    return name, "A picture"


def test_the_page_says_what_the_markdown_says(tmp_path):
    """Cell for cell: both are made of the same blocks."""
    pictures = [picture(tmp_path)]
    text = read(write_html_report(tmp_path, RUN, evaluation(), pictures))
    texts = Page(text).texts
    found = " ".join(" ".join(texts).split())
    for line in to_markdown(*run_report(RUN, evaluation(), pictures)).splitlines():
        if "---" in line or "![" in line or line.startswith("```"):
            continue
        cells = line.replace("\\|", "\0").strip("|").split("|") if (
            line.startswith("|")) else [line.lstrip("#> -")]
        for cell in cells:
            plain = cell.strip(" *`").replace("\0", "|").replace("**", "")
            assert plain in texts or plain in found, plain


def test_the_page_needs_nothing_else(tmp_path):
    text = read(write_html_report(tmp_path, RUN, evaluation(), [picture(tmp_path)]))
    page = Page(text)
    assert not {"script", "link", "iframe", "a"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:image/png;base64,iVBOR")
    assert "http://" not in text and "https://" not in text
    assert "@import" not in text and "url(" not in text


def test_names_are_escaped(tmp_path):
    run = {**RUN, "title": PAINT, "command": f"train '{PAINT}'",
           "settings": {PAINT: PAINT}, "hashes": {PAINT: "0"},
           "data": {"source": PAINT, "no_face": [PAINT], "left_out": {PAINT: 1}}}
    result = evaluate(np.eye(2), [0, 1], (PAINT, "b"), protocol=PAINT)
    name, _ = picture(tmp_path, 'a "<b>&.png')
    text = read(write_html_report(tmp_path, run, result, [(name, PAINT)]))
    page = Page(text)
    assert "div" not in [tag for tag, name, _ in page.attributes if name == "style"]
    assert "position:fixed;inset:0;background:#00ff00\">" not in text
    assert page.texts.count(PAINT) >= 10
    assert ("img", "alt", PAINT) in page.attributes


def test_every_kind_of_block():
    blocks = [Note("Word:", "a < b"), Section("S", [
        "text & more", Table(["", ""], [["k", Strong("v")]]),
        Table(["c", "a", "b"], [[Strong("a"), 3, 1], ["b", 0, 0]], shaded=True),
        Items([Mono("f<1>"), "two"]), Code("run  --it")])]
    body = to_html("T", blocks, "").split("<h1>T</h1>")[1]
    for part in ("<aside><strong>Word:</strong> a &lt; b</aside>", "<h2>S</h2>",
                 "<p>text &amp; more</p>", "<td><strong>v</strong></td>",
                 '<td class="n" style="--share: 0.750">3</td>',
                 '<td class="n none" style="--share: 0.000">0</td>',
                 "<li><code>f&lt;1&gt;</code></li>", "<li>two</li>",
                 "<pre><code>run  --it</code></pre>"):
        assert part in body, part


def test_what_is_empty_leaves_no_trace():
    empty = [Section("S", ["", Table(["a"], []), Items([]), Code("")]), ""]
    assert "<section>" not in to_html("T", empty, "")
    assert to_markdown("T", empty) == "# T\n"


def test_a_missing_picture_writes_nothing(tmp_path):
    (tmp_path / "report.html").write_text("before")
    with pytest.raises(ImageError, match="no.png: expected a picture of the report"):
        write_html_report(tmp_path, RUN, evaluation(), [("no.png", "")])
    assert (tmp_path / "report.html").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_one_error(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        write_html_report(tmp_path / "missing", RUN, evaluation())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in: "
                    "apt-get install chromium")
def test_a_browser_draws_it(tmp_path):
    """Pictures and colours are there, and no name is taken for HTML."""
    body = [Picture(*picture(tmp_path)), Items([PAINT]),
            Table(["", "a"], [["a", 4]], shaded=True)]
    (tmp_path / "page.html").write_text(to_html(PAINT, body, str(tmp_path)), "utf-8")
    shot = tmp_path / "shot.png"
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=400,700",
         f"--screenshot={shot}", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120)
    assert shot.exists(), done.stderr
    pixels = read_colour(str(shot)).reshape(-1, 3)
    assert (pixels == (255, 0, 255)).all(axis=1).sum() > 3000
    assert not (pixels == (0, 255, 0)).all(axis=1).any()
    assert len(np.unique(pixels, axis=0)) > 20  # letters, and the cell's blue


def test_the_style_is_for_paper_and_for_the_dark():
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 34rem"):
        assert rule in html_report.STYLE
