#!/usr/bin/env bash
# onnxslim takes an input away from a model that asks for it.
#
# Guess before running: a model that was made smaller is called as before: its inputs
# and outputs are those that it had.
# Seen: a Reshape whose shape is an input of the model, and whose output's shape the
# model states, is given that shape as a constant, and the input is gone. Who feeds it,
# as before, gets an error from ONNX Runtime. onnxsim and onnxoptimizer keep it.
#
# Versions: onnxslim 0.1.98, onnxsim 0.8.1, onnxoptimizer 0.4.2, onnx 1.23.2,
# numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check onnxslim==0.1.98 \
    onnxsim==0.8.1 onnxoptimizer==0.4.2 onnx==1.23.2 numpy==2.4.6
cat > "$place/slim.py" <<'PYTHON'
import onnx
import onnxoptimizer
import onnxsim
import onnxslim
from onnx import TensorProto, helper

value = helper.make_tensor_value_info
made = helper.make_model(helper.make_graph(
    [helper.make_node("Reshape", ["x", "shape"], ["y"])], "reshape",
    [value("x", TensorProto.FLOAT, (2, 3)), value("shape", TensorProto.INT64, (2,))],
    [value("y", TensorProto.FLOAT, (3, 2))]),
    ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
onnx.checker.check_model(made, full_check=True)
for name, model in (("as it is", made), ("onnxslim", onnxslim.slim(made)),
                    ("onnxsim", onnxsim.simplify(made)[0]),
                    ("onnxoptimizer", onnxoptimizer.optimize(made))):
    print(name, [one.name for one in model.graph.input])
PYTHON
expected="as it is ['x', 'shape']
onnxslim ['x']
onnxsim ['x', 'shape']
onnxoptimizer ['x', 'shape']"
seen=$("$place/env/bin/python" "$place/slim.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
