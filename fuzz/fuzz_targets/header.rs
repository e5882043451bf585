//! Fuzzes `dunlin_transport::ids::reconstruct`.
#![cfg_attr(fuzzing, no_main)]

fn body(data: &[u8]) {
    if let Some((low, rest)) = data.split_first_chunk::<4>()
        && let Some((expected, _)) = rest.split_first_chunk::<8>()
    {
        let low = u32::from_be_bytes(*low);
        let full = dunlin_transport::ids::reconstruct(low, u64::from_be_bytes(*expected));
        assert_eq!(full & 0xffff_ffff, u64::from(low));
    }
}
dunlin_fuzz::target!(body);
