"""The plan on a GPU: fused kernels, and whole steps replayed as one CUDA graph."""

from .plan import GpuPlan

__all__ = ["GpuPlan"]
