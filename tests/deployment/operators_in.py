"""Write the operators that some version of TensorFlow's libraries know; this process never imports TensorFlow.

    python operators_in.py LIBRARIES OUTPUT

OUTPUT is a serialised `OpList`.
"""

import ctypes
import sys
from pathlib import Path


class Buffer(ctypes.Structure):
    """TF_Buffer of TensorFlow's C interface."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("release", ctypes.c_void_p))


libraries = Path(sys.argv[1])
ctypes.CDLL(str(libraries / "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL)
TENSORFLOW = ctypes.CDLL(str(libraries / "libtensorflow_cc.so.2"), ctypes.RTLD_GLOBAL)
TENSORFLOW.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
found = TENSORFLOW.TF_GetAllOpList().contents
Path(sys.argv[2]).write_bytes(ctypes.string_at(found.data, found.length))
