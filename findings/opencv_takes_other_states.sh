#!/usr/bin/env bash
# OpenCV's dnn module takes another step of a recurrent layer for its last one.
#
# Guess before running: a recurrent layer that cv2.dnn.readNetFromONNX takes without an
# error gives what ONNX says, the more so as it is often asked for one thing alone: the
# last state, from which the class is told.
# Seen: an LSTM with direction="reverse" ends at the first step of time; as its last state
# OpenCV gives that of the last, which has seen one input only. All states, if asked for
# as well, are right. In 4.14 its cell state, asked for alone, is the sequence of hidden
# states. In 5.0, which reads GRU as well (4.14 refuses most), a GRU with direction=
# "reverse" goes forwards, and one that is asked for all states alone gives the last, in
# another shape. Both directions at once are right, last states too. Coupled gates
# (input_forget=1) and clip of an LSTM do nothing. No error, no warning.
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
cat > "$place/states.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.array([1, -1, 2], "f").reshape(3, 1, 1)  # three steps of one number


def text(values):
    values = np.asarray(values)
    return "x".join(map(str, values.shape)) + ", " + " ".join(
        f"{value:.3f}" for value in values.ravel())


for op, gates, outputs, options in (
        ("LSTM", 4, ["", "h"], {"direction": "forward"}),
        ("LSTM", 4, ["", "h"], {"direction": "bidirectional"}),
        ("LSTM", 4, ["", "h"], {"direction": "reverse"}),
        ("LSTM", 4, ["y", "h"], {"direction": "reverse"}),
        ("LSTM", 4, ["", "", "c"], {"direction": "forward"}),
        ("LSTM", 4, ["", "h"], {"direction": "forward", "input_forget": 1}),
        ("LSTM", 4, ["", "h"], {"direction": "forward", "clip": .25}),
        ("GRU", 3, ["", "h"], {"direction": "forward"}),
        ("GRU", 3, ["", "h"], {"direction": "bidirectional"}),
        ("GRU", 3, ["", "h"], {"direction": "reverse"}),
        ("GRU", 3, ["y", "h"], {"direction": "reverse"}),
        ("GRU", 3, ["y"], {"direction": "forward"})):
    n = 2 if options["direction"] == "bidirectional" else 1
    weights = {"w": np.ones((n, gates, 1)), "r": np.full((n, gates, 1), .5),
               "b": np.zeros((n, 2 * gates))}
    names = [name for name in outputs if name]
    node = helper.make_node(op, ["x", "w", "r", "b"], outputs, hidden_size=1, **options)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "states", [value("x", TensorProto.FLOAT, x.shape)],
        [value(name, TensorProto.FLOAT, (3, n, 1, 1) if name == "y" else (n, 1, 1))
         for name in names],
        [numpy_helper.from_array(array.astype("f"), name)
         for name, array in weights.items()])
    model = helper.make_model(graph, ir_version=10,
                              opset_imports=[helper.make_opsetid("", 19)])
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    right = session.run(names, {"x": x})
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        net.setInput(x)
        found = net.forward(names)
    except cv2.error:
        found = None
    asked = " ".join([op, *(f"{key}={one}" for key, one in options.items())])
    print(f"{cv2.__version__}: {asked}")
    for k, name in enumerate(names):
        print(f"  {name}: onnx {text(right[k])};",
              "opencv refuses" if found is None else f"opencv {text(found[k])}")
PYTHON
expected='4.14.0: LSTM direction=forward
  h: onnx 1x1x1, 0.593; opencv 1x1x1, 0.593
4.14.0: LSTM direction=bidirectional
  h: onnx 2x1x1, 0.593 0.406; opencv 2x1x1, 0.593 0.406
4.14.0: LSTM direction=reverse
  h: onnx 1x1x1, 0.406; opencv 1x1x1, 0.608
4.14.0: LSTM direction=reverse
  y: onnx 3x1x1x1, 0.406 0.027 0.608; opencv 3x1x1x1, 0.406 0.027 0.608
  h: onnx 1x1x1, 0.406; opencv 1x1x1, 0.608
4.14.0: LSTM direction=forward
  c: onnx 1x1x1, 0.817; opencv 3x1x1, 0.370 -0.011 0.593
4.14.0: LSTM direction=forward input_forget=1
  h: onnx 1x1x1, 0.622; opencv 1x1x1, 0.593
4.14.0: LSTM direction=forward clip=0.25
  h: onnx 1x1x1, 0.062; opencv 1x1x1, 0.593
4.14.0: GRU direction=forward
  h: onnx 1x1x1, -0.265; opencv refuses
4.14.0: GRU direction=bidirectional
  h: onnx 2x1x1, -0.265 -0.128; opencv refuses
4.14.0: GRU direction=reverse
  h: onnx 1x1x1, -0.128; opencv refuses
4.14.0: GRU direction=reverse
  y: onnx 3x1x1x1, -0.128 -0.511 0.115; opencv refuses
  h: onnx 1x1x1, -0.128; opencv refuses
4.14.0: GRU direction=forward
  y: onnx 3x1x1x1, 0.205 -0.473 -0.265; opencv refuses
5.0.0: LSTM direction=forward
  h: onnx 1x1x1, 0.593; opencv 1x1x1, 0.593
5.0.0: LSTM direction=bidirectional
  h: onnx 2x1x1, 0.593 0.406; opencv 2x1x1, 0.593 0.406
5.0.0: LSTM direction=reverse
  h: onnx 1x1x1, 0.406; opencv 1x1x1, 0.608
5.0.0: LSTM direction=reverse
  y: onnx 3x1x1x1, 0.406 0.027 0.608; opencv 3x1x1x1, 0.406 0.027 0.608
  h: onnx 1x1x1, 0.406; opencv 1x1x1, 0.608
5.0.0: LSTM direction=forward
  c: onnx 1x1x1, 0.817; opencv refuses
5.0.0: LSTM direction=forward input_forget=1
  h: onnx 1x1x1, 0.622; opencv 1x1x1, 0.593
5.0.0: LSTM direction=forward clip=0.25
  h: onnx 1x1x1, 0.062; opencv 1x1x1, 0.593
5.0.0: GRU direction=forward
  h: onnx 1x1x1, -0.265; opencv 1x1x1, -0.265
5.0.0: GRU direction=bidirectional
  h: onnx 2x1x1, -0.265 -0.128; opencv 2x1x1, -0.265 -0.128
5.0.0: GRU direction=reverse
  h: onnx 1x1x1, -0.128; opencv 1x1x1, -0.265
5.0.0: GRU direction=reverse
  y: onnx 3x1x1x1, -0.128 -0.511 0.115; opencv 3x1x1x1, 0.205 -0.473 -0.265
  h: onnx 1x1x1, -0.128; opencv 1x1x1, -0.265
5.0.0: GRU direction=forward
  y: onnx 3x1x1x1, 0.205 -0.473 -0.265; opencv 1x1x1, -0.265'
seen=$("$place/env/bin/python" "$place/states.py" 2> "$place/said"
    "$place/env/bin/pip" install --quiet --disable-pip-version-check \
        opencv-python-headless==5.0.0.93
    "$place/env/bin/python" "$place/states.py" 2>> "$place/said")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
