"""Names and labels."""

from embedding_operator.api import names
from embedding_operator.api.names import Key


def test_a_key_reads_as_kubectl_writes_it() -> None:
    assert str(Key("prod", "clip")) == "prod/clip"


def test_the_default_pool_has_the_plain_name() -> None:
    assert names.deployment_name("clip") == "clip"
    assert names.deployment_name("clip", "t4") == "clip-t4"
    assert names.tuning_config_map_name("clip", "t4") == "clip-t4-tuning"


def test_selectors_select_what_the_labels_say() -> None:
    labels = names.pool_labels("clip", "t4")
    assert names.pool_selector("clip", "t4").items() <= labels.items()
    assert names.service_selector("clip").items() <= labels.items()
    assert not names.pool_selector("clip", "other").items() <= labels.items()


def test_a_selector_as_a_query_is_sorted() -> None:
    assert names.selector_text({"b": "2", "a": "1"}) == "a=1,b=2"
