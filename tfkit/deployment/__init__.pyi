from .bundle import Bundle, new_bundle, read_bundle, seal_bundle
from .decoding import sent_name
from .engines import checked_engine
from .names import check_images, check_name, model_name
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
from .web import WebOptions, web_model, web_values, write_web_model

__all__ = [
    "MODEL_TEMPLATES",
    "SERVER_CPU_TEMPLATES",
    "SERVING_IMAGE",
    "TRITON_IMAGE",
    "TRITON_TEMPLATES",
    "Bundle",
    "GoldenRequest",
    "ServerCpuOptions",
    "ServingOptions",
    "TritonOptions",
    "WebOptions",
    "accepted_file",
    "answered_by_bundle",
    "answering",
    "check_images",
    "check_name",
    "checked_engine",
    "checked_serving",
    "cpu_model",
    "cpu_values",
    "cpu_warm_up",
    "decoded_bytes",
    "golden_answers",
    "golden_requests",
    "model_name",
    "model_versions",
    "new_bundle",
    "proved_answers",
    "proved_files",
    "read_bundle",
    "refuse_other_answers",
    "render_templates",
    "repository_values",
    "rest_document",
    "seal_bundle",
    "sent_name",
    "served_model",
    "serving_values",
    "triton_model",
    "triton_values",
    "warm_up_records",
    "warm_up_samples",
    "web_model",
    "web_values",
    "write_cpu_model",
    "write_labels",
    "write_model",
    "write_requests",
    "write_version",
    "write_web_model",
]
