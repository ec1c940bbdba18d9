#!/usr/bin/env bash
# ONNX Runtime's quantize_static divides a dense layer's bias by beta, or forgets beta.
#
# Guess before running: a network of a single node, calibrated on the very numbers that
# it is then given, is within a few steps of 1/255 of the range of what it was.
# Seen: Gemm, alpha * x W + beta * b, becomes in the QOperator format alpha * (x W +
# b / beta), without a word: with beta = 0.5 the bias counts four times as much as it
# should. In the QDQ format it is alpha * x W + b, which the session, as it fuses nodes,
# turns into the former where alpha is 1. beta = alpha = 1, as most files have them, hide
# it. quantize_dynamic leaves such a Gemm alone. Clipped by the calibrated range, the
# numbers look like a bad calibration.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$place/gemm.py" <<'PYTHON'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat,
                                      quantize_dynamic, quantize_static)

logging.disable(logging.WARNING)  # the advice to prepare the model first
before, after = sys.argv[1:]
draw = np.random.default_rng(0)
x = draw.uniform(-100, 100, size=(50, 4)).astype(np.float32)
weights = draw.normal(size=(4, 3)).astype(np.float32)
bias = np.array([10, -12, 14], np.float32)


class Once(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": 1.3 * x}]  # so that nothing is clipped

    def get_next(self):
        return self.left.pop() if self.left else None


def factors(path, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL):
    """The a and b of what is nearest to a * x W + b * bias."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(path, options,
                                           providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    columns = np.stack([(x @ weights).ravel(), np.tile(bias, len(x))], axis=1)
    a, b = np.linalg.lstsq(columns, y.ravel(), rcond=None)[0]
    return f"{a:.1f} {b:.1f}"


value = helper.make_tensor_value_info
for alpha, beta in (1., 1.), (1., .5), (.5, 1.), (.5, .2):
    made = helper.make_model(helper.make_graph(
        [helper.make_node("Gemm", ["x", "W", "b"], ["y"], alpha=alpha, beta=beta)],
        "gemm", [value("x", TensorProto.FLOAT, ("n", 4))],
        [value("y", TensorProto.FLOAT, ("n", 3))],
        [numpy_helper.from_array(weights, "W"), numpy_helper.from_array(bias, "b")]),
        ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, before)
    seen = ["float", factors(before)]
    for kind in QuantFormat.QDQ, QuantFormat.QOperator:
        quantize_static(before, after, Once(), quant_format=kind,
                        reduce_range=True)  # for processors that add up in 16 bits
        seen += [f"| {kind}", factors(after)]
        if kind == QuantFormat.QDQ:
            seen += ["not fused",
                     factors(after, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)]
    quantize_dynamic(before, after)
    print(f"alpha {alpha} beta {beta}:", *seen, "| dynamic", factors(after))
PYTHON
expected='alpha 1.0 beta 1.0: float 1.0 1.0 | QDQ 1.0 1.0 not fused 1.0 1.0 | QOperator 1.0 1.0 | dynamic 1.0 1.0
alpha 1.0 beta 0.5: float 1.0 0.5 | QDQ 1.0 2.0 not fused 1.0 1.0 | QOperator 1.0 2.0 | dynamic 1.0 0.5
alpha 0.5 beta 1.0: float 0.5 1.0 | QDQ 0.5 1.0 not fused 0.5 1.0 | QOperator 0.5 0.5 | dynamic 0.5 1.0
alpha 0.5 beta 0.2: float 0.5 0.2 | QDQ 0.5 1.0 not fused 0.5 1.0 | QOperator 0.5 2.5 | dynamic 0.5 0.2'
seen=$("$place/env/bin/python" "$place/gemm.py" "$place/before.onnx" "$place/after.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
