"""The operator's settings."""

import pytest

from embedding_operator.errors import SettingsError
from embedding_operator.settings import OperatorSettings, describe_settings


def test_an_empty_environment_is_enough() -> None:
    settings = OperatorSettings.from_env({"SLUICE_NAMESPACES": "", "SLUICE_RESYNC_SECONDS": " "})
    assert settings.namespaces == ()
    assert (settings.resync_seconds, settings.log_level) == (60.0, "info")
    assert settings.server_image.startswith("sluice/server:")


def test_every_variable_is_read() -> None:
    settings = OperatorSettings.from_env(
        {
            "SLUICE_NAMESPACES": "a, b",
            "SLUICE_SERVER_IMAGE": "x/y:1",
            "SLUICE_PROMETHEUS_ADDRESS": "http://p:9090/",
            "SLUICE_RESYNC_SECONDS": "5",
            "SLUICE_LOG_LEVEL": "DEBUG",
            "SLUICE_HEALTH_PORT": "0",
            "SLUICE_METRICS_PORT": "9000",
        }
    )
    assert settings == OperatorSettings(
        namespaces=("a", "b"),
        server_image="x/y:1",
        prometheus_address="http://p:9090",
        resync_seconds=5.0,
        log_level="debug",
        health_port=0,
        metrics_port=9000,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICE_RESYNC_SECONDS", "0"),
        ("SLUICE_RESYNC_SECONDS", "soon"),
        ("SLUICE_HEALTH_PORT", "70000"),
        ("SLUICE_LOG_LEVEL", "loud"),
        ("SLUICE_PROMETHEUS_ADDRESS", "prometheus:9090"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}', allowed:"):
        OperatorSettings.from_env({name: value})


def test_the_help_names_every_variable() -> None:
    assert describe_settings().count("SLUICE_") == 7
