"""What makes a dashboard of panels: variables, links, annotations, and rows in their places."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery as AnnotationBuilder
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, QueryVariable, Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
)

from mixin.dashboards.expressions import FAILED, builds, milliseconds
from mixin.dashboards.variables import DATASOURCE, datasource

TAG = "ci-build-exporter"
"""By which the dashboards find each other."""
OVERVIEW, TARGET, EXPORTER = "ci-build-overview", "ci-build-target", "ci-build-exporter"
"""The uids: addresses are made of them, so they stay."""

Section = tuple[str, Sequence[Builder[Panel]]]
"""The title of a row and its panels, from left to right."""


class Event(AnnotationQuery):
    """An annotation of Prometheus' kind: the value of a series is the time, its labels make the text.

    The schema knows neither its fields of text nor that its target is a query.
    """

    def __init__(  # noqa: PLR0913 - an event is made of these
        self, name: str, color: str, expression: str, *, title: str, text: str, enable: bool
    ) -> None:
        super().__init__(name=name, datasource=DATASOURCE, enable=enable, icon_color=color, expr=expression)
        self.title, self.text = title, text

    def to_json(self) -> dict[str, object]:
        """Up to version 11.5 Grafana takes the expression beside the name, later ones of the target."""
        return super().to_json() | {
            "target": {"expr": self.expr, "refId": "Anno", "range": True, "instant": False},
            "titleFormat": self.title,
            "textFormat": self.text,
            "tagKeys": "source,project,target,branch,outcome",
            "useValueForTime": True,
        }


class EventBuilder(AnnotationBuilder):
    """Hands an event to a dashboard."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self._internal = event


def failed_builds(*, enable: bool) -> Event:
    """Each build that failed on a branch that is broken by it, when it concluded."""
    failed = builds("ci_build_last_failed_info")
    at = builds("ci_build_last_concluded_timestamp_seconds", FAILED)
    return Event(
        "Failed builds",
        "red",
        milliseconds(f"{failed} * ignoring (build_id, sha, reason, url) group_left () {at}"),
        title="{{target}} {{branch}}: {{outcome}}",
        text="Build {{build_id}} of commit {{sha}} ({{source}}, {{project}}) {{reason}} {{url}}",
        enable=enable,
    )


NAMED_BROKEN = builds("ci_build_broken_since_timestamp_seconds", 'branch!="other"')


def broken_branches(since: str = NAMED_BROKEN) -> Event:
    """Each branch that broke, when it did: the expression's value."""
    return Event(
        "Branches that broke",
        "orange",
        milliseconds(f"({since})"),
        title="{{target}} {{branch}} broke",
        text="The first of the failed runs of {{branch}} concluded ({{source}}, {{project}})",
        enable=True,
    )


def board(  # noqa: PLR0913 - a dashboard is made of these
    uid: str,
    title: str,
    description: str,
    *,
    since: str,
    variables: Sequence[QueryVariable],
    events: Sequence[Event],
    sections: Sequence[Section],
) -> Dashboard:
    """The dashboard, its panels numbered in their order; `since` is where its time begins, such as `now-24h`."""
    made = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time(since, "now")
        .timezone("browser")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
        .variables([datasource(), *variables])
        .annotations([EventBuilder(event) for event in events])
        .link(
            DashboardLink("CI builds")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
            .tooltip("The other dashboards of ci-build-exporter")
        )
    )
    number = 0
    for name, panels in sections:
        number += 1
        made.with_row(Row(name).id(number))
        for panel in panels:
            number += 1
            panel.build().id_val = number
            made.with_panel(panel)
    return made
