//! The alarm alone, with a machine that is nothing but a deadline.

use std::sync::Arc;
use std::time::Duration;

use ractor::Actor;
use tandem_actors::Clock;
use tandem_actors::directory::{Directory, Handle, Limits};
use tandem_actors::ports::Ports;
use tandem_actors::root::Root;
use tandem_core::machine::{Effects, Exit, Machine, Notice, Refusal, Rejected, Stamp};
use tandem_core::metric::Gauge;
use tandem_core::time::{Now, Timestamp};
use tokio::time::sleep;

#[derive(Clone, Default)]
struct Bell {
    at: Option<Timestamp>,
    /// Does not move the deadline when it comes.
    broken: bool,
    ticks: Vec<u64>,
    inputs: u32,
}

#[derive(Debug)]
enum Input {
    /// In so many milliseconds.
    Set(Option<u64>),
    Break,
    Tick,
}

impl From<Notice<(), ()>> for Input {
    fn from(_: Notice<(), ()>) -> Self {
        Self::Tick
    }
}

impl Machine for Bell {
    type Id = u32;
    type Input = Input;
    type Kind = ();
    type Effect = ();

    fn handle(&mut self, Now { mono: now, .. }: Now, input: Input) -> Result<Effects<()>, Rejected> {
        match input {
            Input::Tick => {
                self.ticks.push(now.0 / 1_000);
                self.at = self.at.filter(|_| self.broken);
            }
            Input::Set(after) => {
                self.inputs += 1;
                self.at = after.map(|after| now + Duration::from_millis(after));
            }
            Input::Break => self.broken = true,
        }
        Ok(Effects::new())
    }
    fn next_deadline(&self) -> Option<Timestamp> {
        self.at
    }
    fn is_ended(&self) -> bool {
        false
    }
    fn kind(_: &Input) {}
}

struct Nothing;

impl Ports<Bell> for Nothing {
    fn perform(&self, _: Stamp<u32>, (): ()) -> Result<(), Refusal> {
        Ok(())
    }
    fn gone(&self, _: u32, _: &Bell, _: Exit) {}
}

async fn bell() -> Handle<Bell> {
    let bells = Directory::new(Arc::new(Nothing), Clock::start(), Arc::default(), Limits::CALL, Gauge::LegsActive);
    Actor::spawn(None, Root(bells.clone()), ()).await.unwrap();
    let bell = bells.open(1, Bell::default());
    sleep(Duration::from_millis(10)).await;
    bell
}

async fn set(bell: &Handle<Bell>, after: Option<u64>) {
    bell.send(Input::Set(after)).unwrap();
    sleep(Duration::from_millis(1)).await;
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn one_alarm_follows_the_deadline_to_and_fro() {
    let bell = bell().await;
    let without = alive_tasks();
    for after in [1_000, 500, 2_000, 100, 3_000, 200] {
        set(&bell, Some(after)).await;
        assert_eq!(alive_tasks(), without + 1);
    }
    let set_at = 10 + 5; // the last of six, a millisecond apart
    sleep(Duration::from_millis(5_000)).await;
    assert_eq!(bell.slot().view(|bell| bell.ticks.clone()), [set_at + 200], "moved earlier");
    assert_eq!(alive_tasks(), without);
    set(&bell, Some(1_000)).await;
    set(&bell, Some(4_000)).await;
    sleep(Duration::from_millis(2_000)).await;
    assert_eq!(bell.slot().view(|bell| bell.ticks.len()), 1, "moved later: the machine sees no early tick");
    sleep(Duration::from_millis(2_000)).await;
    assert_eq!(bell.slot().view(|bell| bell.ticks.len()), 2);
    set(&bell, Some(1_000)).await;
    set(&bell, None).await;
    assert_eq!(alive_tasks(), without, "taken back");
    sleep(Duration::from_millis(5_000)).await;
    assert_eq!(bell.slot().view(|bell| bell.ticks.len()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_stays_due_costs_a_thousand_wakes_a_second_and_starves_nobody() {
    let bell = bell().await;
    bell.send(Input::Break).unwrap();
    set(&bell, Some(0)).await;
    sleep(Duration::from_millis(1_000)).await;
    let ticks = bell.slot().view(|bell| bell.ticks.len());
    assert!((400..=1_001).contains(&ticks), "{ticks}");
    for _ in 0..200 {
        bell.send(Input::Set(Some(0))).unwrap();
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(bell.slot().view(|bell| bell.inputs), 201);
}
