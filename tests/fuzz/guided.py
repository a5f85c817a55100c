"""One target guided by coverage, in an environment that has atheris: python -m fuzz.guided TARGET.

libFuzzer ends the process itself; what it counted stands in its last lines.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from fuzz.child import ADDRESS_SPACE, CASE_CPU_SECONDS, end_with_parent

WATCHED = ("embedding_service", "embedding_contract", "PIL", "python_multipart")
"""What is instrumented: our code, and the Python code that hostile bytes reach."""


def main() -> None:
    """Fuzz for some seconds."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.guided", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--note", type=Path, required=True, help="where the last input is kept")
    options = parser.parse_args()
    logging.disable()
    end_with_parent()
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(WATCHED), enable_loader_override=False):
        target = importlib.import_module("fuzz.targets").target_named(options.target)
    corpus = options.note.parent / "corpus"
    corpus.mkdir()
    for number, data in enumerate(target.seeds()):
        (corpus / f"{number}").write_bytes(data)
    note = os.open(options.note, os.O_RDWR | os.O_CREAT)
    cases = 0

    def one(data: bytes) -> None:
        nonlocal cases
        os.pwrite(note, data, 0)
        os.ftruncate(note, len(data))
        target.run(data)
        cases += 1
        if cases % 256 == 0:
            report()

    def report() -> None:
        sys.stdout.write(json.dumps({"outcomes": {"guided": cases}, "growth": 0}) + "\n")
        sys.stdout.flush()

    limits = [f"-max_total_time={options.seconds}", f"-timeout={round(CASE_CPU_SECONDS * 4)}"]
    limits += [f"-rss_limit_mb={ADDRESS_SPACE >> 20}", f"-artifact_prefix={options.note}."]
    limits += ["-verbosity=0", "-max_len=65536"]
    report()
    atheris.Setup([sys.argv[0], *limits, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
