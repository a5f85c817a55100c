"""Bad input in the resource: refused at the door, or said in a condition, in words that help."""

from pathlib import Path

import pytest
from inside.errors import CommandFailedError
from inside.kubectl import Document, apply, kubectl
from inside.service import Service
from inside.targets import Targets
from inside.wait import eventually

from e2e.stay import Stay

pytestmark = pytest.mark.cluster
SAMPLES = sorted((Path(__file__).parents[2] / "k8s/samples").glob("*.yaml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_taken_by_the_api_server(stay: Stay, sample: Path) -> None:
    said = kubectl("-n", stay.namespace, "apply", "--dry-run=server", "-f", str(sample))
    assert "created (server dry run)" in said


def test_there_are_samples() -> None:
    assert {path.name for path in SAMPLES} >= {
        "minimal.yaml", "cpu.yaml", "gpu.yaml", "recommend.yaml",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            {"numStreams": 0},
            ["spec.numStreams", "0", "greater than or equal to 1"],
            id="no streams",
        ),
        pytest.param(
            {
                "semaphoreSize": 2,
                "tuning": {"bounds": {"semaphoreSize": {"min": 4, "max": 16}}},
            },
            ["semaphoreSize", "bounds"],
            id="a semaphore below its bound",
        ),
        pytest.param(
            {"tuning": {"bounds": {"numStreams": {"min": 4, "max": 2}}}},
            ["spec.tuning.bounds.numStreams", "min must not be greater than max"],
            id="min over max",
        ),
        pytest.param({"numStream": 2}, ["unknown field", "spec.numStream"], id="an unknown field"),
        pytest.param(
            {"gpu": {"count": 0}, "decodeDevice": "gpu"},
            ["decodeDevice", "gpu.count"],
            id="decoding on a GPU that is not asked for",
        ),
    ],
)
def test_a_bad_spec_is_refused_with_what_to_do(
    stay: Stay, targets: Targets, spec: Document, words: list[str]
) -> None:
    with pytest.raises(CommandFailedError) as refusal:
        apply(stay.document("bad", **spec))
    said = refusal.value.output
    targets.seen(
        f"refused: {', '.join(words[:1])}", "", "yes" if all(w in said for w in words) else "no",
        "names the field and the rule", met=all(word in said for word in words),
    )  # fmt: skip
    assert not [word for word in words if word not in said], said


def test_a_model_that_does_not_exist_is_named_in_the_condition(
    stay: Stay, targets: Targets
) -> None:
    apply(stay.document("nobody", model={"name": "ViT-Z-99", "pretrained": "random:0"}))
    service = Service(stay.api, stay.namespace, "nobody")

    def named() -> str:
        message = str(service.condition("Ready").get("message", ""))
        return message if "ViT-Z-99" in message else ""

    message = eventually(
        named, "Ready=False names the model", 120, last=lambda: str(service.condition("Ready"))
    )
    assert service.condition("Ready")["status"] == "False"
    assert service.condition("Degraded")["status"] == "True", service.conditions()
    assert "model.name" in message or "open_clip" in message, message
    targets.seen("a model that does not exist", "", "named", "named in Ready", met=True)
    kubectl("-n", stay.namespace, "delete", "embsvc", "nobody")
    service.close()
