#!/usr/bin/env bash
# tinygrad gives the heads of a grouped ONNX Attention to other groups.
#
# Guess before running: an Attention whose 4 heads share 2 heads of keys and values is
# in tinygrad what it is in ONNX Runtime: heads 0 and 1 take the first, 2 and 3 the
# second.
# Seen: heads 0 and 2 take the first, 1 and 3 the second, without a word; of one head of
# keys, or of as many as heads, nothing shows. With a past (past_key, past_value) and
# is_causal, the past counts as if it were the present, so that the first place sees
# one past place alone, and the newest are hidden from the last. With softcap and a
# mask, the mask is capped, too: what it hides is let through.
#
# Versions: tinygrad 0.14.0, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6,
# Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    tinygrad==0.14.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/heads.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner

path = sys.argv[1]


def numbers(*shape):
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def compare(name, values, **settings):
    """Prints what both compute of queries of 0: the mean of the values looked at."""
    places = values["v"].shape[2]
    heads = settings.pop("heads", 1)
    past = values.pop("past", None)
    given = {"q": np.zeros((1, heads, places, 1), np.float32),
             "k": 0 * values["v"], **values}
    inputs = ["q", "k", "v", "mask" if "mask" in values else ""]
    outputs = ["y"]
    total = places
    if past is not None:
        given |= {"past_key": 0 * past, "past_value": past}
        inputs += ["past_key", "past_value"]
        outputs += ["keys", "values"]
        total += past.shape[2]
    value = helper.make_tensor_value_info
    shapes = [(1, heads, places, 1), *[(1, values["v"].shape[1], total, 1)] * 2]
    made = helper.make_model(helper.make_graph(
        [helper.make_node("Attention", inputs, outputs, **settings)], "attention",
        [value(key, TensorProto.FLOAT, x.shape) for key, x in given.items()],
        [value(key, TensorProto.FLOAT, one) for key, one in zip(outputs, shapes)]),
        ir_version=11, opset_imports=[helper.make_opsetid("", 23)])
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = OnnxRunner(path)({key: Tensor(x) for key, x in given.items()})["y"].numpy()
    print(name, *(who + " " + " ".join(f"{one:.2f}" for one in y.ravel())
                  for who, y in (("ONNX Runtime", session.run(["y"], given)[0]),
                                 ("tinygrad", found))), sep=": ")


compare("4 heads, 4 of values", {"v": numbers(1, 4, 1, 1)}, heads=4)
compare("4 heads, 2 of values", {"v": numbers(1, 2, 1, 1)}, heads=4)
compare("4 heads, 1 of values", {"v": numbers(1, 1, 1, 1)}, heads=4)
compare("causal", {"v": numbers(1, 1, 3, 1)}, is_causal=1)
compare("after a past", {"v": numbers(1, 1, 3, 1) + 2, "past": numbers(1, 1, 2, 1)})
compare("causal after a past", {"v": numbers(1, 1, 3, 1) + 2,
                                "past": numbers(1, 1, 2, 1)}, is_causal=1)
mask = np.array([[0, -1e9], [-1e9, 0]], np.float32)
compare("a mask", {"v": numbers(1, 1, 2, 1), "mask": mask})
compare("a mask and softcap", {"v": numbers(1, 1, 2, 1), "mask": mask}, softcap=1.)
PYTHON
expected='4 heads, 4 of values: ONNX Runtime 1.00 2.00 3.00 4.00: tinygrad 1.00 2.00 3.00 4.00
4 heads, 2 of values: ONNX Runtime 1.00 1.00 2.00 2.00: tinygrad 1.00 2.00 1.00 2.00
4 heads, 1 of values: ONNX Runtime 1.00 1.00 1.00 1.00: tinygrad 1.00 1.00 1.00 1.00
causal: ONNX Runtime 1.00 1.50 2.00: tinygrad 1.00 1.50 2.00
after a past: ONNX Runtime 3.00 3.00 3.00: tinygrad 3.00 3.00 3.00
causal after a past: ONNX Runtime 2.00 2.50 3.00: tinygrad 1.00 1.50 2.00
a mask: ONNX Runtime 1.00 2.00: tinygrad 1.00 2.00
a mask and softcap: ONNX Runtime 1.00 2.00: tinygrad 1.27 1.73'
seen=$(DEV=PYTHON XDG_CACHE_HOME="$place" "$place/env/bin/python" "$place/heads.py" \
       "$place/model.onnx" 2> /dev/null)
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
