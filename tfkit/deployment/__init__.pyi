from .bundle import Bundle, new_bundle, read_bundle, seal_bundle
from .requests import GoldenRequest, answering, golden_requests, rest_document, warm_up_records, write_requests
from .serving import (
    ServingOptions,
    checked_serving,
    model_name,
    model_versions,
    served_model,
    serving_values,
    write_model,
)
from .templates import render_templates
from .web import WebOptions, web_model, web_values, write_web_model

__all__ = [
    "Bundle",
    "GoldenRequest",
    "ServingOptions",
    "WebOptions",
    "answering",
    "checked_serving",
    "golden_requests",
    "model_name",
    "model_versions",
    "new_bundle",
    "read_bundle",
    "render_templates",
    "rest_document",
    "seal_bundle",
    "served_model",
    "serving_values",
    "warm_up_records",
    "web_model",
    "web_values",
    "write_model",
    "write_requests",
    "write_web_model",
]
