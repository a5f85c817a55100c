"""Is this the local cluster? Nothing is sent anywhere before that is sure."""

from urllib.parse import urlsplit

from sluice_local.addresses import NODE_ADDRESS

from inside.errors import InsideError, WrongPlaceError
from inside.kubectl import Api

NODE_LABEL = "sluice.dev/process-node"
_HINT = "run it inside: k8s/local/cluster.py up, then k8s/local/cluster.py run COMMAND"


def local_cluster() -> Api:
    """Return the local cluster's API.

    Raises:
        WrongPlaceError: the current kubeconfig leads to another cluster, or to none.
    """
    try:
        api = Api()
    except Exception as error:  # the client raises what its parsers raise
        raise WrongPlaceError(f"no usable kubeconfig ({error}); {_HINT}") from error
    host = urlsplit(api.server).hostname
    if host != NODE_ADDRESS:
        raise WrongPlaceError(f"the API server is {api.server}, not {NODE_ADDRESS}; {_HINT}")
    try:
        nodes = api.items("/api/v1/nodes")
    except (InsideError, OSError) as error:
        raise WrongPlaceError(f"{api.server} does not answer ({error}); {_HINT}") from error
    if not nodes or not all(is_process_node(node["metadata"]) for node in nodes):
        raise WrongPlaceError(f"{api.server} has nodes that are no process nodes; {_HINT}")
    return api


def is_process_node(metadata: dict[str, dict[str, str]]) -> bool:
    """Whether a node's metadata says that it runs pods as local processes."""
    return metadata.get("labels", {}).get(NODE_LABEL) == "true"
