"""From apply to delete: one service with two pods, real photographs, live edits, bad images."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from inside.kubectl import kubectl
from inside.service import CONDITIONS, Service
from inside.targets import Targets
from inside.wait import eventually

from e2e.finalizers import FinalizerWatch
from e2e.pictures import EMPTY, TEXT, huge_png
from e2e.prometheus import value
from e2e.stay import Stay, lives
from embedding_contract import metrics
from embedding_contract.endpoints import EMBED_PATH, MODELS_PATH
from load.generator import Load, Plan
from load.photographs import photographs

pytestmark = pytest.mark.cluster
MAX_REQUEST_BYTES = 8 * 1024 * 1024
REPLICAS = 2


@pytest.fixture(scope="module")
def service(stay: Stay, targets: Targets) -> Iterator[Service]:
    begin = time.monotonic()
    limits = {"maxRequestBytes": MAX_REQUEST_BYTES}
    service = stay.service("clip", replicas=REPLICAS, limits=limits)
    targets.most("apply to Ready, two pods", "s", time.monotonic() - begin, 150)
    yield service
    service.close()


@pytest.fixture
def load(service: Service) -> Iterator[Load]:
    plan = Plan(service.url(), photographs(6), clients=4, images=3, seconds=120)
    with Load(plan) as running:
        eventually(lambda: running.figures().ok >= 8, "the load runs", 60, every=0.1)
        yield running


def test_the_resource_tells_its_state(service: Service) -> None:
    resource = service.resource()
    found = {each["type"]: each for each in resource["status"]["conditions"]}
    assert set(found) >= set(CONDITIONS)
    for each in found.values():
        assert each["observedGeneration"] == resource["metadata"]["generation"], each
        assert each["reason"]
        assert each["message"]
    states = {kind: found[kind]["status"] for kind in CONDITIONS[:4]}
    assert states == {
        "Ready": "True", "Progressing": "False", "Degraded": "False", "TuningInForce": "True",
    }  # fmt: skip
    listing = kubectl("-n", service.namespace, "get", "embsvc").splitlines()
    assert listing[0].split()[1:] == ["READY", "STREAMS", "SEMAPHORE", "BOTTLENECK", "MODE", "AGE"]
    row = listing[1].split()
    assert row[:4] == ["clip", "2/2", "1", "2"]


def test_every_child_belongs_to_the_resource(service: Service) -> None:
    uid = service.resource()["metadata"]["uid"]
    for path in CHILDREN:
        child = service.api.get(path.format(namespace=service.namespace, name=service.name))
        assert child, path
        owners = [owner["uid"] for owner in child["metadata"]["ownerReferences"]]
        assert owners == [uid], path


CHILDREN = (
    "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "/api/v1/namespaces/{namespace}/services/{name}",
    "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "/api/v1/namespaces/{namespace}/configmaps/{name}-tuning",
    "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}",
)


def test_vectors_are_those_of_open_clip_itself(service: Service, targets: Targets) -> None:
    from e2e.reference import cosine, reference_vectors  # imports torch: only this test pays

    files = photographs()
    parts = [("files", (each.name, each.data, each.media_type)) for each in files]
    answer = service.http.post(service.url() + EMBED_PATH, files=parts)
    assert answer.status_code == 200, answer.text
    assert answer.json()["errors"] == {}
    ours = {
        name: np.array(vector, np.float32) for name, vector in answer.json()["embeddings"].items()
    }
    theirs = reference_vectors(files, "sluice-tiny", "random:0")
    assert set(ours) == set(theirs)
    least = min(cosine(ours[name], theirs[name]) for name in theirs)
    targets.least("cosine to open_clip's own vectors, fp32", "cosine", least, 0.999)
    assert least >= 0.999
    # The comparison could not fail if all vectors were alike.
    assert cosine(theirs["china.jpg"], theirs["flower.jpg"]) < 0.999


def test_the_server_says_that_random_weights_mean_nothing(service: Service) -> None:
    models = service.http.get(service.url() + MODELS_PATH).json()["data"]
    assert [model["meaningful"] for model in models] == [False]


def test_a_bad_image_fails_alone_with_a_reason(service: Service, targets: Targets) -> None:
    good = photographs(1)[0]
    answer = service.http.post(
        service.url() + EMBED_PATH,
        files=[
            ("files", ("empty.jpg", EMPTY, "image/jpeg")),
            ("files", ("letter.jpg", TEXT, "image/jpeg")),
            ("files", (good.name, good.data, good.media_type)),
            ("files", ("huge.png", huge_png(), "image/png")),
        ],
    )
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert set(document["embeddings"]) == {good.name}
    errors = document["errors"]
    codes = {name: error["code"] for name, error in errors.items()}
    assert codes == {
        "empty.jpg": "not_an_image", "letter.jpg": "not_an_image", "huge.png": "too_many_pixels",
    }  # fmt: skip
    assert "0 bytes" in errors["empty.jpg"]["message"] or "empty" in errors["empty.jpg"]["message"]
    assert "30000" in errors["huge.png"]["message"].replace(" ", "")
    targets.exactly("bad images refused alone", "images", len(errors), 3)


def test_a_request_over_the_limit_is_refused_with_the_limit(
    service: Service, targets: Targets
) -> None:
    answer = service.http.post(
        service.url() + EMBED_PATH,
        files=[("files", ("big.jpg", b"\xff" * (MAX_REQUEST_BYTES + 1), "image/jpeg"))],
    )
    assert answer.status_code == 413, answer.text
    assert str(MAX_REQUEST_BYTES) in answer.text
    assert service.http.get(service.url() + MODELS_PATH).status_code == 200
    targets.exactly("request over the limit", "HTTP status", answer.status_code, 413)


def test_a_name_outside_is_not_found(service: Service) -> None:
    answer = service.http.post(service.url() + EMBED_PATH, json={"images": ["../../etc/passwd"]})
    assert "root:" not in answer.text
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:
        assert set(answer.json()["errors"]) == {"../../etc/passwd"}


@pytest.mark.parametrize(("streams", "permits"), [(3, 6), (1, 3)], ids=["more", "fewer"])
def test_an_edit_is_in_force_everywhere_and_nobody_notices(
    service: Service, load: Load, targets: Targets, streams: int, permits: int
) -> None:
    before, begin = lives(service), time.monotonic()
    service.patch({"numStreams": streams, "semaphoreSize": permits})
    eventually(
        lambda: all(
            (report.setting.num_streams, report.setting.semaphore_size) == (streams, permits)
            for report in service.reports()
        ),
        "the edit is in force on every pod", 60, every=0.1, last=lambda: str(service.reports()),
    )  # fmt: skip
    seconds = time.monotonic() - begin
    service.wait_condition("TuningInForce", "True", 30)
    done = load.figures().ok
    eventually(lambda: load.figures().ok >= done + 8, "the load goes on", 60, every=0.1)
    figures = load.figures()
    targets.most(f"edit to {streams}/{permits} in force on every pod", "s", seconds, 10)
    targets.exactly("failed requests during the edit", "requests", figures.failed, 0)
    targets.exactly("pods replaced or restarted", "pods", int(lives(service) != before), 0)
    assert len(before) == REPLICAS
    assert lives(service) == before
    assert (figures.failed, figures.refused) == (0, 0), figures.faults
    assert seconds <= 10


def test_prometheus_the_pods_and_status_agree(service: Service, targets: Targets) -> None:
    pool, reports = service.pool(), service.reports()
    assert len(reports) == REPLICAS
    acknowledged = {each["name"]: each["generation"] for each in pool["pods"]}
    for report in reports:
        assert report.generation == pool["generation"] == acknowledged[report.pod]
        assert report.setting.num_streams == pool["setting"]["numStreams"]
        assert report.setting.semaphore_size == pool["setting"]["semaphoreSize"]
        assert report.rejected is None
    for metric, wanted in (
        (metrics.NUM_STREAMS, pool["setting"]["numStreams"]),
        (metrics.SEMAPHORE_SIZE, pool["setting"]["semaphoreSize"]),
        (metrics.TUNING_GENERATION, pool["generation"]),
    ):
        query = f'{metric.name}{{namespace="{service.namespace}"}}'
        series = eventually(
            lambda: found if set((found := value(query)).values()) == {wanted} else None,  # noqa: B023
            f"{query} is {wanted}", 15, last=lambda: str(value(query)),  # noqa: B023
        )  # fmt: skip
        assert set(series) == {report.pod for report in reports}
    targets.seen("Prometheus, /v1/tuning and status", "", "agree", "agree", met=True)


def test_a_load_shows_in_the_metrics(service: Service, load: Load) -> None:
    sent = load.figures().images
    query = f'sum({metrics.IMAGES.name}{{namespace="{service.namespace}",outcome="ok"}}) by (pod)'
    eventually(lambda: sum(value(query).values()) >= sent, "the images are counted", 15)


def test_deleting_it_leaves_nothing(
    service: Service, finalizers: FinalizerWatch, targets: Targets
) -> None:
    kubectl("-n", service.namespace, "delete", "embsvc", service.name, "--timeout=30s")
    begin = time.monotonic()
    paths = [path.format(namespace=service.namespace, name=service.name) for path in CHILDREN]
    eventually(
        lambda: not any(service.api.get(path) for path in paths) and not service.pods(),
        "every child is gone", 90,
        last=lambda: str([path for path in paths if service.api.get(path)] + service.pods()),
    )  # fmt: skip
    targets.most("children gone after delete", "s", time.monotonic() - begin, 60)
    seen = finalizers.of(service.namespace, service.name)
    assert finalizers.running()
    assert seen, "the watch saw the resource"
    targets.exactly("finalizers ever seen", "finalizers", len([each for each in seen if each]), 0)
    assert not [each for each in seen if each]
