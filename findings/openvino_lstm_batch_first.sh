#!/usr/bin/env bash
# OpenVINO takes ONNX's recurrent layers with layout=1, and computes them with layout=0.
#
# Guess before running: a runtime that does not know layout=1, the batch first, refuses
# such a graph, as ONNX Runtime does on the CPU; one that takes it computes it.
# Seen: OpenVINO's reader takes LSTM, GRU and RNN with layout=1 without a word, and goes
# through the batch as if it were time: what one sequence ends with leaks into the next.
# Where batch and time have other lengths the output has another shape, too. The checker
# accepts the graphs, and ONNX's reference evaluator computes what was meant.
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
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

# Three sequences of one step each; the last two are alike.
x = np.array([[[1, 2]], [[3, 4]], [[3, 4]]], "f")  # (batch, time, features)
core = openvino.Core()
value = helper.make_tensor_value_info


def text(values):
    values = np.asarray(values)
    return f"{'x'.join(map(str, values.shape))}: " + " ".join(
        f"{one:.4f}" for one in values.reshape(-1, 2)[:, 0])


def runtime(data):
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return text(session.run(None, {"x": x})[0])
    except Fail as error:  # which it is for other reasons, too
        if "layout" not in str(error):
            raise
        return "refused"


for op, gates in ("LSTM", 4), ("GRU", 3), ("RNN", 1):
    node = helper.make_node(op, ["x", "W", "R"], ["", "last"], hidden_size=2, layout=1)
    weights = [numpy_helper.from_array(np.full((1, gates * 2, 2), 0.1, "f"), name)
               for name in "WR"]
    model = helper.make_model(helper.make_graph(
        [node], op, [value("x", TensorProto.FLOAT, x.shape)],
        [value("last", TensorProto.FLOAT, ("batch", "directions", 2))], weights),
        ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    right = ReferenceEvaluator(model).run(None, {"x": x})[0]
    compiled = core.compile_model(core.read_model(data), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    print(f"{op} onnx {text(right)}; openvino {text(compiled(x)[0])}; "
          f"onnxruntime {runtime(data)}")
PYTHON
expected='LSTM onnx 3x1x2: 0.0952 0.2561 0.2561; openvino 1x1x2: 0.4528; onnxruntime refused
GRU onnx 3x1x2: 0.1240 0.2005 0.2005; openvino 1x1x2: 0.3941; onnxruntime refused
RNN onnx 3x1x2: 0.2913 0.6044 0.6044; openvino 1x1x2: 0.6794; onnxruntime refused'
seen=$("$place/env/bin/python" "$place/lstm.py" 2>/dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
