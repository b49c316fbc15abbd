//! What is on its way to the bus, as tables: read from the database, so that it tells whether the node runs or not.

use anyhow::Result;
use tandem_core::metric::Metrics;
use tandem_core::time::WallTime;
use tandem_storage::{Backlog, ShardBacklog, Storage};

use crate::config::Config;
use crate::history::existing_database;
use crate::table::table;

/// The backlog of each shard, and the events that were set aside; `retry` puts these back into the queue first.
///
/// # Errors
/// There is no database, or it does not answer.
pub(crate) async fn show(config: &Config, retry: bool) -> Result<String> {
    let storage = existing_database(config).await?;
    if retry {
        let again = Storage::open(&config.storage, Metrics::default().into()).await?.retry_refused().await?;
        return Ok(format!("{again} events will be tried again.\n"));
    }
    Ok(screen(&storage.outbox_backlog().await?, config.bus.nats_url.is_some()))
}

fn screen(backlog: &Backlog, has_nats: bool) -> String {
    let bus = if has_nats { "NATS" } else { "inside the process (no bus.nats_url)" };
    let waiting: i64 = backlog.shards.iter().map(|it| it.waiting).sum();
    let oldest = backlog.shards.iter().filter_map(|it| it.oldest).min();
    let since = oldest.map(|it| format!(", the oldest since {}", it.rfc3339())).unwrap_or_default();
    let mut out = format!("Bus: {bus}. {waiting} events wait{since}. {} set aside.\n\n", backlog.refused_in_all);
    let head = ["SHARD", "WAITING", "OLDEST", "LAST PUBLISHED", "STATE"];
    out += &table(head, &backlog.shards.iter().map(shard).collect::<Vec<_>>());
    if !backlog.refused.is_empty() {
        let rows: Vec<_> = backlog.refused.iter().collect();
        let row = |it: &&tandem_storage::Refused| {
            [it.event.clone(), it.refused_at.rfc3339(), it.subject.clone(), it.why.clone()]
        };
        out += "\nSet aside: the bus refuses them. `tandem outbox --retry` tries them again.\n";
        out += &table(["EVENT", "SINCE", "SUBJECT", "WHY"], &rows.iter().map(row).collect::<Vec<_>>());
        if backlog.refused_in_all > rows.len() as u64 {
            out += &format!("These are the oldest {}.\n", rows.len());
        }
    }
    out
}

fn shard(it: &ShardBacklog) -> [String; 5] {
    let time = |at: Option<WallTime>| at.map_or_else(|| String::from("-"), WallTime::rfc3339);
    let state = match (&it.held, &it.failing) {
        (Some((by, until)), _) => format!("held by {by} until {}", until.rfc3339()),
        (None, Some((since, why))) => format!("fails since {}: {why}", since.rfc3339()),
        (None, None) => String::from("ok"),
    };
    [it.shard.to_string(), it.waiting.to_string(), time(it.oldest), time(it.published_at), state]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_what_fails_and_what_was_set_aside_is_told() {
        let failing = Some((WallTime(2), String::from("NATS is away")));
        let shards = vec![
            ShardBacklog { shard: 0, waiting: 3, oldest: Some(WallTime(1)), failing, ..ShardBacklog::default() },
            ShardBacklog { shard: 1, held: Some((String::from("replay"), WallTime(3))), ..ShardBacklog::default() },
        ];
        let refused = vec![tandem_storage::Refused {
            event: String::from("call_1.2"),
            subject: String::from("tandem.v1.default.call.call_1.ringing"),
            refused_at: WallTime(4),
            why: String::from("max payload size exceeded"),
        }];
        let text = screen(&Backlog { shards, refused, refused_in_all: 250 }, true);
        for told in [
            "3 events wait",
            "fails since 1970",
            "NATS is away",
            "held by replay",
            "call_1.2",
            "max payload",
            "250 set aside",
            "oldest 1.",
        ] {
            assert!(text.contains(told), "{told} is missing in\n{text}");
        }
        assert!(
            screen(&Backlog { shards: Vec::new(), refused: Vec::new(), refused_in_all: 0 }, false)
                .contains("inside the process")
        );
    }
}
