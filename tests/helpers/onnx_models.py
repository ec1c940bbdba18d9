"""Every network of minifer.models in ONNX Runtime, back in minifer, and in OpenCV.

``python tests/helpers/onnx_models.py [NAME ...]`` prints largest differences from what
minifer puts out for two random inputs. Scores are compared, before a last softmax could
hide what differs, and relative to the largest of them. All networks take minutes and
8 GB of memory.
"""

import sys

import numpy as np

from minifer import layers, models, nonlinearities, random
from minifer.foreign.onnx.reading.model import network_of
from minifer.foreign.onnx.writing.model import to_onnx

#: What is no network, or takes the number of its layers.
OTHERS = ("FCN48_L2", "PRETRAINED", "fcn48_penalty", "freeze_to_layer3", "resnet",
          "keras_resnet")
NAMES = [name for name in models.__all__ if name not in OTHERS]


def differences(name):
    """Largest differences of one network.

    Returns
    -------
    row : dict
        Its ``parameters``, its ``input``, and differences by program.
    """
    import onnxruntime
    random.set_rng(0)
    network = getattr(models, name)()
    network = getattr(network, "network", network)
    source = next(one for one in layers.get_all_layers(network)
                  if isinstance(one, layers.InputLayer))
    x = np.random.default_rng(0).normal(size=(2, *source.shape[1:])).astype(np.float32)
    if getattr(network, "nonlinearity", None) is nonlinearities.softmax:
        network.nonlinearity = nonlinearities.identity
    expected = layers.get_output(network, x, deterministic=True)
    scale = np.abs(expected).max()
    proto = to_onnx(network)
    data = proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    there, = session.run(None, {session.get_inputs()[0].name: x})
    back = layers.get_output(network_of(proto), x, deterministic=True)
    return {"parameters": layers.count_params(network), "input": x.shape[1:],
            "ONNX Runtime": np.abs(there - expected).max() / scale,
            "read back": np.abs(back - expected).max() / scale,
            "OpenCV": np.abs(in_opencv(data, x) - expected).max() / scale}


def in_opencv(data, x):
    """What OpenCV's dnn makes of a file's bytes and an input."""
    import cv2
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(x)
    return net.forward()


def main(names):
    """Print a table in Markdown."""
    print("| network | parameters | input | ONNX Runtime | read back | OpenCV |\n"
          "|---|---|---|---|---|---|")
    for name in names or NAMES:
        row = differences(name)
        size = " × ".join(map(str, row["input"]))
        print(f"| `{name}` | {row['parameters']:,} | {size} | "
              + " | ".join(f"{row[where]:.1e}" for where in (
                  "ONNX Runtime", "read back", "OpenCV")) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
