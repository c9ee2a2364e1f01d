"""What a run found, told to people, programs, TensorBoard and the terminal.

TensorFlow, Keras and matplotlib are loaded only by the functions that need them.
"""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
