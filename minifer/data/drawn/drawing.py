"""Drawing a face: relief, light, skin, hair, and the pose in the picture.

A face is a relief z(x, y) lit from one side. Its outline is a superellipse,
bumps (nose, cheeks, chin) are Gaussians and the folds of the skin are furrows,
so that one lighting formula shades them all: Lambert's law, a dash of gloss,
and darker hollows. Eyes, mouth, brows and hair are painted over it.
"""

import dataclasses

import numpy as np

from ...faces.images import load_cv2
from .canvas import SCALE, Canvas, bezier, paint, ramp, texture
from .shape import SIDES, face_shape

__all__ = ["HEIGHT", "WIDTH", "Sitting", "draw_sitting", "Portrait"]

HEIGHT, WIDTH = 490, 640    # of a picture in pixels, as in CK+

HEAD = Canvas(-1.25, -1.7, 1.25, 2.0)
SKIN = Canvas(-0.95, -0.9, 0.95, 1.4)       # where folds can be
BROWS = Canvas(-0.85, -0.75, 0.85, -0.05)
EYES = Canvas(-0.8, -0.4, -0.1, 0.2), Canvas(0.1, -0.4, 0.8, 0.2)
NOSTRILS = Canvas(-0.3, 0.4, 0.3, 0.8)
MOUTH = Canvas(-0.8, 0.6, 0.8, 1.8)

_GRAIN = 64     # pixels by which the sheet of sensor noise may be shifted


@dataclasses.dataclass(frozen=True)
class Sitting:
    """What differs between two sequences of one subject: pose, light, camera."""

    x: float            # centre of the face in pixels
    y: float
    scale: float        # size relative to a head 200 pixels wide
    roll: float         # rotation in the picture plane, radians
    yaw: float          # turn of the head, roughly its sine
    gaze: np.ndarray    # (2,) shift of the irises, face units
    light: tuple        # direction to the light (x, y, z), unit length
    ambient: float      # share of the light that comes from everywhere
    gain: float         # exposure
    wall: float         # brightness of the background, 0 to 1
    slope: np.ndarray   # (2,) its change across the picture
    blur: float         # of the lens, pixels
    noise: float        # of the sensor, grey levels
    texture: int        # seed of skin, hair and noise


def draw_sitting(rng):
    """Draw a :class:`Sitting` from ``rng`` (a NumPy generator)."""
    u, n = rng.uniform, rng.normal
    light = np.array([n(0, 0.27), -0.35 + n(0, 0.2), 1.0])
    return Sitting(
        x=320 + 80 * np.tanh(n(0, 0.3)), y=240 + 40 * np.tanh(n(0, 0.4)),
        scale=u(0.92, 1.15), roll=0.1 * np.tanh(n(0, 0.4)),
        yaw=0.13 * np.tanh(n(0, 0.4)), gaze=n(0, 0.01, 2),
        light=tuple((light / np.linalg.norm(light)).tolist()),
        ambient=u(0.32, 0.55), gain=u(0.88, 1.15), wall=u(0.12, 0.5),
        slope=n(0, 0.08, 2), blur=u(0.5, 1.1), noise=u(0.5, 1.8),
        texture=int(rng.integers(2 ** 31)))


class Portrait:
    """A person at a sitting; :meth:`frame` draws the frames of a sequence."""

    def __init__(self, person, sitting):
        self.person, self.sitting = person, sitting
        rng = np.random.default_rng(sitting.texture)
        self.pores = (0.6 * texture(rng, HEAD.shape, 9, 9)
                      + 0.4 * texture(rng, HEAD.shape, 1.5, 1.5))
        self.strands = texture(rng, HEAD.shape, 0.8, 9)
        self.bristles = texture(rng, HEAD.shape, 1.2, 2.5)
        self.grain = sitting.noise * rng.standard_normal(
            (HEIGHT + _GRAIN, WIDTH + _GRAIN), dtype=np.float32)
        self.skin = self._skin()
        self.hair = self._hair()
        self.glasses = self._glasses()
        self.map_x, self.map_y, self.box = self._pose()
        self.backdrop = self._backdrop()

    def frame(self, units, number=1):
        """Draw one frame.

        Parameters
        ----------
        units : ndarray
            (NUM_UNITS, 2), the action units of both sides.
        number : int
            Number of the frame; with the sitting it decides the sensor's noise.

        Returns
        -------
        ndarray
            (HEIGHT, WIDTH) uint8.
        """
        cv2 = load_cv2()

        shape = face_shape(self.person, units)
        head, alpha = self._head(shape)
        head, alpha = (cv2.remap(layer, self.map_x, self.map_y, cv2.INTER_LINEAR)
                       for layer in (head, alpha))
        picture = self.backdrop.copy()
        window = picture[self.box]
        paint(window, head, alpha)
        window[:] = cv2.GaussianBlur(window, (0, 0), self.sitting.blur)
        rng = np.random.default_rng([self.sitting.texture, number])
        row, column = rng.integers(_GRAIN, size=2)
        picture += self.grain[row:row + HEIGHT, column:column + WIDTH]
        return np.clip(picture, 0, 255, out=picture).astype(np.uint8)

    # -- what stays the same during a sequence -------------------------------

    def _skin(self):
        """Albedo of the head with stubble, beard and moustache."""
        p = self.person
        skin = p.skin * (1 + 0.05 * p.blotches * self.pores)
        stubble = np.clip(0.8 + 0.15 * self.pores + 0.15 * self.bristles, 0, 1)
        cheek = ramp(HEAD.y - 0.58 - 0.25 * (1 - HEAD.x ** 2), 0.18)
        dark = min(p.hair, 0.6 * p.skin)
        paint(skin, dark, 0.8 * p.beard * cheek * stubble)
        lip = p.nose_y + 0.16 + 0.1 * HEAD.x ** 2
        patch = ramp(0.33 - np.abs(HEAD.x), 0.06) * ramp(
            0.055 - np.abs(HEAD.y - lip), 0.03)
        paint(skin, dark, 0.8 * p.moustache * patch * stubble)
        return skin

    def _hair(self):
        """Mask of the hair on the head: all above a hairline y(x)."""
        p = self.person
        x, part = HEAD.x, p.hair_part
        line = -p.hair_line + 0.012 * self.strands[:1]
        if p.hair_style == "bald":
            return np.zeros(HEAD.shape, np.float32)
        if p.hair_style == "fringe":
            line = line + 0.28 + np.abs(x) ** 6 * 0.8
        else:
            line = line + 0.75 * x ** 4
        if p.hair_style == "cropped":
            line = line + 0.08 * part * x
        if p.hair_style == "swept":
            line = line + 0.14 * (x - part) * np.sign(part)
        if p.hair_style == "long":
            line = line - 0.15 + 0.55 * np.abs(x - 0.4 * part) ** 1.5
        return ramp(line - HEAD.y, 0.08 if p.hair_style == "cropped" else 0.05)

    def _glasses(self):
        """Mask of the rims, or None."""
        p = self.person
        if not p.glasses:
            return None
        angle = np.linspace(0, 2 * np.pi, 40)
        across, down = (np.sign(f) * np.abs(f) ** 0.7
                        for f in (np.cos(angle), np.sin(angle)))
        curves = [bezier([(-0.14, -0.04), (0, -0.12), (0.14, -0.04)])]
        for sign in SIDES:
            curves.append(np.column_stack([
                sign * (p.eye_x + 0.02) + 0.29 * across, 0.02 + 0.22 * down]))
            curves.append([(sign * (p.eye_x + 0.31), -0.04), (sign, -0.08)])
        return np.minimum(HEAD.stroke(curves, 0.025, blur=0.006), 1)

    def _pose(self):
        """Maps from picture to canvas, and the slices of the picture they fill."""
        s = self.sitting
        size = SCALE * s.scale
        columns = np.arange(int(s.x - 1.3 * size), int(s.x + 1.3 * size))
        rows = np.arange(max(int(s.y - 1.75 * size), 0),
                         min(int(s.y + 2.05 * size), HEIGHT))
        dx, dy = (columns - s.x)[None, :] / size, (rows - s.y)[:, None] / size
        x = np.cos(s.roll) * dx + np.sin(s.roll) * dy
        y = np.cos(s.roll) * dy - np.sin(s.roll) * dx
        nearness = np.sqrt(np.clip(1 - x ** 2 - (y / 1.6) ** 2, 0, 1))
        x = x - s.yaw * nearness        # turning moves the near parts most
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return ((x * SCALE - HEAD.left).astype(np.float32),
                (y * SCALE - HEAD.top).astype(np.float32), box)

    def _backdrop(self):
        """Wall, shoulders, neck and the hair behind the head, grey levels."""
        cv2 = load_cv2()

        p, s = self.person, self.sitting
        rows, columns = np.mgrid[0:HEIGHT:2, 0:WIDTH:2].astype(np.float32)
        wall = (s.wall + s.slope[0] * (columns / WIDTH - 0.5)
                + s.slope[1] * (rows / HEIGHT - 0.5))
        picture = np.clip(wall, 0.02, 1).astype(np.float32)
        y = (rows - s.y) / (SCALE * s.scale)
        x = (columns - s.x) / (SCALE * s.scale) + s.roll * y
        round_ = np.sqrt(np.clip(1 - (x / 2.4) ** 2, 0.05, 1))
        light = s.gain * (s.ambient + (1 - s.ambient) * np.clip(
            s.light[2] * round_ + s.light[0] * x / 2.4, 0, 1))
        if p.hair_style == "long":
            bend = np.where(y < 0.4, 0.42, 0.08) * (y - 0.4) ** 2
            lock = ramp(1.17 - bend - np.abs(x), 0.04) * ramp(1.9 - y, 0.15)
            strands = cv2.resize(self.strands, (picture.shape[1], picture.shape[0]))
            paint(picture, p.hair * light * (0.7 + 0.2 * strands), lock)
        neck = ramp(0.6 + 0.5 * np.clip(y - 1.75, 0, 1) ** 1.5 - np.abs(x), 0.03)
        shadow = 0.45 + 0.4 * ramp(y - p.chin - 0.35, 0.35)         # of the chin
        column = np.sqrt(np.clip(1.15 - (x / 0.75) ** 2, 0.1, 1))
        paint(picture, p.skin * light * shadow * column, neck * ramp(y - 0.6, 0.1))
        collar = (1.88 + 0.25 * np.clip(np.abs(x) - 0.6, 0, 3) ** 1.2
                  - 0.14 * np.exp(-((np.abs(x) - 0.75) / 0.2) ** 2))
        paint(picture, p.shirt * light, ramp(y - collar, 0.03))
        return cv2.resize(_tone(picture), (WIDTH, HEIGHT))

    # -- what moves ----------------------------------------------------------

    def _head(self, shape):
        """Grey levels of the head on its canvas, and its alpha from 0 to 1."""
        p = self.person
        inside, alpha = self._outline(shape)
        lips = MOUTH.fill([shape.lip_upper, shape.lip_lower], 0.006)
        creases = self._creases(shape)
        light, gloss = self._light(self._relief(shape, inside, lips, creases))
        skin = self.skin.copy()
        SKIN.cut(skin, HEAD)[:] *= 1 - 0.22 * np.minimum(creases, 1)
        paint(MOUTH.cut(skin, HEAD), p.skin * (1 - p.lip_dark), 0.85 * lips)
        head = skin * light + 0.12 * gloss
        self._nostrils(head, shape)
        self._mouth(head, light, shape)
        for side in (0, 1):
            self._eye(head, light, shape.eyes[side], EYES[side])
        self._brows(head, light, shape)
        hair = p.hair * (light * (0.8 + 0.25 * self.strands) + 0.1 * gloss)
        paint(head, hair, self.hair)
        if self.glasses is not None:
            paint(head, 0.1, 0.8 * self.glasses)
        head *= self.sitting.gain * np.where(inside < 0, np.float32(0.7), 1)    # ears
        return _tone(head), alpha

    def _outline(self, shape):
        """1 - r^n of the superellipse, positive inside, and alpha with the ears."""
        p = self.person
        x, y = HEAD.x, HEAD.y
        volume = 0.0 if p.hair_style == "bald" else 0.14
        power = 2.3 + (p.jaw - 2.3) * ramp(y - 0.5, 0.5)
        width = 1 - p.taper * ramp(y - 0.75, 0.75) + 0.5 * volume * ramp(-y - 0.4, 0.4)
        height = np.where(y > 0, shape.chin, p.crown + volume).astype(np.float32)
        inside = 1 - (np.abs(x) / width) ** power - (np.abs(y) / height) ** power
        alpha = ramp(inside, 0.025)
        if p.hair_style != "long":
            for sign in SIDES:
                alpha = np.maximum(alpha, HEAD.disc((sign, 0.2), 0.13, 0.3, 0.08))
        return inside, alpha

    def _creases(self, shape):
        """Strength of the folds on the canvas SKIN: fine, middle and broad ones."""
        creases = np.zeros(SKIN.shape, np.float32)
        for width in sorted({fold.width for fold in shape.folds}):
            group = [fold for fold in shape.folds
                     if fold.width == width and fold.depth > 0.02]
            creases += SKIN.stroke([bezier(fold.points) for fold in group], width,
                                   0.7 * width, [fold.depth for fold in group])
        return creases * (1 - SKIN.cut(self.hair, HEAD))

    def _relief(self, shape, inside, lips, creases):
        """Height z of the head in face units."""
        b = shape.bumps.astype(np.float32)
        across = np.exp(-((HEAD.x.T - b[:, 0]) / b[:, 2]) ** 2)     # (columns, bumps)
        down = np.exp(-((HEAD.y - b[:, 1]) / b[:, 3]) ** 2)         # (rows, bumps)
        z = np.einsum("yb,xb->yx", down * b[:, 4], across)
        z += 0.95 * np.sqrt(np.clip(inside, 0.003, 1))
        SKIN.cut(z, HEAD)[:] -= 0.028 * creases
        seam = MOUTH.stroke([shape.seam], 0.02, blur=0.012)
        MOUTH.cut(z, HEAD)[:] += 0.035 * lips - 0.05 * seam
        return z

    def _light(self, z):
        """Light that falls on the relief ``z``, and the gloss it gives back."""
        cv2 = load_cv2()

        s = self.sitting
        zx = cv2.Sobel(z, cv2.CV_32F, 1, 0, ksize=3, scale=SCALE / 8)
        zy = cv2.Sobel(z, cv2.CV_32F, 0, 1, ksize=3, scale=SCALE / 8)
        length = np.sqrt(1 + zx * zx + zy * zy)     # of the normal (-zx, -zy, 1)
        lx, ly, lz = s.light
        lambert = np.clip((lz - lx * zx - ly * zy) / length, 0, 1)
        light = s.ambient + (1 - s.ambient) * lambert
        rows, columns = z.shape
        coarse = cv2.resize(z, (columns // 4, rows // 4), interpolation=cv2.INTER_AREA)
        around = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 0.09 * SCALE / 4),
                            (columns, rows))
        light *= np.clip(1 + 2.2 * (z - around), 0.5, 1.3)      # hollows are dark
        half = np.sqrt(2 + 2 * lz)      # Blinn's half vector to a viewer in front
        gloss = np.clip((1 + lz - lx * zx - ly * zy) / (half * length), 0, 1)
        for _ in range(4):
            gloss *= gloss
        return light, gloss * lambert

    def _brows(self, head, light, shape):
        p = self.person
        hairs = np.clip(0.9 + 0.15 * BROWS.cut(self.bristles, HEAD), 0, 1)
        paint(BROWS.cut(head, HEAD), min(p.hair, 0.7 * p.skin) * BROWS.cut(light, HEAD),
              p.brow_dark * hairs * BROWS.fill(shape.brows, 0.014))

    def _nostrils(self, head, shape):
        for sign in SIDES:
            hole = NOSTRILS.disc((sign * self.person.nose_width * 0.42, shape.nostrils),
                                 0.06, 0.03, 0.25)
            paint(NOSTRILS.cut(head, HEAD), 0.25 * self.person.skin, 0.75 * hole)

    def _mouth(self, head, light, shape):
        """The dark of the open mouth with tongue and teeth, and the seam."""
        x, y = MOUTH.x, MOUTH.y
        head, light = MOUTH.cut(head, HEAD), MOUTH.cut(light, HEAD)
        opened = min(1.0, 25 * shape.gap)
        upper, lower = shape.teeth
        inner = np.full(MOUTH.shape, 0.06, np.float32)
        paint(inner, 0.35 * light, 0.6 * MOUTH.disc((0, lower), 0.2, 0.11, 0.25))
        gaps = 1 - 0.12 * np.exp(-((np.mod(x / 0.085, 1) - 0.5) / 0.1) ** 2)
        enamel = 0.85 * light * gaps * np.clip(1.05 - 0.9 * x ** 2, 0, 1)
        paint(inner, enamel, ramp(upper + 0.02 - 0.25 * x ** 2 - y, 0.015))
        paint(inner, 0.8 * enamel, 0.7 * ramp(y - lower, 0.02))
        paint(head, inner, opened * MOUTH.fill([shape.opening], 0.004))
        seam = np.minimum(MOUTH.stroke([shape.seam], 0.022, blur=0.008), 1)
        closed = 1 - opened * MOUTH.fill([shape.opening], 0.02)
        head *= 1 - 0.56 * seam * closed

    def _eye(self, head, light, eye, board):
        head, light = board.cut(head, HEAD), board.cut(light, HEAD)
        centre = eye.iris + self.sitting.gaze
        ball = 0.9 * np.minimum(light, 1)
        paint(ball, self.person.iris * (0.6 + 0.4 * light), board.disc(centre, 0.088))
        paint(ball, 0.03, board.disc(centre, 0.04))
        shadow = board.stroke([eye.upper + (0, 0.015)], 0.05, blur=0.02)
        ball *= 1 - 0.45 * np.minimum(shadow, 1)
        paint(ball, 1.0, 0.9 * board.disc(centre + (-0.025, -0.03), 0.017))    # glint
        paint(head, ball, board.fill([np.concatenate([eye.upper, eye.lower[::-1]])],
                                     0.004))
        lashes = np.minimum(board.stroke([eye.upper], 0.03, blur=0.008), 1)
        paint(head, 0.06, 0.85 * lashes)
        rim = np.minimum(board.stroke([eye.lower], 0.015, blur=0.01), 1)
        paint(head, 0.35 * self.person.skin, 0.45 * rim)
        head *= 1 - 0.33 * np.minimum(board.stroke([eye.crease], 0.015, blur=0.012), 1)


def _tone(light):
    """Tone curve of the camera: light (1 is white) to grey levels 0 to 255."""
    return 255 * np.clip(light, 0, 1) ** np.float32(0.7)
