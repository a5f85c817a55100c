"""Whose an object is."""

from embedding_operator.render.ownership import foreign_owner

OURS = {"kind": "EmbeddingService", "name": "clip", "uid": "1", "controller": True}


def owned_by(*references: dict[str, object]) -> dict[str, object]:
    return {"metadata": {"ownerReferences": list(references)}}


def test_our_own_child_is_ours() -> None:
    assert foreign_owner(owned_by(OURS), OURS) is None


def test_an_object_without_owner_is_not_ours() -> None:
    assert foreign_owner({"metadata": {}}, OURS) == "it was not made by Sluice"


def test_a_child_of_another_controller_is_not_ours() -> None:
    other = {"kind": "ReplicaSet", "name": "x", "uid": "2", "controller": True}
    assert foreign_owner(owned_by(other), OURS) == "it belongs to ReplicaSet x"


def test_a_child_of_our_deleted_namesake_is_about_to_go() -> None:
    found = foreign_owner(owned_by({**OURS, "uid": "0"}), OURS)
    assert found == "it belongs to a deleted EmbeddingService of the same name and is about to go"
