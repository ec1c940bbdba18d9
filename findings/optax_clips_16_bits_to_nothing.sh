#!/usr/bin/env bash
# Optax clips float16 gradients that are somewhat large to 0, and not to the limit.
#
# Guess before running: clip_by_global_norm(1) gives gradients of norm 1 wherever theirs
# is larger, in 16 bits as in 32, within rounding: sums of squares are kept in 32 bits,
# as float16's largest number is 65504.
# Seen: squares and their sum are float16. From a norm of 256 on that sum is infinite,
# the gradients are divided by its root, and all of them are 0: no error, no nan, no
# step; of a thousand gradients a single 300 takes the others with it. So clipping
# fails where it is needed, and where a loss is scaled for float16. The same for
# normalize_by_update_norm, for adaptive_grad_clip, and for scale_by_trust_ratio, as
# LAMB and LARS have it; for clip_by_block_rms, scale_by_rms and scale_by_adam from
# single gradients of 256 on. bfloat16 has no such limit, and float32 is as it should
# be.
#
# Versions: optax 0.2.8, jax 0.10.2, numpy 2.4.6, Python 3.11.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check \
    optax==0.2.8 jax==0.10.2 numpy==2.4.6
cat > "$place/clip.py" <<'PYTHON'
import jax.numpy as jnp
import optax


def update(transformation, gradients):
    """What becomes of gradients, for weights of 1."""
    weights = jnp.ones_like(gradients)
    return transformation.update(gradients, transformation.init(weights), weights)[0]


for name, arguments in (
        ("clip_by_global_norm", [1.]), ("normalize_by_update_norm", []),
        ("adaptive_grad_clip", [.5]), ("scale_by_trust_ratio", []),
        ("clip_by_block_rms", [.5]), ("scale_by_rms", [.75]), ("scale_by_adam", [])):
    for dtype in "float16", "bfloat16", "float32":
        found = [update(getattr(optax, name)(*arguments), jnp.full(4, size, dtype))
                 for size in (100, 200, 300)]
        norms = [float(jnp.linalg.norm(one.astype("float32"))) for one in found]
        print(name, dtype, "of four times 100, 200, 300: norm",
              *(f"{norm:.1f}" for norm in norms))

many = jnp.full(1000, .5, "float16").at[0].set(300)
clipped = update(optax.clip_by_global_norm(1.), many)
print("one of 300 among a thousand: not 0 are", int((clipped != 0).sum()))
PYTHON
expected='clip_by_global_norm float16 of four times 100, 200, 300: norm 1.0 0.0 0.0
clip_by_global_norm bfloat16 of four times 100, 200, 300: norm 1.0 1.0 1.0
clip_by_global_norm float32 of four times 100, 200, 300: norm 1.0 1.0 1.0
normalize_by_update_norm float16 of four times 100, 200, 300: norm 1.0 0.0 0.0
normalize_by_update_norm bfloat16 of four times 100, 200, 300: norm 1.0 1.0 1.0
normalize_by_update_norm float32 of four times 100, 200, 300: norm 1.0 1.0 1.0
adaptive_grad_clip float16 of four times 100, 200, 300: norm 1.0 0.0 0.0
adaptive_grad_clip bfloat16 of four times 100, 200, 300: norm 1.0 1.0 1.0
adaptive_grad_clip float32 of four times 100, 200, 300: norm 1.0 1.0 1.0
scale_by_trust_ratio float16 of four times 100, 200, 300: norm 2.0 0.0 0.0
scale_by_trust_ratio bfloat16 of four times 100, 200, 300: norm 2.0 2.0 2.0
scale_by_trust_ratio float32 of four times 100, 200, 300: norm 2.0 2.0 2.0
clip_by_block_rms float16 of four times 100, 200, 300: norm 1.0 1.0 0.0
clip_by_block_rms bfloat16 of four times 100, 200, 300: norm 1.0 1.0 1.0
clip_by_block_rms float32 of four times 100, 200, 300: norm 1.0 1.0 1.0
scale_by_rms float16 of four times 100, 200, 300: norm 4.0 4.0 0.0
scale_by_rms bfloat16 of four times 100, 200, 300: norm 4.0 4.0 4.0
scale_by_rms float32 of four times 100, 200, 300: norm 4.0 4.0 4.0
scale_by_adam float16 of four times 100, 200, 300: norm 2.0 2.0 0.0
scale_by_adam bfloat16 of four times 100, 200, 300: norm 2.0 2.0 2.0
scale_by_adam float32 of four times 100, 200, 300: norm 2.0 2.0 2.0
one of 300 among a thousand: not 0 are 0'
seen=$("$place/env/bin/python" "$place/clip.py")
echo "$seen"
test "$seen" = "$expected" || { echo "expected: $expected" >&2; exit 1; }
