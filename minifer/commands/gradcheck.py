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
from ..layers import (BaseConvLayer, BatchNormLayer, BiasLayer, ConcatLayer,
                      Conv1DLayer, Conv2DLayer, Conv3DLayer, CustomRecurrentLayer,
                      DenseLayer, DilatedConv2DLayer, DimshuffleLayer, DropoutLayer,
                      ElemwiseMergeLayer, ElemwiseSumLayer, EmbeddingLayer,
                      ExpressionLayer, FeaturePoolLayer, FeatureWTALayer, FlattenLayer,
                      FunctionLayer, GRULayer, Gate, GaussianNoiseLayer,
                      GlobalPoolLayer, InputLayer, InverseLayer, LSTMLayer,
                      LocalResponseNormalization2DLayer, LocallyConnected2DLayer,
                      MaxPool1DLayer, MaxPool2DLayer, MaxPool3DLayer, NINLayer,
                      NonlinearityLayer, PadLayer, ParamLayer,
                      ParametricRectifierLayer, Pool1DLayer, Pool2DLayer, Pool3DLayer,
                      RandomizedRectifierLayer, RecurrentLayer, ReshapeLayer,
                      ScaleLayer, SliceLayer, SpatialPyramidPoolingLayer,
                      StandardizationLayer, TPSTransformerLayer, TransformerLayer,
                      TransposedConv2DLayer, TransposedConv3DLayer, Upscale1DLayer,
                      Upscale2DLayer, Upscale3DLayer, batch_norm, dropout_channels,
                      dropout_locations, instance_norm, layer_norm)

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
    yield from convolutions()
    yield "MaxPool2DLayer", MaxPool2DLayer(x, 2)
    yield "MaxPool2DLayer overlap", MaxPool2DLayer(x, 3, stride=2, pad=1)
    yield "MaxPool2DLayer border", MaxPool2DLayer(x, 2, ignore_border=False)
    yield "Pool2DLayer inc_pad", Pool2DLayer(x, 3, 2, 1, mode="average_inc_pad")
    yield "Pool2DLayer exc_pad", Pool2DLayer(x, 3, 2, 1, mode="average_exc_pad")
    yield from pools()
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
    yield "DimshuffleLayer", DimshuffleLayer(x, (0, 3, "x", 1, 2))
    yield "PadLayer", PadLayer(x, [(1, 2), 3], val=0.5)
    yield "SliceLayer", SliceLayer(x, slice(1, -1, 2), axis=2)
    yield "SliceLayer index", SliceLayer(x, -1, axis=1)
    yield from merging(x, Conv2DLayer(x, 2, 1, name="conv"), Conv2DLayer(x, 2, 2))
    yield "dropout_channels", dropout_channels(x)
    yield "dropout_locations", dropout_locations(x, p=0.3)
    yield "GaussianNoiseLayer", GaussianNoiseLayer(x)
    yield "LocalResponseNormalization2DLayer", LocalResponseNormalization2DLayer(
        x, alpha=0.5, k=1, n=3)
    for axes in ("spatial", "features", (0, 1)):
        yield f"StandardizationLayer {axes}", StandardizationLayer(x, axes)
    yield "instance_norm(conv)", instance_norm(Conv2DLayer(x, **conv))
    yield "layer_norm(conv)", layer_norm(Conv2DLayer(x, **conv))
    yield "BiasLayer", BiasLayer(x, name="bias")
    yield "BiasLayer a row", BiasLayer(x, shared_axes=(0, 3), name="bias")
    yield "ScaleLayer", ScaleLayer(x, name="scale")
    yield "ParametricRectifierLayer", ParametricRectifierLayer(x, name="prelu")
    yield "ParametricRectifierLayer all", ParametricRectifierLayer(
        x, shared_axes="all", name="prelu")
    yield "RandomizedRectifierLayer", RandomizedRectifierLayer(x)
    for border in ("nearest", "mirror", "wrap"):
        yield f"TransformerLayer {border}", TransformerLayer(
            x, DenseLayer(x, 6, nonlinearity=None), (1, 1.5), border)
    yield "TPSTransformerLayer", TPSTransformerLayer(
        x, DenseLayer(x, 8, nonlinearity=f.tanh), control_points=4)
    yield "ExpressionLayer", ExpressionLayer(x, f.tanh)
    yield from functions(x)
    yield from inverting(x)
    yield from recurrent_layers()
    first = DenseLayer(InputLayer((None, 5)), 5, nonlinearity=f.tanh, name="shared")
    yield "a shared layer", DenseLayer(first, 5, W=first.W, b=first.b, name="twice")
    for name in ("rectify", "leaky_rectify", "elu", "selu", "tanh", "sigmoid",
                 "softplus", "relu6", "hard_sigmoid", "softsign", "swish", "hard_swish",
                 "gelu", "gelu_tanh", "mish"):
        yield f"nonlinearity {name}", NonlinearityLayer(x, getattr(f, name))
    yield "nonlinearity softmax", NonlinearityLayer(InputLayer((None, 7)), f.softmax)


def convolutions():
    """Those of other axes, in groups, dilated, transposed, local."""
    x, line = InputLayer(SHAPE), InputLayer((None, 2, 7))
    volume = InputLayer((None, 2, 3, 4, 3))
    conv = {"num_filters": 2, "filter_size": (3, 2), "name": "conv"}
    yield "Conv1DLayer", Conv1DLayer(line, 3, 3, 2, "same", name="conv")
    yield "Conv3DLayer", Conv3DLayer(volume, 2, (2, 3, 2), pad=(0, 1, 0), name="conv")
    yield "Conv2DLayer in groups", Conv2DLayer(x, 4, 3, num_groups=2, name="conv")
    yield "Conv2DLayer depthwise", Conv2DLayer(x, num_groups=2, pad=1, **conv)
    yield "Conv2DLayer 1x1 in groups", Conv2DLayer(x, 4, 1, num_groups=2, name="conv")
    yield "Conv1DLayer depthwise", Conv1DLayer(line, 2, 4, num_groups=2, name="conv")
    yield "NINLayer", NINLayer(x, 3, name="nin")
    yield "NINLayer untied", NINLayer(x, 3, untie_biases=True, name="nin")
    yield "DilatedConv2DLayer", DilatedConv2DLayer(x, dilation=(2, 3), **conv)
    yield "TransposedConv2DLayer", TransposedConv2DLayer(x, stride=(2, 1), **conv)
    yield "TransposedConv2DLayer larger", TransposedConv2DLayer(
        x, stride=2, crop=1, untie_biases=True, output_size=(13, 11), **conv)
    yield "TransposedConv3DLayer", TransposedConv3DLayer(
        volume, 2, 2, stride=(2, 1, 1), name="conv")
    yield "Conv2DLayer same_upper", Conv2DLayer(
        x, 2, 3, 2, "same_upper", flip_filters=False, name="conv")
    yield "TransposedConv2DLayer same_upper", TransposedConv2DLayer(
        x, 2, 3, 2, "same_upper", name="conv")
    yield "LocallyConnected2DLayer", LocallyConnected2DLayer(x, 3, 3, name="local")
    yield "LocallyConnected2DLayer channelwise", LocallyConnected2DLayer(
        x, pad=0, stride=(2, 1), channelwise=True, **conv)


def pools():
    """Those of other axes, across channels, of a pyramid; and what enlarges."""
    x, line = InputLayer((None, 4, 7, 6)), InputLayer((None, 2, 7))
    volume = InputLayer((None, 2, 5, 4, 3))
    yield "MaxPool1DLayer", MaxPool1DLayer(line, 3, 2, 1)
    yield "Pool1DLayer border", Pool1DLayer(line, 2, ignore_border=False,
                                            mode="average_inc_pad")
    yield "MaxPool3DLayer", MaxPool3DLayer(volume, (2, 3, 2), 1, (1, 0, 1))
    yield "Pool3DLayer inc_pad", Pool3DLayer(volume, 2, 1, 1, mode="average_inc_pad")
    yield "Pool3DLayer exc_pad", Pool3DLayer(volume, 2, 1, 1, mode="average_exc_pad")
    yield "Pool2DLayer same_upper", Pool2DLayer(x, 3, 2, "same_upper",
                                                mode="average_exc_pad")
    yield "Upscale2DLayer linear", Upscale2DLayer(x, (2, 3), "linear")
    yield "Upscale1DLayer", Upscale1DLayer(line, 3)
    yield "Upscale2DLayer", Upscale2DLayer(x, (2, 3))
    yield "Upscale3DLayer dilate", Upscale3DLayer(volume, (2, 1, 3), "dilate")
    for function in ("mean", "max", "sum"):
        yield f"FeaturePoolLayer {function}", FeaturePoolLayer(
            x, 2, pool_function=function)
    yield "FeatureWTALayer", FeatureWTALayer(x, 3, axis=3)
    yield "SpatialPyramidPoolingLayer", SpatialPyramidPoolingLayer(x, [3, 1])
    yield "SpatialPyramidPoolingLayer kaiming", SpatialPyramidPoolingLayer(
        x, [4, 2], "average_exc_pad", "kaiming")


def merging(x, like, smaller):
    """Layers with several inputs: x, one of its shape and one of fewer pixels."""
    cropping = [None, None, "center", "upper"]
    yield "ConcatLayer", ConcatLayer([x, like])
    yield "ConcatLayer cropping", ConcatLayer([x, smaller], cropping=cropping)
    yield "ElemwiseSumLayer", ElemwiseSumLayer([x, like], [1, -2])
    yield "ElemwiseSumLayer cropping", ElemwiseSumLayer([x, smaller, like],
                                                        cropping=cropping)
    for function in ("multiply", "subtract", "maximum", "minimum"):
        yield f"ElemwiseMergeLayer {function}", ElemwiseMergeLayer([x, like], function)
    yield "ElemwiseMergeLayer divide", ElemwiseMergeLayer(
        [x, NonlinearityLayer(like, f.sigmoid)], "divide")


def functions(x):
    """Those that are known by name: of one input, of a parameter, along an axis."""
    for name, options in (
            ("gelu", {}), ("log_sum_exp", {"axis": (1, 3)}), ("erf", {}),
            ("norm", {"order": 1, "axis": 2, "keepdims": True}), ("mish", {}),
            ("cumsum", {"axis": 3, "exclusive": True, "reverse": True}),
            ("pad", {"widths": ((0, 0), (0, 0), (2, 1), (-1, 3)), "mode": "reflect"}),
            ("normalized", {"axis": 1}), ("rms_normalized", {"axis": (2, 3)})):
        yield f"FunctionLayer {name}", FunctionLayer([x], name, options)
    square = ParamLayer((6, 4), np.linspace(-1, 1, 24).reshape(6, 4), name="square")
    yield "FunctionLayer matmul, ParamLayer", FunctionLayer([x, square], "matmul")
    yield "nonlinearity Softmax", NonlinearityLayer(x, f.Softmax(2))
    yield "nonlinearity LogSoftmax", NonlinearityLayer(x, f.LogSoftmax(3))
    yield "BaseConvLayer", BaseConvLayer(x, 4, 2, 2, 1, num_groups=2, dilation=(1, 2),
                                         n=2, name="conv")


def inverting(x):
    """Layers and their inverses, as in an autoencoder."""
    for function in (f.rectify, f.tanh, f.sigmoid):
        conv = Conv2DLayer(x, 3, (3, 2), stride=(2, 1), pad=(1, 0),
                           nonlinearity=function, name="conv")
        yield f"InverseLayer conv {function}", InverseLayer(
            NonlinearityLayer(conv, f.elu), conv)
    dense = DenseLayer(x, 4, nonlinearity=f.softplus, name="dense")
    yield "InverseLayer dense", InverseLayer(NonlinearityLayer(dense, f.tanh), dense)
    for mode in ("max", "average_inc_pad", "average_exc_pad"):
        pool = Pool2DLayer(x, 3, 2, 1, mode=mode)
        yield f"InverseLayer pool {mode}", InverseLayer(
            NonlinearityLayer(pool, f.tanh), pool)


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
    yield "GRULayer, a bias of the state", GRULayer(x, 4, **gru, b_hid=W, name="gru")
    yield "GRULayer, reset first", GRULayer(
        x, 4, **gru, b_hid=W, reset_after=False, **all_options, name="gru")
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
