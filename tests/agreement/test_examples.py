"""The Python examples of the documents run as they stand; only the address is the test's own."""

import re
from pathlib import Path

import pytest

from fakes.simulated_server import simulated_web
from fakes.web import in_thread
from load.photographs import photographs

PAGE = Path(__file__).parents[2] / "docs/how-to/embed.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
ADDRESS = "http://clip.albums.svc"


def test_the_page_has_an_example() -> None:
    assert len(EXAMPLES) == 1
    assert ADDRESS in EXAMPLES[0]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(
    example: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "china.jpg").write_bytes(photographs(1)[0].data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with simulated_web(model="ViT-B-32") as (_, web), in_thread(web) as address:
        exec(compile(example.replace(ADDRESS, address), str(PAGE), "exec"), {})
    word, number = capsys.readouterr().out.split()
    assert word == "similarity"
    assert -1.01 <= float(number) <= 1.01
