//! Tokens that are ours, and everything that looks like one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use proptest::prelude::*;

use super::*;
use crate::identity::ACCESS_TOKEN_LIFE;
use crate::identity::claims::tests::{NOW, claims};

fn key(kid: &str) -> SigningKey {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    SigningKey { kid: kid.to_owned(), pkcs8: pair.as_ref().to_vec() }
}

/// A payload that we would sign, changed.
fn payload(change: impl FnOnce(&mut Value)) -> Value {
    let mut payload = serde_json::to_value(Payload::new(&claims(), NOW, Uuid::from_u128(9))).unwrap();
    change(&mut payload);
    payload
}

fn signed(key: &SigningKey, payload: &Value) -> String {
    let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
    encode(&header, payload, &EncodingKey::from_ec_der(&key.pkcs8)).unwrap()
}

fn unsigned(header: &Value, payload: &Value, signature: &str) -> String {
    let part = |it: &Value| BASE64.encode(it.to_string());
    format!("{}.{}.{signature}", part(header), part(payload))
}

#[test]
fn a_token_says_what_was_put_in_until_half_a_minute_after_its_end() {
    let tokens = Tokens::new(vec![key("a")]).unwrap();
    let token = tokens.issue(&claims(), NOW).unwrap();
    let end = NOW + ACCESS_TOKEN_LIFE;
    for now in [NOW, end, WallTime((end + LEEWAY).0 - 1)] {
        assert_eq!(tokens.verify(&token, now), Ok(claims()));
    }
    assert_eq!(tokens.verify(&token, end + LEEWAY), Err(TokenError::Expired));
    assert_ne!(tokens.issue(&claims(), NOW), Ok(token), "each has an id of its own");
}

#[test]
fn whatever_is_not_quite_our_token_is_refused() {
    let (ours, theirs) = (key("a"), key("a"));
    let tokens = Tokens::new(vec![ours.clone()]).unwrap();
    let good = tokens.issue(&claims(), NOW).unwrap();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let es256 = json!({"alg": "ES256", "typ": "JWT", "kid": "a"});
    let with = |name: &str, value: Value| signed(&ours, &payload(|it| it[name] = value));
    let without = |name: &str| signed(&ours, &payload(|it| drop(it.as_object_mut().unwrap().remove(name))));
    // The classic: our public key, which everybody has, as the secret of an HMAC.
    let published = tokens.jwks()["keys"][0].clone();
    let half = |name: &str| BASE64.decode(published[name].as_str().unwrap()).unwrap();
    let point = [vec![4], half("x"), half("y")].concat();
    let hs256 = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
    let confused = encode(&hs256, &payload(|_| ()), &EncodingKey::from_secret(&point)).unwrap();
    let public_json = EncodingKey::from_secret(published.to_string().as_bytes());
    let confused_json = encode(&hs256, &payload(|_| ()), &public_json).unwrap();
    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let es384 = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::ES384) };
    let es384 = encode(&es384, &payload(|_| ()), &EncodingKey::from_ec_der(p384.as_ref())).unwrap();
    let their_jwk = Tokens::new(vec![theirs.clone()]).unwrap().jwks()["keys"][0].clone();
    let jwk = Some(serde_json::from_value(their_jwk).unwrap());
    let bringing = Header { kid: Some("a".to_owned()), jwk, ..Header::new(Algorithm::ES256) };
    let embedded = encode(&bringing, &payload(|_| ()), &EncodingKey::from_ec_der(&theirs.pkcs8)).unwrap();
    let table: Vec<(&str, String, TokenError)> = vec![
        ("expired", with("exp", json!(1_789_999_900)), TokenError::Expired),
        ("expired long ago", with("exp", json!(0)), TokenError::Expired),
        ("another key of that name", signed(&theirs, &payload(|_| ())), TokenError::Forged),
        ("a key of another name", signed(&key("b"), &payload(|_| ())), TokenError::UnknownKey),
        ("no key's name", unsigned(&json!({"alg": "ES256"}), &payload(|_| ()), signature), TokenError::UnknownKey),
        ("a key that it brings along", embedded, TokenError::Forged),
        ("none", unsigned(&json!({"alg": "none", "kid": "a"}), &payload(|_| ()), ""), TokenError::Malformed),
        ("None", unsigned(&json!({"alg": "None", "kid": "a"}), &payload(|_| ()), signature), TokenError::Malformed),
        ("no algorithm", unsigned(&json!({"kid": "a"}), &payload(|_| ()), signature), TokenError::Malformed),
        ("HS256 with the public key", confused, TokenError::Forged),
        ("HS256 with the published key", confused_json, TokenError::Forged),
        ("ES384", es384, TokenError::Forged),
        ("another issuer", with("iss", json!("evil")), TokenError::Foreign),
        ("another audience", with("aud", json!("billing")), TokenError::Foreign),
        ("no issuer", without("iss"), TokenError::Malformed),
        ("no audience", without("aud"), TokenError::Malformed),
        ("no end", without("exp"), TokenError::Malformed),
        ("an end that is no number", with("exp", json!("1790000900")), TokenError::Malformed),
        ("a negative end", with("exp", json!(-1)), TokenError::Malformed),
        ("an unknown role", with("role", json!("operator")), TokenError::Malformed),
        ("a user that is none", with("sub", json!("call_7")), TokenError::Malformed),
        ("a tenant that is none", with("tenant", json!("A tenant")), TokenError::Malformed),
        ("another payload", unsigned(&es256, &payload(|it| it["ext"] = json!("9")), signature), TokenError::Forged),
        ("no signature", format!("{head}."), TokenError::Forged),
        ("no third part", head.to_owned(), TokenError::Malformed),
        ("half a signature", format!("{head}.{}", &signature[..40]), TokenError::Forged),
        ("a signature of zeros", format!("{head}.{}", "A".repeat(86)), TokenError::Forged),
        ("a part too many", format!("{good}.{signature}"), TokenError::Malformed),
        ("padding", format!("{good}=="), TokenError::Malformed),
        ("a space", format!("{good} "), TokenError::Malformed),
        ("nothing", String::new(), TokenError::Malformed),
        ("dots", "..".to_owned(), TokenError::Malformed),
        ("garbage", "ä\0".repeat(9_999), TokenError::Malformed),
        ("deep JSON", format!("{}.e30.AA", BASE64.encode("[".repeat(99_999))), TokenError::Malformed),
    ];
    for (what, token, expected) in table {
        assert_eq!(tokens.verify(&token, NOW), Err(expected), "{what}");
    }
    assert_eq!(tokens.verify(&good, NOW), Ok(claims()));
    assert_eq!(tokens.verify(&signed(&ours, &payload(|_| ())), NOW), Ok(claims()), "the table's own tokens are good");
}

#[test]
fn after_a_rotation_old_tokens_hold_until_their_key_is_gone() {
    let (old, new) = (key("old"), key("new"));
    let tokens = Tokens::new(vec![old.clone()]).unwrap();
    let before = tokens.issue(&claims(), NOW).unwrap();
    tokens.replace(vec![old.clone(), new.clone()]).unwrap();
    assert_eq!(decode_header(tokens.issue(&claims(), NOW).unwrap()).unwrap().kid.as_deref(), Some("old"));
    tokens.replace(vec![new.clone(), old]).unwrap();
    let after = tokens.issue(&claims(), NOW).unwrap();
    assert_eq!(decode_header(&after).unwrap().kid.as_deref(), Some("new"));
    assert_eq!((tokens.verify(&before, NOW), tokens.verify(&after, NOW)), (Ok(claims()), Ok(claims())));
    tokens.replace(vec![new]).unwrap();
    assert_eq!(tokens.verify(&before, NOW), Err(TokenError::UnknownKey));
    assert_eq!(tokens.verify(&after, NOW), Ok(claims()));
}

#[test]
fn keys_that_cannot_sign_change_nothing() {
    let tokens = Tokens::new(vec![key("a")]).unwrap();
    let token = tokens.issue(&claims(), NOW).unwrap();
    assert_eq!(tokens.replace(Vec::new()), Err(KeyError::Missing));
    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    for pkcs8 in [Vec::new(), vec![48; 138], p384.as_ref().to_vec()] {
        let broken = SigningKey { kid: "broken".to_owned(), pkcs8 };
        assert_eq!(tokens.replace(vec![key("b"), broken]), Err(KeyError::Invalid { kid: "broken".to_owned() }));
    }
    assert_eq!(tokens.verify(&token, NOW), Ok(claims()));
}

#[test]
fn the_published_keys_are_public_and_enough_to_check_a_token() {
    let tokens = Tokens::new(vec![key("a"), key("b")]).unwrap();
    let jwks = tokens.jwks();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
    let names: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    let fixed = ["alg", "crv", "kid", "kty", "use"].map(|it| jwks["keys"][0][it].as_str().unwrap());
    assert_eq!(fixed, ["ES256", "P-256", "a", "EC", "sig"]);
    let other: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks).unwrap();
    let key = DecodingKey::from_jwk(other.find("a").unwrap()).unwrap();
    let token = tokens.issue(&claims(), NOW).unwrap();
    assert!(decode::<Value>(&token, &key, &tokens.validation).is_ok());
}

#[test]
fn a_key_is_not_printed() {
    assert_eq!(format!("{:?}", key("a")), "SigningKey { kid: \"a\", .. }");
    assert_eq!(format!("{:?}", Tokens::new(vec![key("a")]).unwrap()), "Tokens { signs: Some(\"a\"), .. }");
}

proptest! {
    #[test]
    fn no_text_verifies_or_panics(text in "\\PC{0,300}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 0..5)) {
        let tokens = Tokens::new(vec![key("a")]).unwrap();
        prop_assert!(tokens.verify(&text, NOW).is_err());
        prop_assert!(tokens.verify(&parts.join("."), NOW).is_err());
    }

    #[test]
    fn no_token_with_another_character_in_it_verifies(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=-]") {
        let tokens = Tokens::new(vec![key("a")]).unwrap();
        let mut token = tokens.issue(&claims(), NOW).unwrap();
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != other);
        token.replace_range(at..=at, &other);
        prop_assert!(tokens.verify(&token, NOW).is_err());
    }
}
