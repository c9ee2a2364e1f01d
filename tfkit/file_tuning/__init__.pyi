from .model import IntegerFileModel, read_integer_file
from .training import Tuned, Tuning, tune
from .writing import written_back

__all__ = ["IntegerFileModel", "Tuned", "Tuning", "read_integer_file", "tune", "written_back"]
