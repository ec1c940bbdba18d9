#!/usr/bin/env bash
# ONNX Runtime's quantised average pooling counts pixels beyond the padding.
#
# Guess before running: QLinearAveragePool is AveragePool with rounding. Where ceil_mode=1
# lets a window hang over the end, count_include_pad=1 counts the padding, not what lies
# beyond it: so have it AveragePool, ONNX's reference evaluator, PyTorch, and the operator.
# Seen: it divides by the whole window. Of 1 2 3 4 5 6 in threes, every second place, the
# last mean is 5.5; of eight bits it is 3.67. Both settings together are no rarity:
# PyTorch 2.13's exporter, the new as the old one, writes AvgPool2d(ceil_mode=True) so. In
# the QDQ format it is wrong behind another layer, as the session then fuses nodes, which
# it does unless told otherwise; the same file without optimisation is right, and so is a
# pool that stands alone. Calibrated on the very numbers that it is given.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$place/pool.py" <<'PYTHON'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat,
                                      quantize_static)

logging.disable(logging.WARNING)  # the advice to prepare the model first
before, after = sys.argv[1:]
x = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 1, 6)


class Once(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": x}]

    def get_next(self):
        return self.left.pop() if self.left else None


def text(values):
    return " ".join(f"{float(one):.1f}" for one in values.ravel())


def numbers(path, level="ORT_ENABLE_ALL"):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(path, options,
                                           providers=["CPUExecutionProvider"])
    return text(session.run(None, {"x": x})[0])


for counted in 0, 1:
    for pad in 0, 1:
        nodes = [helper.make_node("Conv", ["x", "one"], ["c"]),
                 helper.make_node(
                     "AveragePool", ["c"], ["y"], kernel_shape=[1, 3], strides=[1, 2],
                     pads=[0, pad, 0, pad], ceil_mode=1, count_include_pad=counted)]
        made = helper.make_model(helper.make_graph(
            nodes, "pool",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 1, "w"))],
            [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one")]),
            ir_version=9, opset_imports=[helper.make_opsetid("", 19)])
        onnx.checker.check_model(made, full_check=True)
        onnx.save(made, before)
        assert text(ReferenceEvaluator(made).run(None, {"x": x})[0]) == numbers(before)
        seen = ["float", numbers(before)]
        for kind in QuantFormat.QDQ, QuantFormat.QOperator:
            quantize_static(before, after, Once(), quant_format=kind)
            seen += [f"| {kind}", numbers(after)]
            if kind == QuantFormat.QDQ:
                seen += ["| not optimised", numbers(after, "ORT_DISABLE_ALL")]
        print(f"count_include_pad={counted}, padding {pad}:", *seen)
PYTHON
expected='count_include_pad=0, padding 0: float 2.0 4.0 5.5 | QDQ 2.0 4.0 5.5 | not optimised 2.0 4.0 5.5 | QOperator 2.0 4.0 5.5
count_include_pad=0, padding 1: float 1.5 3.0 5.0 6.0 | QDQ 1.5 3.0 5.0 6.0 | not optimised 1.5 3.0 5.0 6.0 | QOperator 1.5 3.0 5.0 6.0
count_include_pad=1, padding 0: float 2.0 4.0 5.5 | QDQ 2.0 4.0 3.7 | not optimised 2.0 4.0 5.5 | QOperator 2.0 4.0 3.7
count_include_pad=1, padding 1: float 1.0 3.0 5.0 3.0 | QDQ 1.0 3.0 5.0 2.0 | not optimised 1.0 3.0 5.0 3.0 | QOperator 1.0 3.0 5.0 2.0'
seen=$("$place/env/bin/python" "$place/pool.py" "$place/before.onnx" "$place/after.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
