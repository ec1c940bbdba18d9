"""A small CK+, laid out as it is distributed."""

import numpy as np

from minifer.data import load_ck, scan_ck
from minifer.faces.images import write_png

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)


class Tree:
    """A CK+ tree on disk, sequence by sequence."""

    def __init__(self, root, images="cohn-kanade-images", labels="Emotion"):
        self.root, self.images, self.labels = root, root / images, root / labels
        self.images.mkdir(parents=True)
        self.labels.mkdir(parents=True)

    def add(self, subject, sequence, numbers, label=None, ending="png", text=None):
        """Add frames; ``label`` None: no folder, "": an empty folder."""
        folder = self.images / subject / sequence
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            write_png(folder / f"{subject}_{sequence}_{number:08d}.{ending}",
                      np.roll(PICTURE, number))
        if label is None and text is None:
            return
        folder = self.labels / subject / sequence
        folder.mkdir(parents=True, exist_ok=True)
        if label != "":
            name = f"{subject}_{sequence}_{max(numbers):08d}_emotion.txt"
            (folder / name).write_text(text or f"   {label:.7e}\n")

    def scan(self, **options):
        return scan_ck(self.images, self.labels, **options)

    def load(self, **options):
        return load_ck(self.images, self.labels, faces="whole", size=16,
                       cache=False, **options)


def numbers(paths):
    return [int(str(path).rsplit("_", 1)[1].split(".")[0]) for path in paths]
