#!/usr/bin/env bash
# ONNX Runtime's Resize is not ONNX's where corners are aligned and scales are given.
#
# Guess before running: ONNX Runtime gives what the ONNX package's own test cases of an
# operator on its list say, and what ONNX's reference evaluator computes.
# Seen: for coordinate_transformation_mode="align_corners" and scales (not sizes) that do
# not divide the image, the second pixel of a row 1 2 3 4 at scale 0.6 is 4 in ONNX
# Runtime and 3.142857 in ONNX. ONNX divides by the length before rounding, 4 · 0.6 - 1 =
# 1.4; ONNX Runtime divides by the rounded one, 2 - 1. The checker accepts the model, and
# no warning is given. With sizes in the place of scales both agree.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/resize.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

image = np.array([[[[1, 2, 3, 4], [5, 6, 7, 8]]]], np.float32)


def model(wanted, inputs):
    node = helper.make_node("Resize", inputs, ["y"], mode="linear",
                            coordinate_transformation_mode="align_corners")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "resize", [value("x", TensorProto.FLOAT, image.shape)],
        [value("y", TensorProto.FLOAT, (1, 1, 1, 2))],
        [numpy_helper.from_array(wanted, inputs[-1])])
    made = helper.make_model(graph, ir_version=10,
                             opset_imports=[helper.make_opsetid("", 19)])
    onnx.checker.check_model(made, full_check=True)
    return made


def row(values):
    return " ".join(f"{value:.4f}" for value in values.ravel())


scales = model(np.array([1, 1, .6, .6], np.float32), ["x", "", "scales"])
sizes = model(np.array([1, 1, 1, 2], np.int64), ["x", "", "", "sizes"])
for name, made in ("scales", scales), ("sizes", sizes):
    session = onnxruntime.InferenceSession(made.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    print(f"{name}: onnx {row(ReferenceEvaluator(made).run(None, {'x': image})[0])}",
          f"onnxruntime {row(session.run(None, {'x': image})[0])}", sep=", ")
PYTHON
expected='scales: onnx 1.0000 3.1429, onnxruntime 1.0000 4.0000
sizes: onnx 1.0000 4.0000, onnxruntime 1.0000 4.0000'
seen=$("$place/env/bin/python" "$place/resize.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
