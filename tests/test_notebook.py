"""What a notebook shows: the same as is printed, and no text can break out of it."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, strategies as st

from minifer import function, gradcheck, layers, models, nonlinearities, tensor
from minifer.evaluation import evaluate
from minifer.notebook import Cell, escape, paragraph, table
from minifer.training import Trainer

EVIL = "<img src=x onerror=alert(1)>"


def parsed(html):
    """HTML that is XML, too: every tag is closed, every text escaped."""
    return ET.fromstring(f"<div>{html}</div>".replace("<br>", "<br/>"))


def cells(html):
    return [["".join(cell.itertext()) for cell in row]
            for row in parsed(html).iter("tr")]


@given(st.text(st.characters()))
def test_any_text_stays_text(text):
    html = table([text], [[text], [Cell(text, ";color:red")]]) + paragraph(text)
    head, *rows = cells(html)
    plain = "".join(ET.fromstring(f"<p>{escape(text)}</p>").itertext())
    assert head == [plain] and rows == [[plain], [plain]]


def test_numbers_stand_on_the_right():
    html = table(["name", "n"], [["a", "1,200"], ["b", None], ["c", 12.5]])
    assert html.count("text-align:right") == 4 and html.count("text-align:left") == 4


def test_a_table_may_be_empty():
    assert cells(table(["name", "n"], [])) == [["name", "n"]]


@pytest.fixture(scope="module")
def network():
    below = layers.InputLayer((None, 4), name=EVIL)
    return layers.DenseLayer(below, 3, nonlinearity=nonlinearities.softmax, name=EVIL)


def test_a_network(network):
    html = network._repr_html_()
    assert EVIL not in html
    head, *rows = cells(html)
    assert head[1:] == ["layer", "kind", "output", "parameters", "MFLOP", "memory"]
    assert rows[1] == ["1", EVIL, "Dense softmax", "3", "15", "<0.01", "12 B"]
    assert "15 parameters" in html and parsed(html).find(
        ".//{http://www.w3.org/2000/svg}rect") is not None


def test_a_plan(network):
    x = tensor.matrix("x")
    predict = function([x], layers.get_output(network, {
        layers.get_all_layers(network)[0]: x}), threads=2)
    predict(np.ones((2, 4), "float32"))
    rows, lines = cells(predict.plan._repr_html_()), str(predict.plan).splitlines()
    assert rows[1][0] in lines[1] and rows[1][1] == "matmul" and rows[-1][0] == "in all"
    assert lines[-1] in predict.plan._repr_html_()


def test_a_gradient_check(network):
    report = gradcheck.check(network)
    head, *rows = cells(report._repr_html_())
    assert [row[0] for row in rows] == [row.name for row in report.rows]
    assert {row[-1] for row in rows} == {"ok"}
    assert EVIL not in report._repr_html_()


def test_a_training_with_and_without_validation(network):
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 2, 0])
    result = Trainer(network, learning_rate=.1).fit(x, y, valid=(x, y), epochs=2)
    head, *rows = cells(result._repr_html_())
    assert head[:4] == ["epoch", "train loss", "valid loss", "accuracy"]
    assert [row[0] for row in rows] == ["1", "2"]
    assert f"best epoch: {result.best_epoch}" in result._repr_html_()
    result = Trainer(network, learning_rate=.1).fit(x, y, epochs=1)
    head, row = cells(result._repr_html_())
    assert len(head) == len(row) == 4 and "no validation" in result._repr_html_()


def test_an_evaluation():
    found = evaluate(np.eye(2)[[0, 0, 1, 0]], [0, 0, 1, 1], ["calm", EVIL])
    html = found._repr_html_()
    assert EVIL not in html and parsed(html) is not None
    rows = cells(html)
    assert rows[2][:4] == [EVIL, "100.0%", "50.0%", "66.7%"]
    assert rows[-1] == [EVIL, "1", "1"]
    assert f"{found.accuracy:.1%}" in html


@pytest.mark.parametrize("build", [models.mlp, models.small_resnet])
def test_every_network_shows(build):
    assert len(cells(build()._repr_html_())) == len(layers.get_all_layers(build())) + 1
