"""A script as a user writes it, for mypy alone; see tests/test_house.py."""

import numpy as np

import minifer
from minifer import layers, objectives, tensor, updates
from minifer.training import Trainer


def script() -> float:
    images, labels = np.zeros((8, 1, 48, 48)), np.arange(8) % 7
    network = minifer.models.six_conv(num_classes=7)
    Trainer(network, batch_size=32, update=updates.adam).fit(images, labels, epochs=1)

    x, y = tensor.matrix("x"), tensor.ivector("y")
    net = layers.dropout(layers.InputLayer((None, 2), x), p=0.5)
    net = layers.DenseLayer(net, 2, nonlinearity=minifer.nonlinearities.softmax)
    loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    params = layers.get_all_params(net, trainable=True)
    train = minifer.function([x, y], loss, updates.sgd(loss, params, learning_rate=1.))
    return train(np.eye(2, dtype="float32"), np.array([0, 1]))
