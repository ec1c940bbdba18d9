"""How much faster are more ranks? python examples/scaling.py --ranks 1 2 --threads 1 2

It trains the headline network on random images, with every number of ranks and
threads that fits this machine, in rounds: each round measures all of them, so that what
else the machine does meets all alike. It prints images a second, how well they scale,
and the share of a step that waits for other ranks; and draws it. Then it says what a
model of the network between machines makes of that for many ranks.

With --ceiling it measures, beside ranks, as many processes that do not wait for each
other, each with its part of the batch: no exchange can be faster than that.

With --model 64 nothing is measured: the table for 64 ranks, from --rate alone.
"""

import functools
import json
import math
import operator
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import minifer
from minifer.commands.cli import ArgumentParser, run
from minifer.compiled.exchange import FLOPS, Cost
from minifer.device.threads import default_threads
from minifer.errors import SettingError
from minifer.files import make_folder, write_json
from minifer.ranks import connect
from minifer.report.style import BLUE, GREY, ORANGE, blank, headline, save, tidy
from minifer.training import Trainer

#: Gbit/s -> α, seconds before a message's first byte: what such networks have.
NETWORKS = {1: 50e-6, 25: 10e-6, 200: 2e-6}
FLOAT = 4  # bytes


def main(argv=None, prog="scaling.py"):
    """Measure, print, draw; return all that was measured."""
    args = parse(argv, prog)
    if args.worker:
        return work(args)
    if args.model:
        print(model_table(*shape(args.side), args.rate, args.model, args.batch))
        return {}
    make_folder(args.out)
    found = measure(args)
    print(table(found), *losses(found), error_at_two(found, args), sep="\n\n")
    save(draw(found, args), os.path.join(args.out, "scaling.png"))
    write_json(os.path.join(args.out, "scaling.json"), found)
    rate = found[0]["images_per_second"]
    print(model_table(*shape(args.side), rate, 64, 64 * args.batch))
    return found


def parse(argv, prog):
    """Read the command line."""
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--ranks", type=int, nargs="+", default=[1, 2], help="numbers of ranks")
    add("--threads", type=int, nargs="+", default=[1, 2], help="threads of each rank")
    add("--batch", type=int, default=128, help="images of all ranks in a batch")
    add("--weak", action="store_true", help="--batch is that of each rank")
    add("--ceiling", action="store_true",
        help="also measure processes that exchange nothing")
    add("--side", type=int, default=96, help="side of the images in pixels")
    add("--steps", type=int, default=4, help="steps that are timed together")
    add("--rounds", type=int, default=5, help="how often all is measured")
    add("--out", default="runs/scaling", help="folder for what is written")
    add("--model", type=int, metavar="P", help="only print the model for P ranks")
    add("--rate", type=float, default=100.0,
        help="images a second of one rank, for --model")
    add("--worker", choices=["together", "apart"],
        help="be one of the ranks (used by itself)")
    args = parser.parse_args(argv)
    if min(args.ranks + args.threads + [args.batch, args.steps, args.rounds]) < 1:
        parser.error("expected numbers of 1 or more")
    return args


# --- measuring ------------------------------------------------------------------

def work(args):
    """Train as one of the ranks; rank 0 prints what came out, as JSON."""
    ranks, apart = connect("mpi"), args.worker == "apart"
    batch = args.batch * ranks.size if args.weak else args.batch
    mine = batch // ranks.size if apart else batch
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (mine * args.steps, 1, args.side, args.side), "u1")
    trainer = Trainer(minifer.models.ck96(size=args.side), batch_size=mine,
                      ranks="alone" if apart else ranks,
                      prepare=lambda x: x * np.float32(1 / 255))
    labels = rng.integers(0, 7, len(images))
    trainer.fit(images, labels, epochs=1)  # plans are made, memory is touched
    exchange = trainer.functions.train.exchange
    before = exchange.seconds if exchange else 0.0
    ranks.sum(np.zeros(1))  # all are here
    seconds = trainer.fit(images, labels, epochs=1).history[-1]["seconds"]
    ranks.sum(np.zeros(1))
    rate = len(images) / seconds
    waited = (exchange.seconds if exchange else 0.0) - before
    found = {"ranks": ranks.size, "threads": ranks.threads, "batch": batch,
             "apart": apart, "share": waited / seconds,
             "images_per_second": sum(ranks.gather(rate)) if apart else rate,
             "latency": time_of(ranks, 8),
             "sum": time_of(ranks, exchange.nbytes if exchange else 8)}
    if ranks.writes:
        print(json.dumps(found))


def time_of(ranks, nbytes, repeat=5):
    """Seconds of a sum of so many bytes over all ranks."""
    array, times = np.zeros(nbytes // FLOAT, np.float32), []
    for _ in range(repeat):
        ranks.sum(np.zeros(1))  # all are here
        began = time.perf_counter()
        ranks.sum(array)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure(args):
    """Measure all, round after round; a dict for each number of ranks and threads."""
    cores = default_threads()
    wanted = [(ranks, threads, way) for ranks in args.ranks for threads in args.threads
              for way in ["together", "apart"][:1 + (args.ceiling and ranks > 1)]
              if ranks * threads <= cores]
    if not wanted:
        raise SettingError(f"scaling: expected ranks x threads of at most {cores}, the "
                           "cores here, got more. Try --ranks 1 --threads 1.")
    rounds = {one: [] for one in wanted}
    for number in range(args.rounds):
        for ranks, threads, way in wanted:
            print(f"round {number + 1} of {args.rounds}: {ranks} x {threads} {way}",
                  file=sys.stderr)
            rounds[ranks, threads, way].append(start(args, ranks, threads, way))
    found = [{key: statistics.median(one[key] for one in of) for key in of[0]}
             | {"all": [one["images_per_second"] for one in of]}
             for of in rounds.values()]
    base = found[0]
    for one in found:
        one["speedup"] = one["images_per_second"] / base["images_per_second"]
        cores = one["ranks"] * one["threads"] / (base["ranks"] * base["threads"])
        one["efficiency"] = one["speedup"] / cores
    return found


def start(args, ranks, threads, way):
    """One measurement, in processes of its own."""
    launcher = os.path.join(os.path.dirname(sys.executable), "mpiexec")
    words = [launcher, "-n", str(ranks), sys.executable, os.path.abspath(__file__),
             "--worker", way, *(["--weak"] * args.weak)]
    for name in ("batch", "side", "steps"):
        words += [f"--{name}", str(getattr(args, name))]
    environ = os.environ | {"MINIFER_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=errors,
                                  text=True, env=environ)
        except OSError as error:
            raise SettingError(f"scaling: expected mpiexec beside Python, got {error}. "
                               "Try pip install minifer[mpi].") from None
        if done.returncode:
            errors.seek(0)
            said = errors.read().strip().splitlines() or ["nothing was said"]
            raise SettingError(f"scaling: expected {ranks} ranks to train, got "
                               f"{said[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


# --- showing --------------------------------------------------------------------

def table(found):
    """What was measured, as text."""
    lines = [f"{'ranks':>5} {'threads':>7} {'batch':>6} {'images/s':>9} {'times':>6} "
             f"{'efficiency':>10} {'exchange':>9}"]
    for one in found:
        share = "none" if one["apart"] else f"{one['share']:.1%}"
        lines.append(
            f"{one['ranks']:>5.0f} {one['threads']:>7.0f} {one['batch']:>6.0f} "
            f"{one['images_per_second']:>9.1f} {one['speedup']:>6.2f} "
            f"{one['efficiency']:>10.0%} {share:>9}")
    return "\n".join(lines)


def losses(found):
    """What of the loss is the exchange's, in a line for each ceiling."""
    by = {(one["ranks"], one["threads"]): one for one in found if not one["apart"]}
    for one in filter(operator.itemgetter("apart"), found):
        ranks, threads = one["ranks"], one["threads"]
        whole = by[ranks, threads]
        yield (f"{ranks:.0f} ranks of {threads:.0f}: {whole['speedup']:.2f} times; "
               f"without any exchange {one['speedup']:.2f}. Of what {ranks:.0f} times "
               f"would be, the exchange costs "
               f"{one['efficiency'] - whole['efficiency']:.0%}, and "
               f"{1 - one['efficiency']:.0%} are lost without it")


def draw(found, args):
    """Bars of images a second; every round a dot."""
    figure = blank(7, 3.6)
    ax = figure.subplots()
    tidy(ax)
    for place, one in enumerate(found):
        rate, waits = one["images_per_second"], one["share"]
        ax.bar(place, rate * (1 - waits), .6, color=BLUE)
        ax.bar(place, rate * waits, .6, bottom=rate * (1 - waits), color=ORANGE)
        ax.plot([place] * len(one["all"]), one["all"], ".", color=GREY, markersize=4)
    ax.set_xticks(range(len(found)), [
        f"{one['ranks']:.0f} × {one['threads']:.0f}" + "\napart" * bool(one["apart"])
        for one in found])
    ax.set_xlabel("ranks × threads")
    headline(figure, "Images a second, training",
             f"ck96, side {args.side}, batch {args.batch}"
             f"{' a rank' if args.weak else ''}; orange: waiting for other ranks; "
             "a dot a round")
    return figure


# --- the model: α seconds before a message's first byte, β seconds for each byte ---

def ring(p, nbytes, alpha, beta):
    """Seconds of a sum in a ring: 2 (p - 1) messages of a p-th each."""
    return 2 * (p - 1) * (alpha + nbytes / p * beta)


def tree(p, nbytes, alpha, beta):
    """Seconds of a sum along a binary tree, up and down: all bytes, 2 log2 p times."""
    return 2 * math.ceil(math.log2(p)) * (alpha + nbytes * beta)


def gather_ring(p, nbytes, alpha, beta):
    """Seconds until all have all parts, ``nbytes`` together: p - 1 messages."""
    return (p - 1) * (alpha + nbytes / p * beta)


def gather_tree(p, nbytes, alpha, beta):
    """The same by doubling: log2 p messages, each twice as long as the one before."""
    return math.ceil(math.log2(p)) * alpha + (p - 1) / p * nbytes * beta


def shape(side):
    """Bytes of all gradients but the dense layers'; and (inputs, units) of those."""
    network = minifer.models.ck96(size=side)
    params = minifer.layers.get_all_params(network, trainable=True)
    dense = [one.W.shape for one in minifer.layers.get_all_layers(network)
             if isinstance(one, minifer.layers.DenseLayer)]
    others = sum(math.prod(p.shape) for p in params) - sum(map(math.prod, dense))
    return FLOAT * others, dense


def step_time(p, batch, rate, others, dense, network, sums, factors):
    """Seconds of a step, nothing overlapping.

    Parameters
    ----------
    p, batch : int
        Ranks, and the images of all of them.
    rate : float
        Images a second of one rank.
    others, dense
        As :func:`shape` returns them.
    network : int
        Its Gbit/s, a key of ``NETWORKS``.
    sums : {'ring', 'tree'}
    factors : bool
        Send the factors of dense layers' gradients in the place of their product,
        which every rank then computes for the whole batch.
    """
    alpha, beta = NETWORKS[network], 8e-9 / network
    add = functools.partial(ring if sums == "ring" else tree, p, alpha=alpha, beta=beta)
    if factors:
        bring = gather_ring if sums == "ring" else gather_tree
        moved = FLOAT * batch * sum(D + U for D, U in dense)
        exchange = add(nbytes=others) + bring(p, moved, alpha, beta)
        more = sum(Cost.of(one, batch, p, FLOAT).more for one in dense) / FLOPS
    else:
        exchange = add(nbytes=others + FLOAT * sum(map(math.prod, dense)))
        more = 0.0
    return batch / p / rate + more + exchange


def model_table(others, dense, rate, most, batch):
    """The model's steps for some numbers of ranks up to ``most``, as text."""
    sizes = [p for p in (2, 4, 8, 16, 32, 64, 128, 256, 512) if p < most] + [most]
    lines = [f"The model: a step of {batch} images, {rate:.0f} images/s a rank, in ms "
             "(and how well it scales)",
             f"{'Gbit/s':>6} {'sums':>5} {'gradients':>10}"
             + "".join(f"{p:>6} ranks" for p in sizes) + "  best at"]
    for network in NETWORKS:
        for sums in ("ring", "tree"):
            for factors in (False, True):
                def seconds(p):
                    return step_time(p, batch, rate, others, dense, network, sums,
                                     factors)

                alone = batch / rate
                cells = [f"{1e3 * seconds(p):>6.0f}{alone / p / seconds(p):>5.0%} "
                         for p in sizes]
                best = min((2 ** k for k in range(1, 13)), key=seconds)
                lines.append(f"{network:>6} {sums:>5} "
                             f"{'factors' if factors else 'full':>10}"
                             + "".join(cells) + f"{best:>8}")
    return "\n".join(lines)


def error_at_two(found, args):
    """How far the model is off where it can be seen: at two ranks of this machine."""
    by = {(one["ranks"], one["threads"]): one for one in found if not one["apart"]}
    for threads in args.threads:
        one, two = by.get((1, threads)), by.get((2, threads))
        if one and two:
            expected = two["batch"] / 2 / one["images_per_second"] + two["sum"]
            took = two["batch"] / two["images_per_second"]
            return (f"Two ranks of {threads}: the model, with a sum of "
                    f"{1e3 * two['sum']:.1f} ms, says {1e3 * expected:.0f} ms a step, "
                    f"measured {1e3 * took:.0f} ms: {took / expected - 1:+.0%}")
    return "The model was not compared: that takes one and two ranks of equal threads"


if __name__ == "__main__":
    run(main)
