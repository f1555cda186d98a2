"""Names for the kinds of NumPy arrays, and the rounding unit, that all rooms share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

EPS = float(np.finfo(np.float64).eps)  # distance from 1 to the next float64
