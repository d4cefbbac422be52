export fn one() u32 {
    return 1
}
