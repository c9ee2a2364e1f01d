from .bundle import Bundle, is_bundle, new_bundle, read_bundle, seal_bundle, seal_run
from .core_ml import CORE_ML_NOT_CHECKED, write_core_ml
from .decoding import sent_name
from .engines import checked_engine
from .golden_files import GoldenSamples, golden_samples, write_golden_files
from .golden_texts import golden_texts
from .hugging_face import Repository, repository_name, upload, write_repository
from .lite_files import device_document, size_report
from .micro import MicroRun, micro_told, micro_values, run_in_micro, unfit_for_micro, write_micro_data
from .mlflow_store import MlflowRun, log_run
from .mobile import MobileOptions, mobile_left_out, mobile_model, mobile_values, write_mobile_model
from .names import check_images, check_name, model_name
from .npu import DEFAULT_ACCELERATOR, NpuOptions, compile_for_all, npu_model, npu_values
from .proved import accepted_file, proved_answers, proved_files
from .repository import MODEL_TEMPLATES, write_labels
from .requests import GoldenRequest, answering, golden_requests, rest_document, warm_up_records, write_requests
from .server_cpu import (
    SERVER_CPU_TEMPLATES,
    ServerCpuOptions,
    cpu_model,
    cpu_values,
    cpu_warm_up,
    decoded_bytes,
    golden_answers,
    write_cpu_model,
)
from .serving import (
    SERVING_IMAGE,
    ServingOptions,
    checked_serving,
    model_versions,
    served_model,
    serving_values,
    write_model,
)
from .sharing import Shared, share_run
from .signing import UNASKED_SIGNATURE, Signature, has_signature, sign_folder, verify_signature
from .templates import render_templates
from .triton import (
    TRITON_IMAGE,
    TRITON_TEMPLATES,
    TritonOptions,
    answered_by_bundle,
    refuse_other_answers,
    repository_values,
    triton_model,
    triton_values,
    warm_up_samples,
    write_version,
)
from .web import WebOptions, web_left_out, web_model, web_values, write_web_model

__all__ = [
    "CORE_ML_NOT_CHECKED",
    "DEFAULT_ACCELERATOR",
    "MODEL_TEMPLATES",
    "SERVER_CPU_TEMPLATES",
    "SERVING_IMAGE",
    "TRITON_IMAGE",
    "TRITON_TEMPLATES",
    "UNASKED_SIGNATURE",
    "Bundle",
    "GoldenRequest",
    "GoldenSamples",
    "MicroRun",
    "MlflowRun",
    "MobileOptions",
    "NpuOptions",
    "Repository",
    "ServerCpuOptions",
    "ServingOptions",
    "Shared",
    "Signature",
    "TritonOptions",
    "WebOptions",
    "accepted_file",
    "answered_by_bundle",
    "answering",
    "check_images",
    "check_name",
    "checked_engine",
    "checked_serving",
    "compile_for_all",
    "cpu_model",
    "cpu_values",
    "cpu_warm_up",
    "decoded_bytes",
    "device_document",
    "golden_answers",
    "golden_requests",
    "golden_samples",
    "golden_texts",
    "has_signature",
    "is_bundle",
    "log_run",
    "micro_told",
    "micro_values",
    "mobile_left_out",
    "mobile_model",
    "mobile_values",
    "model_name",
    "model_versions",
    "new_bundle",
    "npu_model",
    "npu_values",
    "proved_answers",
    "proved_files",
    "read_bundle",
    "refuse_other_answers",
    "render_templates",
    "repository_name",
    "repository_values",
    "rest_document",
    "run_in_micro",
    "seal_bundle",
    "seal_run",
    "sent_name",
    "served_model",
    "serving_values",
    "share_run",
    "sign_folder",
    "size_report",
    "triton_model",
    "triton_values",
    "unfit_for_micro",
    "upload",
    "verify_signature",
    "warm_up_records",
    "warm_up_samples",
    "web_left_out",
    "web_model",
    "web_values",
    "write_core_ml",
    "write_cpu_model",
    "write_golden_files",
    "write_labels",
    "write_micro_data",
    "write_mobile_model",
    "write_model",
    "write_repository",
    "write_requests",
    "write_version",
    "write_web_model",
]
