//! Parts of broadcasting.

pub(crate) mod seen;
