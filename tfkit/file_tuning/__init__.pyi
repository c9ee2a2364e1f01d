from .model import IntegerFileModel, read_integer_file
from .training import Tuning, tune
from .writing import written_back

__all__ = ["IntegerFileModel", "Tuning", "read_integer_file", "tune", "written_back"]
