"""What counts as flat."""

from tests.benchmarks.soak import judge, rise


def samples(value, count=100):
    return [(5.0 * number, value(number)) for number in range(count)]


def test_a_line_rises_by_its_slope_and_noise_does_not():
    assert round(rise(samples(lambda number: 100 + number)), 6) == 99
    assert abs(rise(samples(lambda number: 100 + 10 * (number % 2)))) < 1


def test_growth_while_warming_up_is_forgiven_and_a_leak_is_not():
    assert judge("n1", samples(lambda number: 70 + 5 * min(number, 30)))["flat"]
    leak = judge("n1", samples(lambda number: 70 + 0.5 * number))
    assert not leak["flat"]
    assert leak["rise_mb"] > 29


def test_a_sawtooth_is_flat():
    assert judge("n1", samples(lambda number: 100 + number % 12))["flat"]
