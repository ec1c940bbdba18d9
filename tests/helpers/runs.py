"""Tiny runs for the tests of training, resuming, models and commands.

A network of 8×8 pictures that learns in an instant, a data set on disk laid
out like CK+, and the two examples as functions. Called as a script it trains
in a process of its own, for the tests that interrupt or kill one::

    python runs.py FOLDER EPOCHS [interrupt CALL | half CALL | before CALL | after CALL]
"""

import contextlib
import functools
import importlib.util
import io
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple
from unittest import mock

import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from minifer.commands import cli  # noqa: E402
from minifer import data, layers, nonlinearities, random  # noqa: E402
from minifer.faces.images import read_image, write_png  # noqa: E402
from minifer.faces.cropping import CropSettings  # noqa: E402
from minifer.faces.preprocessing import Preprocessing  # noqa: E402
from minifer.progress import Progress  # noqa: E402
from minifer.training.trainer import Trainer  # noqa: E402
from minifer.weights.model_file import Model, read_arrays  # noqa: E402

CLASSES = ("left", "right", "top")
#: The whole picture scaled down to 8×8: no face is looked for.
STEPS = Preprocessing(CropSettings(size=8, mode="whole"))
EXAMPLES = TESTS.parent / "examples"


# --- the tiny network and its pictures ---------------------------------------

def pictures(n, seed=0):
    """Noise with one half lit, by class: uint8 (N, 1, 8, 8) and labels (N,)."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 150, (n, 1, 8, 8)).astype(np.uint8)
    labels = np.arange(n) % 3
    for image, label in zip(images, labels):
        image[[np.s_[..., :4], np.s_[..., 4:], np.s_[..., :4, :]][label]] += 80
    return images, labels


def network(seed=0, units=16, norm=False, classes=3, size=8):
    """Convolution, pooling, dropout, dense: grey pictures to class probabilities."""
    before = random.get_rng()
    random.set_rng(seed)
    net = layers.InputLayer((None, 1, size, size), name="input")
    net = layers.Conv2DLayer(net, 4, 3, name="conv")
    net = layers.MaxPool2DLayer(net, 2, name="pool")
    net = layers.dropout(net, .5, name="drop")
    net = layers.DenseLayer(net, units, name="hidden")
    if norm:
        net = layers.batch_norm(net)
    net = layers.DenseLayer(net, classes, nonlinearity=nonlinearities.softmax,
                            name="output")
    random.set_rng(before)
    return net


def model(net, **notes):
    """A model of the tiny network."""
    return Model(net, CLASSES, STEPS.to_dict(), notes)


def values(net):
    """All parameters in one array, to compare bit for bit."""
    return np.concatenate([v.ravel() for v in layers.get_all_param_values(net)])


def rows(history):
    """The history without what the clock decides."""
    return [{key: value for key, value in row.items() if key != "seconds"}
            for row in history]


def assert_same_run(folder, reference):
    """Model and checkpoint are equal, all but the seconds."""
    assert (folder / "model.npz").read_bytes() == (
        reference / "model.npz").read_bytes()
    ours, our_meta = read_arrays(folder / "checkpoint.npz")
    theirs, their_meta = read_arrays(reference / "checkpoint.npz")
    assert list(ours) == list(theirs)
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    for meta in our_meta, their_meta:
        position = meta["position"]
        position["history"] = rows(position["history"])
        position["best"].pop("seconds")
    assert our_meta == their_meta


# --- a run that can be stopped -----------------------------------------------

class Hooked:
    """STEPS, with something that happens before each batch and counts for nothing."""

    def __init__(self, hook=None):
        self.hook = hook

    def __call__(self, batch):
        if self.hook:
            self.hook()
        return STEPS(batch)

    def to_dict(self):
        return STEPS.to_dict()


def train(folder, epochs, resume=True, hook=None, net=None, progress=None, **options):
    """Train with all that a checkpoint must remember; return result and network.

    ``hook`` is called before each batch, of training (8 an epoch, of 7 or 8 pictures)
    and of validation (3 an epoch).
    """
    net = net or network(norm=True)
    trainer = Trainer(net, **{"learning_rate": 0.02, "batch_size": 8, "seed": 3,
                              "prepare": Hooked(hook)} | options)
    result = trainer.fit(*pictures(60), valid=pictures(20, seed=1), epochs=epochs,
                         folder=folder, resume=resume, model=model(net),
                         progress=progress)
    return result, net


def at_call(number, action):
    """A function that runs ``action`` when it is called for the ``number``-th time."""
    calls = itertools.count(1)

    def hook(*args):
        if next(calls) == number:
            action(*args)
    return hook


def interrupt():
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(when, number):
    """Kill this process at the ``number``-th file it writes.

    ``when``: ``half`` of it is on the disk, ``before`` or ``after`` it is renamed.
    """
    replace = os.replace
    if when == "half":
        def cut(descriptor):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            kill()
        os.fsync = at_call(number, cut)
    else:
        last_words = at_call(number, kill)

        def rename(*names):
            if when == "before":
                last_words()
            replace(*names)
            if when == "after":
                last_words()
        os.replace = rename


def main(folder, epochs, event=None, number=None):
    hook = None
    if event == "interrupt":
        hook = at_call(int(number), interrupt)
    elif event:
        die_while_writing(event, int(number))
    train(folder, int(epochs), hook=hook, progress=Progress())


# --- data on disk and the examples -------------------------------------------

def write_ck(folder, codes=(1, 5), subjects=5, frames=2, seed=0, side=96):
    """Write a data set laid out like CK+; return its image and label root.

    A picture is noise with a bright bar whose place tells the class, and a
    patch of grey that tells the subject.
    """
    rng = np.random.default_rng(seed)
    for subject in range(1, subjects + 1):
        for number, code in enumerate(codes, 1):
            name = f"S{subject:03d}_{number:03d}"
            where = pathlib.Path(f"S{subject:03d}", f"{number:03d}")
            for root in ("images", "labels"):
                (folder / root / where).mkdir(parents=True)
            for frame in range(1, frames + 1):
                picture = rng.integers(0, 90, (side, side)).astype(np.uint8)
                picture[10 * code:10 * code + 12] += 120
                picture[:8, 8 * subject:8 * subject + 8] = 200
                write_png(folder / "images" / where / f"{name}_{frame:08d}.png",
                          picture)
            label = folder / "labels" / where / f"{name}_{frame:08d}_emotion.txt"
            label.write_text(f"   {code:.7e}\n")
    return folder / "images", folder / "labels"


def write_fer(root, training, test):
    """Write class folders as FER2013's, so many images of each class; return the root.

    A picture is noise with a bright bar, higher or lower for each class.
    """
    rng = np.random.default_rng(0)
    for part, prefix, n in (("train", "Training", training),
                            ("test", "PublicTest", test)):
        for k, name in enumerate(data.FER2013_CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                face = rng.integers(60, 180, (48, 48), np.uint8)
                face[6 * k:6 * k + 6] = 250
                write_png(folder / f"{prefix}_{i}.png", face)
    return root


@functools.lru_cache
def faces():
    """Photos of two drawn people, each neutral and surprised: uint8 (490, 640)."""
    with tempfile.TemporaryDirectory() as folder:
        images, _ = data.make_faces(folder, subjects=2, emotions=["surprise"],
                                    frames=(2, 2))
        return [read_image(path)
                for path in sorted(pathlib.Path(images).rglob("*.png"))]


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@functools.lru_cache
def example(name):
    """An example as a module, for calling its ``main``."""
    spec = importlib.util.spec_from_file_location(
        f"example_{name.replace('/', '_')}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(name, *words, cache=None):
    """Run an example in this process, as its command line would."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    environment = {"MINIFER_CACHE": str(cache)} if cache else {}
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), \
            mock.patch.dict(os.environ, environment):
        try:
            cli.run(lambda: example(name).main([str(word) for word in words]))
        except SystemExit as end:
            code = end.code
    return Outcome(code, out.getvalue(), err.getvalue())


def minifer(*words):
    """Run the command ``minifer`` in this process; the bench is one of its own."""
    if words[:1] == ("bench",):
        return process("-m", "minifer", *words, PYTHONPATH=str(TESTS.parent))
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main([str(word) for word in words])
        except SystemExit as end:
            code = end.code or 0
    return Outcome(code, out.getvalue(), err.getvalue())


def environment(**more):
    """For processes of their own: one thread each, as they are tiny."""
    return os.environ | {"OPENBLAS_NUM_THREADS": "1"} | more


def process(script, *words, timeout=60, **more):
    """Run a script in a process of its own, to its end."""
    done = subprocess.run([sys.executable, str(script), *map(str, words)],
                          env=environment(**more), capture_output=True, text=True,
                          timeout=timeout)
    return Outcome(done.returncode, done.stdout, done.stderr)


if __name__ == "__main__":
    cli.run(lambda: main(*sys.argv[1:]))
