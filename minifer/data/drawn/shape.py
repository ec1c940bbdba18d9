"""The geometry of a drawn face: which action unit moves which point where.

:func:`face_shape` turns a person and the action units of one frame into
curves: brows, lids, lips, folds of the skin, and bumps of its relief. A curve
is an array (points, 2) of x and y in face units (see
:mod:`minifer.data.drawn.people`). The muscles' directions follow the FACS
manual; the lengths are tuned by eye.
"""

import collections
import dataclasses

import numpy as np

__all__ = ["SIDES", "Shape", "Eye", "Fold", "face_shape"]

#: Sign of x on the two sides of the face.
SIDES = (-1.0, 1.0)

#: Lids and crease above the upper lid (curves), and the iris' centre (2,).
Eye = collections.namedtuple("Eye", "upper lower crease iris")

#: A furrow: control points of its Bezier curve, width, and depth (1: deep).
Fold = collections.namedtuple("Fold", "points width depth")

FINE, MIDDLE, BROAD = 0.015, 0.028, 0.045       # widths of folds


@dataclasses.dataclass
class Shape:
    """Everything that moves, in one frame."""

    chin: float             # lowest point of the outline
    nostrils: float         # their height
    brows: list             # a polygon a side
    eyes: list              # an Eye a side
    lip_upper: np.ndarray   # polygons of the lips ...
    lip_lower: np.ndarray
    opening: np.ndarray     # ... and of what is between them
    gap: float              # height of the opening
    seam: np.ndarray        # curve where the lips meet
    teeth: tuple            # y of the edges of the upper and the lower teeth
    folds: list             # of Fold
    bumps: np.ndarray       # (bumps, 5): x, y, width, height, relief


def face_shape(person, units):
    """Geometry of ``person`` with action units ``units`` (NUM_UNITS, 2)."""
    jaw = float(0.22 * units[26].mean() + 0.22 * units[27].mean())
    wings = float(person.nose_y - 0.06 - 0.06 * units[9].mean())
    mouth, corners = _mouth(person, units, jaw)
    eyes, brows, folds = [], [], _middle_folds(person, units)
    for side, sign in enumerate(SIDES):
        u, mirror = units[:, side], (sign, 1)
        eye = _eye(person, u)
        folds += [Fold(points * mirror, width, depth) for points, width, depth
                  in _side_folds(person, u, corners[side], eye)]
        eyes.append(Eye(*(curve * mirror for curve in eye)))
        brows.append(_brow(person, u) * mirror)
    return Shape(
        chin=person.chin + 0.8 * jaw - 0.03 * float(units[17].mean()),
        nostrils=wings + 0.055, brows=brows, eyes=eyes, folds=folds,
        bumps=_bumps(person, units, jaw, wings, mouth["lip_lower"][:, 1].max()),
        **mouth)


def _brow(person, u):
    """Polygon of the right brow; ``u`` (NUM_UNITS,) are the units of its side."""
    t = np.linspace(0, 1, 9)                    # inner to outer end
    lower = u[4] * (1 - 0.75 * min(u[1], 1))    # AU1 lifts what AU4 lowers
    x = person.eye_x - 0.25 + 0.53 * t - 0.07 * u[4] * (1 - t)
    y = (-person.brow_y + person.brow_slope * (1 - 2 * t)
         - person.brow_arch * np.sin(np.pi * t ** 1.3)
         - 0.17 * u[1] * (1 - t) ** 1.2
         - u[2] * (0.03 * np.sin(np.pi * t) + 0.13 * t)
         + lower * (0.15 * (1 - t) + 0.03 * t)
         + 0.05 * u[9] * (1 - t) + 0.04 * u[1] * u[4] * t)
    thick = person.brow_thick * (0.75 + 0.5 * t) * np.sqrt(1.02 - t)
    top, bottom = np.column_stack([x, y - thick]), np.column_stack([x, y + 0.6 * thick])
    return np.concatenate([top, bottom[::-1]])


def _eye(person, u):
    """The right eye."""
    t = np.linspace(-1, 1, 15)                  # inner to outer corner
    x = person.eye_x + person.eye_width * t
    corner = -person.eye_tilt * t - 0.02 * u[1] * u[4] * (1 - t) / 2
    arc = 1 - np.abs(t) ** 2.2
    above = person.eye_open * (1 + 0.65 * u[5] - 0.25 * u[7] - 0.3 * u[6]
                               - 0.25 * u[9] - 0.12 * u[4] - 0.15 * u[15])
    below = 0.05 * (1 + 0.2 * u[5] - 0.9 * u[6] - 0.6 * u[7] - 0.6 * u[9])
    lift = person.lid_crease * (1 - 0.3 * u[5])
    upper = corner - above * arc * (1 - 0.12 * t)
    lower = corner + below * arc * (1 + 0.1 * t)
    crease = corner - (above + lift) * (1 - np.abs(t) ** 2.5) - 0.01
    return Eye(*(np.column_stack([x, y]) for y in (upper, lower, crease)),
               np.array([person.eye_x - 0.005, -0.025]))


def _mouth(person, u, jaw):
    """Lips, opening and teeth as a dict, and the two corners, which move alone."""
    m = u.mean(axis=1)
    narrow = 0.10 * m[23] + 0.08 * m[24] + 0.22 * m[27] + 0.12 * m[17]
    width = person.mouth_width * (1 + 0.34 * u[12] + 0.36 * u[20] + 0.16 * u[14]
                                  + 0.06 * u[15] - narrow)
    ends = (person.mouth_y - person.mouth_rest + 0.35 * jaw - 0.16 * u[12]
            - 0.05 * u[14] + 0.115 * u[15] + 0.05 * u[20] - 0.05 * u[10])
    middle = (person.mouth_y - 0.10 * m[10] - 0.05 * m[9] - 0.02 * m[12]
              + 0.01 * m[15] - 0.04 * m[17])

    t = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 33))      # dense at the corners
    x = t * width[(t > 0).astype(int)]
    end = ends[(t > 0).astype(int)]
    line = middle + (end - middle) * np.abs(t) ** (1.7 + 0.5 * m[15])
    gap = 0.07 * m[25] + 1.15 * jaw + 0.03 * m[16]
    smile = m[12] * min(m[25], 1)
    oval = np.sqrt(1 - t ** 2)
    square = min(max(m[20], m[10]), 1)      # stretched lips open to a rectangle
    arc = oval + 0.5 * square * (1 - t ** 4 - oval)
    top = line - 0.12 * gap * arc - 0.01 * (1 - t ** 2)
    bottom = line + gap * arc * (1 - 0.2 * smile) + min(gap, 0.012) * (1 - t ** 2)

    thin = max(1 - 0.55 * m[24] - 0.25 * m[23] - 0.3 * m[12] - 0.25 * m[20], 0.2)
    cupid = (1 - t ** 2) ** 0.7 * (1 - 0.18 * np.exp(-(t / 0.12) ** 2))
    full = 1 + 0.35 * m[17] + 0.15 * m[16]
    over = top - person.lip_upper * max(thin - 0.15 * m[10], 0.2) * cupid
    under = bottom + person.lip_lower * thin * full * (1 - t ** 2) ** 0.65

    def between(upper, lower):
        return np.concatenate([np.column_stack([x, upper]),
                               np.column_stack([x, lower])[::-1]])

    center = len(t) // 2
    return {"lip_upper": between(over, top), "lip_lower": between(bottom, under),
            "opening": between(top, bottom), "gap": float(gap),
            "seam": np.column_stack([x, (top + bottom) / 2]),
            "teeth": (top[center] + 0.10 * min(1, 1.2 * m[25]) + 0.03 * smile,
                      bottom[center] - 0.05 * m[16] - 0.05 * m[20]),
            }, np.column_stack([width, ends])


def _middle_folds(person, u):
    """Lines across the forehead (AU1, AU2), of the frown (AU4), on the nose (AU9)."""
    inner, outer, frown, nose = (u[unit].mean() for unit in (1, 2, 4, 9))
    folds = []
    for k, height in enumerate((-0.49, -0.60, -0.70)):
        phase = person.wave[k]
        half = 0.32 + 0.28 * outer - 0.04 * k + 0.04 * np.sin(phase)
        x = np.linspace(-half, half, 9)
        bow = 0.05 * np.cos(3 * x) * np.clip(2 * outer - inner, -0.6, 1)
        y = height - 0.06 * inner - bow + 0.02 * np.sin(9 * x + phase)
        depth = 0.2 * person.age + (0.45 + 0.35 * outer) * max(inner, outer)
        folds.append(Fold(np.column_stack([x, y]), FINE, depth * (1 - 0.25 * k)))
    for sign in SIDES:
        x = sign * np.array([0.10, 0.075, 0.06, 0.075])
        y = np.array([-0.42, -0.34, -0.26, -0.17]) + 0.05 * frown
        folds.append(Fold(np.column_stack([x, y]), FINE,
                          0.1 * person.age + 0.9 * frown))
    for height in (-0.14, -0.04, 0.06):
        x = np.linspace(-0.13, 0.13, 7)
        folds.append(Fold(np.column_stack([x, height + 0.4 * np.abs(x)]), FINE,
                          0.9 * nose))
    return folds


def _side_folds(person, u, corner, eye):
    """The folds of the right side; ``corner`` (2,) is that of the mouth."""
    cx, cy = abs(corner[0]), corner[1]
    wing, nose = person.nose_width, person.nose_y - 0.06 * u[9]
    pull = min(u[12] + 0.3 * u[20], 1.2)
    outer = eye.upper[-1]

    def fold(points, width, depth):
        return Fold(np.array(points), width, depth)

    nasolabial = fold(
        [(wing + 0.02, nose - 0.16), (wing + 0.10 + 0.04 * pull, nose - 0.02),
         (0.5 * (wing + cx) + 0.17 + 0.03 * pull, 0.5 * (nose + cy) + 0.02),
         (cx + 0.10, cy - 0.02), (cx + 0.11, cy + 0.10)], BROAD,
        0.25 * person.age + 0.75 * u[12] * (1 - 0.35 * u[14]) + 0.75 * u[9]
        + 0.35 * u[10] + 0.2 * u[20])
    crows_feet = [
        fold([outer + (0.04, 0.3 * dy), outer + (0.16, 1.4 * dy + 0.01)], FINE,
             0.15 * person.age + 0.55 * u[6]) for dy in (-0.06, 0.0, 0.06)]
    bag = fold(eye.lower[2:-1] + (0, 0.07), MIDDLE,
               0.2 * person.age + 0.6 * u[6] + 0.5 * u[9] + 0.25 * u[7])
    nose_side = fold([(0.13, -0.02), (0.19, 0.10), (0.2, 0.2)], MIDDLE, 0.8 * u[9])
    dimple = fold([(cx + 0.05, cy - 0.10), (cx + 0.085, cy - 0.02),
                   (cx + 0.06, cy + 0.07)], MIDDLE, 1.3 * u[14] + 0.3 * u[24])
    drooping = fold([(cx + 0.03, cy + 0.02), (cx + 0.07, cy + 0.16)], MIDDLE,
                    0.15 * person.age + 0.9 * u[15])
    return [nasolabial, *crows_feet, bag, nose_side, dimple, drooping]


def _bumps(person, units, jaw, wings, lip):
    """Relief as axis-parallel Gaussians; ``lip`` is the lower lip's lowest y."""
    chin = units[17].mean()
    nose = person.nose_y
    bumps = [
        (0, 0.02, 0.09, 0.25, 0.07 * person.nose_bridge),
        (0, nose - 0.26, 0.13, 0.24, 0.15 * person.nose_bridge),
        (0, nose - 0.09, 0.13, 0.10, 0.16),                     # tip of the nose
        (0, nose + 0.14, 0.035, 0.1, -0.02),                    # philtrum
        (0, person.mouth_y + 0.3 * jaw, 0.4, 0.28, 0.08),       # mound of the teeth
        (0, lip + 0.06, 0.2, 0.045, -0.06 - 0.05 * chin),
        (0, person.chin + 0.75 * jaw - 0.2, 0.22, 0.14, 0.10 + 0.04 * chin),
        (0, -0.30, 0.35, 0.12, 0.05),                           # brow ridge
        (0, -0.8, 0.6, 0.35, 0.04)]
    for side, sign in enumerate(SIDES):
        u, eye = units[:, side], sign * person.eye_x
        bumps += [
            (sign * person.nose_width * 0.75, wings, 0.08, 0.08, 0.11),
            (sign * 0.18, 0.0, 0.08, 0.12, -0.03),              # beside the bridge
            (eye, -0.02, 0.21, 0.13, -0.15),                    # eye socket
            (eye, -0.01, 0.14, 0.09, 0.09),                     # eyeball
            (eye + sign * 0.05, -0.26, 0.24, 0.08, 0.05),
            (sign * 0.60, 0.40 - 0.08 * u[6], 0.24, 0.20,
             0.06 * person.cheeks + 0.08 * u[6] + 0.05 * u[12]),
            (sign * 0.62, 0.95, 0.22, 0.25, -0.05 * (1 - 0.5 * u[12]))]
    return np.array(bumps)
