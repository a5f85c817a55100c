"""The pod template: restricted, and changed by nothing but the resource."""

from typing import Any

import pytest

from embedding_contract.tuning import TuningFile
from embedding_operator.render.deployment import deployment
from embedding_operator.render.desired import desired
from fakes.plans import CPU, GPU, plan


def pod(**spec: Any) -> dict[str, Any]:
    template: dict[str, Any] = deployment(plan(**spec))["spec"]["template"]["spec"]
    return template


def variables(**spec: Any) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod(**spec)["containers"][0]["env"]}


@pytest.mark.parametrize(
    "knobs",
    [{"numStreams": 5}, {"semaphoreSize": 9}, {"decodeWorkers": 3}, {"decodeDevice": "cpu"},
     {"tuning": {"mode": "Off"}}],
)  # fmt: skip
def test_a_live_knob_never_changes_the_template(knobs: dict[str, Any]) -> None:
    assert deployment(plan(**knobs)) == deployment(plan())


def test_a_change_that_needs_a_restart_changes_it() -> None:
    assert deployment(plan(maxBatch=64)) != deployment(plan())


@pytest.mark.parametrize("spec", [GPU, CPU])
def test_the_pod_meets_the_restricted_standard(spec: dict[str, Any]) -> None:
    made = pod(**spec)
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert made["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert made["automountServiceAccountToken"] is False


def test_a_gpu_is_requested_limited_and_tolerated() -> None:
    made = pod(**GPU)
    resources = made["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu.shared"] == "1"
    assert resources["limits"]["nvidia.com/gpu.shared"] == "1"
    keys = [each["key"] for each in made["tolerations"]]
    assert keys == ["team", "nvidia.com/gpu", "nvidia.com/gpu.shared"]
    assert variables(**GPU)["EMBEDDING_DEVICE"] == "cuda"


def test_a_service_without_gpu_asks_for_none() -> None:
    made = pod(**CPU)
    assert "tolerations" not in made
    assert "nvidia.com/gpu" not in str(made)
    assert "shared-memory" not in str(made)
    assert variables(**CPU)["EMBEDDING_DEVICE"] == "cpu"


def test_the_cpu_limit_reaches_the_server_in_cores() -> None:
    assert variables(**CPU)["EMBEDDING_CPU_LIMIT"] == "1.5"
    assert "EMBEDDING_CPU_LIMIT" not in variables()


def test_a_rollout_never_waits_for_a_gpu_that_it_holds() -> None:
    strategy = deployment(plan())["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_the_tuning_file_is_mounted_as_a_folder() -> None:
    mounts = pod()["containers"][0]["volumeMounts"]
    tuning = next(each for each in mounts if each["name"] == "tuning")
    assert tuning == {"name": "tuning", "mountPath": "/etc/embedding/tuning", "readOnly": True}


def test_the_drain_fits_into_the_grace_period() -> None:
    assert pod(limits={"drainSeconds": 12.5})["terminationGracePeriodSeconds"] == 23


def test_the_image_folder_is_there_only_when_asked_for() -> None:
    assert "EMBEDDING_IMAGE_FOLDER" not in variables()
    with_images = {"images": {"volume": {"hostPath": {"path": "/x"}}}}
    assert variables(**with_images)["EMBEDDING_IMAGE_FOLDER"] == "/var/lib/embedding/images"
    assert {"name": "images", "hostPath": {"path": "/x"}} in pod(**with_images)["volumes"]


def test_the_api_keys_are_a_folder_that_follows_the_secret() -> None:
    assert "EMBEDDING_API_KEYS_FILE" not in variables()
    spec = {"apiKeys": {"secretName": "clip-keys"}}
    assert variables(**spec)["EMBEDDING_API_KEYS_FILE"] == "/etc/embedding/api-keys/keys"
    mounts = pod(**spec)["containers"][0]["volumeMounts"]
    assert {"name": "api-keys", "mountPath": "/etc/embedding/api-keys", "readOnly": True} in mounts
    items = [{"key": "keys", "path": "keys"}]
    secret = {"secretName": "clip-keys", "items": items}
    assert {"name": "api-keys", "secret": secret} in pod(**spec)["volumes"]


def test_traces_go_where_the_resource_says() -> None:
    assert not [name for name in variables() if name.startswith("OTEL_")]
    found = variables(tracing={"endpoint": "http://collector:4318", "samplingRatio": 0.25})
    assert {name: value for name, value in found.items() if name.startswith("OTEL_")} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_SERVICE_NAME": "clip",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }


def test_local_checkpoints_can_be_mounted() -> None:
    model = {"name": "m", "pretrained": "/var/lib/embedding/models/m.pt",
             "volume": {"hostPath": {"path": "/models"}}}  # fmt: skip
    mounts = pod(model=model)["containers"][0]["volumeMounts"]
    assert {"name": "models", "mountPath": "/var/lib/embedding/models", "readOnly": True} in mounts


def test_every_name_fits_where_the_longest_resource_name_is_used() -> None:
    made = plan("a" * 40)
    for child in desired(made, TuningFile(1, made.spec.setting)):
        assert len(child["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in child["metadata"]["labels"].values())
