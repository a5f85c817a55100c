"""A rollout is complete only when nothing at all is left to do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.assess.rollout import read_rollout


def deployment(generation: int = 1, replicas: int = 2, **status: Any) -> dict[str, Any]:
    done = {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
        "availableReplicas": 2,
    }  # fmt: skip
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": done | status,
    }


def test_all_pods_updated_and_available_is_complete() -> None:
    assert read_rollout(deployment()).complete


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"replicas": 3},
        {"updatedReplicas": 1},
        {"readyReplicas": 1},
        {"availableReplicas": 1},
        {"status": {}},
    ],
)
def test_anything_less_is_not(change: dict[str, Any]) -> None:
    live = deployment(**{key: value for key, value in change.items() if key != "status"})
    if "status" in change:
        live["status"] = {}
    assert not read_rollout(live).complete


def test_an_old_pod_beside_enough_new_ones_is_not_complete() -> None:
    rollout = read_rollout(deployment(replicas=2) | {"status": {
        "observedGeneration": 1, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2,
        "availableReplicas": 2,
    }})  # fmt: skip
    assert not rollout.complete
    assert rollout.progress == "2 of 2 pods updated, 2 available, 1 old"


def test_a_template_that_was_not_seen_says_so() -> None:
    assert "not seen" in read_rollout(deployment(generation=2)).progress


def test_the_deployments_own_complaints_are_kept() -> None:
    conditions = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
         "message": "timed out"},
        {"type": "ReplicaFailure", "status": "True", "message": "quota exceeded"},
    ]  # fmt: skip
    rollout = read_rollout(deployment(conditions=conditions))
    assert (rollout.stalled, rollout.blocked) == ("timed out", "quota exceeded")


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_complete_means_that_all_numbers_agree(numbers: list[int]) -> None:
    wanted, exist, updated, ready, available = numbers
    live = deployment(
        replicas=wanted,
    )
    live["status"] |= {
        "replicas": exist, "updatedReplicas": updated, "readyReplicas": ready,
        "availableReplicas": available,
    }  # fmt: skip
    assert read_rollout(live).complete == (len(set(numbers)) == 1)
