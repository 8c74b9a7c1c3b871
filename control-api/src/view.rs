//! Shapes of calls as they are shown: by the API, in callbacks, in streams, to the softphone's
//! page. They know the records and nothing else.

/// Declares an enum of the API beside the stored one that it shows.
macro_rules! shown {
    ($(#[$meta:meta])* $name:ident of $stored:ident: $($variant:ident),+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        $(#[$meta])*
        pub enum $name { $($variant),+ }

        impl From<$stored> for $name {
            fn from(stored: $stored) -> Self {
                match stored { $($stored::$variant => Self::$variant),+ }
            }
        }
    };
}

pub mod call;
pub mod conversation;
pub mod event;
pub mod time;
