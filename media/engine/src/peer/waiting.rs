//! What of a channel was sent and not acknowledged. The library tells the bytes; how many messages they are is for us to
//! know, for it remembers each.

use std::collections::VecDeque;

use tandem_core::room::sfu::DataChannel;

/// Bytes that may wait on the reliable channel.
const RELIABLE_LIMIT: usize = 1024 * 1024;

/// Bytes that may wait on each of the others: half a second at 4 Mbit/s. What is older is worth nothing.
const LOSSY_LIMIT: usize = 256 * 1024;

/// Messages that may wait on a channel.
const MESSAGES: usize = 8_192;

/// Messages of a channel, as they left.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lengths: VecDeque<usize>,
    sum: usize,
}

impl Waiting {
    /// Whether one more message may wait, now that so many bytes do.
    pub(super) fn has_room(&mut self, kind: DataChannel, waiting: usize, len: usize) -> bool {
        // The first are through: they are acknowledged in about this order.
        while let Some(first) = self.lengths.front()
            && self.sum - first >= waiting
        {
            self.sum -= first;
            self.lengths.pop_front();
        }
        let limit = if kind == DataChannel::Reliable { RELIABLE_LIMIT } else { LOSSY_LIMIT };
        waiting + len <= limit && self.lengths.len() < MESSAGES
    }

    /// A message was sent.
    pub(super) fn note(&mut self, len: usize) {
        self.lengths.push_back(len);
        self.sum += len;
    }
}
