//! Request methods: case-sensitive tokens (RFC 3261, 7.1), compared whole.

use std::fmt;

use bytes::Bytes;

use crate::header::syntax::is_token_text;

macro_rules! methods {
    ($($name:ident = $text:literal,)*) => {
        /// A request method.
        #[derive(Clone, Debug, Eq, Hash, PartialEq)]
        pub enum Method {
            $(#[doc = $text] $name,)*
            /// Any other token, as it was written.
            Other(Bytes),
        }

        impl Method {
            /// Reads a method. `None` if it is no token.
            #[must_use]
            pub fn parse(text: &Bytes) -> Option<Self> {
                match text.as_ref() {
                    $(text if text == $text.as_bytes() => Some(Self::$name),)*
                    other => is_token_text(other).then(|| Self::Other(text.clone())),
                }
            }

            /// As it is written.
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

methods! {
    Invite = "INVITE",
    Ack = "ACK",
    Bye = "BYE",
    Cancel = "CANCEL",
    Options = "OPTIONS",
    Register = "REGISTER",
    Update = "UPDATE",
    Prack = "PRACK",
    Info = "INFO",
    Refer = "REFER",
    Subscribe = "SUBSCRIBE",
    Notify = "NOTIFY",
    Message = "MESSAGE",
    Publish = "PUBLISH",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<Method> {
        Method::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_method_is_known_only_by_its_whole_name_and_case() {
        assert_eq!(read("INVITE"), Some(Method::Invite));
        for other in ["INVITEX", "invite", "INVIT", "RE%47IST%45R"] {
            assert_eq!(read(other), Some(Method::Other(Bytes::from_static(other.as_bytes()))));
        }
        for wrong in ["", "IN VITE", "SIP/2.0", "INVITE\t"] {
            assert_eq!(read(wrong), None);
        }
    }
}
