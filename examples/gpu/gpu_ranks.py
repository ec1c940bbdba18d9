"""Whether two GPUs train as one does: ranks that NCCL connects, on one machine.

Called as a script, by mpiexec, it is one of the ranks; rank 0 writes what came out.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from minifer import layers, models, random
from minifer.device.arrays import cupy_module, nccl_module
from minifer.errors import BackendUnavailable
from minifer.files import digest, write_json
from minifer.ranks import connect
from minifer.ranks.mpi import load
from minifer.training import Trainer

MPIEXEC = os.path.join(os.path.dirname(sys.executable), "mpiexec")

#: The largest relative difference of losses: sums are taken in another order.
LOSS = 1e-4


def ranks(device, size):
    """Losses of one rank and of two; whether these keep the same weights."""
    why = why_not(device)
    if why:
        return {"passed": True, "note": f"left out: {why}"}
    alone = train("alone", device, size.batch, size.side)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ranks.json")
        kind = "nccl" if device == "cuda" else "mpi"  # NCCL knows no emulator
        subprocess.run([MPIEXEC, "-n", "2", sys.executable, os.path.abspath(__file__),
                        kind, device, str(size.batch), str(size.side), path],
                       check=True)
        with open(path, encoding="utf-8") as file:
            shared = json.load(file)
    worst = float(np.abs(np.divide(shared["losses"], alone["losses"]) - 1).max())
    return {"passed": worst <= LOSS and shared["alike"]
            and shared["captured"] == (device == "cuda"),
            "relative_difference": f"{worst:.1e}", "ranks": kind, "alone": alone,
            "shared": shared, "times": round(
                shared["images_per_second"] / alone["images_per_second"], 2)}


def why_not(device):
    """Why two ranks cannot train here; empty if they can."""
    try:
        if device == "cuda":
            count = cupy_module().cuda.runtime.getDeviceCount()
            if count < 2:
                return f"it takes two GPUs, got {count}"
            nccl_module()
        load()
    except BackendUnavailable as error:
        return str(error)
    return "" if os.path.exists(MPIEXEC) else (
        f"expected mpiexec beside {sys.executable}, got none. Try pip install mpich")


def train(kind, device, batch, side):
    """Train the headline network on noise for some steps; tell how that went."""
    together = connect(kind)  # before CuPy starts
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4 * batch, 1, side, side)).astype(np.float32)
    random.set_rng(0)
    network = models.ck96(size=side)
    trainer = Trainer(network, learning_rate=0.005, batch_size=batch, device=device,
                      ranks=together)
    history = trainer.fit(images, rng.integers(0, 7, len(images)), epochs=3).history
    weights = together.gather(digest(*layers.get_all_param_values(network)))
    return {"losses": [row["train_loss"] for row in history],
            "alike": len(set(weights)) == 1,
            "captured": trainer.functions.train.captured,
            "images_per_second": round(len(images) / history[-1]["seconds"], 1)}


if __name__ == "__main__":
    found = train(*sys.argv[1:3], *map(int, sys.argv[3:5]))
    if connect(sys.argv[1]).writes:
        write_json(sys.argv[5], found)
