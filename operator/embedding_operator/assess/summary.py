"""The columns of `kubectl get`: one short text each."""

from collections.abc import Callable

from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import EmbeddingServiceStatus, PoolStatus, Summary
from embedding_operator.api.tuning import Knobs


def summarise(spec: EmbeddingServiceSpec | None, status: EmbeddingServiceStatus) -> Summary:
    """Build the columns. Where the spec cannot be read the last texts stay."""
    if spec is None:
        return status.summary
    pool = status.pool()
    diagnosis = pool.tuning.diagnosis
    mode = spec.tuning.mode
    return Summary(
        ready=f"{status.ready_replicas}/{spec.replicas}",
        streams=_knob(pool, lambda knobs: knobs.num_streams),
        semaphore=_knob(pool, lambda knobs: knobs.semaphore_size),
        bottleneck="" if diagnosis is None or mode == "Off" else diagnosis.bottleneck,
        mode=f"{mode} (suspended)" if spec.tuning.suspend and mode != "Off" else mode,
    )


def _knob(pool: PoolStatus, read: Callable[[Knobs], int]) -> str:
    if pool.setting is None:
        return ""
    canaries = sorted({read(knobs) for knobs in pool.pod_settings.values()})
    others = [str(value) for value in canaries if value != read(pool.setting)]
    return " > ".join([str(read(pool.setting)), *others])
