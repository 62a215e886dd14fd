"""The schedule of retries: bounds, clamps and ends, for every policy and every attempt."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.retries import DELIVERY, DRAIN, ErrorClass, RetryPolicy, next_delay

RETRIED = [ErrorClass.TRANSIENT, ErrorClass.THROTTLED]
MINUTE = timedelta(minutes=1)

policies = st.one_of(
    st.sampled_from([DELIVERY, DRAIN]),
    st.builds(
        RetryPolicy,
        st.lists(st.timedeltas(timedelta(milliseconds=1), timedelta(days=2)), min_size=1, max_size=9).map(tuple),
        st.floats(0, 1),
    ),
)
randoms = st.floats(0, 1, exclude_max=True)
wishes = st.timedeltas(timedelta(0), timedelta(days=4000))


@st.composite
def places(draw: st.DrawFn) -> tuple[RetryPolicy, int]:
    """A policy and an attempt that it retries."""
    policy = draw(policies)
    return policy, draw(st.integers(1, len(policy.steps)))


def near(wait: timedelta) -> timedelta:
    """Rounding of timedeltas to whole microseconds."""
    return timedelta(microseconds=2) + wait * 1e-9


def test_the_published_schedules() -> None:
    def seconds(policy: RetryPolicy) -> list[float]:
        waits = (next_delay(policy, n, ErrorClass.TRANSIENT, None, 0.5) for n in range(1, len(policy.steps) + 1))
        return [wait.total_seconds() for wait in waits if wait]

    assert seconds(DELIVERY) == [5, 300, 1800, 7200, 18_000, 36_000, 36_000]
    assert seconds(DRAIN) == [1, 5, 30, 120, 600, 3600]


@given(places(), randoms)
def test_a_transient_wait_is_the_step_with_jitter(place: tuple[RetryPolicy, int], random: float) -> None:
    policy, attempt = place
    step = policy.steps[attempt - 1]
    wait = next_delay(policy, attempt, ErrorClass.TRANSIENT, None, random)
    assert wait is not None
    assert step * (1 - policy.jitter) - near(step) <= wait <= step * (1 + policy.jitter) + near(step)


@given(places(), randoms)
def test_a_throttled_wait_is_at_least_a_minute_and_never_the_shorter(
    place: tuple[RetryPolicy, int], random: float
) -> None:
    policy, attempt = place
    wait = next_delay(policy, attempt, ErrorClass.THROTTLED, None, random)
    transient = next_delay(policy, attempt, ErrorClass.TRANSIENT, None, random)
    assert wait is not None
    assert transient is not None
    assert wait >= max(MINUTE, transient - near(transient))
    assert wait <= max(MINUTE, policy.steps[attempt - 1]) * (1 + policy.jitter) + near(wait)


def test_throttled_waits_do_not_all_end_at_the_same_moment() -> None:
    waits = {next_delay(DELIVERY, 1, ErrorClass.THROTTLED, None, n / 10) for n in range(10)}
    assert len(waits) == 10


@given(places(), st.sampled_from(RETRIED), wishes, randoms)
def test_retry_after_is_followed_between_the_wait_and_its_double(
    place: tuple[RetryPolicy, int], error_class: ErrorClass, wish: timedelta, random: float
) -> None:
    policy, attempt = place
    usual = next_delay(policy, attempt, error_class, None, random)
    wait = next_delay(policy, attempt, error_class, wish, random)
    assert usual is not None
    if wish < usual:
        assert wait == usual
    elif wish > 2 * usual:
        assert wait == 2 * usual
    else:
        assert wait == wish


@given(places(), st.sampled_from(RETRIED), st.none() | wishes, randoms, randoms)
def test_the_wait_grows_with_the_draw(
    place: tuple[RetryPolicy, int], error_class: ErrorClass, wish: timedelta | None, one: float, other: float
) -> None:
    policy, attempt = place
    first, second = (next_delay(policy, attempt, error_class, wish, r) for r in sorted((one, other)))
    assert first is not None
    assert second is not None
    assert first <= second


@given(places(), st.sampled_from(RETRIED), wishes, wishes, randoms)
def test_the_wait_grows_with_the_wish(
    place: tuple[RetryPolicy, int], error_class: ErrorClass, one: timedelta, other: timedelta, random: float
) -> None:
    policy, attempt = place
    first, second = (next_delay(policy, attempt, error_class, w, random) for w in sorted((one, other)))
    assert first is not None
    assert second is not None
    assert first <= second


@given(places(), st.none() | wishes, randoms)
@pytest.mark.parametrize("error_class", [ErrorClass.PERMANENT, ErrorClass.POISON])
def test_hopeless_errors_are_dead_letters_at_once(
    error_class: ErrorClass, place: tuple[RetryPolicy, int], wish: timedelta | None, random: float
) -> None:
    policy, attempt = place
    assert next_delay(policy, attempt, error_class, wish, random) is None


@given(policies, st.integers(1, 1000), st.sampled_from(ErrorClass), st.none() | wishes, randoms)
def test_used_up_steps_are_a_dead_letter(
    policy: RetryPolicy, beyond: int, error_class: ErrorClass, wish: timedelta | None, random: float
) -> None:
    assert next_delay(policy, len(policy.steps) + beyond, error_class, wish, random) is None


@pytest.mark.parametrize("attempt", [0, -1])
@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_attempts_count_from_one(attempt: int, error_class: ErrorClass) -> None:
    with pytest.raises(ValueError, match="from 1"):
        next_delay(DRAIN, attempt, error_class, None, 0.5)


@given(places(), st.sampled_from(ErrorClass), st.none() | wishes, randoms)
def test_the_same_question_has_the_same_answer(
    place: tuple[RetryPolicy, int], error_class: ErrorClass, wish: timedelta | None, random: float
) -> None:
    policy, attempt = place
    same = RetryPolicy(policy.steps, policy.jitter, policy.throttled_floor)
    assert next_delay(policy, attempt, error_class, wish, random) == next_delay(
        same, attempt, error_class, wish, random
    )
