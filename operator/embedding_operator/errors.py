"""The operator's errors, one small tree. A message says what to do where something can be done."""


class OperatorError(Exception):
    """Anything that the operator raises itself."""


class SettingsError(OperatorError):
    """A variable of the operator is not allowed."""


class CannotStart(OperatorError):
    """No cluster, no CRD, no rights: the message names the step that is missing."""


class ClusterError(OperatorError):
    """The API server refused or could not be reached; trying again later may help."""


class Missing(ClusterError):
    """The object, or its kind, does not exist."""


class Conflict(ClusterError):
    """Somebody changed the object since it was read: read again."""


class Forbidden(ClusterError):
    """The operator's role lacks a right; the message is the API server's and names it."""


class Refused(ClusterError):
    """The API server does not take the object as it is; the same object will not pass later."""


class ForeignChild(OperatorError):
    """An object with a child's name exists and belongs to somebody else."""


class PrometheusUnavailable(OperatorError):
    """Prometheus did not answer in time, or not as Prometheus does."""
