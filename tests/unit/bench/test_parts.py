"""The parts that a bench stands on: image sets, children, servers that do not start, weights."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.images import CAMERA_BYTES, SIZES, image_set, written
from bench.peers.environment import PINS, PeerMissing, cache_root, environment, versions
from bench.peers.model import renamed, write_models
from bench.processes import DidNotStart, Program, child, running
from bench.runs import Knobs, settings_of
from bench.tasks import one_image_of, stages_of
from embedding_contract.endpoints import TINY_MODEL


@pytest.mark.parametrize("name", ["vga", "fhd"])
def test_a_set_has_a_cameras_pixels_and_about_its_bytes(name: str) -> None:
    images = image_set(name)
    assert len(set(images)) == len(images) >= 5
    for data in images:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.shape[1::-1] == SIZES[name]
    mean = sum(map(len, images)) / len(images)
    assert 0.7 * CAMERA_BYTES[name] < mean < 1.3 * CAMERA_BYTES[name]


def test_the_stages_of_the_server_are_measured_alone(tmp_path: Path) -> None:
    files = written("vga", tmp_path)
    settings = settings_of(TINY_MODEL, "fp32", Knobs(1, 4))
    stages = stages_of(settings, files, 0.4, 8)
    assert set(stages) == {"decode", "resize", "forward", "answer", "waiting for each other"}
    waiting = stages.pop("waiting for each other")
    assert abs(waiting) < 10
    assert all(0 < cost < 10 for cost in stages.values())
    one = one_image_of(settings, files[0], 0.2)
    assert set(one) == {"decode", "forward"}


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"bench\.client ended with 1"):
        child("bench.client", "no json", 60)


def test_a_server_that_ends_is_told_with_its_last_words() -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such model')")
    with pytest.raises(DidNotStart, match="no such model"), running(Program("x", command, "/", {})):
        pass


def test_a_server_runs_only_while_it_is_needed() -> None:
    command = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}")
    with running(Program("files", command, "/", {})) as server:
        assert "Directory listing" in server.get("/")
        with pytest.raises(RuntimeError, match="404"):
            server.get("/nothing")
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_every_weight_has_one_place_in_the_peers_format(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    theirs, own = write_models(tmp_path)
    before = load_file(own / "weights.safetensors")
    after = load_file(theirs / "model.safetensors")
    assert sum(one.numel() for one in after.values()) == sum(one.numel() for one in before.values())
    blocks = {name.split(".")[3] for name in after if name.startswith("vision_model.encoder")}
    assert blocks == {"0", "1", "2", "3"}
    first = before["visual.transformer.resblocks.0.attn.in_proj_weight"]
    name = "vision_model.encoder.layers.0.self_attn.k_proj.weight"
    assert (after[name] == first[len(first) // 3 : 2 * len(first) // 3]).all()


def test_a_weight_without_a_place_is_refused() -> None:
    import torch

    with pytest.raises(ValueError, match=r"visual\.new"):
        renamed({"visual.new": torch.zeros(1)})


@pytest.mark.parametrize("peer", PINS)
def test_pins_are_exact_and_name_no_host(peer: str) -> None:
    pins = Path(environment.__code__.co_filename).parent / PINS[peer]
    lines = pins.read_text().splitlines()
    assert all("==" in line and "://" not in line for line in lines)
    assert versions(peer, (peer, "torch")).startswith(f"{peer} ")


def test_a_peer_that_cannot_be_installed_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho there is no wheel >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLUICE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(PeerMissing, match="there is no wheel"):
        environment("litserve")


def test_the_cache_is_the_makefiles() -> None:
    assert cache_root({"SLUICE_CACHE": "/a"}) == Path("/a")
    assert cache_root({"XDG_CACHE_HOME": "/b"}) == Path("/b/sluice")
