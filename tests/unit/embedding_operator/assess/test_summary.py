"""The columns of `kubectl get`."""

from typing import Any

from embedding_contract.tuning import Setting
from embedding_operator.api.status import EmbeddingServiceStatus, PoolStatus, Summary
from embedding_operator.api.tuning import Diagnosis, Knobs, TuningMemory
from embedding_operator.assess.summary import summarise
from fakes.plans import service

DIAGNOSIS = Diagnosis(bottleneck="CPUBound", since=0.0, confidence=1.0, message="full")
STATUS = EmbeddingServiceStatus(
    ready_replicas=1,
    pools=[
        PoolStatus(
            setting=Knobs.of(Setting(2, 8)),
            pod_settings={"a": Knobs.of(Setting(3, 8)), "b": Knobs.of(Setting(2, 16))},
            tuning=TuningMemory(diagnosis=DIAGNOSIS),
        )
    ],
)


def shown(**spec: Any) -> Summary:
    return summarise(service(**spec).spec, STATUS)


def test_every_column() -> None:
    assert shown(replicas=2) == Summary(
        ready="1/2", streams="2 > 3", semaphore="8 > 16", bottleneck="CPUBound", mode="Auto"
    )


def test_a_suspended_tuner_is_shown() -> None:
    assert shown(tuning={"suspend": True}).mode == "Auto (suspended)"


def test_a_tuner_that_is_off_knows_no_bottleneck() -> None:
    off = shown(tuning={"mode": "Off"})
    assert (off.mode, off.bottleneck) == ("Off", "")


def test_nothing_is_known_of_a_new_service() -> None:
    assert summarise(service().spec, EmbeddingServiceStatus()) == Summary(ready="0/1", mode="Auto")


def test_a_spec_that_cannot_be_read_keeps_the_last_columns() -> None:
    status = STATUS.model_copy(update={"summary": Summary(ready="1/1")})
    assert summarise(None, status).ready == "1/1"
