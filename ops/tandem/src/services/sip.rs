//! The loops of the SIP border as services: the border itself keeps what must survive them.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Group, Service, ServiceError};
use tandem_sip::Sip;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the loops go on when the calls are over: the last BYEs want to be sent, answered, and once sent again.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One loop of the border.
pub(crate) struct SipLoop {
    name: String,
    sip: Sip,
    part: Part,
}

enum Part {
    Listeners,
    Shard(usize),
    Expiry,
}

impl SipLoop {
    /// The group with every loop of the border.
    pub(crate) fn join(group: Group, sip: &Sip) -> Group {
        let shards = (0..sip.shards()).map(|shard| (format!("sip.{shard}"), Part::Shard(shard)));
        let others = [("sip.listeners", Part::Listeners), ("sip.expiry", Part::Expiry)];
        let others = others.into_iter().map(|(name, part)| (name.to_owned(), part));
        let loops = shards.chain(others).map(|(name, part)| Arc::new(Self { name, sip: sip.clone(), part }));
        loops.fold(group, Group::with)
    }

    async fn turn(&self) {
        match self.part {
            Part::Listeners => self.sip.run_listeners().await,
            Part::Shard(shard) => self.sip.run_shard(shard).await,
            Part::Expiry => self.sip.run_expiry().await,
        }
    }
}

impl Service for SipLoop {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        let turn = self.turn();
        tokio::pin!(turn);
        if stop.run_until_cancelled(&mut turn).await.is_none() {
            let _cut = timeout(LAST_WORDS, turn).await;
        }
        Ok(())
    }
}
