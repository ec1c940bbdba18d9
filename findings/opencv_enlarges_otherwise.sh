#!/usr/bin/env bash
# OpenCV's dnn module takes enlarging layers with settings that it then does not follow.
#
# Guess before running: a graph that cv2.dnn.readNetFromONNX takes without an error gives
# what ONNX says, within rounding, at least of the right size.
# Seen: of ConvTranspose auto_pad SAME and output_shape are read and not followed, so that
# the output has another size, and in 4.14 its dilations do nothing. Of Resize by the
# nearest pixel, 4.14 overlooks nearest_mode: "floor" and "ceil" give the same. half_pixel
# with round_prefer_floor, which ONNX has unless told otherwise, changes what comes out if
# it is written down: a picture of half its size then has the lower right of each four
# pixels, and the upper left, as in ONNX, if not. Version 5.0 has mended dilations and
# Resize, not the sizes. No error, no warning.
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
cat > "$place/enlarge.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.arange(1, 17, dtype="f").reshape(1, 1, 4, 4)
filters = np.arange(1, 10, dtype="f").reshape(1, 1, 3, 3)
value = helper.make_tensor_value_info


def text(values):
    values = np.asarray(values)
    first = " ".join(f"{one:g}" for one in values.reshape(values.shape[-2:])[0])
    return "x".join(map(str, values.shape[-2:])) + ", " + first


def compare(title, node, name, array):
    graph = helper.make_graph(
        [node], "enlarge", [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, ("n", "c", "h", "w"))],
        [numpy_helper.from_array(array, name)])
    model = helper.make_model(graph, ir_version=10,
                              opset_imports=[helper.make_opsetid("", 19)])
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    right = session.run(None, {"x": x})[0]
    if node.op_type == "Resize":
        assert np.array_equal(ReferenceEvaluator(model).run(None, {"x": x})[0], right)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(x)
    print(f"{cv2.__version__}: {title}: onnx {text(right)}; opencv {text(net.forward())}")


for options in ({"strides": [2, 2], "pads": [1, 1, 1, 1]},
                {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
                {"strides": [2, 2], "output_shape": [7, 7]},
                {"dilations": [2, 2]}):
    compare(" ".join(["ConvTranspose", *map(str, options.values())]),
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], kernel_shape=[3, 3],
                             **options), "w", filters)
for scale in 2, .5:
    for modes in ((), ("half_pixel", "round_prefer_floor"), ("half_pixel", "floor"),
                  ("half_pixel", "ceil"), ("asymmetric", "floor"),
                  ("asymmetric", "ceil")):
        options = dict(zip(("coordinate_transformation_mode", "nearest_mode"), modes))
        compare(" ".join(["Resize", str(scale), *modes]),
                helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest",
                                 **options), "s", np.array([1, 1, scale, scale], "f"))
PYTHON
expected='4.14.0: ConvTranspose [2, 2] [1, 1, 1, 1]: onnx 7x7, 5 14 10 24 15 34 20; opencv 7x7, 5 14 10 24 15 34 20
4.14.0: ConvTranspose [2, 2] SAME_UPPER: onnx 8x8, 1 2 5 4 9 6 13 8; opencv 7x7, 5 14 10 24 15 34 20
4.14.0: ConvTranspose [2, 2] [7, 7]: onnx 7x7, 5 14 10 24 15 34 20; opencv 9x9, 1 2 5 4 9 6 13 8 12
4.14.0: ConvTranspose [2, 2]: onnx 8x8, 1 2 5 8 9 14 9 12; opencv 6x6, 1 4 10 16 17 12
4.14.0: Resize 2: onnx 8x8, 1 1 2 2 3 3 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
4.14.0: Resize 2 half_pixel round_prefer_floor: onnx 8x8, 1 1 2 2 3 3 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
4.14.0: Resize 2 half_pixel floor: onnx 8x8, 1 1 1 2 2 3 3 4; opencv 8x8, 1 1 2 2 3 3 4 4
4.14.0: Resize 2 half_pixel ceil: onnx 8x8, 1 2 2 3 3 4 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
4.14.0: Resize 2 asymmetric floor: onnx 8x8, 1 1 2 2 3 3 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
4.14.0: Resize 2 asymmetric ceil: onnx 8x8, 1 2 2 3 3 4 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
4.14.0: Resize 0.5: onnx 2x2, 1 3; opencv 2x2, 1 3
4.14.0: Resize 0.5 half_pixel round_prefer_floor: onnx 2x2, 1 3; opencv 2x2, 6 8
4.14.0: Resize 0.5 half_pixel floor: onnx 2x2, 1 3; opencv 2x2, 6 8
4.14.0: Resize 0.5 half_pixel ceil: onnx 2x2, 6 8; opencv 2x2, 6 8
4.14.0: Resize 0.5 asymmetric floor: onnx 2x2, 1 3; opencv 2x2, 1 3
4.14.0: Resize 0.5 asymmetric ceil: onnx 2x2, 1 3; opencv 2x2, 1 3
5.0.0: ConvTranspose [2, 2] [1, 1, 1, 1]: onnx 7x7, 5 14 10 24 15 34 20; opencv 7x7, 5 14 10 24 15 34 20
5.0.0: ConvTranspose [2, 2] SAME_UPPER: onnx 8x8, 1 2 5 4 9 6 13 8; opencv 7x7, 5 14 10 24 15 34 20
5.0.0: ConvTranspose [2, 2] [7, 7]: onnx 7x7, 5 14 10 24 15 34 20; opencv 10x10, 1 2 5 4 9 6 13 8 12 0
5.0.0: ConvTranspose [2, 2]: onnx 8x8, 1 2 5 8 9 14 9 12; opencv 8x8, 1 2 5 8 9 14 9 12
5.0.0: Resize 2: onnx 8x8, 1 1 2 2 3 3 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
5.0.0: Resize 2 half_pixel round_prefer_floor: onnx 8x8, 1 1 2 2 3 3 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
5.0.0: Resize 2 half_pixel floor: onnx 8x8, 1 1 1 2 2 3 3 4; opencv 8x8, 1 1 1 2 2 3 3 4
5.0.0: Resize 2 half_pixel ceil: onnx 8x8, 1 2 2 3 3 4 4 4; opencv 8x8, 1 2 2 3 3 4 4 4
5.0.0: Resize 2 asymmetric floor: onnx 8x8, 1 1 2 2 3 3 4 4; opencv 8x8, 1 1 2 2 3 3 4 4
5.0.0: Resize 2 asymmetric ceil: onnx 8x8, 1 2 2 3 3 4 4 4; opencv 8x8, 1 2 2 3 3 4 4 4
5.0.0: Resize 0.5: onnx 2x2, 1 3; opencv 2x2, 1 3
5.0.0: Resize 0.5 half_pixel round_prefer_floor: onnx 2x2, 1 3; opencv 2x2, 1 3
5.0.0: Resize 0.5 half_pixel floor: onnx 2x2, 1 3; opencv 2x2, 1 3
5.0.0: Resize 0.5 half_pixel ceil: onnx 2x2, 6 8; opencv 2x2, 6 8
5.0.0: Resize 0.5 asymmetric floor: onnx 2x2, 1 3; opencv 2x2, 1 3
5.0.0: Resize 0.5 asymmetric ceil: onnx 2x2, 1 3; opencv 2x2, 1 3'
seen=$("$place/env/bin/python" "$place/enlarge.py"
    "$place/env/bin/pip" install --quiet --disable-pip-version-check \
        opencv-python-headless==5.0.0.93
    "$place/env/bin/python" "$place/enlarge.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
