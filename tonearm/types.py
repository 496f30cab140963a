"""Names for the arrays that pass between the core's modules. Shapes stand in each function's docstring."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.intp]
Samples = NDArray[np.float32]
