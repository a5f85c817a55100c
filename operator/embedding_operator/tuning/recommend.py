"""A move in the user's hands: the setting, what it should bring, and the exact command."""

import json

from embedding_contract.tuning import Setting, setting_to_mapping
from embedding_operator.api.tuning import Knobs, Recommendation
from embedding_operator.tuning.observation import Observation
from embedding_operator.tuning.planner import Move


def recommend(
    move: Move, setting: Setting, observation: Observation, previous: Recommendation | None
) -> Recommendation:
    """Write the recommendation; an unchanged one keeps its numbers, so that status stays still."""
    knobs = Knobs.of(setting)
    if (
        previous is not None
        and previous.setting == knobs
        and abs(previous.predicted_gain - move.gain) < 0.05
    ):
        return previous
    return Recommendation(
        setting=knobs,
        predicted_gain=move.gain,
        message=f"{move.reason} ({100 * move.gain:+.0f} % expected)",
        patch=patch(setting, observation.spec_setting, observation.resource, observation.namespace),
    )


def patch(setting: Setting, spec: Setting, resource: str, namespace: str) -> str:
    """The kubectl command that takes the spec from `spec` to `setting`."""
    before = setting_to_mapping(spec)
    changed = {name: v for name, v in setting_to_mapping(setting).items() if v != before[name]}
    document = json.dumps({"spec": changed}, separators=(",", ":"))
    return (
        f"kubectl patch embeddingservices.sluice.dev {resource} -n {namespace} "
        f"--type merge -p '{document}'"
    )
