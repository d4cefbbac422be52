#[cfg(feature = "fast")]
pub fn first(numbers: &[u8]) -> u8 {
    unsafe { *numbers.get_unchecked(0) }
}
