"""What the documents show is there and is accepted: links, examples, commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_service.web import routes

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
RESOURCES = re.compile(r"^( *)apiVersion: sluice\.dev/v1alpha1\n(?:\1[^`\n]+\n)+", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def resources() -> Iterator[tuple[str, str]]:
    places = [*DOCUMENTS, ROOT / "charts/sluice/templates/NOTES.txt"]
    for path in places:
        for found in RESOURCES.finditer(path.read_text().replace("  EOF\n", "")):
            yield name_of(path), found.group(0)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_link_leads_somewhere(path: Path) -> None:
    broken = [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_make_command_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(
        re.findall(r"(?:`|^    )(?:KEEP=1 )?make ([a-z0-9-]+)", path.read_text(), re.MULTILINE)
    )
    assert shown <= targets


def test_there_are_examples_to_check() -> None:
    assert {name for name, _ in resources()} >= {"README.md"}


@pytest.mark.parametrize(("place", "text"), list(resources()))
def test_an_example_resource_is_valid(place: str, text: str) -> None:
    text = re.sub(r"\{\{.*?\}\}", "example", text)
    spec = EmbeddingServiceSpec.model_validate(yaml.safe_load(text)["spec"])
    assert spec.model.name, place


def test_the_page_on_embedding_names_real_routes() -> None:
    page = (ROOT / "docs/how-to/embed.md").read_text()
    source = (
        Path(routes.__file__).read_text()
        + (ROOT / "service/embedding_contract/endpoints.py").read_text()
    )
    for path in set(re.findall(r"svc(/[a-z0-9/]+)", page)) - {"/v1"}:  # the base of OpenAI's client
        assert f'"{path}"' in source
