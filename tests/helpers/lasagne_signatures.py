"""The public names of Lasagne 0.2.dev1 and what they took, module by module.

A name's parameters stand in their order, with their defaults; ``...`` is a default that
belongs to Theano. ``**`` at the end, for ``name`` and other options by name, is left
out.
"""

_W = "W=GlorotUniform(), b=Constant(0.), nonlinearity=rectify"
_SCAN = ("backwards=False, learn_init=False, gradient_steps=-1, grad_clipping=0, "
         "unroll_scan=False, precompute_input=True, mask_input=None, "
         "only_return_final=False")
_LSTM_SCAN = _SCAN.replace("learn_init=False,", "learn_init=False, peepholes=True,")
_UPDATE = "loss_or_grads, params"
_TAGS = "tags={'regularizable': True}"
_CONV = "incoming, num_filters, filter_size"

SIGNATURES = {
    "layers": {
        "Layer": "incoming, name=None", "MergeLayer": "incomings, name=None",
        "InputLayer": "shape, input_var=None, name=None",
        "DenseLayer": f"incoming, num_units, {_W}, num_leading_axes=1",
        "NINLayer": f"incoming, num_units, untie_biases=False, {_W}",
        "Conv1DLayer": f"{_CONV}, stride=1, pad=0, untie_biases=False, {_W}, "
                       "flip_filters=True, convolution=...",
        "Conv2DLayer": f"{_CONV}, stride=(1, 1), pad=0, untie_biases=False, {_W}, "
                       "flip_filters=True, convolution=...",
        "Conv3DLayer": f"{_CONV}, stride=(1, 1, 1), pad=0, untie_biases=False, {_W}, "
                       "flip_filters=True, convolution=...",
        "TransposedConv2DLayer":
            f"{_CONV}, stride=(1, 1), crop=0, untie_biases=False, {_W}, "
            "flip_filters=False, output_size=None",
        "Deconv2DLayer":
            f"{_CONV}, stride=(1, 1), crop=0, untie_biases=False, {_W}, "
            "flip_filters=False, output_size=None",
        "TransposedConv3DLayer":
            f"{_CONV}, stride=(1, 1, 1), crop=0, untie_biases=False, {_W}, "
            "flip_filters=False, output_size=None",
        "Deconv3DLayer":
            f"{_CONV}, stride=(1, 1, 1), crop=0, untie_biases=False, {_W}, "
            "flip_filters=False, output_size=None",
        "DilatedConv2DLayer": f"{_CONV}, dilation=(1, 1), pad=0, untie_biases=False, "
                              f"{_W}, flip_filters=False",
        "LocallyConnected2DLayer":
            f"{_CONV}, stride=(1, 1), pad='same', untie_biases=False, {_W}, "
            "flip_filters=True, channelwise=False",
        "MaxPool1DLayer": "incoming, pool_size, stride=None, pad=0, ignore_border=True",
        "MaxPool2DLayer":
            "incoming, pool_size, stride=None, pad=(0, 0), ignore_border=True",
        "MaxPool3DLayer":
            "incoming, pool_size, stride=None, pad=(0, 0, 0), ignore_border=True",
        "Pool1DLayer": "incoming, pool_size, stride=None, pad=0, ignore_border=True, "
                       "mode='max'",
        "Pool2DLayer": "incoming, pool_size, stride=None, pad=(0, 0), "
                       "ignore_border=True, mode='max'",
        "Pool3DLayer": "incoming, pool_size, stride=None, pad=(0, 0, 0), "
                       "ignore_border=True, mode='max'",
        "Upscale1DLayer": "incoming, scale_factor, mode='repeat'",
        "Upscale2DLayer": "incoming, scale_factor, mode='repeat'",
        "Upscale3DLayer": "incoming, scale_factor, mode='repeat'",
        "FeaturePoolLayer": "incoming, pool_size, axis=1, pool_function=...",
        "FeatureWTALayer": "incoming, pool_size, axis=1",
        "GlobalPoolLayer": "incoming, pool_function=...",
        "SpatialPyramidPoolingLayer":
            "incoming, pool_dims=[4, 2, 1], mode='max', implementation='fast'",
        "get_all_layers": "layer, treat_as_input=None",
        "get_output": "layer_or_layers, inputs=None",
        "get_output_shape": "layer_or_layers, input_shapes=None",
        "get_all_params": "layer, unwrap_shared=True", "count_params": "layer",
        "get_all_param_values": "layer", "set_all_param_values": "layer, values",
        "EmbeddingLayer": "incoming, input_size, output_size, W=Normal()",
        "CustomRecurrentLayer":
            "incoming, input_to_hidden, hidden_to_hidden, nonlinearity=rectify, "
            f"hid_init=Constant(0.), {_SCAN}",
        "RecurrentLayer":
            "incoming, num_units, W_in_to_hid=Uniform(), W_hid_to_hid=Uniform(), "
            "b=Constant(0.), nonlinearity=rectify, hid_init=Constant(0.), " + _SCAN,
        "Gate": "W_in=Normal(0.1), W_hid=Normal(0.1), W_cell=Normal(0.1), "
                "b=Constant(0.), nonlinearity=sigmoid",
        "LSTMLayer":
            "incoming, num_units, ingate=..., forgetgate=..., cell=..., outgate=..., "
            f"nonlinearity=tanh, cell_init=Constant(0.), hid_init=Constant(0.), "
            f"{_LSTM_SCAN}",
        "GRULayer": "incoming, num_units, resetgate=..., updategate=..., "
                    f"hidden_update=..., hid_init=Constant(0.), {_SCAN}",
        "autocrop": "inputs, cropping",
        "autocrop_array_shapes": "input_shapes, cropping",
        "ConcatLayer": "incomings, axis=1, cropping=None",
        "concat": "incomings, axis=1, cropping=None",
        "ElemwiseMergeLayer": "incomings, merge_function, cropping=None",
        "ElemwiseSumLayer": "incomings, coeffs=1, cropping=None",
        "DropoutLayer": "incoming, p=0.5, rescale=True, shared_axes=()",
        "dropout": "incoming, p=0.5, rescale=True, shared_axes=()",
        "dropout_channels": "incoming", "spatial_dropout": "incoming",
        "dropout_locations": "incoming", "GaussianNoiseLayer": "incoming, sigma=0.1",
        "LocalResponseNormalization2DLayer":
            "incoming, alpha=1e-4, k=2, beta=0.75, n=5",
        "BatchNormLayer":
            "incoming, axes='auto', epsilon=1e-4, alpha=0.1, beta=Constant(0), "
            "gamma=Constant(1), mean=Constant(0), inv_std=Constant(1)",
        "batch_norm": "layer", "StandardizationLayer": "incoming, axes='auto', "
                                                       "epsilon=1e-4",
        "instance_norm": "layer, learn_scale=True, learn_bias=True",
        "layer_norm": "layer",
        "FlattenLayer": "incoming, outdim=2", "flatten": "incoming, outdim=2",
        "ReshapeLayer": "incoming, shape", "reshape": "incoming, shape",
        "DimshuffleLayer": "incoming, pattern", "dimshuffle": "incoming, pattern",
        "PadLayer": "incoming, width, val=0, batch_ndim=2",
        "pad": "incoming, width, val=0, batch_ndim=2",
        "SliceLayer": "incoming, indices, axis=-1",
        "NonlinearityLayer": "incoming, nonlinearity=rectify",
        "BiasLayer": "incoming, b=Constant(0), shared_axes='auto'",
        "ScaleLayer": "incoming, scales=Constant(1), shared_axes='auto'",
        "standardize": "layer, offset, scale, shared_axes='auto'",
        "ExpressionLayer": "incoming, function, output_shape=None",
        "InverseLayer": "incoming, layer",
        "TransformerLayer": "incoming, localization_network, downsample_factor=1, "
                            "border_mode='nearest'",
        "TPSTransformerLayer":
            "incoming, localization_network, downsample_factor=1, control_points=16, "
            "precompute_grid='auto', border_mode='nearest'",
        "ParametricRectifierLayer":
            "incoming, alpha=Constant(0.25), shared_axes='auto'",
        "prelu": "layer",
        "RandomizedRectifierLayer":
            "incoming, lower=0.3, upper=0.8, shared_axes='auto'",
        "rrelu": "layer"},
    "layers.conv": {
        "conv_output_length": "input_length, filter_size, stride, pad=0",
        "conv_input_length": "output_length, filter_size, stride, pad=0"},
    "init": {
        "Initializer": "", "Constant": "val=0.0", "Normal": "std=0.01, mean=0.0",
        "Uniform": "range=0.01, std=None, mean=0.0",
        "Glorot": "initializer, gain=1.0, c01b=False",
        "GlorotNormal": "gain=1.0, c01b=False", "GlorotUniform": "gain=1.0, c01b=False",
        "He": "initializer, gain=1.0, c01b=False",
        "HeNormal": "gain=1.0, c01b=False", "HeUniform": "gain=1.0, c01b=False",
        "Orthogonal": "gain=1.0", "Sparse": "sparsity=0.1, std=0.01"},
    "nonlinearities": {
        "sigmoid": "x", "softmax": "x", "tanh": "x",
        "ScaledTanH": "scale_in=1, scale_out=1",
        "ScaledTanh": "scale_in=1, scale_out=1",
        "rectify": "x", "LeakyRectify": "leakiness=0.01", "leaky_rectify": "x",
        "very_leaky_rectify": "x", "elu": "x", "SELU": "scale=1, scale_neg=1",
        "selu": "x", "softplus": "x", "linear": "x", "identity": "x"},
    "objectives": {
        "binary_crossentropy": "predictions, targets",
        "categorical_crossentropy": "predictions, targets",
        "squared_error": "a, b", "aggregate": "loss, weights=None, mode='mean'",
        "binary_hinge_loss":
            "predictions, targets, delta=1, log_odds=None, binary=True",
        "multiclass_hinge_loss": "predictions, targets, delta=1",
        "huber_loss": "predictions, targets, delta=1",
        "binary_accuracy": "predictions, targets, threshold=0.5",
        "categorical_accuracy": "predictions, targets, top_k=1"},
    "regularization": {
        "l1": "x", "l2": "x", "apply_penalty": "tensor_or_tensors, penalty",
        "regularize_layer_params": f"layer, penalty, {_TAGS}",
        "regularize_layer_params_weighted": f"layers, penalty, {_TAGS}",
        "regularize_network_params": f"layer, penalty, {_TAGS}"},
    "updates": {
        "get_or_compute_grads": _UPDATE, "sgd": f"{_UPDATE}, learning_rate",
        "apply_momentum": "updates, params=None, momentum=0.9",
        "momentum": f"{_UPDATE}, learning_rate, momentum=0.9",
        "apply_nesterov_momentum": "updates, params=None, momentum=0.9",
        "nesterov_momentum": f"{_UPDATE}, learning_rate, momentum=0.9",
        "adagrad": f"{_UPDATE}, learning_rate=1.0, epsilon=1e-6",
        "rmsprop": f"{_UPDATE}, learning_rate=1.0, rho=0.9, epsilon=1e-6",
        "adadelta": f"{_UPDATE}, learning_rate=1.0, rho=0.95, epsilon=1e-6",
        "adam": f"{_UPDATE}, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8",
        "adamax": f"{_UPDATE}, learning_rate=0.002, beta1=0.9, beta2=0.999, "
                  "epsilon=1e-8",
        "amsgrad": f"{_UPDATE}, learning_rate=0.001, beta1=0.9, beta2=0.999, "
                   "epsilon=1e-8",
        "norm_constraint": "tensor_var, max_norm, norm_axes=None, epsilon=1e-7",
        "total_norm_constraint":
            "tensor_vars, max_norm, epsilon=1e-7, return_norm=False"},
    "utils": {
        "floatX": "arr", "shared_empty": "dim=2, dtype=None",
        "as_theano_expression": "input", "collect_shared_vars": "expressions",
        "one_hot": "x, m=None", "unique": "l", "as_tuple": "x, N, t=None",
        "inspect_kwargs": "func", "compute_norms": "array, norm_axes=None",
        "create_param": "spec, shape, name=None"},
    "random": {"get_rng": "", "set_rng": "new_rng"},
}

#: What was reached by a module of a GPU library alone.
GPU_NAMES = {
    "layers.dnn": ["BatchNormDNNLayer", "Conv2DDNNLayer", "Conv3DDNNLayer",
                   "MaxPool2DDNNLayer", "MaxPool3DDNNLayer", "Pool2DDNNLayer",
                   "Pool3DDNNLayer", "SpatialPyramidPoolingDNNLayer",
                   "batch_norm_dnn"],
    "layers.corrmm": ["Conv2DMMLayer"],
    "layers.cuda_convnet": [
        "Conv2DCCLayer", "MaxPool2DCCLayer", "NINLayer_c01b", "ShuffleBC01ToC01BLayer",
        "ShuffleC01BToBC01Layer", "bc01_to_c01b", "c01b_to_bc01"],
}
