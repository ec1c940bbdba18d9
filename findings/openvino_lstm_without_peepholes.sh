#!/usr/bin/env bash
# OpenVINO leaves the peepholes of an LSTM out, and its coupled gates.
#
# Guess before running: on single nodes in random settings OpenVINO gives what ONNX
# Runtime gives, for those that it takes; a gate that it cannot compute is refused, as
# activations are that it does not know.
# Seen: of an LSTM with P, the peepholes' weights, it computes the bits that it computes
# without them, and of one with input_forget=1 those of input_forget=0, without a word.
# clip, other activations and lengths are right.
#
# Versions: openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/lstm.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

draw = np.random.default_rng(0)
x = draw.normal(size=(3, 2, 4)).astype(np.float32)  # steps, sequences, features
weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in (
    ("W", (1, 20, 4)), ("R", (1, 20, 5)), ("B", (1, 40)), ("P", (1, 15)))}
core = openvino.Core()
value = helper.make_tensor_value_info


def both(names, **attributes):
    """The outputs of ONNX Runtime and of OpenVINO."""
    made = helper.make_model(helper.make_graph(
        [helper.make_node("LSTM", ["x", *names], ["y"], hidden_size=5, **attributes)],
        "lstm", [value("x", TensorProto.FLOAT, x.shape)],
        [value("y", TensorProto.FLOAT, (3, 1, 2, 5))],
        [numpy_helper.from_array(weights[name], name) for name in names if name]),
        ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(data), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    return session.run(None, {"x": x})[0], compiled([x])[0]


plain = "W", "R", "B"
right, bare = both(plain)
print("as usual: alike", np.allclose(bare, right, atol=1e-5))
for title, (right, seen) in (
        ("clip", both(plain, clip=.3)),
        ("peepholes", both([*plain, "", "", "", "P"])),
        ("input_forget", both(plain, input_forget=1))):
    print(f"{title}: alike", np.allclose(seen, right, atol=1e-5),
          "OpenVINO's are the bits of without", np.array_equal(seen, bare))
PYTHON
expected="as usual: alike True
clip: alike True OpenVINO's are the bits of without False
peepholes: alike False OpenVINO's are the bits of without True
input_forget: alike False OpenVINO's are the bits of without True"
seen=$("$place/env/bin/python" "$place/lstm.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
