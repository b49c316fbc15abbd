//! Known values, and an exchange with a phone.

use super::*;
use crate::header::{Headers, Name};

const LIFETIME: Duration = Duration::from_secs(300);
const START: Timestamp = Timestamp(1_000_000);

/// What a phone computes (RFC 7616, 3.4.1).
fn answer(challenge: &str, user: &str, password: &str, method: &str, uri: &str, count: u32) -> String {
    let challenge = challenge.strip_prefix("Digest ").unwrap();
    let value = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=")).unwrap();
        rest.split(',').next().unwrap().trim_matches('"').to_owned()
    };
    let (realm, nonce, algorithm) = (value("realm"), value("nonce"), value("algorithm"));
    let hash = |text: String| Algorithm::named(Some(algorithm.as_bytes())).unwrap().hash(&[text.as_bytes()]);
    let ha1 = hash(format!("{user}:{realm}:{password}"));
    let ha2 = hash(format!("{method}:{uri}"));
    let response = hash(format!("{ha1}:{nonce}:{count:08x}:6c1e:auth:{ha2}"));
    format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm={algorithm}, cnonce=\"6c1e\", qop=auth, nc={count:08x}"
    )
}

fn ha1(user: &str, realm: &str, password: &str) -> Ha1 {
    let hash = |algorithm: Algorithm| algorithm.hash(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]);
    Ha1 { md5: hash(Algorithm::Md5), sha256: hash(Algorithm::Sha256) }
}

fn digest() -> Digest {
    Digest::new("example.com".into(), [3; 32], LIFETIME)
}

fn uri(text: &str) -> Uri {
    Uri::from_text(text).unwrap()
}

fn verify(digest: &mut Digest, value: &str, to: &str, ha1: Option<&Ha1>, now: Timestamp) -> Verdict {
    let credentials = Credentials::parse(value.as_bytes()).unwrap();
    digest.verify(&credentials, &Method::Register, &uri(to), ha1, now)
}

#[test]
fn the_examples_of_the_rfc_come_out() {
    // RFC 7616, 3.9.1; its URI is no SIP URI, so only the hash is compared
    let ha1 = ha1("Mufasa", "http-auth@example.org", "Circle of Life");
    for (algorithm, ha1, response) in [
        ("MD5", &ha1.md5, "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", &ha1.sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let value = format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        assert_eq!(credentials.expected(&Method::Other("GET".into()), ha1), response);
    }
    // RFC 2617, 3.5 without qop, as errata and every implementation have it
    let without = b"Digest username=\"Mufasa\", realm=\"testrealm@host.com\", uri=\"/dir/index.html\", response=\"\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
    let ha1 = self::ha1("Mufasa", "testrealm@host.com", "Circle Of Life");
    assert_eq!(ha1.md5, "939e7578ed9e3c518a452acee763bce9");
    let credentials = Credentials::parse(without).unwrap();
    assert_eq!(credentials.expected(&Method::Other("GET".into()), &ha1.md5), "670fd8c2df070c60b045671b8b24ff02");
}

#[test]
fn a_phone_that_answers_a_challenge_is_accepted_with_both_algorithms() {
    let mut digest = digest();
    let ha1 = ha1("1001", "example.com", "alice");
    let challenges = digest.challenges(START, 1, false, true);
    assert!(challenges[0].contains("algorithm=MD5") && challenges[1].contains("algorithm=SHA-256"));
    for (challenge, count) in challenges.iter().zip([1, 2]) {
        let value = answer(challenge, "1001", "alice", "REGISTER", "sip:example.com", count);
        assert_eq!(verify(&mut digest, &value, "sip:example.com", Some(&ha1), START), Verdict::Accepted);
        assert_eq!(verify(&mut digest, &value, "sip:example.com", Some(&ha1), START), Verdict::Stale, "a replay");
    }
}

#[test]
fn wrong_credentials_are_wrong_whatever_the_nonce() {
    let mut digest = digest();
    let ha1 = ha1("1001", "example.com", "alice");
    let challenge = digest.challenges(START, 1, false, false).remove(0);
    let bad = answer(&challenge, "1001", "bob", "REGISTER", "sip:example.com", 1);
    let other_method = answer(&challenge, "1001", "alice", "INVITE", "sip:example.com", 1);
    let good = answer(&challenge, "1001", "alice", "REGISTER", "sip:example.com", 1);
    for (value, to, ha1) in [
        (&bad, "sip:example.com", Some(&ha1)),
        (&other_method, "sip:example.com", Some(&ha1)),
        (&good, "sip:elsewhere.com", Some(&ha1)),
        (&good, "sip:example.com", None),
    ] {
        assert_eq!(verify(&mut digest, value, to, ha1, START), Verdict::Wrong);
    }
    assert_eq!(
        verify(&mut digest, &good, "sip:EXAMPLE.com", Some(&ha1), START),
        Verdict::Accepted,
        "the same resource"
    );
}

#[test]
fn an_old_nonce_and_one_of_another_process_are_stale_and_say_so() {
    let mut digest = digest();
    let ha1 = ha1("1001", "example.com", "alice");
    let old = digest.challenges(START, 1, false, false).remove(0);
    let late = START + LIFETIME + Duration::from_micros(1);
    let value = answer(&old, "1001", "alice", "REGISTER", "sip:example.com", 1);
    assert_eq!(verify(&mut digest, &value, "sip:example.com", Some(&ha1), late), Verdict::Stale);
    let foreign = Digest::new("example.com".into(), [4; 32], LIFETIME).challenges(START, 1, false, false).remove(0);
    let value = answer(&foreign, "1001", "alice", "REGISTER", "sip:example.com", 1);
    assert_eq!(verify(&mut digest, &value, "sip:example.com", Some(&ha1), START), Verdict::Stale);
    let challenges = digest.challenges(late, 2, true, true);
    assert!(challenges.iter().all(|it| it.ends_with(", stale=true")));
    let value = answer(&challenges[0], "1001", "alice", "REGISTER", "sip:example.com", 1);
    assert_eq!(verify(&mut digest, &value, "sip:example.com", Some(&ha1), late), Verdict::Accepted);
}

#[test]
fn what_baresip_sends_is_read() {
    let mut headers = Headers::new();
    headers.push(Name::Authorization, "NoOneKnowsThisScheme opaque-data=here");
    headers.push(
        Name::Authorization,
        "Digest username=\"1001\", realm=\"elsewhere\", nonce=\"x\", uri=\"sip:h\", response=\"0\"",
    );
    headers.push(
        Name::Authorization,
        "digest  Username=\"10\\\"01\",\r\n realm=\"example.com\", nonce=\"abc\", uri=\"sip:example.com\", \
         response=\"0123\", qop=\"auth\", cnonce=\"c,\\\"d\", nc=0000000a,algorithm=md5",
    );
    let found = Credentials::find(&headers, &Name::Authorization, "example.com").unwrap();
    assert_eq!((found.user_name().as_str(), found.count()), ("10\"01", 10));
    assert!(Credentials::find(&headers, &Name::Authorization, "nowhere").is_none());
    assert!(Credentials::find(&headers, &Name::ProxyAuthorization, "example.com").is_none());
}

#[test]
fn what_cannot_be_verified_is_no_credentials() {
    let right = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"0\"";
    assert!(Credentials::parse(right.as_bytes()).is_some());
    for wrong in [
        "",
        "Digest",
        "Basic YTpi",
        "Digest username=\"a",
        &right.replace("nonce", "once"),
        &format!("{right}, algorithm=SHA-512-256"),
        &format!("{right}, algorithm=MD5-sess"),
        &format!("{right}, qop=auth"),
        &format!("{right}, qop=auth, cnonce=\"c\", nc=1"),
        &format!("{right}, qop=auth, cnonce=\"c\", nc=+0000001"),
        &format!("{right}, qop=auth-int, cnonce=\"c\", nc=00000001"),
    ] {
        assert!(Credentials::parse(wrong.as_bytes()).is_none(), "{wrong}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!(
        "{:?} {:?}",
        digest(),
        Credentials::parse(b"Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"0\"")
    );
    assert!(!shown.contains("[3") && !shown.contains("username"), "{shown}");
}
