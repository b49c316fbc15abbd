//! Servers that tests bring: each private to its test program, on free loopback ports, and gone with it.

/// NATS with JetStream, one node or three.
pub mod nats;
/// PostgreSQL, in a cluster of its own.
pub mod postgres;
