//! The live tree: asks once a second, and draws whatever comes first, an answer or a key.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tandem_actors::tree::PartView;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Source;
use super::screen::Screen;

/// Between an answer and the next question.
const REFRESH: Duration = Duration::from_secs(1);

/// Longest time that an answer waits to be drawn.
const GLANCE: Duration = Duration::from_millis(100);

type Answer = Result<Vec<PartView>, String>;

/// Gives the terminal back, however we leave; a panic does the same by ratatui's hook.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        let _gone = ratatui::try_restore();
    }
}

/// Shows the tree until the operator has seen enough, or a signal ends it.
///
/// # Errors
/// The terminal cannot be used.
pub(super) fn run(runtime: &Runtime, source: Source, first: Vec<PartView>) -> Result<()> {
    let (tell, answers) = sync_channel(1);
    let asking = runtime.spawn(ask(source, tell));
    let ended = on_signals(runtime)?;
    let restored = Restored;
    let mut terminal = ratatui::try_init().context("this terminal cannot show it; try --json, or a pipe")?;
    let outcome = turn(&mut terminal, first, &answers, &ended);
    drop(restored);
    asking.abort();
    outcome
}

/// Cancelled by SIGTERM and SIGHUP: by themselves they would leave the terminal as we have it.
fn on_signals(runtime: &Runtime) -> io::Result<CancellationToken> {
    let _inside = runtime.enter();
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let ended = CancellationToken::new();
    let tell = ended.clone();
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        tell.cancel();
    });
    Ok(ended)
}

fn turn(
    terminal: &mut DefaultTerminal,
    first: Vec<PartView>,
    answers: &Receiver<Answer>,
    ended: &CancellationToken,
) -> Result<()> {
    let (start, mut screen) = (Instant::now(), Screen::default());
    screen.take(start.elapsed(), Ok(first));
    let mut is_new = true;
    while !ended.is_cancelled() {
        if is_new {
            terminal.draw(|frame| screen.draw(frame))?;
        }
        is_new = event::poll(GLANCE)?;
        if is_new
            && let Event::Key(key) = event::read()?
            && key.is_press()
            && !screen.press(key)
        {
            return Ok(());
        }
        if let Ok(answer) = answers.try_recv() {
            screen.take(start.elapsed(), answer);
            is_new = true;
        }
    }
    Ok(())
}

/// Until nobody wants to know any more. An answer for which there is no room is stale before it is drawn.
async fn ask(source: Source, tell: SyncSender<Answer>) {
    loop {
        tokio::time::sleep(REFRESH).await;
        let answer = source.parts().await.map_err(|error| format!("{error:#}"));
        let _full = tell.try_send(answer);
    }
}
