"""Rules of the prose: descriptions have a noun, and code is not spoken of as people."""

import ast
import io
import re
import tokenize

import pytest

from helpers.tree import CODE, ROOT, name_of

FILES = [path for path in [*CODE, ROOT / "kernels" / "README.md"]
         if name_of(path).startswith(("minifer/", "kernels/"))]

#: Word -> what to write in its place.
WORDS = {r"(no|some|any)body|no one": "the caller, another thread, no reader",
         r"work(s|ed|ing)? out": "compute", r"anew": "again, from scratch"}


def docstrings(tree):
    """Line and text, as it is indented, of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            if ast.get_docstring(node) is not None:
                yield node.body[0].lineno, node.body[0].value.value


def prose(path):
    """Line and text of each comment and docstring of a file."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        yield from docstrings(ast.parse(text))
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            yield number, line if path.suffix == ".md" else line.partition("//")[2]


def without_noun(text):
    """The lines of a docstring that begin it or a description with "Of" or "Whose"."""
    lines = text.splitlines()
    for before, line in zip([None, *lines], lines):
        begins = before is None or (before.strip() and indent(line) > indent(before))
        if begins and re.match(r"\s*(Of|Whose)\b", line):
            yield line.strip()


def indent(line):
    return len(line) - len(line.lstrip())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_prose(path):
    found = [f"{line}: {text!r}" for start, whole in prose(path)
             for line, text in enumerate(whole.splitlines(), start)
             for word in WORDS if re.search(rf"\b({word})\b", text, re.IGNORECASE)]
    if path.suffix == ".py":
        found += [f"{start}: {text!r}" for start, whole in
                  docstrings(ast.parse(path.read_text("utf-8")))
                  for text in without_noun(whole)]
    assert not found, "\n".join(found + [f"Write for {word}: {better}"
                                         for word, better in WORDS.items()])


def test_the_rules_find_what_breaks_them():
    assert list(without_noun("Of a thread, 32 bits.")) == ["Of a thread, 32 bits."]
    assert list(without_noun("A sum.\n\n    name : str\n        Of the kernel.\n"
                             "    Prose that goes\n    Of course, on.\n"
                             )) == ["Of the kernel."]
