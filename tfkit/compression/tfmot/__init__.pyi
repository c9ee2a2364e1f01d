from .exporting import export_tfmot_int8, tfmot_quantize_aware
from .fitting import fit_tfmot
from .layer_table import Technique, TfmotRefusal
from .rebuilding import copy_weights_back, rebuild_in_tf_keras, tfmot_refusals
from .sparsity import tfmot_cluster, tfmot_prune, tfmot_strip
from .twin import TfKerasTwin

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
