"""What :func:`~minifer.data.auditing.audit` looks for, one kind of fault a function.

Each check takes a :class:`View` of the data and yields findings; where there is no
fault it yields none.
"""

import dataclasses
import itertools

import numpy as np

from ...faces.images import load_cv2
from ..augment.offline import source_of
from ..copies import exact_copies, near_groups, thumbnail
from ..readers.words import alike

__all__ = ["CHECKS", "SEVERITIES", "Finding", "View"]

#: From "a number measured here cannot be trusted" to "worth knowing".
SEVERITIES = ("severe", "warning", "note")

#: How often chance alone may raise a false alarm in one test.
CHANCE = 0.001

#: Odds of one random image beating another, from which parts differ a little, much
#: and very much. A. Vargha, H. D. Delaney (2000): A critique and improvement of the
#: CL common language effect size statistics. J. Educ. Behav. Stat. 25(2).
ODDS = (0.56, 0.64, 0.71)

#: Ratio of the largest class to the smallest from which a part counts as unbalanced.
IMBALANCE = 5

#: Share of the images of a part that would have to change class.
SHARES_DIFFER = 0.1

#: Number of images compared at a time.
BLOCK = 512


@dataclasses.dataclass(frozen=True)
class Finding:
    """A fault of a data set.

    Parameters
    ----------
    kind : str
        A name such as ``"exact copies"``; the same fault always has the same kind.
    severity : str
        One of :data:`SEVERITIES`.
    text : str
        A sentence with numbers.
    rows : ndarray of int64
        The images it speaks of; empty where it speaks of all.
    """

    kind: str
    severity: str
    text: str
    rows: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False, compare=False)

    def __str__(self):
        return f"{self.severity:<8} {self.kind}: {self.text}"


class View:
    """A data set, its parts, and which images are alike, computed once.

    Parameters
    ----------
    data : Dataset
    parts : dict of str to ndarray of int64
        Name -> rows. The first is the one to learn from.
    near : bool
        Look for near copies too.

    Attributes
    ----------
    blank : ndarray (N,), bool
        Images of one grey value. They equal each other and are no copies.
    exact, near : ndarray (N,), int64
        The first image of each one's group of copies; a blank one is alone.
        ``near`` is None if it was not looked for.
    sources : ndarray (N,) of str
        The photo each was made from; itself, unless its name tells of another.
    thumbnails : ndarray (N, 256), float32
    """

    def __init__(self, data, parts, near=True):
        self.data, self.parts = data, parts
        pixels = data.images.reshape(len(data), -1)
        self.blank = pixels.max(axis=1) == pixels.min(axis=1)
        self.exact = exact_copies(data.images)
        self.exact[self.blank] = np.flatnonzero(self.blank)
        self.sources = np.array([source_of(path) for path in data.paths.tolist()])
        self.thumbnails = np.array([thumbnail(image[0]) for image in data.images])
        self.near = near_groups(self.thumbnails, first=self.exact) if near else None

    def pairs(self):
        """Every two parts, the one to learn from first: name, rows, name, rows.

        Without the rows that are in both, which :func:`overlaps` tells of.
        """
        for (one, here), (other, there) in itertools.combinations(
                self.parts.items(), 2):
            both = np.intersect1d(here, there)
            here, there = np.setdiff1d(here, both), np.setdiff1d(there, both)
            if len(here) and len(there):
                yield one, here, other, there

    def per_class(self, rows):
        """Number of images of each class, (K,)."""
        return np.bincount(self.data.labels[rows], minlength=len(self.data.classes))


def overlaps(view):
    """An image that is a member of two parts."""
    for one, other in itertools.combinations(view.parts, 2):
        both = np.intersect1d(view.parts[one], view.parts[other])
        if len(both):
            yield Finding("overlap", "severe", f"{count(both, 'image')} "
                          f"{stand(both)} in both {one} and {other}.", both)


def people(view):
    """A subject, or one recording of a subject, on both sides."""
    subjects, sequences = view.data.subjects, view.data.sequences
    for one, here, other, there in view.pairs():
        # Loaders that know no people call copies one subject: copies() tells of
        # those, and blanks() of images that show nothing.
        rest = there[~np.isin(view.exact[there], view.exact[here])
                     & ~view.blank[there]]
        for kind, names in (("subjects", subjects), ("sequences", sequences)):
            shared = rest[np.isin(names[rest], names[here])]
            if len(shared):
                number = len(np.unique(names[shared]))
                yield Finding(
                    kind, "severe", f"{share(shared, there)} of {other} show "
                    f"{number:,d} {kind if number > 1 else kind[:-1]} of {one}.",
                    shared)


def copies(view):
    """The same photo on both sides, or twice on one."""
    for one, here, other, there in view.pairs():
        twins = there[np.isin(view.exact[there], view.exact[here])]
        if len(twins):
            yield Finding("exact copies", "severe", f"{share(twins, there)} of {other} "
                          f"{has(twins)} the same pixels as one of {one}.", twins)
        if view.near is None:
            continue
        alike = there[np.isin(view.near[there], view.near[here])]
        alike = np.setdiff1d(alike, twins)
        if len(alike):
            yield Finding("near copies", "severe", f"{share(alike, there)} of {other} "
                          f"{has(alike)} a near copy in {one}, besides the exact ones: "
                          "another size, brightness or compression of one photo, or "
                          "the next frame.", alike)
    for name, rows in view.parts.items():
        first = np.unique(view.exact[rows], return_index=True)[1]
        again = np.delete(rows, first)
        if len(again):
            yield Finding("repeated", "note", f"{share(again, rows)} of {name} repeat "
                          f"another of {name} exactly.", again)


def augmented(view):
    """A copy made by augmentation that left the side of its source."""
    sources = view.sources
    made = sources != view.data.paths
    for one, here, other, there in view.pairs():
        lost = np.concatenate([
            rows[made[rows] & np.isin(sources[rows], sources[others])]
            for rows, others in ((here, there), (there, here))])
        if len(lost):
            yield Finding("augmented copies", "severe", f"{count(lost, 'copy')} in "
                          f"{one} or {other} {has(lost)}, by name, the photo or "
                          "another copy of it in the other. Split first, then augment "
                          "the training part.", lost)


def conflicts(view):
    """Equal images with different labels."""
    rows = np.unique(np.concatenate(list(view.parts.values())))
    kinds, found, groups = {}, [], 0
    order = rows[np.argsort(view.exact[rows], kind="stable")]
    for group in np.split(order, np.flatnonzero(np.diff(view.exact[order])) + 1):
        labels = np.unique(view.data.labels[group])
        if len(labels) > 1:
            groups += 1
            found.extend(group)
            for pair in itertools.combinations(labels, 2):
                kinds[pair] = kinds.get(pair, 0) + 1
    if groups:
        most = sorted(kinds, key=kinds.get, reverse=True)[:3]
        named = ", ".join(f"{view.data.classes[a]}/{view.data.classes[b]} "
                          f"{kinds[a, b]}" for a, b in most)
        yield Finding("conflicting labels", "warning", f"{count(groups, 'group')} of "
                      f"equal images {has(groups)} different labels ({named}).",
                      np.array(found))


def blanks(view):
    """Images that show nothing."""
    rows = {name: rows[view.blank[rows]] for name, rows in view.parts.items()}
    found = np.concatenate(list(rows.values()))
    if len(found):
        where = ", ".join(f"{name} {len(here)}" for name, here in rows.items()
                          if len(here))
        yield Finding("blank", "warning", f"{count(found, 'image')} of a single grey "
                      f"value ({where}).", found)


def classes(view):
    """A class that is absent or rare."""
    names = view.data.classes
    for part, rows in view.parts.items():
        counts = view.per_class(rows)
        absent = [names[k] for k in np.flatnonzero(counts == 0)]
        if absent:
            first = part == next(iter(view.parts))
            yield Finding("missing class", "severe" if first else "warning",
                          f"{part} has no image of {', '.join(absent)}, which "
                          + ("cannot be learnt." if first else "cannot be measured."))
        few, many = counts[counts > 0].min(), counts.max()
        if many >= IMBALANCE * few:
            rare, common = names[np.flatnonzero(counts == few)[0]], names[
                counts.argmax()]
            yield Finding("class balance", "note", f"{part} has {many / few:.1f} times "
                          f"as many images of {common} ({many:,d}) as of {rare} "
                          f"({few:,d}): accuracy says little about {rare}; look at "
                          "each class.")


def spellings(view):
    """Classes whose names mean the same, and which both have images."""
    counts = dict(zip(view.data.classes, view.per_class(
        np.unique(np.concatenate(list(view.parts.values()))))))
    for group in alike([name for name, number in counts.items() if number]):
        named = ", ".join(f"{name} ({counts[name]:,d})" for name in group)
        yield Finding("class spellings", "warning", f"{named} are {len(group)} classes "
                      "whose names mean the same: a network has to guess which word is "
                      "meant. Merge them (merge_alike, --merge-alike).",
                      np.flatnonzero(np.isin(view.data.labels, [
                          view.data.classes.index(name) for name in group])))


def class_shares(view):
    """Classes with another share in another part."""
    from scipy.stats import chi2_contingency
    for one, here, other, there in view.pairs():
        counts = np.array([view.per_class(here), view.per_class(there)])
        counts = counts[:, counts.sum(axis=0) > 0]
        moved = np.abs(np.diff(counts / counts.sum(axis=1, keepdims=True), axis=0))
        if moved.sum() / 2 >= SHARES_DIFFER and chi2_contingency(counts)[1] < CHANCE:
            yield Finding("class shares", "warning", f"{other} has other shares of the "
                          f"classes than {one}: {percent(moved.sum() / 2)} of its "
                          "images would have to change class.")


def statistics(view):
    """Brightness, contrast or sharpness that differ from part to part."""
    from scipy.stats import mannwhitneyu
    values = _measure(view.data.images)
    for one, here, other, there in view.pairs():
        for name, (column, less, more) in values.items():
            # images of one subject are no independent witnesses: one value a subject
            left, right = (_by_subject(column, view.data.subjects, rows)
                           for rows in (here, there))
            test = mannwhitneyu(right, left)
            odds = test.statistic / (len(left) * len(right))
            level = int(np.searchsorted(ODDS, max(odds, 1 - odds), side="right"))
            if test.pvalue >= CHANCE or not level:
                continue
            how_much = ("a little", "much", "very much")[level - 1]
            yield Finding(
                name, SEVERITIES[::-1][level - 1], f"{other} differs {how_much} from "
                f"{one}: its images are {more if odds > 0.5 else less} in "
                f"{percent(max(odds, 1 - odds))} of random pairs (alike would be "
                f"50 %); medians {np.median(left):.3f} in {one}, "
                f"{np.median(right):.3f} in {other}.")


def _measure(images):
    """Name -> values (N,), a word for less of it, and one for more."""
    cv2 = load_cv2()
    mean, deviation, edges = np.array([
        (image.mean(), image.std(), cv2.Laplacian(image[0], cv2.CV_32F).std())
        for image in images]).T / 255  # all at once would take 8 bytes a pixel
    # Divided by contrast, or a pale photo would count as a blurred one.
    sharpness = edges / np.maximum(deviation, 1 / 255)
    return {"brightness": (mean, "darker", "brighter"),
            "contrast": (deviation, "poorer in contrast", "richer in contrast"),
            "sharpness": (sharpness, "more blurred", "sharper")}


def _by_subject(column, subjects, rows):
    subject = np.unique(subjects[rows], return_inverse=True)[1]
    return np.bincount(subject, column[rows]) / np.bincount(subject)


def neighbours(view):
    """Score what copying the label of the most alike image would score.

    Yields no findings but, for each part other than the first, its name and the
    accuracies: by all images of the first part; by those alone that are not of
    the same subject, sequence or photo; and of saying the commonest class.
    """
    (_, here), *others = view.parts.items()
    labels, related = view.data.labels, _related(view)
    common = view.per_class(here).argmax()
    for name, there in others:
        free, honest = [], []
        for start in range(0, len(there), BLOCK):
            rows = there[start:start + BLOCK]
            likeness = view.thumbnails[rows] @ view.thumbnails[here].T
            free.append(labels[here[likeness.argmax(axis=1)]])
            likeness[related[rows][:, None] == related[here]] = -2
            honest.append(np.where(likeness.max(axis=1) > -2,  # -1: no stranger to ask
                                   labels[here[likeness.argmax(axis=1)]], -1))
        yield name, tuple(float(np.mean(guess == labels[there])) for guess in (
            np.concatenate(free), np.concatenate(honest), common))


def _related(view):
    """Number images so that all of one subject, sequence or photo have one number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    n = len(view.data)
    columns = [np.unique(column, return_inverse=True)[1] for column in (
        view.data.subjects, view.data.sequences, view.sources,
        view.exact if view.near is None else view.near)]
    rows = np.tile(np.arange(n), 4)  # images on one side, what they share on the other
    nodes = np.concatenate([n * (k + 1) + column for k, column in enumerate(columns)])
    edges = coo_array((np.ones(4 * n, np.int8), (rows, nodes)), shape=(5 * n, 5 * n))
    return connected_components(edges, directed=False)[1][:n]


#: Findings in the order of a report, within one severity.
CHECKS = (overlaps, people, copies, augmented, conflicts, blanks, classes,
          spellings, class_shares, statistics)


def count(things, noun):
    """``1 image``, ``2 images``."""
    number = things if np.ndim(things) == 0 else len(things)
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,d} {noun if number == 1 else plural}"


def share(some, all_):
    """``12 of 300 images (4.0 %)``."""
    return (f"{len(some):,d} of {len(all_):,d} images "
            f"({percent(len(some) / len(all_), 1)})")


def percent(fraction, digits=0):
    """``4 %``."""
    return f"{100 * fraction:.{digits}f} %"


def has(things):
    """The verb for so many things."""
    return "has" if (things if np.ndim(things) == 0 else len(things)) == 1 else "have"


def stand(things):
    """The verb for so many things."""
    return "stands" if len(things) == 1 else "stand"
