//! Why a text is no address, and what one looks like.

/// A node ID for examples: that of 32 sevens.
macro_rules! example_id {
    () => {
        "dunlin1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswln86r"
    };
}

/// An onion service for examples: the one of rend-spec-v3 §1.
macro_rules! example_onion {
    () => {
        "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:4600"
    };
}

/// Why an address was refused. The caller is to blame; nothing was changed. Each message ends with an
/// example that would be accepted, which [`Self::example`] has alone.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// No `:port`.
    #[error("the port is missing; write for example {}", self.example())]
    PortMissing,
    /// A port that is no number from 1 to 65535.
    #[error("\"{}\" is not a port from 1 to 65535; write for example {}", .0, self.example())]
    Port(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address needs brackets; write for example {}", self.example())]
    BracketsMissing,
    /// `[` without `]`.
    #[error("the bracket is not closed; write for example {}", self.example())]
    BracketOpen,
    /// Something in brackets that is no IPv6 address.
    #[error("\"{}\" is not an IPv6 address; write for example {}", .0, self.example())]
    Ipv6(String),
    /// Neither an address nor a name.
    #[error("\"{}\" is neither an IP address nor a host name; write for example {}", .0, self.example())]
    Host(String),
    /// A name that ends in `.onion` and is no onion service of version 3.
    #[error("\"{}\" is not an onion service: {}; write for example {}", .name, .why, self.example())]
    Onion {
        /// The name as it was written.
        name: String,
        /// What is wrong with it.
        why: OnionError,
    },
    /// The text before `@` or after `quantum://` is no ID.
    #[error(
        "\"{}\" is not a node ID (paste the line that the node prints when it starts, or leave out the part before @); write for example {}",
        .0,
        self.example()
    )]
    Id(String),
    /// An ID and no place.
    #[error("an ID alone says who, not where; write for example {}", self.example())]
    PlaceMissing,
    /// `something://` that is not `quantum://`.
    #[error("addresses do not begin with \"{}://\"; write for example {}", .0, self.example())]
    Scheme(String),
}

impl AddressError {
    /// An address of the kind that was meant and would be accepted.
    #[must_use]
    pub const fn example(&self) -> &'static str {
        match self {
            Self::PortMissing | Self::Port(_) => "192.0.2.7:4600",
            Self::BracketsMissing | Self::BracketOpen | Self::Ipv6(_) => "[2001:db8::7]:4600",
            Self::Host(_) => "host.example:4600",
            Self::Onion { .. } => example_onion!(),
            Self::Id(_) | Self::PlaceMissing => concat!(example_id!(), "@192.0.2.7:4600"),
            Self::Scheme(_) => concat!("quantum://", example_id!()),
        }
    }
}

/// What is wrong with the name of an onion service (rend-spec-v3 §6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OnionError {
    /// Sixteen letters: version 2, whose key is RSA-1024 and which the Tor network gave up in 2021.
    #[error(
        "16 letters are version 2, whose short keys can be forged and which Tor does not serve any more"
    )]
    Version2,
    /// Neither 16 nor 56 letters.
    #[error("version 3 has 56 letters, this has {0}")]
    Length(usize),
    /// A character that base32 (RFC 4648 §6) does not have.
    #[error("only the letters a to z and the digits 2 to 7 occur in it")]
    Character,
    /// The checksum does not fit the key.
    #[error("the checksum is wrong, so a letter is")]
    Checksum,
    /// A version byte other than 3.
    #[error("it is of version {0}, and only version 3 is known")]
    Version(u8),
}
