"""`sluice-operator`: read the settings, make sure that there is something to serve, run."""

import argparse
import asyncio
import logging
import os
import sys
from typing import Any, cast

import kopf
from prometheus_client import CollectorRegistry

from embedding_operator.api.names import FIELD_MANAGER, GROUP, PLURAL
from embedding_operator.clients.apiserver import ApiServer, connect
from embedding_operator.errors import (
    CannotStart,
    ClusterError,
    Forbidden,
    Missing,
    OperatorError,
)
from embedding_operator.handlers.lifecycle import build, registry_of
from embedding_operator.metrics import Instruments
from embedding_operator.settings import OperatorSettings, describe_settings, version

log = logging.getLogger("embedding_operator")


def main() -> None:
    """Run until a signal comes. A start that cannot succeed ends with one line and exit 2."""
    parser = argparse.ArgumentParser(
        prog="sluice-operator",
        description="Serves EmbeddingServices. All settings come from the environment:",
        epilog=describe_settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version())
    parser.parse_args()
    try:
        settings = OperatorSettings.from_env(os.environ)
        _log_to_stderr(settings.log_level)
        asyncio.run(run(settings))
    except OperatorError as error:
        print(f"sluice-operator: cannot start: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(0)


async def run(settings: OperatorSettings) -> None:
    """Run the operator until it is told to stop.

    Raises:
        CannotStart: no cluster, no CRD or no right to see the resources.
    """
    instruments = Instruments(CollectorRegistry())
    cluster = ApiServer(connect(), settings.namespaces, instruments.wrote)
    await check(cluster)
    operator = build(settings, cluster, instruments)
    log.info(
        "serving %s at %s", ", ".join(settings.namespaces) or "all namespaces", cluster.address
    )
    await kopf.operator(
        registry=registry_of(operator),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        # Without it kopf asks for the user's name, which a container's bare number has not.
        identity=cast("Any", FIELD_MANAGER),
    )


async def check(cluster: ApiServer) -> None:
    """Say what is missing before anything is started.

    Raises:
        CannotStart: with the step that is missing.
    """
    try:
        await cluster.services()
    except Missing as error:
        raise CannotStart(
            f"the cluster at {cluster.address} does not know {PLURAL}.{GROUP}: install the chart, "
            "or run kubectl apply --server-side -f k8s/crd/embeddingservices.yaml"
        ) from error
    except Forbidden as error:
        raise CannotStart(
            f"{error}. Install the chart's roles; with rights in single namespaces only, name them "
            "in SLUICE_NAMESPACES"
        ) from error
    except ClusterError as error:
        raise CannotStart(f"{error}. Is the cluster up, and does kubectl reach it?") from error


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    # One line for every event and every request is of interest only to whoever debugs it.
    if level != "debug":
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)
        logging.getLogger("httpx").setLevel(logging.WARNING)


if __name__ == "__main__":
    main()
