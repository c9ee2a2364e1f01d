from .kind import Bits, Fault, Kind, Ties
from .known import KINDS, UNKNOWN, kind_of, own_kind_of, treatment_of

__all__ = ["KINDS", "UNKNOWN", "Bits", "Fault", "Kind", "Ties", "kind_of", "own_kind_of", "treatment_of"]
