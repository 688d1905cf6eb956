import math

from modelstitch.schedule import warmup_cosine


def test_a_warm_up_is_linear_and_a_cosine_follows():
    factors = [warmup_cosine(step, 20, 4) for step in range(20)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0 and math.isclose(factors[12], 0.5) and 0 < factors[19] < 0.02
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_a_warm_up_longer_than_the_training_is_the_published_linear_schedule():
    assert [warmup_cosine(step, 4, 5) for step in range(4)] == [0.2, 0.4, 0.6, 0.8]
