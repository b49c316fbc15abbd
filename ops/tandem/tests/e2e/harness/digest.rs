//! The answer to a digest challenge (RFC 7616, MD5 with `qop=auth`), as any phone gives it.

use md5::{Digest, Md5};

/// Value of the Authorization header for a challenge.
pub fn answer(challenge: &str, method: &str, uri: &str, user: &str, password: &str) -> String {
    let part = |name| quoted(challenge, name).unwrap_or_else(|| panic!("no {name} in {challenge}"));
    let (realm, nonce) = (part("realm"), part("nonce"));
    let (nc, cnonce) = ("00000001", "0a4f113b");
    let ha1 = md5(&format!("{user}:{realm}:{password}"));
    let ha2 = md5(&format!("{method}:{uri}"));
    let response = md5(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
    let opaque = quoted(challenge, "opaque").map(|it| format!(", opaque=\"{it}\"")).unwrap_or_default();
    format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm=MD5, cnonce=\"{cnonce}\", qop=auth, nc={nc}{opaque}"
    )
}

fn quoted<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().map(|it| format!("{it:02x}")).collect()
}

#[test]
fn the_example_of_rfc_2617_comes_out_as_printed_there() {
    let challenge = "Digest realm=\"testrealm@host.com\", qop=\"auth\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
    let answer = answer(challenge, "GET", "/dir/index.html", "Mufasa", "Circle Of Life");
    assert!(answer.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{answer}");
}
