"""Griffe extension: `Example:` in a docstring is shown as code, as `Examples:` is."""

import re
from typing import Any

import griffe


class DocstringExamples(griffe.Extension):
    """Rename the section before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every object with a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
