"""Language models of keras-hub as files with a key-value cache, for LiteRT and for LiteRT-LM."""

from tfkit.exporters.language_model.export import LanguageModelFiles

__all__ = ["LanguageModelFiles"]
