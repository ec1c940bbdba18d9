"""Looking where the digit is: python examples/lasagne/spatial_transformer.py

Digits lie anywhere on a large canvas, among scraps of strokes. A network within the
network, a spatial transformer, glances at the canvas and answers with the six numbers
of an affine map, by which TransformerLayer looks closer. No label says where: gradients
go through the layer. The same classifier without it sees the canvas made as small.
"""

import numpy as np

import minifer as lasagne
import minifer as theano
import minifer.tensor as T
from minifer.commands.cli import run_script
from minifer.files import make_folder
from minifer.report.style import blank, headline, save

SIDE = 40  # of the canvas; a digit is about 9 wide and 14 high
#: Strokes of 0 to 9, from point to point of the grid abc/def/ghi/jkl/mno.
DIGITS = "bflnjdb dbn dbfmo achlnj cjl,co caghlnm bdjnlhg acn bfhlnjhdb ihdbfin".split()
GRID = {p: (i % 3 - 1, 0.8 * (i // 3 - 2)) for i, p in enumerate("abcdefghijklmno")}


def draw_digit(digit, rng):
    """A digit somewhere, a bit turned, among eight scraps: (SIDE, SIDE), 0 to 1."""
    lines = np.array([[GRID[a], GRID[b]] for stroke in DIGITS[digit].split(",")
                      for a, b in zip(stroke, stroke[1:])])  # (lines, 2 ends, x and y)
    sin, cos = np.sin(turn := rng.normal(0, 0.15)), np.cos(turn)
    lines = rng.uniform(4, 5) * lines @ [[cos, sin], [-sin, cos]]
    lines += rng.uniform(9, SIDE - 9, 2)
    scraps = rng.uniform(0, SIDE, (8, 1, 2)) + rng.normal(0, 2, (8, 2, 2))
    lines = np.concatenate([lines, scraps])
    # A pixel is the darker, the closer the nearest point of a line is.
    start, along = lines[:, :1], lines[:, 1:] - lines[:, :1]
    offset = np.indices((SIDE, SIDE))[::-1].reshape(2, -1).T - start
    part = np.clip((offset * along).sum(-1) / (along ** 2).sum(-1), 0, 1)
    distance = np.linalg.norm(offset - part[..., None] * along, axis=-1).min(axis=0)
    return np.clip(1.5 - distance, 0, 1).reshape(SIDE, SIDE)


def draw_digits(count, rng):
    """Images (N, 1, SIDE, SIDE) and their labels."""
    labels = rng.integers(0, 10, count)
    return np.array([[draw_digit(one, rng)] for one in labels], "float32"), labels


def build_network(input_var, transformer):
    """Return the network, what its classifier looks at, and what says where to look."""
    l_in = lasagne.layers.InputLayer((None, 1, SIDE, SIDE), input_var)
    net = seen = place = lasagne.layers.MaxPool2DLayer(l_in, pool_size=2)
    if transformer:
        net = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=5)
        net = lasagne.layers.MaxPool2DLayer(net, pool_size=2)
        net = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=3)
        # Weights of 0: it begins by looking at the middle of every canvas.
        place = lasagne.layers.DenseLayer(
            lasagne.layers.DenseLayer(net, 32), 6, W=lasagne.init.Constant(0),
            b=np.array([0.6, 0, 0, 0, 0.6, 0]), nonlinearity=None)
        net = seen = lasagne.layers.TransformerLayer(l_in, place, downsample_factor=2)
    for _ in range(2):
        net = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=3)
        net = lasagne.layers.MaxPool2DLayer(net, pool_size=2)
    net, softmax = lasagne.layers.DenseLayer(net, 64), lasagne.nonlinearities.softmax
    return lasagne.layers.DenseLayer(net, 10, nonlinearity=softmax), seen, place


def main(epochs=20, images=4000, out="runs/spatial_transformer"):
    """Train without and with the transformer, draw; return losses and accuracies."""
    rng, found = np.random.default_rng(0), []
    (training, labels), (test, right) = draw_digits(images, rng), draw_digits(500, rng)
    for transformer in False, True:
        lasagne.random.set_rng(0)
        input_var, target_var = T.tensor4("inputs"), T.ivector("targets")
        net, seen, place = build_network(input_var, transformer)
        loss = lasagne.objectives.categorical_crossentropy(
            lasagne.layers.get_output(net), target_var).mean()
        params = lasagne.layers.get_all_params(net, trainable=True)
        train_fn = theano.function([input_var, target_var], loss,
                                   updates=lasagne.updates.adam(loss, params))
        for _ in range(epochs):
            for some in np.array_split(rng.permutation(images), -(-images // 50)):
                last = train_fn(training[some], labels[some])
        hits = np.mean(lasagne.layers.get_output(net, test).argmax(axis=1) == right)
        found.append((last, hits))
        print(f"with{'' if transformer else 'out'} a transformer: last training loss "
              f"{last:.3f}, {hits:.1%} of {len(test)} other digits right", flush=True)
    figure, corners = blank(7.5, 2.7), [[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1], [1] * 5]
    looks, places = lasagne.layers.get_output([seen, place], test)
    for i, axes in enumerate(figure.subplots(2, 8).T):
        axes[0].plot(*(places[i].reshape(2, 3) @ corners + 1) / 2 * (SIDE - 1), "C1")
        for ax, image in zip(axes, (test[i, 0], looks[i, 0])):  # one below the other
            ax.imshow(image, cmap="gray_r")
            ax.set(xticks=[], yticks=[])
    headline(figure, "Where a spatial transformer looks", "and what it sees there")
    save(figure, f"{make_folder(out)}/looks.png")
    return found


if __name__ == "__main__":
    run_script(main)
