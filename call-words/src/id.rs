//! Names of what a call is about, each a type of its own: one cannot be given where another is
//! asked for. What a name may look like is the concern of who makes it.

/// Declares names: a type around its text, which JSON, disk and control link hold as that text.
macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident)+) => {$(
        $(#[$meta])*
        #[derive(
            Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::serde::Serialize, ::serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// As a key of a database.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<::std::borrow::Cow<'_, str>> for $name {
            fn from(text: ::std::borrow::Cow<'_, str>) -> Self {
                Self(text.into_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.0 == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.0 == *text
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

ids! {
    /// A call. Not SIP's Call-ID, of which each leg has one of its own.
    CallId
    AccountId
    /// A trunk, as the edge's configuration and the trunks' records name it.
    TrunkId
    /// An agent's softphone towards the edge: unique among all accounts, user part of its
    /// address-of-record and user name of its digest.
    AgentName
    /// An edge, as its configuration names it.
    EdgeName
    /// An API key.
    KeyId
    /// A recording's file without its folder.
    RecordingName
    /// To which callbacks go one after the other: an account's URL.
    EndpointId
}
