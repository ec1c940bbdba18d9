#!/usr/bin/env bash
# ONNX Runtime's optimiser takes the scales of a weight's inputs for those of its outputs.
#
# Guess before running: optimisations of the graph change results by rounding alone, and
# one weight that two layers share, as an encoder and its decoder do, may be quantised
# for each channel: right for both.
# Seen: a DequantizeLinear says by its axis along which channels its scales go. Fused
# with the Conv, Gemm or MatMul behind it, any axis counts as the output's. Two inputs of
# 1, four weights of 1, scales 1 and 10 for the inputs: both outputs are 11; after fusing,
# which is what a session does unless told otherwise, they are 2 and 20. Nothing is said,
# as long as there are as many inputs as outputs. quantize_static(per_channel=True) makes
# such files itself of layers that share a weight, as a Gemm there and a Gemm back.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$place/axis.py" <<'PYTHON'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

logging.disable(logging.WARNING)  # the advice to prepare the model first
node, value = helper.make_node, helper.make_tensor_value_info
levels = onnxruntime.GraphOptimizationLevel


def model(nodes, x, constants):
    made = helper.make_model(helper.make_graph(
        nodes, "axis", [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, x.shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()]),
        ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(made, full_check=True)
    return made


def run(data, x, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(data, options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel()


def text(y):
    return " ".join(f"{one:g}" for one in y)


for op, side, axis, after in (("Conv", 4, 1, True), ("Gemm", 2, 0, True),
                              ("MatMul", 2, 0, False)):
    x = np.ones((1, 2) + (1,) * (side - 2), np.float32)
    nodes = [node("QuantizeLinear", ["x", "step", "zero"], ["q"]),
             node("DequantizeLinear", ["q", "step", "zero"], ["d"]),
             node("DequantizeLinear", ["W", "scales", "zeros"], ["w"], axis=axis),
             node(op, ["d", "w"], ["r" if after else "y"])]
    if after:
        nodes += [node("QuantizeLinear", ["r", "step", "zero"], ["p"]),
                  node("DequantizeLinear", ["p", "step", "zero"], ["y"])]
    made = model(nodes, x, {
        "step": np.float32(1), "zero": np.uint8(0), "zeros": np.zeros(2, np.int8),
        "scales": np.array([1, 10], np.float32),
        "W": np.ones((2, 2) + (1,) * (side - 2), np.int8)}).SerializeToString()
    print(op, "as it is", text(run(made, x, levels.ORT_DISABLE_ALL)),
          "| optimised", text(run(made, x, levels.ORT_ENABLE_ALL)))

draw = np.random.default_rng(0)
x = draw.normal(size=(20, 5)).astype(np.float32)
weights = draw.normal(size=(5, 5)).astype(np.float32) * np.array([1, 9, .1, 3, .3], "f")
onnx.save(model([node("Gemm", ["x", "W"], ["code"]),
                 node("Gemm", ["code", "W"], ["y"], transB=1)], x, {"W": weights}),
          sys.argv[1])


class Once(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": x}]

    def get_next(self):
        return self.left.pop() if self.left else None


right = x @ weights @ weights.T
for per_channel in False, True:
    quantize_static(*sys.argv[1:], Once(), per_channel=per_channel,
                    reduce_range=True)  # for processors that add up in 16 bits
    far = [abs(run(sys.argv[2], x, level) - right.ravel()).max() > .1 * np.ptp(right)
           for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL)]
    print(f"Gemm there and back, per_channel {per_channel}, more than 10 % of the range off:",
          *("as it is", far[0], "| optimised", far[1]))
PYTHON
expected='Conv as it is 11 11 | optimised 2 20
Gemm as it is 11 11 | optimised 2 20
MatMul as it is 11 11 | optimised 2 20
Gemm there and back, per_channel False, more than 10 % of the range off: as it is False | optimised False
Gemm there and back, per_channel True, more than 10 % of the range off: as it is False | optimised True'
seen=$("$place/env/bin/python" "$place/axis.py" "$place/before.onnx" "$place/after.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
