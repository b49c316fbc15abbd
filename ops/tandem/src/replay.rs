//! A lost stream out of the database.

use std::io::Write as _;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use tandem_core::audit::Action;
use tandem_core::id::Tenant;
use tandem_core::metric::Metrics;
use tandem_core::time::WallTime;
use tandem_storage::{Replay, ReplayFrom, Replayed, Storage};

use crate::audit_trail;
use crate::config::Config;

/// What is published again.
#[derive(Args)]
pub(crate) struct ReplayArguments {
    /// From when on (RFC 3339), or with which event (`call_….3`): where one that was interrupted goes on.
    #[arg(long, value_parser = from)]
    from: Option<ReplayFrom>,
    /// Until when (RFC 3339).
    #[arg(long, value_parser = time)]
    to: Option<WallTime>,
    /// Only what is this tenant's.
    #[arg(long)]
    tenant: Option<Tenant>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
}

/// Publishes, and tells how far it is on standard error.
///
/// # Errors
/// No NATS is configured or it cannot serve, or the database does not answer.
pub(crate) async fn run(config: &Config, arguments: ReplayArguments) -> Result<String> {
    let ReplayArguments { from, to, tenant, dry_run } = arguments;
    ensure!(dry_run || config.bus.nats_url.is_some(), "bus.nats_url is not set: there is no stream to fill");
    let storage = Storage::open(&config.storage, Metrics::default().into()).await?;
    let (begun, mut last) = (Instant::now(), None);
    let told = |done: &Replayed| {
        last.clone_from(&done.last);
        let rate = done.seen as f64 / begun.elapsed().as_secs_f64().max(0.001);
        let at = done.last.as_deref().unwrap_or_default();
        let _closed = writeln!(std::io::stderr(), "{} events, {rate:.0}/s, at {at}", done.seen);
    };
    let done = Replay { from, to, tenant: tenant.clone(), dry_run }.run(&storage, &config.bus, told).await;
    if !dry_run && let Some(last) = &last {
        let whose = tenant.unwrap_or_else(Tenant::operator);
        audit_trail::note(config, &storage, &whose, Action::EventsReplayed, last).await?;
    }
    let done = done.with_context(|| match last {
        Some(last) => format!("interrupted; `--from {last}` goes on"),
        None => String::from("nothing was published"),
    })?;
    let Replayed { seen, published, were_there, refused, too_old, .. } = done;
    let old = match too_old {
        0 => String::new(),
        _ => format!(" {too_old} more are older than bus.stream_max_age and were left out."),
    };
    Ok(match dry_run {
        true => format!("{seen} events would be compared with the stream.{old}\n"),
        false => format!("{seen} events: {published} published, {were_there} were there, {refused} refused.{old}\n"),
    })
}

fn time(text: &str) -> Result<WallTime> {
    serde_json::from_value(text.into()).with_context(|| format!("{text} is no time (2026-01-31T12:00:00Z)"))
}

fn from(text: &str) -> Result<ReplayFrom> {
    let event = text.rsplit_once('.').and_then(|(of, n)| Some((of.to_owned(), i32::from_str(n).ok()?)));
    match event {
        Some((of, n)) if of.contains('_') => Ok(ReplayFrom::Event(of, n)),
        _ => time(text).map(ReplayFrom::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_begins_at_a_time_or_with_an_event() {
        assert_eq!(from("1970-01-01T00:00:01Z").unwrap(), ReplayFrom::Time(WallTime(1_000_000)));
        assert_eq!(from("1970-01-01T00:00:01.5Z").unwrap(), ReplayFrom::Time(WallTime(1_500_000)));
        assert_eq!(from("call_1.3").unwrap(), ReplayFrom::Event("call_1".to_owned(), 3));
        assert!(from("yesterday").is_err());
    }
}
