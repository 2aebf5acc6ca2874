"""What every mapping of the header has in common: known keys only, and the writer's own `x-` keys."""

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
    model_validator,
)

from af.limits import LAYER_WIDTH_MAX

EXTRAS_KEY = "x-*"  # also the alias of HeaderMapping.extras

Width = Annotated[int, Strict(), Field(ge=1, le=LAYER_WIDTH_MAX)]


class HeaderMapping(BaseModel):
    """One mapping of the header: known keys only, plus the writer's own `x-` keys in `extras`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    extras: dict[str, JsonValue] = Field(default_factory=dict, alias="x-*")

    @model_validator(mode="before")
    @classmethod
    def _gather_extras(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        extras = {key: value for key, value in data.items() if key.startswith("x-")}
        if not extras:
            return data
        return {key: value for key, value in data.items() if key not in extras} | {EXTRAS_KEY: extras}

    @model_serializer(mode="wrap")
    def _spread_extras(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        return self._spread(handler(self))

    @staticmethod
    def _spread(written: dict[str, JsonValue]) -> dict[str, JsonValue]:
        extras = written.pop(EXTRAS_KEY, None)
        return written | extras if isinstance(extras, dict) else written
