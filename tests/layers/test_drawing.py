"""The drawing of a network: boxes that do not meet, edges that keep clear of them."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minifer import models
from minifer.layers import (BatchNormLayer, ConcatLayer, DenseLayer, DropoutLayer,
                            ElemwiseSumLayer, InputLayer, NonlinearityLayer, summary)
from minifer.layers.summaries.layout import layout

SVG = "{http://www.w3.org/2000/svg}"
WILD = "\x00\x1b[2J<script>alert('1')</script> & \"\ud800\uffff ]]> Straße 面"


def texts(svg):
    """The lines of each box."""
    return [[line.text for line in group.findall(f"{SVG}text")]
            for group in ET.fromstring(svg.encode("utf-8")).iter(f"{SVG}g")
            if group.find(f"{SVG}rect") is not None]


@st.composite
def graphs(draw):
    """Sizes, and edges from lower to higher numbers."""
    n = draw(st.integers(1, 14))
    pairs = [(a, b) for b in range(n) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=20, unique=True)) if (
        pairs) else []
    return [(draw(st.integers(20, 90)), draw(st.integers(10, 60)))
            for _ in range(n)], sorted(chosen)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_boxes_and_lines_keep_clear(graph):
    sizes, edges = graph
    boxes, lines, (width, height) = layout(sizes, edges)
    corners = [(x - w / 2, x + w / 2, y - h / 2, y + h / 2)
               for (x, y), (w, h) in zip(boxes, sizes)]
    for number, (left, right, top, bottom) in enumerate(corners):
        assert -1e-6 <= left and right <= width + 1e-6
        assert -1e-6 <= top and bottom <= height + 1e-6
        for other in corners[:number]:
            assert (left >= other[1] or other[0] >= right
                    or top >= other[3] or other[2] >= bottom)
    for (a, b), line in zip(edges, lines):
        assert line[0] == pytest.approx((boxes[a][0], corners[a][3]))
        assert line[-1] == pytest.approx((boxes[b][0], corners[b][2]))
        assert all(y2 >= y1 - 1e-6 for (_, y1), (_, y2) in zip(line, line[1:]))
        # Within a row a line is straight down, and passes beside the boxes.
        for (x1, y1), (x2, y2) in list(zip(line, line[1:]))[::2]:
            assert x1 == x2
            for number, (left, right, top, bottom) in enumerate(corners):
                assert number in (a, b) or not (
                    left < x1 < right and y1 < bottom - 1e-6 and y2 > top + 1e-6)


def test_a_chain_is_straight_and_two_branches_lie_side_by_side():
    boxes, lines, _ = layout([(50, 20)] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert np.ptp([x for x, _ in boxes]) == pytest.approx(0)
    (lane, _), = {point for point in lines[3][1:-1] if point[1] == lines[3][2][1]}
    assert abs(lane - boxes[1][0]) > 25


def test_edges_that_need_not_cross_do_not():
    sizes = [(50, 20)] * 6  # two inputs, each with readers of its own
    boxes, *_ = layout(sizes, [(0, 3), (1, 2), (0, 5), (1, 4)])
    x = [one for one, _ in boxes]
    assert (x[0] < x[1]) == (max(x[3], x[5]) < min(x[2], x[4]))


def test_a_residual_network_is_drawn_block_by_block():
    found = texts(summary(models.small_resnet()).to_svg())
    assert ["block1.1.1", "Conv2D 3×3", "BatchNorm", "rectify", "48×24×24"] in found
    assert ["block1.1.add", "ElemwiseSum", "rectify", "48×24×24"] in found
    assert found[-1] == ["output", "Dense softmax", "7 → output"]
    assert len(found) == 28


def test_what_two_read_keeps_a_box_of_its_own():
    dense = DenseLayer(InputLayer((None, 4), name="x"), 4, name="fc")
    norm = BatchNormLayer(dense, name="bn")
    network = ElemwiseSumLayer([norm, dense], name="sum")
    assert [lines[0] for lines in texts(summary(network).to_svg())] == [
        "x", "fc", "bn", "sum"]
    top = NonlinearityLayer(dense, name="relu")  # so does what is an output itself
    assert [lines[0] for lines in texts(summary([dense, top]).to_svg())] == [
        "x", "fc", "relu"]


def test_one_layer_read_twice_and_one_alone():
    x = InputLayer((None, 4), name="x")
    assert len(texts(summary(ConcatLayer([x, x])).to_svg())) == 2
    assert texts(summary(x).to_svg()) == [["x", "Input", "4 → output"]]


def test_names_cannot_break_the_drawing():
    network = DropoutLayer(DenseLayer(InputLayer((None, 4), name=WILD), 3, name=WILD))
    svg = summary(network).to_svg()
    first, *_ = texts(svg)
    assert "<script>" not in svg and first[0].endswith("…")
    assert "\\ud800\\uffff" in svg and "\x1b" not in svg
