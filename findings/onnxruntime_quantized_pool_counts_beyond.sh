#!/usr/bin/env bash
# ONNX Runtime's quantised average pooling counts pixels beyond the padding.
#
# Guess before running: an AveragePool with ceil_mode, whose last window hangs over the end,
# divides by what lies in the image, and with count_include_pad in its padding. What
# quantize_static makes of it, in either format, is within a step of 1/255 of the range.
# Seen: in the QOperator format it becomes QLinearAveragePool, which with count_include_pad
# divides by the whole window: of 1 … 5 in windows of two the last is 2.5 in place of 5. That
# is what PyTorch's AvgPool2d(..., ceil_mode=True), which counts its padding unless told
# otherwise, was exported as until 2.9, and by its older exporter still is. The QDQ format and the float model are right, with and without
# padding, and so are all without count_include_pad.
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
from onnx import TensorProto, helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat,
                                      quantize_static)

logging.disable(logging.WARNING)  # the advice to prepare the model first
before, after = sys.argv[1:]


class Once(CalibrationDataReader):
    def __init__(self, x):
        self.left = [{"x": x}]

    def get_next(self):
        return self.left.pop() if self.left else None


def numbers(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y = session.run(["y"], {"x": x})[0]
    return " ".join(f"{round(2 * float(one)) / 2:g}" for one in y.ravel())


for counts in 0, 1:
    for title, length, size, pad in ("without padding", 5, 2, 0), ("padded", 6, 3, 1):
        x = np.arange(1, length + 1, dtype=np.float32).reshape(1, 1, 1, -1)
        windows = -(-(length + 2 * pad - size) // 2) + 1
        made = helper.make_model(helper.make_graph(
            [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[1, size],
                              strides=[1, 2], pads=[0, pad, 0, pad], ceil_mode=1,
                              count_include_pad=counts)], "pool",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 1, windows))]),
            ir_version=9, opset_imports=[helper.make_opsetid("", 19)])
        onnx.checker.check_model(made, full_check=True)
        onnx.save(made, before)
        seen = ["float", numbers(before, x)]
        for form in QuantFormat.QDQ, QuantFormat.QOperator:
            quantize_static(before, after, Once(x), quant_format=form)
            seen += [f"| {form}", numbers(after, x)]
        print(f"count_include_pad {counts}, {title}:", *seen)
PYTHON
expected='count_include_pad 0, without padding: float 1.5 3.5 5 | QDQ 1.5 3.5 5 | QOperator 1.5 3.5 5
count_include_pad 0, padded: float 1.5 3 5 6 | QDQ 1.5 3 5 6 | QOperator 1.5 3 5 6
count_include_pad 1, without padding: float 1.5 3.5 5 | QDQ 1.5 3.5 5 | QOperator 1.5 3.5 2.5
count_include_pad 1, padded: float 1 3 5 3 | QDQ 1 3 5 3 | QOperator 1 3 5 2'
seen=$("$place/env/bin/python" "$place/pool.py" "$place/before.onnx" "$place/after.onnx")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
