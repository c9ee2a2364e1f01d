"""The smallest model within a budget: composes compression, export and proof."""
