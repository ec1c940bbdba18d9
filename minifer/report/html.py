"""The report as a page to look at: one file, to be mailed, printed or kept.

It says what ``report.md`` says, from the same blocks. Style and pictures are in the
file; it has no script and loads nothing else, so it looks the same in ten years.

>>> from minifer.report.document import Items
>>> print(to_html("<1>", [Items(["a & b"])], "").split("<main>")[1])
<BLANKLINE>
<h1>&lt;1&gt;</h1>
<ul>
<li>a &amp; b</li>
</ul>
</main>
</body>
</html>
<BLANKLINE>
"""

import base64
import mimetypes
import os
from html import escape

from .. import files
from ..errors import ImageError, visible
from .document import (Code, Items, Mono, Note, Picture, Section, Strong, Table,
                       is_number, plain)
from .text import run_report

__all__ = ["write_html_report", "to_html"]

STYLE = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1d1d1f; --grey: #63636b;
  --line: #dcdce0; --tint: #f4f4f6; --blue: #0072b2; --warn: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181b; --ink: #e8e8ea;
  --grey: #a2a2aa; --line: #38393e; --tint: #222327; --blue: #56a9dd;
  --warn: #f0894a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  -webkit-text-size-adjust: 100%; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .8rem; text-wrap: balance; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2.6rem 0 .8rem; padding-top: .9rem;
  border-top: 1px solid var(--line); break-after: avoid; }
p, ul { margin: .8rem 0; }
ul { padding-left: 1.2rem; }
li { margin: .35rem 0; }
h1, p, li, td, th { overflow-wrap: anywhere; }
aside { margin: 1rem 0; padding: .75rem 1rem; border-left: 4px solid var(--warn);
  background: var(--tint); border-radius: 0 .4rem .4rem 0; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .94rem; font-variant-numeric:
  tabular-nums; }
th, td { padding: .38rem .8rem .38rem 0; text-align: left; vertical-align: baseline;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--grey); font-weight: 500; }
tbody th { font-weight: 400; }
.pairs tbody th { color: var(--grey); white-space: nowrap; padding-right: 1.6rem; }
.n { text-align: right; padding-left: .8rem; padding-right: .4rem; }
.n, .shaded :is(th, td) { overflow-wrap: normal; }
td strong { font-size: 1.35rem; font-weight: 650; letter-spacing: -.01em; }
.shaded :is(th, td) { white-space: nowrap; }
.shaded .n { min-width: 3rem; padding-right: .8rem; }
.shaded td { background: color-mix(in srgb, var(--blue) calc(var(--share) * 55%),
  transparent); }
.shaded .none { color: var(--grey); opacity: .6; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  font-size: .875em; }
pre { background: var(--tint); padding: .8rem 1rem; border-radius: .4rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 1.6rem 0; break-inside: avoid; }
img { display: block; max-width: 100%; height: auto; background: #fff;
  border-radius: .4rem; border: 1px solid var(--line); }
figcaption { color: var(--grey); font-size: .9rem; margin-top: .5rem; }
@media (max-width: 34rem) { .pairs :is(tr, th, td) { display: block; }
  .pairs tbody th { border: 0; padding-bottom: 0; }
  .pairs td { text-align: left; padding: 0 0 .5rem; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --grey: #444;
  --line: #bbb; --tint: #f2f2f2; --blue: #0072b2; --warn: #d55e00; }
  body { font-size: 10.5pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  tr, aside, pre { break-inside: avoid; } }
"""


def write_html_report(folder, run, evaluation, pictures=()):
    """Write ``report.html``: :func:`~minifer.report.run_report` as one page.

    Parameters
    ----------
    folder : str or path-like
        Existing folder of the run; the pictures lie in it and are copied into the
        page.
    run, evaluation, pictures
        As for :func:`~minifer.report.run_report`.

    Returns
    -------
    str
        Path of the page.

    Raises
    ------
    ImageError
        If a picture cannot be read; nothing is written then.
    OutputError
        If the file cannot be written.
    """
    folder = os.fspath(folder)
    path = os.path.join(folder, "report.html")
    files.write_text(path, to_html(*run_report(run, evaluation, pictures), folder))
    return path


def to_html(title, blocks, folder):
    """Write a report as a page that needs nothing else.

    Parameters
    ----------
    title : str
    blocks : list of blocks
        See :mod:`minifer.report.document`; empty ones are left out.
    folder : str
        Where the pictures lie.

    Returns
    -------
    str

    Raises
    ------
    ImageError
        If a picture cannot be read.
    """
    title = escape(plain(title))
    # The policy makes the browser hold to it: nothing from outside, no script.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{_lines(_html(block, folder) for block in blocks)}
</main>
</body>
</html>
"""


def _lines(parts):
    return "\n".join(filter(None, parts))


def _html(block, folder):
    match block:
        case Section(title, blocks):
            body = _lines(_html(one, folder) for one in blocks)
            return body and f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"
        case Note(label, text):
            return f"<aside><strong>{escape(label)}</strong> {escape(text)}</aside>"
        case Table(header, rows, shaded):
            return _table(header, [list(row) for row in rows], shaded)
        case Items(items):
            points = _lines(f"<li>{_inline(item)}</li>" for item in items)
            return points and f"<ul>\n{points}\n</ul>"
        case Code(text):
            return text and f"<pre><code>{escape(visible(text))}</code></pre>"
        case Picture(name, caption):
            caption = escape(plain(caption))
            return (f'<figure><img src="{_data_uri(os.path.join(folder, name))}" '
                    f'alt="{caption}"><figcaption>{caption}</figcaption></figure>')
    return block and f"<p>{escape(block)}</p>"


def _table(header, rows, shaded):
    if not rows:
        return ""
    sides = [' class="n"' * all(map(is_number, column)) for column in zip(*rows)]
    head = "".join(f'<th scope="col"{side}>{_inline(cell)}</th>'
                   for cell, side in zip(header, sides))
    kind = "shaded" if shaded else "" if any(header) else "pairs"
    body = _lines(_row(row, sides, shaded) for row in rows)
    return (f'<div class="wide"><table class="{kind}">\n'
            + f"<thead><tr>{head}</tr></thead>\n" * any(header)
            + f"<tbody>\n{body}\n</tbody>\n</table></div>")


def _row(row, sides, shaded):
    name, *cells = map(_inline, row)
    total = max(1, sum(row[1:])) if shaded else 1
    text = f'<tr><th scope="row">{name}</th>'
    for cell, value, side in zip(cells, row[1:], sides[1:]):
        if shaded:
            none = "" if value else " none"
            side = f' class="n{none}" style="--share: {value / total:.3f}"'
        text += f"<td{side}>{cell}</td>"
    return text + "</tr>"


def _inline(value):
    tag = {Strong: "strong", Mono: "code"}.get(type(value))
    text = escape(plain(value))
    return f"<{tag}>{text}</{tag}>" if tag else text


def _data_uri(path):
    try:
        with open(path, "rb") as file:
            data = base64.b64encode(file.read()).decode("ascii")
    except OSError as error:
        raise ImageError(f"{path}: expected a picture of the report, got "
                         f"'{error.strerror}'. Draw it first.") from error
    return f"data:{mimetypes.guess_type(path)[0] or 'image/png'};base64,{data}"
