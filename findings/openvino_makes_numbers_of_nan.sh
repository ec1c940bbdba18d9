#!/usr/bin/env bash
# OpenVINO makes numbers of nan, so that a network gone astray answers with confidence.
#
# Guess before running: a network one of whose weights is nan, as a training that has
# gone astray leaves them, answers nan, and so does one that is given nan; it does with
# PyTorch and with ONNX Runtime, so that it is noticed.
# Seen: OpenVINO's Relu, Clip, Max and ReduceMax drop nan, and give the limit or the
# largest other number. A convolution full of nan with a ReLU is a layer of zeros: what
# follows answers with its bias, the same class for every photo, with a probability. A
# Softmax over one nan gives the other classes 0. Sigmoid, Tanh, LeakyRelu, Elu, Gelu
# and sums hand nan on. A MaxPool drops nan in ONNX Runtime, too. On x86-64.
#
# Versions: openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6,
# Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/nan.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

core = openvino.Core()


def compare(name, x, shape, *nodes, **weights):
    """Prints what both compute of a graph from x to y."""
    value = helper.make_tensor_value_info
    made = helper.make_model(helper.make_graph(
        list(nodes), "nan", [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(one), key) for key, one in weights.items()]),
        ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(data), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    found = session.run(None, {"x": x})[0], compiled([x])[0]
    print(name, *(who + " " + " ".join(f"{one:.3g}" for one in y.ravel())
                  for who, y in zip(("ONNX Runtime", "OpenVINO"), found)), sep=": ")


row = np.array([[[np.nan, 2, -1]]], np.float32)
half = np.float32(.5)
for operator, settings, inputs, width in (
        ("Relu", {}, {}, 3), ("Clip", {}, {"low": -half, "high": half}, 3),
        ("Max", {}, {"other": half}, 3),
        ("MaxPool", {"kernel_shape": [3]}, {}, 1), ("GlobalMaxPool", {}, {}, 1),
        ("ReduceMax", {}, {"axes": [2]}, 1), ("Softmax", {}, {}, 3),
        ("Sigmoid", {}, {}, 3), ("Tanh", {}, {}, 3), ("LeakyRelu", {}, {}, 3),
        ("Elu", {}, {}, 3), ("Gelu", {}, {}, 3), ("ReduceSum", {}, {"axes": [2]}, 1)):
    compare(operator, row, (1, 1, width), helper.make_node(
        operator, ["x", *inputs], ["y"], **settings), **inputs)

photos = np.random.default_rng(0).random((2, 1, 4, 4), np.float32)
compare("a network without a number, of two photos", photos, (2, 3),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "b"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"]),
        w=np.full((2, 1, 3, 3), np.nan, np.float32), v=np.ones((8, 3), np.float32),
        b=np.array([0, 0, 3], np.float32))
PYTHON
expected='Relu: ONNX Runtime nan 2 0: OpenVINO 0 2 0
Clip: ONNX Runtime nan 0.5 -0.5: OpenVINO -0.5 0.5 -0.5
Max: ONNX Runtime nan 2 0.5: OpenVINO 0.5 2 0.5
MaxPool: ONNX Runtime 2: OpenVINO 2
GlobalMaxPool: ONNX Runtime 2: OpenVINO 2
ReduceMax: ONNX Runtime nan: OpenVINO 2
Softmax: ONNX Runtime nan nan nan: OpenVINO nan 0 0
Sigmoid: ONNX Runtime nan 0.881 0.269: OpenVINO nan 0.881 0.269
Tanh: ONNX Runtime nan 0.964 -0.762: OpenVINO nan 0.964 -0.762
LeakyRelu: ONNX Runtime nan 2 -0.01: OpenVINO nan 2 -0.01
Elu: ONNX Runtime nan 2 -0.632: OpenVINO nan 2 -0.632
Gelu: ONNX Runtime nan 1.95 -0.159: OpenVINO nan 1.95 -0.159
ReduceSum: ONNX Runtime nan: OpenVINO nan
a network without a number, of two photos: ONNX Runtime nan nan nan nan nan nan: OpenVINO 0.0453 0.0453 0.909 0.0453 0.0453 0.909'
seen=$("$place/env/bin/python" "$place/nan.py" 2> /dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
