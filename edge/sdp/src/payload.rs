//! Payload types that have a meaning without `a=rtpmap` (RFC 3551, table 4).

use tandem_core::media::Codec;

/// The audio format that this number has by itself.
pub(crate) fn static_codec(payload_type: u8) -> Option<Codec> {
    let (name, clock_rate_hz, channels) = match payload_type {
        0 => ("PCMU", 8_000, 1),
        3 => ("GSM", 8_000, 1),
        4 => ("G723", 8_000, 1),
        5 => ("DVI4", 8_000, 1),
        6 => ("DVI4", 16_000, 1),
        7 => ("LPC", 8_000, 1),
        8 => ("PCMA", 8_000, 1),
        // It samples at 16 kHz; the clock rate is an error of RFC 1890 that stays.
        9 => ("G722", 8_000, 1),
        10 => ("L16", 44_100, 2),
        11 => ("L16", 44_100, 1),
        12 => ("QCELP", 8_000, 1),
        13 => ("CN", 8_000, 1),
        14 => ("MPA", 90_000, 1),
        15 => ("G728", 8_000, 1),
        16 => ("DVI4", 11_025, 1),
        17 => ("DVI4", 22_050, 1),
        18 => ("G729", 8_000, 1),
        _ => return None,
    };
    Some(Codec { payload_type, name: name.to_owned(), clock_rate_hz, channels, fmtp: None })
}
