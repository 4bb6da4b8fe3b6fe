"""The variables at the top of the dashboards, and the data source that all their queries ask."""

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption, VariableRefresh, VariableSort

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
ALL = VariableOption(selected=True, text=["All"], value=["$__all"])


def datasource() -> DatasourceVariable:
    """Which Prometheus."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus").description("The Prometheus to ask")


def choice(name: str, label: str, description: str, series: str, *, all_at_first: bool = True) -> QueryVariable:
    """The values of a label of some series: several can be chosen, or all; at first the first, or all."""
    made = (
        QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query({"query": f"label_values({series}, {name})", "refId": f"variable-{name}"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
    )
    return made.current(ALL) if all_at_first else made


def source() -> QueryVariable:
    """Which sources."""
    series = 'ci_build_source_targets{job=~"$job",instance=~"$instance"}'
    return choice("source", "Source", "As named in the configuration", series).all_value(".*")


def builds(*, all_targets: bool = True) -> tuple[QueryVariable, ...]:
    """Which builds: each choice narrows those after it. At first those of all targets, or of the first."""
    up, created = "ci_build_target_up", "ci_build_last_created_timestamp_seconds"
    of = 'job=~"$job",instance=~"$instance",source=~"$source"'
    narrowing = (
        choice("project", "Project", "On GitLab the project's path", f"{up}{{{of}}}"),
        choice(
            "target",
            "Target",
            "A service or a job of Northflank, a project of GitLab",
            f'{up}{{{of},project=~"$project"}}',
            all_at_first=all_targets,
        ),
        choice(
            "branch",
            "Branch",
            "A branch that metrics.branches names, or all others as other",
            f'{created}{{{of},project=~"$project",target=~"$target"}}',
        ),
    )
    return *processes(), source(), *(variable.all_value(".*") for variable in narrowing)


def processes() -> tuple[QueryVariable, ...]:
    """Which exporters. All is the list of them, not `.*`: other processes have families of the same names."""
    info = "ci_build_exporter_build_info"
    return (
        choice("job", "Job", "The scrape job of the exporter", info),
        choice("instance", "Instance", "A replica of the exporter", f'{info}{{job=~"$job"}}'),
    )
