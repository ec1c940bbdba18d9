#!/usr/bin/env bash
# OpenVINO cuts the bias of a local response normalisation to a whole number.
#
# Guess before running: on single nodes in random settings OpenVINO gives what ONNX
# Runtime gives, for those that it takes.
# Seen: LRN's bias, k in x / (k + alpha / size * sum of squares) ** beta, is a float in
# ONNX. OpenVINO reads 1.5 and 1.99 as 1, without a word; 1 and 2, with which AlexNet
# and its kin are written down, are right, so that these do not show it.
#
# Versions: openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/lrn.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

x = np.random.default_rng(0).normal(size=(2, 6, 4, 4)).astype(np.float32)
squares = np.pad(x ** 2, [(0, 0), (1, 1), (0, 0), (0, 0)])
sums = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
core = openvino.Core()
value = helper.make_tensor_value_info
for bias in 1., 1.5, 1.99, 2., 2.5:
    made = helper.make_model(helper.make_graph(
        [helper.make_node("LRN", ["x"], ["y"], size=3, alpha=.5, beta=.75, bias=bias)],
        "lrn", [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, x.shape)]),
        ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(data), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    print("bias", bias, *(f"{who} computes with {k}"
                          for who, y in (("ONNX Runtime", session.run(None, {"x": x})[0]),
                                         ("OpenVINO", compiled([x])[0]))
                          for k in (1., 1.5, 1.99, 2., 2.5)
                          if np.allclose(y, x / (k + .5 / 3 * sums) ** .75, atol=1e-5)))
PYTHON
expected="bias 1.0 ONNX Runtime computes with 1.0 OpenVINO computes with 1.0
bias 1.5 ONNX Runtime computes with 1.5 OpenVINO computes with 1.0
bias 1.99 ONNX Runtime computes with 1.99 OpenVINO computes with 1.0
bias 2.0 ONNX Runtime computes with 2.0 OpenVINO computes with 2.0
bias 2.5 ONNX Runtime computes with 2.5 OpenVINO computes with 2.0"
seen=$("$place/env/bin/python" "$place/lrn.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
