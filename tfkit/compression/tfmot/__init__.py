"""The tensorflow-model-optimization engine: a Keras 3 classifier rebuilt in tf-keras, where tfmot works.

tf-keras and tfmot are imported by the first call, never before.
"""

from tfkit.compression.tfmot.exporting import export_tfmot_int8
from tfkit.compression.tfmot.fitting import fit_tfmot
from tfkit.compression.tfmot.layer_table import Technique, TfmotRefusal
from tfkit.compression.tfmot.quantization import tfmot_quantize_aware
from tfkit.compression.tfmot.rebuilding import copy_weights_back, rebuild_in_tf_keras, tfmot_refusals
from tfkit.compression.tfmot.sparsity import tfmot_cluster, tfmot_prune, tfmot_strip
from tfkit.compression.tfmot.twin import TfKerasTwin

__all__ = [
    "Technique",
    "TfKerasTwin",
    "TfmotRefusal",
    "copy_weights_back",
    "export_tfmot_int8",
    "fit_tfmot",
    "rebuild_in_tf_keras",
    "tfmot_cluster",
    "tfmot_prune",
    "tfmot_quantize_aware",
    "tfmot_refusals",
    "tfmot_strip",
]
