//! How whoever gets a request can know that it is ours, and not an old one.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tandem_core::pii::Pii;

/// `v1=<hex of HMAC-SHA-256 of "<id>.<timestamp>.<body>">`, one for each secret that holds, separated by commas.
pub(super) fn signature(secrets: &[Pii<String>], id: &str, timestamp: i64, body: &str) -> String {
    let one = |secret: &Pii<String>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("v1={hex}"))
    };
    secrets.iter().filter_map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: with `printf '%s' 'call_1.2.1790000000.{}' | openssl dgst -sha256 -hmac whsec_a`.
    #[test]
    fn a_signature_is_what_the_documentation_says() {
        let secrets = ["whsec_a", "whsec_b"].map(|it| Pii::new(it.to_owned()));
        let both = signature(&secrets, "call_1.2", 1_790_000_000, "{}");
        let (new, old) = both.split_once(',').unwrap();
        assert_eq!(new, GOLDEN);
        assert_eq!(signature(&secrets[..1], "call_1.2", 1_790_000_000, "{}"), new);
        assert_ne!(new, old);
        assert_ne!(signature(&secrets[..1], "call_1.2", 1_790_000_001, "{}"), new);
    }

    const GOLDEN: &str = "v1=e5cf48017e26569a7469840c64762afe53f147e1131aee82f9a3e115edd0aa21";
}
