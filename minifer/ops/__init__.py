"""The mathematics: pure pairs of functions on arrays, one family a file.

Every op is two functions. ``y, cache = op_forward(x, ...)`` computes, and
keeps in ``cache`` (a tuple) what its gradient will need;
``dx, ... = op_backward(dy, cache)`` turns the gradient of the loss with
respect to ``y`` into the gradients with respect to the inputs. Nothing is
remembered between calls and no input is changed, so an op can be used many
times in one network.

Letters: N images in a batch, C input channels, H rows, W columns (``Wd`` in
code, where ``W`` is the weights), F filters, (kh, kw) filter size, (sh, sw)
stride, (ph, pw) padding, (Ho, Wo) output size, D inputs and U units of a dense
layer, K classes. ``dx`` always has the shape and dtype of ``x``.
"""
