"""What can go wrong inside the cluster, each with words for the person who reads it."""


class InsideError(RuntimeError):
    """The base of all faults here."""


class WrongPlaceError(InsideError):
    """This is not the local cluster."""


class CommandFailedError(InsideError):
    """kubectl or helm ended with a fault; `output` is what it said."""

    def __init__(self, command: str, status: int, output: str) -> None:
        super().__init__(f"$ {command}\n{output.strip()}\nexit {status}")
        self.output = output


class TooLateError(InsideError):
    """A condition did not come true before its deadline."""
