#!/usr/bin/env bash
# OpenVINO takes an ONNX Attention with a window, and attends to everything.
#
# Guess before running: a reader refuses attributes that it does not know, as the
# checker does; what it takes is what ONNX Runtime gives.
# Seen: since version 25 an Attention may look back left_window_size places and forward
# right_window_size. OpenVINO reads such a file without a word and looks at all places:
# the mean of the last two is the mean of all so far. A sequence no longer than the
# window does not show it. Likewise Resize, since 18, may keep the proportions of a
# picture (keep_aspect_ratio_policy); in OpenVINO it does not, and the output has
# another shape. Its cubic exclude_outside does nothing either.
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
cat > "$place/window.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

core = openvino.Core()


def compare(name, node, given, shape, opset, **constants):
    """Prints what three programs compute of one node."""
    value = helper.make_tensor_value_info
    made = helper.make_model(helper.make_graph(
        [node], "one",
        [value(key, TensorProto.FLOAT, x.shape) for key, x in given.items()],
        [value("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(x, key) for key, x in constants.items()]),
        ir_version=12, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(data), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    print(name)
    for who, y in (("reference", ReferenceEvaluator(made).run(None, given)[0]),
                   ("ONNX Runtime", session.run(None, given)[0]),
                   ("OpenVINO", compiled(given)[0])):
        print("   ", who, y.shape, *(f"{one:.2f}" for one in y.ravel()))


# With queries of 0 all places that it may look at count the same.
values = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 6, 1)
given = {"q": 0 * values, "k": 0 * values, "v": values}
for window in ({"is_causal": 1}, {"is_causal": 1, "left_window_size": 1},
               {"left_window_size": 1, "right_window_size": 1}):
    compare(" ".join(["Attention", *window]), helper.make_node(
        "Attention", list(given), ["y"], **window), given, values.shape, 25)

picture = {"x": np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4) ** 2}
for policy, shape in (("stretch", (2, 2)), ("not_larger", (1, 2)),
                      ("not_smaller", (2, 4))):
    compare(f"Resize {policy}", helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], mode="linear", axes=[2, 3],
        keep_aspect_ratio_policy=policy), picture, (1, 1, *shape), 19,
        sizes=np.array([2, 2]))
for outside in 0, 1:
    compare(f"Resize exclude_outside={outside}", helper.make_node(
        "Resize", ["x", "", "scales"], ["y"], mode="cubic",
        exclude_outside=outside), picture, (1, 1, 2, 8), 19,
        scales=np.array([1, 1, 1, 2], np.float32))
PYTHON
expected='Attention is_causal
    reference (1, 1, 6, 1) 1.00 1.50 2.00 2.50 3.00 3.50
    ONNX Runtime (1, 1, 6, 1) 1.00 1.50 2.00 2.50 3.00 3.50
    OpenVINO (1, 1, 6, 1) 1.00 1.50 2.00 2.50 3.00 3.50
Attention is_causal left_window_size
    reference (1, 1, 6, 1) 1.00 1.50 2.50 3.50 4.50 5.50
    ONNX Runtime (1, 1, 6, 1) 1.00 1.50 2.50 3.50 4.50 5.50
    OpenVINO (1, 1, 6, 1) 1.00 1.50 2.00 2.50 3.00 3.50
Attention left_window_size right_window_size
    reference (1, 1, 6, 1) 1.50 2.00 3.00 4.00 5.00 5.50
    ONNX Runtime (1, 1, 6, 1) 1.50 2.00 3.00 4.00 5.00 5.50
    OpenVINO (1, 1, 6, 1) 3.50 3.50 3.50 3.50 3.50 3.50
Resize stretch
    reference (1, 1, 2, 2) 0.50 6.50 20.50 42.50
    ONNX Runtime (1, 1, 2, 2) 0.50 6.50 20.50 42.50
    OpenVINO (1, 1, 2, 2) 0.50 6.50 20.50 42.50
Resize not_larger
    reference (1, 1, 1, 2) 10.50 24.50
    ONNX Runtime (1, 1, 1, 2) 10.50 24.50
    OpenVINO (1, 1, 2, 2) 0.50 6.50 20.50 42.50
Resize not_smaller
    reference (1, 1, 2, 4) 0.00 1.00 4.00 9.00 16.00 25.00 36.00 49.00
    ONNX Runtime (1, 1, 2, 4) 0.00 1.00 4.00 9.00 16.00 25.00 36.00 49.00
    OpenVINO (1, 1, 2, 2) 0.50 6.50 20.50 42.50
Resize exclude_outside=0
    reference (1, 1, 2, 8) -0.11 0.12 0.46 1.61 2.83 5.45 7.97 9.53 15.05 17.65 21.80 27.98 32.45 40.11 46.44 50.37
    ONNX Runtime (1, 1, 2, 8) -0.11 0.12 0.46 1.61 2.83 5.45 7.97 9.53 15.05 17.65 21.80 27.98 32.45 40.11 46.44 50.37
    OpenVINO (1, 1, 2, 8) -0.11 0.12 0.46 1.61 2.83 5.45 7.97 9.53 15.05 17.65 21.80 27.98 32.45 40.11 46.44 50.37
Resize exclude_outside=1
    reference (1, 1, 2, 8) -0.14 0.11 0.44 1.61 2.83 5.57 8.07 9.68 14.77 17.49 21.60 27.98 32.45 40.41 46.69 50.77
    ONNX Runtime (1, 1, 2, 8) -0.14 0.11 0.44 1.61 2.83 5.57 8.07 9.68 14.77 17.49 21.60 27.98 32.45 40.41 46.69 50.77
    OpenVINO (1, 1, 2, 8) -0.11 0.12 0.46 1.61 2.83 5.45 7.97 9.53 15.05 17.65 21.80 27.98 32.45 40.11 46.44 50.37'
seen=$("$place/env/bin/python" "$place/window.py" 2> /dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
