import pytest

from hotmic.bench.device import BUNDLED
from hotmic.bench.simulation import Report, Scenario, Spread, jain, knee, simulate, sustains
from hotmic.scheduler.scheduler import BRIEF


def test_five_hundred_speakers_on_a_modelled_card() -> None:
    report = simulate(Scenario(tenants=(500,), duration=15.0, ramp=3.0))
    assert sustains(report)
    assert report.admitted == 500
    assert report.finals > 500
    assert report.session_fairness > 0.98


def test_sixty_four_on_the_bundled_model_are_never_refused() -> None:
    scenario = Scenario(tenants=(64,), duration=60.0, ramp=2.0, pause=0.5, device=BUNDLED, max_rows=8, max_in_flight=1)
    report = simulate(scenario)
    assert report.refusals == 0
    assert report.finals_lost == 0
    assert report.final_latency.p95 <= 1.5


def test_too_many_are_sent_away_and_the_finals_of_the_others_stay_quick() -> None:
    scenario = Scenario(tenants=(800,), duration=40.0, ramp=10.0, device=BUNDLED, max_rows=8, max_in_flight=1)
    report, open_door = simulate(scenario), simulate(Scenario(**{**fields(scenario), "admission": False}))
    assert report.refusals > 0
    assert report.admitted < 500
    assert report.final_latency.p95 <= 0.8
    assert open_door.final_latency.p95 > 2 * report.final_latency.p95, "this is what refusing is for"
    assert report.finals_lost == open_door.finals_lost == 0


def test_a_small_tenant_keeps_its_share_under_overload() -> None:
    scenario = Scenario(
        tenants=(300, 2), duration=40.0, ramp=2.0, device=BUNDLED, max_rows=8, max_in_flight=1, admission=False
    )
    report = simulate(scenario)
    assert report.dropped > 0.2, "it is overload"
    assert report.tenant_fairness > 0.7


@pytest.mark.parametrize(
    ("scenario", "speed"),
    [
        (Scenario(tenants=(100,), duration=30.0, ramp=3.0), 500.0),
        (Scenario(tenants=(64,), duration=30.0, ramp=3.0, device=BUNDLED, max_rows=8, max_in_flight=1), 10.0),
        (Scenario(tenants=(200,), duration=30.0, ramp=3.0, device=BUNDLED, max_rows=8, max_in_flight=1), 1.0),
    ],
)
def test_files_go_on_and_speakers_do_not_feel_them(scenario: Scenario, speed: float) -> None:
    alone, beside = simulate(scenario), simulate(Scenario(**{**fields(scenario), "files": 16}))
    assert (beside.admitted, beside.refusals, beside.finals_lost) == (alone.admitted, alone.refusals, 0)
    assert beside.final_latency.p95 <= alone.final_latency.p95 + BRIEF
    assert beside.partial_age.p95 <= alone.partial_age.p95 + BRIEF
    assert beside.file_speed >= speed


def test_the_cadence_settles() -> None:
    report = simulate(Scenario(tenants=(600,), duration=20.0, ramp=3.0))
    assert 0.35 < report.cadence < 2.0
    assert report.cadence_spread < 0.2 * report.cadence


def test_the_same_seed_gives_the_same_report() -> None:
    scenario = Scenario(tenants=(20, 10), duration=12.0, ramp=1.0, seed=7)
    assert simulate(scenario) == simulate(scenario)
    assert simulate(scenario) != simulate(Scenario(**{**fields(scenario), "seed": 8}))


@pytest.mark.parametrize(("values", "index"), [([1, 1, 1], 1.0), ([1, 0, 0, 0], 0.25), ([], 1.0), ([0, 0], 1.0)])
def test_jain(values: list[float], index: float) -> None:
    assert jain(values) == index


def test_the_knee_is_before_the_first_limit_that_broke() -> None:
    def report(offered: int, age: float) -> Report:
        return Report(
            offered=offered, admitted=offered, refusals=0, finals=1, finals_lost=0, final_latency=Spread(),
            partial_age=Spread(p95=age), session_fairness=1.0, tenant_fairness=1.0, cadence=0.3, cadence_spread=0.0,
            utilisation=0.5, rows=1.0, dropped=0.0,
        )  # fmt: skip

    assert knee([report(300, 0.5), report(100, 0.2), report(200, 1.5)]) == 100
    assert knee([report(100, 2.0)]) == 0


def fields(scenario: Scenario) -> dict[str, object]:
    return {name: getattr(scenario, name) for name in scenario.__struct_fields__}
