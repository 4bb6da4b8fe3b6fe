"""The parts of PromQL that the dashboards share.

Replicas show the same builds: `one` makes one series of what several show, and comes first. Each replica makes
requests of its own: those are summed.
"""

OF_PROCESS = 'job=~"$job",instance=~"$instance"'
"""Which exporters: two in one Prometheus are told apart by these labels of the scrape."""
OF_SOURCE = f'{OF_PROCESS},source=~"$source"'
OF_TARGET = f'{OF_SOURCE},project=~"$project",target=~"$target"'
OF_BRANCH = f'{OF_TARGET},branch=~"$branch"'

TARGET = "source, project, kind, target"
BRANCH = f"{TARGET}, branch"

DECIDED = 'outcome=~"success|failure|error|timeout"'
"""What counts for the success ratio."""
FAILED = 'outcome=~"failure|error|timeout"'
UNFINISHED = 'outcome=~"pending|executing"'
SUCCESS = 'outcome="success"'

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""The quantiles that are shown, by their names."""


def of(scope: str, family: str, more: str = "") -> str:
    """The family's series within a scope, one of those above."""
    return f"{family}{{{scope}{',' if more else ''}{more}}}"


def builds(family: str, more: str = "") -> str:
    """A family of section "Recent builds" within the chosen targets and branches, one series of all replicas."""
    return one(of(OF_BRANCH, family, more))


def target(family: str, more: str = "") -> str:
    """A family about the reading of targets, likewise."""
    return one(of(OF_TARGET, family, more))


def source(family: str, more: str = "") -> str:
    """A family about a source, likewise."""
    return one(of(OF_SOURCE, family, more))


def one(series: str) -> str:
    """One series of what several replicas show."""
    return f"max without (instance, pod) ({series})"


def of_default_branches(family: str) -> str:
    """A family of section "Recent builds", of the default branch of each chosen target.

    Where the provider does not report the default branch, `main` and `master` stand in, as in the alerts.
    """
    reported = target("ci_build_target_info", 'default_branch!=""')
    known = f'label_replace({reported}, "branch", "$1", "default_branch", "(.+)")'
    unknown = target("ci_build_target_info", 'default_branch=""')
    assumed = (f'label_replace({unknown}, "branch", "{name}", "", "")' for name in ("main", "master"))
    return f"{builds(family)} and on ({BRANCH}) ({' or '.join((known, *assumed))})"


def but_default_branches(family: str) -> str:
    """The same of the other named branches."""
    named = builds(family, 'branch!="other"')
    return f"{named} unless on ({BRANCH}) ({of_default_branches(family)})"


def concluded(within: str, family: str = "ci_build_concluded_total") -> str:
    """Builds that concluded within a range, such as `1h`: the increase of each replica, then one of them."""
    return one(f"increase({of(OF_BRANCH, family)}[{within}])")


def grown(series: str, within: str) -> str:
    """By how much each replica's counter has grown within a range, where the first event makes the series.

    Of a series without a past the value itself counts: its increase is 0.
    """
    return f"{series} unless {series} offset {within} or increase({series}[{within}])"


def success_ratio(labels: str) -> str:
    """The success ratio of the window's runs by some labels: a ratio of sums, not a mean of ratios."""
    succeeded = f"sum by ({labels}) ({builds('ci_build_window_runs', SUCCESS)})"
    return f"{succeeded} / (sum by ({labels}) ({builds('ci_build_window_runs', DECIDED)}) > 0)"


def buckets(labels: str, family: str, more: str = "") -> str:
    """The buckets of a gauge histogram summed by `le` and other labels. They are the window's builds: no `rate()`."""
    return f"sum by ({labels}) ({builds(f'{family}_bucket', more)})"


def quantile(share: float, labels: str, family: str, more: str = "") -> str:
    """Within what time that share of the window's builds are done."""
    return f"histogram_quantile({share}, {buckets(labels, family, more)})"


def mean(labels: str, family: str, more: str = "") -> str:
    """The mean of a gauge histogram."""
    total = f"sum by ({labels}) ({builds(f'{family}_gsum', more)})"
    return f"{total} / (sum by ({labels}) ({builds(f'{family}_gcount', more)}) > 0)"


def restore_time(labels: str) -> str:
    """The mean time from the first failure to the success that followed, in the window."""
    seconds = f"sum by ({labels}) ({builds('ci_build_window_restore_seconds')})"
    return f"{seconds} / (sum by ({labels}) ({builds('ci_build_window_restores')}) > 0)"


def count(condition: str) -> str:
    """How many series fulfil a condition; 0 where none does."""
    return f"count({condition}) or vector(0)"


def milliseconds(seconds: str) -> str:
    """A time stamp as Grafana's units of time take it."""
    return f"{seconds} * 1000"
