"""What a scrape's headers ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.render import Format
from exporter.web.scrape import form, patience, takes_gzip

OPENMETRICS, TEXT = Format.OPENMETRICS, Format.TEXT

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2_OLD = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_TEXT_ONLY = "text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("header", "took", "seconds"),
    [
        (None, 0.0, 10.0),
        ("3", 0.0, 2.5),
        ("3.0", 0.2, 2.5),
        ("3", 1.0, 1.0),
        ("10", 0.1, 9.5),
        ("60", 0.0, 10.0),
        ("0.5", 0.0, 0.0),
        ("0.2", 0.0, 0.0),
        ("3", 2.0, 0.0),
        ("0", 0.0, 0.0),
        ("-5", 0.0, 0.0),
        ("", 0.0, 0.0),
        ("soon", 0.0, 0.0),
        ("inf", 0.0, 0.0),
        ("-inf", 0.0, 0.0),
        ("nan", 0.0, 0.0),
        ("1e999", 0.0, 0.0),
    ],
)
def test_a_scrape_waits_for_what_its_header_leaves(header: str | None, took: float, seconds: float) -> None:
    assert patience(header, 10.0, took) == seconds


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        (CHROME, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_2_OLD, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        (PROMETHEUS_TEXT_ONLY, TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Q=0.5", OPENMETRICS),
        ("text/plain, application/openmetrics-text", OPENMETRICS),
        ("text/plain;q=0.6, application/openmetrics-text;q=0.5", TEXT),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.6", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0, */*", TEXT),
        ("application/openmetrics-text;q=0.1, */*", TEXT),
        ("application/openmetrics-text;q=0.1, text/*", TEXT),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.1, */*", OPENMETRICS),
        ("application/openmetrics-text;q=0.4,application/openmetrics-text;q=0.9,text/plain;q=0.5", OPENMETRICS),
        ("application/openmetrics-text;q=2", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=high", TEXT),
        ("application/openmetrics-text;q", TEXT),
        ("application/openmetrics-text ; q = 0.5", OPENMETRICS),
        (";;,,=q;q=", TEXT),
    ],
)
def test_openmetrics_is_told_to_who_prefers_it(accept: str, wanted: Format) -> None:
    assert form(accept) is wanted


@pytest.mark.parametrize(
    ("accept_encoding", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip", True),
        ("identity", False),
        ("br, zstd", False),
        ("gzipped", False),
        ("gzip;q=lots", False),
        ("gzip;level=9", True),
    ],
)
def test_gzip_is_told_to_who_takes_it(accept_encoding: str, takes: bool) -> None:  # noqa: FBT001  # a table's column
    assert takes_gzip(accept_encoding) is takes


words = st.lists(
    st.sampled_from(["application/openmetrics-text", "text/plain", "*/*", "gzip", ";", ",", "q=", "q", "=", "1", "nan"])
    | st.text(max_size=5)
).map("".join)


@given(words, st.floats(0, 100), st.floats(0, 100))
def test_no_header_is_too_strange_to_be_read(header: str, timeout: float, took: float) -> None:
    assert form(header) in Format
    assert takes_gzip(header) in {True, False}
    assert 0 <= patience(header, timeout, took) <= timeout
