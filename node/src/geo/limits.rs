//! Bounds of the places of peers. The database is the operator's own; the bounds are for a wrong file and
//! for peers that come and go.

/// Bytes of a database, which is held in memory. A longer one is refused. The largest that are sold have
/// about half of that, the free ones 10 to 130 MB.
pub const FILE_LEN_MAX: u64 = 1 << 30;
/// Records that are looked at to find out what a database tells of an address. One that says nothing of
/// places in so many is refused.
pub const SAMPLE_MAX: usize = 4_096;
/// Places that are kept once they were looked up: twice as many as there can be connected peers. One more
/// forgets the one that was looked up first, which is looked up again when it is asked for.
pub const KNOWN_MAX: usize = 512;
/// Characters of the name of a country or a city. What is longer is cut.
pub const NAME_LEN_MAX: usize = 100;
