#!/usr/bin/env bash
# OpenCV's dnn module takes ONNX's pools with settings that it then does not follow.
#
# Guess before running: a graph that cv2.dnn.readNetFromONNX takes without an error gives
# what ONNX says, within rounding; what it does not know it refuses, as it does elsewhere.
# Seen, with 4.14: MaxPool with auto_pad SAME_LOWER pads at the far end, as SAME_UPPER
# says; AveragePool with count_include_pad leaves the padding out of the mean; dilations of
# a pool do nothing, so that the output even has another shape. Version 5.0, which reads
# graphs by other code, has mended the last two, not the first. No error, no warning.
# ONNX's reference evaluator and ONNX Runtime agree with each other on all three.
#
# Versions: opencv-python-headless 4.14.0.94 and 5.0.0.93, onnx 1.23.2, onnxruntime 1.32.0,
# numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==4.14.0.94 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/pools.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

image = np.array([[[[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]]], "f")


def text(values):
    values = np.asarray(values)
    first = " ".join(f"{value:.3f}" for value in values.reshape(values.shape[-2:])[0])
    return "x".join(map(str, values.shape[-2:])) + ", " + first


for name, op, options in (
        ("SAME_LOWER", "MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}),
        ("count_include_pad", "AveragePool",
         {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("dilations", "MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]})):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], **options)], "pool",
        [value("x", TensorProto.FLOAT, image.shape)],
        [value("y", TensorProto.FLOAT, ("n", "c", "h", "w"))])
    model = helper.make_model(graph, ir_version=10,
                              opset_imports=[helper.make_opsetid("", 19)])
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    right = ReferenceEvaluator(model).run(None, {"x": image})[0]
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": image})[0], right), name
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(image)
    print(f"{cv2.__version__}: {name}: onnx {text(right)}; opencv {text(net.forward())}")
PYTHON
expected='4.14.0: SAME_LOWER: onnx 4x4, 1.000 2.000 3.000 4.000; opencv 4x4, 2.000 3.000 4.000 4.000
4.14.0: count_include_pad: onnx 4x4, 0.667 1.333 2.000 1.556; opencv 4x4, 1.500 2.000 3.000 3.500
4.14.0: dilations: onnx 2x2, 3.000 4.000; opencv 3x3, 2.000 3.000 4.000
5.0.0: SAME_LOWER: onnx 4x4, 1.000 2.000 3.000 4.000; opencv 4x4, 2.000 3.000 4.000 4.000
5.0.0: count_include_pad: onnx 4x4, 0.667 1.333 2.000 1.556; opencv 4x4, 0.667 1.333 2.000 1.556
5.0.0: dilations: onnx 2x2, 3.000 4.000; opencv 2x2, 3.000 4.000'
seen=$("$place/env/bin/python" "$place/pools.py"
    "$place/env/bin/pip" install --quiet --disable-pip-version-check \
        opencv-python-headless==5.0.0.93
    "$place/env/bin/python" "$place/pools.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
