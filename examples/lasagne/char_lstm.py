"""A text, letter by letter: python examples/lasagne/char_lstm.py

Two layers of LSTM read a small tale and say at every letter which one comes next. What
they have read is in their cells alone. Asked again and again, each time with the letter
just drawn, they write: first any signs, then frequent ones, then words, then the tale.
"""

import numpy as np

import minifer as lasagne
import minifer as theano
import minifer.tensor as T
from minifer.commands.cli import run_script
from minifer.files import make_folder

TALE = """\
a lamp stood on a rock in the sea, and every night it turned. ships saw it from afar and
kept away from the rock. so the lamp had never met a ship, and it was lonely. one night
it said to the moon: you see everything, tell me what a ship is like. the moon said: a
ship is a house that walks on water, and in it people sleep while one of them is awake.
the one who is awake looks for you. then the lamp was lonely no more. it turned and it
turned, and to every dark house that walked on the water it said: sleep, i see you, and
the one who was awake looked up and saw it, and kept away from the rock in the sea.
""".replace("\n", " ")
SIGNS = sorted(set(TALE))
STEPS, BATCH = 40, 32  # letters at a time, and pieces of the tale


def as_numbers(text):
    """Each letter's place among the signs."""
    return np.array([*map(SIGNS.index, text)])


def draw_pieces(rng):
    """Pieces of the tale, (BATCH, STEPS, signs), and what follows each letter."""
    starts = rng.integers(0, len(TALE) - STEPS, BATCH)
    numbers = as_numbers(TALE)[starts[:, None] + np.arange(STEPS + 1)]
    return one_hot(numbers[:, :-1]), numbers[:, 1:].ravel()


def one_hot(numbers):
    """A one among zeros for each letter: (N, T) becomes (N, T, signs)."""
    return np.eye(len(SIGNS), dtype=theano.config.floatX)[numbers]


def build_network(input_var, units):
    """Letters (N, T, signs) in; out what may come after each, (N·T, signs)."""
    net = lasagne.layers.InputLayer((None, None, len(SIGNS)), input_var)
    for _ in range(2):
        net = lasagne.layers.LSTMLayer(
            net, units, forgetgate=lasagne.layers.Gate(b=lasagne.init.Constant(1)),
            grad_clipping=1)
    net = lasagne.layers.ReshapeLayer(net, (-1, units))  # a row for every letter
    return lasagne.layers.DenseLayer(net, len(SIGNS),
                                     nonlinearity=lasagne.nonlinearities.softmax)


def write(probabilities_fn, rng, letters=160, begin="a lamp "):
    """Draw letter after letter, each by its probability after those before."""
    text = begin
    while len(text) < letters:
        seen = one_hot(as_numbers(text[-2 * STEPS:]))[None]
        sharp = probabilities_fn(seen)[-1].astype(float) ** 2  # the likely more often
        text += SIGNS[rng.choice(len(SIGNS), p=sharp / sharp.sum())]
    return text


def share_of_words(text):
    """Which part of the words is in the tale; two were given, the last may be cut."""
    words = text.split()[2:-1]
    return sum(word in TALE.split() for word in words) / len(words)


def main(steps=300, units=128, out="runs/char_lstm"):
    """Train, write; return [(steps, bits a letter, share of words, text)]."""
    lasagne.random.set_rng(0)
    rng, found = np.random.default_rng(0), []
    input_var, target_var = T.tensor3("letters"), T.ivector("next letters")
    net = build_network(input_var, units)
    probabilities = lasagne.layers.get_output(net)
    loss = lasagne.objectives.categorical_crossentropy(probabilities, target_var).mean()
    params = lasagne.layers.get_all_params(net, trainable=True)
    updates = lasagne.updates.adam(loss, params, learning_rate=0.005)
    train_fn = theano.function([input_var, target_var], loss, updates=updates)
    loss_fn = theano.function([input_var, target_var], loss)
    probabilities_fn = theano.function([input_var], probabilities)
    for step in range(steps + 1):
        if step in (0, steps // 4, steps // 3, steps):
            bits = loss_fn(*draw_pieces(rng)) / np.log(2)
            text = write(probabilities_fn, rng)
            found.append((step, bits, share_of_words(text), text))
            print("After {} steps: {:.2f} bits a letter, {:.0%} of the words from the "
                  "tale\n    {}".format(*found[-1]), flush=True)
        train_fn(*draw_pieces(rng))
    np.savetxt(f"{make_folder(out)}/written.txt", [text for *_, text in found], "%s")
    return found


if __name__ == "__main__":
    run_script(main)
