"""A pod and the operator say the same of the same figures."""

from dataclasses import replace

import pytest

from embedding_contract.tuning import Setting
from embedding_operator.tuning.diagnosis import diagnose
from embedding_service.activity import Device, Reading, judge
from simulation.figures import Figures, windows

FULL = Figures(inflight=1.0, waiting=10.0)
SECONDS = 30.0


def readings(figures: Figures) -> list[Reading]:
    """The pod's own counters in a window in which its metrics gave these figures."""
    setting = Setting(
        figures.streams, figures.permits, figures.workers, "gpu" if figures.on_gpu else "cpu"
    )
    requests = figures.images / figures.images_per_request * SECONDS
    busy = {
        "cpu": figures.cpu * figures.cores, "gpu": figures.gpu, "gil": figures.host,
        "copy": figures.copy, "decode": figures.decode * figures.workers,
        "lanes": figures.lanes * figures.streams,
    }  # fmt: skip
    first = Reading(0.0, setting)
    newest = Reading(
        SECONDS, setting,
        requests=requests, rejected=requests * figures.rejected / (1 - figures.rejected),
        images=figures.images * SECONDS, permits=figures.inflight * figures.permits,
        waiting=figures.waiting, busy={name: share * SECONDS for name, share in busy.items()},
    )  # fmt: skip
    return [first, newest]


@pytest.mark.parametrize(
    "figures",
    [
        FULL.but(memory=0.96), FULL.but(cpu=0.95, lanes=0.99), FULL.but(memory=0.5, gpu=0.9),
        FULL.but(host=0.9), FULL.but(memory=0.5, copy=0.95), FULL.but(decode=0.95),
        FULL.but(lanes=0.98), FULL, Figures(), Figures(cpu=0.87), Figures(rejected=0.05),
        Figures(images=0.5), Figures(images=0.0, lanes=0.0),
    ],
    ids=str,
)  # fmt: skip
def test_the_verdicts_and_their_sentences_are_the_same(figures: Figures) -> None:
    (one_window,) = windows({"a": figures}, 1)
    pod = judge(readings(figures), Device(figures.cores, figures.memory))
    operator = diagnose([replace(one_window)], None, None, 0.0)
    assert pod is not None
    assert (pod.verdict, pod.message) == (operator.bottleneck, operator.message)
    assert pod.to_mapping()["remedy"] == operator.remedy
