"""Photos of drawn heads."""

import cv2
import numpy as np

SMALL, LARGE = (20, 40, 80), (180, 60, 150)


def draw_photo(*heads, height=300, width=400, ground=110):
    """Draw schematic faces; a head is (x, y, side) of the square eyes to chin."""
    photo = np.full((height, width), ground, np.uint8)
    for x, y, side in heads:
        def oval(cx, cy, rx, ry, grey):
            centre = int(x + cx * side), int(y + cy * side)
            cv2.ellipse(photo, centre, (int(rx * side), int(ry * side)), 0, 0, 360,
                        grey, -1, cv2.LINE_AA)
        oval(.5, .5, .42, .55, 190)  # head
        for eye in (.32, .68):
            oval(eye, .30, .13, .03, 70)   # brow
            oval(eye, .40, .10, .05, 120)
            oval(eye, .40, .05, .05, 30)   # pupil
        oval(.5, .62, .06, .03, 140)  # nose
        oval(.5, .80, .17, .05, 90)   # mouth
    return cv2.GaussianBlur(photo, (0, 0), 2.5)
