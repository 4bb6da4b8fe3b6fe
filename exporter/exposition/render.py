"""Rendered families, kept as bytes by target and joined at the scrape.

prometheus-client renders what is made anew at each scrape, and every header; what it renders is cut at its `# HELP`
lines, so that the samples of many targets stand under one header. The sample lines of targets are written here, byte by
byte as it would write them: it checks and escapes each label of each sample anew, which took four times as long and was
a quarter of a read. In the text format `_gcount` and `_gsum` are families of their own.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

from exporter.build import Target
from exporter.exposition.families import go_float, target_labels
from exporter.exposition.gzip_members import Column, Member
from exporter.exposition.self_metrics import family


class Format(StrEnum):
    """The exposition formats, by their content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


Pieces = dict[str, bytes]
"""Sample lines by the name of the family that they stand under."""

REFRESH = "ci_build_target_refresh_timestamp_seconds"
_FAMILY = re.compile(rb"^# HELP (\S+) .*\n# TYPE .*\n", re.MULTILINE)
_END = b"# EOF\n"
_APART = ("_gcount", "_gsum")
"""Samples of a gauge histogram that are families of their own in the text format."""


class _Once(Collector):
    """Families as prometheus-client's renderers take them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(families: Iterable[Metric], form: Format) -> bytes:
    """The families as exposition text, the end mark of OpenMetrics included."""
    if form is Format.TEXT:
        return generate_latest(_Once(families))
    rendered: bytes = generate_openmetrics(_Once(families))  # type: ignore[no-untyped-call]  # it has no types there
    return rendered


def cut(rendered: bytes) -> tuple[Pieces, Pieces]:
    """The headers and the sample lines of a rendered text, both by family."""
    headers: Pieces = {}
    samples: Pieces = {}
    found = list(_FAMILY.finditer(rendered))
    ends = [*(match.start() for match in found), len(rendered)][1:]
    for match, end in zip(found, ends, strict=True):
        name = match[1].decode()
        headers[name] = match[0]
        samples[name] = rendered[match.end() : end].removesuffix(_END)
    return headers, samples


def lines(families: Iterable[Metric], form: Format) -> tuple[Pieces, Pieces]:
    """The same as of the families rendered and cut; their samples have no time of their own."""
    headers: Pieces = {}
    samples: dict[str, list[str]] = {}
    for metric in families:
        apart = _APART if form is Format.TEXT and metric.type == "gaugehistogram" else ()
        name, header = _header(metric.name, metric.documentation, metric.type, form)
        headers[name], samples[name] = header, []
        for sample in metric.samples:
            into = name
            if sample.name.endswith(apart):
                into, header = _header(sample.name, metric.documentation, "gauge", form)
                headers[into] = header
            samples.setdefault(into, []).append(_line(sample, form))
    return headers, {name: "".join(of_name).encode() for name, of_name in samples.items()}


@lru_cache(maxsize=256)
def _header(name: str, help_: str, type_: str, form: Format) -> tuple[str, bytes]:
    """The name under which a family's samples stand, and its `# HELP` and `# TYPE`."""
    ((found, header),) = cut(render([Metric(name, help_, type_)], form))[0].items()
    return found, header


def _line(sample: Sample, form: Format) -> str:
    labels = _labels(sample.labels)
    exemplar = _exemplar(sample.exemplar) if sample.exemplar and form is Format.OPENMETRICS else ""
    return f"{sample.name}{labels} {go_float(sample.value)}{exemplar}\n"


def _exemplar(exemplar: Exemplar) -> str:
    return f" # {_labels(exemplar.labels) or '{}'} {go_float(exemplar.value)} {exemplar.timestamp}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join([f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())])
    return f"{{{pairs}}}" if pairs else ""


@lru_cache(maxsize=512)
def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class _Kept:
    """The lines of all targets in one format, a column a family; families in the order in which they were seen."""

    def __init__(self) -> None:
        self._headers: dict[str, Column] = {}
        self._columns: dict[str, Column] = {}

    def put(self, place: int, headers: Pieces, samples: Pieces) -> None:
        for name, header in headers.items():
            if name not in self._columns:
                self._headers[name], self._columns[name] = Column(), Column()
                self._headers[name].put(0, header)
        for name, column in self._columns.items():
            column.put(place, samples.get(name, b""))

    def member(self) -> Member:
        member = Member()
        for name, column in self._columns.items():
            if column:
                self._headers[name].add_to(member)
                column.add_to(member)
        return member


class Exposition:
    """The kept lines of all targets, in the formats that were asked for."""

    def __init__(self) -> None:
        self._kept: dict[Format, _Kept] = {}
        self._places: dict[Target, int] = {}
        self._free: list[int] = []
        self._refreshed: dict[Target, bytes] = {}

    @property
    def formats(self) -> Collection[Format]:
        """Those that were asked for; only these are rendered."""
        return self._kept.keys()

    def want(self, form: Format) -> None:
        """Keep this format as well from now on: what is put from now on."""
        self._kept.setdefault(form, _Kept())

    def put(self, target: Target, families: Sequence[Metric]) -> None:
        """Keep the families of a target instead of those that it had."""
        if not self._kept:
            return  # so that the first scrape finds them in the order in which they were discovered
        place = self._places.get(target)
        if place is None:
            place = self._places[target] = self._free.pop() if self._free else len(self._places)
        for form, kept in self._kept.items():
            kept.put(place, *lines(families, form))

    def refreshed(self, target: Target, at: float) -> None:
        """Keep when the target was last known to be current; the rest of it is not rendered for that."""
        known = self._refreshed.get(target)
        series = known.rpartition(b" ")[0] if known else _series(target)
        self._refreshed[target] = b"%b %b\n" % (series, go_float(at).encode())

    def forget(self, target: Target) -> None:
        """Drop all that is kept of a target."""
        self._refreshed.pop(target, None)
        place = self._places.pop(target, None)
        if place is not None:
            for kept in self._kept.values():
                kept.put(place, {}, {})
            self._free.append(place)

    def join(self, form: Format, tail: Iterable[Metric]) -> bytes:
        """The whole exposition as one gzip member: the targets' families, then the tail and the end."""
        member = self._kept.get(form, _Kept()).member()
        member.add(b"".join([*_under_header(form, self._refreshed.values()), render(tail, form)]))
        return member.whole()

    def of_target(self, target: Target, families: Sequence[Metric], form: Format) -> bytes:
        """The exposition of one target alone, its end included; nothing of it is kept."""
        headers, samples = lines(families, form)
        parts = [headers[name] + lines for name, lines in samples.items() if lines]
        refreshed = [self._refreshed[target]] if target in self._refreshed else []
        return b"".join([*parts, *_under_header(form, refreshed), render([], form)])


def _under_header(form: Format, refreshed: Collection[bytes]) -> list[bytes]:
    """The times of refresh as a family; nothing where there are none."""
    return [*cut(render([family(REFRESH)], form))[0].values(), *refreshed] if refreshed else []


def _series(target: Target) -> bytes:
    """The name and labels of the target's refresh time, the same in both formats."""
    metric = family(REFRESH)
    metric.add_sample(metric.name, target_labels(target), 0.0)
    return cut(render([metric], Format.TEXT))[1][REFRESH].rpartition(b" ")[0]
