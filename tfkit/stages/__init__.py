"""Whole stages of compression, training included, as recipes and the budget search run them.

What is named here is loaded when it is first asked for: stages of texts load keras-hub, which images can do without.
"""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
