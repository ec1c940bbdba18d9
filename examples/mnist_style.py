"""The first network of everyone who came from Lasagne: python examples/mnist_style.py

Lasagne's examples/mnist.py is where many learnt what training is: an expression for the
network's output, one for the loss, the updates that make it smaller, functions compiled
from them, and two loops. This is that script's plan in our own words, with faces drawn
by minifer for digits; the imports are all that a Lasagne script has to change.
"""

import os
import tempfile
import time

import numpy as np

import minifer as lasagne
import minifer as theano
import minifer.tensor as T
from minifer import data
from minifer.commands.cli import run_script
from minifer.files import make_folder

EMOTIONS = ["anger", "happiness", "surprise"]


def load_faces(subjects):
    """Draw people's faces; return (images, labels) to train, validate and test with."""
    with tempfile.TemporaryDirectory() as folder:
        roots = data.make_faces(folder, subjects, EMOTIONS, frames=(2, 2))
        faces = data.load_ck(*roots, last=0.5, size=48, cache=False)
    labels = np.searchsorted(np.unique(faces.labels), faces.labels)  # 0, 1, 2
    images = (faces.images / 128 - 1).astype(theano.config.floatX)  # (N, 1, 48, 48)
    parts = data.split_by_subject(labels, faces.subjects)
    return [(images[part], labels[part].astype("int32")) for part in parts]


def build_network(input_var):
    """Convolution, pooling, a dense layer with dropout, and a softmax."""
    net = lasagne.layers.InputLayer((None, 1, 48, 48), input_var)
    net = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=5)
    net = lasagne.layers.MaxPool2DLayer(net, pool_size=2)
    net = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=5)
    net = lasagne.layers.MaxPool2DLayer(net, pool_size=2)
    net = lasagne.layers.DenseLayer(lasagne.layers.dropout(net, p=0.5), num_units=64)
    return lasagne.layers.DenseLayer(net, num_units=len(EMOTIONS),
                                     nonlinearity=lasagne.nonlinearities.softmax)


def iterate_minibatches(images, labels, batch_size, rng=None):
    """Yield (images, labels) of each mini-batch; in random order if given an rng."""
    order = np.arange(len(images)) if rng is None else rng.permutation(len(images))
    for start in range(0, len(order), batch_size):
        batch = order[start:start + batch_size]
        yield images[batch], labels[batch]


def main(epochs=20, subjects=30, out="runs/mnist_style"):
    """Train, validate after each epoch, test; return the test accuracy."""
    rng = np.random.default_rng(0)
    lasagne.random.set_rng(0)
    print(f"Drawing {subjects} people ...", flush=True)
    training, validation, test = load_faces(subjects)

    # Variables stand for a batch that is not there yet; all below is built from them.
    input_var, target_var = T.tensor4("inputs"), T.ivector("targets")
    network = build_network(input_var)

    # To train: the loss of the output with dropout, and how it moves the parameters.
    prediction = lasagne.layers.get_output(network)
    loss = lasagne.objectives.categorical_crossentropy(prediction, target_var).mean()
    params = lasagne.layers.get_all_params(network, trainable=True)
    updates = lasagne.updates.nesterov_momentum(loss, params, learning_rate=0.02,
                                                momentum=0.9)
    train_fn = theano.function([input_var, target_var], loss, updates=updates)

    # To judge: the output without dropout, and nothing moves.
    judged = lasagne.layers.get_output(network, deterministic=True)
    val_loss = lasagne.objectives.categorical_crossentropy(judged, target_var).mean()
    accuracy = T.mean(T.eq(T.argmax(judged, axis=1), target_var), dtype="float32")
    val_fn = theano.function([input_var, target_var], [val_loss, accuracy])

    def judge(part):
        """Loss and accuracy, each image counting alike."""
        found = [np.multiply(val_fn(x, y), len(y))
                 for x, y in iterate_minibatches(*part, 32)]
        return np.sum(found, axis=0) / len(part[1])

    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        losses = [train_fn(x, y) for x, y in iterate_minibatches(*training, 16, rng)]
        loss_now, right = judge(validation)
        print(f"epoch {epoch:2d} of {epochs}, {time.perf_counter() - start:.2f} s: "
              f"training loss {np.mean(losses):.3f}, validation loss {loss_now:.3f}, "
              f"accuracy {right:.0%}", flush=True)

    loss_now, right = judge(test)
    print(f"test, on people never seen: loss {loss_now:.3f}, accuracy {right:.0%}")
    path = os.path.join(make_folder(out), "model.npz")
    np.savez(path, *lasagne.layers.get_all_param_values(network))
    print(f"{path} holds the weights.")
    return right


if __name__ == "__main__":
    run_script(main)
