"""The life of a worker, told in events and a made-up clock: no process is started here."""

from __future__ import annotations

import itertools
import random

import pytest

from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.life import (
    ALIVE,
    DEAD,
    FROM_WORKER,
    Abandon,
    Action,
    AskToCancel,
    AskToLeave,
    BecameReady,
    CancelWanted,
    ChannelClosed,
    Died,
    DumpStacks,
    EndRun,
    Event,
    GiveRun,
    Heard,
    Kill,
    LeaveWanted,
    Lifecycle,
    Misbehaved,
    Progressed,
    Reconsidered,
    RefuseRuns,
    RunDone,
    RunGiven,
    SendPing,
    Spawn,
    SpawnFailed,
    Start,
    StartRefused,
    Terminate,
    Tick,
)
from dw_lsp.supervisor.lifecycle import TABLE, ImpossibleEvent, advance

LIMITS = Limits(
    starting=120,
    stable=10,
    ping=3,
    answer=10,
    silence=60,
    progress=300,
    run=None,
    cancelling=10,
    leaving=5,
    closing=2,
    terminating=3,
    killing=10,
    crashes=3,
)
NO_PINGS = Limits(starting=120, stable=10, ping=None, progress=300, cancelling=10, leaving=5, closing=2, terminating=3)


class Story:
    """A life that is told event by event."""

    def __init__(self, limits: Limits = NO_PINGS):
        self.limits, self.now, self.life = limits, 0.0, Lifecycle()
        self.done: list[Action] = []

    def then(self, *events: Event) -> Story:
        for event in events:
            self.life, actions = advance(self.life, event, self.now, self.limits)
            self.done = [*actions]
        return self

    def after(self, seconds: float) -> Story:
        self.now += seconds
        return self.then(Tick())

    @property
    def state(self) -> str:
        return self.life.state


def starting() -> Story:
    return Story().then(Start())


def idle(limits: Limits = NO_PINGS) -> Story:
    return Story(limits).then(Start(), BecameReady())


def busy(limits: Limits = NO_PINGS) -> Story:
    return idle(limits).then(RunGiven("r1"))


# ---------------------------------------------------------------- start


def test_there_is_no_worker_at_first() -> None:
    assert Lifecycle().state == "stopped"


def test_a_worker_is_started_when_it_is_wanted() -> None:
    story = starting()
    assert (story.state, story.done) == ("starting", [Spawn()])


@pytest.mark.parametrize("story", [starting(), idle(), busy()], ids=["starting", "idle", "busy"])
def test_one_worker_is_enough(story: Story) -> None:
    state = story.state
    assert story.then(Start()).done == []
    assert story.state == state


def test_a_ready_worker_is_idle() -> None:
    assert idle().state == "idle"
    assert idle().life.accepts_run


def test_a_starting_worker_takes_no_run() -> None:
    assert not starting().life.accepts_run
    with pytest.raises(ImpossibleEvent, match="RunGiven while the worker is starting"):
        starting().then(RunGiven("r1"))


def test_a_command_that_cannot_be_started_fails_the_runs_that_wait() -> None:
    story = starting().then(SpawnFailed("no such file"))
    assert (story.state, story.done) == ("crashed", [RefuseRuns("no such file")])


def test_a_worker_that_cannot_work_is_asked_to_leave_and_its_runs_fail() -> None:
    story = starting().then(StartRefused("torch is missing", "pip install torch"))
    assert story.done == [RefuseRuns("torch is missing", "pip install torch"), AskToLeave()]
    assert story.then(Died()).state == "crashed"
    assert story.life.crashes == 0


def test_what_a_worker_lacks_is_said_with_its_remedy() -> None:
    story = starting().then(StartRefused("torch is missing.", "Install it."))
    assert story.life.ending is not None
    assert story.life.ending.reason == "torch is missing. Install it."


def test_a_worker_that_never_gets_ready_is_ended() -> None:
    story = starting().after(119.9)
    assert story.done == []
    assert story.after(0.1).done == [Terminate()]
    assert story.after(3).done == [Kill()]
    assert story.then(Died()).done == [RefuseRuns("The worker could not be started.", tell_exit=True)]
    assert story.state == "crashed"


def test_a_worker_may_be_slow_when_no_limit_is_set() -> None:
    story = Story(Limits(starting=None)).then(Start()).after(1e6)
    assert (story.state, story.done) == ("starting", [])


# ---------------------------------------------------------------- crashes


def test_a_death_that_nobody_wanted_is_a_crash() -> None:
    story = idle().then(Died())
    assert (story.state, story.done, story.life.crashes) == ("crashed", [], 1)


def test_the_run_of_a_crashed_worker_crashed() -> None:
    story = busy().then(Died())
    assert (story.state, story.done) == ("crashed", [EndRun("crashed")])
    assert story.life.run_id is None


def again(story: Story) -> list[Action]:
    """A worker is wanted, and the pause before it is over."""
    story.then(Start())
    return story.done or story.after(10).done


def test_a_crash_at_the_start_leaves_the_runs_waiting_for_the_next_worker() -> None:
    story = starting().then(Died())
    assert (story.state, story.done) == ("crashed", [])
    assert again(story) == [Spawn()]


def test_a_crash_of_a_worker_that_was_of_use_is_followed_by_another_at_once() -> None:
    assert busy().then(Died(), Start()).done == [Spawn()]
    assert idle().after(10).then(Died(), Start()).done == [Spawn()]


def test_a_crash_at_the_start_is_followed_by_a_pause_that_grows() -> None:
    story = Story(Limits(pause=1, crashes=4)).then(Start())
    for seconds in (1, 2, 4):
        story.then(Died(), Start())
        assert (story.state, story.done, story.life.may_start) == ("crashed", [], False)
        assert story.after(seconds - 0.1).done == []
        assert story.after(0.1).done == [Spawn()]


def test_wanting_it_again_does_not_make_the_pause_longer() -> None:
    story = starting().then(Died(), Start()).after(0.2).then(Start())
    assert story.after(0.1).done == [Spawn()]


def test_a_pause_can_be_broken_off() -> None:
    story = starting().then(Died(), Start(), LeaveWanted("shutdown"))
    assert (story.after(10).done, story.state) == ([], "stopped")
    assert starting().then(Died(), Start(), LeaveWanted("restart")).done == [Spawn()]


def test_three_crashes_at_the_start_are_enough() -> None:
    story = Story()
    for _ in range(3):
        assert again(story) == [Spawn()]
        story.then(Died())
    [refusal] = story.then(Start()).done
    assert isinstance(refusal, RefuseRuns)
    assert "3 times in a row" in refusal.reason
    assert refusal.tell_exit
    assert story.state == "crashed"


def test_another_interpreter_is_another_chance() -> None:
    story = Story()
    for _ in range(3):
        again(story)
        story.then(Died())
    assert story.then(Reconsidered(), Start()).done == [Spawn()]


def test_a_stable_worker_wipes_out_the_crashes_before_it() -> None:
    story = Story()
    for _ in range(2):
        again(story)
        story.then(Died())
    again(story)
    story.then(BecameReady()).after(9.9)
    assert story.life.crashes == 2
    assert story.after(0.1).life.crashes == 0


def test_a_worker_that_had_a_run_wipes_out_the_crashes_before_it() -> None:
    story = Story()
    for _ in range(2):
        again(story)
        story.then(Died())
    again(story)
    story.then(BecameReady(), RunGiven("r1"), RunDone(), Died())
    assert story.life.crashes == 0


def test_a_short_life_wipes_out_nothing() -> None:
    story = Story()
    for _ in range(3):
        again(story)
        story.then(BecameReady()).after(9)
        story.then(Died())
    assert isinstance(story.then(Start()).done[0], RefuseRuns)


def test_a_restart_wipes_out_the_crashes() -> None:
    story = Story()
    for _ in range(3):
        again(story)
        story.then(Died())
    assert story.then(LeaveWanted("restart")).done == [Spawn()]
    assert (story.state, story.life.crashes) == ("starting", 0)


# ---------------------------------------------------------------- work


def test_a_run_makes_the_worker_busy() -> None:
    story = busy()
    assert (story.state, story.life.run_id, story.done) == ("busy", "r1", [GiveRun()])


def test_a_busy_worker_takes_no_second_run() -> None:
    with pytest.raises(ImpossibleEvent):
        busy().then(RunGiven("r2"))


def test_the_end_of_a_run_makes_the_worker_idle() -> None:
    story = busy().then(RunDone())
    assert (story.state, story.life.run_id, story.done) == ("idle", None, [])
    assert story.life.accepts_run


def test_an_idle_worker_may_wait_for_ever() -> None:
    story = busy().then(RunDone()).after(1e6)
    assert (story.state, story.done) == ("idle", [])


# ---------------------------------------------------------------- cancel


def test_a_cancel_is_a_message_first() -> None:
    assert busy().then(CancelWanted()).done == [AskToCancel()]


def test_a_worker_that_obeys_lives_on() -> None:
    story = busy().then(CancelWanted()).after(9.9)
    assert story.done == []
    story.then(RunDone()).after(1000)
    assert (story.state, story.done, story.life.ending) == ("idle", [], None)


def test_a_worker_that_does_not_obey_climbs_the_ladder() -> None:
    story = busy().then(CancelWanted())
    assert story.after(10).done == [DumpStacks()]
    assert story.after(0.2).done == [Terminate()]
    assert story.after(3).done == [Kill()]
    assert story.then(Died()).done == [EndRun("cancelled")]
    assert (story.state, story.life.crashes) == ("stopped", 0)


def test_asking_twice_does_not_ask_the_worker_twice() -> None:
    story = busy().then(CancelWanted()).after(8)
    assert story.then(CancelWanted()).done == []
    assert story.after(2).done == [DumpStacks()]


def test_a_forced_cancel_does_not_ask() -> None:
    story = busy().then(CancelWanted(), CancelWanted(force=True))
    assert story.done == [Kill()]
    assert story.then(Died()).done == [EndRun("cancelled")]


def test_an_end_of_the_run_after_the_signal_does_not_save_the_worker() -> None:
    story = busy().then(CancelWanted()).after(10).after(0.2)
    story.then(RunDone())
    assert not story.life.accepts_run
    assert story.then(Died()).done == []
    assert story.state == "stopped"


def test_an_end_of_the_run_before_the_signal_saves_it() -> None:
    story = busy().then(CancelWanted()).after(10).then(RunDone()).after(10)
    assert (story.state, story.life.ending, story.done) == ("idle", None, [])


def test_a_worker_that_not_even_the_system_can_end_is_given_up() -> None:
    story = busy().then(CancelWanted(force=True)).after(10)
    assert story.done == [Abandon()]
    assert story.after(1e6).done == []
    assert story.then(Died()).done == [EndRun("cancelled")]


def test_nothing_is_cancelled_when_nothing_runs() -> None:
    assert idle().then(CancelWanted()).done == []
    assert Story().then(CancelWanted()).done == []


# ---------------------------------------------------------------- limits of a run


def test_a_run_without_progress_is_ended_with_a_look_at_its_stacks() -> None:
    story = busy().after(300)
    assert story.done == [DumpStacks()]
    assert story.after(0.2).done == [AskToCancel()]
    assert story.after(9.8).done == [DumpStacks()]
    assert story.after(0.2).done == [Terminate()]
    assert story.then(Died()).done == [EndRun("timedOut")]
    assert (story.state, story.life.crashes) == ("stopped", 0)


def test_progress_moves_the_limit() -> None:
    story = busy()
    for _ in range(10):
        assert story.after(299).done == []
        story.then(Progressed())
    assert story.after(300).done == [DumpStacks()]


def test_being_heard_is_no_progress() -> None:
    story = busy().after(299)
    assert story.then(Heard()).after(1).done == [DumpStacks()]


def test_a_worker_that_stops_when_the_time_is_over_lives_on() -> None:
    story = busy().after(300).then(RunDone())
    assert (story.state, story.life.ending) == ("idle", None)


def test_a_run_that_ends_while_its_stacks_are_written_is_not_asked_to() -> None:
    story = busy().after(300).then(RunDone()).after(0.2)
    assert (story.done, story.state) == ([], "idle")


def test_a_user_may_cancel_a_run_that_is_over_time() -> None:
    story = busy().after(300).then(CancelWanted())
    assert story.life.ending is not None
    assert story.life.ending.purpose == "timedOut"


def test_progress_after_the_limit_does_not_bring_it_back() -> None:
    story = busy().after(300)
    story.then(Progressed()).after(0.2)
    assert story.done == [AskToCancel()]
    assert story.after(9.8).after(0.2).done == [Terminate()]


def test_a_whole_run_has_its_own_limit() -> None:
    story = busy(Limits(ping=None, run=50))
    for _ in range(4):
        story.then(Progressed()).after(10)
    assert story.done == []
    assert story.after(10).done == [DumpStacks()]


def test_the_message_names_the_setting() -> None:
    story = busy().after(300)
    assert story.life.ending is not None
    assert "dw.run.timeoutSeconds" in story.life.ending.reason
    story = busy(Limits(ping=None, run=5)).after(5)
    assert story.life.ending is not None
    assert "dw.run.maxSeconds" in story.life.ending.reason


# ---------------------------------------------------------------- heartbeat


def test_a_ready_worker_is_asked_whether_it_is_there() -> None:
    assert idle(LIMITS).after(3).done == [SendPing()]


def test_one_question_is_open_at_a_time() -> None:
    assert idle(LIMITS).after(3).after(9).done == []


def test_an_answer_leads_to_the_next_question() -> None:
    story = idle(LIMITS).after(3).then(Heard())
    assert story.after(2.9).done == []
    assert story.after(0.1).done == [SendPing()]


def test_without_an_answer_the_worker_is_unresponsive() -> None:
    story = idle(LIMITS).after(3).after(10)
    assert (story.state, story.done) == ("unresponsive", [])
    assert not story.life.accepts_run


def test_a_late_answer_makes_it_idle_again() -> None:
    story = idle(LIMITS).after(3).after(10).then(Heard())
    assert story.state == "idle"
    assert story.after(3).done == [SendPing()]


def test_a_late_answer_makes_it_busy_again() -> None:
    story = busy(LIMITS).after(3).after(10)
    assert (story.state, story.life.run_id) == ("unresponsive", "r1")
    assert story.then(Heard()).state == "busy"


def test_an_unresponsive_run_is_ended_by_its_limit() -> None:
    story = busy(LIMITS).after(3).after(10).after(287)
    assert story.done == [DumpStacks()]


def test_an_unresponsive_worker_without_a_run_is_ended_as_a_crash() -> None:
    story = idle(LIMITS).after(3).after(10)
    assert story.after(59.9).done == []
    assert story.after(0.1).done == [DumpStacks()]
    assert story.after(0.2).done == [Terminate()]
    assert story.then(Died()).state == "crashed"


def test_a_run_of_an_unresponsive_worker_can_be_cancelled() -> None:
    assert busy(LIMITS).after(3).after(10).then(CancelWanted()).done == [AskToCancel()]


# ---------------------------------------------------------------- leave


def test_a_shutdown_asks_first() -> None:
    story = idle().then(LeaveWanted("shutdown"))
    assert story.done == [AskToLeave()]
    assert not story.life.accepts_run
    assert story.then(Died()).state == "stopped"


def test_a_shutdown_ends_the_run_as_cancelled() -> None:
    story = busy().then(LeaveWanted("shutdown"))
    assert story.done == [AskToCancel(), AskToLeave()]
    assert story.then(Died()).done == [EndRun("cancelled")]
    assert story.state == "stopped"


def test_a_run_that_ends_in_time_does_not_stop_the_shutdown() -> None:
    story = busy().then(LeaveWanted("shutdown"), RunDone())
    assert not story.life.accepts_run
    assert story.then(Died()).state == "stopped"


def test_a_worker_that_does_not_leave_climbs_the_ladder() -> None:
    story = idle().then(LeaveWanted("shutdown"))
    assert story.after(5).done == [Terminate()]
    assert story.after(3).done == [Kill()]


def test_a_restart_begins_anew_when_the_old_worker_is_gone() -> None:
    story = busy().then(LeaveWanted("restart"), Died())
    assert (story.state, story.done) == ("starting", [EndRun("cancelled"), Spawn()])


def test_a_starting_worker_is_ended_at_once() -> None:
    assert starting().then(LeaveWanted("shutdown")).done == [Terminate()]


def test_a_second_wish_does_not_repeat_the_signal() -> None:
    assert starting().then(LeaveWanted("shutdown"), LeaveWanted("restart")).done == []


def test_the_last_wish_counts() -> None:
    assert idle().then(LeaveWanted("shutdown"), LeaveWanted("restart"), Died()).state == "starting"
    assert idle().then(LeaveWanted("restart"), LeaveWanted("shutdown"), Died()).state == "stopped"


def test_nothing_comes_after_close() -> None:
    assert idle().then(LeaveWanted("close"), LeaveWanted("restart"), Died()).state == "stopped"


def test_close_is_in_more_of_a_hurry() -> None:
    story = idle().then(LeaveWanted("close"))
    assert story.after(2).done == [Terminate()]


def test_close_while_a_cancel_is_under_way_ends_as_cancelled() -> None:
    story = busy().then(CancelWanted(), LeaveWanted("close"))
    assert story.done == [AskToCancel(), AskToLeave()]
    assert story.then(Died()).done == [EndRun("cancelled")]


def test_a_shutdown_of_nothing_is_done_at_once() -> None:
    story = Story().then(LeaveWanted("shutdown"))
    assert (story.state, story.done) == ("stopped", [])


def test_a_crashed_worker_can_be_shut_down() -> None:
    assert idle().then(Died(), LeaveWanted("shutdown")).state == "stopped"


def test_a_command_that_fails_during_a_shutdown_leaves_it_stopped() -> None:
    assert starting().then(LeaveWanted("shutdown"), SpawnFailed("no such file")).state == "stopped"


# ---------------------------------------------------------------- misbehaviour


def test_a_worker_that_sends_nonsense_is_ended() -> None:
    story = busy().then(Misbehaved("no JSON"))
    assert story.done == [Terminate()]
    assert story.then(Died()).done == [EndRun("crashed")]
    assert (story.state, story.life.crashes) == ("crashed", 0)


def test_nonsense_at_the_start_fails_the_runs_that_wait() -> None:
    story = starting().then(Misbehaved("version 9"), Died())
    assert story.done == [RefuseRuns("The worker could not be started.", tell_exit=True)]


def test_nonsense_during_a_restart_is_still_a_restart() -> None:
    story = idle().then(LeaveWanted("restart"), Misbehaved("no JSON"))
    assert story.done == [Terminate()]
    assert story.then(Died()).state == "starting"


def test_more_nonsense_changes_nothing() -> None:
    assert busy().then(Misbehaved("no JSON"), Misbehaved("no JSON")).done == []


def test_a_worker_that_closed_its_side_has_a_moment_to_end() -> None:
    story = busy().then(ChannelClosed())
    assert story.done == []
    assert story.after(5).done == [Terminate()]
    assert story.then(Died()).done == [EndRun("crashed")]


def test_a_closed_channel_at_the_start_is_an_ordinary_crash() -> None:
    story = starting().then(ChannelClosed(), Died())
    assert (story.state, story.done, story.life.crashes) == ("crashed", [], 1)


# ---------------------------------------------------------------- the table


def test_a_dead_worker_says_nothing() -> None:
    for state, event in itertools.product(DEAD, FROM_WORKER):
        assert (state, event) not in TABLE


def test_whatever_a_user_wants_is_possible_in_every_state() -> None:
    for state, event in itertools.product((*ALIVE, *DEAD), (Start, CancelWanted, LeaveWanted, Tick)):
        assert (state, event) in TABLE


@pytest.mark.parametrize("seed", range(200))
def test_no_story_loses_a_run_or_wedges_the_worker(seed: int) -> None:
    """Whatever happens, each run that is given ends once, and a worker that has to end does so in bounded time."""
    chance, story, given, ended = random.Random(seed), Story(LIMITS), 0, 0
    choices: list[Event] = [
        Start(),
        BecameReady(),
        RunGiven("r"),
        Heard(),
        Progressed(),
        RunDone(),
        CancelWanted(),
        CancelWanted(force=True),
        LeaveWanted("restart"),
        LeaveWanted("shutdown"),
        Misbehaved("nonsense"),
        ChannelClosed(),
        Died(),
        SpawnFailed("nothing"),
        StartRefused("nothing"),
    ]
    for _ in range(300):
        story.now += chance.choice((0.0, 0.5, 5.0, 100.0))
        event = chance.choice((*choices, Tick(), Tick()))
        before = story.life
        try:
            story.then(event)
        except ImpossibleEvent:
            assert story.life == before
            continue
        given += GiveRun() in story.done
        ended += any(isinstance(action, EndRun) for action in story.done) + (type(event) is RunDone)
        assert given - ended == (story.life.run_id is not None)
        assert (story.life.run_id is None) or story.life.alive
        assert (story.life.ending is None) or story.life.alive
        if Abandon() in story.done:
            ended += story.life.run_id is not None
            story.then(Died())
    story.then(LeaveWanted("close"))
    seen: list[Action] = []
    for _ in range(40):
        seen += story.after(1).done
    assert not story.life.alive or Abandon() in seen or Kill() in seen


def test_time_alone_never_spins() -> None:
    """After a limit has passed, it is not the next one again: a timer would fire for ever."""
    for story in (
        starting(),
        idle(LIMITS),
        busy(LIMITS),
        busy(LIMITS).then(CancelWanted()),
        idle().then(Misbehaved("x")),
    ):
        for _ in range(50):
            end = story.life.deadlines.next(story.limits)
            if end is None:
                break
            assert end > story.now or story.now == 0
            story.now = end
            story.then(Tick())
            following = story.life.deadlines.next(story.limits)
            assert following is None or following > story.now
