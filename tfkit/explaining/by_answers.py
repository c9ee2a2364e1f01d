"""Heat maps of any model of pictures, from its answers alone: occlusion here, SHAP and LIME by their own libraries.

SHAP and LIME need the extra `explain`. Both cover parts of a picture and see what the score does.
"""

import contextlib
import io
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ConfigError
from tfkit.explaining.methods import HeatMapMethod, refuse_missing_method
from tfkit.explaining.pictures import Scores, blur, occlusion

_BATCH = 32
_ASKED = 500  # times that SHAP and LIME ask the model about one picture; both libraries' examples take 500 to 1,000
_PARTS = 64  # of a picture that LIME covers: as many as occlusion's tiles that do not overlap
# Of 10, the default, superpixels follow stripes and noise, and hide nothing when they are covered.
_COMPACTNESS = 100


def heat_map(
    scores: Scores, pixels: NDArray[np.uint8], class_index: int, *, method: HeatMapMethod, seed: int = 0
) -> NDArray[np.float32]:
    """Ask any model which parts of a picture spoke for a class.

    Args:
        scores: The model.
        pixels: uint8 (height, width, channels).
        class_index: The class.
        method: `occlusion`, `shap` or `lime`.
        seed: Of what LIME covers.

    Returns:
        float32 (height, width): above zero what spoke for the class, below zero what spoke against it.

    Raises:
        ConfigError: When the method is unknown, or its library is not installed.

    Example:
        >>> bright = lambda batch: batch[:, :4, :4].mean((1, 2, 3))[:, None] / 255
        >>> pixels = np.zeros((8, 8, 1), np.uint8)
        >>> pixels[:4, :4] = 255
        >>> heat = heat_map(bright, pixels, 0, method="occlusion")
        >>> bool(heat[:4, :4].mean() > heat[4:, 4:].mean())
        True
    """
    if method not in get_args(HeatMapMethod):
        raise ConfigError(f"a heat map is made by {', '.join(get_args(HeatMapMethod))}; got {method!r}")
    refuse_missing_method(method, asked="the method")
    if method == "occlusion":
        return occlusion(scores, pixels, class_index)
    return (
        shap_values(scores, pixels, class_index) if method == "shap" else lime(scores, pixels, class_index, seed=seed)
    )


def shap_values(
    scores: Scores, pixels: NDArray[np.uint8], class_index: int, *, times: int = _ASKED
) -> NDArray[np.float32]:
    """Share a score out among the parts of a picture: SHAP's Owen values, over a tree of ever smaller parts.

    They add up to what the picture's score is above that of its blur. By `shap.PartitionExplainer`. Source: Lundberg
    and Lee 2017, A Unified Approach to Interpreting Model Predictions (arXiv:1705.07874).

    Args:
        scores: The model.
        pixels: uint8 (height, width, channels).
        class_index: The class.
        times: Pictures that the model is asked about, at most.

    Example:
        >>> bright = lambda batch: batch[:, :4, :4].mean((1, 2, 3))[:, None] / 255
        >>> pixels = np.zeros((8, 8, 1), np.uint8)
        >>> pixels[:4, :4] = 255
        >>> heat = shap_values(bright, pixels, 0)
        >>> bool(heat[:4, :4].mean() > heat[4:, 4:].mean())
        True
    """
    import shap

    def answered(batch: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(scores(batch.round().clip(0, 255).astype(np.uint8))[:, class_index : class_index + 1])

    covered = shap.maskers.Image(blur(pixels).astype(np.float64), pixels.shape)
    told = shap.PartitionExplainer(answered, covered)(
        pixels[None].astype(np.float64), max_evals=times, batch_size=_BATCH, silent=True
    )
    return np.asarray(told.values[0, ..., 0].sum(axis=-1), np.float32)


def lime(
    scores: Scores, pixels: NDArray[np.uint8], class_index: int, *, times: int = _ASKED, seed: int = 0
) -> NDArray[np.float32]:
    """Fit a linear model to what a score does while parts of like colour are covered; each part gets its weight.

    By `lime.lime_image`, on about 64 superpixels of SLIC, which the blurred picture covers. Source: Ribeiro, Singh and
    Guestrin 2016, "Why Should I Trust You?" (arXiv:1602.04938).

    Args:
        scores: The model.
        pixels: uint8 (height, width, channels).
        class_index: The class.
        times: Pictures that the model is asked about.
        seed: Of what is covered.

    Example:
        >>> bright = lambda batch: batch[:, :4, :4].mean((1, 2, 3))[:, None] / 255
        >>> pixels = np.zeros((8, 8, 1), np.uint8)
        >>> pixels[:4, :4] = 255
        >>> heat = lime(bright, pixels, 0)
        >>> bool(heat[:4, :4].mean() > heat[4:, 4:].mean())
        True
    """
    from lime.lime_image import LimeImageExplainer
    from skimage.segmentation import slic

    channels = pixels.shape[-1]
    coloured = np.repeat(pixels, 3, axis=2) if channels == 1 else pixels  # the library takes three

    def answered(batch: NDArray[np.uint8]) -> NDArray[np.floating]:
        return np.asarray(scores(np.asarray(batch, np.uint8)[..., :channels])[:, class_index : class_index + 1])

    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        told = LimeImageExplainer(random_state=seed).explain_instance(
            coloured,
            answered,
            labels=(0,),
            top_labels=None,
            num_samples=times,
            batch_size=_BATCH,
            hide_color=blur(coloured),
            segmentation_fn=lambda picture: slic(picture, n_segments=_PARTS, compactness=_COMPACTNESS, start_label=0),
        )
    weights = np.zeros(int(told.segments.max()) + 1, np.float32)
    for part, weight in told.local_exp[0]:
        weights[part] = weight
    return np.asarray(weights[told.segments], np.float32)
