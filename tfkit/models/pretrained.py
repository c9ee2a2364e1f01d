"""Weights for a backbone: published ones, a file, or none."""

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import keras

from tfkit.errors import ModelError


def load_weights_file(model: keras.Model, path: Path) -> None:
    """Load a weights file into a backbone; a classifier's extra layers in the file are left out.

    Args:
        model: The backbone; changed in place.
        path: A `.weights.h5` file of Keras 3, or an `.h5` weights file of Keras 2 (matched by layer names).

    Raises:
        ModelError: When there is no such file, or its weights have other shapes.

    Example:
        >>> load_weights_file(backbone, Path("mobilenet_v2.weights.h5"))  # doctest: +SKIP
    """
    if not path.is_file():
        raise ModelError(f"there is no weights file '{path}'", hint="set model.weights to a .weights.h5 or .h5 file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.name.endswith(".weights.h5"):
                model.load_weights(path)
            else:
                model.load_weights(path, by_name=True)
    except ValueError as fault:
        raise ModelError(
            f"the weights in '{path}' do not fit {model.name}: {_mismatch(str(fault))}",
            hint="check model.backbone, model.width and data.channels against the network the file was saved from",
        ) from fault
    except Exception as fault:  # h5py raises OSError and KeyError for a file that is none of its own
        raise ModelError(
            f"'{path}' cannot be read as weights: {str(fault).strip().splitlines()[0]}",
            hint="tfkit reads the .weights.h5 files of Keras 3 and the .h5 weights of Keras 2",
        ) from fault


def _mismatch(message: str) -> str:
    """Keras's own account without the pages of numbers it prints."""
    count = re.search(r"A total of (\d+) objects", message)
    layer = re.search(r"object <(\w+ name=\S+?),", message)
    shapes = re.search(r"variable\.shape=(\(.*?\)).*?value\.shape=(\(.*?\))", message, re.DOTALL)
    if layer is None or shapes is None:
        return " ".join(message.split())[:300]
    others = f"; {count.group(1)} layers differ in all" if count else ""
    return f"{layer.group(1)} has shape {shapes.group(1)}, the file's has {shapes.group(2)}{others}"


def download_or_explain(build: Callable[[], keras.Model], name: str) -> keras.Model:
    """Build a model whose weights Keras downloads, and say what to do where there is no network.

    Args:
        build: Builds the model, downloading its weights unless they are in Keras's cache.
        name: The backbone's name, for the message.

    Returns:
        What `build` returns.

    Raises:
        ModelError: When the weights cannot be had; names the file and where to put it.
    """
    try:
        return build()
    except Exception as fault:  # urllib, ssl, socket and Keras's own kinds all mean the same here
        if (address := re.search(r"https?://\S+?\.h5", str(fault))) is None:
            raise
        file = address.group(0).rsplit("/", 1)[-1]
        cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
        raise ModelError(
            f"the published weights of {name} cannot be downloaded here ({file})",
            hint=f"where there is a network fetch {address.group(0)} and put it at {cache / file}; "
            "or set model.weights to a weights file that you have, or to random",
        ) from None
