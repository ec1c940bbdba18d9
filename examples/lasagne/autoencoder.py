"""Faces out of noise: python examples/lasagne/autoencoder.py

A denoising autoencoder learns without labels: it is shown faces spoiled by noise, and
is to give back the faces. Between the two stands a narrow layer, through which only
what faces have in common fits. Its second half is the first one backwards: Lasagne's
InverseLayer goes back through a layer with the layer's own weights, so the decoder has
no weights of its own. Vincent et al. (2008), "Extracting and composing robust
features with denoising autoencoders".
"""

import tempfile

import numpy as np

import minifer as lasagne
import minifer as theano
import minifer.tensor as T
from minifer import data
from minifer.commands.cli import run_script
from minifer.files import make_folder
from minifer.report.style import bare, blank, headline, save

NOISE = 0.5  # standard deviation; from black to white it is 1


def load_faces(subjects):
    """Draw people's faces; return those to learn from, and those of other people."""
    print(f"Drawing {subjects} people ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        roots = data.make_faces(folder, subjects, ["happiness", "sadness", "surprise"],
                                frames=(2, 2))
        faces = data.load_ck(*roots, last=1, size=32, cache=False)
    images = (faces.images / 255).astype(theano.config.floatX)  # (N, 1, 32, 32)
    return [images[part] for part in
            data.split_by_subject(faces.labels, faces.subjects, (0.75, 0.25))]


def build_autoencoder(input_var):
    """Encoder: convolution, pooling, dense. Decoder: their inverses, last one first."""
    net = lasagne.layers.InputLayer((None, 1, 32, 32), input_var)
    # Other noise at every step: no face is seen twice with the same.
    net = lasagne.layers.GaussianNoiseLayer(net, sigma=NOISE)
    conv = lasagne.layers.Conv2DLayer(net, num_filters=16, filter_size=5,
                                      nonlinearity=lasagne.nonlinearities.linear)
    pool = lasagne.layers.MaxPool2DLayer(conv, pool_size=2)
    code = lasagne.layers.DenseLayer(pool, num_units=64,  # of 1024 pixels
                                     nonlinearity=lasagne.nonlinearities.linear)
    net = lasagne.layers.InverseLayer(code, code)
    net = lasagne.layers.InverseLayer(net, pool)  # back to where the maxima came from
    return lasagne.layers.BiasLayer(lasagne.layers.InverseLayer(net, conv))


def draw(path, rows):
    """One picture: a row of faces for each title in ``rows``."""
    figure = blank(7.5, 3.9)
    axes = figure.subplots(len(rows), len(next(iter(rows.values()))))
    for row, (title, faces) in zip(axes, rows.items()):
        row[0].set_ylabel(title)
        for ax, face in zip(row, faces):
            ax.imshow(face[0], cmap="gray", vmin=0, vmax=1)
            bare(ax)
    headline(figure, "A denoising autoencoder", "faces of people it has never seen")
    save(figure, path)


def main(epochs=40, subjects=50, out="runs/autoencoder"):
    """Train, draw; return the mean squared errors of all that was compared."""
    training, test = load_faces(subjects)
    lasagne.random.set_rng(0)
    rng = np.random.default_rng(0)
    mean = training.mean(axis=0)  # the network is shown how each face differs from it
    input_var, target_var = T.tensor4("inputs"), T.tensor4("targets")
    net = build_autoencoder(input_var)
    loss = lasagne.objectives.squared_error(lasagne.layers.get_output(net),
                                            target_var).mean()
    params = lasagne.layers.get_all_params(net, trainable=True)
    updates = lasagne.updates.adam(loss, params, learning_rate=0.001)
    train_fn = theano.function([input_var, target_var], loss, updates=updates)
    # deterministic=True leaves the noise out; that of the test faces is added by hand.
    denoise_fn = theano.function([input_var],
                                 lasagne.layers.get_output(net, deterministic=True))
    noisy = test + rng.normal(0, NOISE, test.shape).astype(test.dtype)
    shown = {"the noisy faces": noisy, "the mean face for each": mean,
             "before training": denoise_fn(noisy - mean) + mean}
    for _ in range(epochs):
        for faces in np.array_split(rng.permutation(training) - mean,
                                    -(-len(training) // 32)):
            train_fn(faces, faces)
    restored = shown["after training"] = denoise_fn(noisy - mean) + mean
    print(f"Mean squared errors on {len(test)} faces of other people:")
    found = {what: float(np.mean((faces - test) ** 2)) for what, faces in shown.items()}
    print("\n".join(f"  {error:.4f}  {what}" for what, error in found.items()))
    rows = {"noisy": noisy, "denoised": restored, "true": test}
    some = np.linspace(0, len(test) - 1, 8).astype(int)
    draw(f"{make_folder(out)}/faces.png", {k: v[some] for k, v in rows.items()})
    return found


if __name__ == "__main__":
    run_script(main)
