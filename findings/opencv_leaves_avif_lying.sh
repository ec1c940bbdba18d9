#!/usr/bin/env bash
# OpenCV turns a JPEG and a WebP upright, and leaves the same photo in AVIF lying.
#
# Guess before running: imdecode(..., IMREAD_COLOR) heeds a photo's orientation, as its
# documentation says for EXIF; a photo that Pillow saved with orientation 6 comes back
# upright whatever its format, the more so as AVIF keeps the turn where no decoder can
# overlook it: as a property of the picture ("irot"), which the format has applied.
# Seen: upright from JPEG and WebP; from AVIF as it lay, without a word, so a face finder
# finds no face.
#
# Versions: opencv-python-headless 4.14.0.94, pillow 13.0.0, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  opencv-python-headless==4.14.0.94 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import cv2
import numpy as np
from PIL import Image

photo = np.zeros((40, 80, 3), np.uint8)  # 40 rows, 80 columns
photo[:, :40] = 255
seen = {}
for kind in ("JPEG", "WEBP", "AVIF"):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned by a quarter: upright it has 80 rows
    Image.fromarray(photo).save(file, kind, exif=exif)
    decoded = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    seen[kind] = "upright" if decoded.shape[0] == 80 else "lying"
    print(f"{kind}: {seen[kind]}, rows and columns {decoded.shape[:2]}")
    if kind == "AVIF":
        print("AVIF file has its turn as a property:", b"irot" in file.getvalue())
expected = {"JPEG": "upright", "WEBP": "upright", "AVIF": "lying"}
sys.exit(0 if seen == expected else "it has changed")
PYTHON
