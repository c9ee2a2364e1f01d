"""Monitoring after deployment: whether what a model is asked, and what it answers, still is what it was proved on."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
