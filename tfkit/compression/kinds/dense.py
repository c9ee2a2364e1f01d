"""Dense layers."""

from tfkit.compression.kinds.kernels import (
    compressed_as,
    fold_kernel,
    kernel_sums,
    settle_kernel,
    split_activation,
    strip_kernel,
    train_on_grid,
)
from tfkit.compression.kinds.kind import Kind
from tfkit.layers import CompressedDense

DENSE = Kind(
    covers=compressed_as(CompressedDense),
    treatment="kernel",
    runs_activation=True,
    split=split_activation,
    train=train_on_grid,
    settle=settle_kernel,
    sums=kernel_sums,
    fold=fold_kernel,
    strip=strip_kernel,
)
KINDS = (DENSE,)
