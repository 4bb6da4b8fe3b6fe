"""The kinds of panels, each with the same look on every dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mixin.dashboards.variables import DATASOURCE

GREEN, RED, ORANGE, YELLOW, BLUE, PURPLE, GREY = "green", "red", "orange", "yellow", "blue", "purple", "#8e8e8e"

OUTCOMES = {
    "success": GREEN,
    "failure": RED,
    "allowed_failure": YELLOW,
    "error": ORANGE,
    "timeout": PURPLE,
    "cancellation": GREY,
    "skip": "#c7c7c7",
    "unknown": "#5a5a5a",
    "waiting": "light-blue",
    "pending": "blue",
    "executing": "dark-blue",
}
"""The colour of an outcome, the same on every panel."""
QUANTILES = {"p50": GREEN, "p90": BLUE, "p99": PURPLE}
BROKEN_OR_PASSING = ValueMap(
    {"0": ValueMappingResult("broken", RED, index=0), "1": ValueMappingResult("passing", GREEN, index=1)}
)
YES_OR_NO = ValueMap({"0": ValueMappingResult("no", RED, index=0), "1": ValueMappingResult("yes", GREEN, index=1)})
NO_OR_YES = ValueMap({"0": ValueMappingResult("no", GREEN, index=0), "1": ValueMappingResult("yes", ORANGE, index=1)})

PAGE_OF_THE_BUILD = "${__data.fields.url}"
"""Where a cell with a build's address leads."""

P = TypeVar("P", stat.Panel, timeseries.Panel, heatmap.Panel, statetimeline.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """What a panel is about, and its size on a grid of 24 columns."""

    title: str
    description: str
    unit: str = "short"
    """One of Grafana's ids of units."""
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called."""

    expression: str
    legend: str = ""
    exemplars: bool = False
    """Ask for the builds that stand for the buckets."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the label or value (`Value` or `Value #A`) that it shows, and its heading."""

    field: str
    heading: str
    unit: str = "string"
    """As of a panel; `string`: a label is shown as it is, though it may look like a number."""
    mapping: ValueMap | None = None
    bar: bool = False
    """Show the value as a bar, too."""
    link: str = ""
    """Where a cell leads."""
    width: int = 0
    """In pixels; 0 for what there is room for."""

    def properties(self) -> list[DynamicConfigValue]:
        """What overrides the table's own settings."""
        found: dict[str, object] = {"displayName": self.heading, "unit": self.unit}
        if self.mapping:
            found |= {"mappings": [self.mapping], "custom.cellOptions": looks.TableColoredBackgroundCellOptions()}
        if self.bar:
            mode = looks.BarGaugeDisplayMode.GRADIENT
            found |= {"custom.cellOptions": looks.TableBarGaugeCellOptions(mode), "min": 0}
        if self.link:
            found["links"] = [
                {
                    "title": "The page of the build" if self.link == PAGE_OF_THE_BUILD else "This target in detail",
                    "url": self.link,
                }
            ]
        if self.width:
            found["custom.width"] = self.width
        return [DynamicConfigValue(name, value) for name, value in found.items()]


def stats(
    about: About, *queries: Query, steps: Mapping[float, str] | None = None, mapping: ValueMap | None = None
) -> stat.Panel:
    """Single numbers as of now; `steps` are the values from which on a colour holds, beside green or none below."""
    panel = settled(stat.Panel(), about).graph_mode(looks.BigValueGraphMode.NONE).no_value("none")
    panel.color_mode(looks.BigValueColorMode.BACKGROUND_SOLID if steps or mapping else looks.BigValueColorMode.NONE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.thresholds(thresholds(steps or {}, GREEN if steps else "text"))
    if mapping:
        panel.mappings([mapping])
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(asked(query, ref).instant())
    return panel


def lines(about: About, *queries: Query, colors: Mapping[str, str] | None = None) -> timeseries.Panel:
    """Lines over time."""
    panel = drawn(about, *queries, colors=colors).line_width(1).fill_opacity(8)
    return panel.show_points(looks.VisibilityMode.NEVER).span_nulls(False)


def bars(about: About, *queries: Query, every: str, colors: Mapping[str, str] | None = None) -> timeseries.Panel:
    """Stacked bars, one for each time of that length."""
    panel = drawn(about, *queries, colors=colors).draw_style(looks.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
    return panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A")).interval(every)


def areas(about: About, *queries: Query, colors: Mapping[str, str] | None = None) -> timeseries.Panel:
    """Stacked areas over time."""
    panel = drawn(about, *queries, colors=colors).fill_opacity(60).line_width(0)
    return panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))


def drawn(about: About, *queries: Query, colors: Mapping[str, str] | None) -> timeseries.Panel:
    """Series over time, from 0 on unless they are shares; `colors` by the name of a series."""
    panel = settled(timeseries.Panel(), about)
    if about.unit == "percentunit":
        panel.max(1)
    else:
        panel.min(0)
    panel.color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(looks.LegendDisplayMode.TABLE)
        .placement(looks.LegendPlacement.RIGHT)
        .calcs(["lastNotNull", "max"])
    )
    panel.tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    for name, color in (colors or {}).items():
        panel.override_by_name(name, [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})])
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(asked(query, ref).range())
    return panel


def heat(about: About, query: Query) -> heatmap.Panel:
    """How many observations fell into which bucket over time; the query gives cumulative buckets by `le`."""
    panel = settled(heatmap.Panel(), about).calculate(False).cell_gap(1).show_legend().show_y_histogram()
    panel.y_axis(heatmap.YAxisConfig().unit(about.unit).axis_placement(looks.AxisPlacement.LEFT).decimals(0))
    panel.rows_frame(heatmap.RowsHeatmapOptions().layout(looks.HeatmapCellLayout.AUTO).value("builds"))
    panel.cell_values(heatmap.CellValues().unit("short").decimals(0))
    panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
    panel.mode(looks.TooltipDisplayMode.SINGLE).exemplars_color("rgba(255,0,255,0.7)")
    return panel.with_target(asked(query, "A").range().format(PromQueryFormat.HEATMAP))


def timeline(about: About, query: Query, mapping: ValueMap) -> statetimeline.Panel:
    """The states of each series over time."""
    panel = settled(statetimeline.Panel(), about).mappings([mapping]).no_value("nothing to show")
    panel.merge_values(True).show_value(looks.VisibilityMode.NEVER).row_height(0.8).fill_opacity(80).line_width(0)
    panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
    )
    return panel.per_page(20).with_target(asked(query, "A").range())


def rows(about: About, columns: tuple[Column, ...], *queries: Query, by: str = "", empty: str = "none") -> table.Panel:
    """A table of what the queries give as of now, one row a set of labels, its largest `by` (a heading) first."""
    panel = settled(table.Panel(), about).no_value(empty).cell_height(looks.TableCellHeight.SM).filterable(True)
    panel.thresholds(thresholds({}, BLUE))
    if by:
        panel.sort_by([common.TableSortByFieldState().display_name(by).desc(True)])
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(asked(query, ref).instant().format(PromQueryFormat.TABLE))
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    names = [column.field for column in columns]
    panel.with_transformation(DataTransformerConfig("filterFieldsByName", options={"include": {"names": names}}))
    order = {name: place for place, name in enumerate(names)}
    panel.with_transformation(DataTransformerConfig("organize", options={"indexByName": order}))
    for column in columns:
        panel.override_by_name(column.field, column.properties())
    return panel


def settled(panel: P, about: About) -> P:
    """The panel with what each must have."""
    return (
        panel.title(about.title)
        .description(about.description)
        .unit(about.unit)
        .span(about.width)
        .height(about.height)
        .datasource(DATASOURCE)
    )


def asked(query: Query, ref: str) -> prometheus.Dataquery:
    """The query as Prometheus' data source takes it."""
    made = prometheus.Dataquery().expr(query.expression).ref_id(ref).datasource(DATASOURCE)
    made.exemplar(query.exemplars)
    return made.legend_format(query.legend) if query.legend else made


def thresholds(steps: Mapping[float, str], below: str) -> ThresholdsConfig:
    """Colours from values on; `below` is that of less."""
    return ThresholdsConfig().steps(
        [Threshold(None, below), *(Threshold(value, color) for value, color in sorted(steps.items()))]
    )


def detail(uid: str, *labels: str) -> str:
    """The address of a dashboard about what a row of a table is about, told by these labels of it."""
    chosen = "&".join(f"var-{name}=${{__data.fields.{name}}}" for name in labels)
    passed = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance"))
    return f"/d/{uid}?{chosen}&{passed}&${{__url_time_range}}"
