"""The plan on a CPU: fused convolutions, Winograd's transforms, a thread a core."""

from .plan import CpuPlan

__all__ = ["CpuPlan"]
