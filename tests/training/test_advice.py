"""What is said of a training that goes wrong, and that it is said once."""

import io

import numpy as np
import pytest

from helpers import runs
from minifer import init, layers, nonlinearities, updates
from minifer.progress import Progress
from minifer.training import Trainer, advice as advising
from minifer.training.advice import Advice


def network(bias=0., hidden=0.):
    """Two pixels, four ReLUs, three classes; biases say what comes out."""
    net = layers.InputLayer((None, 2))
    net = layers.DenseLayer(net, 4, W=init.Constant(0), b=init.Constant(hidden),
                            nonlinearity=nonlinearities.rectify, name="hidden")
    return layers.DenseLayer(net, 3, W=init.Constant(0), b=np.array([bias, 0, 0], "f"),
                             nonlinearity=nonlinearities.softmax)


def said(net, history, labels=(0, 1, 2) * 10, times=1):
    stream = io.StringIO()
    advice = Advice(net, ("happy", "sad", "none"), Progress(stream=stream))
    labels = np.array(labels)
    for _ in range(times):
        advice.see(history[-1]["epoch"], np.ones((len(labels), 2), np.float32), labels)
        advice.look(history)
    return stream.getvalue()


def row(epoch, train=1.2, valid=1.2):
    return {"epoch": epoch, "train_loss": train, "valid_loss": valid}


def test_a_network_that_guesses():
    text = said(network(hidden=1.), [row(1, valid=1.0986)], times=2)
    assert text.count("look: ") == 1
    assert "says 'happy' of every image, with the loss of a guess, 1.10" in text
    assert said(network(hidden=1.), [row(1, valid=.9)]) == ""


def test_dead_units_are_counted_over_all_images():
    text = said(network(hidden=-1.), [row(2, valid=.9)])
    assert "100% of the units of 'hidden' are 0 for all of 30 images" in text


def test_no_more_images_are_looked_at_than_tell(monkeypatch):
    monkeypatch.setattr(advising, "SEEN", 20)
    text = said(network(hidden=-1.), [row(2, valid=.9)])
    assert "are 0 for all of 20 images" in text


def test_a_class_that_is_never_said():
    net = network(hidden=1.)
    W = net.W.get_value()
    W[:, 1] = [1, 0, 0, 0]
    net.W.set_value(W)

    x = np.repeat(np.array([[1, 0], [-1, 0]], np.float32), 15, axis=0)
    hidden = net.input_layer
    hidden.W.set_value(np.array([[1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    hidden.b.set_value(np.array([0, 1, 1, 1], np.float32))
    net.b.set_value(np.array([.5, 0, 0], np.float32))
    stream = io.StringIO()
    advice = Advice(net, ("happy", "sad", "none"), Progress(stream=stream))
    labels = np.array((0, 1, 2) * 10)
    for epoch in (2, 3, 4):
        assert stream.getvalue() == ""  # too early to tell, or not looked at
        advice.see(epoch, x, labels)
        advice.look([row(epoch)])
    assert "it never says none." in stream.getvalue()


@pytest.mark.parametrize("quiet", [True, False])
def test_trainer_asks_it_and_trains_as_without(quiet):
    """A rate that throws the network onto one class; the numbers are the same."""
    images, labels = runs.pictures(40)
    net = runs.network()
    stream = io.StringIO()
    result = Trainer(net, updates.sgd, learning_rate=3e3, prepare=runs.STEPS).fit(
        images, labels, valid=(images, labels), epochs=2,
        progress=None if quiet else Progress(stream=stream))
    assert ("look: " in stream.getvalue()) == (not quiet)
    assert len(result.history) == 2
