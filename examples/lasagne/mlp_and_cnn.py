"""Two networks on the same faces: python examples/lasagne/mlp_and_cnn.py

Drawn faces of MNIST's size. A multi-layer perceptron sees 784 numbers and does not know
which of them are neighbours; a convolutional network looks for small patterns, wherever
they are. Both learn from the same images, and are judged on people never seen: as they
are, and with every face moved aside by two pixels, as none was in training.
"""

import tempfile

import numpy as np

import minifer as lasagne
import minifer as theano
import minifer.tensor as T
from minifer import data
from minifer.commands.cli import run_script
from minifer.files import make_folder

EMOTIONS = ["anger", "happiness", "surprise"]


def load_faces(subjects):
    """Draw people's faces; return (images, labels) to train and to test with."""
    print(f"Drawing {subjects} people ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        roots = data.make_faces(folder, subjects, EMOTIONS, frames=(2, 2))
        faces = data.load_ck(*roots, last=0.5, size=28, cache=False)
    images = (faces.images / 128 - 1).astype(theano.config.floatX)  # (N, 1, 28, 28)
    labels = np.searchsorted(np.unique(faces.labels), faces.labels)  # 0, 1, 2
    return [(images[part], labels[part]) for part in
            data.split_by_subject(labels, faces.subjects, (0.7, 0.3))]


def build_mlp(input_var):
    """784 pixels, two hidden layers of 100 units; dropout, also of the pixels."""
    net = lasagne.layers.InputLayer((None, 1, 28, 28), input_var)
    net = lasagne.layers.dropout(net, p=0.2)
    for _ in range(2):
        net = lasagne.layers.dropout(lasagne.layers.DenseLayer(net, 100), p=0.5)
    return lasagne.layers.DenseLayer(net, len(EMOTIONS),
                                     nonlinearity=lasagne.nonlinearities.softmax)


def build_cnn(input_var):
    """Twice a convolution and pooling, then one hidden layer."""
    net = lasagne.layers.InputLayer((None, 1, 28, 28), input_var)
    for _ in range(2):
        net = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=(5, 5))
        net = lasagne.layers.MaxPool2DLayer(net, pool_size=(2, 2))
    net = lasagne.layers.DenseLayer(lasagne.layers.dropout(net, p=0.5), num_units=64)
    return lasagne.layers.DenseLayer(lasagne.layers.dropout(net, p=0.5), len(EMOTIONS),
                                     nonlinearity=lasagne.nonlinearities.softmax)


def compile_functions(build):
    """A network, the function that takes a step, and the one that counts hits."""
    input_var, target_var = T.tensor4("inputs"), T.ivector("targets")
    net = build(input_var)
    loss = lasagne.objectives.categorical_crossentropy(
        lasagne.layers.get_output(net), target_var).mean()
    params = lasagne.layers.get_all_params(net, trainable=True)
    updates = lasagne.updates.adam(loss, params, learning_rate=0.002)
    train_fn = theano.function([input_var, target_var], loss, updates=updates)
    judged = lasagne.layers.get_output(net, deterministic=True)  # without dropout
    accuracy = T.mean(T.eq(T.argmax(judged, axis=1), target_var), dtype="float32")
    return net, train_fn, theano.function([input_var, target_var], accuracy)


def moved(images, pixels=2):
    """All images moved down, up, right and left; borders are repeated."""
    wide = np.pad(images, [(0, 0), (0, 0), (pixels, pixels), (pixels, pixels)], "edge")
    return np.concatenate([wide[:, :, y:y + 28, x:x + 28] for y, x in pixels * np.array(
        [(0, 1), (2, 1), (1, 0), (1, 2)])])


def main(epochs=30, subjects=60, out="runs/mlp_and_cnn"):
    """Train both networks; return {name: (accuracy, accuracy on moved faces)}."""
    (images, labels), (new, right) = load_faces(subjects)
    found, out = {}, make_folder(out)
    for name, build in ("mlp", build_mlp), ("cnn", build_cnn):
        lasagne.random.set_rng(0)
        rng = np.random.default_rng(0)  # the same order for both
        net, train_fn, accuracy_fn = compile_functions(build)
        for _ in range(epochs):
            order = rng.permutation(len(images))
            losses = [train_fn(images[batch], labels[batch])
                      for batch in np.array_split(order, -(-len(order) // 20))]
        found[name] = [accuracy_fn(new, right),
                       accuracy_fn(moved(new), np.tile(right, 4))]
        print("{}, {:,} parameters: training loss {:.3f}; of {} faces of new people "
              "{:.0%} are right, moved by two pixels {:.0%}".format(
                  name, lasagne.layers.count_params(net), np.mean(losses), len(right),
                  *found[name]), flush=True)
        np.savez(f"{out}/{name}.npz", *lasagne.layers.get_all_param_values(net))
    return found


if __name__ == "__main__":
    run_script(main)
