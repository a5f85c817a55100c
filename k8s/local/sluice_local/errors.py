"""What can go wrong with the local cluster, as one small tree.

Law: a message says what happened, where to look, and what to do; a person reads it, not a program.
"""


class LocalClusterError(Exception):
    """Root of the tree; the command line prints its message and exits 1."""


class NamespaceError(LocalClusterError):
    """The kernel refused a namespace; the message names the call and the way out."""


class BuildError(LocalClusterError):
    """A Go module could not be built, or no Go could be found or installed."""


class ComponentError(LocalClusterError):
    """A component died or did not become ready in time; the message carries its last lines."""


class NotRunningError(LocalClusterError):
    """There is no running cluster (or no such component) to work on."""


class BusyError(LocalClusterError):
    """Another command holds the lock of this checkout for longer than we wait."""


class HolderError(LocalClusterError):
    """The holder process answered a request with an error."""
