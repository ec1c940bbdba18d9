#!/usr/bin/env bash
# ONNX Runtime's quantize_static leaves out a Clip or a Relu that was needed.
#
# Guess before running: a network of a few nodes, calibrated on the very numbers that it
# is then given, is within a few steps of 1/255 of the range of what it was. A Clip or
# Relu behind a convolution goes where the limits of 8 bits do the same, and only there.
# Seen: those limits always take in 0, so that behind a convolution a Clip to 0.5 and more
# lets 0 through. A Relu whose input is an output of the model as well: that output has
# the Relu's limits, and all that was negative in it is 0. And in the QOperator format a Relu
# that a skip goes round, as in networks that activate first, does nothing: what was c +
# relu(c) is c + c. No warning is given. A Clip that stands alone is left as it is, and
# with the extra option ActivationSymmetric all are.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$place/clip.py" <<'PYTHON'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat,
                                      quantize_static)

logging.disable(logging.WARNING)  # the advice to prepare the model first
before, after = sys.argv[1:]
x = np.linspace(-4, 4, 5, dtype=np.float32).reshape(1, 1, 1, 5)
constants = {"one": np.ones((1, 1, 1, 1)), "half": np.array(.5), "two": np.array(2.)}
constants = [numpy_helper.from_array(array.astype(np.float32), name)
             for name, array in constants.items()]


class Once(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": x}]

    def get_next(self):
        return self.left.pop() if self.left else None


def numbers(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y = session.run(["y"], {"x": x})[0]
    return " ".join(f"{round(float(one), 1) + 0:g}" for one in y.ravel())


node = helper.make_node
convolve = node("Conv", ["x", "one"], ["c"])
for title, nodes, outputs in (
        ("Clip behind Conv", [convolve, node("Clip", ["c", "half", "two"], ["y"])], "y"),
        ("Clip alone", [node("Clip", ["x", "half", "two"], ["y"])], "y"),
        ("Conv, its Relu is an output, too",
         [node("Conv", ["x", "one"], ["y"]), node("Relu", ["y"], ["r"])], "yr"),
        ("Conv + its Relu",
         [convolve, node("Relu", ["c"], ["r"]), node("Add", ["c", "r"], ["y"])], "y")):
    made = helper.make_model(helper.make_graph(
        nodes, "clip", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
         for name in outputs],
        [one for one in constants if any(one.name in other.input for other in nodes)]),
        ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, before)
    seen = ["float", numbers(before)]
    for kind in QuantFormat.QDQ, QuantFormat.QOperator:
        quantize_static(before, after, Once(), quant_format=kind)
        seen += [f"| {kind}", numbers(after)]
    quantize_static(before, after, Once(), quant_format=QuantFormat.QOperator,
                    extra_options={"ActivationSymmetric": True})
    print(f"{title}:", *seen, "| symmetric", numbers(after))
PYTHON
expected='Clip behind Conv: float 0.5 0.5 0.5 2 2 | QDQ 0 0 0 2 2 | QOperator 0 0 0 2 2 | symmetric 0.5 0.5 0.5 2 2
Clip alone: float 0.5 0.5 0.5 2 2 | QDQ 0.5 0.5 0.5 2 2 | QOperator 0.5 0.5 0.5 2 2 | symmetric 0.5 0.5 0.5 2 2
Conv, its Relu is an output, too: float -4 -2 0 2 4 | QDQ 0 0 0 2 4 | QOperator 0 0 0 2 4 | symmetric -4 -2 0 2 4
Conv + its Relu: float -4 -2 0 4 8 | QDQ -4 -2 0 4 8 | QOperator -4 -4 0 4 8 | symmetric -4 -2 0 4 8'
seen=$("$place/env/bin/python" "$place/clip.py" "$place/before.onnx" "$place/after.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
