"""What every source has in the configuration, whatever its provider."""

from pydantic import StrictBool, field_validator

from exporter.build import Target
from exporter.config.values import FilePath, Section, SourceName, Spending, Token, Url, Word, fault


class Tls(Section):
    """How a source's server proves who it is."""

    ca_file: FilePath | None = None
    insecure_skip_verify: StrictBool = False


class Webhook(Section):
    """How to know the provider's own deliveries."""

    secret: Token


class SourceSettings(Section):
    """What every source has, whatever its provider."""

    name: SourceName
    provider: str
    url: Url
    token: Token
    exclude: tuple[Word, ...] = ()
    tls: Tls = Tls()
    spend: Spending = None
    webhook: Webhook | None = None
    """None: it takes no deliveries."""

    @field_validator("exclude")
    @classmethod
    def _can_match(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if any("://" in pattern for pattern in patterns):
            raise fault("must be names or globs: a URL matches nothing")
        return patterns

    def named_targets(self) -> list[Target]:
        """The targets that the configuration itself names, without asking the provider."""
        return []
