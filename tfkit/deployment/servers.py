"""What the templates of `servers` ask of a server: its ports and paths, and how Prometheus counts what it does."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Signals:
    """A server's metrics in PromQL, for the alerts and the dashboard that all servers share.

    Attributes:
        requests: What is counted of requests, by what the legend calls it.
        failing: The share of requests that fail.
        latency: Its latency in microseconds, with QUANTILE where the quantile stands.
        waiting: How long requests wait for their turn, likewise.
        any_requests: Requests a second in the last quarter of an hour.
        waits_for: What the dashboard calls the wait.

    Example:
        >>> Signals({"good": "up"}, "0", "1", "0", "rate(up[15m])").waits_for
        'Waiting for a batch'
    """

    requests: dict[str, str]
    failing: str
    latency: str
    waiting: str
    any_requests: str
    waits_for: str = "Waiting for a batch"


@dataclass(frozen=True)
class Server:
    """A server behind the front that all servers share.

    Attributes:
        service: What compose and Kubernetes call its container.
        rest: Its port of HTTP.
        grpc: Its port of gRPC.
        metrics: Its port for Prometheus.
        metrics_path: The path there.
        ready_path: What answers 200 once the model is there.
        ready_word: What its answer then holds, where 200 alone does not say it.
        asked: The paths that clients may send requests to, as nginx's regular expression.
        asked_words: The same for people.
        signals: Its metrics.
        says_500_of_bad_json: Whether it answers a body that it cannot parse with 500, which the front makes 400.
        grpc_calls: The gRPC calls that clients may make through the front, as paths; none: gRPC stays inside.
        grace_seconds: How long it may go on with what it has begun when it is told to stop.
        shared_memory_mib: What it needs in /dev/shm.
        start_attempts: Of five seconds each, until it must be ready.
    """

    service: str
    rest: int
    grpc: int
    metrics: int
    metrics_path: str
    ready_path: str
    asked: str
    asked_words: str
    signals: Signals
    ready_word: str = ""
    says_500_of_bad_json: bool = False
    grpc_calls: tuple[str, ...] = ()
    grace_seconds: int = 30
    shared_memory_mib: int = 0
    start_attempts: int = 24


def tensorflow_serving(name: str, labels: tuple[str, ...]) -> Server:
    """TensorFlow Serving with one model.

    Args:
        name: The model's name.
        labels: The labels of its versions.

    Example:
        >>> tensorflow_serving("digits", ("stable",)).rest
        8501
    """
    count = f':tensorflow:serving:request_count{{job="{name}"}}'
    failed = f':tensorflow:serving:request_count{{job="{name}", status!="OK"}}'

    def quantile(metric: str) -> str:
        return (
            f'histogram_quantile(QUANTILE, sum by (le) (rate(:tensorflow:serving:{metric}_bucket{{job="{name}"}}[5m])))'
        )

    return Server(
        service="serving",
        rest=8501,
        grpc=8500,
        metrics=8501,
        metrics_path="/monitoring/prometheus/metrics",
        ready_path=f"/v1/models/{name}",
        ready_word="AVAILABLE",
        asked=f"^/v1/models/{name}(/labels/({'|'.join(labels)}))?:predict$",
        asked_words=f"POST /v1/models/{name}:predict",
        signals=Signals(
            requests={"{{status}}": f"sum by (status) (rate({count}[5m]))"},
            failing=f"sum(rate({failed}[5m])) / sum(rate({count}[5m]))",
            latency=quantile("request_latency"),
            waiting=quantile("batching_session:queuing_latency"),
            any_requests=f"sum(rate({count}[15m]))",
        ),
    )


def triton(name: str) -> Server:
    """NVIDIA Triton with one model, started with `--metrics-config=summary_latencies=true`.

    Its metrics are those of https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html.

    Example:
        >>> triton("digits").ready_path
        '/v2/health/ready'
    """
    done, failed = (f'nv_inference_request_{what}{{job="{name}"}}' for what in ("success", "failure"))

    def summary(metric: str) -> str:
        return f'max(nv_inference_{metric}_summary_us{{job="{name}", quantile="QUANTILE"}})'

    return Server(
        service="triton",
        rest=8000,
        grpc=8001,
        metrics=8002,
        metrics_path="/metrics",
        ready_path="/v2/health/ready",
        asked=f"^/v2/models/{name}(/versions/[0-9]+)?/infer$",
        asked_words=f"POST /v2/models/{name}/infer",
        signals=Signals(
            requests={
                "answered": f"sum(rate({done}[5m]))",
                "refused: {{reason}}": f"sum by (reason) (rate({failed}[5m]))",
            },
            failing=f"sum(rate({failed}[5m])) / (sum(rate({done}[5m])) + sum(rate({failed}[5m])))",
            latency=summary("request"),
            waiting=summary("queue"),
            any_requests=f"sum(rate({done}[15m])) + sum(rate({failed}[15m]))",
            waits_for="Waiting for an instance",
        ),
        says_500_of_bad_json=True,
        grpc_calls=("/inference.GRPCInferenceService/ModelInfer",),
        shared_memory_mib=256,
    )


def openvino(name: str) -> Server:
    """OpenVINO Model Server with one model, with its default metrics on the port of HTTP.

    Its metrics are those of https://docs.openvino.ai/2025/model-server/ovms_docs_metrics.html.

    Example:
        >>> openvino("digits").grpc
        9000
    """
    done, failed = (f'ovms_requests_{what}{{job="{name}", method="ModelInfer"}}' for what in ("success", "fail"))

    def quantile(metric: str) -> str:
        return f'histogram_quantile(QUANTILE, sum by (le) (rate(ovms_{metric}_bucket{{job="{name}"}}[5m])))'

    return Server(
        service="openvino",
        rest=8000,
        grpc=9000,
        metrics=8000,
        metrics_path="/metrics",
        ready_path=f"/v2/models/{name}/ready",
        asked=f"^/v2/models/{name}(/versions/[0-9]+)?/infer$",
        asked_words=f"POST /v2/models/{name}/infer",
        signals=Signals(
            requests={"answered": f"sum(rate({done}[5m]))", "refused": f"sum(rate({failed}[5m]))"},
            failing=f"sum(rate({failed}[5m])) / (sum(rate({done}[5m])) + sum(rate({failed}[5m])))",
            latency=quantile("request_time_us"),
            waiting=quantile("wait_for_infer_req_time_us"),
            any_requests=f"sum(rate({done}[15m])) + sum(rate({failed}[15m]))",
            waits_for="Waiting for a stream",
        ),
        grpc_calls=("/inference.GRPCInferenceService/ModelInfer",),
    )


def body_megabytes(request_bytes: int) -> int:
    """What a body may hold: four times the largest golden request, and never less than 2 MB.

    Example:
        >>> body_megabytes(1_200_000)
        5
    """
    return max(2, math.ceil(4 * request_bytes / 1e6))


def memory_mib(started: int, copies: float, model_bytes: int) -> int:
    """An estimate of a server's memory, in whole 128 MiB and 512 at least.

    Args:
        started: MiB without the model.
        copies: How often the model's bytes lie in memory.
        model_bytes: Its bytes.

    Example:
        >>> memory_mib(256, 4, 100_000_000)
        768
    """
    return max(512, math.ceil((started + copies * model_bytes / 1e6) / 128) * 128)
