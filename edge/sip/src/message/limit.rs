//! How much of a message is taken at most.

/// Octets of a message, head and body. What a UDP datagram can hold; on streams it bounds the buffer.
pub const MESSAGE: usize = 65_535;

/// Octets of the head on a stream, where it is buffered before anything is known of its sender. Three times the longest
/// head seen from real networks (long Record-Route and Identity headers).
pub const HEAD: usize = 32 * 1024;

/// Header lines. Real messages have at most some 60; each line costs memory many times its four octets.
pub const HEADERS: usize = 256;

/// Octets of one header line with its folds. An Identity header (RFC 8224) has up to 4 KiB.
pub const LINE: usize = 8 * 1024;
