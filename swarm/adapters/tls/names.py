"""How settings say whose the certificates of another authority are; see `swarm.trust.foreign`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from swarm.adapters.settings import Section, wrong
from swarm.errors import ConfigRefused
from swarm.trust import Role
from swarm.trust.foreign import IdentityMap, IdentityRule
from swarm.trust.identity import is_name

RULES_MAX = 1_000


class IdentitySettings(Section):
    """One URI, or one that ends in `/*`, and who bears it."""

    uri: str
    role: Annotated[Role, Field(strict=False)]
    name: str = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> IdentitySettings:
        try:
            self.rule()
        except ConfigRefused as error:
            raise wrong(error.message, error.remedy) from None
        return self

    def rule(self) -> IdentityRule:
        return IdentityRule(self.uri, self.role, self.name)


def _server_name(text: str) -> str:
    if text.count("{}") != 1 or not is_name(text.replace("{}", "n1")):
        raise wrong(
            f"{text[:80]!r} is no pattern of host names",
            "write e.g. {}.swarm.example.org; {} is the node's id",
        )
    return text


Identities: TypeAlias = Annotated[tuple[IdentitySettings, ...], Field(strict=False, max_length=RULES_MAX)]
ServerName: TypeAlias = Annotated[str, AfterValidator(_server_name)]


def identity_map(cluster: str, settings: Sequence[IdentitySettings]) -> IdentityMap:
    """What reads the identity in a certificate."""
    return IdentityMap(cluster, [each.rule() for each in settings])
