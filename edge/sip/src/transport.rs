//! Sockets: what comes in goes to the shards in order, what goes out is never waited for.

pub(crate) mod tcp;
pub(crate) mod udp;
