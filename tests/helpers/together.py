"""Trainings that ranks share, for the tests that compare them with one rank's.

Called as a script, by mpiexec, it runs scenarios by name and notes what came out::

    mpiexec -n 2 python together.py FOLDER SCENARIO ...
"""

import contextlib
import io
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
from unittest import mock

import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from helpers import runs  # noqa: E402
from minifer.commands import cli  # noqa: E402
from minifer import config, layers, models, nonlinearities, random  # noqa: E402
from minifer.errors import BackendUnavailable, MiniferError  # noqa: E402
from minifer.files import digest  # noqa: E402
from minifer.progress import Progress  # noqa: E402
from minifer.ranks import connect  # noqa: E402
from minifer.regularization import l2, regularize_network_params  # noqa: E402
from minifer.runs import CK  # noqa: E402
from minifer.training import CutMix  # noqa: E402
from minifer.training.checkpoint import peek  # noqa: E402
from minifer.training.trainer import Trainer, TrainingInterrupted  # noqa: E402
from minifer.weights.model_file import read_arrays  # noqa: E402

#: The launcher that came with MPI's library.
MPIEXEC = shutil.which("mpiexec", path=os.path.dirname(sys.executable))


def why_not():
    """Why ranks cannot be started here; empty if they can."""
    try:
        import mpi4py  # noqa: F401
    except ImportError as error:
        return f"{error}: pip install minifer[mpi]"
    if MPIEXEC is None:
        return f"no mpiexec beside {sys.executable}: pip install mpich"
    done = start(2, "-c", "from mpi4py import MPI; print(MPI.COMM_WORLD.size)")
    return "" if done.stdout.count("2") == 2 else (
        f"mpiexec: {done.stdout} {done.stderr}")


def command(ranks, *words):
    """The command that starts Python on some ranks."""
    return [MPIEXEC, "-n", str(ranks), sys.executable, *map(str, words)]


def environment(**more):
    """That of the tests; on a busy machine two ranks of one thread are enough."""
    return os.environ | {"MINIFER_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | more


def start(ranks, *words, **more):
    """Run Python on some ranks; return what ``subprocess.run`` does."""
    return subprocess.run(command(ranks, *words), text=True, capture_output=True,
                          timeout=120, env=environment(**more))


def outcomes(ranks, folder, *names, script=__file__):
    """What the scenarios came to on some ranks: the values of each rank, by name."""
    done = start(ranks, script, folder, *names)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(os.path.join(folder, f"{ranks}.pickle"), "rb") as file:
        return pickle.load(file)


# --- networks -------------------------------------------------------------------

def ck96():
    return models.ck96(size=16, num_classes=3), {}


def six_conv():
    # A rate at which rounding does not grow: with a hundred times as much, one rank
    # of two threads is a thousandth off from one of one thread after six steps.
    return models.six_conv(size=16, num_classes=3), {"learning_rate": 1e-6}


def shared():
    """A graph: weights used twice, a layer read twice, dropout of every kind."""
    low = layers.InputLayer((None, 1, 16, 16))
    one = layers.batch_norm(layers.Conv2DLayer(low, 4, 3, pad="same", name="one"))
    two = layers.Conv2DLayer(layers.dropout(one, .25), 4, 3, pad="same", name="two")
    three = layers.Conv2DLayer(two, 4, 3, pad="same", W=two.W, b=two.b, name="three")
    both = layers.ElemwiseSumLayer([one, three])
    both = layers.dropout(layers.MaxPool2DLayer(both, 2), .25, shared_axes=(2, 3))
    flat = layers.dropout(layers.FlattenLayer(both), .25, shared_axes=(0,))
    dense = layers.batch_norm(layers.DenseLayer(flat, 8, name="dense"))
    wide = layers.ReshapeLayer(dense, (-1, 4))  # two rows for each image
    wide = layers.ReshapeLayer(layers.BatchNormLayer(wide), (-1, 8))
    network = layers.DenseLayer(wide, 3, nonlinearity=nonlinearities.softmax)
    return network, {"penalty": 1e-3 * regularize_network_params(network, l2),
                     "class_weights": [1., 2., .5], "flip": True}


def over_batches():
    """A layer that looks at the whole batch in prediction, too."""
    net = layers.Conv2DLayer(layers.InputLayer((None, 1, 8, 8)), 4, 3)
    net = layers.StandardizationLayer(net, (0, 2, 3))
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax), {}


def recipe():
    """What training well takes beside: mixtures, soft targets, a mean of weights."""
    network, options = shared()
    return network, options | {"label_smoothing": .1, "mix": CutMix(), "swa": .6}


def trained(make, dtype, ranks, epochs, device="cpu", n=23, batch=6):
    """Train a network; return losses, weights and predictions."""
    before, config.floatX = config.floatX, dtype
    try:
        random.set_rng(1)
        network, options = make()
        rng = np.random.default_rng(0)
        shape = layers.get_all_layers(network)[0].shape[1:]
        x, y = rng.normal(size=(n, *shape)).astype(dtype), rng.integers(0, 3, n)
        trainer = Trainer(network, batch_size=batch, ranks=ranks, device=device,
                          **{"learning_rate": .02, **options})
        result = trainer.fit(x, y, valid=(x[:7], y[:7]), epochs=epochs)
        return {"losses": np.array([[row["train_loss"], row["valid_loss"]]
                                    for row in result.history]),
                "weights": runs.values(network), "predictions": trainer.predict(x)}
    finally:
        config.floatX = before


def equal_runs(make, dtype):
    """20 steps in float64, 6 in float32, of batches of which the last is smaller."""
    n, epochs = (23, 5) if dtype == "float64" else (17, 2)
    return lambda ranks, folder: trained(make, dtype, ranks, epochs, n=n)


@contextlib.contextmanager
def apart(ranks):
    """As on several machines, which have no memory in common."""
    with mock.patch.object(ranks, "common_memory", side_effect=BackendUnavailable("")):
        yield


def factors(ranks, folder):
    """On a network that is so slow that dense layers send the gradients' factors."""
    before, ranks.gbits = ranks.gbits, 1e-4
    try:
        with apart(ranks):
            return trained(ck96, "float32", ranks, 2, n=17)
    finally:
        ranks.gbits = before


def sent(make, dtype):
    """As on several machines: gradients are sent."""
    def scenario(ranks, folder):
        with apart(ranks):
            return equal_runs(make, dtype)(ranks, folder)

    return scenario


def whole_arrays(ranks, folder):
    """What ranks cannot share out: a limit of the joint norm, a moving average."""
    def make():
        network, options = ck96()
        return network, options | {"max_norm": .1}

    def averaged():
        network, options = ck96()
        return network, options | {"average": .8}

    limited, mean = (trained(one, "float64", ranks, 2, n=9) for one in (make, averaged))
    return limited | {f"mean {key}": value for key, value in mean.items()}


def described(ranks, folder):
    """What the plan says of how gradients come together: in common memory, and sent."""
    said = []
    for way in (contextlib.nullcontext(), apart(ranks)):
        network = runs.network()
        trainer = Trainer(network, ranks=ranks, batch_size=8)
        with way:
            trainer.fit(*runs.pictures(8), epochs=1)
        said.append(trainer.functions.train.plan.note)
    return said


def on_device(ranks, folder):
    """Two epochs on the emulator of a GPU."""
    return trained(shared, "float32", ranks, 2, device="emu", n=11, batch=4)


# --- what goes wrong, or on -----------------------------------------------------

def repeated(ranks, folder):
    """Two trainings, to be equal bit for bit; and the weights of all ranks."""
    first, second = (trained(shared, "float32", ranks, 1) for _ in range(2))
    return [digest(*one.values()) for one in (first, second)]


def few(ranks, folder):
    """Fewer images than ranks in each batch."""
    return trained(shared, "float64", ranks, 2, n=5, batch=2)


def not_finite(ranks, folder):
    """One image is not a number: what each rank says, and that statistics stand."""
    network = runs.network(norm=True)
    before, images = runs.values(network), np.ones((8, 1, 8, 8), np.float32)
    images[3] = np.nan
    trainer = Trainer(network, ranks=ranks, batch_size=8)
    try:
        trainer.fit(images, np.zeros(8, int), epochs=1)
    except MiniferError as error:
        return str(error), bool(np.array_equal(before, runs.values(network)))


def advised(ranks, folder):
    """What is said of a training that does not move."""
    lines, progress = [], Progress(enabled=ranks.writes)
    progress.line = lines.append
    trainer = Trainer(runs.network(), ranks=ranks, learning_rate=1e-9,
                      prepare=runs.STEPS)
    trainer.fit(*runs.pictures(8), valid=runs.pictures(20), epochs=1, progress=progress)
    return [line for line in lines if line.startswith("look: ")]


def one_folder(ranks, folder):
    """Rank 0 alone names a folder, as rank 0 alone writes; what is there then."""
    out = os.path.join(folder, f"one-{ranks.size}") if ranks.writes else None
    runs.train(out, 1, ranks=ranks)
    return ranks.hand_out(sorted(os.listdir(out)) if ranks.writes else None)


def different(ranks, folder):
    """What each rank says if they differ in their seed, and in their data."""
    said = []
    for seed, shift in ((ranks.rank, 0), (0, ranks.rank)):
        trainer = Trainer(runs.network(), ranks=ranks, seed=seed)
        try:
            images = np.full((4, 1, 8, 8), shift, np.uint8)
            trainer.fit(images, np.zeros(4, int), epochs=1)
        except MiniferError as error:
            said.append(str(error))
    return said


def wrong_on_all(ranks, folder):
    """An error that all ranks find by themselves leaves them able to go on."""
    said = []
    try:
        Trainer(runs.network(), ranks=ranks).fit(
            np.zeros((4, 1, 9, 9), np.float32), np.zeros(4, int), epochs=1)
    except MiniferError as error:
        said.append(str(error))
    return said + [ranks.sum(np.ones(1)).tolist()]


def weights_begin_alike(ranks, folder):
    """Ranks that draw other weights begin with those of rank 0."""
    network = runs.network(seed=ranks.rank)
    Trainer(network, ranks=ranks).fit(*runs.pictures(8), epochs=1)
    return digest(runs.values(network))


def interrupted(ranks, folder):
    """Ctrl-C to the last rank; all stop, and go on to where no stop would have led."""
    out = [os.path.join(folder, f"{name}-{ranks.size}") for name in ("whole", "parts")]
    last = ranks.rank == ranks.size - 1
    runs.train(out[0], 2, ranks=ranks)
    hook, said = runs.at_call(4, runs.interrupt) if last else None, ""
    try:
        runs.train(out[1], 2, ranks=ranks, hook=hook)
    except TrainingInterrupted as stop:
        said = str(stop)
    runs.train(out[1], 2, ranks=ranks)
    return said


def resumed(ranks, folder):
    """Go on for one epoch with a run that others began, in a folder of theirs."""
    lines = []
    progress = Progress()
    progress.line = lines.append
    out = os.path.join(folder, "resumed")
    path = os.path.join(out, "checkpoint.npz")
    epochs = 1 + (ranks.lead(lambda: os.path.exists(path))
                  and ranks.lead(lambda: len(peek(path)["history"])))
    result, network = runs.train(out, epochs, ranks=ranks, progress=progress)
    return lines, runs.values(network), len(result.history)


def endless(ranks, folder):
    """Train, with checkpoints, until something ends it."""
    pathlib.Path(folder, f"pid-{ranks.rank}").write_text(str(os.getpid()))
    runs.train(os.path.join(folder, "endless"), 100_000, ranks=ranks,
               progress=Progress())


def raises(ranks, folder):
    """The last rank alone meets an error that is none of ours, while all train."""
    def fail():
        raise ZeroDivisionError("it went wrong")

    hook = runs.at_call(4, fail) if ranks.rank == ranks.size - 1 else None
    runs.train(None, 100_000, ranks=ranks, hook=hook)


def leaves(ranks, folder):
    """The last rank exits before the training that the others begin."""
    if ranks.rank == ranks.size - 1:
        sys.exit(3)
    runs.train(None, 100_000, ranks=ranks)


def small(num_classes=7):
    """In the place of ck96, where only the command matters."""
    net = layers.Conv2DLayer(layers.InputLayer((None, 1, 96, 96)), 4, 9, stride=4)
    net = layers.MaxPool2DLayer(layers.dropout(net, .2), 4)
    return layers.DenseLayer(net, num_classes, nonlinearity=nonlinearities.softmax)


def command_line(ranks, folder):
    """The command; what it printed, and the weights of its model."""
    photos, out = pathlib.Path(folder, "photos"), pathlib.Path(folder, f"{ranks.size}")
    ranks.lead(lambda: photos.exists() or bool(runs.write_ck(photos)))
    words = ["--images", photos / "images", "--labels", photos / "labels", "--faces",
             "whole", "--batch", 4, "--epochs", 2, "--refit", "--tta", "--out", out]
    with mock.patch.object(models, "ck96", small), io.StringIO() as printed:
        with contextlib.redirect_stdout(printed):
            CK.start([*map(str, words), *["--ranks", "mpi"] * (ranks.size > 1)],
                     cli.ArgumentParser(prog="minifer train ck")).run()
        return printed.getvalue(), read_arrays(out / "model.npz")[0]


SCENARIOS = {"repeated": repeated, "factors-float32": factors, "few-float64": few,
             "not_finite": not_finite, "advised": advised,
             "one_folder": one_folder,
             "different": different, "wrong_on_all": wrong_on_all,
             "weights_begin_alike": weights_begin_alike, "described": described,
             "whole_arrays-float64": whole_arrays, "interrupted": interrupted,
             "sent-float64": sent(shared, "float64"),
             "sent-float32": sent(six_conv, "float32"),
             "over_batches-float64": equal_runs(over_batches, "float64"),
             "recipe-float64": equal_runs(recipe, "float64"),
             "resumed": resumed}
#: Those that need more, or come to no end of their own.
APART = {"device-float32": on_device, "command": command_line, "endless": endless,
         "raises": raises, "leaves": leaves}
for _make in (ck96, six_conv, shared):
    for _dtype in ("float64", "float32"):
        SCENARIOS[f"{_make.__name__}-{_dtype}"] = equal_runs(_make, _dtype)


def main(folder, *names, kind="mpi", also={}):
    ranks = connect(kind)
    found = {name: ranks.gather((SCENARIOS | APART | also)[name](ranks, folder))
             for name in names}
    if ranks.writes:
        with open(os.path.join(folder, f"{ranks.size}.pickle"), "wb") as file:
            pickle.dump(found, file)


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.run(lambda: main(*sys.argv[1:]))
