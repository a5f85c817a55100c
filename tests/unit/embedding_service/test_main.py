"""`sluice-server` as a process: its exit code and its last line."""

import os
import subprocess
import sys

from embedding_contract.endpoints import Environment


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "EMBEDDING" not in name}
    return subprocess.run(
        [sys.executable, "-m", "embedding_service", *arguments],
        env=environment | {Environment.HOST: "127.0.0.1", Environment.PORT: "0"} | variables,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.splitlines()[-1]


def test_a_missing_setting_ends_it_with_one_clear_line() -> None:
    done = start(EMBEDDING_MODEL="sluice-tiny")
    assert done.returncode == 2
    assert done.stderr == (
        "sluice-server: cannot start: EMBEDDING_PRETRAINED is not set, give it a tag of "
        "open_clip, a path of a checkpoint, or random:SEED\n"
    )


def test_a_model_that_does_not_exist_is_the_last_word() -> None:
    done = start(
        EMBEDDING_MODEL="no-such-model", EMBEDDING_PRETRAINED="random:0", EMBEDDING_DEVICE="cpu"
    )
    assert done.returncode == 2
    assert last_line(done).startswith("sluice-server: cannot start: ")
    assert "'no-such-model'" in last_line(done)
    assert "Traceback" not in done.stderr


def test_help_explains_every_setting() -> None:
    done = start("--help")
    assert done.returncode == 0
    assert f"{Environment.MAX_IMAGE_PIXELS}  (default " in done.stdout


def test_the_version_is_told() -> None:
    assert start("--version").stdout.startswith("sluice-server ")


def test_traces_that_it_cannot_send_are_the_last_word() -> None:
    done = start(
        EMBEDDING_MODEL="sluice-tiny",
        EMBEDDING_PRETRAINED="random:0",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    )
    assert done.returncode == 2
    assert last_line(done) == (
        "sluice-server: cannot start: OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', allowed: http/protobuf"
    )
