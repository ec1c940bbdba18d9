#!/usr/bin/env bash
# OpenVINO takes ONNX's Resize with antialias=1, and makes a picture small without it.
#
# Guess before running: a graph that shrinks its photo with antialias=1, as a
# preprocessing inside a model does, is the same in every runtime that takes it.
# Seen: OpenVINO reads the graph without an error and samples single pixels. Stripes of
# 0 and 1, one pixel wide, become nearly one grey in ONNX Runtime and in ONNX's reference
# evaluator, and stripes again in OpenVINO: the same as without antialias.
#
# Versions: openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/resize.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

stripes = np.tile(np.arange(12) % 2, (12, 1)).astype("f")[None, None]
value = helper.make_tensor_value_info


def row(image):
    return " ".join(f"{one:.3f}" for one in np.asarray(image)[0, 0, 2])


for antialias in 0, 1:
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear",
                            antialias=antialias)
    model = helper.make_model(helper.make_graph(
        [node], "resize", [value("x", TensorProto.FLOAT, stripes.shape)],
        [value("y", TensorProto.FLOAT, (1, 1, 4, 4))],
        [numpy_helper.from_array(np.array([1, 1, 4, 4]), "sizes")]),
        ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    print(f"antialias {antialias}: onnx",
          row(ReferenceEvaluator(model).run(None, {"x": stripes})[0]),
          "| onnxruntime", row(session.run(None, {"x": stripes})[0]),
          "| openvino", row(compiled(stripes)[0]))
PYTHON
expected='antialias 0: onnx 1.000 0.000 1.000 0.000 | onnxruntime 1.000 0.000 1.000 0.000 | openvino 1.000 0.000 1.000 0.000
antialias 1: onnx 0.444 0.444 0.556 0.556 | onnxruntime 0.444 0.444 0.556 0.556 | openvino 1.000 0.000 1.000 0.000'
seen=$("$place/env/bin/python" "$place/resize.py" 2>/dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
