"""Where the boxes of a graph go: in rows, each below all that it reads.

Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical
system structures", in its four steps: rows by the longest way from an input; points
where a long edge crosses a row, so that it keeps clear of the boxes; an order within
the rows in which few edges cross; and places that keep edges straight.
"""

from __future__ import annotations

import bisect
from collections import defaultdict

__all__ = ["layout"]

#: Pixels between boxes side by side, and between rows.
BESIDE, BETWEEN = 22, 26
#: Rounds of sorting rows.
SORTINGS = 8
#: How an edge pulls: between two of its points, on the longest way through the graph,
#: from one row to the next, from and to its points.
INNER, SPINE, SHORT, END = 8.0, 3.0, 1.0, 0.3


def layout(sizes, edges):
    """Place boxes.

    Parameters
    ----------
    sizes : list of (float, float)
        Width and height of each box; a box comes after all that it reads.
    edges : list of (int, int)
        From a box to one that reads it.

    Returns
    -------
    boxes : list of (float, float)
        The middle of each box; y grows downwards.
    lines : list of list of (float, float)
        The way of each edge, point by point, each part of it straight down or from one
        row to the next.
    size : (float, float)
        Width and height of the picture.
    """
    rank = _ranks(len(sizes), edges)
    graph = _Graph(sizes, edges, rank)
    graph.sort()
    return graph.placed()


def _ranks(n, edges):
    """The row of each box: one below the lowest that it reads."""
    rank, readers = [0] * n, defaultdict(list)
    reads = defaultdict(list)
    for a, b in edges:
        readers[a].append(b)
        reads[b].append(a)
    for box in range(n):
        rank[box] = max((rank[a] + 1 for a in reads[box]), default=0)
    for box in range(n):  # an input stands right above its first reader
        if not reads[box] and readers[box]:
            rank[box] = min(rank[b] for b in readers[box]) - 1
    return rank


def _spine(edges, rank):
    """The edges of a longest way, from the lowest box up."""
    above = {}
    for a, b in edges:
        if rank[a] == rank[b] - 1:
            above.setdefault(b, a)
    spine, box = set(), max(range(len(rank)), key=rank.__getitem__, default=None)
    while box in above:
        spine.add((above[box], box))
        box = above[box]
    return spine


class _Graph:
    """Boxes, and the points at which long edges cross rows; both are numbers.

    Edges of one box share their points, so that a box with many readers has one line
    that branches off.
    """

    def __init__(self, sizes, edges, rank):
        self.sizes, self.boxes = list(sizes), len(sizes)
        self.rank, self.ways = list(rank), []
        self.above, self.below = defaultdict(dict), defaultdict(dict)
        points, spine = {}, _spine(edges, rank)
        for a, b in edges:
            way = [a]
            for row in range(rank[a] + 1, rank[b]):
                if (a, row) not in points:
                    points[a, row] = len(self.sizes)
                    self.sizes.append((10, 0))
                    self.rank.append(row)
                way.append(points[a, row])
            way.append(b)
            self.ways.append(way)
            for upper, lower in zip(way, way[1:]):
                inner = min(upper, lower) >= self.boxes
                pull = (INNER if inner else END if len(way) > 2 else
                        SPINE if (a, b) in spine else SHORT)
                self.below[upper][lower] = self.above[lower][upper] = pull
        self.rows = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for node, row in enumerate(self.rank):
            self.rows[row].append(node)

    def sort(self):
        """Order each row by the middle of what its nodes are joined to."""
        best, fewest = [list(row) for row in self.rows], self._crossings()
        place = {node: i for row in self.rows for i, node in enumerate(row)}
        for number in range(SORTINGS):
            down = number % 2 == 0
            joined = self.above if down else self.below
            for row in self.rows if down else reversed(self.rows):
                row.sort(key=lambda node: _middle(node, joined[node], place))
                place.update((node, i) for i, node in enumerate(row))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _crossings(self):
        """How many pairs of edges cross."""
        count = 0
        for row in self.rows[1:]:
            upper_row = self.rows[self.rank[row[0]] - 1]
            place = {node: i for i, node in enumerate(upper_row)}
            seen = []
            for node in row:
                ends = sorted(place[upper] for upper in self.above[node])
                for end in ends:
                    count += len(seen) - bisect.bisect_right(seen, end)
                for end in ends:
                    bisect.insort(seen, end)
        return count

    def place(self):
        """Find the x of each node: edges as straight as boxes side by side let them.

        A linear programme, as Gansner, Koutsofios, North & Vo (1993), "A technique for
        drawing directed graphs", have it: the least sum of |x of one end - x of the
        other|, each times its weight.
        """
        from scipy.optimize import linprog
        from scipy.sparse import coo_array

        n = len(self.sizes)
        edges = [(a, b, pull) for a, ends in self.below.items()
                 for b, pull in ends.items()]
        rows, limits = [], []  # each: what is added up, and the most that it may be
        for number, (a, b, _) in enumerate(edges):
            for one, other in ((a, b), (b, a)):
                rows.append({one: 1, other: -1, n + number: -1})
                limits.append(0)
        for row in self.rows:
            for one, other in zip(row, row[1:]):
                rows.append({one: 1, other: -1})
                limits.append(-(self.sizes[one][0] + self.sizes[other][0]) / 2 - BESIDE)
        if not rows:
            return [0.0] * n
        at = [(i, j, value) for i, row in enumerate(rows) for j, value in row.items()]
        i, j, values = zip(*at)
        found = linprog([0] * n + [pull for _, _, pull in edges], coo_array(
            (values, (i, j)), shape=(len(rows), n + len(edges))).tocsr(), limits)
        return found.x[:n].tolist()

    def placed(self):
        """What :func:`layout` returns."""
        xs = self.place()
        heights = [max(self.sizes[node][1] for node in row) for row in self.rows]
        tops, top = [], 0.0
        for height in heights:
            tops.append(top)
            top += height + BETWEEN
        left = min((x - w / 2 for x, (w, _) in zip(xs, self.sizes)), default=0)
        right = max((x + w / 2 for x, (w, _) in zip(xs, self.sizes)), default=0)
        x = [one - left for one in xs]
        centres = [(x[box], tops[self.rank[box]] + heights[self.rank[box]] / 2)
                   for box in range(self.boxes)]
        lines = []
        for way in self.ways:
            line = []
            for node in way:
                row = self.rank[node]
                ends = [tops[row], tops[row] + heights[row]]
                half = self.sizes[node][1] / 2
                if node == way[0]:
                    ends[0] = centres[node][1] + half
                elif node == way[-1]:
                    ends[1] = centres[node][1] - half
                line += [(x[node], y) for y in ends]
            lines.append(line)
        return centres, lines, (right - left, max(0.0, top - BETWEEN))


def _middle(node, joined, place):
    """The mean place of what a node is joined to, else its own."""
    if not joined:
        return place[node]
    return sum(place[other] for other in joined) / len(joined)
