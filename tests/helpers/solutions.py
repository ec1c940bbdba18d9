"""Solutions of the exercises of ``minifer check``: right ones, to be spoilt by tests.

They are written as a student would, with loops and without minifer, so that they say
something about the right answers that the checks compare with.
"""

DENSE = '''
import numpy as np

def dense_forward(x, W, b):
    return x @ W + b, (x, W)

def dense_backward(dy, cache):
    x, W = cache
    dx = dy @ W.T
    dW = x.T @ dy
    db = dy.sum(axis=0)
    return dx, dW, db
'''

RELU = '''
import numpy as np

def relu_forward(x):
    y = np.maximum(0, x)
    return y, (x, y)

def relu_backward(dy, cache):
    x, y = cache
    return dy * (x > 0)
'''

SOFTMAX = '''
import numpy as np

def crossentropy_forward(z, t):
    N = len(z)
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -log_p[np.arange(N), t].mean(), (log_p, t)

def crossentropy_backward(dloss, cache):
    log_p, t = cache
    N = len(t)
    dz = np.exp(log_p)
    dz[np.arange(N), t] -= 1
    return dloss * dz / N
'''

CONV = '''
import numpy as np

def conv_forward(x, W, b, stride, pad):
    N, C, H, Wd = x.shape
    F, C, kh, kw = W.shape
    X = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    Ho, Wo = (H + 2 * pad - kh) // stride + 1, (Wd + 2 * pad - kw) // stride + 1
    y = np.zeros((N, F, Ho, Wo), x.dtype)
    for i in range(Ho):
        for j in range(Wo):
            part = X[:, :, stride*i:stride*i + kh, stride*j:stride*j + kw]
            y[:, :, i, j] = np.einsum("ncuv,fcuv->nf", part, W) + b
    return y, (X, W, stride, pad, x.shape)

def conv_backward(dy, cache):
    X, W, stride, pad, (N, C, H, Wd) = cache
    F, C, kh, kw = W.shape
    dX, dW = np.zeros_like(X), np.zeros_like(W)
    for n in range(N):
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                rows = slice(stride*i, stride*i + kh)
                cols = slice(stride*j, stride*j + kw)
                d = dy[n, :, i, j]
                dX[n, :, rows, cols] += np.einsum("f,fcuv->cuv", d, W)
                dW += np.einsum("f,cuv->fcuv", d, X[n, :, rows, cols])
    db = dy.sum(axis=(0, 2, 3))
    dx = dX[:, :, pad:pad + H, pad:pad + Wd]
    return dx, dW, db
'''

MAXPOOL = '''
import numpy as np

def maxpool_forward(x, size):
    N, C, H, W = x.shape
    y = np.zeros((N, C, H // size, W // size), x.dtype)
    for i in range(H // size):
        for j in range(W // size):
            window = x[:, :, i*size:(i+1)*size, j*size:(j+1)*size]
            y[:, :, i, j] = window.max(axis=(2, 3))
    return y, (x, size)

def maxpool_backward(dy, cache):
    x, size = cache
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        window = x[n, c, i*size:(i+1)*size, j*size:(j+1)*size]
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, i*size + u, j*size + v] = dy[n, c, i, j]
    return dx
'''

MOMENTUM = '''
def momentum_step(p, g, v, learning_rate, momentum):
    v = momentum * v - learning_rate * g
    return p + v, v

def nesterov_step(p, g, v, learning_rate, momentum):
    v = momentum * v - learning_rate * g
    return p + momentum * v - learning_rate * g, v
'''

ADAM = '''
import numpy as np

def adam_step(p, g, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g ** 2
    M = m / (1 - beta1 ** t)
    V = v / (1 - beta2 ** t)
    p = p - learning_rate * M / (np.sqrt(V) + epsilon)
    return p, m, v
'''

LAYER = '''
import numpy as np
from minifer import init
from minifer.layers import Layer

class SwishLayer(Layer):
    def __init__(self, incoming, beta=init.Constant(1.5), name=None):
        super().__init__(incoming, name)
        self.beta = self.add_param(beta, (self.input_shape[1],), "beta")

    def forward(self, x):
        beta = self.beta.value.reshape((-1,) + (1,) * (x.ndim - 2))
        s = 1 / (1 + np.exp(-beta * x))
        return x * s, (x, s, beta)

    def backward(self, dy, cache):
        x, s, beta = cache
        dx = dy * (s + beta * x * s * (1 - s))
        every = (0,) + tuple(range(2, x.ndim))
        return dx, {self.beta: (dy * x * x * s * (1 - s)).sum(axis=every)}
'''

#: Exercise -> the right solution.
SOLUTIONS = {"dense": DENSE, "relu": RELU, "softmax": SOFTMAX, "conv": CONV,
             "maxpool": MAXPOOL, "momentum": MOMENTUM, "adam": ADAM, "layer": LAYER}


def spoil(source, *changes):
    """A source with each (old, new) of ``changes`` put in; each must apply."""
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} stands there {source.count(old)} times"
        source = source.replace(old, new)
    return source


def examine(name, source, folder):
    """The findings of an exercise for a source, in this process."""
    from minifer import exercises
    path = folder / "student.py"
    path.write_text(source)
    return list(exercises.exercise(name).examine(str(path)))


def run(source, folder, limit=10.0):
    """The findings for a source of ReLU, in a process of its own."""
    from minifer import exercises
    path = folder / "student.py"
    path.write_text(source)
    return list(exercises.run_file("relu", str(path), limit))
