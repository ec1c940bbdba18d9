"""An epoch, not a step: bench.py --epoch --against torch

Times a whole epoch of real training on 48×48 faces, as `minifer train fer2013 --flip
--rotation 10 --shift 0.08 --zoom 0.1` has it: images picked in a new order, changed at
random, made numbers, steps of Adam, then the validation images, the checkpoint and the
model. And the steps alone, on batches that lie ready.

PyTorch's loop is the usual one at its best: a DataLoader whose worker processes change
whole batches at a time as tensors, channels last, the validation images ready in
memory.
"""

import os
import statistics
import tempfile

import numpy as np

from contenders import SHOWN, Contender, Minifer, Torch
from contest import cpu_facts
from minifer import data, updates
from minifer.errors import DatasetError
from minifer.faces.preprocessing import Preprocessing
from minifer.progress import Progress
from minifer.runs.data import SIDE, VALIDATION, read_faces
from minifer.training.trainer import Trainer
from minifer.weights.model_file import Model
from nets import NETS

KINDS = {"epoch": "a whole epoch", "steps": "its steps alone"}
#: Worker processes of PyTorch's DataLoader are in the configuration's name.
CONFIGS = {"minifer": ["compiled"],
           "torch": ["channels_last, 1 worker", "channels_last, 2 workers"]}
RATE = 0.001
DEGREES, SHIFT, ZOOM = 10, 0.08, 0.1
READY = 8  # batches that lie ready for the steps alone, taken again and again


def suits(net):
    """Whether a network takes these faces."""
    return NETS[net][:2] == (1, SIDE)


def write_faces(path, source, count):
    """Write the faces of a run into a file that all contenders read.

    Parameters
    ----------
    path : str
    source : str or None
        FER2013's table, or a folder of class folders: its training part. None: some
        drawn faces, again and again.
    count : int or None
        How many faces. None: all, or 4096 drawn ones.

    Raises
    ------
    DatasetError
        If they are too few to train and validate, or have another size.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            faces = data.load_ck(*data.make_faces(folder, subjects=2, frames=(2, 2)),
                                 faces="whole", size=SIDE)
        rows = np.arange(count or 4096) % len(faces)
    else:
        faces = read_faces(source, Progress())
        if (faces.usage == "train").any():
            faces = faces.part("train")
        rows = np.random.default_rng(0).permutation(len(faces))[:count]
    images, labels = faces.images[rows], faces.labels[rows]
    if len(images) < 2 or images.shape[1:] != (1, SIDE, SIDE) or labels.max() >= 7:
        raise DatasetError(
            f"bench: expected two or more grey images of {SIDE}×{SIDE} in at most "
            f"seven classes, got {images.shape} in {len(faces.classes)}.")
    np.savez(path, images=images, labels=labels)


class Epochs(Contender):
    """What both sides share: the faces, and the clock."""

    kinds = tuple(KINDS)

    def read(self):
        """The faces; a part of them chooses the best epoch."""
        with np.load(self.args.data) as arrays:
            images, labels = arrays["images"], arrays["labels"].astype(np.int64)
        first = max(1, round(VALIDATION * len(images)))
        self.valid = images[:first], labels[:first]
        self.faces, self.targets = images[first:], labels[first:]
        # The file's folder goes away when all is over, and this one with it.
        self.folder = tempfile.mkdtemp(dir=os.path.dirname(self.args.data))

    def start(self):
        """Build it; tell what it predicts before it learns, and warm up."""
        self.build()
        output = np.array(self.predict()[:SHOWN], float)
        self.one_epoch()
        return {"output": output.tolist(), "kinds": self.kinds,
                "images": len(self.faces)}

    def epoch(self, times):
        return {"seconds": [self.timed(self.one_epoch) for _ in range(times)]}

    def steps(self, times):
        return {"seconds": [self.timed(self.its_steps) for _ in range(times)]}

    def its_steps(self):
        """As many steps as an epoch has, and of the same sizes, on images at hand."""
        count = -(-len(self.faces) // self.args.batch)
        ends = [len(self.faces) * i // count for i in range(count + 1)]
        for place, (first, end) in enumerate(zip(ends, ends[1:])):
            self.step_on(place % len(self.ready), end - first)


class MiniferEpochs(Epochs, Minifer):
    """minifer's Trainer."""

    def build(self):
        self.read()
        super().build()
        prepare = Preprocessing()
        self.trainer = Trainer(
            self.network, updates.adam, RATE, self.args.batch, prepare=prepare,
            augment=data.Augmentation(flip=True, rotation=DEGREES, shift=SHIFT,
                                      zoom=(1 - ZOOM, 1 + ZOOM)))
        self.model = Model(self.network, tuple(map(str, range(7))), prepare.to_dict())
        size = self.args.batch
        self.ready = [(prepare(self.faces[i:i + size]), self.targets[i:i + size])
                      for i in range(0, min(len(self.faces), READY * size), size)]
        self.ready = [one for one in self.ready if len(one[0]) == size] or self.ready

    def one_epoch(self):
        self.trainer.fit(self.faces, self.targets, self.valid, epochs=1,
                         folder=self.folder, model=self.model)

    def step_on(self, place, size):
        x, y = self.ready[place]
        float(self.trainer.functions.train.queue(x[:size], y[:size]))


class TorchEpochs(Epochs, Torch):
    """PyTorch's usual loop."""

    def build(self):
        self.read()
        torch = self.torch_module()
        self.config, workers = self.config.split(", ")
        super().build()
        self.optimiser = torch.optim.Adam(self.plain.parameters(), lr=RATE)
        changing = _changing(torch, self.faces, self.targets)
        # Batches of about the same size, as minifer's are.
        count = -(-len(self.faces) // self.args.batch)
        self.loader = torch.utils.data.DataLoader(
            changing, -(-len(self.faces) // count), shuffle=True, collate_fn=_as_it_is,
            num_workers=int(workers.split()[0]), persistent_workers=True)
        valid, labels = map(torch.from_numpy, self.valid)
        self.valid = self.inputs(valid), labels
        size = self.args.batch
        self.ready = [(self.inputs(torch.from_numpy(self.faces[i:i + size])),
                       torch.from_numpy(self.targets[i:i + size]))
                      for i in range(0, min(len(self.faces), READY * size), size)]
        self.ready = [one for one in self.ready if len(one[0]) == size] or self.ready

    @staticmethod
    def torch_module():
        import torch
        return torch

    def inputs(self, images):
        """Bytes as the network's input."""
        return (images.float() / 255 - 0.5).to(
            memory_format=self.torch.channels_last)

    def learn(self, x, y):
        """A step."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def step_on(self, place, size):
        self.plain.train()
        x, y = self.ready[place]
        self.learn(x[:size], y[:size])

    def one_epoch(self):
        torch = self.torch
        self.plain.train()
        for x, y in self.loader:
            self.learn(x.to(memory_format=torch.channels_last), y)
        self.plain.eval()
        loss, hits = 0.0, 0
        with torch.inference_mode():
            for x, y in zip(*(one.split(self.args.batch) for one in self.valid)):
                output = self.model(x)
                loss += torch.nn.functional.cross_entropy(output, y,
                                                          reduction="sum").item()
                hits += (output.argmax(1) == y).sum().item()
        state = {"model": self.plain.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "loss": loss, "hits": hits}
        torch.save(state, os.path.join(self.folder, "checkpoint.pt"))
        torch.save(state["model"], os.path.join(self.folder, "model.pt"))

    def facts(self):
        return {}


def _as_it_is(batch):
    return batch


def _changing(torch, images, labels):
    """A data set of PyTorch that hands out whole batches, changed at random."""
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)

    class Changing(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitems__(self, rows):
            rows = torch.tensor(rows)
            return changed(torch, images[rows].float() / 255 - 0.5), labels[rows]

    return Changing()


def changed(torch, x):
    """Images (N, 1, H, W) mirrored, turned, shifted and zoomed, each in its own way."""
    N = len(x)

    def within(most):
        return (2 * torch.rand(N) - 1) * most

    angle, zoom = torch.deg2rad(within(DEGREES)), 1 + within(ZOOM)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    mirror = 1 - 2 * (torch.rand(N) < 0.5).float()
    theta = torch.stack([
        torch.stack([mirror * cos, mirror * -sin, 2 * within(SHIFT)], 1),
        torch.stack([sin, cos, 2 * within(SHIFT)], 1)], 1)  # (N, 2, 3)
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    return torch.nn.functional.grid_sample(x, grid, "bicubic", "reflection",
                                           align_corners=False)


def summarise(args, results, rounds):
    """Rows, and how the best of each side compare."""
    rows = []
    for (who, config, batch), result in results.items():
        row = {"who": who, "config": config, "batch": batch,
               "images": result["images"], "peak_mb": round(result["peak_mb"]),
               "output_difference": result["output_difference"]}
        for kind in KINDS:
            seconds = statistics.median(result[kind])
            row[f"{kind}_s"] = round(seconds, 4)
            row[f"{kind}_images_per_s"] = round(result["images"] / seconds, 1)
        row["epoch_over_steps"] = round(statistics.median(
            a / b for a, b in zip(result["epoch"], result["steps"])), 3)
        rows.append(row)
    report = {"net": args.net, "machine": cpu_facts()[0], "threads": args.threads,
              "rounds": rounds, "rows": rows}
    best = {who: max(row["epoch_images_per_s"] for row in rows if row["who"] == who)
            for who in {row["who"] for row in rows}}
    if len(best) == 2:
        report["epoch_ratio"] = round(best["minifer"] / best["torch"], 2)
    return report


def table(report):
    """The report as text."""
    first = report["rows"][0]
    lines = [f"an epoch of {report['net']}: {first['images']} images in batches of "
             f"{first['batch']}, changed at random, and validation; "
             f"{report['machine']}, {report['threads']} threads; medians of "
             f"{report['rounds']} rounds, images/s",
             f"{'':<34}{'epoch':>8}{'its steps alone':>17}{'longer by':>11}"
             f"{'peak MB':>9}"]
    for row in report["rows"]:
        lines.append(
            f"{row['who'] + ' ' + row['config']:<34}{row['epoch_images_per_s']:>8.1f}"
            f"{row['steps_images_per_s']:>17.1f}{row['epoch_over_steps'] - 1:>11.1%}"
            f"{row['peak_mb']:>9}")
    if "epoch_ratio" in report:
        lines.append(f"epoch_ratio {report['epoch_ratio']}")
    return "\n".join([*lines, "peak MB: without PyTorch's worker processes"])
