"""The text of a first configuration: one source, and comments about everything else that can be set. Pure."""

from importlib import import_module

from exporter.providers.template import FirstSource, Template, commented, scalar


def template_of(provider: str) -> Template:
    """A provider's part of `init`."""
    template: Template = import_module(f"exporter.providers.{provider}.template").TEMPLATE
    return template


def first_configuration(source: FirstSource, path: str) -> str:
    """The text of the file at `path`."""
    lines = [
        f"# Configuration of ci-build-exporter. To test it: ci-build-exporter check --config.file={path} --live",
        "# All keys are described in docs/configuration.md. Tokens are never written into this file.",
        "sources:",
        commented(f"  - name: {scalar(source.name)}", "the label `source` of the metrics"),
        f"    provider: {source.provider}",
        *template_of(source.provider).lines(source),
        commented(
            f"    # webhook: {{secret: {{env: {source.provider.upper()}_WEBHOOK_SECRET}}}}",
            f"for deliveries to /webhooks/{source.name}",
        ),
        commented("    # spend: 40%", "of the provider's rate limit; also 400/h"),
        commented("# window: {builds: 100, age: 7d}", "which builds are recent, per target and branch"),
        commented("# refresh: {ttl: 30s, idle_ttl: 5m}", "the shortest and longest pause between two reads"),
        "# metrics:",
        "#   # These branches keep their names; `default` is each target's default branch. All others are `other`.",
        '#   branches: [default, main, master, "release/*"]',
        commented("#   histograms: [conclude]", "also run, queue, execution and concluded"),
    ]
    return "".join(f"{line}\n" for line in lines)
