"""See that every gradient is right: minifer gradcheck [--device emu].

Measures the gradient of every layer by small steps and compares; exit code 1 if one
is wrong. First every layer of the library on a small random input, then the whole
headline network, 3,641,191 parameters.
"""

import dataclasses
import json

import numpy as np

from .. import gradcheck, models, nonlinearities as f
from ..device import arrays
from ..layers import (BatchNormLayer, ConcatLayer, Conv2DLayer, CustomRecurrentLayer,
                      DenseLayer, DropoutLayer, ElemwiseSumLayer, EmbeddingLayer,
                      FlattenLayer, Gate, GlobalPoolLayer, GRULayer, InputLayer,
                      LSTMLayer, MaxPool2DLayer, NonlinearityLayer, Pool2DLayer,
                      RecurrentLayer, ReshapeLayer, batch_norm)

# Small pictures of odd sizes: mistakes hide where everything is square.
SHAPE = (None, 2, 7, 6)


def layers():
    """One small network for each layer and option that has mathematics of its own."""
    x = InputLayer(SHAPE)
    conv = {"num_filters": 3, "filter_size": (3, 2), "name": "conv"}
    yield "Conv2DLayer", Conv2DLayer(x, **conv)
    yield "Conv2DLayer stride 2", Conv2DLayer(x, stride=(2, 1), pad=(1, 0), **conv)
    yield "Conv2DLayer full", Conv2DLayer(x, pad="full", **conv)
    yield "Conv2DLayer same", Conv2DLayer(x, 3, 3, pad="same", name="conv")
    yield "Conv2DLayer untied", Conv2DLayer(x, untie_biases=True, **conv)
    yield "Conv2DLayer unflipped", Conv2DLayer(x, flip_filters=False, **conv)
    yield "MaxPool2DLayer", MaxPool2DLayer(x, 2)
    yield "MaxPool2DLayer overlap", MaxPool2DLayer(x, 3, stride=2, pad=1)
    yield "MaxPool2DLayer border", MaxPool2DLayer(x, 2, ignore_border=False)
    yield "Pool2DLayer inc_pad", Pool2DLayer(x, 3, 2, 1, mode="average_inc_pad")
    yield "Pool2DLayer exc_pad", Pool2DLayer(x, 3, 2, 1, mode="average_exc_pad")
    for function in ("mean", "max", "sum"):
        yield f"GlobalPoolLayer {function}", GlobalPoolLayer(x, function)
    yield "DenseLayer", DenseLayer(x, 4, name="dense")
    yield "DenseLayer step by step", DenseLayer(x, 4, num_leading_axes=2, name="dense")
    yield "EmbeddingLayer", EmbeddingLayer(InputLayer((None, 4)), 3, 2, name="words")
    yield "DropoutLayer", DropoutLayer(x, p=0.3)
    yield "BatchNormLayer", BatchNormLayer(x, name="bn")
    yield "batch_norm(conv)", batch_norm(Conv2DLayer(x, **conv))
    yield "FlattenLayer", FlattenLayer(x)
    yield "ReshapeLayer", ReshapeLayer(x, ([0], 3, -1))
    yield "ConcatLayer", ConcatLayer([x, Conv2DLayer(x, 3, 1, name="conv")])
    yield "ElemwiseSumLayer", ElemwiseSumLayer([x, Conv2DLayer(x, 2, 1)], [1, -2])
    yield from recurrent_layers()
    first = DenseLayer(InputLayer((None, 5)), 5, nonlinearity=f.tanh, name="shared")
    yield "a shared layer", DenseLayer(first, 5, W=first.W, b=first.b, name="twice")
    for name in ("rectify", "leaky_rectify", "elu", "selu", "tanh", "sigmoid",
                 "softplus"):
        yield f"nonlinearity {name}", NonlinearityLayer(x, getattr(f, name))
    yield "nonlinearity softmax", NonlinearityLayer(InputLayer((None, 7)), f.softmax)


def recurrent_layers():
    """Those that walk over sequences."""
    x = InputLayer((None, 5, 3))
    # Steps are left out where this is 0; a start for each sequence.
    mask = ReshapeLayer(DenseLayer(x, 1, num_leading_axes=2, name="mask"), ([0], [1]))
    start = DenseLayer(x, 4, nonlinearity=f.tanh, name="start")
    all_options = {"backwards": True, "mask_input": mask, "hid_init": start}
    rng = np.random.default_rng(0)

    def W(shape):
        return rng.normal(size=shape) / 2

    gate, soft = Gate(W, W, W), Gate(W, W, W, W, f.softplus)
    tanh = Gate(W, W, None, W, f.tanh)
    lstm = {"ingate": gate, "forgetgate": gate, "cell": tanh, "outgate": gate}
    gru = {"resetgate": gate, "updategate": gate, "hidden_update": tanh}
    yield "RecurrentLayer", RecurrentLayer(x, 4, W, W, W, f.tanh, name="rnn")
    yield "RecurrentLayer, all options", RecurrentLayer(
        x, 4, W, W, nonlinearity=f.tanh, precompute_input=False, name="rnn",
        **all_options)
    yield "LSTMLayer", LSTMLayer(x, 4, **lstm, learn_init=True, name="lstm")
    yield "LSTMLayer, all options", LSTMLayer(
        x, 4, **lstm, cell_init=W, **all_options, name="lstm")
    yield "LSTMLayer, no peepholes", LSTMLayer(
        x, 4, **lstm, peepholes=False, only_return_final=True, name="lstm")
    yield "LSTMLayer, other gates", LSTMLayer(
        x, 3, soft, gate, Gate(W, W, nonlinearity=None), gate, f.sigmoid, name="lstm")
    yield "GRULayer", GRULayer(x, 4, **gru, learn_init=True, name="gru")
    yield "GRULayer, all options", GRULayer(x, 4, **gru, **all_options, name="gru")
    yield "GRULayer, other gates", GRULayer(
        x, 3, gate, tanh, soft, only_return_final=True, backwards=True, name="gru")
    conv = {"num_filters": 2, "filter_size": 3, "pad": "same", "nonlinearity": None}
    yield "CustomRecurrentLayer", CustomRecurrentLayer(
        InputLayer((None, 3, 1, 4, 5)),
        Conv2DLayer(InputLayer((None, 1, 4, 5)), **conv, name="seen"),
        Conv2DLayer(InputLayer((None, 2, 4, 5)), **conv, name="kept"), f.tanh, W,
        learn_init=True, name="films")


def arguments(parser):
    """Add the options."""
    parser.add_argument("--device", choices=arrays.DEVICES, default="cpu",
                        help="whose kernels to check: emu needs no GPU")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args):
    """Print the tables; return 0 if every gradient is right, and else 1."""
    networks = [(title, network, {}) for title, network in layers()]
    networks.append(("the headline network, ck96", models.ck96(),
                     {"batch": 2, "elements": 4}))
    reports = {}
    for title, network, options in networks:
        report = gradcheck.check(network, device=args.device, **options)
        reports[title] = report
        if not args.json:
            print(f"--- {title}\n{report}\n")
    ok = all(report.ok for report in reports.values())
    if args.json:
        print(json.dumps({"ok": ok, "checks": [as_dict(title, report) for title, report
                                               in reports.items()]}, indent=2))
    else:
        print("Every gradient is right." if ok else "A gradient is WRONG: see above.")
    return 0 if ok else 1


def as_dict(title, report):
    """A table for machines."""
    return {"title": title, "ok": report.ok, "rows": [
        dataclasses.asdict(row) | {
            "probes": row.probes, "directional": row.directional,
            "verdict": row.verdict} for row in report.rows]}
