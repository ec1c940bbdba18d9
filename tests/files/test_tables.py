"""Tables: safe in spreadsheets, and names come back as they were."""

import csv
import os

import pytest
from hypothesis import given, strategies

from minifer.errors import DatasetError
from minifer.files import csv_text, csv_writer, read_csv

NAMES = ["a,b", 'say "cheese"', "two\nlines", "zażółć", os.fsdecode(b"\xff.png"),
         "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "'=1", "\x1b[2J",
         "\x00", "C:\\x5c", "\\udcff", "\\\\x1b", "\x85=1", ""]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_and_harms_nobody(tmp_path, name):
    with csv_writer(tmp_path / "t.csv") as table:
        table.writerow([name, 1, None, -2.5])
    assert read_csv(tmp_path / "t.csv") == [[name, "1", "", "-2.5"]]
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        (cell, *_), = csv.reader(file, strict=True)
    assert not cell.lstrip().startswith(tuple("=+-@＝＋－＠"))
    assert not set(cell) & set("\x00\x07\t\r\x1b")


@given(strategies.text(strategies.characters(exclude_categories=()), max_size=20))
def test_every_text_comes_back(tmp_path_factory, name):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(csv_text([[name, name]]), "utf-8")
    assert read_csv(path) == [[name, name]]


def test_plain_names_are_written_as_they_are():
    assert csv_text([["photo", "share"], ["zażółć 1.png", 0.5]]) == (
        "photo,share\nzażółć 1.png,0.5\n")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b'"no end', b'a"\n"b"c\n'])
def test_what_is_no_table(tmp_path, content):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match="t.csv: expected a table that minifer"):
        read_csv(tmp_path / "t.csv")
