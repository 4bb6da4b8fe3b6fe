import pytest
from builds import NOW

from exporter.allowance import Allowance, allowance_of


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"retry-after": "5"}, None),
        # Northflank: the seconds that are left
        (
            {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "998", "x-ratelimit-reset": "1800"},
            Allowance(1000, 998, NOW + 1800, 3600),
        ),
        # GitLab: when it ends
        (
            {"ratelimit-limit": "2000", "ratelimit-remaining": "0", "ratelimit-reset": "1700000060"},
            Allowance(2000, 0, NOW + 60, 60),
        ),
        ({"ratelimit-limit": "60"}, Allowance(60, None, None, 60)),
        ({"x-ratelimit-remaining": "0"}, Allowance(None, 0, None)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "0"}, Allowance(None, 7, NOW)),
        ({"x-ratelimit-reset": "60"}, None),
        ({"x-ratelimit-reset": "60", "ratelimit-limit": "5"}, Allowance(5, None, None, 60)),
        ({"x-ratelimit-limit": "many", "ratelimit-limit": "5"}, Allowance(5, None, None, 60)),
        ({"x-ratelimit-limit": "", "x-ratelimit-remaining": "3"}, Allowance(None, 3, None)),
        ({"x-ratelimit-limit": "-1", "x-ratelimit-remaining": "nan"}, None),
        ({"x-ratelimit-limit": "inf", "x-ratelimit-remaining": "1e999"}, None),
        ({"x-ratelimit-limit": "10", "x-ratelimit-reset": "soon"}, Allowance(10, None, None)),
    ],
)
def test_an_answers_headers_say_what_is_allowed(headers: dict[str, str], found: Allowance | None) -> None:
    assert allowance_of(headers, NOW) == found
