"""Training stages: the head on cached features, then fine-tuning; Keras `fit` is the trainer."""

from lazy_loader import attach_stub

# The names stand in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
