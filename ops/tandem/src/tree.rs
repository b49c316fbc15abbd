//! `tandem tree`: the actors of a running node.

mod live;
mod outline;
mod screen;

use std::io::IsTerminal;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;
use tandem_actors::tree::PartView;
use tokio::runtime::Runtime;

use crate::ask;
use crate::cli::say;
use crate::config::Config;
use crate::table::table;
use crate::token::existing_token;
use outline::{Row, outline, summary};

/// Where the tree is asked for.
#[derive(Clone)]
struct Source {
    node: SocketAddr,
    token: String,
}

impl Source {
    async fn json(&self) -> Result<Value> {
        ask::get(self.node, &self.token, "/api/v1/ops/tree").await
    }

    async fn parts(&self) -> Result<Vec<PartView>> {
        serde_json::from_value(self.json().await?).context("a tree that this version cannot read")
    }
}

/// Shows the tree: live in a terminal, as JSON when asked to, else once as text.
///
/// # Errors
/// The node does not answer, or the terminal cannot be used.
pub(crate) fn show(runtime: &Runtime, config: &Config, json: bool) -> Result<()> {
    let source = Source { node: config.http.bind, token: existing_token(&config.storage.data_dir)? };
    if json {
        let tree = runtime.block_on(source.json())?;
        return say(&format!("{tree:#}\n"));
    }
    let first = runtime.block_on(source.parts())?;
    if std::io::stdout().is_terminal() {
        return live::run(runtime, source, first);
    }
    say(&plain(first))
}

const HEAD: [&str; 6] = ["ACTOR", "KIND", "STATE", "AGE", "RESTARTS", "INBOX"];

fn plain(parts: Vec<PartView>) -> String {
    let head = summary(&parts);
    let rows: Vec<_> = outline(parts).iter().map(cells).collect();
    format!("{head}\n\n{}", table(HEAD, &rows))
}

fn cells(Row { depth, part }: &Row) -> [String; 6] {
    [
        format!("{:indent$}{}", "", part.id, indent = depth * 2),
        outline::name_of(part.kind).to_owned(),
        part.state.clone(),
        age(part.age_ms),
        part.restarts.to_string(),
        part.inbox.to_string(),
    ]
}

/// `0.4s`, `12s`, `3m04s`, `2h05m`, `3d04h`.
fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    match seconds {
        0..10 => format!("{seconds}.{}s", ms % 1_000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_short_whatever_it_is() {
        let ages = [0, 440, 9_999, 12_000, 184_000, 7_500_000, 273_600_000].map(age);
        assert_eq!(ages, ["0.0s", "0.4s", "9.9s", "12s", "3m04s", "2h05m", "3d04h"]);
    }

    #[test]
    fn as_text_it_is_indented_by_who_owns_whom() {
        let text = plain(outline::tests::small());
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
        assert_eq!(
            lines[2..],
            ["ACTOR", "node", "edges", "edges/sip.0", "calls.0", "calls.0/supervisor", "call_1", "leg_1"]
        );
        assert!(text.contains("\n        leg_1"), "{text}");
        assert!(
            text.starts_with("1 call, 1 leg, 1 node, 1 group, 1 service, 1 root, 1 supervisor; 3 restarts\n"),
            "{text}"
        );
    }
}
