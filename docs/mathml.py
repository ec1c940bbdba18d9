"""Formulas as MathML, which browsers draw themselves: no script, no network.

Sphinx would fetch a script from the web for them; docutils translates LaTeX itself.
A formula that it cannot read is a warning, and with -W ends the build.
"""

import html

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("doctree-read", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def check(app, doctree):
    """Warn of each formula of a page that cannot be read, whatever is built of it."""
    formulas = (nodes.math, nodes.math_block)
    for node in doctree.findall(lambda node: isinstance(node, formulas)):
        try:
            latex2mathml.tex2mathml(node.astext())
        except Exception as error:  # MathError, and whatever a broken formula leads to
            logger.warning("formula %r: %s", node.astext(), error, location=node)


def inline(writer, node):
    writer.body.append(to_mathml(node))
    raise nodes.SkipNode


def block(writer, node):
    writer.body.append(f'<div class="formula">{to_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def to_mathml(node, as_block=False):
    """The formula, or its text where it is no LaTeX that docutils knows."""
    try:
        return latex2mathml.tex2mathml(node.astext(), as_block=as_block)
    except MathError:
        return f"<code>{html.escape(node.astext())}</code>"
