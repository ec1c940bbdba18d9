"""Dense layers with one mistake each in their way back, from plain to hidden."""

import numpy as np

from minifer import nonlinearities, random
from minifer.layers import (Conv2DLayer, DenseLayer, DropoutLayer, ElemwiseSumLayer,
                            InputLayer, Pool2DLayer, batch_norm)

__all__ = ["FAULTS", "faulty", "random_network"]


def _at(i, j, change):
    """A fault of one element of dW, counted from its ends."""
    def spoil(x, dz, dx, dW, db):
        place = i % len(dW), j % dW.shape[1]
        dW[place] = change(dW[place], np.sqrt((dW ** 2).mean()))
    return spoil


def _largest_halved(x, dz, dx, dW, db):
    dW.flat[np.abs(dW).argmax()] /= 2


def _two_swapped(x, dz, dx, dW, db):
    dW[7, [3, 5]] = dW[7, [5, 3]]


def _again(x, dz, dW, db):
    """dW and db of other numbers than those that came."""
    dW[...], db[...] = x.T @ dz, dz.sum(axis=0)


def _with(change):
    return lambda x, dz, dx, dW, db: _again(x, change(dz), dW, db)


def _in_place(name, change):
    def spoil(x, dz, dx, dW, db):
        change({"dx": dx, "dW": dW, "db": db}[name])
    return spoil


#: What is wrong -> function that spoils dx, dW and db in place.
FAULTS = {
    "sign of dW": _in_place("dW", lambda dW: np.negative(dW, out=dW)),
    "dW too large by 1/10000": _in_place("dW", lambda dW: np.multiply(
        dW, 1.0001, out=dW)),
    "rows of dW moved by one": _in_place("dW", lambda dW: np.copyto(
        dW, np.roll(dW, 1, axis=0))),
    "one row of dW is 0": _in_place("dW", lambda dW: dW[-2].fill(0)),
    "one column of dW is 0": _in_place("dW", lambda dW: dW[:, 4].fill(0)),
    "dW rounded to float16": _in_place("dW", lambda dW: np.copyto(
        dW, dW.clip(-6e4, 6e4).astype(np.float16))),
    "a small block of dW is turned": _in_place("dW", lambda dW: np.copyto(
        dW[2:5, 2:5], dW[2:5, 2:5].T.copy())),
    "one element of dW is 0": _at(11, 2, lambda g, typical: 0),
    "one element has the wrong sign": _at(5, -3, lambda g, typical: -g),
    "one element is doubled": _at(-9, 6, lambda g, typical: 2 * g),
    "one element is off by a tenth of a typical one": _at(
        13, 1, lambda g, typical: g + typical / 10),
    "the last element is left as it was": _at(-1, -1, lambda g, typical: typical),
    "the largest element is halved": _largest_halved,
    "two elements are swapped": _two_swapped,
    "the first image alone counts": _with(lambda dz: dz * (np.arange(len(dz))
                                                           == 0)[:, None]),
    "the mean, not the sum": _with(lambda dz: dz / len(dz)),
    "images from the fifth on are forgotten": _with(
        lambda dz: dz * (np.arange(len(dz)) < 4)[:, None]),
    "large upstream gradients are cut off": _with(lambda dz: dz.clip(-100, 100)),
    "small upstream gradients are dropped": _with(lambda dz: dz * (abs(dz) > 1e-8)),
    "one element of dx is 0": _in_place("dx", lambda dx: dx[:1, 3:4].fill(0))}


def faulty(fault, D, K, nonlinearity=nonlinearities.tanh):
    """A dense layer of D inputs and K units with a fault; None for a right one."""
    class Faulty(DenseLayer):
        def linear_backward(self, dz, cache, need_dx=True):
            dx, gradients = super().linear_backward(dz, cache, True)
            if fault is not None:
                x = cache[0]
                given = [np.array(a) for a in (
                    dx, gradients[self.W], gradients[self.b])]
                FAULTS[fault](x, dz, *given)
                dx, gradients[self.W], gradients[self.b] = given
            return dx, gradients

    W = np.random.default_rng(D).standard_normal((D, K)) / np.sqrt(D)
    return Faulty(InputLayer((None, D)), K, W=W, nonlinearity=nonlinearity)


def random_network(seed):
    """A right network of random layers, on images or on rows."""
    rng = np.random.default_rng(seed)
    random.set_rng(seed)
    images = rng.random() < 0.6
    shape = (None, 2, 9, 8) if images else (None, int(rng.integers(3, 40)))
    net = InputLayer(shape)
    for _ in range(rng.integers(1, 4) if images else 0):
        kind = rng.integers(6)
        if kind < 3:
            net = Conv2DLayer(net, int(rng.integers(1, 6)), int(rng.integers(1, 4)),
                              stride=int(rng.integers(1, 3)), pad=1,
                              nonlinearity=_any(rng))
        elif kind == 3:
            net = Pool2DLayer(net, 2, ignore_border=False, mode=str(
                rng.choice(["max", "average_inc_pad"])))
        elif kind == 4:
            net = batch_norm(Conv2DLayer(net, 3, 3, pad=1, nonlinearity=_any(rng)))
        else:
            net = DropoutLayer(net, p=0.3)
    for _ in range(rng.integers(1, 4)):
        net = DenseLayer(net, int(rng.integers(1, 30)), nonlinearity=_any(rng))
        if rng.random() < 0.3:
            net = batch_norm(net)
        if rng.random() < 0.3:
            net = ElemwiseSumLayer([net, DenseLayer(net, net.output_shape[1])])
    return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax if rng.random() < 0.5
                      else None)


def _any(rng):
    names = ["rectify", "rectify", "leaky_rectify", "tanh", "elu", "sigmoid",
             "softplus", "linear"]
    return getattr(nonlinearities, names[rng.integers(len(names))])
