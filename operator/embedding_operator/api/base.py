"""The base of every word of the resource: strict, immutable, camelCase outside.

Inside, in Python, the same words are snake_case. Pure.
"""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A part of the spec. Unknown fields are refused, so that a typo never passes in silence."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class StatusModel(ApiModel):
    """A part of status. Unknown fields are ignored: a newer operator may have written them."""

    model_config = ConfigDict(extra="ignore")
