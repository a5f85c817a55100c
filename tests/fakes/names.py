"""A resolver whose answers the test writes."""

from ipaddress import ip_address

from embedding_service.sources.addresses import Address


class Names:
    """Gives the answers of a name one after the other; the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        """Take answers by name; `_` in a keyword stands for a dot."""
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        answers = self._answers.get(host)
        if answers is None:
            raise OSError("no such name")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(text) for text in found]
