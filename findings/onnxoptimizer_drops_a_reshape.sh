#!/usr/bin/env bash
# onnxoptimizer drops the first of two Reshapes whose second copies its sizes.
#
# Guess before running: of two Reshapes in a row the first can go, and the optimiser
# lets it go only where the second says all sizes itself.
# Seen: a 0 in the second shape means "as the input has it", and the input is then
# another one. Four channels in two groups, (1, 4, 2) to (1, 2, 4) to (0, 0, -1): kept
# are (1, 4, 2), so that what follows takes means over channels and not over groups.
# ONNX's own expansion of GroupNormalization is of this kind, and comes out wrong. The
# pass is eliminate_consecutive_idempotent_ops, one of the passes that
# get_fuse_and_elimination_passes() names and optimize() takes unless told otherwise.
#
# Versions: onnxoptimizer 0.4.2, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6,
# Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/optimise.py" <<'PYTHON'
import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

value = helper.make_tensor_value_info
made = helper.make_model(helper.make_graph(
    [helper.make_node("Reshape", ["x", "groups"], ["grouped"]),
     helper.make_node("Reshape", ["grouped", "rows"], ["flat"]),
     helper.make_node("ReduceMean", ["flat", "last"], ["y"])], "means",
    [value("x", TensorProto.FLOAT, (1, 4, 2))],
    [value("y", TensorProto.FLOAT, (None, None, None))],
    [numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape
     in (("groups", [1, 2, 4]), ("rows", [0, 0, -1]), ("last", [2]))]),
    ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
onnx.checker.check_model(made, full_check=True)
x = np.arange(8, dtype=np.float32).reshape(1, 4, 2)


def means(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel().tolist()


print("as it is", means(made))
print("optimised", means(onnxoptimizer.optimize(made)))
one = onnxoptimizer.optimize(made, ["eliminate_consecutive_idempotent_ops"])
print("by one pass", means(one))
PYTHON
expected='as it is [1.5, 5.5]
optimised [0.5, 2.5, 4.5, 6.5]
by one pass [0.5, 2.5, 4.5, 6.5]'
seen=$("$place/env/bin/python" "$place/optimise.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
