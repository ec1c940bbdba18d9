#!/usr/bin/env bash
# ONNX Runtime's quantize_static makes one 8-bit bias of one that two layers share.
#
# Guess before running: a bias is kept as whole numbers of the step of input times
# weights. Two convolutions or dense layers whose weights have different steps get two
# such biases, even if they shared one, as layers do where exporters and optimisers put
# equal numbers together.
# Seen: in the QOperator format the bias is made once, in the steps of the first layer, and
# the second reads it in its own: with weights ten times as large a bias of 3 counts as
# 30, and here all of its outputs lie at the end of their range. Neither a warning nor an error
# is given. In the QDQ format both are right, as both are where each has a bias of its own.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$place/bias.py" <<'PYTHON'
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


class Once(CalibrationDataReader):
    def __init__(self, x):
        self.left = [{"x": x}]

    def get_next(self):
        return self.left.pop() if self.left else None


def second(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y = session.run(["second"], {"x": x})[0]
    return " ".join(f"{round(float(one)) + 0:g}" for one in y.ravel())


for kind, x, one in (("Conv", np.linspace(-1, 1, 5).reshape(1, 1, 1, 5),
                      np.ones((1, 1, 1, 1))),
                     ("Gemm", np.linspace(-1, 1, 4).reshape(2, 2), np.eye(2))):
    x, size = x.astype(np.float32), len(one)
    for title, biases in ("shared", "bb"), ("of its own", "bc"):
        numbers = {"one": one, "ten": 10 * one} | {
            name: np.full(size, 3) for name in biases}
        made = helper.make_model(helper.make_graph(
            [helper.make_node(kind, ["x", "one", biases[0]], ["first"]),
             helper.make_node(kind, ["x", "ten", biases[1]], ["second"])], "two",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
             for name in ("first", "second")],
            [numpy_helper.from_array(array.astype(np.float32), name)
             for name, array in numbers.items()]),
            ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
        onnx.checker.check_model(made, full_check=True)
        onnx.save(made, before)
        seen = ["float", second(before, x)]
        for form in QuantFormat.QDQ, QuantFormat.QOperator:
            quantize_static(before, after, Once(x), quant_format=form)
            seen += [f"| {form}", second(after, x)]
        print(f"{kind}, its bias {title}:", *seen)
PYTHON
expected='Conv, its bias shared: float -7 -2 3 8 13 | QDQ -7 -2 3 8 13 | QOperator 13 13 13 13 13
Conv, its bias of its own: float -7 -2 3 8 13 | QDQ -7 -2 3 8 13 | QOperator -7 -2 3 8 13
Gemm, its bias shared: float -7 0 6 13 | QDQ -7 0 6 13 | QOperator 13 13 13 13
Gemm, its bias of its own: float -7 0 6 13 | QDQ -7 0 6 13 | QOperator -7 0 6 13'
seen=$("$place/env/bin/python" "$place/bias.py" "$place/before.onnx" "$place/after.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
