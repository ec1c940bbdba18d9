#!/usr/bin/env bash
# onnx.version_converter hands on attributes whose meaning has changed.
#
# Guess before running: a model of an older or newer operator set that the converter
# takes computes the same numbers afterwards; what it cannot keep, it refuses.
# Seen: it converts without a word, the checker accepts the result, and the numbers are
# others, for three operators. Resize 10 samples from the pixel's corner, 11 from its
# centre unless told otherwise, and the converter does not tell it: 0 1 2 3 at twice the
# size is 0 .5 1 1.5 2 2.5 3 3 before and 0 .25 .75 1.25 1.75 2.25 2.75 3 after. Hardmax
# up to 12 looks for one largest number in all axes from axis on, from 13 on along axis
# alone, and Softmax likewise: upwards the converter rewrites Softmax rightly, but not
# Hardmax; downwards Softmax keeps its axis and sums over too much. Upsample 9 becomes
# the same wrong Resize. GroupNormalization 18, with a scale for each group, becomes 21,
# with a scale for each channel, and keeps its scales; ONNX Runtime refuses to load it.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/convert.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter

row = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
square = np.array([[1, 2], [4, 3]], np.float32)


def model(name, x, opset, constants=(), **attributes):
    """One node, whose first input is fed and whose others are constants."""
    value = helper.make_tensor_value_info
    names = ["x", *(f"constant{n}" for n in range(len(constants)))]
    axes = [None] * x.ndim
    graph = helper.make_graph(
        [helper.make_node(name, names, ["y"], **attributes)], "one",
        [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, axes)],
        [numpy_helper.from_array(one, key) for key, one in zip(names[1:], constants)])
    return helper.make_model(graph, ir_version=7,
                             opset_imports=[helper.make_opsetid("", opset)])


def run(made, x):
    onnx.checker.check_model(made, full_check=True)
    session = onnxruntime.InferenceSession(made.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return " ".join(f"{one:.4g}" for one in session.run(None, {"x": x})[0].ravel())


double = np.array([1, 1, 1, 2], np.float32)
for name, x, old, new, constants, attributes in (
        ("Resize", row, 10, 11, [double], {"mode": "linear"}),
        ("Upsample", row, 9, 11, [double], {"mode": "linear"}),
        ("Hardmax", square, 12, 13, [], {"axis": 0}),
        ("Softmax", square, 12, 13, [], {"axis": 0}),
        ("Softmax", square, 13, 12, [], {"axis": 0})):
    made = model(name, x, old, constants, **attributes)
    print(f"{name} {old}: {run(made, x)}, "
          f"as {new}: {run(version_converter.convert_version(made, new), x)}")

group = model("GroupNormalization", np.ones((1, 4, 2), np.float32), 18,
              [np.ones(2, np.float32)] * 2, num_groups=2)
print("GroupNormalization 18, scales:", len(numpy_helper.to_array(
    version_converter.convert_version(group, 21).graph.initializer[0])), "as 21")
PYTHON
expected='Resize 10: 0 0.5 1 1.5 2 2.5 3 3, as 11: 0 0.25 0.75 1.25 1.75 2.25 2.75 3
Upsample 9: 0 0.5 1 1.5 2 2.5 3 3, as 11: 0 0.25 0.75 1.25 1.75 2.25 2.75 3
Hardmax 12: 0 0 1 0, as 13: 0 0 1 1
Softmax 12: 0.03206 0.08714 0.6439 0.2369, as 13: 0.03206 0.08714 0.6439 0.2369
Softmax 13: 0.04743 0.2689 0.9526 0.7311, as 12: 0.03206 0.08714 0.6439 0.2369
GroupNormalization 18, scales: 2 as 21'
seen=$("$place/env/bin/python" "$place/convert.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
