"""A file of plans: absent is unlimited, 0 is none, and every mistake is named with its line and what is allowed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.domain.library_entry import Kind
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import AMOUNT_MOST, Limit, Subject
from services.orchestrator.domain.limits.measure import (
    KINDS,
    Jobs,
    Measure,
    QueuedJobs,
    Spend,
    StoredBytes,
    UnfinishedJobs,
    VideoSeconds,
)
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.plan_keys import LIMITS_MOST
from services.orchestrator.domain.plan_parser import plans_of, unknown_names
from services.orchestrator.domain.toml_file import UnusableTables, tables_of
from tests.support.builders import a_card, a_catalog, a_plan

SPEND = '{ count = "spend", for = "tenant", per = "month", most = 5 }'
WHOLE = f"a whole number from 0 to {AMOUNT_MOST}"


def plans(text: str) -> dict[str, Plan]:
    return plans_of(tables_of(text))


def one(limits: str = "", **keys: str) -> str:
    lines = ["[plans.a]", *(f"{key} = {value}" for key, value in keys.items()), f"limits = [{limits}]"]
    return "\n".join(lines)


def four_limits(tenant_micros: int, user_micros: int, tenant_jobs: int, user_jobs: int) -> tuple[Limit, ...]:
    """The limits that every plan of earlier versions had."""
    return a_plan(
        tenant_budget_micros=tenant_micros,
        user_budget_micros=user_micros,
        tenant_active_jobs=tenant_jobs,
        user_active_jobs=user_jobs,
    ).limits


def refused(text: str) -> list[str]:
    with pytest.raises(UnusableTables) as error:
        plans(text)
    return [str(each) for each in error.value.located(text).problems]


def test_every_key_of_a_plan_and_of_its_limits_is_read() -> None:
    found = plans(
        """
[plans.studio]
display_name = "Studio"
priority = 10
weight = 2
keep = { video = 90, trash = 7 }
models = ["nano", "wan"]
operations = ["image-to-video"]
resolutions = ["480p", "224x128"]
price_most_micros = 500_000
limits = [
  { count = "spend", for = "tenant", per = "month", most = 2_000_000 },
  { count = "jobs", operation = "talking-avatar", for = "user", per = "day", most = 0 },
  { count = "jobs", model = "nano", for = "key", per = "day", most = 7 },
  { count = "jobs", capability = "wan-2.5", for = "tenant", per = "anniversary-month", most = 8 },
  { count = "seconds", for = "tenant", per = "anniversary-month", most = 600 },
  { count = "unfinished", for = "user", most = 10 },
  { count = "queued", for = "tenant", most = 20 },
  { count = "bytes", for = "user", most = 1_000_000_000 },
]
[plans.open]
"""
    )
    assert found["studio"] == Plan(
        "studio",
        (
            Limit(Spend(), Subject.TENANT, Per.MONTH, 2_000_000),
            Limit(Jobs(operation="talking-avatar"), Subject.USER, Per.DAY, 0),
            Limit(Jobs(model="nano"), Subject.KEY, Per.DAY, 7),
            Limit(Jobs(capability="wan-2.5"), Subject.TENANT, Per.ANNIVERSARY, 8),
            Limit(VideoSeconds(), Subject.TENANT, Per.ANNIVERSARY, 600_000),
            Limit(UnfinishedJobs(), Subject.USER, Per.AT_A_TIME, 10),
            Limit(QueuedJobs(), Subject.TENANT, Per.AT_A_TIME, 20),
            Limit(StoredBytes(), Subject.USER, Per.AT_A_TIME, 1_000_000_000),
        ),
        "Studio",
        frozenset({"nano", "wan"}),
        frozenset({"image-to-video"}),
        frozenset({"480p", "224x128"}),
        500_000,
        10,
        2,
        KeepRules({Kind.VIDEO: 90}, 7),
    )
    assert found["open"] == Plan("open", display_name="open"), "what is absent is unlimited"


def test_limits_may_be_tables_of_their_own_too() -> None:
    text = '[plans.a]\n[[plans.a.limits]]\ncount = "spend"\nfor = "user"\nper = "day"\nmost = 3\n'
    assert plans(text)["a"].limits == (Limit(Spend(), Subject.USER, Per.DAY, 3),)
    assert refused(text.replace("3", "-3")) == [f"line 6: limit 1 of the plan 'a' has most = '-3'; it is {WHOLE}"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"wight": "1"}, "has the key 'wight'; there are display_name, priority, weight, models"),
        ({"display_name": '" "'}, "has display_name = ' '; it is a text that is not empty"),
        ({"priority": "-1"}, "has priority = '-1'; it is a whole number from 0 to 100"),
        ({"priority": "101"}, "has priority = '101'; it is a whole number from 0 to 100"),
        ({"weight": "0"}, "has weight = '0'; it is a whole number from 1 to 100"),
        ({"weight": "101"}, "has weight = '101'; it is a whole number from 1 to 100"),
        ({"weight": "true"}, "has weight = 'True'; it is a whole number from 1 to 100"),
        ({"weight": "1.0"}, "has weight = '1.0'; it is a whole number from 1 to 100"),
        ({"weight": '"2"'}, "has weight = '2'; it is a whole number from 1 to 100"),
        ({"models": "[]"}, "has models = '[]'; it is a list of models, at least one and none twice; leave it out"),
        ({"models": '"nano"'}, "has models = 'nano'; it is a list of models"),
        ({"models": '["nano", "nano"]'}, "it is a list of models, at least one and none twice"),
        ({"models": '["a model"]'}, "it is a list of models"),
        ({"operations": '["dance"]'}, "it is a list of 'image-to-video' or 'text-to-video' or 'scene-animation'"),
        ({"operations": "[]"}, "leave it out to allow all"),
        ({"resolutions": "[480]"}, "it is a list of words such as '720p' or '224x128'"),
        ({"price_most_micros": "-1"}, f"has price_most_micros = '-1'; it is {WHOLE}"),
        ({"price_most_micros": "0.5"}, f"has price_most_micros = '0.5'; it is {WHOLE}"),
        ({"price_most_micros": str(AMOUNT_MOST + 1)}, f"it is {WHOLE}"),
    ],
)
def test_a_wrong_key_of_a_plan_is_named_with_its_line_and_what_is_allowed(keys: dict[str, str], problem: str) -> None:
    [found] = refused("# A comment.\n\n" + one(**keys))
    assert found.startswith("line 4: the plan 'a' ") and problem in found


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ('count = "days", for = "user", per = "day", most = 1', "has count = 'days'; it is 'spend' or 'jobs' or"),
        ('for = "user", per = "day", most = 1', "lacks 'count'; it is 'spend' or 'jobs' or 'seconds'"),
        ('count = "jobs", for = "team", per = "day", most = 1', "has for = 'team'; it is 'tenant' or 'user' or 'key'"),
        ('count = "jobs", per = "day", most = 1', "lacks 'for'; it is 'tenant' or 'user' or 'key'"),
        ('count = "jobs", for = "user", per = "week", most = 1', "has per = 'week'; it is 'day' or 'month' or"),
        ('count = "jobs", for = "user", most = 1', "lacks 'per'; it is 'day' or 'month' or 'anniversary-month'"),
        ('count = "queued", for = "user", per = "day", most = 1', "leave `per` out"),
        ('count = "jobs", for = "user", per = "at-a-time", most = 1', "has per = 'at-a-time'; it is 'day' or"),
        ('count = "bytes", for = "key", most = 1', "has for = 'key'; it is 'tenant' or 'user'"),
        ('count = "jobs", for = "user", per = "day"', f"lacks 'most'; it is {WHOLE}"),
        ('count = "jobs", for = "user", per = "day", most = -1', f"has most = '-1'; it is {WHOLE}"),
        ('count = "jobs", for = "user", per = "day", most = 1.0', f"has most = '1.0'; it is {WHOLE}"),
        ('count = "jobs", for = "user", per = "day", most = 1e3', f"has most = '1000.0'; it is {WHOLE}"),
        ('count = "jobs", for = "user", per = "day", most = inf', f"has most = 'inf'; it is {WHOLE}"),
        ('count = "jobs", for = "user", per = "day", most = true', f"has most = 'True'; it is {WHOLE}"),
        ('count = "jobs", for = "user", per = "day", most = "1"', f"has most = '1'; it is {WHOLE}"),
        (f'count = "spend", for = "user", per = "day", most = {AMOUNT_MOST + 1}', f"it is {WHOLE}"),
        (f'count = "spend", for = "user", per = "day", most = {2**64}', f"it is {WHOLE}"),
        (
            f'count = "seconds", for = "user", per = "day", most = {AMOUNT_MOST // 1000 + 1}',
            f"it is a whole number from 0 to {AMOUNT_MOST // 1000}",
        ),
        (
            'count = "jobs", operation = "dance", for = "user", per = "day", most = 1',
            "has operation = 'dance'; it is 'image-to-video' or",
        ),
        ('count = "jobs", model = "a=b", for = "user", per = "day", most = 1', "has model = 'a=b'; it is a name of"),
        (
            'count = "spend", model = "nano", for = "user", per = "day", most = 1',
            "has the key 'model'; there are count",
        ),
        ('count = "jobs", for = "user", per = "day", most = 1, unit = "h"', "has the key 'unit'; there are count"),
    ],
)
def test_a_wrong_limit_is_named_with_its_line_its_number_and_what_is_allowed(limit: str, problem: str) -> None:
    [found] = refused(one(f"\n  {SPEND}, # a [comment]\n\n  {{ {limit} }}\n"))
    assert found.startswith("line 5: limit 2 of the plan 'a' ") and problem in found


def test_a_limit_comes_once() -> None:
    other = '{ count = "jobs", model = "nano", for = "tenant", per = "month", most = 5 }'
    assert plans(one(f"{SPEND}, {other}, {other.replace('nano', 'wan')}"))
    assert refused(one(f"{SPEND},\n{other},\n{SPEND.replace('5', '6')}")) == [
        "line 4: limit 3 of the plan 'a' repeats limit 1; keep one of them"
    ]


@pytest.mark.parametrize(
    "limits", ["3", '"spend"', "[1]", "{ count = 1 }", f"[{', '.join([SPEND] * (LIMITS_MOST + 1))}]"]
)
def test_what_is_no_list_of_limits_is_refused(limits: str) -> None:
    [found] = refused(f"[plans.a]\nlimits = {limits}")
    assert found.startswith("line 2: the plan 'a' has limits = ") and f"a list of at most {LIMITS_MOST} tables" in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: there is no plan; each is a table such as [plans.standard]"),
        ("[plans]\n", "line 1: there is no plan; each is a table such as [plans.standard]"),
        ("plans = 3\n", "line 1: there is no plan; each is a table such as [plans.standard]"),
        ("[plans]\na = 3\n", "line 2: the plan 'a' is no table"),
        ('[plans."a b"]\n', "line 1: the plan 'a b' needs another name: 1 to 128 letters, digits, dots, dashes"),
        ("[plans.a]\n[plan.b]\n", "line 2: there is no table 'plan'; the plans are in `plans`"),
    ],
)
def test_a_file_without_plans_is_refused(text: str, problem: str) -> None:
    assert any(each.startswith(problem) for each in refused(text))


def test_the_keys_of_earlier_versions_are_refused_with_what_to_write_now() -> None:
    old = "tenant_budget_micros = 1\nuser_budget_micros = 2\ntenant_active_jobs = 3\nuser_active_jobs = 4\n"
    problems = refused("[plans.a]\n" + old)
    replacements = [each.partition("write in its limits: ")[2] for each in problems]
    assert sorted(each.split(":")[0] for each in problems) == ["line 2", "line 3", "line 4", "line 5"]
    assert set(plans(one(", ".join(replacements)))["a"].limits) == set(four_limits(1, 2, 3, 4))


def test_every_problem_of_a_file_is_named_at_once() -> None:
    text = "[plans.a]\nweight = 0\n[plans.b]\nprice_most_micros = -1\n[other]\n"
    assert [each.partition(":")[0] for each in refused(text)] == ["line 5", "line 2", "line 4"]


@given(st.sampled_from(sorted(KINDS)), st.integers(-(2**60), 2**60))
def test_an_amount_is_kept_exactly_or_refused(count: str, most: int) -> None:
    kind = KINDS[count]
    per = "" if kind.at_a_time else 'per = "day", '
    scale = 1000 if count == "seconds" else 1
    text = one(f'{{ count = "{count}", for = "user", {per}most = {most} }}')
    if 0 <= most <= AMOUNT_MOST // scale:
        assert plans(text)["a"].limits[0].most == most * scale
    else:
        assert "it is a whole number" in refused(text)[0]


def test_names_that_no_card_has_are_pointed_out() -> None:
    text = one(
        '{ count = "jobs", model = "wann", for = "user", per = "day", most = 1 },'
        '{ count = "jobs", capability = "wan-9", for = "user", per = "day", most = 1 }',
        models='["test-model", "sora"]',
        resolutions='["64x32", "9000p"]',
    )
    assert [each.what for each in unknown_names(plans(text), a_catalog(a_card()))] == [
        "the plan 'a' allows the model 'sora', which no card has",
        "the plan 'a' allows the resolution '9000p', which no card has",
        "limit 1 of the plan 'a' counts the model 'wann', which no card has",
        "limit 2 of the plan 'a' counts the capability 'wan-9', which no card has",
    ]


def test_the_shipped_plans_have_the_numbers_of_the_source_systems() -> None:
    shipped = plans(Path("deploy/config/plans.toml").read_text())

    sold = [shipped[name] for name in ("free", "basic", "pro", "enterprise")]

    def most(measure: Measure) -> list[int | None]:
        key = Limit(measure, Subject.TENANT, Per.ANNIVERSARY, None).key
        return [next((each.most for each in plan.limits if each.key == key), None) for plan in sold]

    assert most(Spend()) == [2_000_000, 25_000_000, 100_000_000, 500_000_000]
    assert most(Jobs()) == [2, 10, 30, None]
    assert most(Jobs(operation="scene-animation")) == [0, 200, 500, None]
    assert most(Jobs(operation="talking-avatar")) == [0, 100, 100, None]
    assert shipped["free"].models == frozenset({"nano"})
    rising = [(plan.priority, plan.weight) for plan in sold]
    assert rising == sorted(rising) and len(set(rising)) == 4
    assert shipped["standard"].limits == four_limits(1_000_000_000, 20_000_000, 200, 10)
    assert shipped["development"].limits == four_limits(100_000_000, 50_000_000, 100_000, 50_000)
