//! Which topics a node takes, as it tells its neighbours.

use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode};

use crate::limits::TOPICS_MAX;

/// What the sender takes from now on; it replaces what was said before. Who has said nothing takes all.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct TopicList<'b> {
    /// All topics; then there are no names.
    #[n(0)]
    pub(crate) is_all: bool,
    /// The names of the topics.
    #[cbor(b(1), decode_with = "decode_names")]
    pub(crate) names: Vec<&'b str>,
}

fn decode_names<'b, C>(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Vec<&'b str>, Error> {
    let count = decoder.array()?.unwrap_or(u64::MAX);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > TOPICS_MAX {
        return Err(Error::message("too many topics"));
    }
    (0..count).map(|_| decoder.str()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Message, decode};
    use super::*;
    use crate::error::DecodeError;

    #[test]
    fn names_are_taken_up_to_the_limit_and_refused_one_past_it() {
        let list = |count| {
            let names = vec!["prices"; count];
            Message::Topics(TopicList {
                is_all: false,
                names,
            })
        };
        let most = list(TOPICS_MAX);
        assert_eq!(decode(&most.encode()), Ok(Some(most)));
        let more = list(TOPICS_MAX + 1).encode();
        assert_eq!(decode(&more), Err(DecodeError::Schema));
    }

    #[test]
    fn looks_as_documented_and_skips_fields_of_later_versions() {
        let all = TopicList {
            is_all: true,
            names: Vec::new(),
        };
        let bytes = Message::Topics(all.clone()).encode();
        assert_eq!(bytes, [0x82, 0x15, 0xa2, 0, 0xf5, 1, 0x80]);
        let later = [0x82, 0x15, 0xa3, 0, 0xf5, 1, 0x80, 7, 0x61, b'x'];
        assert_eq!(decode(&later), Ok(Some(Message::Topics(all))));
        let one = TopicList {
            is_all: false,
            names: vec!["a"],
        };
        let bytes = Message::Topics(one).encode();
        assert_eq!(bytes, [0x82, 0x15, 0xa2, 0, 0xf4, 1, 0x81, 0x61, b'a']);
    }
}
