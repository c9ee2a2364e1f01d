"""Names that servers, Kubernetes and registries of images take."""

import re
from pathlib import Path

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(:[A-Za-z0-9_][\w.-]*)?(@sha256:[0-9a-f]{64})?", re.A
)


def check_name(name: str) -> list[str]:
    """What is wrong with a model's name; nothing when it can be one anywhere.

    Example:
        >>> check_name("digits")
        []
    """
    if _NAME.fullmatch(name):
        return []
    return [f"the name '{name}' is not made of small letters, digits and dashes, 40 at most"]


def model_name(run: Path) -> str:
    """A run's name as servers take it.

    Example:
        >>> model_name(Path("runs/faq_small"))
        'faq-small'
    """
    return re.sub(r"[^a-z0-9]+", "-", run.name.lower()).strip("-")


def own_image(name: str, version: int) -> str:
    """What a bundle's own image is called when nobody said it.

    Example:
        >>> own_image("digits", 3)
        'registry.example.com/digits:3'
    """
    return f"registry.example.com/{name}:{version}"


def check_images(own: str | None, server: str) -> list[str]:
    """What is wrong with the names of two images: the bundle's own, and the server's, which needs a tag.

    Example:
        >>> check_images(None, "tensorflow/serving:2.19.1")
        []
    """
    faults = [
        f"'{image}' is no name of an image"
        for image in (own, server)
        if image is not None and not _IMAGE.fullmatch(image)
    ]
    if ":" not in server.rpartition("/")[2]:
        faults.append(f"the server's image '{server}' has no tag: it would be another one tomorrow")
    return faults
