pub fn number() -> u32 {
    "text"
}
