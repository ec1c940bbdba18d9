"""The contenders of bench.py that only predict: ONNX Runtime and OpenVINO.

Both read the network as an ONNX model, which is written here with the package onnx:
``pip install onnx onnxruntime openvino``.
"""

import numpy as np

from contenders import Contender


class OnnxRuntime(Contender):
    """ONNX Runtime, all its optimisations on."""

    kinds = ("infer",)

    def build(self):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.args.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = (
            onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
        # Between two calls its threads would keep the cores from the others' turns.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(
            onnx_model(self.net, self.weights, self.x.shape), options,
            providers=["CPUExecutionProvider"])

    def predict(self):
        return self.session.run(None, {"x": self.x})[0]


class OpenVino(Contender):
    """OpenVINO, told to answer one question after another as fast as it can."""

    kinds = ("infer",)

    def build(self):
        import openvino
        core = openvino.Core()
        model = core.read_model(onnx_model(self.net, self.weights, self.x.shape))
        self.compiled = core.compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": self.args.threads, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT":
                {"float32": "f32", "bfloat16": "bf16"}[self.config]})
        self.request = self.compiled.create_infer_request()

    def predict(self):
        return self.request.infer([self.x], share_inputs=True, share_outputs=True)[0]

    def facts(self):
        """The kernels of its convolutions and products, as the compiled model says."""
        kinds = ("Convolution", "FullyConnected", "MatMul")
        facts = [node.get_rt_info() for node in
                 self.compiled.get_runtime_model().get_ops()]
        found = {one["primitiveType"].value for one in facts
                 if one["layerType"].value in kinds}
        return {"kernels": ", ".join(sorted(found))}


def onnx_model(net, weights, shape):
    """A network as an ONNX model, in bytes.

    Parameters
    ----------
    net : list
        The layers, as :mod:`nets` has them.
    weights : str
        The file of parameters that minifer wrote.
    shape : tuple
        Of a batch of images, (N, C, H, W).
    """
    from onnx import TensorProto, helper
    with np.load(weights) as arrays:
        values = [arrays[f"arr_{i}"] for i in range(len(arrays.files))]
    graph = _Graph(net, values)
    graph.add("Softmax", [graph.stack("x", net)], "y", axis=1)
    model = helper.make_model(helper.make_graph(
        graph.nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (shape[0], None))],
        graph.tensors), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


class _Graph:
    """The nodes and tensors of an ONNX graph, layer by layer.

    Parameters
    ----------
    net : list
    values : list of array
        All parameters, in minifer's order.
    """

    def __init__(self, net, values):
        self.net, self.values = net, iter(values)
        self.nodes, self.tensors = [], []

    def stack(self, x, net):
        """The layers of a list behind the tensor ``x``; the name of what they give."""
        for entry in net:
            kind, *options = entry
            if kind in ("conv", "bare"):
                filters, size, pad, stride = (options + [1])[:4]
                params = [self.next() for _ in range(1 + (kind == "conv"))]
                x = self.add("Conv", [x, *params], kernel_shape=[size] * 2,
                             pads=[pad] * 4, strides=[stride] * 2)
            elif kind == "pool":
                side, stride, pad = options or (2, 2, 0)
                x = self.add("MaxPool", [x], kernel_shape=[side] * 2, pads=[pad] * 4,
                             strides=[stride] * 2)
            elif kind == "dense":
                x = self.add("Flatten", [x], axis=1)
                x = self.add("Gemm", [x, self.next(), self.next()])
            elif kind == "norm":
                beta, gamma, mean, inv_std = (next(self.values) for _ in range(4))
                x = self.add("BatchNormalization", [x] + [self.tensor(one) for one in (
                    gamma, beta, mean, inv_std ** -2.0)], epsilon=0.0)
            elif kind == "residual":
                x = self.add("Add", [self.stack(x, way) for way in options])
            elif kind == "mean":
                x = self.add("GlobalAveragePool", [x])
            elif kind == "flatten":
                x = self.add("Flatten", [x], axis=1)
            if kind == "relu" or (kind in ("conv", "dense")
                                  and entry is not self.net[-1]):
                x = self.add("Relu", [x])
        return x

    def add(self, kind, inputs, output=None, **attributes):
        """Add a node; return the name of its output."""
        from onnx import helper
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def next(self):
        """Add the next parameter as it is; return its name."""
        return self.tensor(next(self.values))

    def tensor(self, value):
        """Add a constant; return its name."""
        from onnx import numpy_helper
        name = f"t{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(
            np.ascontiguousarray(value, np.float32), name))
        return name
