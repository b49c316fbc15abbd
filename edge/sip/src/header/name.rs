//! Header names, with their compact forms (RFC 3261, 7.3.3).

use std::fmt;

use bytes::Bytes;

use super::syntax::is_token_text;

macro_rules! names {
    ($($name:ident = $text:literal $(/ $compact:literal)?,)*) => {
        /// The name of a header.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub enum Name {
            $(#[doc = $text] $name,)*
            /// Any other, as it was written. Compared without case by [`Name::is`].
            Other(Bytes),
        }

        /// Long and compact names, the frequent ones first: most look-ups end within the first dozen.
        const KNOWN: &[(&str, Name)] = &[$(($text, Name::$name), $(($compact, Name::$name),)?)*];

        impl Name {
            /// The long form for a known name; what was written for another.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$name => $text.as_bytes(),)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

names! {
    Via = "Via" / "v",
    MaxForwards = "Max-Forwards",
    From = "From" / "f",
    To = "To" / "t",
    CallId = "Call-ID" / "i",
    CSeq = "CSeq",
    Contact = "Contact" / "m",
    ContentLength = "Content-Length" / "l",
    ContentType = "Content-Type" / "c",
    UserAgent = "User-Agent",
    Allow = "Allow",
    Supported = "Supported" / "k",
    RecordRoute = "Record-Route",
    Route = "Route",
    Expires = "Expires",
    Authorization = "Authorization",
    ProxyAuthorization = "Proxy-Authorization",
    Accept = "Accept",
    Reason = "Reason",
    Server = "Server",
    SessionExpires = "Session-Expires" / "x",
    MinSe = "Min-SE",
    PAssertedIdentity = "P-Asserted-Identity",
    SessionId = "Session-ID",
    Require = "Require",
    ProxyRequire = "Proxy-Require",
    Unsupported = "Unsupported",
    WwwAuthenticate = "WWW-Authenticate",
    ProxyAuthenticate = "Proxy-Authenticate",
    AuthenticationInfo = "Authentication-Info",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    AllowEvents = "Allow-Events" / "u",
    CallInfo = "Call-Info",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding" / "e",
    Date = "Date",
    Diversion = "Diversion",
    Event = "Event" / "o",
    HistoryInfo = "History-Info",
    MinExpires = "Min-Expires",
    Path = "Path",
    Privacy = "Privacy",
    PPreferredIdentity = "P-Preferred-Identity",
    RAck = "RAck",
    ReferTo = "Refer-To" / "r",
    ReferredBy = "Referred-By" / "b",
    Replaces = "Replaces",
    RetryAfter = "Retry-After",
    RSeq = "RSeq",
    ServiceRoute = "Service-Route",
    Subject = "Subject" / "s",
    SubscriptionState = "Subscription-State",
    Timestamp = "Timestamp",
    Warning = "Warning",
}

impl Name {
    /// Reads a name. `None` if it is no token.
    #[must_use]
    pub fn parse(text: &Bytes) -> Option<Self> {
        let known = KNOWN.iter().find(|(it, _)| it.as_bytes().eq_ignore_ascii_case(text));
        match known {
            Some((_, name)) => Some(name.clone()),
            None => is_token_text(text).then(|| Self::Other(text.clone())),
        }
    }

    /// Whether both are the same header.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(ours), Self::Other(theirs)) => ours.eq_ignore_ascii_case(theirs),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<Name> {
        Name::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn names_are_known_in_any_case_and_in_compact_form() {
        for via in ["Via", "VIA", "viA", "v", "V"] {
            assert_eq!(read(via), Some(Name::Via));
        }
        assert_eq!(read("l"), Some(Name::ContentLength));
        assert_eq!(read("P-Asserted-identity"), Some(Name::PAssertedIdentity));
    }

    #[test]
    fn other_names_keep_their_spelling_and_compare_without_case() {
        let (ours, theirs) = (read("C%6Fntact").unwrap(), read("c%6fNTACT").unwrap());
        assert_eq!(ours.as_bytes(), b"C%6Fntact");
        assert!(ours.is(&theirs) && !ours.is(&Name::Contact));
        for wrong in ["", "a b", "a:", "Vi\u{e4}"] {
            assert_eq!(read(wrong), None);
        }
    }
}
