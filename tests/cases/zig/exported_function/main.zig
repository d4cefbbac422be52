export fn twice(value: u32) u32 {
    return value *% 2;
}
